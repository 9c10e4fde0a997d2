/** What is noticed of the world while time passes: a wall clock that steps, an etcd that does not answer. */
import { etcdReachable, otherMembers } from './state.ts';
import type { ClusterState } from './state.ts';

/** A wall clock that moves by more than this against the monotonic one has stepped. */
const CLOCK_STEP_MS = 1000;

export class Watches {
  readonly #state: ClusterState;
  #wallOffset: number | undefined;
  /** Before it stepped, as long as that is not settled. */
  #offsetBefore = 0;
  #etcdAway = false;

  constructor(state: ClusterState) {
    this.#state = state;
  }

  /** Before anything is decided by a new reading of the clocks. */
  watchClock(): void {
    const { clockSteppedAt, context } = this.#state;
    const offset = context.now.wall - context.now.mono;
    const before = this.#wallOffset ?? offset;
    this.#wallOffset = offset;
    if (Math.abs(offset - before) > CLOCK_STEP_MS) {
      context.out.event('clock.stepped', { stepMs: Math.round(offset - before) });
      if (clockSteppedAt === undefined) this.#offsetBefore = before;
      if (clockSteppedAt !== undefined || otherMembers(this.#state).length > 0) this.#state.clockSteppedAt = context.now.mono;
    }
    // It has been set right again: so it agreed with the others before.
    if (this.#state.clockSteppedAt !== undefined && Math.abs(offset - this.#offsetBefore) <= CLOCK_STEP_MS) this.#state.clockSteppedAt = undefined;
  }

  watchEtcd(): void {
    if (this.#etcdAway || etcdReachable(this.#state) || this.#state.etcdAnsweredAt === -Infinity) return;
    this.#etcdAway = true;
    this.#state.context.out.event('etcd.unreachable');
  }

  /** True: it had been away. */
  onEtcdAnswer(): boolean {
    const { context } = this.#state;
    const wasAway = this.#etcdAway;
    if (wasAway) context.out.event('etcd.reachable');
    this.#etcdAway = false;
    this.#state.etcdAnsweredAt = context.now.mono;
    return wasAway;
  }
}
