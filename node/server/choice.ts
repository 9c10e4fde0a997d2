/**
 * Which address a client that has none gets: the choice of RFC 2131 §4.3.1, and the way to another
 * owner where this node's own share is used up. Nothing is stored here; what becomes of the address
 * (an offer, a lease at once) is the message type's matter, see `Give`.
 */
import { fingerprint } from '../lease/fingerprint.ts';
import type { Now } from '../time.ts';
import { unlessInUse } from './conflict.ts';
import { clientSlot, drop, mayGive, mayGiveAbandoned, poolsOf } from './exchange.ts';
import type { Exchange, Give, ServerContext } from './exchange.ts';
import { exhausted } from './exhausted.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';

const REQUESTED_ADDRESS = 50;

/** Chooses and gives; where this node has none, another owner is asked, and `give` follows its answer. */
export function choose(context: ServerContext, x: Exchange, give: Give): Decision {
  const address = chooseAddress(context, x);
  return address !== 0 ? unlessInUse(context, x, address, give) : borrow(context, x, [], give);
}

/** The order of RFC 2131 §4.3.1, a reservation before all else; 0 when this node has none to give. */
export function chooseAddress(context: ServerContext, x: Exchange): number {
  const { table, cluster } = context;
  const reserved = x.reservation?.address;
  if (reserved !== undefined && mayGive(context, x, reserved)) return reserved;
  // Its slot may be another owner's: an offer writes nothing.
  const earlier = table.findByClient(x.clientKey, x.network.index);
  if (earlier !== 0 && mayGive(context, x, earlier)) return earlier;
  const held = context.offers.find(x.clientKey, x.network.index);
  if (held !== 0 && isStillFree(context, x, held)) return held;
  const wanted = x.message.optionU32(REQUESTED_ADDRESS) ?? 0;
  if (wanted !== 0 && cluster.owns(wanted & 255) && mayGive(context, x, wanted)) return wanted;
  return table.allocate(poolsOf(context, x), cluster, cluster.homeOf(clientSlot(x)), clientHash(x.clientKey), x.now);
}

/** Equal on all nodes, so that a hashed pool gives a client the same address whoever serves it. */
function clientHash(clientKey: Uint8Array): number {
  return fingerprint(clientKey, 0);
}

/** What is held for the client may be an abandoned address, which nobody is given otherwise. */
function isStillFree(context: ServerContext, x: Exchange, held: number): boolean {
  if (mayGive(context, x, held)) return true;
  return context.cluster.owns(held & 255) && mayGiveAbandoned(context, x, held);
}

/**
 * This node's slots have no free address: another owner is asked for one. The pools are exhausted only
 * when every share is; abandoned addresses come last, oldest first.
 */
function borrow(context: ServerContext, x: Exchange, asked: readonly string[], give: Give): Decision {
  const pools = poolsOf(context, x);
  const free = context.table.freeOfPools(pools);
  const owner = nextOwner(context, free, asked);
  if (owner !== undefined) {
    const { id, evicted } = context.allocations.add(x.packet, [...asked, owner]);
    if (evicted) context.counters.drop('overload');
    return { ...NOTHING, allocations: [{
      id, owner, pools: pools.map((index) => context.config.pools[index]!.id), clientKey: Buffer.from(x.clientKey), clientSlot: clientSlot(x),
    }] };
  }
  if (isTakingOver(context, free)) return drop(context, 'not-serving');
  const abandoned = context.table.allocateAbandoned(pools, context.cluster, x.now);
  return abandoned !== 0 ? unlessInUse(context, x, abandoned, give) : exhausted(context, x);
}

/** The owner with the most free addresses that was not asked yet; one whose link is up goes first. */
function nextOwner({ cluster }: ServerContext, free: Float64Array, asked: readonly string[]): string | undefined {
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

/** The view gives this node free addresses that it does not own yet: in a moment it will. */
function isTakingOver({ cluster }: ServerContext, free: Float64Array): boolean {
  return free.some((count, slot) => count > 0 && cluster.ownerOf(slot) === cluster.self && !cluster.owns(slot));
}

/** The other owner's answer to the request made by `borrow`; address 0: it has none. */
export function onBorrowed(context: ServerContext, x: Exchange, address: number, asked: readonly string[], give: Give): Decision {
  // Meanwhile this node may have gained addresses of its own, or holds one for the client since it asked again.
  const chosen = address !== 0 && mayGive(context, x, address) ? address : chooseAddress(context, x);
  return chosen !== 0 ? unlessInUse(context, x, chosen, give) : borrow(context, x, asked, give);
}

/** As an owner, for another node's client: holds a free address of an owned slot in these pools (by id); 0 when there is none. */
export function allocateFor(context: ServerContext, poolIds: readonly number[], clientKey: Buffer, slot: number, now: Now): number {
  const { table, offers, cluster, config } = context;
  if (!cluster.serving()) return 0;
  // A pool that this node's configuration does not have (yet) is passed over: its addresses are outside every pool here.
  const pools = poolIds.map((id) => table.poolOf(id)).filter((index) => index >= 0 && poolIds.includes(config.pools[index]!.id));
  const [first] = pools;
  if (first === undefined) return 0;
  const networkIndex = config.subnets[config.pools[first]!.subnetIndex]!.networkIndex;
  const held = offers.find(clientKey, networkIndex);
  const again = held !== 0 && cluster.owns(held & 255) && pools.includes(table.poolOf(held)) &&
    table.mayGive(held, clientKey, networkIndex, now, false);
  const address = again ? held : table.allocate(pools, cluster, cluster.homeOf(slot & 255), clientHash(clientKey), now);
  return address !== 0 && offers.hold(address, clientKey, now, 0) ? address : 0;
}
