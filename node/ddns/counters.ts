/** What is counted of updates of DNS. */
import { DurationHistogram } from '../telemetry/histogram.ts';
import type { DnsJob, DnsOutcome } from './types.ts';

export const DNS_ACTIONS = ['add-forward', 'remove-forward', 'add-reverse', 'remove-reverse'] as const satisfies readonly DnsJob['action'][];
export const DNS_OUTCOMES = ['done', 'conflict', 'refused', 'unavailable'] as const satisfies readonly DnsOutcome['kind'][];

export class DnsCounters {
  readonly #ended = new Float64Array(DNS_ACTIONS.length * DNS_OUTCOMES.length);
  /** What had to be forgotten although it may be in DNS. */
  givenUp = 0;
  /** Of updates that a server answered; the one who carries them out puts its own here. */
  seconds = new DurationHistogram();

  count(action: DnsJob['action'], outcome: DnsOutcome['kind']): void {
    this.#ended[DNS_ACTIONS.indexOf(action) * DNS_OUTCOMES.length + DNS_OUTCOMES.indexOf(outcome)]!++;
  }

  ended(action: DnsJob['action'], outcome: DnsOutcome['kind']): number {
    return this.#ended[DNS_ACTIONS.indexOf(action) * DNS_OUTCOMES.length + DNS_OUTCOMES.indexOf(outcome)]!;
  }
}
