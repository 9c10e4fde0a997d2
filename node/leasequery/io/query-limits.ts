/** The bounds of a connection that come from `limits.ts`; tests have smaller ones. */
import { ACTIVE_IDLE_MS, ACTIVE_SEND_MS, FOLLOWED_CHANGES_MAX, SNAPSHOT_MS_MAX, TLS_HANDSHAKE_MS } from '../../limits.ts';

export interface QueryLimits {
  readonly snapshotMs: number;
  readonly activeIdleMs: number;
  readonly activeSendMs: number;
  readonly handshakeMs: number;
  readonly followedChanges: number;
  /** After the last word so long for the other side to take it. */
  readonly closeMs: number;
  /** So often it is looked at what is idle, or is not being read. */
  readonly tickMs: number;
}

export const QUERY_LIMITS: QueryLimits = {
  snapshotMs: SNAPSHOT_MS_MAX, activeIdleMs: ACTIVE_IDLE_MS, activeSendMs: ACTIVE_SEND_MS, handshakeMs: TLS_HANDSHAKE_MS,
  followedChanges: FOLLOWED_CHANGES_MAX, closeMs: 5000, tickMs: 1000,
};
