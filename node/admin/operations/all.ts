/** Every operation that a node carries out for its operators. */
import type { AnyOperation } from '../operation.ts';
import { abandonedClear, abandonedList } from './abandoned.ts';
import { leaseCount, leases } from './leases.ts';
import { pools } from './pools.ts';
import { quarantineAdd, quarantineClear, quarantineList } from './quarantine.ts';
import { release } from './release.ts';

export const OPERATIONS: readonly AnyOperation[] = [leases, leaseCount, pools, release, quarantineAdd, quarantineList, quarantineClear, abandonedList, abandonedClear];
