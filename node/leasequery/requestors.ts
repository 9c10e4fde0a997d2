/** Who may ask. */
import { prefixMask } from '../codec/address.ts';
import type { Ipv4Prefix } from '../codec/address.ts';

export class Requestors {
  readonly #prefixes: readonly { readonly network: number; readonly mask: number }[];

  constructor(prefixes: readonly Ipv4Prefix[]) {
    this.#prefixes = prefixes.map(({ network, prefixLength }) => ({ network, mask: prefixMask(prefixLength) }));
  }

  has(address: number): boolean {
    return this.#prefixes.some(({ network, mask }) => (address & mask) >>> 0 === network);
  }
}
