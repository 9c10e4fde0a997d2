/**
 * What keeps a member from taking part, and nobody sees as well as the member itself: a disk that takes no writes,
 * an inbox that does not follow on what is stored here, or a clock that stepped and that a link which is down lets
 * nobody compare. Its own clients get no acknowledgement, and the others may need one of it for whatever they
 * commit. So it asks to be evicted; it comes back through RECOVER.
 */
import { otherMembers, selfMember } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import { STALL_MS } from '../core/context.ts';
import type { Inbox } from '../replication/inbox.ts';
import type { Leader } from '../view/leader.ts';
import type { Session } from '../view/session.ts';

/** The request can be lost with a link or a leader. */
const ASK_EVERY_MS = 500;

export class Stuck {
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
    const why = this.#why();
    const { context } = this.#state;
    if (why === undefined || context.now.mono - this.#askedAt < ASK_EVERY_MS) return;
    this.#askedAt = context.now.mono;
    const evict = { ...selfMember(this.#state), reason: why };
    if (this.#leader.leads) this.#leader.onEvict(evict);
    else for (const member of otherMembers(this.#state)) this.#inbox.tell(member, { $case: 'evict', value: evict });
  }

  #why(): string | undefined {
    const { mono } = this.#state.context.now;
    const { evictAfterMs, self } = this.#state.context.options;
    // As long as a silent host is waited for.
    const waitedSince = mono - this.#session.ttlMs;
    if (this.#diskStuckSince() < waitedSince) return `the disk of ${self} takes no writes`;
    if ((this.#state.clockSteppedAt ?? Infinity) < waitedSince) return `the clock of ${self} stepped, and not all members have agreed with it since`;
    return this.#inbox.gapSince < mono - evictAfterMs ? `the inbox of ${self} has a gap` : undefined;
  }

  /** Infinity: it is not. */
  #diskStuckSince(): number {
    const { context } = this.#state;
    const { mono } = context.now;
    const { flushedPosition: flushed, position } = context.store;
    // After a pause the flush that has ended meanwhile is heard of in a moment.
    const stoodStill = mono - this.#steppedAt > STALL_MS;
    this.#steppedAt = mono;
    if (position <= flushed) this.#since = undefined;
    else if (stoodStill || this.#since?.flushed !== flushed) this.#since = { flushed, at: mono };
    return this.#since?.at ?? Infinity;
  }
}
