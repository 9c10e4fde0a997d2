/**
 * What is to be done in DNS for a binding, one step after the other, and what a step's outcome makes of its entries.
 * A step may be taken for a record that has changed by the time it has an outcome: what it means then is decided by the
 * entries as they are then.
 *
 * Order: what is to go of a name goes before the same name comes anew; the A record comes before the PTR record, which
 * would name somebody else's name after a conflict (RFC 4703 §5.4). A PTR record that the lease's own replaces
 * (RFC 4703 §5.4 deletes all there are) needs no step of its own.
 */
import { DNS_ENTRIES_PER_BINDING_MAX } from '../limits.ts';
import type { DnsEntry, DnsJob, DnsRefusal } from './types.ts';

/** Part of a job that follows from the record alone. */
export interface DnsStep {
  readonly action: DnsJob['action'];
  readonly name: Buffer;
  readonly dhcid: Buffer;
}

/** How a step ended for good: `none`: as it was meant. */
export interface DnsStepResult {
  readonly step: DnsStep;
  readonly refusal: DnsRefusal;
}

/** What may be done now. `active`: the state of the record. Empty: there is no work. */
export function stepsOf(entries: readonly DnsEntry[], active: boolean): DnsStep[] {
  const current = active ? entries.find((entry) => entry.current) : undefined;
  const leaving = active ? entries.filter((entry) => !entry.current) : entries;
  const steps: DnsStep[] = [];
  for (const { name, dhcid, forward } of leaving) if (forward) steps.push({ action: 'remove-forward', name, dhcid });
  if (current !== undefined) {
    const { name, dhcid, forward, forwardSettled, reverse, reverseSettled } = current;
    if (forward && !forwardSettled) {
      if (!leaving.some((entry) => entry.forward && entry.name.equals(name))) steps.push({ action: 'add-forward', name, dhcid });
    } else if (reverse && !reverseSettled) steps.push({ action: 'add-reverse', name, dhcid });
  }
  for (const entry of leaving) {
    if (entry.reverse && (current === undefined || !replacesReverse(current, entry))) steps.push({ action: 'remove-reverse', name: entry.name, dhcid: entry.dhcid });
  }
  return steps;
}

/** Whether the entries say themselves what is to become of what the step would take out: the name is the lease's, or it goes. */
export function isListed(entries: readonly DnsEntry[], { action, name }: DnsStep): boolean {
  return entries.some((entry) => entry.name.equals(name) && (entry.current || (action === 'remove-forward' ? entry.forward : entry.reverse)));
}

/** The lease's PTR record comes, or has come, in the place of the earlier one. */
function replacesReverse(current: DnsEntry, earlier: DnsEntry): boolean {
  if (!current.reverse) return false;
  return current.name.equals(earlier.name) || current.refusal === 'none' || !current.reverseSettled;
}

/** The entries after steps have ended; those that are done with are gone. */
export function entriesAfter(entries: readonly DnsEntry[], active: boolean, results: readonly DnsStepResult[]): DnsEntry[] {
  let after: DnsEntry[] = [...entries];
  for (const result of results) after = afterStep(after, active, result);
  return after.filter((entry) => (active && entry.current) || entry.forward || entry.reverse);
}

function afterStep(entries: readonly DnsEntry[], active: boolean, { step, refusal }: DnsStepResult): DnsEntry[] {
  const forward = step.action === 'add-forward' || step.action === 'remove-forward';
  const at = entries.findIndex((entry) => entry.name.equals(step.name) && entry.dhcid.equals(step.dhcid) && (forward ? entry.forward : entry.reverse));
  const entry = entries[at];
  const isWanted = active && entry?.current === true;
  if (step.action === 'remove-forward' || step.action === 'remove-reverse') {
    if (entry === undefined) return [...entries];
    // Its client has come back to the name meanwhile: what was taken out is to be put in again.
    const left = isWanted ? unsettled(entry, forward) : forward ? { ...entry, forward: false } : { ...entry, reverse: false };
    return entries.with(at, left);
  }
  if (isWanted) return withoutReplaced(entries.with(at, added(entry, forward, refusal)));
  // The name is not wanted any more, and that it is to be taken out is noted already; or it is wanted by nobody here.
  if (entry !== undefined || refusal !== 'none') return [...entries];
  return entries.length >= DNS_ENTRIES_PER_BINDING_MAX ? [...entries] : [...entries, strayOf(step, forward)];
}

function unsettled(entry: DnsEntry, forward: boolean): DnsEntry {
  return forward ? { ...entry, forwardSettled: false, refusal: 'none' } : { ...entry, reverseSettled: false };
}

function added(entry: DnsEntry, forward: boolean, refusal: DnsRefusal): DnsEntry {
  if (!forward) return { ...entry, reverseSettled: true, refusal: refusal === 'none' ? entry.refusal : refusal };
  return { ...entry, forwardSettled: true, reverseSettled: entry.reverseSettled || refusal === 'conflict', refusal };
}

/** The lease's PTR record is there: the earlier ones of the address are not. */
function withoutReplaced(entries: readonly DnsEntry[]): DnsEntry[] {
  const current = entries.find((entry) => entry.current);
  if (current === undefined || !current.reverseSettled) return [...entries];
  return entries.map((entry) => (!entry.current && entry.reverse && replacesReverse(current, entry) ? { ...entry, reverse: false } : entry));
}

/** What was put in for an entry that the record has lost since: it is to be taken out. */
function strayOf({ name, dhcid }: DnsStep, forward: boolean): DnsEntry {
  return { name, dhcid, current: false, forward, reverse: !forward, forwardSettled: false, reverseSettled: false, refusal: 'none' };
}
