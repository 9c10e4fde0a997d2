/**
 * Before an address is given to a client that has not had it, the network is asked whether somebody uses it
 * (RFC 2131 §2.2 and §3.1, RFC 4039 §3.1), where the configuration says so, or while leases may be held that no
 * record tells of (`ClusterView.probingSince`). An answer takes the address out
 * of use, as a DHCPDECLINE does, and the client's packet is handled anew with the next turn, once that is
 * stored; silence lets it go on.
 */
import { formatHardware, HTYPE_ETHERNET } from '../codec/address.ts';
import type { ConflictCheck } from '../config/types.ts';
import { BindingState, encodeRecord, recordChaddr, recordClientKey, recordEpoch, recordSection, recordState, SectionKind } from '../lease/record.ts';
import { sameBytes } from '../lease/fingerprint.ts';
import { reuseSeconds } from '../lease/reuse.ts';
import { wallSeconds } from '../time.ts';
import type { Now } from '../time.ts';
import { exchangeEvent } from './describe.ts';
import { drop, isClients, isReservedFor, mayUse, termsOf } from './exchange.ts';
import type { Exchange, Give, ServerContext } from './exchange.ts';
import { exhausted } from './exhausted.ts';
import { change } from './grant.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';

const EMPTY = Buffer.alloc(0);
/** Where an address must be probed and the configuration does not say how. */
const FORCED_CHECK: ConflictCheck = { method: 'arp', timeoutMs: 500, cacheSeconds: 300 };

/** Gives the address, at once or when it is known that nobody uses it. */
export function unlessInUse(context: ServerContext, x: Exchange, address: number, give: Give): Decision {
  const { method, timeoutMs } = checkOf(context, x, address);
  if (method === 'none') return give(context, x, address);
  const { message, network, packet } = x;
  // A copy, or a client that asks again: it waits for the same answer.
  if (context.probes.isAsking(network.index, x.clientKey)) return drop(context, 'duplicate');
  if (!needsProbe(context, x, address)) return give(context, x, address);
  if (!context.offers.hold(address, x.clientKey, x.now, message.xid)) return exhausted(context, x);
  const record = context.table.read(address);
  const id = context.probes.add({ packet, address, record, networkIndex: network.index, clientKey: x.clientKey, foundInUse: x.foundInUse }, x.now);
  if (typeof id === 'string') {
    // Held, it would be given without a question when the client asks again.
    context.offers.release(address);
    return drop(context, id);
  }
  const chaddr = Buffer.from(message.chaddr());
  return { ...NOTHING, probes: [{ id, address, iface: packet.iface, method, timeoutMs, targetLocal: message.giaddr === 0, chaddr }] };
}

export function checkOf(context: ServerContext, x: Exchange, address: number): ConflictCheck {
  const { conflictCheck } = termsOf(context, x, address).scope;
  return conflictCheck.method === 'none' && context.cluster.probingSince() !== 0 ? FORCED_CHECK : conflictCheck;
}

/**
 * What the client has or had, what was found free for it, and what is reserved for it, it may use itself. Where leases
 * may be lost, the address may have been reserved for somebody else when it was given out last.
 */
function needsProbe(context: ServerContext, x: Exchange, address: number): boolean {
  const since = context.cluster.probingSince();
  const offer = context.offers.isHeldBy(address, x.clientKey) ? context.offers.holder(address) : undefined;
  // Held on behalf of another node, which has not said that it found the address free.
  const isFoundFree = since === 0 || offer?.xid !== 0;
  if (offer !== undefined && isFoundFree && x.foundInUse === 0) return false;
  if (context.probes.mayOfferUnprobed(address, x.now) || (since === 0 && isReservedFor(x, address))) return false;
  const record = context.table.read(address);
  if (record === undefined || recordState(record) === BindingState.ABANDONED || !isClients(record, x.clientKey)) return true;
  return since !== 0 && (recordState(record) !== BindingState.ACTIVE || isOutdated(context, record));
}

/** What an older generation knew of the client may be out of date: somebody else may have had the address since. */
export function isOutdated({ cluster }: ServerContext, record: Buffer): boolean {
  return recordEpoch(record) < cluster.probingSince();
}

/** A client has the address, or it is kept until no client goes by it any more. */
export function isTaken(record: Buffer, maxClockSkewMs: number, now: Now): boolean {
  return recordState(record) === BindingState.ACTIVE || reuseSeconds(record, maxClockSkewMs) > wallSeconds(now.wall);
}

/** A client that begins anew may still use the address that it had, also where a late release has ended its lease. */
export function mayBeItself(context: ServerContext, x: Exchange, record: Buffer | undefined, answeredBy: Buffer | undefined): boolean {
  if (record === undefined || recordState(record) === BindingState.ABANDONED || !isClients(record, x.clientKey)) return false;
  // One that has changed its network card, or two that share an identifier: the lease is that client's.
  if (answeredBy !== undefined) return sameBytes(answeredBy, x.message.chaddr()) || sameBytes(answeredBy, recordChaddr(record));
  if (recordState(record) === BindingState.ACTIVE) return true;
  return isTaken(record, context.config.maxClockSkewMs, x.now) && !isOutdated(context, record);
}

/** Somebody answered. The binding is no client's, and has the hardware address of who answered where it is known. */
export function abandonInUse(context: ServerContext, x: Exchange, address: number, answeredBy: Buffer | undefined): Decision {
  const second = wallSeconds(x.now.wall);
  const host = { htype: HTYPE_ETHERNET, chaddr: answeredBy ?? EMPTY };
  const replaced = context.table.read(address);
  const record = encodeRecord({
    state: BindingState.ABANDONED, hasClientIdentifier: false, reserved: false, ...host, clientKey: EMPTY,
    stateSince: second, lastTransaction: second, expires: second, leaseSeconds: 0, xid: 0, relayAgentInformation: EMPTY, hostname: EMPTY,
    // Names of earlier leases are still to be taken out of DNS.
    dns: replaced === undefined ? EMPTY : recordSection(replaced, SectionKind.dns),
  });
  const made = change(context, address, record);
  const usedBy = answeredBy === undefined ? {} : { usedBy: formatHardware(host) };
  return { ...NOTHING, ...made, events: [exchangeEvent('address.in-use', x, address, usedBy)] };
}

/** Somebody was found to use the address, and no client's word was taken for it. */
export function isFoundInUse(record: Buffer | undefined): record is Buffer {
  return record !== undefined && recordState(record) === BindingState.ABANDONED && recordClientKey(record).length === 0;
}

/** Whether it may have been this client, which says itself that it uses the address, and whose lease may be unknown. */
export function mayBeWhoAnswered(context: ServerContext, x: Exchange, address: number): boolean {
  const record = context.table.read(address);
  if (!isFoundInUse(record) || !mayUse(context, x, address) || context.quarantines.isBlocked(address)) return false;
  const hardware = recordChaddr(record);
  return (hardware.length === 0 || sameBytes(hardware, x.message.chaddr())) && (isReservedFor(x, address) || !context.table.isReserved(address, x.now));
}
