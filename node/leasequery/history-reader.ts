/** The history of changes as a moment of the store has it. */
import { STATE_KEY, readHistoryState } from './change-history.ts';
import { historyKey, readChunk, readChunkHeader } from './history-chunk.ts';
import type { BindingChange } from './history-chunk.ts';

export interface MetaAt {
  readMeta(key: string): Buffer | undefined;
  /** In order, from one key up to before another; `entries`: read at once. */
  scanMeta(from: string, to: string, entries?: number): Iterable<[string, Buffer]>;
}

export interface HistoryAt {
  /** Every change of this UTC second and later ones is in it. */
  readonly since: number;
  readonly first: number;
  /** Of the first change that is not in it yet. */
  readonly next: number;
}

const ENTRIES_AT_ONCE = 16;

/** Undefined: no changes are kept. */
export function historyOf(store: MetaAt): HistoryAt | undefined {
  const bytes = store.readMeta(STATE_KEY);
  const state = bytes && readHistoryState(bytes);
  if (state?.goesOn !== true) return undefined;
  return { since: state.since, first: state.first, next: state.next };
}

/** Changes stored in this UTC second or later, in order. */
export function* changesSince(store: MetaAt, second: number): Iterable<BindingChange> {
  const history = historyOf(store);
  if (history === undefined) return;
  const end = historyKey(history.next);
  for (const [key, chunk] of store.scanMeta(historyKey(firstFrom(store, history, second)), end, ENTRIES_AT_ONCE)) {
    for (const change of readChunk(key, chunk) ?? []) if (change.second >= second) yield change;
  }
}

/**
 * Where to begin reading: at the last chunk that begins before `second`, or at the first one. Seconds never fall from
 * one change to the next, so that all changes from then on lie in it or behind it.
 */
function firstFrom(store: MetaAt, { first, next }: HistoryAt, second: number): number {
  let [low, high] = [first, next];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const [found] = store.scanMeta(historyKey(middle), historyKey(next), 1);
    const chunk = found && readChunkHeader(found[1]);
    if (chunk === undefined || chunk.firstSecond >= second) high = middle;
    else low = middle;
  }
  return low;
}
