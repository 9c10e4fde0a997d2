/** One timer for each of many owners: set again it is moved. Kept in slices of time, since most are moved before they are due. */
const SLICE_MS = 10;

export class Timers<T extends object> {
  readonly #slices = new Map<number, Set<T>>();
  readonly #dueAt = new Map<T, number>();
  #next = Math.floor(performance.now() / SLICE_MS);
  /** What was set before a stall is due so much later. */
  #postponedMs = 0;

  set(owner: T, at: number): void {
    this.clear(owner);
    const slice = Math.max(this.#next, Math.ceil((at - this.#postponedMs) / SLICE_MS));
    let owners = this.#slices.get(slice);
    if (owners === undefined) this.#slices.set(slice, owners = new Set());
    owners.add(owner);
    this.#dueAt.set(owner, slice);
  }

  clear(owner: T): void {
    const slice = this.#dueAt.get(owner);
    if (slice === undefined) return;
    this.#dueAt.delete(owner);
    this.#slices.get(slice)?.delete(owner);
  }

  /** Everything is due later by so much. */
  postpone(ms: number): void {
    this.#postponedMs += ms;
  }

  run(now: number, onDue: (owner: T) => void): void {
    const until = Math.floor((now - this.#postponedMs) / SLICE_MS);
    for (; this.#next <= until; this.#next++) {
      const owners = this.#slices.get(this.#next);
      this.#slices.delete(this.#next);
      for (const owner of owners ?? []) {
        this.#dueAt.delete(owner);
        onDue(owner);
      }
    }
  }
}
