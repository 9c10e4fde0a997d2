/**
 * The bytes of an answer: a BOOTREPLY about one address, over UDP (RFC 4388 §6.4.2) or over TCP (RFC 6926 §8.3).
 * One buffer, one pass: a bulk query is answered by millions of these.
 */
import { BOOTREPLY, CHADDR_AT, COOKIE_AT, MAGIC_COOKIE, OPTIONS_AT, OptionCode } from '../codec/message.ts';
import type { QueryHeader } from './query.ts';

const PIECE_BYTES_MAX = 255;
const ROOM_BYTES = 64 * 1024;

/** Writes answers one after the other; what `end` returns is valid until the next `begin`. */
export class AnswerWriter {
  readonly #bytes = Buffer.alloc(ROOM_BYTES);
  readonly #maxBytes: number;
  #at = 0;

  /** `maxBytes`: of one message. Options that do not fit any more are left out, whole. */
  constructor(maxBytes: number = 0xffff) {
    this.#maxBytes = Math.min(maxBytes, ROOM_BYTES - 1);
  }

  begin(type: number, query: QueryHeader, ciaddr: number): void {
    const bytes = this.#bytes;
    bytes.fill(0, 0, OPTIONS_AT);
    bytes[0] = BOOTREPLY;
    bytes.writeUInt32BE(query.xid, 4);
    bytes.writeUInt16BE(query.flags, 10);
    bytes.writeUInt32BE(ciaddr, 12);
    bytes.writeUInt32BE(query.giaddr, 24);
    bytes.writeUInt32BE(MAGIC_COOKIE, COOKIE_AT);
    bytes[OPTIONS_AT] = OptionCode.MESSAGE_TYPE;
    bytes[OPTIONS_AT + 1] = 1;
    bytes[OPTIONS_AT + 2] = type;
    this.#at = OPTIONS_AT + 3;
  }

  hardware(htype: number, chaddr: Buffer): void {
    this.#bytes[1] = htype;
    this.#bytes[2] = chaddr.length;
    chaddr.copy(this.#bytes, CHADDR_AT);
  }

  /** Longer values in pieces (RFC 3396). */
  option(code: number, value: Uint8Array): void {
    const pieces = Math.max(1, Math.ceil(value.length / PIECE_BYTES_MAX));
    if (this.#at + 2 * pieces + value.length + 1 > this.#maxBytes) return;
    const bytes = this.#bytes;
    for (let from = 0, piece = 0; piece < pieces; piece++, from += PIECE_BYTES_MAX) {
      const part = pieces === 1 ? value : value.subarray(from, from + PIECE_BYTES_MAX);
      bytes[this.#at] = code;
      bytes[this.#at + 1] = part.length;
      bytes.set(part, this.#at + 2);
      this.#at += 2 + part.length;
    }
  }

  optionU8(code: number, value: number): void {
    if (this.#at + 4 > this.#maxBytes) return;
    const bytes = this.#bytes;
    bytes[this.#at] = code;
    bytes[this.#at + 1] = 1;
    bytes[this.#at + 2] = value;
    this.#at += 3;
  }

  optionU32(code: number, value: number): void {
    if (this.#at + 7 > this.#maxBytes) return;
    const bytes = this.#bytes;
    bytes[this.#at] = code;
    bytes[this.#at + 1] = 4;
    bytes.writeUInt32BE(value, this.#at + 2);
    this.#at += 6;
  }

  /** What room is left for an option's value. */
  get room(): number {
    return Math.max(0, this.#maxBytes - this.#at - 3);
  }

  /** `least`: padded to so many bytes (BOOTP relays expect 300 over UDP). In place. */
  end(least: number): Buffer {
    const bytes = this.#bytes;
    bytes[this.#at++] = OptionCode.END;
    if (this.#at < least) bytes.fill(0, this.#at, least);
    return bytes.subarray(0, Math.max(this.#at, least));
  }
}
