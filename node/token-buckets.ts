/**
 * Token buckets in a table of a fixed size: how often something may be done in the name of each of very many.
 *
 * A bucket is its debt, what it lacks to be full, as it was at a moment. One that is full again says no more
 * than one that is not there. So a table that needs a place gives up the bucket with the least debt
 * of the few that may stand there, and of what was to be known as little as can be is lost. Whoever comes
 * under ever new names leaves debts of one token, which push out each other and neither the debt of one
 * that is being held back nor that of a busy one.
 */
import type { Rate } from './config/types.ts';
import type { MonotonicMs } from './time.ts';

/** Places that a bucket may stand in: a power of two, and a cache line of 32-bit keys at most. */
const WAYS = 8;
/** In the unit of a debt, a thousandth of a token: `perSecond` of them come back each millisecond, exactly. */
const TOKEN = 1000;

/** Token buckets by a 32-bit key that is never 0. */
export class Buckets {
  readonly #keys: Uint32Array;
  readonly #debts: Float64Array;
  /** When the debt was so. */
  readonly #since: Float64Array;
  readonly #setMask: number;
  #perSecond = 0;
  #debtMax = 0;

  /** `places`: a power of two. */
  constructor(places: number) {
    this.#keys = new Uint32Array(places);
    this.#debts = new Float64Array(places);
    this.#since = new Float64Array(places);
    this.#setMask = places / WAYS - 1;
  }

  /** What a bucket lacks it goes on lacking. A burst below one token would let nothing through at all. */
  setRate({ perSecond, burst }: Rate): void {
    this.#perSecond = perSecond;
    this.#debtMax = (Math.max(burst, 1) - 1) * TOKEN;
  }

  /** Where the key's bucket stands, or would: nothing changes yet. `scatter` chooses the few places it may stand in. */
  find(key: number, scatter: number, at: MonotonicMs): number {
    const from = (scatter & this.#setMask) * WAYS;
    for (let place = from; place < from + WAYS; place++) if (this.#keys[place] === key) return place;
    let best = from;
    let least = Infinity;
    for (let place = from; place < from + WAYS && least > 0; place++) {
      const debt = this.#debt(place, at);
      if (debt >= least) continue;
      best = place;
      least = debt;
    }
    return best;
  }

  hasToken(place: number, key: number, at: MonotonicMs): boolean {
    return this.#keys[place] !== key || this.#debt(place, at) <= this.#debtMax;
  }

  take(place: number, key: number, at: MonotonicMs): void {
    const debt = this.#keys[place] === key ? this.#debt(place, at) : 0;
    this.#keys[place] = key;
    this.#debts[place] = debt + TOKEN;
    this.#since[place] = at;
  }

  #debt(place: number, at: MonotonicMs): number {
    return Math.max(0, this.#debts[place]! - (at - this.#since[place]!) * this.#perSecond);
  }
}

/** Undefined: no limit. `before`: what was taken under another rate stays taken. `places`: a power of two. */
export function bucketsFor(rate: Rate, before: Buckets | undefined, places: number): Buckets | undefined {
  if (!(rate.perSecond > 0)) return undefined;
  const buckets = before ?? new Buckets(places);
  buckets.setRate(rate);
  return buckets;
}

/** 32 bits of which each depends on every bit of the number; other ones for each number. */
export function scattered(number: number): number {
  let h = number | 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb_352d);
  h = Math.imul(h ^ (h >>> 15), 0x846c_a68b);
  return (h ^ (h >>> 16)) >>> 0;
}
