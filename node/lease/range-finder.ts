/** Which of many ranges an address lies in, by binary search over ranges that do not overlap. */
import { NONE } from './pages.ts';

export interface NumberedRange {
  /** Inclusive. */
  readonly first: number;
  readonly last: number;
  /** Below NONE; several ranges may have the same. */
  readonly index: number;
}

export class RangeFinder {
  readonly #firsts: Uint32Array;
  readonly #lasts: Uint32Array;
  readonly #indexes: Uint16Array;

  constructor(ranges: readonly NumberedRange[]) {
    const sorted = [...ranges].sort((a, b) => a.first - b.first);
    this.#firsts = Uint32Array.from(sorted, (range) => range.first);
    this.#lasts = Uint32Array.from(sorted, (range) => range.last);
    this.#indexes = Uint16Array.from(sorted, (range) => range.index);
  }

  /** The index of the address's range, -1 when it lies in none. */
  find(address: number): number {
    const at = this.#firstUpTo(address);
    return at < this.#firsts.length && this.#firsts[at]! <= address ? this.#indexes[at]! : -1;
  }

  /** Writes down the index of each of the 256 addresses from `base` on, or NONE. */
  fillPage(base: number, indexes: Uint16Array): void {
    const end = base + 255;
    indexes.fill(NONE);
    for (let at = this.#firstUpTo(base); at < this.#firsts.length && this.#firsts[at]! <= end; at++) {
      indexes.fill(this.#indexes[at]!, Math.max(this.#firsts[at]! - base, 0), Math.min(this.#lasts[at]! - base, 255) + 1);
    }
  }

  /** The first range that does not end before the address. */
  #firstUpTo(address: number): number {
    let low = 0;
    let high = this.#lasts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#lasts[middle]! < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
