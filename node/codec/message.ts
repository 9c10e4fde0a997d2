/**
 * Reading a DHCP message in place. One `DhcpMessage` is made once and parses packet after packet: the
 * scan notes where each option starts and allocates nothing; getters read from the caller's buffer.
 *
 * Layout (RFC 2131 §2, Figure 1), big-endian:
 *
 *     0 op   1 htype  2 hlen  3 hops   4 u32 xid   8 u16 secs  10 u16 flags
 *    12 ciaddr  16 yiaddr  20 siaddr  24 giaddr
 *    28 chaddr (16)  44 sname (64)  108 file (128)  236 magic cookie  240 options
 *
 * Leniency: a missing end option, pads anywhere, and bytes after the end option are tolerated, as
 * Kea and ISC dhcpd do. An option that reaches past its field is not.
 */
import { CLIENT_IDENTIFIER_BYTES_MAX } from '../limits.ts';
import type { DropReason } from '../telemetry/counters.ts';

/** RFC 2132 §9.6. */
export const MessageType = {
  DISCOVER: 1, OFFER: 2, REQUEST: 3, DECLINE: 4, ACK: 5, NAK: 6, RELEASE: 7, INFORM: 8,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

export const BOOTREQUEST = 1;
export const BOOTREPLY = 2;

/** Where the fields lie. */
export const CHADDR_AT = 28;
export const CHADDR_BYTES = 16;
export const SNAME_AT = 44;
export const SNAME_BYTES = 64;
export const FILE_AT = 108;
export const FILE_BYTES = 128;
export const COOKIE_AT = 236;
export const OPTIONS_AT = 240;
/** RFC 2131 §3: 99, 130, 83, 99. */
export const MAGIC_COOKIE = 0x63825363;
/** The most that UDP, or the length before a message over TCP (RFC 6926 §6.1), can carry. */
export const MESSAGE_BYTES_MAX = 0xffff;

/** Option codes that the codec itself must know. */
export const OptionCode = {
  PAD: 0, REQUESTED_ADDRESS: 50, LEASE_TIME: 51, OVERLOAD: 52, MESSAGE_TYPE: 53, SERVER_IDENTIFIER: 54,
  PARAMETER_REQUEST_LIST: 55, MAX_MESSAGE_SIZE: 57, CLIENT_IDENTIFIER: 61, RELAY_AGENT_INFORMATION: 82, END: 255,
} as const;

const OVERLOAD_FILE = 1;
const OVERLOAD_SNAME = 2;

const EMPTY = Buffer.alloc(0);

export class DhcpMessage {
  /** What was parsed last; valid as long as the caller's buffer is. */
  bytes: Buffer = EMPTY;
  /** Option 53; 0 when absent: then it is from a BOOTP client (RFC 1534 §3). */
  type = 0;
  /**
   * By option code, the position of the length byte: 0 absent, negative where the option occurs more
   * than once (then the position of the first, negated). No option starts before byte 44.
   */
  readonly #at = new Int32Array(256);
  /** The codes whose `#at` is set, so that the next parse clears those and not all 256. */
  readonly #seen = new Uint8Array(256);
  #seenCount = 0;
  #overload = 0;

  /**
   * Scans a whole message; `op` is the direction expected. Returns why it cannot be one, or undefined.
   * After a failure the getters have no meaning.
   */
  parse(bytes: Buffer, op: number = BOOTREQUEST): DropReason | undefined {
    for (let i = 0; i < this.#seenCount; i++) this.#at[this.#seen[i]!] = 0;
    this.#seenCount = 0;
    this.#overload = 0;
    this.type = 0;
    this.bytes = bytes;
    if (bytes.length < OPTIONS_AT) return 'too-short';
    if (bytes.length > MESSAGE_BYTES_MAX) return 'too-long';
    if (bytes[0] !== op) return 'bad-op';
    if (bytes[2]! > CHADDR_BYTES) return 'bad-hlen';
    const cookie = readU32(bytes, COOKIE_AT);
    // RFC 951 §3: a BOOTP client that has nothing to say there leaves the vendor area zero.
    if (cookie === 0) return undefined;
    if (cookie !== MAGIC_COOKIE) return 'bad-magic';

    if (!this.#scan(bytes, OPTIONS_AT, bytes.length)) return 'option-truncated';
    const overload = this.#at[OptionCode.OVERLOAD]!;
    if (overload !== 0) {
      if (overload < 0 || bytes[overload] !== 1) return 'bad-option';
      this.#overload = bytes[overload + 1]!;
      // RFC 2131 §4.1: 'file' is interpreted next, then 'sname'. An overload option in there counts
      // for nothing: it has been acted on already.
      if ((this.#overload & OVERLOAD_FILE) !== 0 && !this.#scan(bytes, FILE_AT, FILE_AT + FILE_BYTES)) return 'option-truncated';
      if ((this.#overload & OVERLOAD_SNAME) !== 0 && !this.#scan(bytes, SNAME_AT, SNAME_AT + SNAME_BYTES)) return 'option-truncated';
    }
    return this.#checkLengths(bytes);
  }

  /** Notes the options between two positions; false when one reaches past the end. */
  #scan(bytes: Buffer, from: number, end: number): boolean {
    const positions = this.#at;
    let at = from;
    while (at < end) {
      const code = bytes[at++]!;
      if (code === OptionCode.PAD) continue;
      if (code === OptionCode.END) return true;
      if (at >= end) return false;
      const next = at + 1 + bytes[at]!;
      if (next > end) return false;
      const known = positions[code]!;
      if (known === 0) {
        positions[code] = at;
        this.#seen[this.#seenCount++] = code;
      } else if (known > 0) {
        positions[code] = -known;
      }
      at = next;
    }
    return true;
  }

  /** The options that the server decides by must have a length that their type allows (RFC 2132 §9). */
  #checkLengths(bytes: Buffer): DropReason | undefined {
    const positions = this.#at;
    let at = positions[OptionCode.MESSAGE_TYPE]!;
    if (at !== 0) {
      // 0 is nobody's message type, and stands for its absence.
      if (at < 0 || bytes[at] !== 1 || bytes[at + 1] === 0) return 'bad-message-type';
      this.type = bytes[at + 1]!;
    }
    at = positions[OptionCode.SERVER_IDENTIFIER]!;
    if (at !== 0 && (at < 0 || bytes[at] !== 4)) return 'bad-option';
    at = positions[OptionCode.REQUESTED_ADDRESS]!;
    if (at !== 0 && (at < 0 || bytes[at] !== 4)) return 'bad-option';
    at = positions[OptionCode.LEASE_TIME]!;
    if (at !== 0 && (at < 0 || bytes[at] !== 4)) return 'bad-option';
    at = positions[OptionCode.MAX_MESSAGE_SIZE]!;
    if (at !== 0 && (at < 0 || bytes[at] !== 2)) return 'bad-option';
    // RFC 2132 §9.8 and §9.14: at least one code, at least two bytes of identifier.
    at = positions[OptionCode.PARAMETER_REQUEST_LIST]!;
    if (at > 0 ? bytes[at]! < 1 : at < 0 && this.#lengthOf(OptionCode.PARAMETER_REQUEST_LIST) < 1) return 'bad-option';
    at = positions[OptionCode.CLIENT_IDENTIFIER]!;
    if (at > 0 && bytes[at]! < 2) return 'bad-option';
    if (at < 0) {
      const length = this.#lengthOf(OptionCode.CLIENT_IDENTIFIER);
      if (length < 2 || length > CLIENT_IDENTIFIER_BYTES_MAX) return 'bad-option';
    }
    return undefined;
  }

  get op(): number { return this.bytes[0]!; }
  get htype(): number { return this.bytes[1]!; }
  get hlen(): number { return this.bytes[2]!; }
  get hops(): number { return this.bytes[3]!; }
  get xid(): number { return readU32(this.bytes, 4); }
  get secs(): number { return (this.bytes[8]! << 8) | this.bytes[9]!; }
  get flags(): number { return (this.bytes[10]! << 8) | this.bytes[11]!; }
  /** The client asks for broadcast answers (RFC 2131 §4.1). */
  get broadcast(): boolean { return (this.bytes[10]! & 0x80) !== 0; }
  get ciaddr(): number { return readU32(this.bytes, 12); }
  get yiaddr(): number { return readU32(this.bytes, 16); }
  get siaddr(): number { return readU32(this.bytes, 20); }
  get giaddr(): number { return readU32(this.bytes, 24); }

  /** `hlen` bytes, in place. */
  chaddr(): Buffer {
    return this.bytes.subarray(CHADDR_AT, CHADDR_AT + this.bytes[2]!);
  }

  get hasClientIdentifier(): boolean {
    return this.#at[OptionCode.CLIENT_IDENTIFIER] !== 0;
  }

  has(code: number): boolean {
    return this.#at[code] !== 0;
  }

  /**
   * For readers in place: where in `bytes` the length byte of an option stands whose value lies there in
   * one piece, right behind it. 0: absent; negative: in several pieces, which only `option` puts together.
   */
  locate(code: number): number {
    return this.#at[code]!;
  }

  /**
   * An option's value: in place when it occurs once, put together in the order of RFC 3396 §5 (the
   * options field, then file, then sname) when it is split or repeated. Undefined when absent.
   */
  option(code: number): Buffer | undefined {
    const at = this.#at[code]!;
    if (at === 0) return undefined;
    if (at > 0) return this.bytes.subarray(at + 1, at + 1 + this.bytes[at]!);
    const parts: Buffer[] = [];
    this.#eachPart(code, (from, length) => parts.push(this.bytes.subarray(from, from + length)));
    return Buffer.concat(parts);
  }

  /** An address or a number of seconds; undefined unless the option has exactly 4 bytes. */
  optionU32(code: number): number | undefined {
    const at = this.#at[code]!;
    if (at > 0) return this.bytes[at] === 4 ? readU32(this.bytes, at + 1) : undefined;
    if (at === 0) return undefined;
    const value = this.option(code)!;
    return value.length === 4 ? readU32(value, 0) : undefined;
  }

  /** A number of 16 bits; undefined unless the option has exactly 2 bytes. */
  optionU16(code: number): number | undefined {
    const at = this.#at[code]!;
    if (at > 0) return this.bytes[at] === 2 ? (this.bytes[at + 1]! << 8) | this.bytes[at + 2]! : undefined;
    if (at === 0) return undefined;
    const value = this.option(code)!;
    return value.length === 2 ? value.readUInt16BE(0) : undefined;
  }

  /**
   * Who the client is: option 61's value if it was sent and `identity` says so, else htype followed by
   * chaddr. A view of the packet or a small buffer of its own; one byte long when there is no client.
   */
  clientKey(identity: 'client-id' | 'hardware'): Buffer {
    if (identity === 'client-id') {
      const identifier = this.option(OptionCode.CLIENT_IDENTIFIER);
      if (identifier !== undefined) return identifier;
    }
    const { bytes } = this;
    const length = bytes[2]!;
    const key = Buffer.allocUnsafe(1 + length);
    key[0] = bytes[1]!;
    for (let i = 0; i < length; i++) key[1 + i] = bytes[CHADDR_AT + i]!;
    return key;
  }

  /** The codes that are present, each once, in the order in which they were first met. */
  codes(): number[] {
    return Array.from(this.#seen.subarray(0, this.#seenCount));
  }

  #lengthOf(code: number): number {
    let total = 0;
    this.#eachPart(code, (_from, length) => { total += length; });
    return total;
  }

  /** Visits the parts of a split option; the scan has checked that none reaches past its field. */
  #eachPart(code: number, visit: (from: number, length: number) => void): void {
    this.#eachPartWithin(code, OPTIONS_AT, this.bytes.length, visit);
    if ((this.#overload & OVERLOAD_FILE) !== 0) this.#eachPartWithin(code, FILE_AT, FILE_AT + FILE_BYTES, visit);
    if ((this.#overload & OVERLOAD_SNAME) !== 0) this.#eachPartWithin(code, SNAME_AT, SNAME_AT + SNAME_BYTES, visit);
  }

  #eachPartWithin(code: number, from: number, end: number, visit: (from: number, length: number) => void): void {
    const { bytes } = this;
    let at = from;
    while (at < end) {
      const here = bytes[at++]!;
      if (here === OptionCode.PAD) continue;
      if (here === OptionCode.END) return;
      const length = bytes[at]!;
      if (here === code) visit(at + 1, length);
      at += 1 + length;
    }
  }
}

function readU32(bytes: Buffer, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
