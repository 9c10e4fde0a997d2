/**
 * Fills very many lists at once. Following a list of a big pool means a page far away at every step, and
 * so a wait for memory; here the pages are walked in order, and what lies between fits in the caches.
 */
import type { AddressLists, Pages } from './pages.ts';

/**
 * Links each address whose `list` is `firstList` or above into that list, where it is not linked yet. In
 * each list the address with the lowest `due` comes first; all of its addresses are of one slot.
 */
export function linkAll(pages: Pages, lists: AddressLists, firstList: number): void {
  const starts = countByList(pages, firstList, lists.count);
  const total = starts.at(-1)!;
  const addresses = new Uint32Array(total);
  const dues = new Uint32Array(total);
  const next = starts.slice();
  for (const [base, page] of pages.all()) {
    for (let s = 0; s < 256; s++) {
      if (page.list[s]! < firstList) continue;
      const at = next[page.list[s]! - firstList]!++;
      addresses[at] = base + s;
      dues[at] = page.due[s]!;
    }
  }
  const previous = new Uint32Array(total);
  const following = new Uint32Array(total);
  for (let i = 0; i < starts.length - 1; i++) {
    const from = starts[i]!;
    const end = starts[i + 1]!;
    if (from === end) continue;
    let before = 0;
    let beforeAt = 0;
    for (const at of byDue(dues, from, end)) {
      previous[at] = before;
      if (before !== 0) following[beforeAt] = addresses[at]!;
      else lists.setHead(firstList + i, addresses[at]!);
      before = addresses[at]!;
      beforeAt = at;
    }
    lists.setTail(firstList + i, before);
  }
  next.set(starts);
  for (const [, page] of pages.all()) {
    for (let s = 0; s < 256; s++) {
      if (page.list[s]! < firstList) continue;
      const at = next[page.list[s]! - firstList]!++;
      page.previous[s] = previous[at]!;
      page.next[s] = following[at]!;
    }
  }
}

/** Where the addresses of each list begin, if they stand list by list; one number more than there are lists. */
function countByList(pages: Pages, firstList: number, count: number): Uint32Array {
  const starts = new Uint32Array(count - firstList + 1);
  for (const [, page] of pages.all()) {
    for (let s = 0; s < 256; s++) if (page.list[s]! >= firstList) starts[page.list[s]! - firstList + 1]!++;
  }
  for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!;
  return starts;
}

/** The positions from `from` to `end` - 1, lowest due first. */
function byDue(dues: Uint32Array, from: number, end: number): Uint32Array {
  // Sorted as plain numbers: 32 bits of a time, and 21 of a position, since a slot has 2^24 addresses in all
  // of IPv4 and no list an eighth of them.
  const keys = new Float64Array(end - from);
  for (let i = 0; i < keys.length; i++) keys[i] = dues[from + i]! * 2 ** 21 + i;
  return Uint32Array.from(keys.sort(), (key) => from + (key % 2 ** 21));
}
