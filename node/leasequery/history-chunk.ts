/**
 * The changes of one flush as they lie on the disk: a chunk, under the number of its first change. Numbers count
 * all changes without a gap, so the number of one chunk and its count name the next one, and keys sort in order.
 *
 * Key: `history/` and 12 hex digits. Value, big-endian:
 *
 *     0  u8   layout version, 1
 *     1  3    zero
 *     4  u32  number of changes
 *     8  u32  second of the first one, UTC
 *    12  u32  second of the last one
 *    16       changes: u32 second, u32 address, u32 length, record (`node/lease/record.ts`); length 0: the
 *             record went, the address is FREE
 */

const LAYOUT = 1;
export const CHUNK_HEADER_BYTES = 16;
export const CHANGE_HEADER_BYTES = 12;
const PREFIX = 'history/';

/** A change of a binding that this node has stored, its own or another node's. */
export interface BindingChange {
  /** Its place in the order in which they were stored here, from 1. */
  readonly number: number;
  /** UTC, when it was stored; never below that of the change before. */
  readonly second: number;
  readonly address: number;
  /** Undefined: the record went, the address is FREE. */
  readonly record: Buffer | undefined;
}

export interface ChunkHeader {
  readonly count: number;
  readonly firstSecond: number;
  readonly lastSecond: number;
}

/** Keys are in the order of their numbers: a chunk's lies in [historyKey(its first number), historyKey(the next chunk's)). */
export function historyKey(number: number): string {
  return PREFIX + number.toString(16).padStart(12, '0');
}

/** The number of a chunk's first change; undefined: the key is none of a chunk. */
export function historyNumber(key: string): number | undefined {
  return /^history\/[0-9a-f]{12}$/.test(key) ? Number.parseInt(key.slice(PREFIX.length), 16) : undefined;
}

/** What a change takes in a chunk. */
export function changeBytes({ record }: BindingChange): number {
  return CHANGE_HEADER_BYTES + (record?.length ?? 0);
}

/** `bytes`: of all of them, as `changeBytes` counts. */
export function encodeChunk(changes: readonly BindingChange[], bytes: number): Buffer {
  const chunk = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + bytes);
  chunk.writeUInt32BE(LAYOUT * 2 ** 24, 0);
  chunk.writeUInt32BE(changes.length, 4);
  chunk.writeUInt32BE(changes[0]!.second, 8);
  chunk.writeUInt32BE(changes.at(-1)!.second, 12);
  let at = CHUNK_HEADER_BYTES;
  for (const { address, record, second } of changes) {
    chunk.writeUInt32BE(second, at);
    chunk.writeUInt32BE(address, at + 4);
    chunk.writeUInt32BE(record?.length ?? 0, at + 8);
    at += CHANGE_HEADER_BYTES;
    if (record !== undefined) at += record.copy(chunk, at);
  }
  return chunk;
}

/** Undefined: no chunk, or one of a layout that is not known. */
export function readChunkHeader(chunk: Buffer): ChunkHeader | undefined {
  if (chunk.length < CHUNK_HEADER_BYTES || chunk[0] !== LAYOUT) return undefined;
  const count = chunk.readUInt32BE(4);
  return count === 0 ? undefined : { count, firstSecond: chunk.readUInt32BE(8), lastSecond: chunk.readUInt32BE(12) };
}

/** The changes of a chunk, in order; their records lie in `chunk`. Undefined: the two are no chunk. */
export function readChunk(key: string, chunk: Buffer): BindingChange[] | undefined {
  const first = historyNumber(key);
  const header = readChunkHeader(chunk);
  if (first === undefined || header === undefined) return undefined;
  const changes: BindingChange[] = [];
  let at = CHUNK_HEADER_BYTES;
  while (changes.length < header.count) {
    if (at + CHANGE_HEADER_BYTES > chunk.length) return undefined;
    const length = chunk.readUInt32BE(at + 8);
    const end = at + CHANGE_HEADER_BYTES + length;
    if (end > chunk.length) return undefined;
    changes.push({
      number: first + changes.length, second: chunk.readUInt32BE(at), address: chunk.readUInt32BE(at + 4),
      record: length === 0 ? undefined : chunk.subarray(at + CHANGE_HEADER_BYTES, end),
    });
    at = end;
  }
  return at === chunk.length ? changes : undefined;
}
