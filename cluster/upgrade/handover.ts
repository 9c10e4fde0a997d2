/**
 * What goes to another owner besides bindings: the addresses that this node has offered and its clients have not
 * taken yet. An offer promises nothing, and the next owner may be told too late. But it would look for free addresses
 * in the same order, and offer the very same ones to others.
 */
import { HANDED_OFFERS_MAX } from '../../node/limits.ts';
import type { HeldOffer } from '../../proto/gen/replication.ts';
import { otherMembers } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import { ownerOf } from '../view/view.ts';
import type { View } from '../view/view.ts';

/** The newest offers of addresses in these slots, at most so many. */
export type OffersIn = (slots: (slot: number) => boolean, limit: number) => HeldOffer[];

export class Handover {
  readonly #state: ClusterState;
  readonly #offersIn: OffersIn;

  constructor(state: ClusterState, offersIn: OffersIn) {
    this.#state = state;
    this.#offersIn = offersIn;
  }

  /** Each new owner, before it hears that this node has adopted the view that makes it one. */
  onAdopted(previous: View, view: View): void {
    const { self } = this.#state.context.options;
    for (const { node } of otherMembers(this.#state)) this.#send(node, (slot) => ownerOf(previous, slot) === self && ownerOf(view, slot) === node);
  }

  /** This node leaves: who takes over what is not known yet. */
  beforeLeaving(): void {
    for (const { node } of otherMembers(this.#state)) this.#send(node, () => true);
  }

  #send(node: string, slots: (slot: number) => boolean): void {
    if (this.#state.peers.get(node)?.connected !== true) return;
    const offers = this.#offersIn(slots, HANDED_OFFERS_MAX);
    if (offers.length > 0) this.#state.context.out.send(node, { $case: 'held', value: { offers } });
  }
}
