/** An address that is being seen to by the outbox: from when there is work until what came of it is written down. */
import type { MonotonicMs } from '../time.ts';
import type { DnsStep, DnsStepResult } from './steps.ts';

export interface Visit {
  readonly address: number;
  ticket: number;
  askedAt: MonotonicMs;
  /** When the last confirmation was asked for that has come. */
  freshAt: MonotonicMs;
  /** Since it waits for what it waits for. */
  since: MonotonicMs;
  /** Something was begun, on the record that this change wrote; zeros: there was none. */
  begun: boolean;
  incarnation: number;
  seq: number;
  readonly results: DnsStepResult[];
  /** To be taken out although the record says nothing of it: found in a zone. */
  readonly strays: readonly DnsStep[];
  job?: { readonly id: number; readonly zone: string; readonly step: DnsStep };
}

/** `ticket`: of a confirmation that was asked for now. */
export function newVisit(address: number, ticket: number, strays: readonly DnsStep[], now: MonotonicMs): Visit {
  return { address, ticket, askedAt: now, freshAt: now, since: now, begun: false, incarnation: 0, seq: 0, results: [], strays };
}
