/**
 * Before an address is given to a client that has not had it, the network is asked whether somebody uses it
 * (RFC 2131 §2.2 and §3.1, RFC 4039 §3.1), where the configuration says so. An answer takes the address out
 * of use, as a DHCPDECLINE does, and the client's packet is handled anew with the next turn, once that is
 * stored; silence lets it go on.
 */
import { formatHardware, HTYPE_ETHERNET } from '../codec/address.ts';
import { BindingState, encodeRecord, recordState } from '../lease/record.ts';
import { wallSeconds } from '../time.ts';
import { exchangeEvent } from './describe.ts';
import { drop, isClients, isReservedFor, termsOf } from './exchange.ts';
import type { Exchange, Give, ServerContext } from './exchange.ts';
import { exhausted } from './exhausted.ts';
import { change } from './grant.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';

const EMPTY = Buffer.alloc(0);

/** Gives the address, at once or when it is known that nobody uses it. */
export function unlessInUse(context: ServerContext, x: Exchange, address: number, give: Give): Decision {
  const { scope } = termsOf(context, x, address);
  const { method, timeoutMs } = scope.conflictCheck;
  if (method === 'none') return give(context, x, address);
  const { message, network, packet } = x;
  // A copy, or a client that asks again: it waits for the same answer.
  if (context.probes.isAsking(network.index, x.clientKey)) return drop(context, 'duplicate');
  if (!needsProbe(context, x, address)) return give(context, x, address);
  if (!context.offers.hold(address, x.clientKey, x.now, message.xid)) return exhausted(context, x);
  const id = context.probes.add({ packet, address, networkIndex: network.index, clientKey: x.clientKey, foundInUse: x.foundInUse }, x.now);
  if (typeof id === 'string') {
    // Held, it would be given without a question when the client asks again.
    context.offers.release(address);
    return drop(context, id);
  }
  const chaddr = Buffer.from(message.chaddr());
  return { ...NOTHING, probes: [{ id, address, iface: packet.iface, method, timeoutMs, targetLocal: message.giaddr === 0, chaddr }] };
}

/** What the client has or had, what was found free for it, and what is reserved for it, it may use itself. */
function needsProbe(context: ServerContext, x: Exchange, address: number): boolean {
  if (context.offers.isHeldBy(address, x.clientKey) && x.foundInUse === 0) return false;
  if (context.probes.mayOfferUnprobed(address, x.now) || isReservedFor(x, address)) return false;
  const record = context.table.read(address);
  return record === undefined || recordState(record) === BindingState.ABANDONED || !isClients(record, x.clientKey);
}

/** Somebody answered. The binding is no client's, and has the hardware address of who answered where it is known. */
export function abandonInUse(context: ServerContext, x: Exchange, address: number, answeredBy: Buffer | undefined): Decision {
  const second = wallSeconds(x.now.wall);
  const host = { htype: HTYPE_ETHERNET, chaddr: answeredBy ?? EMPTY };
  const record = encodeRecord({
    state: BindingState.ABANDONED, hasClientIdentifier: false, reserved: false, ...host, clientKey: EMPTY,
    stateSince: second, lastTransaction: second, expires: second, leaseSeconds: 0, xid: 0, relayAgentInformation: EMPTY, hostname: EMPTY,
  });
  const made = change(context, address, record);
  const usedBy = answeredBy === undefined ? {} : { usedBy: formatHardware(host) };
  return { ...NOTHING, ...made, events: [exchangeEvent('address.in-use', x, address, usedBy)] };
}
