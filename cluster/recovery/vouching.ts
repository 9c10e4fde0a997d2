/**
 * A join, seen by the members (ARCHITECTURE.md, A node joins): from the moment the leader asks, every commit
 * needs the learner's acknowledgement as well, until the next view; and a member vouches for the
 * learner once it has acknowledged the member's log up to where it was when asked.
 */
import { isMember, otherMembers } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { Inbox } from '../replication/inbox.ts';
import type { Leader } from '../view/leader.ts';
import { memberOf } from '../view/view.ts';
import type { Member } from '../view/view.ts';

interface Vouch {
  readonly learner: Member;
  readonly epoch: number;
  /** The last number of the own log when asked. */
  readonly last: number;
}

export class Vouching {
  readonly #state: ClusterState;
  readonly #inbox: Inbox;
  #pending: Vouch | undefined;

  constructor(state: ClusterState, inbox: Inbox) {
    this.#state = state;
    this.#inbox = inbox;
  }

  /** As the leader: asks every member, this one too. */
  requireEverywhere(learner: Member, epoch: number): void {
    for (const member of otherMembers(this.#state)) this.#inbox.tell(member, { $case: 'require', value: { epoch, ...learner } });
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
    const asks = leader.leaderNode === undefined ? undefined : memberOf(view, leader.leaderNode);
    if (asks === undefined) return;
    this.#pending = undefined;
    const value = { epoch: pending.epoch, ...learner };
    if (leader.leads) leader.onVouch(context.options.self, value);
    else this.#inbox.tell(asks, { $case: 'vouch', value });
  }
}
