/** The newest records in order of address: the disk's pages with what is not flushed yet laid over them. */
import type { BindingStore } from './store.ts';

/** Records above `after` (-1: from the start), at most `limit`; empty only when there are no more. */
export function recordsOf(store: BindingStore, after: number, limit: number): { address: number; record: Buffer }[] {
  let from = after;
  for (;;) {
    const page = store.scanDisk(from, limit);
    const end = page.length < limit ? Infinity : page.at(-1)!.address;
    const merged = new Map<number, Buffer>();
    for (const { address, record } of page) merged.set(address, record);
    let changed = false;
    for (const [address, record] of store.unflushed()) {
      if (address <= from || address > end) continue;
      changed = true;
      if (record === null) merged.delete(address);
      else merged.set(address, record);
    }
    if (!changed && page.length > 0) return page;
    if (merged.size > 0) {
      return [...merged]
        .map(([address, record]) => ({ address, record }))
        .sort((a, b) => a.address - b.address)
        .slice(0, limit);
    }
    if (end === Infinity) return [];
    from = end; // Everything on this page is removed already.
  }
}
