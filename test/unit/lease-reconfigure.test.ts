/** A table that takes another configuration while it runs. That nothing is lost or doubled the model shows; here is the order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { BindingState } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import type { SlotChoice } from '../../node/lease/table.ts';
import { SimDisk } from '../sim/disk.ts';
import { at, ip, recordOf, subnet, tableConfig } from './lease-model.ts';
import type { PoolText } from './lease-model.ts';

const T = 1_800_000_000;
const ALL: SlotChoice = { owns: () => true, homeOf: () => 'a' };
const key = (text: string): Buffer => Buffer.from(text);
const config = (pools: readonly PoolText[], more: Parameters<typeof tableConfig>[1] = {}): ReturnType<typeof tableConfig> =>
  tableConfig([subnet('10.0.0.0/16', pools)], more);

function tableOf(first: ReturnType<typeof tableConfig>): LeaseTable {
  const table = new LeaseTable(new BindingStore(new SimDisk()), first);
  table.load(at(T));
  return table;
}

const released = (since: number): Buffer =>
  recordOf({ state: BindingState.RELEASED, client: `c${since}`, since, lastTransaction: since - 60, expires: since, leaseSeconds: 60 });
const abandoned = (since: number): Buffer =>
  recordOf({ state: BindingState.ABANDONED, client: '', since, lastTransaction: since, expires: since, leaseSeconds: 60 });

function takeAll(table: LeaseTable, take: () => number): number[] {
  const taken: number[] = [];
  for (;;) {
    const address = take();
    if (address === 0) return taken;
    taken.push(address);
    table.offers.hold(address, key(`new ${address}`), at(T + 1000), 1);
  }
}

test('what is free for longest still goes first, whatever pools it was in and is in now', () => {
  // 24 addresses of four slots, in and out of pools that are cut in every way.
  const addresses = Array.from({ length: 24 }, (_, i) => ip('10.0.0.0') + (i >> 2) * 256 + (i & 3));
  const cut = fc.uniqueArray(fc.nat(23), { maxLength: 4 }).map((cuts) => cuts.toSorted((a, b) => a - b));
  const someConfig = fc.tuple(cut, fc.nat(3)).map(([cuts, missing]) => {
    const pools: PoolText[] = [];
    const dotted = (address: number): string => `10.0.${(address >> 8) & 255}.${address & 255}`;
    for (const [i, from] of [0, ...cuts].entries()) {
      const to = (cuts[i] ?? 24) - 1;
      if (to >= from && i !== missing) pools.push([dotted(addresses[from]!), dotted(addresses[to]!), 'iterative']);
    }
    return config(pools);
  });
  const since = fc.uniqueArray(fc.nat(500), { minLength: 24, maxLength: 24 });
  fc.assert(fc.property(fc.array(someConfig, { minLength: 1, maxLength: 4 }), since, fc.nat(0xff_ffff), (configs, ages, mask) => {
    const table = tableOf(configs[0]!);
    const state = (i: number): BindingState => ((mask >> i) & 1 ? BindingState.RELEASED : BindingState.ABANDONED);
    for (const i of [...ages.keys()].toSorted((a, b) => ages[a]! - ages[b]!)) {
      table.put(addresses[i]!, state(i) === BindingState.RELEASED ? released(T + ages[i]!) : abandoned(T + ages[i]!), at(T));
    }
    for (const [i, next] of configs.slice(1).entries()) {
      table.advance(at(T + 200 * i), Infinity);
      table.reconfigure(next, at(T + 200 * i));
    }
    table.advance(at(T + 1000), Infinity);
    const isIn = (address: number, pool: number): boolean => table.poolOf(address) === pool;
    for (const { index, ranges } of configs.at(-1)!.pools) {
      const inOrder = (wanted: BindingState): number[] => addresses.filter((address, i) => state(i) === wanted && isIn(address, index))
        .sort((a, b) => ages[addresses.indexOf(a)]! - ages[addresses.indexOf(b)]!);
      const free = takeAll(table, () => table.allocate([index], ALL, 'a', 0, at(T + 1000)));
      const fresh = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0) - addresses.filter((a) => isIn(a, index)).length;
      assert.deepEqual(free.slice(fresh), inOrder(BindingState.RELEASED));
      assert.deepEqual(takeAll(table, () => table.allocateAbandoned([index], ALL, at(T + 1000))), inOrder(BindingState.ABANDONED));
    }
  }), { numRuns: 100 });
});

test('a hold ends, and its address is free in the pool that it is in now', () => {
  const table = tableOf(config([['10.0.0.1', '10.0.0.2']]));
  table.offers.hold(table.allocate([0], ALL, 'a', 0, at(T)), key('c'), at(T), 1);
  table.reconfigure(config([['10.0.0.1', '10.0.0.1', 'iterative'], ['10.0.0.2', '10.0.0.2', 'iterative']]), at(T));
  assert.deepEqual([table.offers.size, table.poolCounts(0).free, table.poolCounts(1).free], [0, 1, 1]);
  assert.equal(table.allocate([0], ALL, 'a', 0, at(T)), ip('10.0.0.1'));
});

test('leases keep running, and end in whatever pool they are in then', () => {
  const table = tableOf(config([['10.0.0.1', '10.0.0.9']]));
  const active = { state: BindingState.ACTIVE, client: 'c', since: T, lastTransaction: T, expires: T + 60, leaseSeconds: 60 };
  for (const last of [1, 2, 3]) table.put(ip('10.0.0.0') + last, recordOf({ ...active, client: `c${last}` }), at(T));
  table.advance(at(T + 60), Infinity);
  assert.equal(table.ended(at(T + 60), ALL, 1).length, 1, 'one of them was found before');
  table.reconfigure(config([['10.0.0.2', '10.0.0.4']]), at(T + 60));
  assert.deepEqual(table.ended(at(T + 60), ALL, 9).toSorted((a, b) => a - b), [1, 2, 3].map((last) => ip('10.0.0.0') + last));
  assert.deepEqual([table.counts(0).active, table.poolCounts(0).active], [3, 2]);
  assert.equal(table.findByClient(key('c1'), 0), ip('10.0.0.1'));
});

test('another clock skew moves the reuse times of what has ended', () => {
  const skewed = (maxClockSkewMs: number): ReturnType<typeof tableConfig> => config([['10.0.0.1', '10.0.0.1']], { more: { maxClockSkewMs } });
  const table = tableOf(skewed(10_000));
  const freeAt = (second: number): number => {
    table.advance(at(second), Infinity);
    return table.counts(0).free;
  };
  table.put(ip('10.0.0.1'), released(T), at(T)); // Reusable from T + 30 + 10 on.
  table.reconfigure(skewed(20_000), at(T));
  assert.deepEqual([freeAt(T + 49), freeAt(T + 50)], [0, 1], 'while it waits');
  table.reconfigure(skewed(25_000), at(T + 50));
  assert.deepEqual([freeAt(T + 54), freeAt(T + 55)], [0, 1], 'when it was free already');
  table.put(ip('10.0.0.1'), released(T + 100), at(T + 100));
  table.reconfigure(skewed(500), at(T + 100));
  assert.deepEqual([freeAt(T + 130), freeAt(T + 131)], [0, 1], 'never earlier than it may be');
});

test('a configuration without pools leaves nothing to give, and the old one brings it all back', () => {
  const first = config([['10.0.0.1', '10.0.0.4']]);
  const table = tableOf(first);
  table.put(ip('10.0.0.2'), released(T), at(T));
  table.put(ip('10.0.0.3'), released(T - 100), at(T));
  table.advance(at(T), Infinity);
  table.reconfigure(tableConfig([]), at(T));
  assert.deepEqual([table.allocate([0], ALL, 'a', 0, at(T)), table.poolOf(ip('10.0.0.1')), table.counts(0).free], [0, -1, 0]);
  assert.equal(table.mayGive(ip('10.0.0.1'), key('c'), 0, at(T), false), false);
  table.reconfigure(first, at(T));
  assert.deepEqual([table.counts(0).free, table.counts(0).released], [3, 2]);
  assert.deepEqual(takeAll(table, () => table.allocate([0], ALL, 'a', 0, at(T))), ['10.0.0.1', '10.0.0.4', '10.0.0.3'].map(ip));
});
