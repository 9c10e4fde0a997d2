/**
 * Which node answers which client (ARCHITECTURE.md, Who owns what). Each function returns why this node stays
 * silent, or undefined: it answers.
 */
import { OptionCode } from '../codec/message.ts';
import { fingerprint } from '../lease/fingerprint.ts';
import { FIRST_SEEN_ENTRIES, FIRST_SEEN_GAP_MS } from '../limits.ts';
import type { DropReason } from '../telemetry/counters.ts';
import type { Now } from '../time.ts';
import { clientSlot } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import type { ClusterView, InterfaceInfo } from './ports.ts';
import { serverIdentifierOverride, storedServerIdentifierOverride } from './relay.ts';

/**
 * Since when clients have asked without an answer, by fingerprint, one entry a place: a client that is
 * taken for another is only answered earlier than it had to be.
 */
class FirstSeen {
  readonly #prints = new Uint32Array(FIRST_SEEN_ENTRIES);
  readonly #first = new Float64Array(FIRST_SEEN_ENTRIES);
  readonly #last = new Float64Array(FIRST_SEEN_ENTRIES);

  /** Notes that the client asks; returns for how many milliseconds it has been asking. */
  asks(clientKey: Uint8Array, now: Now): number {
    const print = fingerprint(clientKey, 0);
    const at = print % FIRST_SEEN_ENTRIES;
    if (this.#prints[at] !== print || now.mono - this.#last[at]! > FIRST_SEEN_GAP_MS) {
      this.#prints[at] = print;
      this.#first[at] = now.mono;
    }
    this.#last[at] = now.mono;
    return now.mono - this.#first[at]!;
  }

  forget(clientKey: Uint8Array): void {
    const print = fingerprint(clientKey, 0);
    const at = print % FIRST_SEEN_ENTRIES;
    if (this.#prints[at] === print) this.#prints[at] = 0;
  }
}

export class Responsibility {
  readonly #cluster: ClusterView;
  /** See `loadBalance.maxSeconds` in the configuration. */
  maxSeconds: number;
  readonly #firstSeen = new FirstSeen();

  constructor(cluster: ClusterView, maxSeconds: number) {
    this.#cluster = cluster;
    this.maxSeconds = maxSeconds;
  }

  /** Messages that every node sees: the client's server answers, the others step in when it does not. */
  balanced(x: Exchange): DropReason | undefined {
    if (this.#cluster.leaving()) return 'not-responsible';
    const server = this.#cluster.ownerOf(clientSlot(x));
    if (server === this.#cluster.self) return undefined;
    if (server === undefined) return 'not-serving';
    if (!this.#cluster.isReachable(server)) return undefined;
    if (secondsSinceStart(x.message.secs) >= this.maxSeconds) return undefined;
    if (this.#firstSeen.asks(x.clientKey, x.now) >= this.maxSeconds * 1000) return undefined;
    return 'not-responsible';
  }

  /**
   * A DHCPREQUEST with option 54, the answer to a DHCPOFFER: the node that it names. The caller lets its
   * own offer go when this says that somebody else was chosen.
   */
  selecting(x: Exchange, serverIdentifier: number): DropReason | undefined {
    // The client was answered: what it asks next is a new question.
    this.#firstSeen.forget(x.clientKey);
    if (isOwnIdentifier(this.#cluster, x.packet.iface, serverIdentifier)) return undefined;
    // RFC 5107 §4: under an override the client names the relay, which says nothing about the node.
    if (serverIdentifier === overriddenIdentifier(x)) return this.balanced(x);
    const node = this.#cluster.nodeOfServerId(serverIdentifier);
    if (node === undefined) return 'other-server';
    if (this.#cluster.isMember(node)) return 'not-responsible';
    return this.balanced(x);
  }
}

/** RFC 2131 §4.1: any of a server's addresses identifies it. */
function isOwnIdentifier(cluster: ClusterView, iface: InterfaceInfo, serverIdentifier: number): boolean {
  const { addresses } = iface;
  for (let i = 0; i < addresses.length; i++) if (addresses[i]!.address === serverIdentifier) return true;
  return cluster.nodeOfServerId(serverIdentifier) === cluster.self;
}

/** Whether option 54 names a node of the cluster: a DHCPRELEASE or DHCPDECLINE may reach any of them. */
export function isClusterIdentifier(cluster: ClusterView, x: Exchange, serverIdentifier: number): boolean {
  return isOwnIdentifier(cluster, x.packet.iface, serverIdentifier) ||
    cluster.nodeOfServerId(serverIdentifier) !== undefined ||
    serverIdentifier === overriddenIdentifier(x);
}

/**
 * The relay's address where the relay stands in for this server (RFC 5107 §4): as it says with the request, or
 * said when the lease was granted that is renewed past it. 0: none.
 */
export function overriddenIdentifier(x: Exchange): number {
  if (x.message.giaddr !== 0) return serverIdentifierOverride(x.message);
  return x.relayAgentInformation === undefined || x.message.has(OptionCode.RELAY_AGENT_INFORMATION) ? 0 : storedServerIdentifierOverride(x.relayAgentInformation);
}

/** Some clients send 'secs' in the wrong byte order: 256 seconds and no fraction of it is such a one. */
function secondsSinceStart(secs: number): number {
  return secs > 255 && (secs & 0xff) === 0 ? secs >> 8 : secs;
}
