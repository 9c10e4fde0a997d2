/** What a node keeps of the past, as the failover core drives it: both histories have holes for the same reasons. */
import type { HistoryOfChanges } from './context.ts';
import type { ClusterCore } from './core.ts';

/** Told together when the node begins to fetch, and when it is a member again. */
export function inStep(...histories: readonly (HistoryOfChanges | undefined)[]): HistoryOfChanges | undefined {
  const kept = histories.filter((history) => history !== undefined);
  if (kept.length === 0) return undefined;
  return {
    suspend: (isKnown) => {
      for (const history of kept) history.suspend(isKnown);
    },
    resume: (now) => {
      for (const history of kept) history.resume(now);
    },
  };
}

const HEARING: ReadonlySet<string> = new Set(['NORMAL', 'PARTNER-DOWN', 'COMMUNICATIONS-INTERRUPTED']);

/** Whether all that the members change is heard here, over links or, some seconds late, through the inbox; and the clock is right. */
export function hearsAll({ nodeState, state }: ClusterCore): boolean {
  return HEARING.has(nodeState) && state.finished && state.clockSteppedAt === undefined;
}
