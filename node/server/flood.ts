/**
 * Protection against floods: token buckets (token-buckets.ts) for each client's packets, each relay's packets,
 * each client's declines and each requestor's LEASEQUERY. A packet that takes no token is dropped; it takes none
 * of another bucket either, so that a client over its own limit uses up nothing of its relay's.
 *
 * What goes wrong is in the client's favour: whose bucket was given up has a full one. Two clients share a
 * bucket only if 32 bits under a seed that nobody outside knows are equal. A client is one behind each
 * relay: whoever forges its identifier behind another one does not use up its tokens. Against new names
 * with every packet only the limit for a relay helps; what comes in without a relay has none.
 */
import type { FloodLimits } from '../config/types.ts';
import { fingerprint } from '../lease/fingerprint.ts';
import { DECLINE_FLOOD_EVENT_MS, FLOOD_CLIENTS_MAX, FLOOD_DECLINING_CLIENTS_MAX, FLOOD_RELAYS_MAX } from '../limits.ts';
import type { DropReason } from '../telemetry/counters.ts';
import type { Occurrence } from '../telemetry/events.ts';
import type { MonotonicMs, Now } from '../time.ts';
import { bucketsFor, scattered } from '../token-buckets.ts';
import type { Buckets } from '../token-buckets.ts';

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
