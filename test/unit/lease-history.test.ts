/** The history of leases: a row for each way a lease ends, what is asked of them, and what goes when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { clientKeysOf, decodeRow, encodeRow } from '../../node/history/row.ts';
import type { TenureEndNumber } from '../../node/history/row.ts';
import { readDigits, writeDigits } from '../../node/history/digits.ts';
import { BindingState, writeStamp } from '../../node/lease/record.ts';
import { at, recordOf } from './lease-model.ts';
import { A, B, client, DAY, T, TenureHost } from './lease-history-fixture.ts';

const { ABANDONED, ACTIVE, EXPIRED, RELEASED } = BindingState;

test('digits are in order as their numbers are, and are read back', () => {
  fc.assert(fc.property(fc.nat(2 ** 31), fc.nat(2 ** 31), (a, b) => {
    assert.equal(writeDigits(a, 6) < writeDigits(b, 6), a < b);
    assert.equal(readDigits(writeDigits(a, 6)), a);
  }));
  assert.equal(readDigits('a!'), undefined);
  assert.equal(readDigits('\u{ff}'), undefined);
});

const bytes = (max: number): fc.Arbitrary<Buffer> => fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));
const u32 = fc.nat(2 ** 32 - 1);

test('a row is read back as it was written, and under no other key', () => {
  const row = fc.record({
    address: u32, noted: u32, end: fc.constantFrom<TenureEndNumber>(1, 2, 3, 4, 5), exact: fc.boolean(), start: u32, lastTransaction: u32, expires: u32,
    htype: fc.nat(255), chaddr: bytes(16), clientKey: bytes(255), hasClientIdentifier: fc.boolean(), reserved: fc.boolean(),
    relayAgentInformation: bytes(300), hostname: bytes(255), vendorClass: bytes(255),
  });
  fc.assert(fc.property(row, fc.boolean(), (given, isHardware) => {
    const made = { ...given, ...(isHardware ? { clientKey: Buffer.concat([Buffer.of(given.htype), given.chaddr]) } : {}) };
    const stored = encodeRow(made);
    assert.deepEqual(decodeRow(stored), made);
    assert.equal(stored.key.length, 17);
    assert.equal(decodeRow({ ...stored, key: `${stored.key.slice(0, -1)}${stored.key.endsWith('a') ? 'b' : 'a'}` }), undefined);
    assert.equal(new Set(clientKeysOf(made)).size, clientKeysOf(made).length);
    // What was cut off is no row, or another one: it never throws.
    for (let length = 0; length < stored.value.length; length++) decodeRow({ key: stored.key, value: stored.value.subarray(0, length) });
  }), { numRuns: 60 });
});

for (const [state, how] of [[EXPIRED, 'expired'], [RELEASED, 'released'], [ABANDONED, 'declined']] as const) {
  test(`a lease that is ${how} is told with its beginning, over all renewals, and its end`, () => {
    const host = new TenureHost();
    host.grant(A, 'c', 600);
    host.second = T + 300;
    host.renew(A, 'c', T);
    host.second = T + 900;
    host.end(A, state);
    assert.deepEqual(host.told({ address: A }), [`c 10.0.0.1 0-900 ${how}`]);
    assert.deepEqual(host.told(client('c')), [`c 10.0.0.1 0-900 ${how}`]);
    assert.deepEqual(host.told(client('d')), []);
    assert.deepEqual(host.told({ address: B }), []);
  });
}

test('a lease that ran out before anybody noticed ended when it ran out', () => {
  const host = new TenureHost();
  host.grant(A, 'c', 600);
  host.second = T + 5 * DAY;
  assert.deepEqual(host.told({ address: A }), ['c 10.0.0.1 0-600 expired']);
  host.end(A, EXPIRED);
  assert.deepEqual(host.told({ address: A }), ['c 10.0.0.1 0-600 expired']);
  assert.deepEqual(host.at(A, T + 600), ['c 10.0.0.1 0-600 expired']);
  assert.deepEqual(host.at(A, T + 601), []);
});

test('a lease that goes on is told by its binding', () => {
  const host = new TenureHost();
  host.grant(A, 'c');
  assert.deepEqual(host.told({ address: A }), ['c 10.0.0.1 0- active']);
  assert.deepEqual(host.told(client('c')), ['c 10.0.0.1 0- active']);
  assert.deepEqual(host.at(A, T - 1), []);
  assert.deepEqual(host.at(A, T + 1e6), ['c 10.0.0.1 0- active']);
});

test('of many clients the one is told that held the address at the time, and all that overlap with a period', () => {
  const host = new TenureHost();
  for (let i = 0; i < 300; i++) {
    host.second = T + i * 1000;
    host.grant(A, `c${i}`, 600);
    host.grant(B, 'other', 600);
    host.second += 500;
    host.end(A, RELEASED);
    host.end(B, RELEASED);
    host.flush();
  }
  for (const i of [0, 1, 99, 299]) {
    assert.deepEqual(host.at(A, T + i * 1000 + 250), [`c${i} 10.0.0.1 ${i * 1000}-${i * 1000 + 500} released`]);
    assert.deepEqual(host.at(A, T + i * 1000 + 700), []);
  }
  assert.deepEqual(host.told({ address: A }, { from: T + 10_400, to: T + 12_100 }).map((text) => text.split(' ')[0]), ['c12', 'c11', 'c10']);
  assert.equal(host.told({ address: A }).length, 300);
  assert.equal(host.told(client('other')).length, 300);
  host.restart();
  assert.equal(host.told({ address: A }).length, 300);
});

test('a client that comes from another relay port is told with the time at each', () => {
  const host = new TenureHost();
  host.grant(A, 'c', 600, 'port1');
  host.second = T + 100;
  host.renew(A, 'c', T, 'port1');
  assert.deepEqual(host.told({ address: A }), ['c 10.0.0.1 0- active']);
  host.second = T + 200;
  host.renew(A, 'c', T, 'port2');
  assert.deepEqual(host.told({ address: A }), ['c 10.0.0.1 200- active', 'c 10.0.0.1 0-200 moved']);
  host.second = T + 300;
  host.renew(A, 'c', T, 'port1');
  host.second = T + 400;
  host.end(A, RELEASED);
  assert.deepEqual(host.told(client('c')), ['c 10.0.0.1 300-400 released', 'c 10.0.0.1 200-300 moved', 'c 10.0.0.1 0-200 moved']);
  assert.deepEqual(host.search({ address: A }, { from: T + 250, to: T + 250 }).map(({ row }) => row.relayAgentInformation.toString('latin1')), ['\u0001\u0005port2\u0002\u0005relay']);
});

test('where a client was before the period that is asked for does not count for it', () => {
  const host = new TenureHost();
  host.grant(A, 'c', 600, 'port1');
  for (let day = 1; day <= 3; day++) {
    host.second = T + day * DAY;
    host.renew(A, 'c', T, `port${day + 1}`);
  }
  assert.deepEqual(host.at(A, T + 2 * DAY + 1), [`c 10.0.0.1 ${2 * DAY}-${3 * DAY} moved`]);
  assert.deepEqual(host.at(A, T + 3 * DAY + 1), [`c 10.0.0.1 ${3 * DAY}- active`]);
  assert.deepEqual(host.told(client('c'), { from: T + 2 * DAY + 1, to: T + 2 * DAY + 2 }), [`c 10.0.0.1 ${2 * DAY}-${3 * DAY} moved`]);
});

test('a long answer comes in parts, each once', () => {
  const host = new TenureHost();
  for (let i = 0; i < 5000; i++) {
    host.second = T + i * 100;
    host.grant(A, `c${i % 7}`, 60);
    host.second += 50;
    host.end(A, RELEASED);
    if (i % 100 === 0) host.flush();
  }
  const texts = host.told({ address: A });
  assert.equal(texts.length, 5000);
  assert.equal(new Set(texts).size, 5000);
  assert.equal(host.told(client('c3')).length, 714);
});

test('what ended before the history began is told as far as the binding knows it', () => {
  const host = new TenureHost('off');
  host.grant(A, 'c', 600);
  host.second = T + 200;
  host.renew(A, 'c', T);
  host.second = T + 300;
  host.end(A, RELEASED);
  host.history.configure({ days: 90, bytes: 1e9 }, at(host.second));
  assert.deepEqual(host.told({ address: A }), ['c 10.0.0.1 200-300 released?']);
  assert.equal(host.history.since, T + 301);
});

test('a change that comes late tells of a lease that nothing else has told of, and how one ended that had to be guessed', () => {
  const host = new TenureHost();
  const one = host.grant(A, 'one', 6000);
  // Another owner's later change overtakes the release of the first one and the whole lease of a second one.
  const released = recordOf({ state: RELEASED, client: 'one', since: T + 100, lastTransaction: T, expires: T + 6000, leaseSeconds: 6000 });
  const two = recordOf({ state: ACTIVE, client: 'two', since: T + 150, lastTransaction: T + 150, expires: T + 6150, leaseSeconds: 6000 });
  for (const [i, late] of [released, two].entries()) writeStamp(late, { epoch: 1, incarnation: 2, seq: 50 + i });
  host.second = T + 500;
  const three = host.grant(A, 'three', 6000);
  assert.deepEqual(host.told({ address: A }), ['three 10.0.0.1 500- active', 'one 10.0.0.1 0-500 replaced?']);
  host.history.addLate(A, released, three, at(host.second));
  assert.deepEqual(host.told({ address: A }), ['three 10.0.0.1 500- active', 'one 10.0.0.1 0-100 released']);
  host.history.addLate(A, two, three, at(host.second));
  assert.deepEqual(host.told({ address: A }), ['three 10.0.0.1 500- active', 'two 10.0.0.1 150-500 replaced?', 'one 10.0.0.1 0-100 released']);
  // The same change over another way is no news.
  host.history.addLate(A, three, three, at(host.second));
  assert.equal(host.told({ address: A }).length, 3);
  assert.ok(one.length > 0);
});

test('days that are too old go as a whole, with their keys by client', () => {
  const host = new TenureHost({ days: 2, bytes: 1e9 });
  for (let day = 0; day < 6; day++) {
    host.second = T + day * DAY;
    host.grant(A, `c${day}`, 600);
    host.second += 100;
    host.end(A, RELEASED);
    host.flush();
    host.flush();
    assert.equal(host.told({ address: A }).length, Math.min(day + 1, 3), `day ${day}`);
  }
  assert.deepEqual(host.told({ address: A }).map((text) => text[1]), ['5', '4', '3']);
  // A row and its two keys by client, of three days, and the state.
  assert.equal(host.keys().length, 3 * 3 + 1);
  const { bytes, since } = host.history;
  assert.equal(since, Math.floor(host.second / DAY - 2) * DAY);
  host.restart();
  assert.deepEqual([host.history.bytes, host.history.since], [bytes, since]);
  // A lease that ended in a day that is gone comes too late.
  host.second = T - 20 * DAY;
  host.grant(B, 'late', 60);
  host.end(B, RELEASED);
  assert.equal(host.told(client('late')).length, 0);
});

test('what is too much goes, the oldest day first', () => {
  const host = new TenureHost({ days: 90, bytes: 20_000 });
  for (let day = 0; day < 8; day++) {
    for (let i = 0; i < 20; i++) {
      host.second = T + day * DAY + i * 100;
      host.grant(A + i, `c${day}`, 60);
      host.second += 50;
      host.end(A + i, RELEASED);
      host.flush();
    }
  }
  assert.ok(host.history.bytes <= 20_000 && host.history.bytes > 10_000, `${host.history.bytes}`);
  assert.equal(host.told(client('c7')).length, 20);
  assert.equal(host.told(client('c0')).length, 0);
  assert.ok(host.history.since! > T);
  const counted = host.history.bytes;
  host.history.configure(undefined, at(host.second));
  while (host.flush());
  assert.deepEqual(host.keys(), []);
  assert.ok(counted > 0 && host.history.bytes === 0);
  host.limits = undefined;
  host.restart();
  assert.equal(host.history.since, undefined);
});

test('a clock that is set back loses nothing, and what is said of the past is not more than is known', () => {
  const host = new TenureHost();
  host.grant(A, 'c', 600);
  host.second = T + 500;
  host.end(A, RELEASED);
  host.flush();
  host.second = T - 3600;
  host.flush();
  assert.deepEqual(host.told({ address: A }), ['c 10.0.0.1 0-500 released']);
  host.grant(B, 'd', 600);
  host.second += 10;
  host.end(B, RELEASED);
  host.flush();
  assert.deepEqual(host.told({ address: B }), ['d 10.0.0.2 -3600--3590 released']);
});

test('any traffic is told as a plain list of tenures would', () => {
  const clients = ['a', 'b', 'c'];
  const step = fc.record({ wait: fc.nat(400), address: fc.constantFrom(A, B), client: fc.constantFrom(...clients), what: fc.constantFrom('ask', 'release', 'decline', 'flush', 'restart') });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const host = new TenureHost();
    const model: { client: string; address: number; from: number; to: number; end: string }[] = [];
    const holders = new Map<number, { client: string; from: number; last: number }>();
    const close = (address: number, to: number, end: string): void => {
      const holder = holders.get(address);
      if (holder !== undefined) model.push({ client: holder.client, address, from: holder.from, to, end });
      holders.delete(address);
    };
    for (const { address, client: name, wait, what } of steps) {
      host.second += wait;
      for (const [held, { last }] of holders) {
        if (last + 600 > host.second) continue;
        host.end(held, EXPIRED);
        close(held, last + 600, 'expired');
      }
      const holder = holders.get(address);
      if (what === 'flush') host.flush();
      else if (what === 'restart') {
        host.flush();
        host.restart();
      } else if (what === 'ask') {
        if (holder === undefined) {
          host.grant(address, name);
          holders.set(address, { client: name, from: host.second, last: host.second });
        } else if (holder.client === name) {
          host.renew(address, name, holder.from);
          holder.last = host.second;
        }
      } else if (holder !== undefined) {
        host.end(address, what === 'release' ? RELEASED : ABANDONED);
        close(address, host.second, what === 'release' ? 'released' : 'declined');
      }
    }
    for (const [address, { client: name, from, last }] of holders) {
      model.push({ client: name, address, from, to: last + 600 > host.second ? Infinity : last + 600, end: last + 600 > host.second ? 'active' : 'expired' });
    }
    const text = (each: (typeof model)[number]): string => `${each.client} ${each.address === A ? '10.0.0.1' : '10.0.0.2'} ${each.from - T}-${each.to === Infinity ? '' : each.to - T} ${each.end}`;
    const expected = (of: (each: (typeof model)[number]) => boolean): string[] => [...new Set(model.filter(of).map(text))].sort();
    for (const address of [A, B]) assert.deepEqual(host.told({ address }).sort(), expected((each) => each.address === address));
    for (const name of clients) assert.deepEqual(host.told(client(name)).sort(), expected((each) => each.client === name));
    for (const second of [T + 500, T + 3000, host.second]) {
      assert.deepEqual(host.at(A, second).sort(), expected((each) => each.address === A && each.from <= second && each.to >= second));
    }
  }), { numRuns: 150 });
});
