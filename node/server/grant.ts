/** Granting and renewing: the change of the binding, and the DHCPACK that waits for it. */
import { HOSTNAME_BYTES_MAX } from '../limits.ts';
import {
  BindingState, encodeRecord, recordExpires, recordLeaseSeconds, recordSection, recordState, recordStateSince, SectionKind,
} from '../lease/record.ts';
import { INFINITE_SECONDS, wallSeconds, wallSecondsUp } from '../time.ts';
import type { Occurrence } from '../telemetry/events.ts';
import { exchangeEvent } from './describe.ts';
import { drop } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';
import type { ClientState } from './request.ts';

const HOST_NAME = 12;
const RELAY_AGENT_INFORMATION = 82;
const EMPTY = Buffer.alloc(0);
const NO_EVENTS: readonly Occurrence[] = Object.freeze([]);

/**
 * Who makes a change of the address's binding: this node now, or the owner that the view names. That
 * may be this node itself, as long as it has not finished taking the slot over. Undefined: nobody.
 */
export function change(context: ServerContext, address: number, record: Buffer): Pick<Decision, 'changes' | 'forwarded'> | undefined {
  const { cluster } = context;
  const slot = address & 255;
  if (cluster.owns(slot)) return { changes: [{ address, record }], forwarded: NOTHING.forwarded };
  const owner = cluster.ownerOf(slot);
  return owner === undefined ? undefined : { changes: NOTHING.changes, forwarded: [{ owner, address, record }] };
}

/** `own`: the client's own record of the address, if it has one. */
export function grant(context: ServerContext, x: Exchange, address: number, own: Buffer | undefined, clientState: ClientState): Decision {
  const { leaseSeconds } = x.subnet;
  const renewed = own !== undefined && recordState(own) === BindingState.ACTIVE ? own : undefined;
  const extending = clientState === 'RENEWING' || clientState === 'REBINDING';
  const made = change(context, address, bindingOf(context, x, address, renewed, extending));
  if (made === undefined) return drop(context, 'not-serving');
  if (made.forwarded.length > 0) context.transactions.forwarded(address, x.message.xid, x.now);
  const reply = context.replies.grant(x, address, leaseSeconds);
  return {
    changes: made.changes, forwarded: made.forwarded, allocations: NOTHING.allocations, sendNow: NOTHING.sendNow,
    sendOnCommit: [{ address, reply, confirm: false }], sendOnConfirm: NOTHING.sendOnConfirm,
    events: context.logLeases
      ? [exchangeEvent(renewed !== undefined ? 'lease.renewed' : 'lease.granted', x, address, { clientState, leaseSeconds })]
      : NO_EVENTS,
  };
}

/** A copy of a request that was granted: nothing changes, the reply waits for what the first one stored. */
export function answerAgain(context: ServerContext, x: Exchange, address: number, record: Buffer): Decision {
  const reply = context.replies.grant(x, address, remainingSeconds(record, x));
  return { ...NOTHING, sendOnCommit: [{ address, reply, confirm: true }] };
}

/** The client counts from when it sent this copy, which is later than when the lease was counted from. */
function remainingSeconds(record: Buffer, x: Exchange): number {
  const expires = recordExpires(record);
  if (expires === INFINITE_SECONDS) return INFINITE_SECONDS;
  return Math.max(0, Math.min(expires - wallSecondsUp(x.now.wall), recordLeaseSeconds(record)));
}

/** `renewed`: the lease that the client has; `extending`: it sent no more than it takes to extend it. */
function bindingOf(context: ServerContext, x: Exchange, address: number, renewed: Buffer | undefined, extending: boolean): Buffer {
  const { message, subnet, now } = x;
  const { leaseSeconds } = subnet;
  const second = wallSeconds(now.wall);
  const end = wallSecondsUp(now.wall) + leaseSeconds;
  // A unicast renewal passes no relay: what the relay said of the client stays known (RFC 3046 §2.2).
  const kept = extending ? renewed : undefined;
  const information = message.option(RELAY_AGENT_INFORMATION) ??
    (kept === undefined ? EMPTY : recordSection(kept, SectionKind.relayAgentInformation));
  const hostname = message.option(HOST_NAME) ?? (kept === undefined ? EMPTY : recordSection(kept, SectionKind.hostname));
  return encodeRecord({
    state: BindingState.ACTIVE,
    hasClientIdentifier: x.byClientIdentifier,
    reserved: subnet.reservations.length > 0 && context.table.isReserved(address),
    htype: message.htype,
    chaddr: message.chaddr(),
    clientKey: x.clientKey,
    stateSince: renewed === undefined ? second : recordStateSince(renewed),
    lastTransaction: second,
    expires: leaseSeconds === INFINITE_SECONDS || end >= INFINITE_SECONDS ? INFINITE_SECONDS : end,
    leaseSeconds,
    xid: message.xid,
    relayAgentInformation: information,
    hostname: hostname.length > HOSTNAME_BYTES_MAX ? hostname.subarray(0, HOSTNAME_BYTES_MAX) : hostname,
  });
}
