/**
 * DHCPDISCOVER (RFC 2131 §4.3.1): which address to offer. Nothing is stored; the address is held in
 * memory for the client.
 */
import { rfc3074Hash } from '../allocation/rfc3074.ts';
import type { Reservation } from '../config/types.ts';
import { exhaustedEvent } from './describe.ts';
import { clientSlot, drop, dropWith, reservationOf } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';
import type { Now } from '../time.ts';
import { recordState, BindingState } from '../lease/record.ts';

const REQUESTED_ADDRESS = 50;

export function onDiscover(context: ServerContext, x: Exchange): Decision {
  const silence = context.responsibility.balanced(x);
  if (silence !== undefined) return drop(context, silence);
  const address = chooseAddress(context, x);
  return address !== 0 ? offer(context, x, address) : borrow(context, x, []);
}

/** The order of RFC 2131 §4.3.1, a reservation before all else; 0 when this node has none to offer. */
function chooseAddress(context: ServerContext, x: Exchange): number {
  const { table, cluster } = context;
  const reservation = reservationOf(context, x);
  if (reservation !== undefined && mayOffer(context, x, reservation.address, reservation)) return reservation.address;
  // Its slot may be another owner's: an offer writes nothing.
  const earlier = table.findByClient(x.clientKey, x.subnetIndex);
  if (earlier !== 0 && mayOffer(context, x, earlier, reservation)) return earlier;
  const held = context.offers.find(x.clientKey, x.subnetIndex);
  if (held !== 0 && isStillFree(context, x, held, reservation)) return held;
  const wanted = x.message.optionU32(REQUESTED_ADDRESS) ?? 0;
  if (wanted !== 0 && cluster.owns(wanted & 255) && mayOffer(context, x, wanted, reservation)) return wanted;
  return table.allocate(x.subnetIndex, cluster, cluster.homeOf(clientSlot(x)), x.now);
}

function mayOffer(context: ServerContext, x: Exchange, address: number, reservation: Reservation | undefined): boolean {
  return context.table.mayGive(address, x.clientKey, x.subnetIndex, x.now, reservation);
}

/** What is held for the client may be an abandoned address, which nobody is given otherwise. */
function isStillFree(context: ServerContext, x: Exchange, held: number, reservation: Reservation | undefined): boolean {
  if (mayOffer(context, x, held, reservation)) return true;
  const record = context.table.read(held);
  return record !== undefined && recordState(record) === BindingState.ABANDONED && context.cluster.owns(held & 255);
}

function offer(context: ServerContext, x: Exchange, address: number): Decision {
  if (!context.offers.hold(address, x.clientKey, x.now, x.message.xid)) return exhausted(context, x);
  return { ...NOTHING, sendNow: [context.replies.offer(x, address)] };
}

/**
 * This node's slots have no free address: another owner is asked for one. A pool is exhausted only when
 * every share is; abandoned addresses come last, oldest first.
 */
function borrow(context: ServerContext, x: Exchange, asked: readonly string[]): Decision {
  const owner = nextOwner(context, x.subnetIndex, asked);
  if (owner !== undefined) {
    const { id, evicted } = context.allocations.add(x.packet, x.subnetIndex, [...asked, owner]);
    if (evicted) context.counters.drop('overload');
    return { ...NOTHING, allocations: [{ id, owner, subnetIndex: x.subnetIndex, clientKey: Buffer.from(x.clientKey) }] };
  }
  const abandoned = context.table.allocateAbandoned(x.subnetIndex, context.cluster, x.now);
  return abandoned !== 0 ? offer(context, x, abandoned) : exhausted(context, x);
}

/** The owner with the most free addresses that was not asked yet; one whose link is up goes first. */
function nextOwner(context: ServerContext, subnetIndex: number, asked: readonly string[]): string | undefined {
  const { cluster } = context;
  const free = context.table.freeBySlot(subnetIndex);
  const byOwner = new Map<string, number>();
  for (let slot = 0; slot < 256; slot++) {
    const count = free[slot]!;
    const owner = count > 0 ? cluster.ownerOf(slot) : undefined;
    if (owner === undefined || owner === cluster.self || asked.includes(owner)) continue;
    byOwner.set(owner, (byOwner.get(owner) ?? 0) + count);
  }
  let best: string | undefined;
  let bestRank = -1;
  for (const [owner, count] of byOwner) {
    const rank = count + (cluster.isReachable(owner) ? 2 ** 32 : 0);
    if (rank > bestRank) {
      best = owner;
      bestRank = rank;
    }
  }
  return best;
}

function exhausted(context: ServerContext, x: Exchange): Decision {
  if (!context.allocations.reportExhausted(x.subnetIndex, x.now)) return drop(context, 'pool-exhausted');
  return dropWith(context, 'pool-exhausted', exhaustedEvent(x));
}

/** The other owner's answer to the request made by `borrow`; address 0: it has none. */
export function onBorrowed(context: ServerContext, x: Exchange, address: number, asked: readonly string[]): Decision {
  if (address !== 0 && mayOffer(context, x, address, reservationOf(context, x))) return offer(context, x, address);
  return borrow(context, x, asked);
}

/** As an owner, for another node's client: holds a free address of an owned slot; 0 when there is none. */
export function allocateFor(context: ServerContext, subnetIndex: number, clientKey: Buffer, now: Now): number {
  const { table, offers, cluster } = context;
  if (!cluster.serving() || context.config.subnets[subnetIndex] === undefined) return 0;
  const held = offers.find(clientKey, subnetIndex);
  const again = held !== 0 && cluster.owns(held & 255) && table.mayGive(held, clientKey, subnetIndex, now);
  const address = again ? held : table.allocate(subnetIndex, cluster, cluster.homeOf(rfc3074Hash(clientKey)), now);
  return address !== 0 && offers.hold(address, clientKey, now, 0) ? address : 0;
}
