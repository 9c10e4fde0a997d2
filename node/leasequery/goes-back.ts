/**
 * How far before its base-time a requestor that comes back to a node is told of changes: what another node knew by then
 * may be older here by the difference of their clocks, and by what a change over a cut link waits in etcd.
 */
import type { ClusterConfig } from '../config/types.ts';

/** Until a change is committed or given up. */
const COMMIT_SECONDS = 5;

export function goesBackSeconds({ evictAfterMs, maxClockSkewMs }: Pick<ClusterConfig, 'evictAfterMs' | 'maxClockSkewMs'>): number {
  return Math.ceil((maxClockSkewMs + evictAfterMs) / 1000) + COMMIT_SECONDS;
}
