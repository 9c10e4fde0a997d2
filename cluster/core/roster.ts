/** Whom this node has to do with, and where their links are. */
import type { ClusterRead } from '../view/coordination.ts';
import { meetPeers } from './peer.ts';
import type { Peer } from './peer.ts';
import type { ClusterState } from './state.ts';

/** host:port as `nodes/<id>` carries it; an IPv6 address in brackets. */
const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/;

export class Roster {
  readonly #state: ClusterState;
  readonly #peers: Map<string, Peer>;
  /** Where the other nodes' links are, as they said last; outlives their sessions. */
  readonly addresses = new Map<string, string>();

  constructor(state: ClusterState, peers: Map<string, Peer>) {
    this.#state = state;
    this.#peers = peers;
  }

  onRead({ addresses }: ClusterRead): void {
    for (const [node, address] of addresses) {
      if (this.#peers.has(node) && ADDRESS.test(address)) this.addresses.set(node, address);
    }
  }

  /** The configured nodes, and members of the view that the configuration names no more until they are out. */
  meet(): void {
    const { context, view } = this.#state;
    const wanted = new Set([...context.options.nodes.map(({ id }) => id), ...(view?.members ?? []).map(({ node }) => node)]);
    wanted.delete(context.options.self);
    for (const id of meetPeers(this.#peers, wanted)) {
      this.addresses.delete(id);
      // Its link ends now: the same node may be met again before anybody looks at the addresses.
      context.out.resets.push(id);
    }
  }
}
