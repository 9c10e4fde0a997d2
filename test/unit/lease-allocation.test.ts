/** Which address of a pool is taken, by the pool's method. That it may be given at all the model shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { AllocationMethod } from '../../node/config/types.ts';
import { fingerprint } from '../../node/lease/fingerprint.ts';
import { BindingState } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import type { SlotChoice } from '../../node/lease/table.ts';
import { SimDisk } from '../sim/disk.ts';
import { at, ip, recordOf, subnet, tableConfig } from './lease-model.ts';

const T = 1_800_000_000;
const ALL: SlotChoice = { owns: () => true, homeOf: () => 'a' };
const key = (text: string): Buffer => Buffer.from(text);
const hashOf = (client: string): number => fingerprint(key(client), 0);

function tableOf(allocation: AllocationMethod, first: string, last: string, hashSeed = 0): LeaseTable {
  const config = tableConfig([subnet('10.0.0.0/8', [[first, last, allocation]])]);
  const table = new LeaseTable(new BindingStore(new SimDisk()), config, { hashSeed });
  table.load(at(T));
  return table;
}

function grant(table: LeaseTable, client: string, slots = ALL, home = 'a', now = T): number {
  const address = table.allocate([0], slots, home, hashOf(client), at(now));
  if (address === 0) return 0;
  table.put(address, recordOf({ state: BindingState.ACTIVE, client, since: now, lastTransaction: now, expires: now + 60, leaseSeconds: 60 }), at(now));
  return address;
}

function end(table: LeaseTable, address: number, client: string, since: number): void {
  table.put(address, recordOf({ state: BindingState.EXPIRED, client, since, lastTransaction: since - 60, expires: since, leaseSeconds: 60 }), at(since));
}

test('every method gives each address of a pool exactly once, whatever was used and forgotten before', () => {
  const used = fc.array(fc.tuple(fc.nat(599), fc.constantFrom('expired', 'active', 'removed', 'held')), { maxLength: 300 });
  fc.assert(fc.property(fc.constantFrom('iterative', 'random', 'hashed'), used, fc.nat(), (method, uses, seed) => {
    const table = tableOf(method, '10.0.0.200', '10.0.3.31', seed); // 600 addresses
    const first = ip('10.0.0.200');
    const gone = new Set<number>();
    for (const [i, how] of uses) {
      if (gone.has(first + i)) continue;
      if (how === 'held') {
        table.offers.hold(first + i, key(`h${i}`), at(T), 1);
        gone.add(first + i);
        continue;
      }
      if (table.offers.holder(first + i) !== undefined) continue;
      end(table, first + i, `e${i}`, T - 1000);
      if (how === 'removed') table.remove(first + i, at(T));
      if (how === 'active') {
        table.put(first + i, recordOf({ state: BindingState.ACTIVE, client: `a${i}`, since: T, lastTransaction: T, expires: T + 60, leaseSeconds: 60 }), at(T));
        gone.add(first + i);
      }
    }
    table.advance(at(T), Infinity);
    const taken = new Set<number>();
    for (let n = 0; n < 601; n++) {
      const address = grant(table, `c${n}`);
      if (address === 0) break;
      assert.ok(address >= first && address < first + 600 && !taken.has(address) && !gone.has(address));
      taken.add(address);
    }
    assert.equal(taken.size, 600 - gone.size);
    assert.equal(table.counts(0).free, 0);
  }), { numRuns: 40 });
});

test('hashed: a client gets the same address on every node, after every start, and when it was forgotten', () => {
  const table = tableOf('hashed', '10.0.0.0', '10.0.15.255', 1);
  const addresses = Array.from({ length: 200 }, (_, i) => {
    const address = grant(table, `client ${i}`);
    table.remove(address, at(T));
    return address;
  });
  const other = tableOf('hashed', '10.0.0.0', '10.0.15.255', 2);
  let same = 0;
  for (const [i, address] of addresses.entries()) {
    assert.equal(grant(table, `client ${i}`) === address, grant(other, `client ${i}`) === address);
    if (table.findByClient(key(`client ${i}`), 0) === address) same++;
  }
  assert.ok(same >= 185, `${same} of 200; the others had the same first place`);
});

test('hashed: clients spread over the pool', () => {
  const table = tableOf('hashed', '10.0.0.0', '10.0.15.255');
  const quarters = [0, 0, 0, 0];
  for (let i = 0; i < 400; i++) quarters[(grant(table, `client ${i}`) >>> 10) & 3]!++;
  for (const count of quarters) assert.ok(count > 70 && count < 130, `${count} of about 100`);
});

test('hashed: the node that takes a client over gives it the same address', () => {
  const homes: SlotChoice = { owns: (slot) => slot % 2 === 0, homeOf: (slot) => (slot % 2 === 0 ? 'a' : 'b') };
  const alone: SlotChoice = { ...homes, owns: () => true };
  for (let i = 0; i < 50; i++) {
    const before = grant(tableOf('hashed', '10.0.0.0', '10.0.15.255'), `client ${i}`, homes);
    const after = grant(tableOf('hashed', '10.0.0.0', '10.0.15.255'), `client ${i}`, alone);
    assert.equal(before & 1, 0);
    assert.equal(after, before);
  }
});

test('hashed: an address that somebody else had is given only when there is no other', () => {
  const table = tableOf('hashed', '10.0.0.0', '10.0.0.31');
  const mine = grant(table, 'c');
  table.remove(mine, at(T));
  end(table, mine, 'other', T - 1000);
  table.advance(at(T), Infinity);
  assert.notEqual(grant(table, 'c'), mine);
  const full = tableOf('hashed', '10.0.0.0', '10.0.0.31');
  for (let i = 0; i < 32; i++) end(full, ip('10.0.0.0') + i, `other ${i}`, T - 2000 + i);
  full.advance(at(T), Infinity);
  assert.equal(grant(full, 'c'), mine, 'then it is the client\'s own place, not the longest free');
});

test('random: another seed, another order; the same seed, the same one', () => {
  const order = (seed: number): number[] => {
    const table = tableOf('random', '10.0.0.0', '10.0.15.255', seed);
    return Array.from({ length: 50 }, () => grant(table, 'c'));
  };
  const [seven, eight] = [order(7), order(8)];
  assert.deepEqual(seven, order(7));
  assert.ok(seven.filter((address, i) => address === eight[i]).length < 5);
  const steps = seven.slice(1).map((address, i) => address - seven[i]!);
  assert.ok(new Set(steps).size > 40, 'no pattern that a neighbour could guess');
});

test('a pool that is nearly full costs no more than an empty one', () => {
  let asked = 0;
  const counted: SlotChoice = { owns: (slot) => ++asked > 0 && slot >= 0, homeOf: () => 'a' };
  for (const method of ['iterative', 'random', 'hashed'] as const) {
    const table = tableOf(method, '10.0.0.0', '10.0.15.255');
    const first = ip('10.0.0.0');
    for (let i = 0; i < 4095; i++) if (i !== 1234) table.offers.hold(first + i, key(`h${i}`), at(T), 1);
    for (const expected of [[first + 1234, first + 4095], [first + 1234, first + 4095]]) {
      asked = 0;
      const address = table.allocate([0], counted, 'a', 99, at(T));
      assert.ok(expected.includes(address));
      assert.ok(asked <= 64 + 3 * 256, `${method}: ${asked} slots asked for`);
    }
  }
});

test('a hashed or random address is passed by when its turn comes in order', () => {
  for (const method of ['random', 'hashed'] as const) {
    const table = tableOf(method, '10.0.1.7', '10.0.1.9');
    const taken = [1, 2, 3].map((i) => grant(table, `c${i}`));
    assert.deepEqual(taken.toSorted((a, b) => a - b), ['10.0.1.7', '10.0.1.8', '10.0.1.9'].map(ip));
    table.reconfigure(tableConfig([subnet('10.0.0.0/8', [['10.0.1.7', '10.0.1.10']])]), at(T));
    assert.equal(grant(table, 'c4'), ip('10.0.1.10'));
  }
});
