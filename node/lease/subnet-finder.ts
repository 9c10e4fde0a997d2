/** Which configured subnet an address lies in, by binary search over subnets that do not overlap. */
import type { SubnetConfig } from '../config/types.ts';

export class SubnetFinder {
  readonly #firsts: Float64Array;
  readonly #lasts: Float64Array;
  readonly #indexes: Uint16Array;

  constructor(subnets: readonly SubnetConfig[]) {
    const sorted = subnets
      .map((subnet, index) => ({
        index, first: subnet.network, last: subnet.network + 2 ** (32 - subnet.prefixLength) - 1,
      }))
      .sort((a, b) => a.first - b.first);
    this.#firsts = Float64Array.from(sorted, (entry) => entry.first);
    this.#lasts = Float64Array.from(sorted, (entry) => entry.last);
    this.#indexes = Uint16Array.from(sorted, (entry) => entry.index);
  }

  /** The subnet's index in the configuration, -1 when there is none. */
  find(address: number): number {
    let low = 0;
    let high = this.#firsts.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (address < this.#firsts[middle]!) high = middle - 1;
      else if (address > this.#lasts[middle]!) low = middle + 1;
      else return this.#indexes[middle]!;
    }
    return -1;
  }
}
