/**
 * DHCPDECLINE (RFC 2131 §4.3.3): the client found the address in use. It becomes ABANDONED, but only
 * on the word of the client that has it or was offered it, or anybody could empty a pool.
 */
import { BindingState, encodeRecord, recordSection, recordState, SectionKind, withState } from '../lease/record.ts';
import type { DropReason } from '../telemetry/counters.ts';
import { wallSeconds } from '../time.ts';
import { exchangeEvent } from './describe.ts';
import { drop, dropWith, isClients, isReservedFor } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { change } from './grant.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';
import { isClusterIdentifier } from './responsibility.ts';

const REQUESTED_ADDRESS = 50;
const SERVER_IDENTIFIER = 54;
const EMPTY = Buffer.alloc(0);

export function onDecline(context: ServerContext, x: Exchange): Decision {
  const address = x.message.optionU32(REQUESTED_ADDRESS) ?? 0;
  if (address === 0) return drop(context, 'no-address');
  const record = context.table.read(address);
  const active = record !== undefined && recordState(record) === BindingState.ACTIVE ? record : undefined;
  const refusal = whyRefused(context, x, address, active);
  if (refusal !== undefined) {
    return dropWith(context, refusal, exchangeEvent('dhcp.refused', x, address, { message: 'decline', reason: refusal }));
  }
  const flooding = context.flood.decline(x.clientKey, x.now);
  if (flooding !== undefined) {
    const event = context.flood.declineFlood(x.network.index, x.now, () => exchangeEvent('dhcp.decline-flood', x, address).fields);
    return event === undefined ? drop(context, flooding) : dropWith(context, flooding, event);
  }
  const made = change(context, address, active === undefined ? offeredBinding(x, address, record) : abandoned(x, active));
  if (made === undefined) return drop(context, 'not-serving');
  context.probes.forget(address);
  return { ...NOTHING, ...made, events: [exchangeEvent('lease.declined', x, address, { node: context.cluster.self })] };
}

function whyRefused(context: ServerContext, x: Exchange, address: number, active: Buffer | undefined): DropReason | undefined {
  const identifier = x.message.optionU32(SERVER_IDENTIFIER);
  if (identifier !== undefined && !isClusterIdentifier(context.cluster, x, identifier)) return 'unknown-server';
  if (active !== undefined) return isClients(active, x.clientKey) ? undefined : 'no-binding';
  return context.offers.isHeldBy(address, x.clientKey) ? undefined : 'no-binding';
}

function abandoned(x: Exchange, active: Buffer): Buffer {
  return withState(active, BindingState.ABANDONED, wallSeconds(x.now.wall), x.message.xid);
}

/** The client was offered the address and has no lease on it. */
function offeredBinding(x: Exchange, address: number, replaced: Buffer | undefined): Buffer {
  const { message } = x;
  const second = wallSeconds(x.now.wall);
  return encodeRecord({
    state: BindingState.ABANDONED, hasClientIdentifier: x.byClientIdentifier, reserved: isReservedFor(x, address),
    htype: message.htype, chaddr: message.chaddr(), clientKey: x.clientKey, stateSince: second, lastTransaction: second,
    expires: second, leaseSeconds: 0, xid: message.xid, relayAgentInformation: EMPTY, hostname: EMPTY,
    // Names of earlier leases are still to be taken out of DNS.
    dns: replaced === undefined ? EMPTY : recordSection(replaced, SectionKind.dns),
  });
}
