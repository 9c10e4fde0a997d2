/** What the handlers of the message types share: the parts of the server, and the packet at hand. */
import type { OfferBook } from '../allocation/offers.ts';
import { rfc3074Hash } from '../allocation/rfc3074.ts';
import type { DhcpMessage } from '../codec/message.ts';
import type { ClusterConfig, Reservation, SubnetConfig } from '../config/types.ts';
import type { LeaseTable } from '../lease/table.ts';
import { recordClientKey } from '../lease/record.ts';
import { sameBytes } from '../lease/fingerprint.ts';
import type { Counters, DropReason } from '../telemetry/counters.ts';
import type { Occurrence } from '../telemetry/events.ts';
import type { Now } from '../time.ts';
import type { Allocations } from './allocations.ts';
import { NOTHING } from './ports.ts';
import type { ClusterView, Decision, ReceivedPacket } from './ports.ts';
import type { Replies } from './replies.ts';
import type { Responsibility } from './responsibility.ts';
import type { Transactions } from './transactions.ts';

export interface ServerContext {
  readonly config: ClusterConfig;
  readonly table: LeaseTable;
  readonly offers: OfferBook;
  readonly cluster: ClusterView;
  readonly counters: Counters;
  /** Grants, renewals and ends of leases are events too. */
  readonly logLeases: boolean;
  readonly replies: Replies;
  readonly responsibility: Responsibility;
  readonly transactions: Transactions;
  readonly allocations: Allocations;
}

/** One request. Nothing in it outlives the step: the packet's buffer is used again. */
export interface Exchange {
  readonly packet: ReceivedPacket;
  readonly message: DhcpMessage;
  readonly subnet: SubnetConfig;
  readonly subnetIndex: number;
  /** Who the client is : see `identity` in the configuration. */
  readonly clientKey: Buffer;
  /** Option 61 made the key, not the hardware address. */
  readonly byClientIdentifier: boolean;
  readonly now: Now;
}

/** The slot that the client belongs to: RFC 3074 §5.1 hashes option 61 if sent, else chaddr. */
export function clientSlot(x: Exchange): number {
  return rfc3074Hash(x.byClientIdentifier ? x.clientKey : x.message.chaddr());
}

/** What is reserved for this client in its subnet. */
export function reservationOf(context: ServerContext, x: Exchange): Reservation | undefined {
  if (x.subnet.reservations.length === 0) return undefined;
  return context.table.reservedFor(x.subnetIndex, x.message.htype, x.message.chaddr(), x.message.option(61));
}

/** Whether the record names this very client. */
export function isClients(record: Buffer, clientKey: Uint8Array): boolean {
  return sameBytes(recordClientKey(record), clientKey);
}

/** Counts a packet that gets no answer; the one place where a handler ends without a reply. */
export function drop(context: ServerContext, reason: DropReason): Decision {
  context.counters.drop(reason);
  return NOTHING;
}

export function dropWith(context: ServerContext, reason: DropReason, event: Occurrence): Decision {
  context.counters.drop(reason);
  return { ...NOTHING, events: [event] };
}
