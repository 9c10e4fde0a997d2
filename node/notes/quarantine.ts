/**
 * Quarantine notes: whom an operator has shut out, until when, and why. A note names a client, an address with whoever
 * had it, or a port of a relay.
 */
import * as z from 'zod';
import { formatHardware, formatIpv4, parseIpv4 } from '../codec/address.ts';
import type { Note } from './note.ts';

export const QUARANTINE_MODES = ['refuse', 'class'] as const;
export type QuarantineMode = (typeof QUARANTINE_MODES)[number];

const hex = z.string().regex(/^(?:[0-9a-f]{2})+$/);

/** Fields are only added. Bytes are in hex; a client has one of its two names or both, a port a circuit-id. */
export const quarantineNote = z.object({
  /** Option 61. */
  clientId: hex.optional(),
  /** htype, then chaddr. */
  hardware: hex.optional(),
  /** Given to nobody. */
  address: z.ipv4().optional(),
  /** Sub-options 1 and 2 of option 82; without the second one the port of any relay. */
  circuitId: hex.optional(),
  remoteId: hex.optional(),
  /** What a later version means by another one is at least this. */
  mode: z.enum(QUARANTINE_MODES).catch('refuse'),
  reason: z.string(),
  by: z.string(),
  /** ISO 8601 UTC. */
  at: z.string(),
});
export type QuarantineNote = z.output<typeof quarantineNote>;

/** Whom it is about; bytes as characters (latin1), so that they serve as keys of a map. */
export interface QuarantineSubject {
  readonly clientId?: string;
  readonly hardware?: string;
  readonly address?: number;
  readonly circuitId?: string;
  readonly remoteId?: string;
}

export interface Quarantine {
  /** Of its note. */
  readonly key: number;
  readonly subject: QuarantineSubject;
  readonly mode: QuarantineMode;
  readonly reason: string;
}

const latin1 = (text: string): string => Buffer.from(text, 'hex').toString('latin1');

/** Undefined: there is none (any more), or none that can be read. */
export function quarantineOf(key: number, note: Note | undefined): Quarantine | undefined {
  const read = quarantineNote.safeParse(note?.body);
  if (!read.success) return undefined;
  const { address, circuitId, clientId, hardware, mode, reason, remoteId } = read.data;
  return { key, mode, reason, subject: {
    ...(clientId === undefined ? {} : { clientId: latin1(clientId) }),
    ...(hardware === undefined ? {} : { hardware: latin1(hardware) }),
    ...(address === undefined ? {} : { address: parseIpv4(address)! }),
    ...(circuitId === undefined ? {} : { circuitId: latin1(circuitId) }),
    ...(remoteId === undefined ? {} : { remoteId: latin1(remoteId) }),
  } };
}

/** Which of the two weighs more. */
export function stricter(one: Quarantine | undefined, other: Quarantine | undefined): Quarantine | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.mode === 'class' && other.mode === 'refuse' ? other : one;
}

/** "port ge-0/0/7 of sw-12", "address 10.0.0.5 and client 52:54:00:12:34:56". */
export function subjectText({ address, circuitId, clientId, hardware, remoteId }: QuarantineSubject): string {
  if (circuitId !== undefined) return `port ${bytesText(circuitId)}${remoteId === undefined ? '' : ` of ${bytesText(remoteId)}`}`;
  const client = hardware === undefined ? clientId && Buffer.from(clientId, 'latin1').toString('hex') : hardwareText(hardware);
  const parts = [...(address === undefined ? [] : [`address ${formatIpv4(address)}`]), ...(client === undefined ? [] : [`client ${client}`])];
  return parts.join(' and ');
}

export function hardwareText(hardware: string): string {
  return formatHardware({ htype: hardware.charCodeAt(0), chaddr: Buffer.from(hardware.slice(1), 'latin1') });
}

/** As text where it is printable, else in hex. */
export function bytesText(bytes: string): string {
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(bytes) ? bytes : `0x${Buffer.from(bytes, 'latin1').toString('hex')}`;
}
