/**
 * Writing a BOOTREPLY. The plain case (everything fits into the options field) is one pass into one
 * buffer; the rest is laid out by `planOverload` first.
 *
 * Invariants: the message type comes first, relay agent information last (RFC 3046 §2.2), the options
 * field and each overloaded field end with the end option, and the message has at least 300 bytes. A
 * boot field that is set is never used for options.
 */
import type { BootFields, OptionValue } from '../config/types.ts';
import {
  BOOTREPLY, CHADDR_BYTES, COOKIE_AT, FILE_AT, FILE_BYTES, MAGIC_COOKIE, OPTIONS_AT, OptionCode,
  SNAME_AT, SNAME_BYTES,
} from './message.ts';
import type { DhcpMessage } from './message.ts';

/** What BOOTP clients and relays expect at least (RFC 1542 §2.1). */
export const REPLY_BYTES_MIN = 300;

export interface ReplyFields {
  readonly request: DhcpMessage;
  /** Option 53; 0: a reply to a BOOTP client, without it and without option overload. */
  readonly type: number;
  readonly ciaddr: number;
  readonly yiaddr: number;
  /** 'siaddr', 'sname' and 'file'; undefined: none. */
  readonly boot: BootFields | undefined;
  /**
   * In the order in which they matter, the server identifier first. Option 53 and relay agent
   * information in here are passed over, since they have fields of their own.
   */
  readonly options: readonly OptionValue[];
  /** Echoed last, as received; undefined: none. */
  readonly relayAgentInformation: Buffer | undefined;
  /** Most bytes of the DHCP message (without IP and UDP headers); less than 300 counts as 300. */
  readonly maxBytes: number;
}

/** One piece of an option in one of the three fields: `code`, and `value[from, to)`. */
interface Piece {
  readonly code: number;
  readonly value: Buffer;
  readonly from: number;
  readonly to: number;
}

interface Plan {
  readonly options: Piece[];
  readonly file: Piece[];
  readonly sname: Piece[];
}

/** Bytes of the options field that are always taken: option 53 and the end option. */
const TYPE_BYTES = 3;
const END_BYTES = 1;
const OVERLOAD_BYTES = 3;
const PIECE_BYTES_MAX = 255;

/**
 * A BOOTREPLY: copies htype, hlen, xid, flags, giaddr and chaddr of the request, pads to 300 bytes.
 * Options that do not fit into `maxBytes` go into file and sname (option overload, RFC 2132 §9.3);
 * one that fits nowhere is left out, after all that matter more had their place. Never left out: 53,
 * 54, 51 and relay agent information, even if the message gets longer than `maxBytes` by them.
 */
export function encodeReply(fields: ReplyFields): Buffer {
  const { options, relayAgentInformation } = fields;
  let needed = OPTIONS_AT + typeBytes(fields) + END_BYTES;
  for (let i = 0; i < options.length; i++) {
    const { code, value } = options[i]!;
    if (!isOwn(code)) needed += encodedBytes(value.length);
  }
  if (relayAgentInformation !== undefined) needed += encodedBytes(relayAgentInformation.length);
  if (needed > Math.max(fields.maxBytes, REPLY_BYTES_MIN)) return encodeOverloaded(fields);

  const reply = Buffer.allocUnsafe(Math.max(needed, REPLY_BYTES_MIN));
  let at = writeHeader(reply, fields);
  for (let i = 0; i < options.length; i++) {
    const { code, value } = options[i]!;
    if (!isOwn(code)) at = writeOption(reply, at, code, value);
  }
  if (relayAgentInformation !== undefined) at = writeOption(reply, at, OptionCode.RELAY_AGENT_INFORMATION, relayAgentInformation);
  reply[at] = OptionCode.END;
  return reply;
}

function encodeOverloaded(fields: ReplyFields): Buffer {
  const { relayAgentInformation } = fields;
  const plan = planOverload(fields);
  const overload = (plan.file.length > 0 ? 1 : 0) | (plan.sname.length > 0 ? 2 : 0);
  let needed = OPTIONS_AT + typeBytes(fields) + (overload === 0 ? 0 : OVERLOAD_BYTES) + sizeOf(plan.options) + END_BYTES;
  if (relayAgentInformation !== undefined) needed += encodedBytes(relayAgentInformation.length);

  const reply = Buffer.allocUnsafe(Math.max(needed, REPLY_BYTES_MIN));
  let at = writeHeader(reply, fields);
  if (overload !== 0) {
    reply[at] = OptionCode.OVERLOAD;
    reply[at + 1] = 1;
    reply[at + 2] = overload;
    at += OVERLOAD_BYTES;
  }
  at = writePieces(reply, at, plan.options);
  if (relayAgentInformation !== undefined) at = writeOption(reply, at, OptionCode.RELAY_AGENT_INFORMATION, relayAgentInformation);
  reply[at] = OptionCode.END;
  if (plan.file.length > 0) reply[writePieces(reply, FILE_AT, plan.file)] = OptionCode.END;
  if (plan.sname.length > 0) reply[writePieces(reply, SNAME_AT, plan.sname)] = OptionCode.END;
  return reply;
}

/**
 * Which option goes where. Options stay whole where a field has room for them as they are, since
 * many clients put nothing together; only then are they split over the fields in the order in which
 * a reader joins them (RFC 3396 §5: options, file, sname).
 */
function planOverload(fields: ReplyFields): Plan {
  const plan: Plan = { options: [], file: [], sname: [] };
  let room = Math.max(fields.maxBytes, REPLY_BYTES_MIN) - OPTIONS_AT - typeBytes(fields) - OVERLOAD_BYTES - END_BYTES;
  if (fields.relayAgentInformation !== undefined) room -= encodedBytes(fields.relayAgentInformation.length);
  for (const { code, value } of fields.options) if (isRequired(code)) room -= encodedBytes(value.length);
  const { boot, type } = fields;
  const rooms = [
    room,
    type === 0 || (boot !== undefined && boot.bootFileName.length > 0) ? 0 : FILE_BYTES - END_BYTES,
    type === 0 || (boot !== undefined && boot.serverHostname.length > 0) ? 0 : SNAME_BYTES - END_BYTES,
  ];
  const places = [plan.options, plan.file, plan.sname];

  for (const { code, value } of fields.options) {
    if (isOwn(code)) continue;
    if (isRequired(code)) {
      split(plan.options, code, value, 0, value.length);
      continue;
    }
    const whole = rooms.findIndex((room) => encodedBytes(value.length) <= room);
    if (whole >= 0) {
      split(places[whole]!, code, value, 0, value.length);
      rooms[whole]! -= encodedBytes(value.length);
    } else if (rooms.reduce((sum, room) => sum + payloadBytes(room), 0) >= value.length) {
      let from = 0;
      for (let i = 0; i < rooms.length; i++) {
        const to = Math.min(value.length, from + payloadBytes(rooms[i]!));
        if (to === from) continue;
        split(places[i]!, code, value, from, to);
        rooms[i]! -= encodedBytes(to - from);
        from = to;
      }
    }
  }
  return plan;
}

/** Written from fields of their own, or by the layout itself. */
function isOwn(code: number): boolean {
  return code === OptionCode.MESSAGE_TYPE || code === OptionCode.RELAY_AGENT_INFORMATION ||
    code === OptionCode.OVERLOAD || code === OptionCode.PAD || code === OptionCode.END;
}

function isRequired(code: number): boolean {
  return code === OptionCode.SERVER_IDENTIFIER || code === OptionCode.LEASE_TIME;
}

/** Bytes that a value takes with the codes and lengths of its pieces; an empty one takes two. */
function encodedBytes(length: number): number {
  return length <= PIECE_BYTES_MAX ? length + 2 : length + 2 * Math.ceil(length / PIECE_BYTES_MAX);
}

/** The longest value that `room` bytes can hold: the inverse of `encodedBytes`. */
function payloadBytes(room: number): number {
  const fullPieces = Math.floor(Math.max(room, 0) / (PIECE_BYTES_MAX + 2));
  const rest = Math.max(room, 0) - fullPieces * (PIECE_BYTES_MAX + 2);
  return fullPieces * PIECE_BYTES_MAX + Math.max(rest - 2, 0);
}

function split(into: Piece[], code: number, value: Buffer, from: number, to: number): void {
  let at = from;
  do {
    const end = Math.min(at + PIECE_BYTES_MAX, to);
    into.push({ code, value, from: at, to: end });
    at = end;
  } while (at < to);
}

function sizeOf(pieces: readonly Piece[]): number {
  let total = 0;
  for (const piece of pieces) total += 2 + piece.to - piece.from;
  return total;
}

function writePieces(reply: Buffer, start: number, pieces: readonly Piece[]): number {
  let at = start;
  for (const { code, value, from, to } of pieces) {
    reply[at] = code;
    reply[at + 1] = to - from;
    value.copy(reply, at + 2, from, to);
    at += 2 + to - from;
  }
  return at;
}

/** Everything up to and with option 53, zeros after it; returns where the next option goes. */
function writeHeader(reply: Buffer, fields: ReplyFields): number {
  const { bytes } = fields.request;
  reply.fill(0);
  reply[0] = BOOTREPLY;
  reply[1] = bytes[1]!;
  reply[2] = bytes[2]!;
  copyBytes(bytes, 4, reply, 4, 4); // xid
  reply[10] = bytes[10]!; // flags
  reply[11] = bytes[11]!;
  writeU32(reply, 12, fields.ciaddr);
  writeU32(reply, 16, fields.yiaddr);
  copyBytes(bytes, 24, reply, 24, 4 + CHADDR_BYTES); // giaddr and chaddr
  if (fields.boot !== undefined) writeBoot(reply, fields.boot);
  writeU32(reply, COOKIE_AT, MAGIC_COOKIE);
  if (fields.type === 0) return OPTIONS_AT;
  reply[OPTIONS_AT] = OptionCode.MESSAGE_TYPE;
  reply[OPTIONS_AT + 1] = 1;
  reply[OPTIONS_AT + 2] = fields.type;
  return OPTIONS_AT + TYPE_BYTES;
}

/** RFC 2131 §2: 'sname' and 'file' are null-terminated strings. */
function writeBoot(reply: Buffer, { nextServer, serverHostname, bootFileName }: BootFields): void {
  writeU32(reply, 20, nextServer);
  copyBytes(serverHostname, 0, reply, SNAME_AT, Math.min(serverHostname.length, SNAME_BYTES - 1));
  copyBytes(bootFileName, 0, reply, FILE_AT, Math.min(bootFileName.length, FILE_BYTES - 1));
}

function typeBytes({ type }: ReplyFields): number {
  return type === 0 ? 0 : TYPE_BYTES;
}

function writeOption(reply: Buffer, start: number, code: number, value: Buffer): number {
  const { length } = value;
  if (length <= PIECE_BYTES_MAX) {
    reply[start] = code;
    reply[start + 1] = length;
    copyBytes(value, 0, reply, start + 2, length);
    return start + 2 + length;
  }
  const pieces: Piece[] = [];
  split(pieces, code, value, 0, length);
  return writePieces(reply, start, pieces);
}

/** For short runs a loop beats the call into native code. */
function copyBytes(source: Buffer, from: number, target: Buffer, to: number, length: number): void {
  if (length > 32) {
    source.copy(target, to, from, from + length);
    return;
  }
  for (let i = 0; i < length; i++) target[to + i] = source[from + i]!;
}

function writeU32(target: Buffer, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}
