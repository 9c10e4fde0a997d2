/**
 * How many addresses each pool had free over the last hour, day and week, and when none will be left if that goes on.
 * Kept in memory by every node for itself, from its start: one number for each pool and moment, closer together in the
 * hour than in the week. A pool costs 476 bytes.
 */
import type { ClusterConfig, PoolConfig } from '../config/types.ts';
import { poolSize } from '../allocation/pool-size.ts';
import { POOL_SAMPLES_PER_STEP } from './limits.ts';
import type { MonotonicMs } from '../time.ts';

export const TREND_SPANS = ['hour', 'day', 'week'] as const;
export type TrendSpan = (typeof TREND_SPANS)[number];

interface Window {
  readonly span: TrendSpan;
  readonly seconds: number;
  readonly everySeconds: number;
}

const WINDOWS: readonly Window[] = [
  { span: 'hour', seconds: 3600, everySeconds: 300 },
  { span: 'day', seconds: 86_400, everySeconds: 1800 },
  { span: 'week', seconds: 604_800, everySeconds: 10_800 },
];

/** What a trend of this span says of longer than so many times the span is no forecast. */
const REACH = 10;
/** So many standard errors to either side: 95 % of what chance alone does, were the moments independent of each other. */
const ERRORS = 2;
/** Part of a span, and of its moments, that must be known. */
const KNOWN_PART = 0.9;
/** A moment is due a little early: ticks come when they come. */
const EARLY_MS = 1000;
/** In a series: nothing is known of the pool at that moment. */
const UNKNOWN = 0xffff_ffff;

export type PoolTrend =
  /** The node has not looked on for so long. */
  | { readonly kind: 'unknown' }
  /** Free addresses became more, stayed as they were, or went up and down by more than they fell. */
  | { readonly kind: 'steady' }
  /** They become fewer, but none will be missing before the forecast is worth nothing. */
  | { readonly kind: 'falling'; readonly freePerHour: number }
  /** Seconds from now until none is left: the likely time, and the earliest and latest that fit; Infinity: it may never come. */
  | { readonly kind: 'full'; readonly freePerHour: number; readonly seconds: number; readonly earliestSeconds: number; readonly latestSeconds: number };

/** One series of moments, the oldest overwritten. */
class Moments {
  readonly window: Window;
  readonly times: Float64Array;
  /** Where this window's numbers begin in a pool's. */
  readonly offset: number;
  at = -1;
  count = 0;

  constructor(window: Window, offset: number) {
    this.window = window;
    this.times = new Float64Array(window.seconds / window.everySeconds + 1);
    this.offset = offset;
  }

  isDue(now: number): boolean {
    return this.count === 0 || now - this.times[this.at]! >= this.window.everySeconds * 1000 - EARLY_MS;
  }

  begin(now: number): void {
    this.at = (this.at + 1) % this.times.length;
    this.count = Math.min(this.count + 1, this.times.length);
    this.times[this.at] = now;
  }
}

interface Series {
  readonly size: number;
  readonly free: Uint32Array;
}

export interface PoolCounter {
  poolCounts(index: number): { readonly free: number };
}

export class PoolTrends {
  readonly #moments: readonly Moments[];
  readonly #length: number;
  /** By what names the pool in every configuration. */
  readonly #series = new Map<number, Series>();
  #pools: readonly PoolConfig[] = [];
  /** The next pool to be counted; none when all are. */
  #next = Infinity;
  #due: readonly Moments[] = [];

  constructor() {
    let length = 0;
    this.#moments = WINDOWS.map((window) => {
      const moments = new Moments(window, length);
      length += moments.times.length;
      return moments;
    });
    this.#length = length;
  }

  /** For every tick of a node in service: counts pools where the time for it has come, a bounded number at once. */
  sample(now: MonotonicMs, { pools }: Pick<ClusterConfig, 'pools'>, table: PoolCounter): void {
    if (pools !== this.#pools) this.#take(pools);
    if (this.#next >= pools.length && !this.#begin(now)) return;
    const end = Math.min(this.#next + POOL_SAMPLES_PER_STEP, pools.length);
    for (; this.#next < end; this.#next++) {
      const { free } = this.#series.get(pools[this.#next]!.id)!;
      const count = table.poolCounts(this.#next).free;
      for (const { at, offset } of this.#due) free[offset + at] = count;
    }
  }

  /** Another configuration: what is known of pools that are as they were is kept. */
  #take(pools: readonly PoolConfig[]): void {
    const before = new Map(this.#series);
    this.#series.clear();
    for (const pool of pools) {
      const size = poolSize(pool);
      const known = before.get(pool.id);
      this.#series.set(pool.id, known?.size === size ? known : { size, free: new Uint32Array(this.#length).fill(UNKNOWN) });
    }
    // A count that was under way begins anew, in the same places.
    if (this.#next < this.#pools.length) this.#next = 0;
    else this.#next = Infinity;
    this.#pools = pools;
  }

  #begin(now: number): boolean {
    this.#due = this.#moments.filter((moments) => moments.isDue(now));
    if (this.#due.length === 0) return false;
    for (const moments of this.#due) {
      moments.begin(now);
      for (const { free } of this.#series.values()) free[moments.offset + moments.at] = UNKNOWN;
    }
    this.#next = 0;
    return this.#pools.length > 0;
  }

  /** The pools together, as of a subnet; `free`: how many addresses they have free now. */
  trend(pools: readonly PoolConfig[], span: TrendSpan, free: number, now: MonotonicMs): PoolTrend {
    const moments = this.#moments.find(({ window }) => window.span === span)!;
    const points = this.#points(pools, moments, now);
    const { length } = moments.times;
    const first = points[0];
    if (first === undefined || points.length < KNOWN_PART * length || -first.hours * 3600 < KNOWN_PART * moments.window.seconds) return { kind: 'unknown' };
    const { error, slope } = fit(points);
    if (slope + ERRORS * error >= 0) return { kind: 'steady' };
    const secondsAt = (perHour: number): number => (perHour >= 0 ? Infinity : (free / -perHour) * 3600);
    const seconds = secondsAt(slope);
    if (seconds > REACH * moments.window.seconds) return { kind: 'falling', freePerHour: slope };
    return {
      kind: 'full', freePerHour: slope, seconds, earliestSeconds: secondsAt(slope - ERRORS * error), latestSeconds: secondsAt(slope + ERRORS * error),
    };
  }

  /** Oldest first, within the span; moments at which nothing is known of one of the pools are left out. */
  #points(pools: readonly PoolConfig[], { at, count, offset, times, window }: Moments, now: number): Point[] {
    const series = pools.flatMap(({ id }) => this.#series.get(id)?.free ?? []);
    if (series.length < pools.length) return [];
    const points: Point[] = [];
    const since = now - (window.seconds + window.everySeconds) * 1000;
    for (let i = count - 1; i >= 0; i--) {
      const moment = (at - i + times.length) % times.length;
      if (times[moment]! < since) continue;
      let sum = 0;
      for (const free of series) {
        const known = free[offset + moment]!;
        sum += known === UNKNOWN ? NaN : known;
      }
      if (!Number.isNaN(sum)) points.push({ hours: (times[moment]! - now) / 3_600_000, free: sum });
    }
    return points;
  }
}

interface Point {
  /** From now, so below 0. */
  readonly hours: number;
  readonly free: number;
}

/** The straight line with the least squares: its slope by the hour, and the slope's standard error. */
function fit(points: readonly Point[]): { readonly slope: number; readonly error: number } {
  const n = points.length;
  const mean = (of: (point: Point) => number): number => points.reduce((sum, point) => sum + of(point), 0) / n;
  const [hours, free] = [mean((point) => point.hours), mean((point) => point.free)];
  let [xx, xy, yy] = [0, 0, 0];
  for (const point of points) {
    const [x, y] = [point.hours - hours, point.free - free];
    xx += x * x;
    xy += x * y;
    yy += y * y;
  }
  const slope = xy / xx;
  return { slope, error: Math.sqrt(Math.max(0, yy - slope * xy) / (n - 2) / xx) };
}
