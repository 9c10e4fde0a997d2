/**
 * The store as it was at a mark, read by another thread than the one that writes it, which goes on meanwhile.
 *
 * A snapshot is a read transaction of LMDB, held until the snapshot is closed, with what the journal held at the
 * mark laid over it. Let g be the mark's generation, n its frames then. Every change up to the mark is in LMDB, or
 * in the file of g - 1, or among the first n frames of g; and:
 *
 * 1. The transaction is begun first. Had the journal turned over to g + 1 before, LMDB might have been given
 *    changes of g from after the mark: so the turns, which count on before that, are looked at next, and a mark
 *    with a turn behind it is too old. What the transaction sees then is all of g - 2, some of g - 1 or all, and
 *    nothing of g. A batch that went past the journal makes marks from before its end too old in the same way.
 * 2. Where LMDB does not say that it has g - 1, its checkpoint is or was under way: all of g - 1 is read from its
 *    file and laid over, which does no harm for the part that LMDB has. The file is written over only after a turn
 *    to g + 1: so the turns are looked at again after the reading.
 * 3. The first n frames of g are laid over that. They were flushed before the mark and stay as they are until a
 *    turn to g + 2: the turns are looked at once more.
 *
 * So each key has its last change of g's first n frames, else of g - 1, else of the generations before.
 *
 * Records and values that are read may be kept.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { RootDatabase, Transaction } from 'lmdb';
import { hasIdentifier, type IdentifierKind, INDEX_KEY_BYTES, indexKeyAddress, writeIndexKey } from '../lease/identifiers.ts';
import { mergedSortedPage, type RecordAt } from '../lease/merged-records.ts';
import type { MetaAt } from '../lease/merged-values.ts';
import type { DiskReader } from '../lease/store.ts';
import { SNAPSHOT_PAGE_ENTRIES } from '../limits.ts';
import { damaged, emptyOverlay, JOURNAL_NAMES, type Overlay, readFlushedFrames } from './journal-file.ts';
import { openLmdbForReading } from './lmdb-disk.ts';
import { ADDRESS_MAX, type Databases, GENERATION_KEY, indexIsComplete } from './lmdb-index.ts';
import { type SnapshotMark, turnsSince } from './snapshot-mark.ts';

export type { SnapshotMark } from './snapshot-mark.ts';

interface Environment {
  readonly root: RootDatabase<unknown, string>;
  readonly databases: Databases;
}

/** Of this thread, by data folder: opening one costs more than a snapshot. */
const environments = new Map<string, Environment>();

function environmentOf(dataDir: string): Environment {
  let environment = environments.get(dataDir);
  if (environment === undefined) environments.set(dataDir, environment = openLmdbForReading(dataDir));
  return environment;
}

/** Before the thread ends, when its snapshots are closed. */
export async function closeStoreSnapshots(): Promise<void> {
  const open = [...environments.values()];
  environments.clear();
  for (const { root } of open) await root.close();
}

/** One of its own: lmdb-js shares its current one between all reads of a turn of the event loop, and renews it. */
function beginTransaction(root: RootDatabase<unknown, string>): Transaction {
  root.resetReadTxn();
  const transaction = root.useReadTransaction();
  root.resetReadTxn();
  return transaction;
}

/** What the journal held at the mark and LMDB's transaction may lack; undefined where the mark is too old. */
function journalAt(dataDir: string, mark: SnapshotMark, lmdbGeneration: number): Overlay | undefined {
  const { generation, file, seed } = mark;
  const overlay = emptyOverlay();
  const path = (which: number): string => join(dataDir, JOURNAL_NAMES[which]!);
  if (turnsSince(mark) !== 0) return undefined;
  if (lmdbGeneration < generation - 1) {
    const whole = readFlushedFrames(path(1 - file), seed, generation - 1, mark.previousFrames, overlay);
    if (turnsSince(mark) !== 0) return undefined;
    if (!whole) throw damaged();
  }
  const whole = readFlushedFrames(path(file), seed, generation, mark.frames, overlay);
  const turns = turnsSince(mark);
  if (turns === undefined || turns > 1) return undefined;
  if (!whole) throw damaged();
  return overlay;
}

export class StoreSnapshot implements DiskReader {
  readonly #databases: Databases;
  readonly #transaction: Transaction;
  readonly #overlay: Overlay;
  /** The overlay's records in order of address. */
  readonly #changes: readonly (readonly [number, Buffer | null])[];
  /** Whether `find` goes by the index; otherwise it looks at every record. */
  readonly indexed: boolean;
  #closed = false;

  /**
   * The store in `dataDir`, which another thread of this process has open, as it was at the mark; undefined where
   * the journal went on too far since: ask for another mark. Throws StoreError.
   */
  static open(dataDir: string, mark: SnapshotMark): StoreSnapshot | undefined {
    const { root, databases } = environmentOf(dataDir);
    const transaction = beginTransaction(root);
    let snapshot: StoreSnapshot | undefined;
    try {
      const generation = Number(databases.meta.get(GENERATION_KEY, { transaction })?.toString() ?? 0);
      const overlay = journalAt(dataDir, mark, generation);
      if (overlay !== undefined) snapshot = new StoreSnapshot(databases, transaction, overlay);
      return snapshot;
    } finally {
      if (snapshot === undefined) transaction.done();
    }
  }

  private constructor(databases: Databases, transaction: Transaction, overlay: Overlay) {
    this.#databases = databases;
    this.#transaction = transaction;
    this.#overlay = overlay;
    this.#changes = [...overlay.records].sort(([a], [b]) => a - b);
    this.indexed = indexIsComplete((key) => databases.meta.get(key, { transaction }));
  }

  /** Lets LMDB use its pages again; nothing may be read after that. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transaction.done();
  }

  read(address: number): Buffer | undefined {
    const found = this.#overlay.records.get(address);
    return found === undefined ? this.#databases.records.get(address, this.#reading()) : found ?? undefined;
  }

  readMeta(key: string): Buffer | undefined {
    const found = this.#overlay.meta.get(key);
    return found === undefined ? this.#databases.meta.get(key, this.#reading()) : found ?? undefined;
  }

  scan(after: number, limit: number): RecordAt[] {
    return mergedSortedPage((from, most) => this.#scanLmdb(from, most), this.#changes, this.#firstChangeAbove(after), after, limit);
  }

  /** Bindings with this identifier, as `identifierOf` gives it, in order of address. */
  *find(kind: IdentifierKind, identifier: Buffer): IterableIterator<RecordAt> {
    if (!this.indexed) {
      for (const found of this.#everyRecord()) if (hasIdentifier(kind, found.record, identifier)) yield found;
      return;
    }
    const ahead = this.#changes.filter((change): change is readonly [number, Buffer] =>
      change[1] !== null && hasIdentifier(kind, change[1], identifier));
    let next = 0;
    for (const address of this.#indexedAddresses(kind, identifier)) {
      if (this.#overlay.records.has(address)) continue;
      for (; next < ahead.length && ahead[next]![0] < address; next++) yield { address: ahead[next]![0], record: ahead[next]![1] };
      const record = this.#databases.records.get(address, this.#reading());
      if (record !== undefined && hasIdentifier(kind, record, identifier)) yield { address, record };
    }
    for (; next < ahead.length; next++) yield { address: ahead[next]![0], record: ahead[next]![1] };
  }

  /** Keys from `fromKey` on and below `toKey` with their values, in order of the keys' UTF-8 bytes. `entries` are read at once. */
  *scanMeta(fromKey: string, toKey: string, entries: number = SNAPSHOT_PAGE_ENTRIES): IterableIterator<[string, Buffer]> {
    const ahead = [...this.#overlay.meta]
      .filter(([key]) => compareKeys(key, fromKey) >= 0 && compareKeys(key, toKey) < 0)
      .sort(([a], [b]) => compareKeys(a, b));
    let next = 0;
    for (const [key, value] of this.#lmdbMeta(fromKey, toKey, entries)) {
      for (; next < ahead.length && compareKeys(ahead[next]![0], key) < 0; next++) yield* present(ahead[next]!);
      if (!this.#overlay.meta.has(key)) yield [key, value];
    }
    for (; next < ahead.length; next++) yield* present(ahead[next]!);
  }

  metaRange(from: string, to: string, limit: number): MetaAt[] {
    const page: MetaAt[] = [];
    if (limit <= 0) return page;
    for (const [key, value] of this.scanMeta(from, to)) {
      page.push({ key, value });
      if (page.length >= limit) break;
    }
    return page;
  }

  // Pages, so that no cursor of LMDB is open while whoever iterates does something else, or stops.

  #scanLmdb(after: number, limit: number): RecordAt[] {
    const page: RecordAt[] = [];
    if (after >= ADDRESS_MAX) return page;
    for (const { key, value } of this.#databases.records.getRange({ ...this.#reading(), start: after + 1, limit })) {
      page.push({ address: key, record: value });
    }
    return page;
  }

  *#everyRecord(): IterableIterator<RecordAt> {
    for (let after = -1; ;) {
      const page = this.scan(after, SNAPSHOT_PAGE_ENTRIES);
      yield* page;
      if (page.length < SNAPSHOT_PAGE_ENTRIES) return;
      after = page.at(-1)!.address;
    }
  }

  *#indexedAddresses(kind: IdentifierKind, identifier: Buffer): IterableIterator<number> {
    const start = Buffer.alloc(INDEX_KEY_BYTES);
    const end = Buffer.alloc(INDEX_KEY_BYTES);
    writeIndexKey(end, kind, identifier, ADDRESS_MAX);
    for (let after = -1; after < ADDRESS_MAX;) {
      writeIndexKey(start, kind, identifier, after + 1);
      const range = { ...this.#reading(), start, end, inclusiveEnd: true, limit: SNAPSHOT_PAGE_ENTRIES };
      const page = [...this.#databases.index.getKeys(range)].map(indexKeyAddress);
      yield* page;
      if (page.length < SNAPSHOT_PAGE_ENTRIES) return;
      after = page.at(-1)!;
    }
  }

  *#lmdbMeta(fromKey: string, toKey: string, limit: number): IterableIterator<[string, Buffer]> {
    let start = fromKey;
    for (let exclusiveStart = false; ; exclusiveStart = true) {
      const range = { ...this.#reading(), start, exclusiveStart, end: toKey, limit };
      const page = [...this.#databases.meta.getRange(range)];
      for (const { key, value } of page) yield [key, value];
      if (page.length < limit) return;
      start = page.at(-1)!.key;
    }
  }

  #reading(): { transaction: Transaction } {
    assert(!this.#closed, 'the snapshot is closed');
    return { transaction: this.#transaction };
  }

  #firstChangeAbove(after: number): number {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#changes[middle]![0] > after) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function compareKeys(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

function* present([key, value]: [string, Buffer | null]): IterableIterator<[string, Buffer]> {
  if (value !== null) yield [key, value];
}
