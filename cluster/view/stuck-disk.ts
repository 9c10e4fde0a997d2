/**
 * A disk that takes no writes for a session's time: whoever has it can commit nothing and finish no view, so
 * it asks to be taken out of service, as a host is that falls silent for so long. It comes back through
 * RECOVER once its disk takes what has waited.
 */
import type { ClusterState } from '../core/state.ts';

/** A look after a longer pause tells nothing of the disk: the process stood still as well. */
const LOOK_MS_MAX = 250;

export class StuckDisk {
  readonly #state: ClusterState;
  readonly #ttlMs: () => number;
  #flushed = -1;
  #lookedAt = 0;
  /** For how long something has waited and nothing was flushed. */
  #stuckMs = 0;

  constructor(state: ClusterState, ttlMs: () => number) {
    this.#state = state;
    this.#ttlMs = ttlMs;
  }

  /** Once a turn. */
  look(): boolean {
    const { store, now: { mono } } = this.#state.context;
    const moves = store.flushedPosition !== this.#flushed || store.position === store.flushedPosition;
    this.#stuckMs = moves ? 0 : this.#stuckMs + Math.min(mono - this.#lookedAt, LOOK_MS_MAX);
    this.#flushed = store.flushedPosition;
    this.#lookedAt = mono;
    return this.#stuckMs > this.#ttlMs();
  }
}
