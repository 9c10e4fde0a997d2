/** Quarantines as operators name them and read them. */
import * as z from 'zod';
import { formatIpv4, parseIpv4 } from '../codec/address.ts';
import { relayIdentifier } from '../config/byte-kinds.ts';
import { BindingState, recordChaddr, recordClientKey, recordHasClientIdentifier, recordHtype, recordState } from '../lease/record.ts';
import type { LeaseTable } from '../lease/table.ts';
import type { Note } from '../notes/note.ts';
import { bytesText, hardwareText, QUARANTINE_MODES, quarantineNote, quarantineOf } from '../notes/quarantine.ts';
import type { Quarantine, QuarantineNote, QuarantineSubject } from '../notes/quarantine.ts';
import { INFINITE_SECONDS } from '../time.ts';
import { clientKeysOf } from './client-text.ts';
import { isoSeconds } from './lease-view.ts';
import { OperationError } from './operation.ts';

export const quarantineView = z.strictObject({
  id: z.int(),
  clientId: z.string().optional().describe('option 61 in hex'),
  hardware: z.string().optional(),
  address: z.ipv4().optional().describe('given to nobody'),
  circuitId: z.string().optional().describe('of the relay\'s port; 0x and hex where it is no text'),
  remoteId: z.string().optional().describe('of the relay; left out: of any'),
  mode: z.enum(QUARANTINE_MODES),
  until: z.string().nullable().describe('ISO 8601 UTC; null: until it is cleared'),
  reason: z.string(),
  by: z.string(),
  at: z.string(),
});
export type QuarantineView = z.output<typeof quarantineView>;

/** Undefined: the note is none, or cannot be read. */
export function viewOf(key: number, note: Note | undefined): QuarantineView | undefined {
  const quarantine = quarantineOf(key, note);
  if (note === undefined || quarantine === undefined) return undefined;
  const { at, by } = quarantineNote.parse(note.body);
  const { mode, reason, subject: { address, circuitId, clientId, hardware, remoteId } } = quarantine;
  return {
    id: key,
    ...(clientId === undefined ? {} : { clientId: Buffer.from(clientId, 'latin1').toString('hex') }),
    ...(hardware === undefined ? {} : { hardware: hardwareText(hardware) }),
    ...(address === undefined ? {} : { address: formatIpv4(address) }),
    ...(circuitId === undefined ? {} : { circuitId: bytesText(circuitId) }),
    ...(remoteId === undefined ? {} : { remoteId: bytesText(remoteId) }),
    mode, until: note.expires === INFINITE_SECONDS ? null : isoSeconds(note.expires), reason, by, at,
  };
}

/** Whom somebody names. Exactly one of the first three. */
export interface NamedSubject {
  readonly client?: string | undefined;
  readonly address?: string | undefined;
  readonly circuitId?: string | undefined;
  /** With a circuit-id. */
  readonly remoteId?: string | undefined;
}

/** @throws OperationError */
export function namedSubject({ address, circuitId, client, remoteId }: NamedSubject): QuarantineSubject {
  if (address !== undefined) return { address: parseIpv4(address)! };
  if (client !== undefined) return namedClient(client);
  const subject = { circuitId: portBytes('circuitId', circuitId!) };
  return remoteId === undefined ? subject : { ...subject, remoteId: portBytes('remoteId', remoteId) };
}

const ETHERNET_KEY_BYTES = 7;

function namedClient(client: string): QuarantineSubject {
  const keys = clientKeysOf(client);
  if (keys.length === 0) {
    throw new OperationError('bad-request', `client: expected a hardware address like 52:54:00:12:34:56, or a client identifier in hex, found "${client}"`);
  }
  const clientId = keys.find(({ isHardware }) => !isHardware)?.key;
  // What `lessor leases` shows as the client of one that sends no identifier is the hardware address and its type.
  const isBoth = clientId !== undefined && clientId.length === ETHERNET_KEY_BYTES && clientId[0] === 1;
  const hardware = isBoth ? clientId : keys.find(({ isHardware }) => isHardware)?.key;
  return {
    ...(clientId === undefined ? {} : { clientId: clientId.toString('latin1') }), ...(hardware === undefined ? {} : { hardware: hardware.toString('latin1') }),
  };
}

function portBytes(name: string, text: string): string {
  const bytes = relayIdentifier.read(text);
  if (bytes === undefined) throw new OperationError('bad-request', `${name}: expected text, or 0x and pairs of hexadecimal digits, of 1 to 255 bytes, found "${text}"`);
  return bytes;
}

/** With the client that has the address now, by all its names. */
export function withHolder(subject: QuarantineSubject, table: LeaseTable): QuarantineSubject {
  if (subject.address === undefined) return subject;
  const record = table.read(subject.address);
  if (record === undefined || recordState(record) !== BindingState.ACTIVE) return subject;
  const chaddr = recordChaddr(record);
  return {
    ...subject,
    ...(recordHasClientIdentifier(record) ? { clientId: recordClientKey(record).toString('latin1') } : {}),
    ...(chaddr.length === 0 ? {} : { hardware: String.fromCharCode(recordHtype(record)) + chaddr.toString('latin1') }),
  };
}

/** Naming the one again changes it, and makes no second one. */
export function isSameSubject(one: QuarantineSubject, other: QuarantineSubject): boolean {
  if (one.address !== undefined || other.address !== undefined) return one.address === other.address;
  return one.clientId === other.clientId && one.hardware === other.hardware && one.circuitId === other.circuitId && one.remoteId === other.remoteId;
}

/** Whether who names `named` means this one: any name of a client, a port at any relay. */
export function concerns({ subject }: Quarantine, named: QuarantineSubject): boolean {
  if (named.address !== undefined) return subject.address === named.address;
  if (named.circuitId !== undefined) return subject.circuitId === named.circuitId && (named.remoteId === undefined || subject.remoteId === named.remoteId);
  return (named.clientId !== undefined && subject.clientId === named.clientId) || (named.hardware !== undefined && subject.hardware === named.hardware);
}

/** The note's text. */
export function noteBody(subject: QuarantineSubject, more: Pick<QuarantineNote, 'mode' | 'reason' | 'by' | 'at'>): QuarantineNote {
  const { address, circuitId, clientId, hardware, remoteId } = subject;
  const hex = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('hex');
  return {
    ...(clientId === undefined ? {} : { clientId: hex(clientId) }), ...(hardware === undefined ? {} : { hardware: hex(hardware) }),
    ...(address === undefined ? {} : { address: formatIpv4(address) }),
    ...(circuitId === undefined ? {} : { circuitId: hex(circuitId) }), ...(remoteId === undefined ? {} : { remoteId: hex(remoteId) }),
    ...more,
  };
}
