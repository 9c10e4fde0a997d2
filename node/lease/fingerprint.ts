/**
 * From a client key to numbers, and an index over them in typed arrays. A fingerprint only narrows the
 * search: whoever finds an entry compares the client's key byte by byte before trusting it.
 */

/**
 * 32 bits of a key, never 0. `seed` keeps a client from choosing keys that collide; equal seeds give
 * equal fingerprints.
 */
export function fingerprint(key: Uint8Array, seed: number): number {
  let h = seed | 0;
  for (let i = 0; i < key.length; i++) {
    h = Math.imul(h ^ key[i]!, 0x5bd1_e995);
    h ^= h >>> 15;
  }
  h = Math.imul(h ^ key.length, 0x85eb_ca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2_ae35);
  h ^= h >>> 16;
  return h >>> 0 || 1;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const SMALLEST = 1024;

/**
 * A multimap from fingerprint to value (both 32 bits, a value is never 0): linear probing, and removal
 * that moves later entries back, so that no tombstones pile up. 8 bytes an entry at 0.7 load at most.
 */
export class FingerprintIndex {
  #prints = new Uint32Array(SMALLEST);
  #values = new Uint32Array(SMALLEST);
  #mask = SMALLEST - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  clear(): void {
    this.#prints = new Uint32Array(SMALLEST);
    this.#values = new Uint32Array(SMALLEST);
    this.#mask = SMALLEST - 1;
    this.#size = 0;
  }

  /** The pair must not be in the index already. */
  add(print: number, value: number): void {
    if ((this.#size + 1) * 10 > (this.#mask + 1) * 7) this.#grow();
    this.#insert(print, value);
    this.#size++;
  }

  delete(print: number, value: number): boolean {
    let at = print & this.#mask;
    while (this.#values[at] !== 0) {
      if (this.#values[at] === value && this.#prints[at] === print) {
        this.#close(at);
        this.#size--;
        return true;
      }
      at = (at + 1) & this.#mask;
    }
    return false;
  }

  /**
   * The position of the first entry with this fingerprint, or the next after `position`; -1 when there
   * is none. Positions hold until the index is changed.
   */
  find(print: number, position = -1): number {
    let at = position < 0 ? print & this.#mask : (position + 1) & this.#mask;
    while (this.#values[at] !== 0) {
      if (this.#prints[at] === print) return at;
      at = (at + 1) & this.#mask;
    }
    return -1;
  }

  valueAt(position: number): number {
    return this.#values[position]!;
  }

  #insert(print: number, value: number): void {
    let at = print & this.#mask;
    while (this.#values[at] !== 0) at = (at + 1) & this.#mask;
    this.#prints[at] = print;
    this.#values[at] = value;
  }

  /** Fills the hole at `hole` with what a probe could otherwise no longer reach. */
  #close(hole: number): void {
    let at = hole;
    for (;;) {
      at = (at + 1) & this.#mask;
      if (this.#values[at] === 0) break;
      const home = this.#prints[at]! & this.#mask;
      if (((at - home) & this.#mask) >= ((at - hole) & this.#mask)) {
        this.#prints[hole] = this.#prints[at]!;
        this.#values[hole] = this.#values[at]!;
        hole = at;
      }
    }
    this.#values[hole] = 0;
    this.#prints[hole] = 0;
  }

  #grow(): void {
    const prints = this.#prints;
    const values = this.#values;
    const length = prints.length * 2;
    this.#prints = new Uint32Array(length);
    this.#values = new Uint32Array(length);
    this.#mask = length - 1;
    for (let i = 0; i < values.length; i++) if (values[i] !== 0) this.#insert(prints[i]!, values[i]!);
  }
}
