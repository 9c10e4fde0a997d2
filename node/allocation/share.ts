/**
 * The free addresses of one pool, slot by slot: every node counts all 256, so that a view change costs
 * nothing here. Pools are never written out: a cursor goes through a slot's never-used addresses.
 *
 * A pool of fewer than 256 addresses has entries for the slots that it reaches only, beginning with the
 * slot of its first address, so that thousands of small pools stay small.
 */
import type { AddressRange } from '../config/types.ts';

/** The lowest address from `from` on with `slot` as its last octet; may exceed 32 bits. */
function firstInSlot(from: number, slot: number): number {
  return from + ((slot - (from & 255)) & 255);
}

export class PoolShare {
  readonly ranges: readonly AddressRange[];
  /** Addresses in all, reserved ones included. */
  readonly size: number;
  /** Entries of the arrays below. */
  readonly width: number;
  /** Number of the first of the pool's lists, some for each entry; for whoever keeps the lists. */
  firstList = 0;
  /** Free addresses by entry: not held, not reserved, nobody's. */
  readonly free: Uint32Array;
  freeTotal = 0;
  /** Those of them that no client has had. */
  readonly unused: Uint32Array;
  unusedTotal = 0;
  /** Abandoned addresses past their reuse time; for whoever keeps the lists. */
  abandonedTotal = 0;
  /** The entry at which the next search for a slot begins, so that addresses are taken evenly. */
  turn = 0;
  /** Since when (UTC seconds) the first address of an entry's freed list is free; only meaningful if it has one. */
  readonly freedSince: Uint32Array;
  readonly #firstSlot: number;
  /** Never-used addresses of the entry's slot are looked for from here on. */
  readonly #cursor: Float64Array;
  /** How many addresses lie in the ranges before each one. */
  readonly #before: Float64Array;

  /** `reserved`: addresses in the pool that are a reservation's. */
  constructor(ranges: readonly AddressRange[], reserved: Iterable<number>) {
    const first = ranges[0]?.first ?? 0;
    const width = Math.min(256, (ranges.at(-1)?.last ?? first - 1) - first + 1);
    this.ranges = ranges;
    this.width = width;
    this.#firstSlot = first & 255;
    this.free = new Uint32Array(width);
    this.freedSince = new Uint32Array(width);
    this.#cursor = new Float64Array(width);
    this.#before = new Float64Array(ranges.length);
    this.size = this.#count();
    for (const address of reserved) this.free[this.entryOf(address)]!--;
    for (const count of this.free) this.freeTotal += count;
    this.unused = this.free.slice();
    this.unusedTotal = this.freeTotal;
  }

  /** Fills `free` and `#before`; returns the size. */
  #count(): number {
    let whole = 0;
    let size = 0;
    for (const [i, { first, last }] of this.ranges.entries()) {
      const length = last - first + 1;
      this.#before[i] = size;
      size += length;
      whole += Math.floor(length / 256);
      for (let address = last - (length % 256) + 1; address <= last; address++) this.free[this.entryOf(address)]!++;
    }
    // A range of 256 addresses or more reaches every slot, so there are 256 entries then.
    if (whole > 0) for (let entry = 0; entry < 256; entry++) this.free[entry]! += whole;
    return size;
  }

  entryOf(address: number): number {
    return ((address & 255) - this.#firstSlot) & 255;
  }

  slotOf(entry: number): number {
    return (this.#firstSlot + entry) & 255;
  }

  addUnused(address: number, count: 1 | -1): void {
    this.unused[this.entryOf(address)]! += count;
    this.unusedTotal += count;
    this.addFreed(address, count);
  }

  /** An address that was used before becomes free, or is taken. */
  addFreed(address: number, count: 1 | -1): void {
    this.free[this.entryOf(address)]! += count;
    this.freeTotal += count;
  }

  /** The address at this place in the pool, from 0 to `size` - 1. */
  addressAt(position: number): number {
    let low = 0;
    let high = this.ranges.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#before[middle]! <= position) low = middle;
      else high = middle - 1;
    }
    return this.ranges[low]!.first + position - this.#before[low]!;
  }

  /**
   * The entry's next address that `passBy` does not pass by; 0 when there is none. What is passed by is
   * never asked for again; the address returned is, until it is passed by.
   */
  neverUsed(entry: number, passBy: (address: number) => boolean): number {
    const slot = this.slotOf(entry);
    let address = this.#from(this.#cursor[entry]!, slot);
    while (address !== Infinity && passBy(address)) address = this.#from(address + 256, slot);
    this.#cursor[entry] = address;
    return address === Infinity ? 0 : address;
  }

  /** Whether `neverUsed` comes to this address no more. */
  hasPassed(address: number): boolean {
    return address < this.#cursor[this.entryOf(address)]!;
  }

  #from(from: number, slot: number): number {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ranges[middle]!.last < from) low = middle + 1;
      else high = middle;
    }
    for (let i = low; i < this.ranges.length; i++) {
      const range = this.ranges[i]!;
      const address = firstInSlot(Math.max(from, range.first), slot);
      if (address <= range.last) return address;
    }
    return Infinity;
  }
}
