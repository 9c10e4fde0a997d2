/** Carries operations out on a node, and has the audit log tell of every change and of every attempt at one. */
import type { Occurrence } from '../telemetry/events.ts';
import type { MonotonicMs, Now } from '../time.ts';
import type { ApiCounters } from './api-counters.ts';
import { attemptEntry, auditChange } from './audit.ts';
import type { Attempt, AuditEntry } from './audit.ts';
import type { ChangeOutcome, Decide } from './changes.ts';
import { Refusals } from './failures.ts';
import { mayAct, OperationError } from './operation.ts';
import type { AnyOperation, Audited, Caller, ChangingHost, OperationHost } from './operation.ts';

export interface RunnerParts {
  readonly host: OperationHost;
  readonly change: (decide: Decide, done: (outcome: ChangeOutcome) => void) => void;
  readonly report: (occurrences: readonly Occurrence[]) => void;
  readonly counters: ApiCounters;
}

type Outcome = Audited & Pick<AuditEntry, 'outcome' | 'answer'>;

const NOTHING: Audited = { target: '', before: '', after: '' };
/** That the audit log is full is told again after so long. */
const FULL_AGAIN_MS = 3_600_000;

export class OperationRunner {
  readonly #parts: RunnerParts;
  readonly #refusals = new Refusals();
  #toldFullAt: MonotonicMs | undefined;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  get counters(): ApiCounters {
    return this.#parts.counters;
  }

  /** Of an operation of kind 'list'; its role is checked already. */
  list(operation: AnyOperation & { kind: 'list' }, parameters: unknown, caller: Caller): AsyncIterable<unknown> {
    return operation.run(this.#parts.host, parameters, caller);
  }

  /** @throws OperationError */
  async run(operation: AnyOperation & { kind: 'answer' | 'change' }, parameters: unknown, caller: Caller): Promise<unknown> {
    if (operation.kind === 'answer') return operation.run(this.#parts.host, parameters, caller);
    const { reason } = parameters as { readonly reason?: unknown };
    const attempt: Attempt = { caller, operation: operation.id, reason: typeof reason === 'string' ? reason : '' };
    try {
      return await operation.run(this.#changing(attempt), parameters, caller);
    } catch (error) {
      const refused = error instanceof OperationError && error.code !== 'unknown';
      await this.attempt(attempt, { ...NOTHING, target: targetOf(parameters), outcome: refused ? 'refused' : 'failed', answer: (error as Error).message });
      throw error;
    }
  }

  /** Why the caller may not, or undefined; what would have changed something is written down. */
  async refusal(operation: AnyOperation, caller: Caller | undefined, why: string, from: string): Promise<string | undefined> {
    if (caller !== undefined && mayAct(caller.role, operation.role)) return undefined;
    const who = caller?.name || 'who asks on this host without showing who it is';
    const answer = caller === undefined ? why : `${operation.id} needs the role ${operation.role}; ${who} is ${caller.role}`;
    if (operation.kind === 'change') {
      const known = caller ?? { name: '', role: 'none' as const, via: 'none' as const, from };
      await this.attempt({ caller: known, operation: operation.id, reason: '' }, { ...NOTHING, outcome: 'refused', answer });
    }
    return answer;
  }

  /**
   * Into the audit log; where that cannot be written, as in a node out of service, an event tells of it alone. Where
   * refusals come in numbers they are told of together later.
   */
  async attempt(attempt: Attempt, what: Outcome): Promise<void> {
    const { caller: { from, name } } = attempt;
    if (what.outcome === 'refused' && !this.#refusals.isTold(`${name} ${from}`.trim(), this.#parts.host.now().mono)) return;
    await this.#write(attempt, what);
  }

  /** Once in a while: of the refusals that were not told of one by one. */
  tellOfRefusals(): void {
    const untold = this.#refusals.takeUntold(this.#parts.host.now().mono);
    if (untold === undefined) return;
    const answer = `${untold.count} more refused attempts were not written down one by one, the last of them by ${untold.last || 'nobody known'}`;
    void this.#write({ caller: { name: '', role: 'none', via: 'none', from: '' }, operation: 'several', reason: '' }, { ...NOTHING, outcome: 'refused', answer });
  }

  #write(attempt: Attempt, what: Outcome): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.change((now) => [this.#entry(attempt, what, now)], (outcome) => {
        this.#tell(attempt, what, outcome.kind === 'done');
        resolve();
      });
    });
  }

  #entry(attempt: Attempt, what: Outcome, now: Now): ReturnType<typeof auditChange> {
    const { counters, host, report } = this.#parts;
    const change = auditChange(host, attemptEntry(host.node, attempt, what, now), now);
    if (change.replaced !== undefined) {
      counters.auditReplaced++;
      if (this.#toldFullAt === undefined || now.mono - this.#toldFullAt >= FULL_AGAIN_MS) {
        this.#toldFullAt = now.mono;
        report([{ id: 'audit.full', fields: { replacedFrom: change.replaced } }]);
      }
    }
    return change;
  }

  #changing(attempt: Attempt): ChangingHost {
    const { host } = this.#parts;
    return Object.assign(Object.create(host) as OperationHost, { change: (decide: Parameters<ChangingHost['change']>[0]) => this.#change(attempt, decide) });
  }

  async #change(attempt: Attempt, decide: Parameters<ChangingHost['change']>[0]): Promise<void> {
    let audited = NOTHING;
    let mistake: { readonly error: unknown } | undefined;
    const outcome = await new Promise<ChangeOutcome>((resolve) => {
      this.#parts.change((now: Now) => {
        const decided = decidedOr(decide, now);
        if (decided instanceof Error) {
          mistake = { error: decided };
          return decided.message;
        }
        if (typeof decided === 'string') return decided;
        audited = decided.audited;
        return [...decided.changes, this.#entry(attempt, { ...audited, outcome: 'done', answer: '' }, now)];
      }, resolve);
    });
    if (mistake !== undefined) throw mistake.error;
    if (outcome.kind !== 'done') throw new OperationError(outcome.kind, outcome.reason);
    this.#tell(attempt, { ...audited, outcome: 'done', answer: '' }, true);
  }

  #tell({ caller, operation, reason }: Attempt, { answer, outcome, target }: Outcome, isWritten: boolean): void {
    this.#parts.report([{ id: 'operator.operation', fields: {
      operation, by: caller.name, via: caller.via, from: caller.from, target, outcome, ...(answer === '' ? {} : { answer }), ...(reason === '' ? {} : { reason }), inAuditLog: isWritten,
    } }]);
  }
}

/** A mistake in an operation is that operation's alone, and not the end of the node that decides it. */
function decidedOr(decide: Parameters<ChangingHost['change']>[0], now: Now): ReturnType<typeof decide> | Error {
  try {
    return decide(now);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** What was asked for, in a few words. */
function targetOf(parameters: unknown): string {
  return Object.entries(parameters as object).filter(([name]) => name !== 'reason').map(([name, value]) => `${name} ${String(value)}`).join(', ');
}
