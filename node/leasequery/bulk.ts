/**
 * What a bulk query finds (RFC 6926 §8.2), one binding after the other, each address once, from one moment of the
 * store. Lazy: whoever takes the next one sets the pace, and a page of records is all that is held.
 */
import type { AddressRange } from '../config/types.ts';
import type { IdentifierKind } from '../lease/identifiers.ts';
import type { RecordAt } from '../lease/merged-records.ts';
import { BindingState, recordLastTransaction, recordState, recordStateSince } from '../lease/record.ts';
import { BULK_PAGE_RECORDS } from '../limits.ts';
import { NOTE_KEYS_END } from '../notes/note.ts';
import type { BulkQuery } from './query.ts';

/** A moment of the store. */
export interface BindingsAt {
  scan(after: number, limit: number): RecordAt[];
  find(kind: IdentifierKind, identifier: Buffer): Iterable<RecordAt>;
}

/** `record` undefined: nobody has had the address. */
export interface Found {
  readonly address: number;
  readonly record: Buffer | undefined;
}

/** `configured`: see `configuredRanges`. */
export function findBindings(query: BulkQuery, store: BindingsAt, configured: readonly AddressRange[]): Iterable<Found> {
  if (query.elsewhere) return [];
  const { primary } = query;
  if (primary.by === 'all') return allConfigured(query, store, configured);
  return primary.by === 'address' ? [] : byIdentifier(query, store.find(primary.by, primary.identifier));
}

/** Every address "that has a current binding to a DHCPv4 client" matching the query. */
function* byIdentifier(query: BulkQuery, found: Iterable<RecordAt>): Iterable<Found> {
  for (const each of found) if (recordState(each.record) === BindingState.ACTIVE && hasChanged(query, each.record)) yield each;
}

function* allConfigured(query: BulkQuery, store: BindingsAt, configured: readonly AddressRange[]): Iterable<Found> {
  // An address that nobody has had has not changed, whenever that is asked for.
  const withFree = query.startTime === 0;
  let range = 0;
  let next = configured[0]?.first ?? Infinity;
  const step = (): void => {
    if (next < configured[range]!.last) next++;
    else next = configured[++range]?.first ?? Infinity;
  };
  for (const { address, record } of records(store)) {
    while (next < address) {
      if (withFree) yield { address: next, record: undefined };
      else {
        // Passed over as a whole: there may be millions.
        const { last } = configured[range]!;
        if (last < address) next = last;
        else next = address - 1;
      }
      step();
    }
    const isConfigured = next === address;
    if (isConfigured) step();
    // A lease outside all pools is one all the same: its client was given it.
    if ((isConfigured || recordState(record) === BindingState.ACTIVE) && hasChanged(query, record)) yield { address, record };
  }
  if (!withFree) return;
  // oxlint-disable-next-line eslint/no-unmodified-loop-condition -- `step` does
  for (; next !== Infinity; step()) yield { address: next, record: undefined };
}

/** Below lie the cluster's own notes. */
function* records(store: BindingsAt): Iterable<RecordAt> {
  for (let after = NOTE_KEYS_END - 1; ;) {
    const page = store.scan(after, BULK_PAGE_RECORDS);
    yield* page;
    if (page.length < BULK_PAGE_RECORDS) return;
    after = page.at(-1)!.address;
  }
}

/** "if either the client-last-transaction-time or the start-time-of-state of the address binding changed during that time window". */
function hasChanged({ startTime, endTime }: BulkQuery, record: Buffer): boolean {
  const within = (second: number): boolean => second >= startTime && second <= endTime;
  return within(recordLastTransaction(record)) || within(recordStateSince(record));
}
