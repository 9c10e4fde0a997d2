/**
 * How far each node's log is stored here: by incarnation, the last number and a checksum over all
 * records up to it. A log has no holes, so one number says everything. Cursors are written in the
 * same flush as the records that they stand for.
 */
import { crc32 } from 'node:zlib';
import type { BindingStore } from '../../node/lease/store.ts';
import type { Cursor } from '../../proto/gen/replication.ts';

const META_KEY = 'cursors';
/** Logs of incarnations long gone are forgotten, oldest first; forgetting costs a longer fetch. */
const CURSORS_MAX = 64;

interface Position {
  seq: number;
  checksum: number;
}

/** Both numbers have 48 bits, on the disk and in each record. */
const NUMBER_MAX = 2 ** 48 - 1;

export function isIncarnation(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value <= NUMBER_MAX;
}

/** Of a peer's word; what is none cannot be stored. */
export function isCursor({ incarnation, seq }: Cursor): boolean {
  return isIncarnation(incarnation) && Number.isInteger(seq) && seq >= 0 && seq <= NUMBER_MAX;
}

export function chainChecksum(previous: number, record: Uint8Array): number {
  return crc32(record, previous);
}

export class Cursors {
  readonly #store: BindingStore;
  #positions = new Map<number, Position>();
  #dirty = false;

  constructor(store: BindingStore) {
    this.#store = store;
    const saved = store.readMeta(META_KEY);
    if (saved === undefined) return;
    for (let at = 0; at + 16 <= saved.length; at += 16) {
      this.#positions.set(saved.readUIntBE(at, 6), { seq: saved.readUIntBE(at + 6, 6), checksum: saved.readUInt32BE(at + 12) });
    }
  }

  seq(incarnation: number): number {
    return this.#positions.get(incarnation)?.seq ?? 0;
  }

  checksum(incarnation: number): number {
    return this.#positions.get(incarnation)?.checksum ?? 0;
  }

  set(incarnation: number, seq: number, checksum: number): void {
    const position = this.#positions.get(incarnation);
    if (position === undefined) this.#positions.set(incarnation, { seq, checksum });
    else {
      position.seq = seq;
      position.checksum = checksum;
    }
    this.#dirty = true;
  }

  /** The store's position that must be flushed before all that is stored so far counts: cursors are queued just before. */
  get safePosition(): number {
    return this.#store.position + (this.#dirty ? 1 : 0);
  }

  /** What a learner stands on after a fetch. */
  replaceAll(cursors: readonly Cursor[]): void {
    this.#positions = new Map(cursors.map((cursor) => [cursor.incarnation, { seq: cursor.seq, checksum: cursor.checksum }]));
    this.#dirty = true;
  }

  list(): Cursor[] {
    return [...this.#positions].map(([incarnation, position]) => ({ incarnation, ...position }));
  }

  /** Before the driver takes the writes: what moved goes into the same flush as its records. */
  save(keep: (incarnation: number) => boolean): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    for (const incarnation of this.#positions.keys()) {
      if (this.#positions.size <= CURSORS_MAX) break;
      if (!keep(incarnation)) this.#positions.delete(incarnation);
    }
    const bytes = Buffer.alloc(this.#positions.size * 16);
    let at = 0;
    for (const [incarnation, position] of this.#positions) {
      bytes.writeUIntBE(incarnation, at, 6);
      bytes.writeUIntBE(position.seq, at + 6, 6);
      bytes.writeUInt32BE(position.checksum, at + 12);
      at += 16;
    }
    this.#store.putMeta(META_KEY, bytes);
  }
}
