/**
 * Notes: what the cluster keeps for its operators, in the replicated store beside the bindings, under keys that are
 * addresses nobody can lease (0.0.0.0/8). A note is a record like a binding's, without a client, in state ACTIVE, with
 * its text as JSON in the section `note`; so it is owned by slot, replicated, committed, fetched by nodes that join,
 * and ends at its time as a lease does. Only under PROTOCOL_NAMES_AND_NOTES.
 */
import { ADDRESSES_BEGIN, BindingState, encodeRecord, recordExpires, recordSection, recordState, recordStateSince, SectionKind, withSection, withState } from '../lease/record.ts';
import { NOTE_BYTES_MAX } from '../limits.ts';

/** Keys below are notes' or nobody's. */
export const NOTE_KEYS_END = ADDRESSES_BEGIN;

/** The keys of each kind, both ends included. */
export const NOTE_KEYS = {
  quarantine: { first: 0x00_0100, last: 0x00_ffff },
  audit: { first: 0x80_0000, last: 0x80_ffff },
  /** Attempts at changes that were refused. */
  refusal: { first: 0x81_0000, last: 0x81_1fff },
} as const;
export type NoteKind = keyof typeof NOTE_KEYS;

const KINDS: readonly NoteKind[] = ['quarantine', 'audit', 'refusal'];
const EMPTY = Buffer.alloc(0);

/** Undefined: an address, or a key of a later version. */
export function noteKind(key: number): NoteKind | undefined {
  if (key >= NOTE_KEYS_END) return undefined;
  return KINDS.find((kind) => key >= NOTE_KEYS[kind].first && key <= NOTE_KEYS[kind].last);
}

/** What of a text does not fit is for the caller to cut: `body` as JSON has NOTE_BYTES_MAX bytes at most. */
export function fitsNote(body: object): boolean {
  return Buffer.byteLength(JSON.stringify(body)) <= NOTE_BYTES_MAX;
}

/** `since`, `expires`: UTC seconds; INFINITE_SECONDS: until it is taken back. */
export function encodeNote(body: object, since: number, expires: number): Buffer {
  const record = encodeRecord({
    state: BindingState.ACTIVE, hasClientIdentifier: false, reserved: false, htype: 0, chaddr: EMPTY, clientKey: EMPTY,
    stateSince: since, lastTransaction: since, expires, leaseSeconds: 0, xid: 0, relayAgentInformation: EMPTY, hostname: EMPTY,
  });
  return withSection(record, SectionKind.note, Buffer.from(JSON.stringify(body)));
}

/** The note is over; what it said is gone from here on. */
export function endedNote(record: Buffer, state: typeof BindingState.EXPIRED | typeof BindingState.RELEASED, since: number): Buffer {
  return withState(withSection(record, SectionKind.note, EMPTY), state, since);
}

export interface Note {
  /** As it was given to `encodeNote`, by whichever version; undefined: it cannot be read. */
  readonly body: unknown;
  readonly since: number;
  readonly expires: number;
}

/** Undefined: there is none (any more). A note whose time is over but was not ended yet is still read: compare `expires`. */
export function readNote(record: Buffer | undefined): Note | undefined {
  if (record === undefined || recordState(record) !== BindingState.ACTIVE) return undefined;
  return { body: jsonOf(recordSection(record, SectionKind.note)), since: recordStateSince(record), expires: recordExpires(record) };
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch {
    return undefined;
  }
}
