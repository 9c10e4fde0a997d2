/**
 * Moments of the store that may be told to others as a whole (bulk and active LEASEQUERY). A node that is asked for one
 * first gets a confirmation, so that the store has all that was committed before; then it waits until what it knows is
 * flushed, which is the moment to mark the disk (`mark`); and then until everything that the mark holds is committed
 * (`ready`): nothing is told of that could still be lost. Whoever cannot get so far in time is `refused`.
 */
import type { SnapshotStep } from '../../node/leasequery/snapshot-step.ts';
import type { MonotonicMs } from '../../node/time.ts';
import type { Context } from './context.ts';
import type { ClusterCore } from './core.ts';
import { isCommitted, otherMembers } from './state.ts';
import { COMMIT_TIMEOUT_MS } from './waiting.ts';

interface Request {
  readonly id: number;
  readonly since: MonotonicMs;
  /** Of the confirmation. */
  readonly ticket: number;
  /** What of the store must be flushed; undefined until it is confirmed. */
  position?: number;
  /** Log and number: what must be committed; undefined until the disk is marked. */
  needs?: readonly { readonly incarnation: number; readonly seq: number }[];
}

export class Snapshots {
  readonly #context: Context;
  readonly #core: ClusterCore;
  #requests: Request[] = [];
  #steps: SnapshotStep[] = [];

  constructor(context: Context, core: ClusterCore) {
    this.#context = context;
    this.#core = core;
  }

  ask(id: number): void {
    if (!this.#core.serving()) this.#refuse(id, `this node is not in service (${this.#core.nodeState})`);
    else this.#requests.push({ id, since: this.#context.now.mono, ticket: this.#core.confirmations.ask() });
  }

  /** Once a turn, after the core's step. */
  take(): readonly SnapshotStep[] {
    if (this.#requests.length > 0) this.#requests = this.#requests.filter((request) => !this.#goOn(request));
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  /** The node is out of the view. */
  forget(): void {
    for (const { id } of this.#requests) this.#refuse(id, 'this node has left the view');
    this.#requests = [];
  }

  /** Whether it has come to its end. */
  #goOn(request: Request): boolean {
    const { incarnation, now, options, store } = this.#context;
    const { state } = this.#core;
    if (request.position === undefined && request.ticket <= this.#core.confirmations.confirmed) request.position = store.position;
    if (request.position !== undefined && request.needs === undefined && store.flushedPosition >= request.position) {
      this.#steps.push({ id: request.id, step: 'mark' });
      request.needs = [
        { incarnation, seq: state.flushedSeq },
        ...otherMembers(state).map((member) => ({ incarnation: member.incarnation, seq: state.cursors.seq(member.incarnation) })),
      ];
    }
    if (request.needs?.every(({ incarnation: log, seq }) => isCommitted(state, log, seq)) === true) {
      const owned = Buffer.from(Array.from({ length: 256 }, (_, slot) => (this.#core.owns(slot) ? 1 : 0)));
      this.#steps.push({ id: request.id, step: 'ready', owned, incarnation: options.clustered ? incarnation : undefined });
      return true;
    }
    if (now.mono - request.since <= COMMIT_TIMEOUT_MS) return false;
    this.#refuse(request.id, 'this node could not make sure in time that it knows all leases');
    return true;
  }

  #refuse(id: number, reason: string): void {
    this.#steps.push({ id, step: 'refused', reason });
  }
}
