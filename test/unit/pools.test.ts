/** Pools: how full they are, what the trends say and do not say, and the command that shows it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { pools } from '../../node/admin/operations/pools.ts';
import type { PoolEntry, PoolTrendEntry } from '../../node/admin/operations/pools.ts';
import { PoolTrends, TREND_SPANS } from '../../node/admin/pool-trends.ts';
import type { PoolTrend, TrendSpan } from '../../node/admin/pool-trends.ts';
import { isFullWithin } from '../../node/cli/pools.ts';
import { POOL_SAMPLES_PER_STEP } from '../../node/admin/limits.ts';
import type { MonotonicMs } from '../../node/time.ts';
import { ip } from '../support/client-packets.ts';
import { buildConfig, subnetConfig } from '../support/configs.ts';
import { OperatedCluster } from '../support/operated-cluster.ts';

const HOUR_MS = 3_600_000;
const TICK_MS = 60_000;
const config = buildConfig({ nodes: ['a'], subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.0'), last: ip('10.0.0.99') }, { first: ip('10.0.0.100'), last: ip('10.0.0.199'), allocation: 'random' }] })] });
const [POOL] = config.pools;

/** Looks on from the start for so many hours, while `free` of each pool says how many addresses it has at an hour. */
function lookedOn(hours: number, free: (hour: number, pool: number) => number, away: (hour: number) => boolean = () => false): { trends: PoolTrends; now: MonotonicMs } {
  const trends = new PoolTrends();
  let now = 0;
  for (; now <= hours * HOUR_MS; now += TICK_MS) {
    const hour = now / HOUR_MS;
    if (!away(hour)) trends.sample(now as MonotonicMs, config, { poolCounts: (index) => ({ free: Math.round(free(hour, index)) }) });
  }
  return { trends, now: (now - TICK_MS) as MonotonicMs };
}

function kinds(hours: number, free: (hour: number) => number): Record<TrendSpan, PoolTrend['kind']> {
  const { now, trends } = lookedOn(hours, free);
  return Object.fromEntries(TREND_SPANS.map((span) => [span, trends.trend([POOL!], span, free(hours), now).kind])) as Record<TrendSpan, PoolTrend['kind']>;
}

test('nothing is said of a span that the node has not looked on for', () => {
  const falling = (hour: number): number => 100_000 - 100 * hour;
  assert.deepEqual(kinds(0.5, falling), { hour: 'unknown', day: 'unknown', week: 'unknown' });
  assert.deepEqual(kinds(1, falling).hour, 'falling');
  assert.deepEqual(kinds(20, falling), { hour: 'falling', day: 'unknown', week: 'unknown' });
  assert.deepEqual(kinds(25, falling).week, 'unknown');
  assert.deepEqual(kinds(170, (hour) => 100_000 - 500 * hour), { hour: 'falling', day: 'full', week: 'full' });
});

test('a pool that loses addresses evenly is full when the last one is gone', () => {
  fc.assert(fc.property(fc.integer({ min: 20, max: 500 }), fc.integer({ min: 1, max: 9 }), (perHour, hoursLeft) => {
    const hours = 2;
    const { now, trends } = lookedOn(hours, (hour) => perHour * (hours + hoursLeft - hour));
    const found = trends.trend([POOL!], 'hour', perHour * hoursLeft, now);
    assert.equal(found.kind, 'full');
    // Counts are whole numbers.
    assert.ok(Math.abs(found.seconds / 3600 - hoursLeft) < 0.3 * hoursLeft, `${found.seconds / 3600} for ${hoursLeft}`);
    assert.ok(found.earliestSeconds <= found.seconds && found.seconds <= found.latestSeconds);
  }), { numRuns: 30 });
});

test('where free addresses become more, stay, or go up and down by more than they fall, nothing is foretold', () => {
  assert.equal(kinds(1, () => 500).hour, 'steady');
  assert.equal(kinds(1, (hour) => 500 + 100 * hour).hour, 'steady');
  assert.equal(kinds(170, (hour) => 500 - 100 * Math.sin((hour / 24) * 2 * Math.PI) - 0.01 * hour).week, 'steady');
  // A lunch break after which all come back.
  assert.equal(kinds(1, (hour) => 500 - (hour > 0.4 && hour < 0.6 ? 50 : 0)).hour, 'steady');
});

test('the span of a forecast holds the truth where chance alone makes the counts uneven', () => {
  let seed = 12_345;
  const noise = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return (seed / 2 ** 31 - 0.5) * 20;
  };
  let held = 0;
  for (let run = 0; run < 60; run++) {
    const { now, trends } = lookedOn(1, (hour) => 1000 - 200 * hour + noise());
    const found = trends.trend([POOL!], 'hour', 800, now);
    assert.equal(found.kind, 'full');
    if (found.earliestSeconds <= 4 * 3600 && found.latestSeconds >= 4 * 3600) held++;
  }
  assert.ok(held >= 48, `in ${held} of 60`);
});

test('after a time out of service the spans begin anew', () => {
  const falling = (hour: number): number => 10_000 - 100 * hour;
  const { now, trends } = lookedOn(10.5, falling, (hour) => hour > 2 && hour < 10);
  assert.equal(trends.trend([POOL!], 'hour', 1000, now).kind, 'unknown');
});

test('several pools together have a trend of their sum', () => {
  const { now, trends } = lookedOn(1, (hour, pool) => (pool === 0 ? 1000 - 100 * hour : 1000 + 100 * hour));
  assert.equal(trends.trend([POOL!], 'hour', 900, now).kind, 'full');
  assert.equal(trends.trend(config.pools, 'hour', 2000, now).kind, 'steady');
});

test('another configuration keeps what is known of pools that are as they were, and forgets the others', () => {
  const free = { poolCounts: () => ({ free: 100 }) };
  const { now, trends } = lookedOn(1, (hour) => 1000 - 100 * hour);
  const other = buildConfig({ nodes: ['a'], subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.0'), last: ip('10.0.0.99') }, { first: ip('10.0.0.100'), last: ip('10.0.0.150'), allocation: 'random' }] })] });
  trends.sample((now + 1000) as MonotonicMs, other, free);
  assert.equal(trends.trend([other.pools[0]!], 'hour', 900, now).kind, 'full');
  assert.equal(trends.trend([other.pools[1]!], 'hour', 900, now).kind, 'unknown');
});

test('very many pools are counted in steps of bounded length, each once', () => {
  const many = buildConfig({ nodes: ['a'], subnets: [subnetConfig({
    name: '10.0.0.0/8', prefixLength: 8,
    pools: Array.from({ length: 600 }, (_, n) => ({ first: ip('10.0.0.0') + n * 256, last: ip('10.0.0.0') + n * 256 + 9, allocation: 'random' as const })),
  })] });
  const trends = new PoolTrends();
  const counted: number[][] = [];
  for (let tick = 0; tick < 6; tick++) {
    const now: number[] = [];
    trends.sample((tick * 25) as MonotonicMs, many, { poolCounts: (index) => ({ free: now.push(index) }) });
    counted.push(now);
  }
  assert.deepEqual(counted.map(({ length }) => length), [POOL_SAMPLES_PER_STEP, POOL_SAMPLES_PER_STEP, 600 - 2 * POOL_SAMPLES_PER_STEP, 0, 0, 0]);
  assert.deepEqual(counted.flat(), Array.from({ length: 600 }, (_, index) => index));
});

test('the operation tells of each pool what the lease table counts, on every node the same', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const before = await cluster.list('a', pools, {});
  for (let client = 1; client <= 5; client++) cluster.lease(client);
  for (const id of ['a', 'b']) {
    const entries = await cluster.list(id, pools, {});
    assert.equal(entries.length, cluster.host(id).config().pools.length);
    for (const [i, entry] of entries.entries()) {
      assert.deepEqual(pools.result.parse(entry), entry);
      const { active, free, freeByOwner, size } = entry;
      assert.equal(Object.values(freeByOwner).reduce((sum, count) => sum + count, 0), free);
      assert.equal(size, before[i]!.size);
      assert.equal(active + free, size);
      assert.deepEqual(entry.trends.map(({ span, trend }) => [span, trend]), TREND_SPANS.map((span) => [span, 'unknown']));
    }
    assert.equal(entries.reduce((sum, { active }) => sum + active, 0), 5);
    for (const by of ['subnet', 'network']) {
      const together = await cluster.list(id, pools, { by });
      assert.equal(together.reduce((sum, { active }) => sum + active, 0), 5, by);
      assert.ok(together.every(({ pool }) => pool === ''));
    }
  }
  await assert.rejects(cluster.list('a', pools, { subnet: '10.9.0.0/16' }), { code: 'bad-request' });
});

const trendOf = (span: TrendSpan, hours: number | undefined): PoolTrendEntry => (hours === undefined ? { span, trend: 'unknown' }
  : hours === Infinity ? { span, trend: 'steady' } : { span, trend: 'full', fullAt: new Date(hours * HOUR_MS).toISOString(), earliest: '', latest: '' });

test('whether a pool is full within a time is told by the longest span that fits and is known', () => {
  const pool = (free: number, ...hours: (number | undefined)[]): PoolEntry => ({
    pool: 'x', subnet: 's', network: 's', size: 100, active: 0, reserved: 0, expired: 0, released: 0, abandoned: 0, free, usedPercent: 0, freeByOwner: {},
    trends: TREND_SPANS.map((span, i) => trendOf(span, hours[i])),
  });
  const week = 7 * 86_400;
  assert.ok(isFullWithin(pool(0), 3600, 0), 'it is');
  assert.ok(!isFullWithin(pool(5), week, 0), 'nothing is known');
  assert.ok(isFullWithin(pool(5, 4, 30, 100), week, 0));
  assert.ok(!isFullWithin(pool(5, 4, 30, Infinity), week, 0), 'over the week it stays');
  assert.ok(isFullWithin(pool(5, 4, 30, undefined), week, 0), 'the week is not known, the day is');
  assert.ok(!isFullWithin(pool(5, 4, 30, 1), 86_400, 0), 'a day ahead the week does not count');
  assert.ok(!isFullWithin(pool(5, 4, 1, 1), 2 * 3600, 0), 'two hours ahead only the hour does');
  assert.ok(isFullWithin(pool(5, 1, 100, 100), 1800 * 2, 0));
});
