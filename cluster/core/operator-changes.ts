/**
 * Changes that an operator asks for: decided once it is confirmed what is known, and told to be done once all of them
 * are committed. What another member owns is asked of it, as for a client.
 */
import type { ChangeOutcome, Decide } from '../../node/admin/changes.ts';
import { recordIncarnation, recordSeq, tellsTheSame } from '../../node/lease/record.ts';
import { OPERATOR_CHANGES_MAX } from '../../node/limits.ts';
import type { OwnChange } from '../../node/server/ports.ts';
import type { MonotonicMs } from '../../node/time.ts';
import type { Context } from './context.ts';
import type { ClusterCore } from './core.ts';
import type { Forwarding } from './forwarding.ts';
import { isCommitted } from './state.ts';
import { COMMIT_TIMEOUT_MS } from './waiting.ts';

interface Asked {
  readonly decide: Decide;
  readonly done: (outcome: ChangeOutcome) => void;
  readonly since: MonotonicMs;
  readonly ticket: number;
  /** Undefined until it is decided. */
  changes?: readonly Begun[];
}

/** `seq`: of the own log; undefined: another owner was asked for it. */
type Begun = OwnChange & { readonly seq: number | undefined };

export interface OperatorChangesParts {
  readonly context: Context;
  readonly core: ClusterCore;
  readonly forwarding: Forwarding;
  /** Makes a change of the own log; returns its number. */
  readonly make: (address: number, record: Buffer) => number;
}

export class OperatorChanges {
  readonly #parts: OperatorChangesParts;
  #asked: Asked[] = [];

  constructor(parts: OperatorChangesParts) {
    this.#parts = parts;
  }

  /** `done` is called exactly once, in a later turn or at once. */
  ask(decide: Decide, done: (outcome: ChangeOutcome) => void): void {
    const { context, core } = this.#parts;
    if (!core.serving()) done({ kind: 'unavailable', reason: `this node is not in service (${core.nodeState})` });
    else if (this.#asked.length >= OPERATOR_CHANGES_MAX) done({ kind: 'unavailable', reason: 'too many changes are asked for at once' });
    else this.#asked.push({ decide, done, since: context.now.mono, ticket: core.confirmations.ask() });
  }

  /** Once a turn. */
  step(): void {
    if (this.#asked.length > 0) this.#asked = this.#asked.filter((asked) => !this.#goOn(asked));
  }

  /** The node is out of the view. */
  forget(): void {
    const asked = this.#asked;
    this.#asked = [];
    const reason = 'this node has left the view';
    for (const { changes, done } of asked) done({ kind: changes === undefined ? 'unavailable' : 'unknown', reason });
  }

  /** Whether it has come to its end. */
  #goOn(asked: Asked): boolean {
    const { context, core } = this.#parts;
    const isLate = context.now.mono - asked.since > COMMIT_TIMEOUT_MS;
    if (asked.changes === undefined) {
      if (asked.ticket > core.confirmations.confirmed) {
        if (isLate) asked.done({ kind: 'unavailable', reason: 'this node could not make sure in time of what it knows' });
        return isLate;
      }
      const decided = asked.decide(context.now);
      if (typeof decided === 'string') {
        asked.done({ kind: 'refused', reason: decided });
        return true;
      }
      this.#begin(asked, decided);
    }
    if (asked.changes!.every((change) => this.#isDone(change))) {
      asked.done({ kind: 'done' });
      return true;
    }
    if (isLate) asked.done({ kind: 'unknown', reason: 'the change is not committed yet, or the binding was changed meanwhile: look, and give the command again' });
    return isLate;
  }

  #begin(asked: Asked, changes: readonly OwnChange[]): void {
    const { context, core, forwarding, make } = this.#parts;
    asked.changes = changes.map((change) => {
      const { address, record } = change;
      if (core.owns(address & 0xff)) return { ...change, seq: make(address, record) };
      forwarding.forward({ address, record, owner: core.ownerOf(address & 0xff) ?? context.options.self }, []);
      return { ...change, seq: undefined };
    });
  }

  #isDone({ address, record, seq }: Begun): boolean {
    const { context, core } = this.#parts;
    if (seq !== undefined) return seq <= core.state.committedSeq;
    const current = context.table.read(address);
    return current !== undefined && tellsTheSame(current, record) && isCommitted(core.state, recordIncarnation(current), recordSeq(current));
  }
}
