/** Which addresses a configuration gives out, and which of them another one does not give out any more. */
import type { AddressRange, ClusterConfig } from './types.ts';

/** In order, disjoint: all pools, and all addresses that are reserved for somebody. */
export function covered(config: Pick<ClusterConfig, 'pools' | 'reservations'>): AddressRange[] {
  const ranges = config.pools.flatMap(({ ranges: own }) => own);
  for (const { address } of config.reservations) if (address !== undefined) ranges.push({ first: address, last: address });
  ranges.sort((a, b) => a.first - b.first);
  const merged: { first: number; last: number }[] = [];
  for (const { first, last } of ranges) {
    const previous = merged.at(-1);
    if (previous !== undefined && first <= previous.last + 1) previous.last = Math.max(previous.last, last);
    else merged.push({ first, last });
  }
  return merged;
}

/** What is in `before` and not in `after`; both in order and disjoint. */
export function without(before: readonly AddressRange[], after: readonly AddressRange[]): AddressRange[] {
  const left: AddressRange[] = [];
  let at = 0;
  for (const { first, last } of before) {
    let from = first;
    while (at < after.length && after[at]!.last < from) at++;
    for (let i = at; i < after.length && after[i]!.first <= last; i++) {
      if (after[i]!.first > from) left.push({ first: from, last: after[i]!.first - 1 });
      from = Math.max(from, after[i]!.last + 1);
    }
    if (from <= last) left.push({ first: from, last });
  }
  return left;
}

/** By bisection: the ranges are in order and disjoint. */
export function inRanges(ranges: readonly AddressRange[], address: number): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle]!.last < address) low = middle + 1;
    else high = middle;
  }
  return low < ranges.length && ranges[low]!.first <= address;
}
