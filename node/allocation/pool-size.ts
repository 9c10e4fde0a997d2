import type { PoolConfig } from '../config/types.ts';

/** How many addresses a pool has, reserved ones included. */
export function poolSize({ ranges }: PoolConfig): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}
