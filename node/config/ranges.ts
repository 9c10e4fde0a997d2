/** Sets of addresses as ranges. */
import type { AddressRange } from './types.ts';

/** What is left of `ranges`, in order; the excluded ones may be in any order and overlap. */
export function subtractRanges(ranges: readonly AddressRange[], excluded: readonly AddressRange[]): AddressRange[] {
  const cuts = excluded.toSorted((a, b) => a.first - b.first);
  const left: AddressRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    let { first } = range;
    for (const cut of cuts) {
      if (cut.last < first) continue;
      if (cut.first > range.last) break;
      if (cut.first > first) left.push({ first, last: cut.first - 1 });
      first = cut.last + 1;
      if (first > range.last) break;
    }
    if (first <= range.last) left.push({ first, last: range.last });
  }
  return left;
}
