/**
 * DHCPRELEASE (RFC 2131 §4.3.4). A late or forged one would free an address in use, so it counts only
 * from the address itself or through a relay, and only with an xid that the binding has not seen.
 */
import { BindingState, recordState, recordXid, withState } from '../lease/record.ts';
import type { DropReason } from '../telemetry/counters.ts';
import { wallSeconds } from '../time.ts';
import { exchangeEvent } from './describe.ts';
import { drop, dropWith, isClients } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { change } from './grant.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';
import { isClusterIdentifier } from './responsibility.ts';

const SERVER_IDENTIFIER = 54;

export function onRelease(context: ServerContext, x: Exchange): Decision {
  const { message } = x;
  const address = message.ciaddr;
  const record = context.table.read(address);
  const refusal = whyRefused(context, x, record);
  if (refusal !== undefined) {
    return dropWith(context, refusal, exchangeEvent('dhcp.refused', x, address, { message: 'release', reason: refusal }));
  }
  const made = change(context, address, withState(record!, BindingState.RELEASED, wallSeconds(x.now.wall), message.xid));
  if (made === undefined) return drop(context, 'not-serving');
  return { ...NOTHING, ...made, events: [exchangeEvent('lease.released', x, address, { node: context.cluster.self })] };
}

function whyRefused(context: ServerContext, x: Exchange, record: Buffer | undefined): DropReason | undefined {
  const { message, packet } = x;
  const identifier = message.optionU32(SERVER_IDENTIFIER);
  if (identifier !== undefined && !isClusterIdentifier(context.cluster, x, identifier)) return 'unknown-server';
  if (message.giaddr === 0 && packet.sourceAddress !== message.ciaddr) return 'spoofed-release';
  if (record === undefined || !isClients(record, x.clientKey)) return 'no-binding';
  if (recordXid(record) === message.xid) return 'replayed-release';
  return recordState(record) === BindingState.ACTIVE ? undefined : 'no-binding';
}
