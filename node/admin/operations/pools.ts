/** `lessor pools`: how full the pools are, and when they will be. */
import * as z from 'zod';
import { poolSize } from '../../allocation/pool-size.ts';
import type { ClusterConfig, PoolConfig } from '../../config/types.ts';
import { RangeFinder } from '../../lease/range-finder.ts';
import { hasEnded } from '../../lease/reservations.ts';
import { POOL_RESERVATIONS_PER_PAGE, POOLS_PER_PAGE } from '../limits.ts';
import { wallSeconds } from '../../time.ts';
import type { Now } from '../../time.ts';
import { poolName } from '../lease-parameters.ts';
import { isoSeconds } from '../lease-view.ts';
import { OperationError } from '../operation.ts';
import type { ListOperation, OperationHost } from '../operation.ts';
import { TREND_SPANS } from '../pool-trends.ts';
import type { PoolTrend, TrendSpan } from '../pool-trends.ts';

const LEVELS = ['pool', 'subnet', 'network'] as const;

const parameters = z.strictObject({
  by: z.enum(LEVELS).optional().describe('each pool (default), or the pools of each subnet or of each shared network together'),
  subnet: z.string().min(1).max(64).optional().describe('only of this subnet'),
  network: z.string().min(1).max(256).optional().describe('only of this shared network'),
});

const trend = z.strictObject({
  span: z.enum(TREND_SPANS),
  trend: z.enum(['unknown', 'steady', 'falling', 'full']).describe(
    'unknown: this node has not looked on for so long; steady: no fewer addresses become free ones, beyond doubt; falling: fewer, but far from none; full: there will be none left',
  ),
  freePerHour: z.number().optional().describe('how the free addresses change'),
  fullAt: z.string().optional().describe('when none is left if it goes on like that'),
  earliest: z.string().optional().describe('what else fits the counts'),
  latest: z.string().optional().describe('likewise; left out where it may never be'),
});

const entry = z.strictObject({
  pool: z.string().describe('its ranges; empty: several pools together'),
  subnet: z.string().describe('empty: of several subnets'),
  network: z.string().describe('the shared network, or the subnet where it is none\'s'),
  size: z.int(),
  active: z.int(),
  reserved: z.int().describe('addresses that are somebody\'s by a reservation, used or not'),
  expired: z.int(),
  released: z.int(),
  abandoned: z.int(),
  free: z.int().describe('for new clients'),
  usedPercent: z.number().describe('part that no new client can have: leased, reserved, offered, abandoned, or kept for who had it'),
  freeByOwner: z.record(z.string(), z.int()),
  trends: z.array(trend).describe('of the last hour, day and week, as this node has counted since its start'),
});
export type PoolEntry = z.output<typeof entry>;
export type PoolTrendEntry = z.output<typeof trend>;

interface Group {
  readonly pool: string;
  readonly subnet: string;
  readonly network: string;
  readonly pools: readonly PoolConfig[];
}

export const pools: ListOperation<z.output<typeof parameters>, PoolEntry> = {
  id: 'pools', kind: 'list', method: 'GET', path: '/v1/pools', role: 'viewer', parameters, result: entry,
  summary: 'How full pools are, and when they will be full if it goes on as in the last hour, day or week.',
  async *run(host, { by = 'pool', network, subnet }) {
    const config = host.config();
    checkKnown('subnet', subnet, config.subnets);
    checkKnown('network', network, config.networks);
    const reserved = await reservedByPool(host, config);
    let seen = 0;
    for (const group of groupsOf(config, by)) {
      if (group.pools.length === 0 || (subnet !== undefined && group.subnet !== subnet) || (network !== undefined && group.network !== network)) continue;
      // Another configuration came: its pools have other numbers.
      if (host.config() !== config) throw new OperationError('unavailable', 'the configuration has changed meanwhile: ask again');
      yield describe(host, group, group.pools.reduce((sum, { index }) => sum + reserved[index]!, 0), host.now());
      const before = seen;
      seen += group.pools.length;
      if (Math.floor(seen / POOLS_PER_PAGE) > Math.floor(before / POOLS_PER_PAGE)) await host.pause();
    }
  },
};

function checkKnown(parameter: string, name: string | undefined, known: readonly { readonly name: string }[]): void {
  if (name === undefined || known.some((one) => one.name === name)) return;
  throw new OperationError('bad-request', `${parameter}: the configuration has no "${name}"`);
}

function* groupsOf({ networks }: ClusterConfig, by: (typeof LEVELS)[number]): IterableIterator<Group> {
  for (const network of networks) {
    const all = network.subnets.flatMap((subnet) => subnet.pools);
    if (by === 'network') yield { pool: '', subnet: network.subnets.length === 1 ? network.subnets[0]!.name : '', network: network.name, pools: all };
    else {
      for (const subnet of network.subnets) {
        if (by === 'subnet') yield { pool: '', subnet: subnet.name, network: network.name, pools: subnet.pools };
        else for (const pool of subnet.pools) yield { pool: poolName(pool), subnet: subnet.name, network: network.name, pools: [pool] };
      }
    }
  }
}

async function reservedByPool(host: OperationHost, { pools: all, reservations }: ClusterConfig): Promise<Uint32Array> {
  const counts = new Uint32Array(all.length);
  const finder = new RangeFinder(all.flatMap(({ index, ranges }) => ranges.map(({ first, last }) => ({ first, last, index }))));
  const second = wallSeconds(host.now().wall);
  const seen = new Set<number>();
  for (const [i, reservation] of reservations.entries()) {
    if (i % POOL_RESERVATIONS_PER_PAGE === 0 && i > 0) await host.pause();
    const { address } = reservation;
    // Several may be for one address.
    if (address === undefined || hasEnded(reservation, second) || seen.has(address)) continue;
    seen.add(address);
    const pool = finder.find(address);
    if (pool >= 0) counts[pool]!++;
  }
  return counts;
}

function describe(host: OperationHost, { pools: of, ...names }: Group, reserved: number, now: Now): PoolEntry {
  const { table, trends } = host;
  const sum = { active: 0, expired: 0, released: 0, abandoned: 0, free: 0 };
  let size = 0;
  for (const pool of of) {
    const counts = table.poolCounts(pool.index);
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += counts[name];
    size += poolSize(pool);
  }
  return {
    ...names, size, reserved, ...sum, usedPercent: Math.round(((size - sum.free) / size) * 1000) / 10, freeByOwner: freeByOwner(host, of),
    trends: TREND_SPANS.map((span) => trendEntry(span, trends.trend(of, span, sum.free, now.mono), now)),
  };
}

function freeByOwner(host: OperationHost, of: readonly PoolConfig[]): Record<string, number> {
  const free: Record<string, number> = {};
  for (const [slot, count] of host.table.freeOfPools(of.map(({ index }) => index)).entries()) {
    const owner = host.ownerOf(slot);
    if (owner !== undefined) free[owner] = (free[owner] ?? 0) + count;
  }
  return free;
}

function trendEntry(span: TrendSpan, found: PoolTrend, now: Now): PoolTrendEntry {
  const at = (seconds: number): string => isoSeconds(wallSeconds(now.wall) + Math.round(seconds));
  const perHour = 'freePerHour' in found ? { freePerHour: Math.round(found.freePerHour * 10) / 10 } : {};
  if (found.kind !== 'full') return { span, trend: found.kind, ...perHour };
  const { earliestSeconds, latestSeconds, seconds } = found;
  return { span, trend: 'full', ...perHour, fullAt: at(seconds), earliest: at(earliestSeconds), ...(Number.isFinite(latestSeconds) ? { latest: at(latestSeconds) } : {}) };
}
