/**
 * The lease store as the state machines see it: reads answer from memory what was written and is not
 * yet on the disk, and from the disk's map everything else. Writing is two steps: `put` queues, and
 * the driver takes all that is queued, commits it in one flush, and says how far the disk has got.
 *
 * Invariant: a write is either in `queued`, in exactly one taken batch that is not yet flushed, or on
 * the disk; `read` sees it in all three places.
 */

import { changesWithin, mergedValues } from './merged-values.ts';
import type { MetaAt } from './merged-values.ts';

/** What one flush writes. `null` removes. */
export interface WriteBatch {
  /** Everything put up to this position is in this or an earlier batch. */
  readonly position: number;
  readonly records: ReadonlyMap<number, Buffer | null>;
  readonly meta: ReadonlyMap<string, Buffer | null>;
}

/** The part of a disk that is read in place; LMDB's map, or a simulated disk. */
export interface DiskReader {
  /** A private copy or an immutable view: it may be kept. Undefined where there is none. */
  read(address: number): Buffer | undefined;
  readMeta(key: string): Buffer | undefined;
  /** Records in order of address, those above `after` (-1: from the start), at most `limit`; fewer only at the end. */
  scan(after: number, limit: number): { address: number; record: Buffer }[];
  /** Meta values in order of key, from `from` on and below `to`, at most `limit`; fewer only at the end. Keys of ranges are ASCII. */
  metaRange(from: string, to: string, limit: number): MetaAt[];
}

export interface Disk extends DiskReader {
  /** Resolves when the batch is flushed: a power cut can no longer lose it. All of it or nothing. */
  commit(batch: WriteBatch): Promise<void>;
  close(): Promise<void>;
}

export class BindingStore {
  readonly #disk: DiskReader;
  #queuedRecords = new Map<number, Buffer | null>();
  #queuedMeta = new Map<string, Buffer | null>();
  readonly #taken: WriteBatch[] = [];
  #position = 0;
  #flushedPosition = 0;

  constructor(disk: DiskReader) {
    this.#disk = disk;
  }

  /** Grows with every put; a change is on the disk once `flushedPosition` has reached its position. */
  get position(): number {
    return this.#position;
  }

  get flushedPosition(): number {
    return this.#flushedPosition;
  }

  read(address: number): Buffer | undefined {
    let found = this.#queuedRecords.get(address);
    for (let i = this.#taken.length - 1; found === undefined && i >= 0; i--) {
      found = this.#taken[i]!.records.get(address);
    }
    if (found !== undefined) return found ?? undefined;
    return this.#disk.read(address);
  }

  readMeta(key: string): Buffer | undefined {
    let found = this.#queuedMeta.get(key);
    for (let i = this.#taken.length - 1; found === undefined && i >= 0; i--) {
      found = this.#taken[i]!.meta.get(key);
    }
    if (found !== undefined) return found ?? undefined;
    return this.#disk.readMeta(key);
  }

  /** As `DiskReader.metaRange`, with what is queued. */
  metaRange(from: string, to: string, limit: number): MetaAt[] {
    const changes = new Map<string, Buffer | null>();
    for (const batch of this.#taken) for (const [key, value] of changesWithin(batch.meta, from, to)) changes.set(key, value);
    for (const [key, value] of changesWithin(this.#queuedMeta, from, to)) changes.set(key, value);
    return mergedValues((start, end, most) => this.#disk.metaRange(start, end, most), changesWithin(changes, from, to), from, to, limit);
  }

  /** Whether anything waits to be taken. */
  get hasQueued(): boolean {
    return this.#queuedRecords.size > 0 || this.#queuedMeta.size > 0;
  }

  put(address: number, record: Buffer | null): number {
    this.#queuedRecords.set(address, record);
    return ++this.#position;
  }

  putMeta(key: string, value: Buffer | null): number {
    this.#queuedMeta.set(key, value);
    return ++this.#position;
  }

  /** All that is queued, to be committed in one flush; undefined when there is nothing. */
  takeWrites(): WriteBatch | undefined {
    if (this.#queuedRecords.size === 0 && this.#queuedMeta.size === 0) return undefined;
    const batch = { position: this.#position, records: this.#queuedRecords, meta: this.#queuedMeta };
    this.#queuedRecords = new Map();
    this.#queuedMeta = new Map();
    this.#taken.push(batch);
    return batch;
  }

  /** The disk has flushed every batch up to `position`. */
  flushed(position: number): void {
    while (this.#taken.length > 0 && this.#taken[0]!.position <= position) this.#taken.shift();
    this.#flushedPosition = Math.max(this.#flushedPosition, position);
  }

  /** As `DiskReader.scan`; what is queued but not yet flushed is not in it. */
  scanDisk(after: number, limit: number): { address: number; record: Buffer }[] {
    return this.#disk.scan(after, limit);
  }

  /** Addresses whose newest record is not on the disk yet, with that record. */
  *unflushed(): IterableIterator<[number, Buffer | null]> {
    const merged = new Map<number, Buffer | null>();
    for (const batch of this.#taken) for (const [address, record] of batch.records) merged.set(address, record);
    for (const [address, record] of this.#queuedRecords) merged.set(address, record);
    yield* merged;
  }
}
