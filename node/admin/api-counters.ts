/** How often operations were asked for over HTTP and the control socket, by how that ended. */

export const API_OUTCOMES = ['done', 'bad-request', 'unauthenticated', 'forbidden', 'too-many', 'not-found', 'refused', 'unavailable', 'unknown', 'failed'] as const;
export type ApiOutcome = (typeof API_OUTCOMES)[number];

const OF_STATUS: ReadonlyMap<number, ApiOutcome> = new Map([
  [401, 'unauthenticated'], [403, 'forbidden'], [404, 'not-found'], [409, 'refused'], [429, 'too-many'], [503, 'unavailable'], [504, 'unknown'],
]);

export class ApiCounters {
  readonly #counts = new Map<string, Map<ApiOutcome, number>>();
  /** Credentials that were no good, and tokens that came in the clear. */
  credentialFailures = 0;
  tokensExposed = 0;
  /** Entries of the audit log that made room for newer ones before their time. */
  auditReplaced = 0;

  /** `operation`: one that is declared. */
  count(operation: string, status: number): void {
    const outcome = status < 400 ? 'done' : (OF_STATUS.get(status) ?? (status < 500 ? 'bad-request' : 'failed'));
    const outcomes = this.#counts.get(operation) ?? new Map<ApiOutcome, number>();
    this.#counts.set(operation, outcomes);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }

  *all(): Generator<{ readonly operation: string; readonly outcome: ApiOutcome; readonly count: number }> {
    for (const [operation, outcomes] of this.#counts) for (const [outcome, count] of outcomes) yield { operation, outcome, count };
  }
}
