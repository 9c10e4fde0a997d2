/**
 * One file of the journal: frames, each a commit, one after the other.
 *
 * Frame, big-endian, at a multiple of 4096: 0 u32 magic, 4 u32 bytes of the payload, 8 u48 generation,
 * 14 u48 number within the generation, 20 u32 frames of the generation before, 24 u32 CRC-32 of bytes 4 to 24
 * and the payload, from the store's own random start, 28 payload: the changes, each u8 kind (bit 0 meta,
 * bit 1 removal), u16 key length, u32 value length, key, value. A record's key is its address, u32.
 */
import {
  closeSync, constants, existsSync, fstatSync, fsyncSync, openSync, readFileSync, readSync, statSync, write, writeSync,
} from 'node:fs';
import { crc32 } from 'node:zlib';
import { CORRUPT_ACTION, StoreError } from '../lease/store-error.ts';
import type { WriteBatch } from '../lease/store.ts';
import { META_KEY_BYTES_MAX } from '../limits.ts';

const PAGE_BYTES = 4096;
const HEADER_BYTES = 28;
const CHECKSUM_AT = 24;
const CHANGE_BYTES = 7;
const MAGIC = 0x4c53_4a31;
const KIND_META = 1;
const KIND_REMOVAL = 2;

/** In the data folder; they take turns. */
export const JOURNAL_NAMES = ['journal-0', 'journal-1'];

export type Changes = Pick<WriteBatch, 'records' | 'meta'>;

/** What LMDB does not have yet, by key; its own to change. */
export interface Overlay {
  readonly records: Map<number, Buffer | null>;
  readonly meta: Map<string, Buffer | null>;
}

export function emptyOverlay(): Overlay {
  return { records: new Map(), meta: new Map() };
}

export function apply(changes: Changes, to: Overlay): void {
  for (const [address, record] of changes.records) to.records.set(address, record);
  for (const [key, value] of changes.meta) to.meta.set(key, value);
}

export function damaged(): StoreError {
  return new StoreError('corrupt', 'The journal of the lease store is damaged: changes that it held cannot be read', CORRUPT_ACTION);
}

/** Whether anything was ever written to the file. */
export function holdsFrames(path: string): boolean {
  return existsSync(path) && statSync(path).size >= HEADER_BYTES && readFileSync(path).readUInt32BE(0) === MAGIC;
}

export interface Encoded {
  readonly frame: Buffer;
  /** The batch with values that lie in the frame: what the caller does with its buffers no longer matters. */
  readonly changes: Overlay;
}

/** A frame without generation and number. Throws RangeError for a meta key that LMDB would not take. */
export function encode({ records, meta }: Changes): Encoded {
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

export interface Frames {
  readonly generation: number;
  /** How many the generation before had. */
  readonly previous: number;
  readonly batches: readonly Overlay[];
}

/** One preallocated file of frames. */
export class JournalFile {
  readonly #fd: number;
  readonly #bytes: number;
  readonly #seed: number;
  #at = 0;
  #number = 0;
  #generation = 0;
  #previous = 0;

  /** Makes the file, or keeps what it holds. Throws the system's error. */
  constructor(path: string, bytes: number, seed: number) {
    this.#seed = seed;
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

  hasRoomFor(bytes: number): boolean {
    return this.#at + bytes <= this.#bytes;
  }

  /** Resolves when the frame is flushed. After a failure the next frame takes its place. */
  append(frame: Buffer): Promise<void> {
    frame.writeUIntBE(this.#generation, 8, 6);
    frame.writeUIntBE(this.#number, 14, 6);
    frame.writeUInt32BE(this.#previous, 20);
    frame.writeUInt32BE(checksum(frame, frame.readUInt32BE(4), this.#seed), CHECKSUM_AT);
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

  /**
   * The frames from the start of the file up to the first that is none, or was written in an earlier turn;
   * undefined where LMDB has all of them (generations up to `last`). Throws where flushed ones are missing.
   */
  readFrames(last: number): Frames | undefined {
    const bytes = Buffer.alloc(this.#bytes);
    for (let at = 0; at < bytes.length;) {
      const read = readSync(this.#fd, bytes, at, bytes.length - at, at);
      if (read === 0) break;
      at += read;
    }
    const first = frameAt(bytes, 0, this.#seed);
    if (first?.number !== 0) {
      // A torn first frame has behind it only turns that LMDB has; anything newer was flushed after it.
      for (let at = 0; at + HEADER_BYTES <= bytes.length; at += PAGE_BYTES) {
        if ((frameAt(bytes, at, this.#seed)?.generation ?? 0) > last) throw damaged();
      }
      return undefined;
    }
    const { generation, previous } = first;
    if (generation <= last) return undefined;
    const batches: Overlay[] = [];
    let at = 0;
    for (let frame: Frame | undefined = first; frame !== undefined;) {
      batches.push(frame.changes);
      at += frame.bytes;
      frame = frameAt(bytes, at, this.#seed);
      if (frame?.generation !== generation || frame.number !== batches.length) frame = undefined;
    }
    for (; at + HEADER_BYTES <= bytes.length; at += PAGE_BYTES) {
      const later = frameAt(bytes, at, this.#seed);
      if (later?.generation === generation && later.number > batches.length) throw damaged();
    }
    return { generation, previous, batches };
  }
}

/**
 * Applies the first `count` frames of a generation to `into`, which keeps parts of what is read. For another thread
 * than the one that writes the file: false where it does not hold them (any more). Throws the system's error.
 */
export function readFlushedFrames(path: string, seed: number, generation: number, count: number, into: Overlay): boolean {
  if (count === 0) return true;
  const bytes = readFileSync(path);
  let at = 0;
  for (let number = 0; number < count; number++) {
    const frame = frameAt(bytes, at, seed);
    if (frame?.generation !== generation || frame.number !== number) return false;
    apply(frame.changes, into);
    at += frame.bytes;
  }
  return true;
}

interface Frame {
  readonly generation: number;
  readonly number: number;
  readonly previous: number;
  readonly changes: Overlay;
  /** In the file, to the next frame. */
  readonly bytes: number;
}

function frameAt(bytes: Buffer, at: number, seed: number): Frame | undefined {
  if (at + HEADER_BYTES > bytes.length) return undefined;
  const frame = bytes.subarray(at);
  const end = HEADER_BYTES + frame.readUInt32BE(4);
  if (frame.readUInt32BE(0) !== MAGIC || end > frame.length) return undefined;
  if (frame.readUInt32BE(CHECKSUM_AT) !== checksum(frame, end - HEADER_BYTES, seed)) return undefined;
  const changes = decode(frame.subarray(HEADER_BYTES, end));
  if (changes === undefined) return undefined;
  return {
    generation: frame.readUIntBE(8, 6), number: frame.readUIntBE(14, 6), previous: frame.readUInt32BE(20), changes,
    bytes: Math.ceil(end / PAGE_BYTES) * PAGE_BYTES,
  };
}

function checksum(frame: Buffer, payloadBytes: number, seed: number): number {
  return crc32(frame.subarray(HEADER_BYTES, HEADER_BYTES + payloadBytes), crc32(frame.subarray(4, CHECKSUM_AT), seed));
}
