/** A DHCPLEASEQUERY as an access concentrator sends it (RFC 4388 §6.2), and what its answer says. */
import { OptionCode } from '../../../node/codec/message.ts';
import { QueryOption, QueryType } from '../../../node/leasequery/messages.ts';
import { clientPacket, ip, parseReply } from '../../support/client-packets.ts';
import type { ClientFields } from '../../support/client-packets.ts';

/** In no subnet of a simulated world. */
export const REQUESTOR: number = ip('10.9.0.1');
export const SERVER_PORT = 67;

const NOTHING = Buffer.alloc(0);
const NOT_KNOWN: ClientFields = { htype: 0, chaddr: NOTHING };
const WANTED = [OptionCode.LEASE_TIME, OptionCode.CLIENT_IDENTIFIER, QueryOption.CLIENT_LAST_TRANSACTION_TIME];

/** What is asked for. */
export type Subject =
  | { readonly by: 'address'; readonly address: number }
  | { readonly by: 'hardware'; readonly chaddr: Buffer }
  | { readonly by: 'client-id'; readonly clientId: Buffer };

const OUTCOMES: Readonly<Record<number, 'active' | 'unassigned' | 'unknown'>> = {
  [QueryType.LEASEACTIVE]: 'active', [QueryType.LEASEUNASSIGNED]: 'unassigned', [QueryType.LEASEUNKNOWN]: 'unknown',
};

export interface LeaseAnswer {
  readonly xid: number;
  readonly outcome: 'active' | 'unassigned' | 'unknown';
  readonly address: number;
  readonly chaddr: Buffer;
  readonly clientId: Buffer | undefined;
  /** All leases of the client, the newest one first; its only one otherwise. */
  readonly leases: readonly number[];
}

export function leaseQuery(xid: number, subject: Subject): Buffer {
  return clientPacket(QueryType.LEASEQUERY, { xid, giaddr: REQUESTOR, parameters: WANTED, ...fieldsOf(subject) });
}

function fieldsOf(subject: Subject): ClientFields {
  switch (subject.by) {
    case 'address': return { ...NOT_KNOWN, ciaddr: subject.address };
    case 'hardware': return { chaddr: subject.chaddr };
    case 'client-id': return { ...NOT_KNOWN, clientId: subject.clientId };
    default: return subject satisfies never;
  }
}

export function readAnswer(bytes: Buffer): LeaseAnswer {
  const message = parseReply(bytes);
  const outcome = OUTCOMES[message.type];
  if (outcome === undefined) throw new Error(`a LEASEQUERY was answered by a message of type ${message.type}`);
  const associated = message.option(QueryOption.ASSOCIATED_IP);
  const leases = associated === undefined ? [message.ciaddr] : Array.from({ length: associated.length / 4 }, (_, i) => associated.readUInt32BE(i * 4));
  const clientId = message.option(OptionCode.CLIENT_IDENTIFIER);
  return {
    xid: message.xid, outcome, address: message.ciaddr, chaddr: Buffer.from(message.chaddr()), leases: outcome === 'active' ? leases : [],
    clientId: clientId && Buffer.from(clientId),
  };
}

/** For comparison: the same whichever node says it. */
export function textOf({ outcome, address, chaddr, clientId, leases }: LeaseAnswer): string {
  return [outcome, address, chaddr.toString('hex'), clientId?.toString('hex') ?? '-', ...leases].join(' ');
}
