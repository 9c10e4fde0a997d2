/** Pages of records in order of address: a lower layer's with changes that it does not have yet laid over them. */
import type { BindingStore } from './store.ts';

export interface RecordAt {
  readonly address: number;
  readonly record: Buffer;
}

/**
 * Records above `after` (-1: from the start), at most `limit`; fewer only when there are no more. `scan`
 * keeps the same rule; `changes` may come in any order, null removes.
 */
export function mergedPage(
  scan: (after: number, limit: number) => readonly RecordAt[],
  changes: Iterable<readonly [number, Buffer | null]>, after: number, limit: number,
): RecordAt[] {
  const ahead = [...changes].filter(([address]) => address > after).sort(([a], [b]) => a - b);
  return mergedSortedPage(scan, ahead, 0, after, limit);
}

/** The same of changes that are in order of address, from the one numbered `next`: the first above `after`. */
export function mergedSortedPage(
  scan: (after: number, limit: number) => readonly RecordAt[],
  ahead: readonly (readonly [number, Buffer | null])[], next: number, after: number, limit: number,
): RecordAt[] {
  if (limit <= 0) return [];
  const merged: RecordAt[] = [];
  let from = after;
  for (;;) {
    const page = scan(from, limit);
    const isLast = page.length < limit;
    const end = isLast ? Infinity : page.at(-1)!.address;
    let below = 0;
    for (; next < ahead.length && ahead[next]![0] <= end; next++) {
      const [address, record] = ahead[next]!;
      while (below < page.length && page[below]!.address < address) merged.push(page[below++]!);
      if (page[below]?.address === address) below++;
      if (record !== null) merged.push({ address, record });
    }
    while (below < page.length) merged.push(page[below++]!);
    if (isLast || merged.length >= limit) return merged.slice(0, limit);
    from = end;
  }
}

/** The newest records: the disk's, and what is not flushed yet. */
export function recordsOf(store: BindingStore, after: number, limit: number): RecordAt[] {
  return mergedPage((from, most) => store.scanDisk(from, most), store.unflushed(), after, limit);
}
