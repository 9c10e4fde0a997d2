/**
 * The first so many of very many things in order, in bounded memory and never long in one go: they are sorted in
 * runs as they come, the runs are merged while they are read, and what cannot be among the first is dropped.
 */

/** Sorting so many, or merging them, takes a millisecond or two. */
const RUN_LENGTH = 2048;
const MERGED_AT_ONCE = 512;

export class SortedRuns<T> {
  readonly #compare: (one: T, other: T) => number;
  readonly #max: number;
  readonly #limit: number;
  readonly #pause: () => Promise<void>;
  #runs: T[][] = [];
  #run: T[] = [];
  #held = 0;
  /** With as many before it as are wanted: what comes behind it is dropped. */
  #bar: T | undefined;

  /** At most `max` are held; `limit`: so many are wanted, Infinity for all. */
  constructor(compare: (one: T, other: T) => number, max: number, limit: number, pause: () => Promise<void>) {
    this.#compare = compare;
    this.#max = max;
    this.#limit = limit;
    this.#pause = pause;
  }

  /** No other is taken before `makeRoom`. */
  get isFull(): boolean {
    return this.#held >= this.#max;
  }

  add(thing: T): void {
    if (this.#bar !== undefined && this.#compare(thing, this.#bar) > 0) return;
    this.#held++;
    if (this.#run.push(thing) === RUN_LENGTH) this.#endRun();
  }

  /** By dropping all but the first `limit`; false where those are more than half of what may be held. */
  async makeRoom(): Promise<boolean> {
    if (this.#limit > this.#max / 2) return false;
    const kept: T[] = [];
    for await (const thing of this.inOrder()) kept.push(thing);
    this.#runs = [kept];
    this.#held = kept.length;
    this.#bar = kept.length === this.#limit ? kept.at(-1) : undefined;
    return true;
  }

  /** The first `limit` of all. */
  async *inOrder(): AsyncGenerator<T> {
    if (this.#run.length > 0) this.#endRun();
    let given = 0;
    const next = this.#runs.map(() => 0);
    while (given < this.#limit) {
      const first = this.#first(next);
      if (first < 0) return;
      yield this.#runs[first]![next[first]!++]!;
      if (++given % MERGED_AT_ONCE === 0) await this.#pause();
    }
  }

  /** The run whose next one comes first; -1 at the end. */
  #first(next: readonly number[]): number {
    let first = -1;
    for (let run = 0; run < this.#runs.length; run++) {
      if (next[run]! >= this.#runs[run]!.length) continue;
      if (first < 0 || this.#compare(this.#runs[run]![next[run]!]!, this.#runs[first]![next[first]!]!) < 0) first = run;
    }
    return first;
  }

  #endRun(): void {
    this.#runs.push(this.#run.sort(this.#compare));
    this.#run = [];
  }
}
