/**
 * The search for the highest rate that a server still carries: by doubling until a rate fails, then
 * between the last that held and the first that failed, by their geometric mean, until these are close.
 */

export interface SearchOptions {
  /** Where to begin. */
  readonly start: number;
  /** First steps up or down; over 1. */
  readonly step: number;
  /** The end: the failed rate is at most so many times the one that held. */
  readonly precision: number;
  /** A rate has failed when it failed so often: once may be the machine's doing. */
  readonly attempts: number;
}

/** Rates below this are given up: the answer is then 0. */
const RATE_MIN = 20;

export class RateSearch {
  readonly #options: SearchOptions;
  #held = 0;
  #failed = Infinity;
  #next: number;
  #attempt = 0;

  constructor(options: SearchOptions) {
    this.#options = options;
    this.#next = Math.round(options.start);
  }

  /** The rate to try next; undefined when the answer is found. */
  get next(): number | undefined {
    return this.done ? undefined : this.#next;
  }

  get done(): boolean {
    return this.#failed < RATE_MIN || this.#failed <= this.#held * this.#options.precision;
  }

  /** The highest rate that held, exchanges a second; 0 when none did. */
  get held(): number {
    return this.#held;
  }

  tried(rate: number, held: boolean): void {
    if (!held && ++this.#attempt < this.#options.attempts) return;
    this.#attempt = 0;
    if (held) this.#held = Math.max(this.#held, rate);
    else this.#failed = Math.min(this.#failed, rate);
    // A rate that holds after a lower one has failed: the lower failure was chance.
    if (this.#held >= this.#failed) this.#failed = Infinity;
    const { step } = this.#options;
    if (this.#failed === Infinity) this.#next = Math.round(this.#held * step);
    else if (this.#held === 0) this.#next = Math.round(this.#failed / step);
    else this.#next = Math.round(Math.sqrt(this.#held * this.#failed));
  }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** By linear interpolation; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length === 0) return NaN;
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (at - below);
}
