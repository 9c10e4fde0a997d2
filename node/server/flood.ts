/**
 * Protection against floods: token buckets for each client's packets, each relay's packets, each client's
 * declines and each requestor's LEASEQUERY, in tables of a fixed size. A packet that takes no token is dropped; it takes none
 * of another bucket either, so that a client over its own limit uses up nothing of its relay's.
 *
 * A bucket is its debt, what it lacks to be full, as it was at a moment. One that is full again says no more
 * than one that is not there. So a table that needs a place gives up the bucket with the least debt
 * of the few that may stand there, and of what was to be known as little as can be is lost. Whoever sends
 * under ever new names leaves debts of one token, which push out each other and neither the debt of a
 * client that is being held back nor that of a busy relay.
 *
 * What goes wrong is in the client's favour: whose bucket was given up has a full one. Two clients share a
 * bucket only if 32 bits under a seed that nobody outside knows are equal. A client is one behind each
 * relay: whoever forges its identifier behind another one does not use up its tokens. Against new names
 * with every packet only the limit for a relay helps; what comes in without a relay has none.
 */
import type { FloodLimits, Rate } from '../config/types.ts';
import { fingerprint } from '../lease/fingerprint.ts';
import { DECLINE_FLOOD_EVENT_MS, FLOOD_CLIENTS_MAX, FLOOD_DECLINING_CLIENTS_MAX, FLOOD_RELAYS_MAX } from '../limits.ts';
import type { DropReason } from '../telemetry/counters.ts';
import type { Occurrence } from '../telemetry/events.ts';
import type { MonotonicMs, Now } from '../time.ts';

/** Places that a bucket may stand in: a power of two, and a cache line of 32-bit keys at most. */
const WAYS = 8;
/** In the unit of a debt, a thousandth of a token: `perSecond` of them come back each millisecond, exactly. */
const TOKEN = 1000;

/** Token buckets by a 32-bit key that is never 0. */
class Buckets {
  readonly #keys: Uint32Array;
  readonly #debts: Float64Array;
  /** When the debt was so. */
  readonly #since: Float64Array;
  readonly #setMask: number;
  #perSecond = 0;
  #debtMax = 0;

  /** `places`: a power of two. */
  constructor(places: number) {
    this.#keys = new Uint32Array(places);
    this.#debts = new Float64Array(places);
    this.#since = new Float64Array(places);
    this.#setMask = places / WAYS - 1;
  }

  /** What a bucket lacks it goes on lacking. A burst below one token would let nothing through at all. */
  setRate({ perSecond, burst }: Rate): void {
    this.#perSecond = perSecond;
    this.#debtMax = (Math.max(burst, 1) - 1) * TOKEN;
  }

  /** Where the key's bucket stands, or would: nothing changes yet. `scatter` chooses the few places it may stand in. */
  find(key: number, scatter: number, at: MonotonicMs): number {
    const from = (scatter & this.#setMask) * WAYS;
    for (let place = from; place < from + WAYS; place++) if (this.#keys[place] === key) return place;
    let best = from;
    let least = Infinity;
    for (let place = from; place < from + WAYS && least > 0; place++) {
      const debt = this.#debt(place, at);
      if (debt >= least) continue;
      best = place;
      least = debt;
    }
    return best;
  }

  hasToken(place: number, key: number, at: MonotonicMs): boolean {
    return this.#keys[place] !== key || this.#debt(place, at) <= this.#debtMax;
  }

  take(place: number, key: number, at: MonotonicMs): void {
    const debt = this.#keys[place] === key ? this.#debt(place, at) : 0;
    this.#keys[place] = key;
    this.#debts[place] = debt + TOKEN;
    this.#since[place] = at;
  }

  #debt(place: number, at: MonotonicMs): number {
    return Math.max(0, this.#debts[place]! - (at - this.#since[place]!) * this.#perSecond);
  }
}

/** The refused declines of one network. */
interface DeclineFlood {
  reportedAt: MonotonicMs;
  /** Since the last report. */
  refused: number;
}

export class FloodGuard {
  readonly #seed: number;
  /** Undefined: no limit, and a packet costs nothing. */
  #clients: Buckets | undefined;
  #relays: Buckets | undefined;
  #declines: Buckets | undefined;
  #requestors: Buckets | undefined;
  /** By network index; as many as are configured at most. */
  readonly #floods = new Map<number, DeclineFlood>();

  /** `hashSeed`: any number that clients cannot know. */
  constructor(limits: FloodLimits, hashSeed: number) {
    this.#seed = hashSeed;
    this.configure(limits);
  }

  /** New limits; what was taken under the old ones stays taken. For every new configuration. */
  configure(limits: FloodLimits): void {
    this.#requestors = bucketsFor(limits.queriesPerRequestor, this.#requestors, FLOOD_RELAYS_MAX);
    this.#clients = bucketsFor(limits.packetsPerClient, this.#clients, FLOOD_CLIENTS_MAX);
    this.#relays = bucketsFor(limits.packetsPerRelay, this.#relays, FLOOD_RELAYS_MAX);
    this.#declines = bucketsFor(limits.declinesPerClient, this.#declines, FLOOD_DECLINING_CLIENTS_MAX);
    // A new configuration numbers its networks anew.
    this.#floods.clear();
  }

  /** A packet of the client, through the relay with this address ('giaddr'; 0: none): why it is dropped. */
  packet(clientKey: Uint8Array, relayAddress: number, now: Now): DropReason | undefined {
    const clients = this.#clients;
    const relays = relayAddress === 0 ? undefined : this.#relays;
    if (clients === undefined && relays === undefined) return undefined;
    const at = now.mono;
    const relayed = scattered(relayAddress ^ this.#seed);
    const key = clients === undefined ? 0 : (fingerprint(clientKey, this.#seed) ^ relayed) >>> 0 || 1;
    const place = clients === undefined ? 0 : clients.find(key, key, at);
    if (clients !== undefined && !clients.hasToken(place, key, at)) return 'client-rate';
    if (relays !== undefined) {
      const relayPlace = relays.find(relayAddress, relayed, at);
      if (!relays.hasToken(relayPlace, relayAddress, at)) return 'relay-rate';
      relays.take(relayPlace, relayAddress, at);
    }
    clients?.take(place, key, at);
    return undefined;
  }

  /** A LEASEQUERY of the requestor with this address ('giaddr'). */
  query(requestor: number, now: Now): DropReason | undefined {
    const requestors = this.#requestors;
    if (requestors === undefined) return undefined;
    const place = requestors.find(requestor, scattered(requestor ^ this.#seed), now.mono);
    if (!requestors.hasToken(place, requestor, now.mono)) return 'query-rate';
    requestors.take(place, requestor, now.mono);
    return undefined;
  }

  /** A decline that would abandon an address. One that is refused anyway need not be asked about. */
  decline(clientKey: Uint8Array, now: Now): DropReason | undefined {
    const declines = this.#declines;
    if (declines === undefined) return undefined;
    const key = fingerprint(clientKey, this.#seed);
    const place = declines.find(key, key, now.mono);
    if (!declines.hasToken(place, key, now.mono)) return 'decline-rate';
    declines.take(place, key, now.mono);
    return undefined;
  }

  /**
   * For each decline that was dropped as `decline-rate`: the event to report, at most once a minute for a
   * network, with how many were refused since the last one. `fields` is only asked for then.
   */
  declineFlood(networkIndex: number, now: Now, fields: () => Occurrence['fields']): Occurrence | undefined {
    const flood = this.#floods.get(networkIndex);
    if (flood !== undefined && now.mono - flood.reportedAt < DECLINE_FLOOD_EVENT_MS) {
      flood.refused++;
      return undefined;
    }
    this.#floods.set(networkIndex, { reportedAt: now.mono, refused: 0 });
    return { id: 'dhcp.decline-flood', fields: { ...fields(), refused: (flood?.refused ?? 0) + 1 } };
  }
}

function bucketsFor(rate: Rate, before: Buckets | undefined, places: number): Buckets | undefined {
  if (!(rate.perSecond > 0)) return undefined;
  const buckets = before ?? new Buckets(places);
  buckets.setRate(rate);
  return buckets;
}

/** 32 bits of which each depends on every bit of the number; other ones for each number. */
function scattered(number: number): number {
  let h = number | 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb_352d);
  h = Math.imul(h ^ (h >>> 15), 0x846c_a68b);
  return (h ^ (h >>> 16)) >>> 0;
}
