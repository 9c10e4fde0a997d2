/** Every operation that a node carries out for its operators. */
import type { AnyOperation } from '../operation.ts';
import { abandonedClear, abandonedList } from './abandoned.ts';
import { dnsResync, dnsStatus } from './dns.ts';
import { audit } from './audit.ts';
import { history } from './history.ts';
import { leaseCount, leases } from './leases.ts';
import { quarantineAdd, quarantineClear, quarantineList } from './quarantine.ts';
import { pools } from './pools.ts';
import { release } from './release.ts';

export const OPERATIONS: readonly AnyOperation[] = [leases, leaseCount, pools, release, dnsStatus, dnsResync, history, quarantineAdd, quarantineList, quarantineClear, abandonedList, abandonedClear, audit];
