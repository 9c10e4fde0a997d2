/**
 * A disk that takes no writes: the others need this member's acknowledgement for whatever they commit, and its
 * own clients get none. Nobody sees it as well as the member itself, which asks to be evicted when that has lasted
 * for as long as a silent host is waited for.
 */
import { otherMembers, selfMember } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import { STALL_MS } from '../core/context.ts';
import type { Inbox } from '../replication/inbox.ts';
import type { Leader } from '../view/leader.ts';
import type { Session } from '../view/session.ts';

/** The request can be lost with a link or a leader. */
const ASK_EVERY_MS = 500;

export class StuckDisk {
  readonly #state: ClusterState;
  readonly #inbox: Inbox;
  readonly #leader: Leader;
  readonly #session: Session;
  /** Since when there is something to be written and nothing is: the flushed position then, and when. */
  #since: { readonly flushed: number; readonly at: number } | undefined;
  #steppedAt = -Infinity;
  #askedAt = -Infinity;

  constructor(state: ClusterState, inbox: Inbox, leader: Leader, session: Session) {
    this.#state = state;
    this.#inbox = inbox;
    this.#leader = leader;
    this.#session = session;
  }

  /** Once a turn, as a member. */
  step(): void {
    const { context } = this.#state;
    const { mono } = context.now;
    const { flushedPosition: flushed, position } = context.store;
    // After a pause the flush that has ended meanwhile is heard of in a moment.
    const stoodStill = mono - this.#steppedAt > STALL_MS;
    this.#steppedAt = mono;
    if (position <= flushed) this.#since = undefined;
    else if (stoodStill || this.#since?.flushed !== flushed) this.#since = { flushed, at: mono };
    if (this.#since === undefined || mono - this.#since.at <= this.#session.ttlMs || mono - this.#askedAt < ASK_EVERY_MS) return;
    this.#askedAt = mono;
    const evict = { ...selfMember(this.#state), reason: `the disk of ${context.options.self} takes no writes` };
    if (this.#leader.leads) this.#leader.onEvict(evict);
    else for (const member of otherMembers(this.#state)) this.#inbox.tell(member, { $case: 'evict', value: evict });
  }
}
