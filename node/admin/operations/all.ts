/** Every operation that a node carries out for its operators. */
import type { AnyOperation } from '../operation.ts';
import { leaseCount, leases } from './leases.ts';
import { pools } from './pools.ts';
import { release } from './release.ts';

export const OPERATIONS: readonly AnyOperation[] = [leases, leaseCount, pools, release];
