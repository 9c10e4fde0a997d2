/**
 * Bindings that somebody asks for, read in pages of bounded work with packets going first in between: listing a
 * million of them holds nobody up. In order of address they stream; another order is sorted in runs of bounded length.
 */
import type { ClusterConfig } from '../config/types.ts';
import { SubnetFinder } from '../lease/subnet-finder.ts';
import { LEASE_PAGE_RECORDS, LEASE_SORTS_MAX, SORTED_LEASES_MAX } from './limits.ts';
import { matchesFilter } from './lease-filter.ts';
import type { LeaseFilter } from './lease-filter.ts';
import { comparePlaces, placeOf } from './lease-order.ts';
import type { LeaseOrder, LeasePlace } from './lease-order.ts';
import { isStreamed, LeaseQueryError, tooManyToSort } from './lease-parameters.ts';
import type { LeaseQuery } from './lease-parameters.ts';
import { leaseView, type LeaseView } from './lease-view.ts';
import { SortedRuns } from './sorted-runs.ts';

/** The lease table, or anything that lists records like it. */
export interface LeaseRecords {
  /** In order of address, those above `after` (-1: from the start), at most `limit`. */
  records(after: number, limit: number): readonly { readonly address: number; readonly record: Buffer }[];
}

export interface LeaseSource extends LeaseRecords {
  readonly config: Pick<ClusterConfig, 'networks' | 'nodes' | 'subnets'>;
  /** The member that the view gives a slot to. */
  ownerOf(slot: number): string | undefined;
  /** Lets packets go first. */
  pause(): Promise<void>;
}

interface Found extends LeasePlace {
  readonly record: Buffer;
}

/** @throws LeaseQueryError */
export async function* listLeases(source: LeaseSource, query: LeaseQuery): AsyncGenerator<LeaseView> {
  const finder = new SubnetFinder(source.config.subnets);
  const view = (address: number, record: Buffer): LeaseView =>
    leaseView(address, record, source.config.subnets[finder.find(address)]?.name ?? '', source.ownerOf(address & 0xff));
  let left = query.limit;
  if (!isStreamed(query.order)) {
    for await (const { address, record } of sorted(source, query)) yield view(address, record);
    return;
  }
  for await (const found of pagesOf(source, query.filter, query.after?.address ?? -1)) {
    for (const { address, record } of found) {
      yield view(address, record);
      if (--left === 0) return;
    }
  }
}

export async function countLeases(source: LeaseSource, filter: LeaseFilter): Promise<number> {
  let count = 0;
  for await (const found of pagesOf(source, filter, -1)) count += found.length;
  return count;
}

/** Those that match, in order of address. */
async function* pagesOf(source: LeaseSource, filter: LeaseFilter, after: number): AsyncGenerator<{ address: number; record: Buffer }[]> {
  let from = Math.max(after, filter.first - 1);
  while (from < filter.last) {
    const page = source.records(from, Math.min(LEASE_PAGE_RECORDS, filter.last - from));
    const end = page.at(-1)?.address;
    const found = page.filter(({ address, record }) => matchesFilter(filter, address, record));
    if (found.length > 0) yield found;
    if (end === undefined || end >= filter.last) return;
    from = end;
    await source.pause();
  }
}

/** How many are being sorted, of each source. */
const sorting = new WeakMap<LeaseRecords, number>();

async function* sorted(source: LeaseSource, { after, filter, limit, order }: LeaseQuery): AsyncGenerator<Found> {
  const underWay = sorting.get(source) ?? 0;
  if (underWay >= LEASE_SORTS_MAX) throw new LeaseQueryError(`${underWay} lists are being sorted already: ask again in a moment, or in order of address`);
  sorting.set(source, underWay + 1);
  try {
    yield* await sortedRuns(source, filter, order, after, limit);
  } finally {
    sorting.set(source, sorting.get(source)! - 1);
  }
}

async function sortedRuns(
  source: LeaseSource, filter: LeaseFilter, order: LeaseOrder, after: LeasePlace | undefined, limit: number,
): Promise<AsyncIterable<Found>> {
  const pause = (): Promise<void> => source.pause();
  const runs = new SortedRuns<Found>((one, other) => comparePlaces(order, one, other), SORTED_LEASES_MAX, limit, pause);
  for await (const page of pagesOf(source, filter, -1)) {
    for (const { address, record } of page) {
      const place = placeOf(order, address, record);
      if (after !== undefined && comparePlaces(order, place, after) <= 0) continue;
      // As it is now, whatever becomes of it: a list is of one order, and goes on where it ended.
      if (runs.isFull && !await runs.makeRoom()) throw tooManyToSort();
      runs.add({ key: place.key, address, record: Buffer.from(record) });
    }
  }
  return runs.inOrder();
}
