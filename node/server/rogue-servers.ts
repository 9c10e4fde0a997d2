/**
 * Other DHCP servers on the clients' links, noticed from what clients say: a DHCPREQUEST that answers an offer is
 * broadcast and names the server that made it (RFC 2131 §3.1). Nothing is sent to find one out.
 *
 * A false alarm is worse than one that comes late, so a server is reported only when
 * - its identifier is none that could be of this cluster, and all members have just said what theirs are
 *   (`ClusterView.knowsAllServerIds`); nor of a relay that stands in for a server (RFC 5107), also where the request
 *   came through another one of the same link; nor in `knownServers`;
 * - at least two exchanges name it, some time apart: a client that moves between its offer and its request names the
 *   server of the link that it left, and a node whose address has just changed may be named before it has said so.
 */
import { formatHardware, formatIpv4 } from '../codec/address.ts';
import type { Ipv4Prefix } from '../codec/address.ts';
import { Requestors } from '../leasequery/requestors.ts';
import { ROGUE_RELAYS_MAX, ROGUE_REPORT_AGAIN_MS, ROGUE_SERVERS_MAX, ROGUE_SUSPECTED_MS_MAX, ROGUE_SUSPECTED_MS_MIN } from '../limits.ts';
import type { Occurrence } from '../telemetry/events.ts';
import type { MonotonicMs } from '../time.ts';
import type { Exchange } from './exchange.ts';
import type { ClusterView } from './ports.ts';
import { serverIdentifierOverride } from './relay.ts';

interface Suspect {
  readonly since: MonotonicMs;
  /** Of the exchange that named it first. */
  readonly xid: number;
  seenAt: MonotonicMs;
  /** -Infinity: never. */
  reportedAt: number;
}

export class RogueServers {
  readonly #cluster: ClusterView;
  #known: Requestors;
  /** By server identifier; the one that was named longest ago first. */
  readonly #suspects = new Map<number, Suspect>();
  /** Addresses that relays have shown as their own. */
  readonly #relays = new Set<number>();

  constructor(cluster: ClusterView, known: readonly Ipv4Prefix[]) {
    this.#cluster = cluster;
    this.#known = new Requestors(known);
  }

  configure(known: readonly Ipv4Prefix[]): void {
    this.#known = new Requestors(known);
  }

  /** For each relayed request that names a server: what it shows of its relay's addresses. */
  noteRelay({ message }: Exchange): void {
    if (message.giaddr === 0) return;
    this.#noteRelay(message.giaddr);
    const override = serverIdentifierOverride(message);
    if (override !== 0) this.#noteRelay(override);
  }

  #noteRelay(address: number): void {
    if (this.#relays.has(address)) return;
    if (this.#relays.size >= ROGUE_RELAYS_MAX) for (const oldest of this.#relays) {
      this.#relays.delete(oldest);
      break;
    }
    this.#relays.add(address);
  }

  /** A client has chosen a server that is no node of the cluster: the event to report, if any. */
  chosen(x: Exchange, serverIdentifier: number): Occurrence | undefined {
    const { message, now, packet } = x;
    if (this.#isHarmless(x, serverIdentifier)) {
      this.#suspects.delete(serverIdentifier);
      return undefined;
    }
    // RFC 2131 §4.3.2: who answers an offer has no address yet. Some clients name their server when they renew as well, also one that is long gone.
    if ((packet.unicast && message.giaddr === 0) || message.ciaddr !== 0) return undefined;
    const suspect = this.#suspects.get(serverIdentifier);
    if (suspect === undefined || now.mono - suspect.seenAt > ROGUE_SUSPECTED_MS_MAX) {
      this.#suspect(serverIdentifier, { since: now.mono, xid: message.xid, seenAt: now.mono, reportedAt: suspect?.reportedAt ?? -Infinity });
      return undefined;
    }
    suspect.seenAt = now.mono;
    this.#suspects.delete(serverIdentifier);
    this.#suspects.set(serverIdentifier, suspect);
    if (message.xid === suspect.xid || now.mono - suspect.since < ROGUE_SUSPECTED_MS_MIN) return undefined;
    if (now.mono - suspect.reportedAt < ROGUE_REPORT_AGAIN_MS) return undefined;
    suspect.reportedAt = now.mono;
    return { id: 'rogue-server', fields: describe(x, serverIdentifier) };
  }

  #isHarmless({ packet }: Exchange, serverIdentifier: number): boolean {
    if (serverIdentifier === 0 || !this.#cluster.knowsAllServerIds()) return true;
    return serverIdentifier === packet.sourceAddress || this.#relays.has(serverIdentifier) || this.#known.has(serverIdentifier);
  }

  /**
   * Past the bound the one that was named longest ago is forgotten, but none that was reported within the interval: or
   * whoever forges requests in the names of many servers would have each of them reported again and again.
   */
  #suspect(serverIdentifier: number, suspect: Suspect): void {
    this.#suspects.delete(serverIdentifier);
    if (this.#suspects.size >= ROGUE_SERVERS_MAX) {
      const now = suspect.since;
      const oldest = [...this.#suspects].find(([, { reportedAt }]) => now - reportedAt >= ROGUE_REPORT_AGAIN_MS);
      if (oldest === undefined) return;
      this.#suspects.delete(oldest[0]);
    }
    this.#suspects.set(serverIdentifier, suspect);
  }
}

/** The packet is the client's, so the server's hardware address is not to be seen in it. */
function describe({ message, packet, subnet }: Exchange, serverIdentifier: number): Occurrence['fields'] {
  return {
    server: formatIpv4(serverIdentifier),
    interface: packet.iface.name,
    ...(message.giaddr === 0 ? {} : { relay: formatIpv4(message.giaddr) }),
    subnet: subnet.name,
    hardware: formatHardware({ htype: message.htype, chaddr: message.chaddr() }),
    address: formatIpv4(message.optionU32(REQUESTED_ADDRESS) ?? 0),
  };
}

const REQUESTED_ADDRESS = 50;
