/**
 * A journal in front of the lease store. A commit is one write at the end of a preallocated file, flushed
 * with it, where LMDB needs several scattered writes and two flushes; LMDB gets the changes later, many at
 * a time.
 *
 * Two files take turns, `journal-0` and `journal-1`. While one is written to, what the other holds goes into
 * LMDB (a checkpoint); once it is flushed there, with the number of that file's turn (its generation), the
 * file is free again. A file that is full before the other is free makes commits wait.
 *
 * Invariants
 * - A commit resolves only when its frame is flushed; frames are written one after the other, and pages that
 *   were flushed are never written again until their generation is in LMDB.
 * - Every change is in LMDB, or in a frame of a generation above the one that LMDB names. Replaying such a
 *   generation as a whole is harmless however much of it LMDB has.
 * - Reading sees exactly the commits that have resolved.
 *
 * What was flushed and cannot be read back is noticed, and stops the start: a frame that fails its check with
 * a good one of the same generation behind it, or a generation that the next one knows to have been longer.
 */
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { StoreError } from '../lease/store-error.ts';
import { mergedPage } from '../lease/merged-records.ts';
import { type MetaAt, mergedValues, SortedKeys } from '../lease/merged-values.ts';
import type { Disk, WriteBatch } from '../lease/store.ts';
import { CHECKPOINT_SLICE_CHANGES, JOURNAL_BYTES } from '../limits.ts';
import { apply, damaged, emptyOverlay, encode, holdsFrames, JOURNAL_NAMES, JournalFile } from './journal-file.ts';
import type { Encoded, Overlay } from './journal-file.ts';
import { tryLockFile } from './libc.ts';
import { type LmdbDisk, openLmdbDisk, syncFolder, toStoreError } from './lmdb-disk.ts';
import { GENERATION_KEY } from './lmdb-index.ts';
import { type SnapshotMark, Turns } from './snapshot-mark.ts';

/** LMDB's meta key with the start of the checksums. */
export const SEED_KEY = 'journal-seed';

/**
 * Opens the store in `dataDir`, making it where it is missing, and puts into LMDB what a crash left in the
 * journal. `journalBytes` is for tests. Throws StoreError `newer-format`, `corrupt`, `unavailable`, `full` or `io`.
 */
export function openJournaledDisk(dataDir: string, journalBytes: number = JOURNAL_BYTES): JournaledDisk {
  const lock = lockFolder(dataDir);
  let lmdb: LmdbDisk | undefined;
  const files: JournalFile[] = [];
  try {
    lmdb = openLmdbDisk(dataDir);
    const paths = JOURNAL_NAMES.map((name) => join(dataDir, name));
    const seed = journalSeed(lmdb, paths);
    for (const path of paths) files.push(new JournalFile(path, journalBytes, seed));
    syncFolder(dataDir);
    const last = Number(lmdb.readMeta(GENERATION_KEY)?.toString() ?? 0);
    const replayed = emptyOverlay();
    const generation = replay(files, last, replayed);
    if (generation > last) {
      replayed.meta.set(GENERATION_KEY, Buffer.from(String(generation)));
      lmdb.commitNow(replayed);
    }
    return new JournaledDisk(dataDir, lock, lmdb, { files, seed, generation: generation + 1 });
  } catch (error) {
    for (const file of files) file.close();
    void lmdb?.close();
    closeSync(lock);
    throw toStoreError(error, dataDir);
  }
}

/**
 * One process at a time: a second one would put the first one's journal into LMDB and mark as done what
 * the first still appends to. The kernel lets go of the lock with the process.
 */
function lockFolder(dataDir: string): number {
  let fd: number;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o750 });
    fd = openSync(join(dataDir, 'lock'), constants.O_RDWR | constants.O_CREAT, 0o640);
  } catch (error) {
    throw toStoreError(error, dataDir);
  }
  if (tryLockFile(fd)) return fd;
  closeSync(fd);
  throw new StoreError('unavailable', `Another process uses the lease store in ${dataDir}`,
    'Stop the other node, or give this one a dataDir of its own.');
}

/** Random, made with the store: so that no bytes of a client, at a page's start, can pass for a frame. */
function journalSeed(lmdb: LmdbDisk, paths: readonly string[]): number {
  const saved = lmdb.readMeta(SEED_KEY);
  if (saved !== undefined) return saved.readUInt32BE(0);
  // A journal that was written to belongs to another store, or this one is not the one it was.
  if (paths.some((path) => holdsFrames(path))) throw damaged();
  const made = randomBytes(4);
  lmdb.commitNow({ records: new Map(), meta: new Map([[SEED_KEY, made]]) });
  return made.readUInt32BE(0);
}

/** Puts what the generations above `last` hold together; returns the newest of them, or `last`. */
function replay(files: readonly JournalFile[], last: number, into: Overlay): number {
  const found = files.map((file) => file.readFrames(last)).filter((frames) => frames !== undefined);
  let before = { generation: last, length: 0 };
  for (const { generation, previous, batches } of found.toSorted((a, b) => a.generation - b.generation)) {
    if (generation <= last) continue;
    if (generation - 1 > last && previous > (before.generation === generation - 1 ? before.length : 0)) throw damaged();
    for (const changes of batches) apply(changes, into);
    before = { generation, length: batches.length };
  }
  return before.generation;
}

interface Journal {
  readonly files: readonly JournalFile[];
  readonly seed: number;
  /** The next one. */
  readonly generation: number;
}

export class JournaledDisk implements Disk {
  readonly #path: string;
  readonly #lock: number;
  readonly #lmdb: LmdbDisk;
  readonly #files: readonly JournalFile[];
  readonly #seed: number;
  /** Of the file that is written to. */
  #generation: number;
  #current = 0;
  /** Frames of it that `#overlay` shows, and of the generation before. */
  #frames = 0;
  #previousFrames = 0;
  readonly #turns = new Turns();
  /** What the current file holds, and what the other one does while its checkpoint is under way. */
  #overlay = emptyOverlay();
  #leaving: Overlay | undefined;
  /** Keys of the meta values in both, in order, for ranges of them. */
  #metaKeys = new SortedKeys();
  #leavingMetaKeys: SortedKeys | undefined;
  #checkpoint: Promise<void> | undefined;
  /** Commits are written in the order in which they were begun. */
  #queue: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  constructor(path: string, lock: number, lmdb: LmdbDisk, { files, seed, generation }: Journal) {
    this.#path = path;
    this.#lock = lock;
    this.#lmdb = lmdb;
    this.#files = files;
    this.#seed = seed;
    this.#generation = generation;
    files[0]!.begin(generation, 0);
  }

  /** Now, for a thread that reads the store as it is now (StoreSnapshot). */
  mark(): SnapshotMark {
    return {
      generation: this.#generation, file: this.#current, frames: this.#frames, previousFrames: this.#previousFrames,
      seed: this.#seed, turns: this.#turns.count, sharedTurns: this.#turns.shared,
    };
  }

  /** Resolves when the index of LMDB is complete, or the disk was closed before. */
  get indexed(): Promise<void> {
    return this.#lmdb.indexed;
  }

  read(address: number): Buffer | undefined {
    const found = this.#overlay.records.get(address);
    if (found !== undefined) return found ?? undefined;
    const leaving = this.#leaving?.records.get(address);
    return leaving === undefined ? this.#lmdb.read(address) : leaving ?? undefined;
  }

  readMeta(key: string): Buffer | undefined {
    const found = this.#overlay.meta.get(key);
    if (found !== undefined) return found ?? undefined;
    const leaving = this.#leaving?.meta.get(key);
    return leaving === undefined ? this.#lmdb.readMeta(key) : leaving ?? undefined;
  }

  scan(after: number, limit: number): { address: number; record: Buffer }[] {
    const changes = new Map(this.#leaving?.records);
    for (const [address, record] of this.#overlay.records) changes.set(address, record);
    return mergedPage((from, most) => this.#lmdb.scan(from, most), changes, after, limit);
  }

  metaRange(from: string, to: string, limit: number): MetaAt[] {
    const changes: [string, Buffer | null][] = [];
    for (const key of this.#metaKeys.within(from, to)) changes.push([key, this.#overlay.meta.get(key)!]);
    const newer = changes.length;
    for (const key of this.#leavingMetaKeys?.within(from, to) ?? []) {
      if (!this.#overlay.meta.has(key)) changes.push([key, this.#leaving!.meta.get(key)!]);
    }
    if (newer > 0 && changes.length > newer) changes.sort(([a], [b]) => (a < b ? -1 : 1));
    return mergedValues((start, end, most) => this.#lmdb.metaRange(start, end, most), changes, from, to, limit);
  }

  /**
   * Resolves when the batch is on the disk. Rejects with StoreError `full`, `io` or `closed`, having shown
   * nothing of it; the same batch may be committed again.
   */
  commit(batch: WriteBatch): Promise<void> {
    if (this.#closed) return Promise.reject(new StoreError('closed', `The lease store ${this.#path} is closed`, 'This is a bug; report it'));
    if (batch.records.size === 0 && batch.meta.size === 0) return Promise.resolve();
    let encoded: Encoded;
    try {
      encoded = encode(batch);
    } catch (error) {
      return Promise.reject(error);
    }
    const after = this.#queue;
    const done = this.#waiting++ === 0 ? this.#write(encoded) : after.then(() => this.#write(encoded), () => this.#write(encoded));
    this.#queue = done;
    const settled = (): void => {
      this.#waiting--;
    };
    done.then(settled, settled);
    return done;
  }

  async #write(encoded: Encoded): Promise<void> {
    try {
      let file = this.#files[this.#current]!;
      if (!file.hasRoomFor(encoded.frame.length)) {
        await this.#turnOver();
        file = this.#files[this.#current]!;
      }
      if (!file.hasRoomFor(encoded.frame.length)) {
        // Larger than a whole journal: into LMDB at once, when all that came before is there.
        await this.#turnOver();
        await this.#checkpoint;
        await this.#turns.pastJournal(() => this.#lmdb.commit({ position: 0, ...encoded.changes }));
        return;
      }
      await file.append(encoded.frame);
    } catch (error) {
      throw toStoreError(error, this.#path);
    }
    apply(encoded.changes, this.#overlay);
    for (const key of encoded.changes.meta.keys()) this.#metaKeys.add(key);
    this.#frames++;
  }

  /** Goes on in the other file as soon as that is free; what this one holds is on its way into LMDB then. */
  async #turnOver(): Promise<void> {
    // A checkpoint that failed, of a full disk say, is tried again, and the commit fails if it does.
    if (this.#leaving !== undefined) await (this.#checkpoint ?? this.#beginCheckpoint());
    this.#turns.turn();
    this.#leaving = this.#overlay;
    this.#overlay = emptyOverlay();
    this.#leavingMetaKeys = this.#metaKeys;
    this.#metaKeys = new SortedKeys();
    this.#generation++;
    this.#previousFrames = this.#frames;
    this.#frames = 0;
    this.#current = 1 - this.#current;
    this.#files[this.#current]!.begin(this.#generation, this.#previousFrames);
    this.#beginCheckpoint().catch(() => undefined);
  }

  #beginCheckpoint(): Promise<void> {
    this.#checkpoint = this.#runCheckpoint(this.#leaving!, this.#generation - 1).finally(() => {
      this.#checkpoint = undefined;
    });
    return this.#checkpoint;
  }

  /** In slices, so that the event loop is not held up; the last one says that all are there. */
  async #runCheckpoint(leaving: Overlay, generation: number): Promise<void> {
    let records = new Map<number, Buffer | null>();
    const none = new Map<string, Buffer | null>();
    // LMDB writes neighbours into one page.
    const addresses = Float64Array.from(leaving.records.keys()).sort();
    for (const address of addresses) {
      records.set(address, leaving.records.get(address)!);
      if (records.size < CHECKPOINT_SLICE_CHANGES) continue;
      await this.#lmdb.commit({ position: 0, records, meta: none });
      records = new Map();
    }
    let meta = new Map<string, Buffer | null>();
    for (const [key, value] of leaving.meta) {
      meta.set(key, value);
      if (records.size + meta.size < CHECKPOINT_SLICE_CHANGES) continue;
      await this.#lmdb.commit({ position: 0, records, meta });
      records = new Map();
      meta = new Map();
    }
    meta.set(GENERATION_KEY, Buffer.from(String(generation)));
    await this.#lmdb.commit({ position: 0, records, meta });
    this.#leaving = undefined;
    this.#leavingMetaKeys = undefined;
  }

  /** Waits for commits under way, puts everything into LMDB and closes. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue.catch(() => undefined);
    try {
      await this.#turnOver();
      await this.#checkpoint;
    } catch {
      // The journal has it: the next start puts it into LMDB.
    }
    for (const file of this.#files) file.close();
    await this.#lmdb.close();
    closeSync(this.#lock);
  }
}
