/**
 * Whether something has been broken or mended lately. Between bursts of faults it is quiet, and then a
 * world is looked at less closely: that shows as much and costs far less.
 */

/** After a fault the world is watched closely for so long, and a node that is not in service for longer. */
const LIVELY_MS = 12_000;
const MENDING_MS = 60_000;

export class Rhythm {
  #struckAt = -Infinity;

  struck(now: number): void {
    this.#struckAt = now;
  }

  isLively(now: number): boolean {
    return now - this.#struckAt < LIVELY_MS;
  }

  /** Long enough ago that what is out of service now waits for something that takes its time. */
  isMending(now: number): boolean {
    return now - this.#struckAt < MENDING_MS;
  }
}
