/**
 * Confirmation (ARCHITECTURE.md, Confirmation): proof that this node, at some moment after a question arrived, was
 * in the view and had everything that was committed. One round serves all who asked before it began.
 *
 * A round asks each other member over its link (same epoch, and its last committed number is stored
 * here), or, where the link is down, reads the view and the own inbox from etcd.
 */
import type { ConfirmReply, ConfirmRequest } from '../../proto/gen/replication.ts';
import type { Peer } from '../core/peer.ts';
import { commitPeers, isMember, linkUp, noteCommitted } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { Inbox } from './inbox.ts';

/** A round that is not answered by then is given up and begun again. */
const ROUND_MS = 500;

interface Round {
  readonly id: number;
  readonly epoch: number;
  readonly startedAt: number;
  /** Incarnation to the number of its log that must be stored here; undefined: not answered yet. */
  readonly needs: Map<number, number | undefined>;
  inboxRead: boolean;
}

export class Confirmations {
  readonly #state: ClusterState;
  readonly #inbox: Inbox;
  #round: Round | undefined;
  #nextId = 1;
  /** Tickets given out so far; all up to `#confirmed` are confirmed. */
  #asked = 0;
  #coveredByRound = 0;
  #confirmed = 0;

  constructor(state: ClusterState, inbox: Inbox) {
    this.#state = state;
    this.#inbox = inbox;
  }

  /** A ticket; it is confirmed once `confirmed` has reached it. */
  ask(): number {
    return ++this.#asked;
  }

  get waiting(): number {
    return this.#asked - this.#confirmed;
  }

  get confirmed(): number {
    return this.#confirmed;
  }

  /** After a new view nothing asked under the old one is confirmed by what was answered then. */
  reset(): void {
    this.#round = undefined;
  }

  /** Once a turn. */
  step(): void {
    if (this.#round !== undefined) this.#settle(this.#round);
    const { context } = this.#state;
    if (this.#round !== undefined && context.now.mono - this.#round.startedAt > ROUND_MS) this.#round = undefined;
    if (this.#round === undefined && this.#confirmed < this.#asked) this.#begin();
  }

  #begin(): void {
    const { context, view, finished } = this.#state;
    if (!isMember(this.#state) || !finished || view === undefined || this.#state.clockSteppedAt !== undefined) return;
    const others = commitPeers(this.#state);
    this.#coveredByRound = this.#asked;
    if (others.length === 0) {
      this.#confirmed = this.#coveredByRound;
      return;
    }
    const round: Round = {
      id: this.#nextId++, epoch: view.epoch, startedAt: context.now.mono, needs: new Map(), inboxRead: true,
    };
    this.#round = round;
    for (const member of others) {
      if (linkUp(this.#state, member)) {
        round.needs.set(member.incarnation, undefined);
        context.out.send(member.node, { $case: 'confirmRequest', value: { id: round.id, epoch: view.epoch } });
      } else round.inboxRead = false;
    }
    if (!round.inboxRead) {
      this.#inbox.read((read) => {
        if (this.#round !== round || read?.epoch !== round.epoch) return;
        round.inboxRead = true;
        this.#settle(round);
      });
    }
  }

  #settle(round: Round): void {
    const { view, finished, cursors } = this.#state;
    if (view?.epoch !== round.epoch || !finished) {
      this.#round = undefined;
      return;
    }
    if (!round.inboxRead) return;
    for (const [incarnation, needed] of round.needs) {
      if (needed === undefined || cursors.seq(incarnation) < needed) return;
    }
    this.#confirmed = this.#coveredByRound;
    this.#round = undefined;
  }

  onRequest(peer: Peer, request: ConfirmRequest): void {
    const { context, view, finished, committedSeq, phase } = this.#state;
    // A learner has no changes of its own; that it follows this very epoch is all it can say.
    const confirmed = view?.epoch === request.epoch && ((phase === 'member' && finished) || phase === 'learner');
    context.out.send(peer.id, {
      $case: 'confirmReply', value: { id: request.id, epoch: view?.epoch ?? 0, confirmed, committed: committedSeq },
    });
  }

  onReply(peer: Peer, reply: ConfirmReply): void {
    const round = this.#round;
    if (round === undefined || reply.id !== round.id || !round.needs.has(peer.incarnation)) return;
    if (!reply.confirmed || reply.epoch !== round.epoch) {
      this.#round = undefined;
      return;
    }
    round.needs.set(peer.incarnation, reply.committed);
    // An answer about what the peer changed last need not wait for its next status message.
    noteCommitted(this.#state, peer.incarnation, reply.committed);
  }
}
