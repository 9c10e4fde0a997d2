/**
 * Updates and questions as messages of DNS (RFC 1035 §4, RFC 2136 §2), and what servers answer.
 *
 * Requests are written by the package dns-packet, which knows no class NONE and takes names as text. So each record is
 * written with the root as its name, which the name proper replaces, and with the type's number and plain RDATA, which
 * may be empty. Answers are read here: where each record begins has to be known for its signature (RFC 8945 §4.3.2),
 * names must come back unchanged, and nothing that a server sends may throw.
 */
import assert from 'node:assert/strict';
import * as dnsPacket from 'dns-packet';
import { parseDomainName, readWireName } from '../codec/domain-name.ts';
import { responseCode } from './update.ts';
import type { Change, DnsType, DnsUpdate, Prerequisite, ResponseCode } from './update.ts';

/** Numbers of record types (RFC 1035 §3.2.2, RFC 3596, RFC 4701, RFC 8945). */
export const TYPE_NUMBERS = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, AAAA: 28, DHCID: 49, TSIG: 250, AXFR: 252, ANY: 255 } as const;
export type QueryType = DnsType | 'AXFR' | 'SOA';

/** RFC 1035 §3.2.4, RFC 2136 §2.4 */
export const CLASS_NUMBERS = { IN: 1, NONE: 254, ANY: 255 } as const;
type ClassName = keyof typeof CLASS_NUMBERS;

const OPCODE_QUERY = 0;
const OPCODE_UPDATE = 5;
const HEADER_BYTES = 12;
const NO_DATA: Buffer = Buffer.alloc(0);
/** After a record's name: type, class, TTL and the length of its RDATA. */
const FIXED_BYTES = 10;
const NAMES_AS_DATA: ReadonlySet<number> = new Set([TYPE_NUMBERS.NS, TYPE_NUMBERS.CNAME, TYPE_NUMBERS.PTR]);

export interface WireRecord {
  readonly section: 'answer' | 'authority' | 'additional';
  /** In wire form, not compressed, lower case. */
  readonly name: Buffer;
  readonly type: number;
  readonly class: number;
  readonly ttlSeconds: number;
  /** RDATA; a name that it consists of as in `name`. */
  readonly data: Buffer;
  /** Where it begins in the message. */
  readonly start: number;
}

/** An answer of a server. Of an answer to an update `records` holds what the server repeats of it, or nothing (RFC 2136 §3.8). */
export interface DnsMessage {
  readonly id: number;
  readonly isResponse: boolean;
  readonly opcode: number;
  readonly code: ResponseCode;
  /** Some of it did not fit into a datagram. */
  readonly truncated: boolean;
  /** Absent where the server does not repeat it. */
  readonly question: { readonly name: Buffer; readonly type: number; readonly class: number } | undefined;
  readonly records: readonly WireRecord[];
}

/** The parts of dns-packet that are used; its own types know only whole messages. */
interface RecordCodec {
  encode(record: { readonly name: '.'; readonly type: string; readonly class: string; readonly ttl: number; readonly data: Buffer }, into: Buffer, at: number): unknown;
}
interface QuestionCodec {
  encode(question: { readonly name: '.'; readonly type: string; readonly class: string }, into: Buffer, at: number): unknown;
}
const { answer: recordCodec, question: questionCodec } = dnsPacket as unknown as { readonly answer: RecordCodec; readonly question: QuestionCodec };

/** The bytes of an update, not signed yet. The zone's name is one that the configuration was taken with. */
export function encodeUpdate(id: number, { changes, prerequisites, zone }: DnsUpdate): Buffer {
  const name = parseDomainName(zone);
  assert(name !== undefined, `${zone} is no name of a zone`);
  return message(id, OPCODE_UPDATE, { name, type: 'SOA' }, prerequisites.map(prerequisiteRecord), changes.map(changeRecord));
}

/** A question to a server that knows the answer itself, not signed yet. */
export function encodeQuery(id: number, name: Buffer, type: QueryType): Buffer {
  return message(id, OPCODE_QUERY, { name, type }, [], []);
}

function message(id: number, opcode: number, question: { name: Buffer; type: QueryType }, answers: readonly Buffer[], authorities: readonly Buffer[]): Buffer {
  const header = dnsPacket.encode({ type: 'query', id, flags: opcode << 11 });
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  header.writeUInt16BE(authorities.length, 8);
  const asked = Buffer.alloc(5);
  questionCodec.encode({ name: '.', type: question.type, class: 'IN' }, asked, 0);
  return Buffer.concat([header, question.name, asked.subarray(1), ...answers, ...authorities]);
}

/** RFC 2136 §2.4 */
function prerequisiteRecord(wanted: Prerequisite): Buffer {
  switch (wanted.kind) {
    case 'name-in-use': return encodeRecord(wanted.name, TYPE_NUMBERS.ANY, 'ANY');
    case 'name-not-in-use': return encodeRecord(wanted.name, TYPE_NUMBERS.ANY, 'NONE');
    case 'rrset-exists': return encodeRecord(wanted.name, TYPE_NUMBERS[wanted.type], 'ANY');
    case 'rrset-absent': return encodeRecord(wanted.name, TYPE_NUMBERS[wanted.type], 'NONE');
    default: return encodeRecord(wanted.name, TYPE_NUMBERS[wanted.type], 'IN', 0, wanted.data);
  }
}

/** RFC 2136 §2.5 */
function changeRecord(change: Change): Buffer {
  switch (change.kind) {
    case 'add': return encodeRecord(change.name, TYPE_NUMBERS[change.type], 'IN', change.ttlSeconds, change.data);
    case 'delete-record': return encodeRecord(change.name, TYPE_NUMBERS[change.type], 'NONE', 0, change.data);
    case 'delete-rrset': return encodeRecord(change.name, TYPE_NUMBERS[change.type], 'ANY');
    default: return encodeRecord(change.name, TYPE_NUMBERS.ANY, 'ANY');
  }
}

/** One record. `name` in wire form. */
export function encodeRecord(name: Buffer, type: number, className: ClassName, ttlSeconds = 0, data: Buffer = NO_DATA): Buffer {
  const record = Buffer.allocUnsafe(name.length + FIXED_BYTES + data.length);
  // From the byte before on stands the root's name until the name proper takes its place.
  recordCodec.encode({ name: '.', type: `UNKNOWN_${type}`, class: 'ANY', ttl: ttlSeconds, data }, record, name.length - 1);
  name.copy(record);
  record.writeUInt16BE(CLASS_NUMBERS[className], name.length + 2);
  return record;
}

/** Undefined: these bytes are no message. */
export function decodeMessage(bytes: Buffer): DnsMessage | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const flags = bytes.readUInt16BE(2);
  const questions = bytes.readUInt16BE(4);
  // Nobody asks two things at once.
  if (questions > 1) return undefined;
  let at = HEADER_BYTES;
  let question: DnsMessage['question'];
  if (questions === 1) {
    const found = readWireName(bytes, at);
    if (found === undefined || found.end + 4 > bytes.length) return undefined;
    question = { name: found.name, type: bytes.readUInt16BE(found.end), class: bytes.readUInt16BE(found.end + 2) };
    at = found.end + 4;
  }
  const records: WireRecord[] = [];
  for (const [section, countAt] of [['answer', 6], ['authority', 8], ['additional', 10]] as const) {
    for (let left = bytes.readUInt16BE(countAt); left > 0; left--) {
      const found = readRecord(bytes, at, section);
      if (found === undefined) return undefined;
      records.push(found.record);
      at = found.end;
    }
  }
  return {
    id: bytes.readUInt16BE(0), isResponse: (flags & 0x8000) !== 0, opcode: (flags >> 11) & 15, code: responseCode(flags & 15), truncated: (flags & 0x200) !== 0,
    question, records,
  };
}

function readRecord(bytes: Buffer, start: number, section: WireRecord['section']): { record: WireRecord; end: number } | undefined {
  const owner = readWireName(bytes, start);
  if (owner === undefined || owner.end + FIXED_BYTES > bytes.length) return undefined;
  const type = bytes.readUInt16BE(owner.end);
  const dataStart = owner.end + FIXED_BYTES;
  const end = dataStart + bytes.readUInt16BE(owner.end + 8);
  if (end > bytes.length) return undefined;
  const data = readData(bytes, type, dataStart, end);
  if (data === undefined) return undefined;
  return {
    record: { section, name: owner.name, type, class: bytes.readUInt16BE(owner.end + 2), ttlSeconds: bytes.readUInt32BE(owner.end + 4), data, start }, end,
  };
}

function readData(bytes: Buffer, type: number, start: number, end: number): Buffer | undefined {
  // What a server repeats of an update may have no RDATA.
  if (start === end || !NAMES_AS_DATA.has(type)) return bytes.subarray(start, end);
  const target = readWireName(bytes, start);
  return target?.end === end ? target.name : undefined;
}
