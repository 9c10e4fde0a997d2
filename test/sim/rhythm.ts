/**
 * Whether something has been broken or mended lately. Between bursts of faults it is quiet, and then a
 * world is looked at less closely: that shows as much and costs far less.
 */

/** After a fault the world is watched closely for so long. */
const LIVELY_MS = 25_000;

export class Rhythm {
  #struckAt = -Infinity;

  struck(now: number): void {
    this.#struckAt = now;
  }

  isLively(now: number): boolean {
    return now - this.#struckAt < LIVELY_MS;
  }
}
