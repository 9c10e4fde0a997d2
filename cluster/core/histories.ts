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

/** Whether all that the members change is heard here now: a member whose links to all others are up, and whose clock is right. */
export function hearsAll({ nodeState, state }: ClusterCore): boolean {
  return (nodeState === 'NORMAL' || nodeState === 'PARTNER-DOWN') && state.finished && state.clockSteppedAt === undefined;
}
