/**
 * A binding as bytes: what lies on the disk under the address, and what travels between the nodes.
 * It is read in place, field by field, so that the packet's path makes no objects.
 *
 * Layout, big-endian (the address is the key and not part of it):
 *
 *     0  u8   layout version, 1
 *     1  u8   state (RFC 6926 §6.2.7 dhcp-state numbers)
 *     2  u8   flags: bit 0 the client sent option 61; bit 1 the address is a reservation's; bit 2 the lease was ended
 *              without a word of its client, which may go by it until the end that the record has
 *     3  u8   htype
 *     4  u8   hlen, 0 to 16
 *     5  3    zero
 *     8  u32  epoch       \
 *    12  u48  incarnation  } the stamp: which change wrote this record
 *    18  u48  seq         /
 *    24  u32  start of this state, UTC seconds
 *    28  u32  last transaction with the client, UTC seconds
 *    32  u32  end of the lease, UTC seconds; 0xffffffff never
 *    36  u32  lease time granted, seconds; 0xffffffff for ever
 *    40  u32  xid of the last transaction
 *    44  16   chaddr
 *    60       sections: u8 kind, u16 length, bytes; a reader skips kinds that it does not know
 *
 * Layout versions and section kinds are append-only. A section of a kind that is not known travels on with
 * its record until the binding's client comes again; a layout that is not known is refused, and is written
 * only under a protocol version that all members speak (ARCHITECTURE.md, Versions).
 */
import assert from 'node:assert/strict';

export const RECORD_VERSION = 1;
export const RECORD_HEADER_BYTES = 60;
const STAMP_AT = 8;
const STAMP_END = 24;

/** Keys below are no address that anybody leases (0.0.0.0/8): what the store holds there are notes (node/notes), and no bindings. */
export const ADDRESSES_BEGIN = 0x0100_0000;

/** RFC 6926 §6.2.7. A binding that is FREE has no record at all. */
export const BindingState = {
  FREE: 1,
  ACTIVE: 2,
  EXPIRED: 3,
  RELEASED: 4,
  ABANDONED: 5,
} as const;
export type BindingState = (typeof BindingState)[keyof typeof BindingState];
export type BindingStateName = keyof typeof BindingState;

export const BINDING_STATE_NAMES: Readonly<Record<BindingState, BindingStateName>> = {
  1: 'FREE',
  2: 'ACTIVE',
  3: 'EXPIRED',
  4: 'RELEASED',
  5: 'ABANDONED',
};

export const SectionKind = {
  clientKey: 1, relayAgentInformation: 2, hostname: 3, vendorClass: 4,
  /** What DNS says of the binding, or is to say: node/ddns/entries.ts. */
  dns: 5,
  /** A note of the cluster's own instead of a binding: node/notes/note.ts. */
  note: 6,
} as const;
type SectionKind = (typeof SectionKind)[keyof typeof SectionKind];

const FLAG_CLIENT_IDENTIFIER = 1;
const FLAG_RESERVED = 2;
const FLAG_TAKEN = 4;

/** Which change wrote a record: order is (epoch, seq); the log is named by the incarnation. */
export interface Stamp {
  readonly epoch: number;
  /** 48 random bits, unique over all nodes and starts. */
  readonly incarnation: number;
  readonly seq: number;
}

export interface BindingFields {
  readonly state: BindingState;
  /** Whether `clientKey` is option 61 as sent; otherwise it is htype followed by chaddr. */
  readonly hasClientIdentifier: boolean;
  readonly reserved: boolean;
  readonly htype: number;
  readonly chaddr: Uint8Array;
  /** Empty where the binding is no client's: an address that somebody was found to use without a lease. */
  readonly clientKey: Uint8Array;
  readonly stateSince: number;
  readonly lastTransaction: number;
  readonly expires: number;
  readonly leaseSeconds: number;
  readonly xid: number;
  /** Option 82's value as received; empty where there was none. */
  readonly relayAgentInformation: Uint8Array;
  readonly hostname: Uint8Array;
  /** Option 60 as sent (RFC 4388 §6.7); left out where there was none. */
  readonly vendorClass?: Uint8Array;
  /** The section `dns`; left out where DNS has and gets nothing of the binding. */
  readonly dns?: Uint8Array;
}

const EMPTY = Buffer.alloc(0);

/** Writes a record whose stamp is zero; `stamp` fills it in when the change gets its number. */
export function encodeRecord(fields: BindingFields): Buffer {
  assert(fields.chaddr.length <= 16, 'chaddr has at most 16 bytes');
  const { clientKey, relayAgentInformation, hostname, vendorClass = EMPTY, dns = EMPTY } = fields;
  const length =
    RECORD_HEADER_BYTES + 3 + clientKey.length +
    (relayAgentInformation.length > 0 ? 3 + relayAgentInformation.length : 0) +
    (hostname.length > 0 ? 3 + hostname.length : 0) +
    (vendorClass.length > 0 ? 3 + vendorClass.length : 0) +
    (dns.length > 0 ? 3 + dns.length : 0);
  const record = Buffer.allocUnsafeSlow(length);
  record.fill(0, 0, RECORD_HEADER_BYTES);
  record[0] = RECORD_VERSION;
  record[1] = fields.state;
  record[2] = (fields.hasClientIdentifier ? FLAG_CLIENT_IDENTIFIER : 0) | (fields.reserved ? FLAG_RESERVED : 0);
  record[3] = fields.htype;
  record[4] = fields.chaddr.length;
  record.writeUInt32BE(fields.stateSince, 24);
  record.writeUInt32BE(fields.lastTransaction, 28);
  record.writeUInt32BE(fields.expires, 32);
  record.writeUInt32BE(fields.leaseSeconds, 36);
  record.writeUInt32BE(fields.xid, 40);
  record.set(fields.chaddr, 44);
  let at = writeSection(record, RECORD_HEADER_BYTES, SectionKind.clientKey, clientKey);
  if (relayAgentInformation.length > 0) {
    at = writeSection(record, at, SectionKind.relayAgentInformation, relayAgentInformation);
  }
  if (hostname.length > 0) at = writeSection(record, at, SectionKind.hostname, hostname);
  if (vendorClass.length > 0) at = writeSection(record, at, SectionKind.vendorClass, vendorClass);
  if (dns.length > 0) writeSection(record, at, SectionKind.dns, dns);
  return record;
}

function writeSection(record: Buffer, at: number, kind: SectionKind, bytes: Uint8Array): number {
  record[at] = kind;
  record.writeUInt16BE(bytes.length, at + 1);
  record.set(bytes, at + 3);
  return at + 3 + bytes.length;
}

/** A copy with another state, for an expiry, a release or a decline: the client and times stay known. */
export function withState(record: Buffer, state: BindingState, since: number, xid?: number): Buffer {
  const copy = Buffer.from(record);
  copy[1] = state;
  copy.writeUInt32BE(since, 24);
  if (xid !== undefined) copy.writeUInt32BE(xid, 40);
  return copy;
}

/**
 * A copy in state RELEASED of a lease that is taken from its client, which does not know: the address is nobody else's
 * until the client's own clock has ended the lease (`believedEnd`). Only under PROTOCOL_NAMES_AND_NOTES.
 */
export function takenLease(record: Buffer, since: number): Buffer {
  // With another transaction's number: it is no copy of what the client has asked.
  const copy = withState(record, BindingState.RELEASED, since, (recordXid(record) + 1) >>> 0);
  copy[2]! |= FLAG_TAKEN;
  return copy;
}

/** A copy without the mark: its client is known to have given the lease up. */
export function givenUpLease(record: Buffer, since: number): Buffer {
  const copy = withState(record, BindingState.RELEASED, since, (recordXid(record) + 1) >>> 0);
  copy[2]! &= ~FLAG_TAKEN;
  return copy;
}

/** A copy with another value of a section; without the section where the value is empty. */
export function withSection(record: Buffer, kind: SectionKind, value: Uint8Array): Buffer {
  const parts = [record.subarray(0, RECORD_HEADER_BYTES)];
  for (let at = RECORD_HEADER_BYTES; at + 3 <= record.length;) {
    const end = at + 3 + record.readUInt16BE(at + 1);
    if (record[at] !== kind) parts.push(record.subarray(at, end));
    at = end;
  }
  if (value.length > 0) {
    const section = Buffer.allocUnsafe(3 + value.length);
    writeSection(section, 0, kind, value);
    parts.push(section);
  }
  return Buffer.concat(parts);
}

/** Fills in the stamp; the only place where a record is changed after it was made. */
export function writeStamp(record: Buffer, stamp: Stamp): void {
  record.writeUInt32BE(stamp.epoch, 8);
  record.writeUIntBE(stamp.incarnation, 12, 6);
  record.writeUIntBE(stamp.seq, 18, 6);
}

export const recordState = (r: Buffer): BindingState => r[1] as BindingState;
export const recordHasClientIdentifier = (r: Buffer): boolean => (r[2]! & FLAG_CLIENT_IDENTIFIER) !== 0;
export const recordReserved = (r: Buffer): boolean => (r[2]! & FLAG_RESERVED) !== 0;
/** Its client may still go by the lease, whatever the state says. */
export const recordTaken = (r: Buffer): boolean => (r[2]! & FLAG_TAKEN) !== 0;
export const recordHtype = (r: Buffer): number => r[3]!;
export const recordChaddr = (r: Buffer): Buffer => r.subarray(44, 44 + r[4]!);
export const recordEpoch = (r: Buffer): number => r.readUInt32BE(8);
export const recordIncarnation = (r: Buffer): number => r.readUIntBE(12, 6);
export const recordSeq = (r: Buffer): number => r.readUIntBE(18, 6);
export const recordStateSince = (r: Buffer): number => r.readUInt32BE(24);
export const recordLastTransaction = (r: Buffer): number => r.readUInt32BE(28);
export const recordExpires = (r: Buffer): number => r.readUInt32BE(32);
export const recordLeaseSeconds = (r: Buffer): number => r.readUInt32BE(36);
export const recordXid = (r: Buffer): number => r.readUInt32BE(40);

export function recordStamp(r: Buffer): Stamp {
  return { epoch: recordEpoch(r), incarnation: recordIncarnation(r), seq: recordSeq(r) };
}

/** The bytes of a section, in place; empty where the record has none. */
export function recordSection(r: Buffer, kind: SectionKind): Buffer {
  const start = sectionStart(r, kind);
  return start < 0 ? EMPTY : r.subarray(start, start + r.readUInt16BE(start - 2));
}

/** Where a section's bytes begin, its length in the 16 bits before; -1 where the record has none. */
export function sectionStart(r: Buffer, kind: SectionKind): number {
  let at = RECORD_HEADER_BYTES;
  while (at + 3 <= r.length) {
    if (r[at] === kind) return at + 3;
    at += 3 + r.readUInt16BE(at + 1);
  }
  return -1;
}

export const recordClientKey = (r: Buffer): Buffer => recordSection(r, SectionKind.clientKey);

/** Whether bytes from a disk or a peer are a record at all; a bad one must not get further than here. */
export function isRecord(r: Buffer): boolean {
  if (r.length < RECORD_HEADER_BYTES + 3 || r[0] !== RECORD_VERSION) return false;
  if (r[1]! < BindingState.ACTIVE || r[1]! > BindingState.ABANDONED || r[4]! > 16) return false;
  let at = RECORD_HEADER_BYTES;
  while (at < r.length) {
    if (at + 3 > r.length) return false;
    at += 3 + r.readUInt16BE(at + 1);
  }
  return at === r.length;
}

/** Layouts are counted one by one: a number far beyond is none, but damage. */
const RECORD_VERSION_PLAUSIBLE_MAX = 15;

/** A newer version of this program seems to have written it. */
export function isNewerRecord(r: Buffer): boolean {
  return r[0] !== undefined && r[0] > RECORD_VERSION && r[0] <= RECORD_VERSION_PLAUSIBLE_MAX;
}

/** Whether two records say the same, whichever change wrote each. */
export function sameBinding(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && one.compare(other, 0, STAMP_AT, 0, STAMP_AT) === 0 &&
    one.compare(other, STAMP_END, other.length, STAMP_END, one.length) === 0;
}

/** Whether two records say the same of the client and its lease: as `sameBinding`, whatever DNS has come to. */
export function tellsTheSame(one: Buffer, other: Buffer): boolean {
  if (one.compare(other, 0, STAMP_AT, 0, STAMP_AT) !== 0 || one.compare(other, STAMP_END, RECORD_HEADER_BYTES, STAMP_END, RECORD_HEADER_BYTES) !== 0) return false;
  let at = RECORD_HEADER_BYTES;
  let otherAt = RECORD_HEADER_BYTES;
  for (;;) {
    while (one[at] === SectionKind.dns) at = sectionEnd(one, at);
    while (other[otherAt] === SectionKind.dns) otherAt = sectionEnd(other, otherAt);
    if (at >= one.length || otherAt >= other.length) return at >= one.length && otherAt >= other.length;
    const end = sectionEnd(one, at);
    const otherEnd = sectionEnd(other, otherAt);
    if (end - at !== otherEnd - otherAt || one.compare(other, otherAt, otherEnd, at, end) !== 0) return false;
    at = end;
    otherAt = otherEnd;
  }
}

function sectionEnd(record: Buffer, at: number): number {
  return at + 3 + record.readUInt16BE(at + 1);
}

/** (epoch, seq) order: whether `record` replaces `existing` (links have no common order). */
export function supersedes(record: Buffer, existing: Buffer): boolean {
  const epoch = recordEpoch(record);
  const other = recordEpoch(existing);
  return epoch > other || (epoch === other && recordSeq(record) > recordSeq(existing));
}
