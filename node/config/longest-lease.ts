/** How long a lease can last that was given by this configuration. */
import { INFINITE_SECONDS } from '../time.ts';
import type { ClusterConfig } from './types.ts';

/** Over all scopes, classes and reservations; INFINITE_SECONDS where one of them gives leases for ever, as BOOTP does. */
export function longestLeaseSeconds({ classes, reservations, subnets }: ClusterConfig): number {
  const scopes = subnets.flatMap(({ pools, scope }) => [scope, ...pools.map((pool) => pool.scope)]);
  if (scopes.some(({ bootp }) => bootp)) return INFINITE_SECONDS;
  const overlays = [...classes, ...reservations].map(({ overlay }) => overlay.lease?.maxSeconds ?? 0);
  return [...scopes.map(({ lease }) => lease.maxSeconds), ...overlays].reduce((longest, seconds) => Math.max(longest, seconds), 0);
}
