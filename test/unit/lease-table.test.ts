import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fingerprint } from '../../node/lease/fingerprint.ts';
import { BindingState, isRecord, recordClientKey, withState } from '../../node/lease/record.ts';
import { StoreError } from '../../node/lease/store-error.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable, reuseSeconds } from '../../node/lease/table.ts';
import type { SlotChoice } from '../../node/lease/table.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { SimDisk } from '../sim/disk.ts';
import type { SubnetSpec } from '../support/configs.ts';
import { at, ip, recordOf, subnet, tableConfig } from './lease-model.ts';

const T = 1_800_000_000;
const ALL: SlotChoice = { owns: () => true, homeOf: () => 'a' };
const key = (text: string): Buffer => Buffer.from(text);

function tableOf(subnets: readonly SubnetSpec[], disk = new SimDisk()): { table: LeaseTable; store: BindingStore; disk: SimDisk } {
  const store = new BindingStore(disk);
  const table = new LeaseTable(store, tableConfig(subnets));
  table.load(at(T));
  return { table, store, disk };
}

function binding(state: BindingState, client: string, since = T, leaseSeconds = 3600): Parameters<typeof recordOf>[0] {
  return {
    state, client, since, leaseSeconds,
    // A release that comes later than one that a grant may have overtaken.
    lastTransaction: state === BindingState.RELEASED ? since - 60 : since,
    expires: leaseSeconds === INFINITE_SECONDS ? INFINITE_SECONDS : since + leaseSeconds,
  };
}

function flush(store: BindingStore, disk: SimDisk): void {
  const batch = store.takeWrites();
  if (batch === undefined) return;
  disk.begin(batch);
  disk.complete();
  store.flushed(batch.position);
}

test('an ended lease may go to another client after clock skew, 1/5000 of its length and the reply\'s age', () => {
  const record = recordOf({ ...binding(BindingState.EXPIRED, 'c', T, 86_400), expires: T + 86_400 });
  assert.equal(reuseSeconds(record, 10_000), T + 86_400 + 10 + 18 + 5); // 86400 / 5000 = 17.28, rounded up
  assert.equal(reuseSeconds(record, 1), T + 86_400 + 23);
});

test('a released address goes to nobody else for 30 s and the clock skew', () => {
  assert.equal(reuseSeconds(recordOf(binding(BindingState.RELEASED, 'c')), 10_000), T + 40);
});

test('an address released within 30 s of its grant goes to nobody else before that lease would have ended', () => {
  const released = { ...binding(BindingState.RELEASED, 'c'), expires: T + 3600 };
  assert.equal(reuseSeconds(recordOf({ ...released, lastTransaction: T - 30 }), 10_000), T + 3600 + 10 + 1 + 5); // 3600 / 5000 = 0.72, rounded up
  assert.equal(reuseSeconds(recordOf({ ...released, lastTransaction: T - 31 }), 10_000), T + 40);
  assert.equal(reuseSeconds(recordOf({ ...released, lastTransaction: T - 5, expires: T + 2 }), 10_000), T + 40, 'held for 30 s all the same');
});

test('an address released within 30 s of a grant for ever goes to nobody else', () => {
  const released = { ...binding(BindingState.RELEASED, 'c', T, INFINITE_SECONDS) };
  assert.equal(reuseSeconds(recordOf({ ...released, lastTransaction: T - 30 }), 10_000), INFINITE_SECONDS);
  assert.equal(reuseSeconds(recordOf({ ...released, lastTransaction: T - 31 }), 10_000), T + 40);
});

test('reuse times never pass what 32 bits hold', () => {
  assert.equal(reuseSeconds(recordOf({ ...binding(BindingState.EXPIRED, 'c'), expires: INFINITE_SECONDS - 2 }), 10_000), INFINITE_SECONDS);
});

test('never-used addresses go first, then the one free for longest, whatever its slot', () => {
  const { table } = tableOf([subnet('10.0.0.0/24', [['10.0.0.10', '10.0.0.13']])]);
  const released: [string, number][] = [['10.0.0.11', T - 50], ['10.0.0.10', T - 70], ['10.0.0.13', T - 60]];
  for (const [address, since] of released) table.put(ip(address), recordOf(binding(BindingState.RELEASED, address, since)), at(T));
  table.advance(at(T), 100);
  const taken: number[] = [];
  for (let i = 0; i < 5; i++) {
    const address = table.allocate([0], ALL, 'a', 0, at(T));
    taken.push(address);
    if (address !== 0) table.offers.hold(address, key(`new ${i}`), at(T), i);
  }
  assert.deepEqual(taken, [ip('10.0.0.12'), ip('10.0.0.10'), ip('10.0.0.13'), ip('10.0.0.11'), 0]);
});

test('in one slot the addresses free again come in the order in which they became free', () => {
  const pool = subnet('10.0.0.0/16', [['10.0.1.7', '10.0.1.7'], ['10.0.2.7', '10.0.2.7'], ['10.0.3.7', '10.0.3.7']]);
  const { table, store, disk } = tableOf([pool]);
  const freed: [string, number][] = [['10.0.2.7', 5], ['10.0.3.7', 1], ['10.0.1.7', 3]];
  for (const [address, since] of freed) table.put(ip(address), recordOf(binding(BindingState.RELEASED, address, T + since)), at(T));
  table.advance(at(T + 100), 100);
  const order = (from: LeaseTable): number[] => [1, 2, 3].map((i) => {
    const address = from.allocate([0], ALL, 'a', 0, at(T + 100));
    from.offers.hold(address, key(`new ${i}`), at(T + 100), i);
    return address;
  });
  const expected = [ip('10.0.3.7'), ip('10.0.1.7'), ip('10.0.2.7')];
  flush(store, disk);
  const again = tableOf([pool], disk).table;
  again.load(at(T + 100));
  assert.deepEqual(order(table), expected);
  assert.deepEqual(order(again), expected, 'the same after a restart');
});

test('slots whose home is the client\'s go first, then any owned one, and no other', () => {
  const { table } = tableOf([subnet('10.0.0.0/24', [['10.0.0.0', '10.0.0.7']])]);
  const slots: SlotChoice = { owns: (slot) => slot < 6, homeOf: (slot) => (slot % 2 === 0 ? 'a' : 'b') };
  const taken: number[] = [];
  for (;;) {
    const address = table.allocate([0], slots, 'b', 0, at(T));
    if (address === 0) break;
    taken.push(address & 255);
    table.offers.hold(address, key(`c${address}`), at(T), 1);
  }
  assert.deepEqual(new Set(taken.slice(0, 3)), new Set([1, 3, 5]));
  assert.deepEqual(new Set(taken.slice(3)), new Set([0, 2, 4]));
  assert.equal(taken.length, 6);
});

test('a hold that ends gives the address back, as never used', () => {
  const { table } = tableOf([subnet('10.0.0.0/24', [['10.0.0.5', '10.0.0.6']])]);
  const first = table.allocate([0], ALL, 'a', 0, at(T));
  table.offers.hold(first, key('gone'), at(T), 1);
  table.put(table.allocate([0], ALL, 'a', 0, at(T)), recordOf(binding(BindingState.ACTIVE, 'c')), at(T));
  assert.equal(table.allocate([0], ALL, 'a', 0, at(T)), 0);
  table.advance(at(T + 31), 10);
  assert.equal(table.allocate([0], ALL, 'a', 0, at(T + 31)), first);
});

test('an address goes to another client in the very second of its reuse time, and to its own before', () => {
  const { table } = tableOf([subnet('10.0.0.0/24', [['10.0.0.5', '10.0.0.5']])]);
  const address = ip('10.0.0.5');
  table.put(address, recordOf(binding(BindingState.RELEASED, 'mine')), at(T));
  for (const [second, other] of [[T, false], [T + 39, false], [T + 39.999, false], [T + 40, true]] as const) {
    table.advance(at(second), 10);
    assert.equal(table.mayGive(address, key('mine'), 0, at(second), false), true);
    assert.equal(table.mayGive(address, key('other'), 0, at(second), false), other);
    assert.equal(table.allocate([0], ALL, 'a', 0, at(second)), other ? address : 0);
  }
});

test('an address that comes back from a hold keeps its place among those free for long', () => {
  const pool = subnet('10.0.0.0/16', [['10.0.1.7', '10.0.1.7'], ['10.0.2.7', '10.0.2.7'], ['10.0.3.7', '10.0.3.7']]);
  const { table } = tableOf([pool]);
  for (let i = 1; i <= 3; i++) table.put(ip(`10.0.${i}.7`), recordOf(binding(BindingState.RELEASED, `c${i}`, T + i)), at(T));
  table.advance(at(T + 100), 100);
  table.offers.hold(ip('10.0.1.7'), key('new'), at(T + 100), 1);
  assert.equal(table.allocate([0], ALL, 'a', 0, at(T + 100)), ip('10.0.2.7'));
  table.offers.release(ip('10.0.1.7'));
  assert.equal(table.allocate([0], ALL, 'a', 0, at(T + 100)), ip('10.0.1.7'));
});

test('two clients whose keys have one fingerprint never get each other\'s binding', () => {
  const seed = 11;
  const seen = new Map<number, string>();
  let pair: [string, string] | undefined;
  for (let i = 0; pair === undefined; i++) {
    const print = fingerprint(key(`client ${i}`), seed);
    const other = seen.get(print);
    if (other !== undefined) pair = [other, `client ${i}`];
    seen.set(print, `client ${i}`);
  }
  const store = new BindingStore(new SimDisk());
  const table = new LeaseTable(store, tableConfig([subnet('10.0.0.0/24', [['10.0.0.5', '10.0.0.6']])]), { hashSeed: seed });
  table.load(at(T));
  const address = ip('10.0.0.5');
  table.put(address, recordOf(binding(BindingState.ACTIVE, pair[0])), at(T));
  assert.equal(table.findByClient(key(pair[1]), 0), 0);
  assert.deepEqual(table.findAllByClient(key(pair[1])), []);
  assert.equal(table.mayGive(address, key(pair[1]), 0, at(T), false), false);
  assert.equal(table.findByClient(key(pair[0]), 0), address);
  table.put(address, recordOf(binding(BindingState.RELEASED, pair[1])), at(T));
  assert.equal(table.findByClient(key(pair[0]), 0), 0);
  assert.equal(table.findByClient(key(pair[1]), 0), address);
});

test('a page of records never leaves one out, whatever was removed or added since the flush', () => {
  const { table, store, disk } = tableOf([subnet('10.0.0.0/16', [])]);
  const put = (last: number): number => table.put(ip(`10.0.0.${last}`), recordOf(binding(BindingState.ACTIVE, `c${last}`)), at(T));
  for (const last of [1, 2, 3, 4, 5, 6]) put(last);
  flush(store, disk);
  const batch = store.takeWrites();
  assert.equal(batch, undefined);
  for (const last of [1, 2, 3]) table.remove(ip(`10.0.0.${last}`), at(T));
  store.takeWrites(); // Taken and not yet flushed: still laid over the disk.
  put(9);
  const listed: number[] = [];
  for (let after = -1; ;) {
    const page = table.records(after, 2);
    if (page.length === 0) break;
    listed.push(...page.map(({ address }) => address & 255));
    after = page.at(-1)!.address;
  }
  assert.deepEqual(listed, [4, 5, 6, 9]);
});

test('abandoned addresses come oldest first, also after a restart', () => {
  const pool = subnet('10.0.0.0/16', [['10.0.1.1', '10.0.1.1'], ['10.0.2.1', '10.0.2.1'], ['10.0.3.1', '10.0.3.1']]);
  const { table, store, disk } = tableOf([pool]);
  const since: [string, number][] = [['10.0.2.1', 1], ['10.0.3.1', 2], ['10.0.1.1', 3]];
  for (const [address, age] of since) table.put(ip(address), recordOf(binding(BindingState.ABANDONED, 'c', T + age)), at(T));
  flush(store, disk);
  const later = at(T + 4000);
  for (const from of [table, tableOf([pool], disk).table]) {
    from.advance(later, Infinity);
    assert.equal(from.allocate([0], ALL, 'a', 0, at(T + 1e6)), 0);
    const taken = [1, 2, 3].map((i) => {
      const address = from.allocateAbandoned([0], ALL, later);
      from.offers.hold(address, key(`new ${i}`), at(T), i);
      return address;
    });
    assert.deepEqual(taken, [ip('10.0.2.1'), ip('10.0.3.1'), ip('10.0.1.1')]);
    assert.equal(from.allocateAbandoned([0], ALL, later), 0);
  }
});

test('an abandoned address is tried again when the lease that was declined has ended by all clocks', () => {
  const pool = subnet('10.0.0.0/16', [['10.0.1.1', '10.0.1.1']]);
  const address = ip('10.0.1.1');
  const tryAt = (lastTransaction: number, seconds: number): boolean => {
    const { table } = tableOf([pool]);
    table.put(address, recordOf({ ...binding(BindingState.ABANDONED, 'c'), lastTransaction }), at(T));
    table.advance(at(T + seconds), Infinity);
    return table.allocateAbandoned([0], ALL, at(T + seconds)) === address;
  };
  assert.deepEqual([tryAt(T, 3600 + 15), tryAt(T, 3600 + 16)], [false, true], 'declined at once, or overtaken by a grant');
  assert.deepEqual([tryAt(T - 31, 15), tryAt(T - 31, 16)], [false, true], 'declined later');
});

test('the wall clock steps back: an abandoned address waits again', () => {
  const { table } = tableOf([subnet('10.0.0.0/16', [['10.0.1.1', '10.0.1.1']])]);
  table.put(ip('10.0.1.1'), recordOf(binding(BindingState.ABANDONED, 'c')), at(T));
  table.advance(at(T + 4000), Infinity);
  assert.equal(table.allocateAbandoned([0], ALL, at(T)), 0);
  assert.equal(table.allocateAbandoned([0], ALL, at(T + 4000)), 0, 'until the next turn');
  table.advance(at(T + 4000), Infinity);
  assert.equal(table.allocateAbandoned([0], ALL, at(T + 4000)), ip('10.0.1.1'));
});

test('ended leases come in portions, each again after the others while it stays ACTIVE', () => {
  const { table } = tableOf([subnet('10.0.0.0/16', [['10.0.0.0', '10.0.9.255']])]);
  const addresses = Array.from({ length: 30 }, (_, i) => ip('10.0.0.0') + i * 85);
  for (const address of addresses) table.put(address, recordOf(binding(BindingState.ACTIVE, `c${address}`, T, 60)), at(T));
  assert.deepEqual(table.ended(at(T + 59), ALL, 100), []);
  const seen = new Set<number>();
  for (let i = 0; i < 300; i++) {
    const portion = table.ended(at(T + 60), ALL, 7);
    assert.ok(portion.length <= 7 && new Set(portion).size === portion.length);
    for (const address of portion) seen.add(address);
  }
  assert.deepEqual([...seen].sort((a, b) => a - b), addresses);
  assert.deepEqual(table.ended(at(T + 60), { owns: () => false, homeOf: () => 'a' }, 100), [], 'only owned slots');
  for (const address of addresses) table.put(address, recordOf(binding(BindingState.ACTIVE, `c${address}`, T + 60, 60)), at(T + 60));
  assert.deepEqual(table.ended(at(T + 61), ALL, 100), [], 'renewed');
});

test('leases that ended while the node was stopped are found at its start, infinite ones never', () => {
  const pool = subnet('10.0.0.0/16', [['10.0.0.0', '10.0.9.255']]);
  const { table, store, disk } = tableOf([pool]);
  table.put(ip('10.0.0.1'), recordOf(binding(BindingState.ACTIVE, 'a', T, 60)), at(T));
  table.put(ip('10.0.0.2'), recordOf(binding(BindingState.ACTIVE, 'b', T, INFINITE_SECONDS)), at(T));
  flush(store, disk);
  const again = tableOf([pool], disk).table;
  again.load(at(T + 1e7));
  assert.deepEqual(again.ended(at(T + 1e7), ALL, 10), [ip('10.0.0.1')]);
  assert.equal(again.counts(0).active, 2);
});

test('a record outside every subnet counts, ends and is listed, and is never given', () => {
  const { table } = tableOf([subnet('10.0.0.0/24', [['10.0.0.1', '10.0.0.1']])]);
  const outside = ip('192.0.2.1');
  table.put(outside, recordOf(binding(BindingState.ACTIVE, 'c', T, 60)), at(T));
  assert.equal(table.size, 1);
  assert.equal(table.subnetOf(outside), -1);
  assert.deepEqual(table.findAllByClient(key('c')), [outside]);
  assert.deepEqual(table.records(-1, 10).map(({ address }) => address), [outside]);
  assert.deepEqual(table.ended(at(T + 60), ALL, 10), [outside]);
  assert.equal(table.mayGive(outside, key('c'), -1, at(T), false), false);
});

test('a reserved address is never given by allocate, and is given to its client, in a pool or outside', () => {
  const { table } = tableOf([
    subnet('10.0.0.0/16', [['10.0.0.1', '10.0.0.2']], [{ clientId: key('in'), address: ip('10.0.0.1') }, { clientId: key('out'), address: ip('10.0.7.7') }]),
    subnet('10.1.0.0/16', []),
  ]);
  assert.deepEqual([table.isReserved(ip('10.0.7.7'), at(T)), table.isReserved(ip('10.0.0.2'), at(T))], [true, false]);
  assert.equal(table.reservationAt(ip('10.0.0.1'))?.client.clientId, 'in');
  assert.equal(table.mayGive(ip('10.0.7.7'), key('out'), 0, at(T), true), true, 'outside the pool');
  assert.equal(table.mayGive(ip('10.0.0.1'), key('out'), 0, at(T), false), false, 'somebody else\'s');
  assert.equal(table.mayGive(ip('10.0.7.7'), key('out'), 1, at(T), true), false, 'of another network');
  assert.deepEqual([table.counts(0).free, table.poolCounts(0).free], [1, 1]);
  assert.equal(table.poolOf(ip('10.0.0.1')), 0, 'it is in the pool all the same');
  assert.equal(table.allocate([0], ALL, 'a', 0, at(T)), ip('10.0.0.2'));
});

test('pools are used in the order given, preferred homes of all of them first', () => {
  const { table } = tableOf([subnet('10.0.0.0/24', [['10.0.0.1', '10.0.0.2', 'iterative'], ['10.0.0.11', '10.0.0.12', 'iterative']])]);
  const slots: SlotChoice = { owns: () => true, homeOf: (slot) => (slot % 2 === 0 ? 'a' : 'b') };
  const taken: number[] = [];
  for (;;) {
    const address = table.allocate([1, 0], slots, 'a', 0, at(T));
    if (address === 0) break;
    taken.push(address & 255);
    table.offers.hold(address, key(`c${address}`), at(T), 1);
  }
  assert.deepEqual(taken, [12, 2, 11, 1]);
  assert.equal(table.allocate([], ALL, 'a', 0, at(T)), 0);
});

test('the subnets of one network share their clients', () => {
  const { table } = tableOf([
    subnet('10.0.0.0/24', [['10.0.0.1', '10.0.0.9']], [], { sharedNetwork: 'link' }), subnet('10.0.1.0/24', []),
    subnet('10.0.2.0/24', [['10.0.2.1', '10.0.2.9']], [], { sharedNetwork: 'link' }),
  ]);
  table.put(ip('10.0.2.5'), recordOf(binding(BindingState.ACTIVE, 'c')), at(T));
  assert.deepEqual([table.networkOf(ip('10.0.0.1')), table.networkOf(ip('10.0.2.1')), table.networkOf(ip('10.0.1.1'))], [0, 0, 1]);
  assert.deepEqual([table.findByClient(key('c'), 0), table.findByClient(key('c'), 1)], [ip('10.0.2.5'), 0]);
  table.offers.hold(ip('10.0.0.3'), key('d'), at(T), 1);
  table.offers.hold(ip('10.0.2.3'), key('d'), at(T), 1);
  assert.equal(table.offers.find(key('d'), 0), ip('10.0.2.3'));
  assert.equal(table.offers.size, 1, 'one address of a network is held for a client');
  assert.deepEqual([table.counts(0).active, table.counts(2).active, table.poolCounts(1).active], [0, 1, 1]);
});

test('which owner has free addresses is told by slot, over several pools', () => {
  const { table } = tableOf([subnet('10.0.0.0/23', [['10.0.0.10', '10.0.0.12', 'iterative'], ['10.0.1.12', '10.0.1.13', 'iterative']])]);
  table.put(ip('10.0.0.10'), recordOf(binding(BindingState.ACTIVE, 'c')), at(T));
  const counts = (free: Float64Array): [number, number][] => [...free.entries()].filter(([, count]) => count > 0);
  assert.deepEqual(counts(table.freeBySlot(0)), [[11, 1], [12, 1]]);
  assert.deepEqual(counts(table.freeOfPools([0, 1])), [[11, 1], [12, 2], [13, 1]]);
});

test('a /9 pool is ready at once and is never written out', () => {
  const { table } = tableOf([subnet('10.0.0.0/8', [['10.0.0.0', '10.127.255.255']])]);
  assert.equal(table.counts(0).free, 2 ** 23);
  const seen = new Set<number>();
  for (let i = 0; i < 3000; i++) {
    const address = table.allocate([0], ALL, 'a', 0, at(T));
    seen.add(address);
    table.offers.hold(address, key(`c${i}`), at(T), i);
  }
  assert.equal(seen.size, 3000);
  assert.equal(table.counts(0).free, 2 ** 23 - 3000);
  assert.equal(table.freeBySlot(0).reduce((sum, n) => sum + n), 2 ** 23 - 3000);
});

test('a record of a newer layout stops the load, and says what to start instead', () => {
  const disk = new SimDisk();
  const record = recordOf(binding(BindingState.ACTIVE, 'c'));
  record[0] = 2;
  disk.begin({ position: 1, records: new Map([[ip('10.0.0.9'), record]]), meta: new Map() });
  disk.complete();
  assert.throws(() => tableOf([], disk), (error) => error instanceof StoreError && error.code === 'newer-format' &&
    /10\.0\.0\.9 has layout 2.*version of Lessor that wrote it/.test(error.message));
});

test('a section of a kind that is not known does no harm, and stays with its record when the lease ends', () => {
  const known = recordOf(binding(BindingState.ACTIVE, 'c'));
  const record = Buffer.concat([known, Buffer.of(200, 0, 2, 7, 7)]);
  assert.ok(isRecord(record));
  const disk = new SimDisk();
  disk.begin({ position: 1, records: new Map([[ip('10.0.0.9'), record]]), meta: new Map() });
  disk.complete();
  const { table } = tableOf([], disk);
  assert.deepEqual(recordClientKey(table.read(ip('10.0.0.9'))!), recordClientKey(known));
  assert.deepEqual(withState(record, BindingState.EXPIRED, 1).subarray(known.length), Buffer.of(200, 0, 2, 7, 7));
});

test('a stored record that fails its check stops the load and names the address', () => {
  const disk = new SimDisk();
  disk.begin({ position: 1, records: new Map([[ip('10.0.0.9'), Buffer.from('nonsense')]]), meta: new Map() });
  disk.complete();
  assert.throws(() => tableOf([], disk), (error) => error instanceof StoreError && error.code === 'corrupt' && error.message.includes('10.0.0.9'));
});
