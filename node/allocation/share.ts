/**
 * The free addresses of one subnet, slot by slot: every node counts all 256, so that a view change
 * costs nothing here. Pools are never written out: a cursor goes through a slot's never-used addresses.
 */
import type { AddressRange } from '../config/types.ts';

/** Sorted, and ranges that touch or overlap joined. */
export function mergeRanges(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: { first: number; last: number }[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const before = merged.at(-1);
    if (before !== undefined && range.first <= before.last + 1) before.last = Math.max(before.last, range.last);
    else merged.push({ first: range.first, last: range.last });
  }
  return merged;
}

/** How many addresses of the range have `slot` as their last octet. */
function countInRange(range: AddressRange, slot: number): number {
  const first = firstInSlot(range.first, slot);
  return first > range.last ? 0 : Math.floor((range.last - first) / 256) + 1;
}

/** The lowest address from `from` on with `slot` as its last octet; may exceed 32 bits. */
function firstInSlot(from: number, slot: number): number {
  return from + ((slot - (from & 255)) & 255);
}

export class SubnetShare {
  readonly pools: readonly AddressRange[];
  /** Free addresses by slot: not held, not reserved, nobody's. */
  readonly free = new Float64Array(256);
  freeTotal = 0;
  /** Those of them that no client has had. */
  readonly unused = new Float64Array(256);
  unusedTotal = 0;
  /** Records by state number. */
  readonly states = new Float64Array(6);
  /** Where the next search for a slot begins, so that addresses are taken evenly. */
  turn = 0;
  /** Since when (UTC seconds) the first address of a slot's freed list is free; only meaningful if it has one. */
  readonly freedSince = new Float64Array(256);
  /** The next never-used candidate of a slot; past the last pool: Infinity. */
  readonly #cursor = new Float64Array(256);

  /** `reserved`: addresses that are a reservation's, whether inside a pool or not. */
  constructor(pools: readonly AddressRange[], reserved: Iterable<number>) {
    this.pools = mergeRanges(pools);
    for (let slot = 0; slot < 256; slot++) {
      for (const pool of this.pools) this.free[slot]! += countInRange(pool, slot);
      this.#cursor[slot] = this.#from(0, slot);
    }
    for (const address of new Set(reserved)) if (this.inPool(address)) this.free[address & 255]!--;
    for (const count of this.free) this.freeTotal += count;
    this.unused.set(this.free);
    this.unusedTotal = this.freeTotal;
  }

  inPool(address: number): boolean {
    let low = 0;
    let high = this.pools.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const pool = this.pools[middle]!;
      if (address < pool.first) high = middle - 1;
      else if (address > pool.last) low = middle + 1;
      else return true;
    }
    return false;
  }

  addUnused(slot: number, count: 1 | -1): void {
    this.unused[slot]! += count;
    this.unusedTotal += count;
    this.addFreed(slot, count);
  }

  /** An address that was used before becomes free, or is taken. */
  addFreed(slot: number, count: 1 | -1): void {
    this.free[slot]! += count;
    this.freeTotal += count;
  }

  /**
   * The slot's next address that `passBy` does not pass by; 0 when there is none. What is passed by is
   * never asked for again; the address returned is, until it is passed by.
   */
  neverUsed(slot: number, passBy: (address: number) => boolean): number {
    let address = this.#cursor[slot]!;
    while (address !== Infinity && passBy(address)) address = this.#from(address + 256, slot);
    this.#cursor[slot] = address;
    return address === Infinity ? 0 : address;
  }

  #from(from: number, slot: number): number {
    let low = 0;
    let high = this.pools.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.pools[middle]!.last < from) low = middle + 1;
      else high = middle;
    }
    for (let i = low; i < this.pools.length; i++) {
      const pool = this.pools[i]!;
      const address = firstInSlot(Math.max(from, pool.first), slot);
      if (address <= pool.last) return address;
    }
    return Infinity;
  }
}
