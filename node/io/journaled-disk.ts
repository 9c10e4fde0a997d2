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
 * Frame, big-endian, at a multiple of 4096: 0 u32 magic, 4 u32 bytes of the payload, 8 u48 generation,
 * 14 u48 number within the generation, 20 u32 frames of the generation before, 24 u32 CRC-32 of bytes 4 to 24
 * and the payload, 28 payload: the changes, each u8 kind (bit 0 meta, bit 1 removal), u16 key length, u32 value length, key, value. A
 * record's key is its address, u32.
 *
 * What was flushed and cannot be read back is noticed, and stops the start: a frame that fails its check with
 * a good one of the same generation behind it, or a generation that the next one knows to have been longer.
 */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, write, writeSync, constants } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { CORRUPT_ACTION, StoreError } from '../lease/store-error.ts';
import type { Disk, WriteBatch } from '../lease/store.ts';
import { CHECKPOINT_SLICE_CHANGES, JOURNAL_BYTES, META_KEY_BYTES_MAX } from '../limits.ts';
import { type LmdbDisk, openLmdbDisk, syncFolder, toStoreError } from './lmdb-disk.ts';

const PAGE_BYTES = 4096;
const HEADER_BYTES = 28;
const CHECKSUM_AT = 24;
const CHANGE_BYTES = 7;
const MAGIC = 0x4c53_4a31;
const KIND_META = 1;
const KIND_REMOVAL = 2;
/** LMDB's meta key with the last generation that it has all of. */
const GENERATION_KEY = 'journal-generation';

type Changes = Pick<WriteBatch, 'records' | 'meta'>;

/** What LMDB does not have yet, by key; its own to change. */
interface Overlay {
  readonly records: Map<number, Buffer | null>;
  readonly meta: Map<string, Buffer | null>;
}

function emptyOverlay(): Overlay {
  return { records: new Map(), meta: new Map() };
}

function apply(changes: Changes, to: Overlay): void {
  for (const [address, record] of changes.records) to.records.set(address, record);
  for (const [key, value] of changes.meta) to.meta.set(key, value);
}

/**
 * Opens the store in `dataDir`, making it where it is missing, and puts into LMDB what a crash left in the
 * journal. `journalBytes` is for tests. Throws StoreError `newer-format`, `corrupt`, `unavailable`, `full` or `io`.
 */
export function openJournaledDisk(dataDir: string, journalBytes: number = JOURNAL_BYTES): JournaledDisk {
  const lmdb = openLmdbDisk(dataDir);
  const files: JournalFile[] = [];
  try {
    for (const name of ['journal-0', 'journal-1']) files.push(new JournalFile(join(dataDir, name), journalBytes));
    syncFolder(dataDir);
    const last = Number(lmdb.readMeta(GENERATION_KEY)?.toString() ?? 0);
    const replayed = emptyOverlay();
    const generation = replay(files, last, replayed);
    if (generation > last) {
      replayed.meta.set(GENERATION_KEY, Buffer.from(String(generation)));
      lmdb.commitNow(replayed);
    }
    return new JournaledDisk(dataDir, lmdb, files, generation + 1);
  } catch (error) {
    for (const file of files) file.close();
    void lmdb.close();
    throw toStoreError(error, dataDir);
  }
}

/** Puts what the generations above `last` hold together; returns the newest of them, or `last`. */
function replay(files: readonly JournalFile[], last: number, into: Overlay): number {
  const found = files.map((file) => file.readFrames()).filter((frames) => frames !== undefined);
  let before = { generation: last, length: 0 };
  for (const { generation, previous, batches } of found.toSorted((a, b) => a.generation - b.generation)) {
    if (generation <= last) continue;
    if (generation - 1 > last && previous > (before.generation === generation - 1 ? before.length : 0)) throw damaged();
    for (const changes of batches) apply(changes, into);
    before = { generation, length: batches.length };
  }
  return before.generation;
}

function damaged(): StoreError {
  return new StoreError('corrupt', 'The journal of the lease store is damaged: changes that it held cannot be read', CORRUPT_ACTION);
}

export class JournaledDisk implements Disk {
  readonly #path: string;
  readonly #lmdb: LmdbDisk;
  readonly #files: readonly JournalFile[];
  /** Of the file that is written to. */
  #generation: number;
  #current = 0;
  /** What the current file holds, and what the other one does while its checkpoint is under way. */
  #overlay = emptyOverlay();
  #leaving: Overlay | undefined;
  #checkpoint: Promise<void> | undefined;
  /** Commits are written in the order in which they were begun. */
  #queue: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  constructor(path: string, lmdb: LmdbDisk, files: readonly JournalFile[], generation: number) {
    this.#path = path;
    this.#lmdb = lmdb;
    this.#files = files;
    this.#generation = generation;
    files[0]!.begin(generation, 0);
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
    if (limit <= 0) return [];
    let from = after;
    for (;;) {
      const page = this.#lmdb.scan(from, limit);
      const end = page.length < limit ? Infinity : page.at(-1)!.address;
      const laid = this.#laidOver(from, end);
      if (laid.size === 0) return page;
      const merged = new Map(page.map(({ address, record }) => [address, record]));
      for (const [address, record] of laid) {
        if (record === null) merged.delete(address);
        else merged.set(address, record);
      }
      // All of this page may have been removed, and more lie behind it.
      if (merged.size > 0 || end === Infinity) {
        return [...merged].map(([address, record]) => ({ address, record })).sort((a, b) => a.address - b.address).slice(0, limit);
      }
      from = end;
    }
  }

  /** What is not in LMDB of the addresses in (after, end]. */
  #laidOver(after: number, end: number): Map<number, Buffer | null> {
    const laid = new Map<number, Buffer | null>();
    for (const overlay of [this.#leaving, this.#overlay]) {
      if (overlay === undefined) continue;
      for (const [address, record] of overlay.records) if (address > after && address <= end) laid.set(address, record);
    }
    return laid;
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
        await this.#lmdb.commit({ position: 0, ...encoded.changes });
        return;
      }
      await file.append(encoded.frame);
    } catch (error) {
      throw toStoreError(error, this.#path);
    }
    apply(encoded.changes, this.#overlay);
  }

  /** Goes on in the other file as soon as that is free; what this one holds is on its way into LMDB then. */
  async #turnOver(): Promise<void> {
    // A checkpoint that failed, of a full disk say, is tried again, and the commit fails if it does.
    if (this.#leaving !== undefined) await (this.#checkpoint ?? this.#beginCheckpoint());
    this.#leaving = this.#overlay;
    this.#overlay = emptyOverlay();
    this.#generation++;
    const { frames } = this.#files[this.#current]!;
    this.#current = 1 - this.#current;
    this.#files[this.#current]!.begin(this.#generation, frames);
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
    const meta = new Map(leaving.meta).set(GENERATION_KEY, Buffer.from(String(generation)));
    await this.#lmdb.commit({ position: 0, records, meta });
    this.#leaving = undefined;
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
  }
}

interface Encoded {
  readonly frame: Buffer;
  /** The batch with values that lie in the frame: what the caller does with its buffers no longer matters. */
  readonly changes: Overlay;
}

/** A frame without generation and number. Throws RangeError for a meta key that LMDB would not take. */
function encode({ records, meta }: Changes): Encoded {
  let bytes = HEADER_BYTES;
  const keys = new Map<string, Buffer>();
  for (const record of records.values()) bytes += CHANGE_BYTES + 4 + (record?.length ?? 0);
  for (const [key, value] of meta) {
    const keyBytes = Buffer.from(key);
    if (keyBytes.length === 0 || keyBytes.length > META_KEY_BYTES_MAX) throw new RangeError(`bad meta key of ${key.length} characters`);
    keys.set(key, keyBytes);
    bytes += CHANGE_BYTES + keyBytes.length + (value?.length ?? 0);
  }
  const frame = Buffer.allocUnsafeSlow(Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES);
  frame.fill(0, bytes);
  frame.writeUInt32BE(MAGIC, 0);
  frame.writeUInt32BE(bytes - HEADER_BYTES, 4);
  const changes = emptyOverlay();
  let at = HEADER_BYTES;
  const writeChange = (kind: number, keyBytes: number, value: Buffer | null): void => {
    frame[at] = value === null ? kind | KIND_REMOVAL : kind;
    frame.writeUInt16BE(keyBytes, at + 1);
    frame.writeUInt32BE(value?.length ?? 0, at + 3);
    at += CHANGE_BYTES;
  };
  const writeValue = (value: Buffer | null): Buffer | null => {
    if (value === null) return null;
    const from = at;
    at += value.copy(frame, at);
    return frame.subarray(from, at);
  };
  for (const [address, record] of records) {
    writeChange(0, 4, record);
    at = frame.writeUInt32BE(address, at);
    changes.records.set(address, writeValue(record));
  }
  for (const [key, value] of meta) {
    const keyBytes = keys.get(key)!;
    writeChange(KIND_META, keyBytes.length, value);
    at += keyBytes.copy(frame, at);
    changes.meta.set(key, writeValue(value));
  }
  return { frame, changes };
}

/** The changes of a frame's payload; undefined where it is none (its checksum says that it was written so). */
function decode(payload: Buffer): Overlay | undefined {
  const changes = emptyOverlay();
  let at = 0;
  while (at < payload.length) {
    if (at + CHANGE_BYTES > payload.length) return undefined;
    const kind = payload[at]!;
    const keyEnd = at + CHANGE_BYTES + payload.readUInt16BE(at + 1);
    const end = keyEnd + payload.readUInt32BE(at + 3);
    if (end > payload.length) return undefined;
    const key = payload.subarray(at + CHANGE_BYTES, keyEnd);
    const value = (kind & KIND_REMOVAL) === 0 ? payload.subarray(keyEnd, end) : null;
    if ((kind & KIND_META) !== 0) changes.meta.set(key.toString(), value);
    else changes.records.set(key.readUInt32BE(0), value);
    at = end;
  }
  return changes;
}

interface Frames {
  readonly generation: number;
  /** How many the generation before had. */
  readonly previous: number;
  readonly batches: readonly Overlay[];
}

/** One preallocated file of frames. */
class JournalFile {
  readonly #fd: number;
  readonly #bytes: number;
  #at = 0;
  #number = 0;
  #generation = 0;
  #previous = 0;

  /** Makes the file, or keeps what it holds. Throws the system's error. */
  constructor(path: string, bytes: number) {
    // Each write returns when its data is on the disk.
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC, 0o640);
    try {
      const { size } = fstatSync(this.#fd);
      // Written out once, so that no later write changes the file's size or its blocks, only its data.
      if (size < bytes) {
        const zeros = Buffer.alloc(bytes - size);
        for (let at = 0; at < zeros.length;) at += writeSync(this.#fd, zeros, at, zeros.length - at, size + at);
        fsyncSync(this.#fd);
      }
      this.#bytes = Math.max(size, bytes);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** From here on what it holds counts for nothing: the caller has it in LMDB. */
  begin(generation: number, previous: number): void {
    this.#generation = generation;
    this.#previous = previous;
    this.#number = 0;
    this.#at = 0;
  }

  /** Written in this generation. */
  get frames(): number {
    return this.#number;
  }

  hasRoomFor(bytes: number): boolean {
    return this.#at + bytes <= this.#bytes;
  }

  /** Resolves when the frame is flushed. After a failure the next frame takes its place. */
  append(frame: Buffer): Promise<void> {
    frame.writeUIntBE(this.#generation, 8, 6);
    frame.writeUIntBE(this.#number, 14, 6);
    frame.writeUInt32BE(this.#previous, 20);
    frame.writeUInt32BE(checksum(frame, frame.readUInt32BE(4)), CHECKSUM_AT);
    return new Promise((resolve, reject) => {
      const writeFrom = (from: number): void => {
        write(this.#fd, frame, from, frame.length - from, this.#at + from, (error, written) => {
          if (error !== null) {
            reject(error);
          } else if (from + written < frame.length) {
            writeFrom(from + written);
          } else {
            this.#at += frame.length;
            this.#number++;
            resolve();
          }
        });
      };
      writeFrom(0);
    });
  }

  /** The frames from the start of the file up to the first that is none, or was written in an earlier turn. */
  readFrames(): Frames | undefined {
    const bytes = Buffer.alloc(this.#bytes);
    for (let at = 0; at < bytes.length;) {
      const read = readSync(this.#fd, bytes, at, bytes.length - at, at);
      if (read === 0) break;
      at += read;
    }
    const first = frameAt(bytes, 0);
    if (first?.number !== 0) return undefined;
    const { generation, previous } = first;
    const batches: Overlay[] = [];
    let at = 0;
    for (let frame: Frame | undefined = first; frame !== undefined;) {
      batches.push(frame.changes);
      at += frame.bytes;
      frame = frameAt(bytes, at);
      if (frame?.generation !== generation || frame.number !== batches.length) frame = undefined;
    }
    for (; at + HEADER_BYTES <= bytes.length; at += PAGE_BYTES) {
      const later = frameAt(bytes, at);
      if (later?.generation === generation && later.number > batches.length) throw damaged();
    }
    return { generation, previous, batches };
  }
}

interface Frame {
  readonly generation: number;
  readonly number: number;
  readonly previous: number;
  readonly changes: Overlay;
  /** In the file, to the next frame. */
  readonly bytes: number;
}

function frameAt(bytes: Buffer, at: number): Frame | undefined {
  if (at + HEADER_BYTES > bytes.length) return undefined;
  const frame = bytes.subarray(at);
  const end = HEADER_BYTES + frame.readUInt32BE(4);
  if (frame.readUInt32BE(0) !== MAGIC || end > frame.length) return undefined;
  if (frame.readUInt32BE(CHECKSUM_AT) !== checksum(frame, end - HEADER_BYTES)) return undefined;
  const changes = decode(frame.subarray(HEADER_BYTES, end));
  if (changes === undefined) return undefined;
  return {
    generation: frame.readUIntBE(8, 6), number: frame.readUIntBE(14, 6), previous: frame.readUInt32BE(20), changes,
    bytes: Math.ceil(end / PAGE_BYTES) * PAGE_BYTES,
  };
}

function checksum(frame: Buffer, payloadBytes: number): number {
  return crc32(frame.subarray(HEADER_BYTES, HEADER_BYTES + payloadBytes), crc32(frame.subarray(4, CHECKSUM_AT)));
}
