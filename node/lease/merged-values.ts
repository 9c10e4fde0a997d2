/** Ranges of meta values in order of their keys: a lower layer's with changes that it does not have yet laid over them. */

export interface MetaAt {
  readonly key: string;
  readonly value: Buffer;
}

/** Values of keys from `from` on and below `to`, at most `limit`; fewer only when there are no more. */
export type ScanMeta = (from: string, to: string, limit: number) => MetaAt[];

/** `changes` must be in order of key and have all of the range; null removes. `scan` keeps the same rule as the result. */
export function mergedValues(
  scan: ScanMeta, changes: readonly (readonly [string, Buffer | null])[], from: string, to: string, limit: number,
): MetaAt[] {
  if (limit <= 0) return [];
  if (changes.length === 0) return scan(from, to, limit);
  const merged: MetaAt[] = [];
  let next = 0;
  for (let start = from; ;) {
    const page = scan(start, to, limit);
    const isLast = page.length < limit;
    const end = isLast ? to : page.at(-1)!.key;
    let below = 0;
    for (; next < changes.length && changes[next]![0] <= end; next++) {
      const [key, value] = changes[next]!;
      while (below < page.length && page[below]!.key < key) merged.push(page[below++]!);
      if (page[below]?.key === key) below++;
      if (value !== null) merged.push({ key, value });
    }
    while (below < page.length) merged.push(page[below++]!);
    if (isLast || merged.length >= limit) return merged.length > limit ? merged.slice(0, limit) : merged;
    start = keyAfter(end);
  }
}

/** The changes of the range, in order. */
export function changesWithin(changes: Iterable<readonly [string, Buffer | null]>, from: string, to: string): (readonly [string, Buffer | null])[] {
  const within: (readonly [string, Buffer | null])[] = [];
  for (const change of changes) if (change[0] >= from && change[0] < to) within.push(change);
  return within.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Above this key and at most as high as the next one: keys are ASCII without blanks, and LMDB's order is that of their characters. */
export function keyAfter(key: string): string {
  return `${key}!`;
}

const PART_KEYS_MAX = 512;

/** Keys in order, for ranges of them: added in any order, each once, a few memory moves each. */
export class SortedKeys {
  /** Each in order, and each below the next; never empty but for the first. */
  readonly #parts: string[][] = [[]];

  add(key: string): void {
    const at = this.#partOf(key);
    const part = this.#parts[at]!;
    const place = firstFrom(part, key);
    if (part[place] === key) return;
    part.splice(place, 0, key);
    if (part.length > PART_KEYS_MAX) this.#parts.splice(at + 1, 0, part.splice(PART_KEYS_MAX >>> 1));
  }

  /** From `from` on and below `to`. */
  *within(from: string, to: string): IterableIterator<string> {
    for (let at = this.#partOf(from), place = firstFrom(this.#parts[at]!, from); at < this.#parts.length; at++, place = 0) {
      const part = this.#parts[at]!;
      for (; place < part.length; place++) {
        if (part[place]! >= to) return;
        yield part[place]!;
      }
    }
  }

  /** The last part that begins at the key or below it. */
  #partOf(key: string): number {
    let low = 0;
    let high = this.#parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#parts[middle]![0]! <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Of keys in order: the place of the first one that is `from` or above it. */
export function firstFrom(keys: readonly string[], from: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < from) low = middle + 1;
    else high = middle;
  }
  return low;
}
