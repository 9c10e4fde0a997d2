/**
 * Changes that concern DNS alone, and a change that another node has decided on before it knew of them: it is none the
 * worse for that, and is made with what DNS has come to meanwhile.
 */
import { BindingState, recordIncarnation, recordSection, recordSeq, recordState, SectionKind, withSection } from '../lease/record.ts';
import { monotonicPlus } from '../time.ts';
import type { MonotonicMs } from '../time.ts';
import { currentEntry, encodeDnsEntries, isSameName, moveOn, readDnsEntries } from './entries.ts';
import { DNS_REWRITES_MAX, DNS_REWRITES_MS } from './limits.ts';
import type { DnsEntry } from './types.ts';

interface Rewrite {
  /** Of the records before, the oldest first: log and number. */
  readonly before: readonly (readonly [incarnation: number, seq: number])[];
  readonly incarnation: number;
  readonly seq: number;
  readonly until: MonotonicMs;
}

/** One address is rewritten a few times in so short a time at most. */
const BEFORE_MAX = 4;

export class DnsRewrites {
  /** By address, the oldest first. */
  readonly #rewrites = new Map<number, Rewrite>();

  /** `before` was replaced by the record with this number of this log, which differs from it in the section `dns` alone. */
  note(address: number, before: Buffer, incarnation: number, seq: number, now: MonotonicMs): void {
    const earlier = this.#rewrites.get(address);
    const stamp = [recordIncarnation(before), recordSeq(before)] as const;
    const goesOn = earlier !== undefined && earlier.incarnation === stamp[0] && earlier.seq === stamp[1];
    this.#rewrites.delete(address);
    for (const [oldest, { until }] of this.#rewrites) {
      if (until > now && this.#rewrites.size < DNS_REWRITES_MAX) break;
      this.#rewrites.delete(oldest);
    }
    this.#rewrites.set(address, {
      before: goesOn ? [...earlier.before.slice(1 - BEFORE_MAX), stamp] : [stamp], incarnation, seq, until: monotonicPlus(now, DNS_REWRITES_MS),
    });
  }

  /** Whether the address's record says the same as the one with this number of this log, but for the section `dns`. */
  isAllSince(address: number, current: Buffer, incarnation: number, seq: number): boolean {
    const rewrite = this.#rewrites.get(address);
    return rewrite !== undefined && rewrite.incarnation === recordIncarnation(current) && rewrite.seq === recordSeq(current) &&
      rewrite.before.some(([log, number]) => log === incarnation && number === seq);
  }
}

/** `wanted` was decided on a record that differed from `current` in the section `dns` alone. */
export function mergedRecord(wanted: Buffer, current: Buffer): Buffer {
  const section = recordSection(current, SectionKind.dns);
  if (recordState(wanted) !== BindingState.ACTIVE) return withSection(wanted, SectionKind.dns, section);
  const next = currentEntry(wanted);
  const known = recordState(current) === BindingState.ACTIVE ? currentEntry(current) : undefined;
  const { entries } = moveOn(readDnsEntries(section), next === undefined || known === undefined ? next : withProgress(next, known));
  return withSection(wanted, SectionKind.dns, encodeDnsEntries(entries));
}

/** What DNS has refused is tried again where the lease begins anew; what it has taken is there. */
function withProgress(next: DnsEntry, known: DnsEntry): DnsEntry {
  if (!isSameName(next, known) || known.refusal !== 'none') return next;
  return {
    ...next,
    forwardSettled: next.forwardSettled || (next.forward && known.forward && known.forwardSettled),
    reverseSettled: next.reverseSettled || (next.reverse && known.reverse && known.reverseSettled),
  };
}
