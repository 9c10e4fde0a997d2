/**
 * Which protocol version a view may name (ARCHITECTURE.md, Versions): the highest that all its members speak.
 * It goes up when the last node that speaks only the older one is gone, and down when one is to join.
 *
 * Invariants: a view names a version that each of its members speaks; of a member that nothing is known of,
 * only that it speaks the one in force is taken for granted. A node that no such version is left with stays
 * outside, fetches nothing, and both sides say why.
 */
import { rangeText } from '../../node/protocol.ts';
import type { ProtocolRange } from '../../node/protocol.ts';
import type { Peer } from '../core/peer.ts';
import type { ClusterState } from '../core/state.ts';
import type { ClusterRead } from '../view/coordination.ts';
import type { Member, View } from '../view/view.ts';

/** What a node says of itself, over its link and in etcd. */
export interface NodeVersions {
  readonly incarnation: number;
  readonly software: string;
  readonly protocol: ProtocolRange;
}

/** The highest version that is in all ranges; undefined: none is. */
export function highestCommon(ranges: readonly ProtocolRange[]): number | undefined {
  const highest = Math.min(...ranges.map(({ max }) => max));
  return ranges.every(({ min }) => min <= highest) ? highest : undefined;
}

export class Versions {
  readonly #state: ClusterState;
  readonly #latest: () => ClusterRead | undefined;
  /** Why this node is not let in; empty: nothing speaks against it. */
  #refusal = '';

  constructor(state: ClusterState, latest: () => ClusterRead | undefined) {
    this.#state = state;
    this.#latest = latest;
  }

  /** As the node said last, over its link or in etcd; undefined where it has said nothing. */
  said(node: string): NodeVersions | undefined {
    const { options } = this.#state.context;
    if (node === options.self) return { incarnation: this.#state.context.incarnation, software: options.software, protocol: options.protocol };
    const peer = this.#state.peers.get(node);
    return peer?.introduced === undefined ? this.#latest()?.versions.get(node) ?? peer?.said : peer.said;
  }

  #rangeOf({ node, incarnation }: Member): ProtocolRange | undefined {
    const { context, peers } = this.#state;
    if (node === context.options.self) return context.options.protocol;
    const known = [peers.get(node)?.said, this.#latest()?.versions.get(node)];
    return known.find((said) => said?.incarnation === incarnation)?.protocol;
  }

  /** For the next view, after `view`, of these members; undefined: they have no version in common. */
  next(view: View, members: readonly Member[]): number | undefined {
    const inForce = { min: view.protocol, max: view.protocol };
    return highestCommon(members.map((member) => this.#rangeOf(member) ?? inForce));
  }

  /** No leader names a node in a view that it cannot follow; one that finds itself there is out of it. */
  speaks({ protocol }: View): boolean {
    const { min, max } = this.#state.context.options.protocol;
    return protocol >= min && protocol <= max;
  }

  // ── a node that cannot be let in ─────────────────────────────────────────────────────────────

  /** This node's own question while it is outside: whether some version is left for it and the members. */
  mayJoin(view: View): boolean {
    const { context } = this.#state;
    const { protocol } = context.options;
    const others = view.members.filter(({ node }) => node !== context.options.self);
    const ranges = others.map((member) => ({ member, range: this.#rangeOf(member) }));
    const together = highestCommon([protocol, ...ranges.flatMap(({ range }) => (range === undefined ? [] : [range]))]);
    if (together !== undefined) {
      this.#refusal = '';
      return true;
    }
    const theirs = ranges.map(({ member: { node }, range }) => `${node} ${range === undefined ? '?' : rangeText(range)}`).join(', ');
    const refusal = `speaks protocol ${rangeText(protocol)}, the members ${theirs}`;
    if (refusal !== this.#refusal) {
      this.#refusal = refusal;
      context.out.event('protocol.refused', { speaks: rangeText(protocol), inForce: view.protocol, members: theirs });
    }
    return false;
  }

  /** Why this node is not let in, for an operator; empty: nothing of that kind speaks against it. */
  get refusal(): string {
    return this.#refusal;
  }

  onAdopted(view: View, previous: View | undefined): void {
    this.#refusal = '';
    if (previous !== undefined && previous.protocol !== view.protocol) {
      this.#state.context.out.event('protocol.changed', { from: previous.protocol, to: view.protocol, epoch: view.epoch });
    }
  }

  /** A peer with which no version is shared has said hello. */
  onForeign(peer: Peer): void {
    const before = peer.reportedForeign;
    peer.reportedForeign = peer.foreign!.incarnation;
    if (before !== peer.foreign!.incarnation) this.#tellOf(peer);
  }

  /** The leader's question about a learner: it is told of once. */
  mayLetIn(view: View, peer: Peer, learner: Member): boolean {
    if (this.next(view, [...view.members, learner]) !== undefined) return true;
    if (peer.reportedForeign !== learner.incarnation) this.#tellOf(peer);
    peer.reportedForeign = learner.incarnation;
    return false;
  }

  #tellOf({ id, said }: Peer): void {
    const { context, view } = this.#state;
    context.out.event('protocol.peer-refused', {
      peer: id, software: said?.software ?? '', speaks: said === undefined ? '?' : rangeText(said.protocol),
      here: rangeText(context.options.protocol), inForce: view?.protocol ?? 0,
    });
  }
}
