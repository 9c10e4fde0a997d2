/** Histograms of durations: own integers, fixed bounds in seconds, rendered at scrape time. */

/** What the server itself does: from a tenth of a millisecond to the age that no answer outlives. */
export const WORK_SECONDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5,
];

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long clients stay: from a glance at a captive portal to a quarter of a year. */
export const STAY_SECONDS: readonly number[] = [
  MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY,
];

export class DurationHistogram {
  readonly bounds: readonly number[];
  /** One more than the bounds: the last counts what is above them all. */
  readonly counts: Float64Array;
  sumSeconds = 0;

  constructor(bounds: readonly number[] = WORK_SECONDS) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(seconds: number): void {
    let i = 0;
    while (i < this.bounds.length && seconds > this.bounds[i]!) i++;
    this.counts[i]!++;
    this.sumSeconds += seconds;
  }
}

/** How long leases were held, by the name of their subnet; a subnet has a histogram from its first lease that ended. */
export class HeldTimes {
  readonly #bySubnet = new Map<string, DurationHistogram>();

  get bySubnet(): ReadonlyMap<string, DurationHistogram> {
    return this.#bySubnet;
  }

  observe(subnet: string, seconds: number): void {
    let histogram = this.#bySubnet.get(subnet);
    if (histogram === undefined) {
      histogram = new DurationHistogram(STAY_SECONDS);
      this.#bySubnet.set(subnet, histogram);
    }
    histogram.observe(seconds);
  }

  /** Forgets the subnets that are configured no more. */
  keep(subnets: ReadonlySet<string>): void {
    for (const subnet of this.#bySubnet.keys()) if (!subnets.has(subnet)) this.#bySubnet.delete(subnet);
  }
}
