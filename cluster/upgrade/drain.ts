/**
 * Leaving in good order (ARCHITECTURE.md, Drain): nothing new is proposed, what was proposed is committed, the leader
 * writes a view without this node, and the process ends.
 */
import { isMember, otherMembers, selfMember } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { Leader } from '../view/leader.ts';
import type { Session } from '../view/session.ts';

/** The request can be lost with a link or a leader. */
const ASK_EVERY_MS = 200;

export class Drain {
  readonly #state: ClusterState;
  readonly #leader: Leader;
  readonly #session: Session;
  #askedAt = -Infinity;

  constructor(state: ClusterState, leader: Leader, session: Session) {
    this.#state = state;
    this.#leader = leader;
    this.#session = session;
  }

  begin(): void {
    this.#state.draining = true;
    if (!isMember(this.#state)) this.stop('not in the view');
  }

  /** Once a turn, as a member. */
  step(): void {
    const { committedSeq, context, draining, log } = this.#state;
    if (!draining || committedSeq < log.last) return;
    if (otherMembers(this.#state).length === 0) {
      this.stop('the only member');
      return;
    }
    if (context.now.mono - this.#askedAt < ASK_EVERY_MS) return;
    this.#askedAt = context.now.mono;
    const evict = { ...selfMember(this.#state), reason: `${context.options.self} drains` };
    if (this.#leader.leads) this.#leader.onEvict(evict);
    else for (const member of otherMembers(this.#state)) context.out.send(member.node, { $case: 'evict', value: evict });
  }

  /** Nothing holds the process any more. */
  stop(reason: string): void {
    if (this.#state.phase === 'stopped') return;
    this.#state.phase = 'stopped';
    this.#session.end();
    this.#state.context.out.exit = { code: 0, reason };
  }
}
