/**
 * A join, seen by the members (ARCHITECTURE.md, A node joins): from the moment the leader asks, every commit
 * needs the learner's acknowledgement as well, until the next view; and a member vouches for the
 * learner once it has acknowledged the member's log up to where it was when asked.
 */
import { isMember, otherMembers } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { Leader } from '../view/leader.ts';
import type { Member } from '../view/view.ts';

interface Vouch {
  readonly learner: Member;
  readonly epoch: number;
  /** The last number of the own log when asked. */
  readonly last: number;
}

export class Vouching {
  readonly #state: ClusterState;
  #pending: Vouch | undefined;

  constructor(state: ClusterState) {
    this.#state = state;
  }

  /** As the leader: asks every member, this one too. */
  requireEverywhere(learner: Member, epoch: number): void {
    for (const member of otherMembers(this.#state)) {
      this.#state.context.out.send(member.node, { $case: 'require', value: { epoch, ...learner } });
    }
    this.onRequire(learner, epoch);
  }

  onRequire(learner: Member, epoch: number): void {
    const { finished, log, view } = this.#state;
    if (!isMember(this.#state) || !finished || view?.epoch !== epoch) return;
    this.#state.required = learner;
    this.#pending = { learner, epoch, last: log.last };
  }

  /** Once a turn. */
  step(leader: Leader): void {
    const pending = this.#pending;
    const { acknowledged, context, peers, view } = this.#state;
    if (pending === undefined) return;
    if (view?.epoch !== pending.epoch) {
      this.#pending = undefined;
      return;
    }
    const { learner } = pending;
    if ((acknowledged.get(learner.incarnation) ?? 0) < pending.last || peers.get(learner.node)?.incarnation !== learner.incarnation) return;
    const { leaderNode } = leader;
    if (leaderNode === undefined) return;
    this.#pending = undefined;
    const value = { epoch: pending.epoch, ...learner };
    if (leader.leads) leader.onVouch(context.options.self, value);
    else context.out.send(leaderNode, { $case: 'vouch', value });
  }
}
