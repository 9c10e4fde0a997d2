/**
 * A row of the history: one lease that has ended, or a part of one, as it lies among the store's meta values.
 *
 * A row is filed under the second in which the change that ended the lease was made, by the clock of the node that made
 * it: the replicated record tells it, so all nodes file it alike, and a row that comes twice is one. The lease itself
 * may have ended before that: it ran out while no node was there to notice.
 *
 * Key of a row: `t/`, then as digits of six bits (digits.ts) 3 of the day since 1970, 6 of the address, 3 of the
 * second of the day, and 3 of a hash over the client and the lease's start. So a day's rows lie together, and in it those
 * of an address, in order.
 *
 * By client, a key without a value: `t@`, the day, 8 digits of a hash over the client, then as above from the address on. A
 * client that is known by an option 61 has another such key under its hardware address, unless the two are the same bytes.
 *
 * Value of a row, big-endian:
 *
 *     0  u8   layout version, 1
 *     1  u8   bits 0 to 3 how it ended (`TENURE_ENDS`); bit 4 not exact; bit 5 the client sent option 61; bit 6 a
 *             reservation's address; bit 7 the client key is htype and chaddr, and is left out
 *     2  u8   htype
 *     3  u8   hlen, 0 to 16
 *     4  u32  start of the lease, over all renewals, UTC seconds
 *     8  u32  last transaction of the client
 *    12  u32  when the lease would have ended; 0xffffffff never
 *    16       chaddr; unless left out u16 length and client key; then sections as a binding's record has them
 *             (u8 kind, u16 length, bytes): option 82, host name, vendor class
 */
import {
  encodeRecord, recordChaddr, recordClientKey, recordExpires, recordHasClientIdentifier, recordHtype, recordLastTransaction, recordReserved,
  recordSection, recordStateSince, SectionKind,
} from '../lease/record.ts';
import type { BindingState } from '../lease/record.ts';
import { fingerprint, sameBytes } from '../lease/fingerprint.ts';
import { readDigits, writeDigits } from './digits.ts';

export const DAY_SECONDS = 86_400;
export const ROWS = 't/';
export const ROWS_END = 't0';
export const BY_CLIENT = 't@';
const BY_CLIENT_END = 'tA';

/** All keys of the history of leases, its state included: from the first one on, below the second. */
export const HISTORY_KEYS: readonly [string, string] = ['t-', BY_CLIENT_END];

const LAYOUT = 1;
const HEADER_BYTES = 16;
const DAY_DIGITS = 3;
const ADDRESS_DIGITS = 6;
const SECOND_DIGITS = 3;
const TAG_DIGITS = 3;
const CLIENT_DIGITS = 8;
const ROW_KEY_CHARACTERS = ROWS.length + DAY_DIGITS + ADDRESS_DIGITS + SECOND_DIGITS + TAG_DIGITS;
const CLIENT_KEY_CHARACTERS = ROW_KEY_CHARACTERS + CLIENT_DIGITS;
const ADDRESS_AT = ROWS.length + DAY_DIGITS;

const NOT_EXACT = 0x10;
const CLIENT_IDENTIFIER = 0x20;
const RESERVED = 0x40;
const KEY_IS_HARDWARE = 0x80;

/** How a lease ended, by number. `moved`: it goes on, but its client came from another relay port (option 82). */
export const TENURE_ENDS = { 1: 'expired', 2: 'released', 3: 'declined', 4: 'replaced', 5: 'moved' } as const;
export type TenureEndNumber = keyof typeof TENURE_ENDS;
export type TenureEnd = (typeof TENURE_ENDS)[TenureEndNumber];
export const MOVED: TenureEndNumber = 5;
export const REPLACED: TenureEndNumber = 4;

export interface HistoryRow {
  readonly address: number;
  /** UTC second of the change that ended it, by which the row is filed. */
  readonly noted: number;
  readonly end: TenureEndNumber;
  /** Whether it is known that the lease ended then and so; else it ended then at the latest, and not before its last transaction. */
  readonly exact: boolean;
  readonly start: number;
  readonly lastTransaction: number;
  readonly expires: number;
  readonly htype: number;
  readonly chaddr: Buffer;
  readonly clientKey: Buffer;
  readonly hasClientIdentifier: boolean;
  readonly reserved: boolean;
  readonly relayAgentInformation: Buffer;
  readonly hostname: Buffer;
  readonly vendorClass: Buffer;
}

export interface StoredRow {
  readonly key: string;
  readonly value: Buffer;
}

export const dayOf = (second: number): number => Math.floor(second / DAY_SECONDS);
export const dayKey = (prefix: typeof ROWS | typeof BY_CLIENT, day: number): string => prefix + writeDigits(day, DAY_DIGITS);

/** htype, then chaddr: what a client without an option 61 is known by. */
export function hardwareKey(htype: number, chaddr: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(1 + chaddr.length);
  key[0] = htype;
  key.set(chaddr, 1);
  return key;
}

function clientDigits(key: Uint8Array): string {
  return writeDigits(fingerprint(key, 1) * 2 ** 16 + (fingerprint(key, 2) >>> 16), CLIENT_DIGITS);
}

function tagOf(clientKey: Uint8Array, start: number): string {
  return writeDigits(fingerprint(clientKey, start) >>> 14, TAG_DIGITS);
}

/** The part of a row's key behind the day. */
function placeOf(address: number, noted: number, clientKey: Uint8Array, start: number): string {
  return writeDigits(address, ADDRESS_DIGITS) + writeDigits(noted % DAY_SECONDS, SECOND_DIGITS) + tagOf(clientKey, start);
}

export function rowKey({ address, clientKey, noted, start }: Pick<HistoryRow, 'address' | 'clientKey' | 'noted' | 'start'>): string {
  return dayKey(ROWS, dayOf(noted)) + placeOf(address, noted, clientKey, start);
}

/** By which a row's client is found. */
export function clientKeysOf({ chaddr, clientKey, htype, ...row }: HistoryRow): string[] {
  const day = dayKey(BY_CLIENT, dayOf(row.noted));
  const place = placeOf(row.address, row.noted, clientKey, row.start);
  const keys = clientKey.length === 0 ? [] : [day + clientDigits(clientKey) + place];
  const hardware = hardwareKey(htype, chaddr);
  if (chaddr.length > 0 && !sameBytes(hardware, clientKey)) keys.push(day + clientDigits(hardware) + place);
  return keys;
}

/** Where the rows of an address in a day lie: from the first text on, below the second. `second`: from that second of the day on. */
export function addressRange(day: number, address: number, second = 0): [string, string] {
  const prefix = dayKey(ROWS, day) + writeDigits(address, ADDRESS_DIGITS);
  return [second === 0 ? prefix : prefix + writeDigits(second, SECOND_DIGITS), `${prefix}~`];
}

/** The same of the keys by client. */
export function clientRange(day: number, key: Uint8Array): [string, string] {
  const prefix = dayKey(BY_CLIENT, day) + clientDigits(key);
  return [prefix, `${prefix}~`];
}

/** The key of the row that a key by client leads to. */
export function rowKeyOfClientKey(key: string): string | undefined {
  if (key.length !== CLIENT_KEY_CHARACTERS) return undefined;
  return ROWS + key.slice(BY_CLIENT.length, ADDRESS_AT) + key.slice(ADDRESS_AT + CLIENT_DIGITS);
}

/** `record`: the lease as it was before the change that ended it. */
export function rowOf(address: number, record: Buffer, noted: number, end: TenureEndNumber, exact: boolean): HistoryRow {
  return {
    address, noted, end, exact, start: recordStateSince(record), lastTransaction: recordLastTransaction(record), expires: recordExpires(record),
    htype: recordHtype(record), chaddr: recordChaddr(record), clientKey: recordClientKey(record),
    hasClientIdentifier: recordHasClientIdentifier(record), reserved: recordReserved(record),
    relayAgentInformation: recordSection(record, SectionKind.relayAgentInformation), hostname: recordSection(record, SectionKind.hostname),
    vendorClass: recordSection(record, SectionKind.vendorClass),
  };
}

/** The row as a binding, for what reads those: `state` is the one that it is shown with. */
export function bindingOf(row: HistoryRow, state: BindingState): Buffer {
  const { chaddr, clientKey, expires, hasClientIdentifier, hostname, htype, lastTransaction, relayAgentInformation, reserved, start, vendorClass } = row;
  return encodeRecord({
    state, hasClientIdentifier, reserved, htype, chaddr, clientKey, stateSince: start, lastTransaction, expires, leaseSeconds: 0, xid: 0,
    relayAgentInformation, hostname, vendorClass,
  });
}

export function encodeRow(row: HistoryRow): StoredRow {
  const { chaddr, clientKey, hostname, relayAgentInformation, vendorClass } = row;
  const isHardware = sameBytes(hardwareKey(row.htype, chaddr), clientKey);
  const sections: [number, Buffer][] = [];
  for (const [kind, bytes] of [
    [SectionKind.relayAgentInformation, relayAgentInformation], [SectionKind.hostname, hostname], [SectionKind.vendorClass, vendorClass],
  ] as const) if (bytes.length > 0) sections.push([kind, bytes]);
  const length = HEADER_BYTES + chaddr.length + (isHardware ? 0 : 2 + clientKey.length) + sections.reduce((sum, [, bytes]) => sum + 3 + bytes.length, 0);
  const value = Buffer.allocUnsafeSlow(length);
  value[0] = LAYOUT;
  value[1] = row.end | (row.exact ? 0 : NOT_EXACT) | (row.hasClientIdentifier ? CLIENT_IDENTIFIER : 0) | (row.reserved ? RESERVED : 0) |
    (isHardware ? KEY_IS_HARDWARE : 0);
  value[2] = row.htype;
  value[3] = chaddr.length;
  value.writeUInt32BE(row.start, 4);
  value.writeUInt32BE(row.lastTransaction, 8);
  value.writeUInt32BE(row.expires, 12);
  let at = HEADER_BYTES + chaddr.copy(value, HEADER_BYTES);
  if (!isHardware) {
    at = value.writeUInt16BE(clientKey.length, at);
    at += clientKey.copy(value, at);
  }
  for (const [kind, bytes] of sections) {
    value[at] = kind;
    value.writeUInt16BE(bytes.length, at + 1);
    at += 3 + bytes.copy(value, at + 3);
  }
  return { key: rowKey(row), value };
}

/** Whether a text of another node may stand for how far rows have been copied: a row's key, or empty for none. */
export function isPlace(text: string): boolean {
  return text === '' || (text.length === ROW_KEY_CHARACTERS && text.startsWith(ROWS) && readDigits(text.slice(ROWS.length)) !== undefined);
}

/** Undefined: no row of a layout that this version knows, or another row's key. */
export function decodeRow({ key, value }: StoredRow): HistoryRow | undefined {
  if (key.length !== ROW_KEY_CHARACTERS || !key.startsWith(ROWS) || value.length < HEADER_BYTES || value[0] !== LAYOUT) return undefined;
  const day = readDigits(key.slice(ROWS.length, ADDRESS_AT));
  const address = readDigits(key.slice(ADDRESS_AT, ADDRESS_AT + ADDRESS_DIGITS));
  const second = readDigits(key.slice(ADDRESS_AT + ADDRESS_DIGITS, -TAG_DIGITS));
  const end = value[1]! & 0x0f;
  const hlen = value[3]!;
  let at = HEADER_BYTES + hlen;
  if (day === undefined || address === undefined || address > 0xffff_ffff || second === undefined || second >= DAY_SECONDS) return undefined;
  if (!(end in TENURE_ENDS) || hlen > 16 || at > value.length) return undefined;
  const chaddr = value.subarray(HEADER_BYTES, at);
  let clientKey = hardwareKey(value[2]!, chaddr);
  if ((value[1]! & KEY_IS_HARDWARE) === 0) {
    if (at + 2 > value.length) return undefined;
    const from = at + 2;
    at = from + value.readUInt16BE(at);
    if (at > value.length) return undefined;
    clientKey = value.subarray(from, at);
  }
  const sections = new Map<number, Buffer>();
  while (at < value.length) {
    if (at + 3 > value.length) return undefined;
    const from = at + 3;
    const kind = value[at]!;
    at = from + value.readUInt16BE(at + 1);
    if (at > value.length) return undefined;
    sections.set(kind, value.subarray(from, at));
  }
  const row: HistoryRow = {
    address, noted: day * DAY_SECONDS + second, end: end as TenureEndNumber, exact: (value[1]! & NOT_EXACT) === 0,
    start: value.readUInt32BE(4), lastTransaction: value.readUInt32BE(8), expires: value.readUInt32BE(12), htype: value[2]!, chaddr, clientKey,
    hasClientIdentifier: (value[1]! & CLIENT_IDENTIFIER) !== 0, reserved: (value[1]! & RESERVED) !== 0,
    relayAgentInformation: sections.get(SectionKind.relayAgentInformation) ?? EMPTY, hostname: sections.get(SectionKind.hostname) ?? EMPTY,
    vendorClass: sections.get(SectionKind.vendorClass) ?? EMPTY,
  };
  return rowKey(row) === key ? row : undefined;
}

const EMPTY = Buffer.alloc(0);
