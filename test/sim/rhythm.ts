/**
 * When faults strike: in bursts, with quiet in between, as the seed says. A world in which something
 * breaks all the time shows less than one in which things also come to rest, and costs more.
 */
import type { Random } from './random.ts';

/** After a fault the world is watched closely for so long, and a node that is not in service for longer. */
const LIVELY_MS = 12_000;
const MENDING_MS = 60_000;

export class Rhythm {
  readonly #random: Random;
  readonly #everyMs: number;
  readonly #burst: number;
  readonly #quietMs: number;
  #left = 0;
  #struckAt = -Infinity;

  constructor(random: Random) {
    this.#random = random;
    this.#everyMs = random.pick([2000, 4000, 8000, 15_000]);
    this.#burst = random.pick([2, 4, 8, 16]);
    this.#quietMs = random.pick([100_000, 200_000, 400_000]);
  }

  /** Milliseconds until the next fault. */
  untilNext(): number {
    const { random, everyMs } = { random: this.#random, everyMs: this.#everyMs };
    if (this.#left-- > 0) return random.between(0.2, 1.8) * everyMs;
    this.#left = random.int(1, 2 * this.#burst);
    return random.between(0.2, 1.8) * this.#quietMs;
  }

  struck(now: number): void {
    this.#struckAt = now;
  }

  /** Something has been broken lately. */
  isLively(now: number): boolean {
    return now - this.#struckAt < LIVELY_MS;
  }

  /** Long enough ago that what is out of service now waits for something that takes its time. */
  isMending(now: number): boolean {
    return now - this.#struckAt < MENDING_MS;
  }
}
