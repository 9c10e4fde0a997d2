/** The history of changes (RFC 7724 §8.2): what it holds, what it claims to hold, and how it goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { SectionKind, withSection, writeStamp } from '../../node/lease/record.ts';
import { HISTORY_CHUNK_BYTES_MAX, HISTORY_CLOCK_BACK_SECONDS_MAX, HISTORY_REMOVED_CHUNKS_MAX } from '../../node/limits.ts';
import { encodeChunk, historyKey, historyNumber, readChunk, readChunkHeader } from '../../node/leasequery/history-chunk.ts';
import { HistoryHost, LARGE, stamped, T } from './change-history-fixture.ts';
import { at } from './lease-model.ts';

test('every change is there in the order in which it was stored, also several of one address in one flush', () => {
  const host = new HistoryHost();
  const one = host.put(1);
  const two = host.put(2);
  const again = host.put(1);
  host.flush();
  host.second++;
  host.remove(2);
  host.flush();
  assert.deepEqual(host.read(), [
    { number: 1, second: T, address: 1, record: one },
    { number: 2, second: T, address: 2, record: two },
    { number: 3, second: T, address: 1, record: again },
    { number: 4, second: T + 1, address: 2, record: undefined },
  ]);
  assert.deepEqual(host.keys, [historyKey(1), historyKey(4)]);
  assert.equal(host.history.nextNumber, 5);
});

test('what DNS has come to is no change that anybody is told of', () => {
  const host = new HistoryHost();
  const granted = host.put(1);
  const dns = Buffer.from([1, 2, 3]);
  for (const [seq, section] of [[2, dns], [3, Buffer.alloc(0)], [4, dns]] as const) {
    const next = withSection(granted, SectionKind.dns, section);
    writeStamp(next, { epoch: 1, incarnation: 1, seq });
    host.put(1, next);
  }
  const renewed = withSection(stamped(1, 5, 'another client'), SectionKind.dns, dns);
  host.put(1, renewed);
  host.flush();
  assert.deepEqual(host.read().map(({ number, record }) => [number, record]), [[1, granted], [2, renewed]]);
});

test('a chunk goes to the disk in the very flush of its records', () => {
  const host = new HistoryHost();
  host.put(7);
  const batch = host.flush();
  assert.deepEqual([...batch!.records.keys()], [7]);
  assert.ok(batch!.meta.has(historyKey(1)));
  host.put(8);
  host.history.beforeWrites(at(T));
  host.disk.begin(host.store.takeWrites()!);
  host.restart();
  assert.equal(host.disk.read(8), undefined);
  assert.deepEqual(host.read().map(({ address }) => address), [7]);
});

test('nothing is written when nothing happened', () => {
  const host = new HistoryHost();
  host.put(1);
  host.flush();
  assert.equal(host.flush(), undefined);
  host.second += 3600;
  assert.equal(host.flush(), undefined);
});

test('a large flush makes several chunks of bounded size', () => {
  const host = new HistoryHost();
  for (let address = 1; address <= 2000; address++) host.put(address);
  host.flush();
  assert.ok(host.keys.length > 2);
  const sizes = host.keys.map((key) => host.disk.readMeta(key)!.length);
  assert.ok(Math.max(...sizes) < HISTORY_CHUNK_BYTES_MAX + 512);
  assert.deepEqual(host.read().map(({ address }) => address), Array.from({ length: 2000 }, (_, i) => i + 1));
});

test('chunks: keys sort as their numbers, damaged ones are told from whole ones', () => {
  const numbers = [0, 1, 15, 16, 255, 2 ** 32, 2 ** 48 - 1];
  const keys = numbers.map(historyKey);
  assert.deepEqual(keys.toSorted(), keys);
  assert.deepEqual(keys.map(historyNumber), numbers);
  assert.deepEqual(['history-state', 'history/', 'history/00000000000g', 'history/0000000000000'].map(historyNumber), [undefined, undefined, undefined, undefined]);
  const change = { number: 9, second: T, address: 0xffff_fffe, record: stamped(5, 6) };
  const chunk = encodeChunk([change], 12 + change.record.length);
  assert.deepEqual(readChunk(historyKey(9), chunk), [change]);
  assert.deepEqual(readChunkHeader(chunk), { count: 1, firstSecond: T, lastSecond: T });
  for (let length = 0; length < chunk.length; length++) assert.equal(readChunk(historyKey(9), chunk.subarray(0, length)), undefined);
  assert.equal(readChunk(historyKey(9), Buffer.concat([chunk, Buffer.alloc(1)])), undefined);
  assert.equal(readChunk('cursors', chunk), undefined);
  chunk[0] = 2;
  assert.equal(readChunk(historyKey(9), chunk), undefined);
});

test('a node that has only restarted goes on with its history', () => {
  const host = new HistoryHost();
  for (let i = 1; i <= 10; i++) {
    host.put(i);
    if (i % 3 === 0) host.flush();
    host.second++;
  }
  host.flush();
  const [before, since, bytes] = [host.read(), host.history.since, host.history.bytes];
  host.second += 1000;
  host.restart();
  assert.deepEqual(host.read(), before);
  assert.equal(host.history.since, since);
  assert.equal(host.history.bytes, bytes);
  host.put(11);
  host.flush();
  assert.equal(host.read().at(-1)!.number, 11);
});

test('what is older than its time goes, and since follows', () => {
  const host = new HistoryHost({ seconds: 10, bytes: 2 ** 40 });
  assert.equal(host.history.since, T + 1, 'changes of this very second may have come before it');
  for (let i = 0; i < 30; i++) {
    host.put(i);
    host.flush();
    host.second++;
  }
  assert.deepEqual(host.read().map(({ second }) => second - T), [19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
  assert.equal(host.history.since, T + 19);
  host.second += 100;
  host.settle();
  assert.deepEqual(host.keys, []);
  assert.equal(host.history.bytes, 0);
  assert.equal(host.history.since, T + 30);
});

test('what is more than its bytes goes, and since claims no second of which a part is gone', () => {
  const host = new HistoryHost({ seconds: 1_000_000, bytes: 3000 });
  for (let i = 0; i < 100; i++) {
    host.put(i);
    host.flush();
    if (i % 4 === 3) host.second++;
    const kept = host.keys.reduce((sum, key) => sum + key.length + host.disk.readMeta(key)!.length, 0);
    assert.equal(host.history.bytes, kept);
    assert.ok(kept <= 3000);
    for (let second = Math.max(host.history.since!, T); second < host.second; second++) {
      assert.equal(host.read().filter((change) => change.second === second).length, 4, `of second ${second - T}`);
    }
  }
  assert.ok(host.history.since! > T + 10);
});

test('one flush removes a bounded number of chunks', () => {
  const host = new HistoryHost();
  for (let i = 0; i < 3 * HISTORY_REMOVED_CHUNKS_MAX; i++) {
    host.put(i);
    host.flush();
  }
  host.configure({ seconds: 1_000_000, bytes: 0 });
  const left: number[] = [];
  while (host.flush() !== undefined) left.push(host.keys.length);
  assert.deepEqual(left, [2 * HISTORY_REMOVED_CHUNKS_MAX, HISTORY_REMOVED_CHUNKS_MAX, 0]);
});

test('off, nothing is recorded or written; what was kept goes in slices, over a restart as well', () => {
  const idle = new HistoryHost('off');
  idle.put(1);
  assert.deepEqual([...idle.flush()!.meta], []);
  assert.equal(idle.history.since, undefined);

  const host = new HistoryHost();
  for (let i = 0; i < 2 * HISTORY_REMOVED_CHUNKS_MAX; i++) {
    host.put(i);
    host.flush();
  }
  host.put(9000);
  host.configure(undefined);
  assert.equal(host.history.since, undefined);
  assert.deepEqual(host.read(), []);
  host.put(9001);
  host.flush();
  assert.equal(host.keys.length, HISTORY_REMOVED_CHUNKS_MAX + 1);
  host.restart();
  host.settle();
  assert.deepEqual([...host.disk.copy().meta.keys()], []);
});

test('on again, it begins anew beside the rest of the old one', () => {
  const host = new HistoryHost();
  for (let i = 0; i < 2 * HISTORY_REMOVED_CHUNKS_MAX; i++) {
    host.put(i);
    host.flush();
  }
  host.configure(undefined);
  host.put(9000);
  host.second += 5;
  host.configure(LARGE);
  host.put(9001);
  assert.equal(host.history.since, T + 6);
  host.flush();
  assert.deepEqual(host.read().map(({ address }) => address), [9001]);
  host.restart();
  assert.equal(host.history.since, T + 6);
  host.settle();
  assert.equal(host.keys.length, 1);
  assert.deepEqual(host.read().map(({ address }) => address), [9001]);
});

test('a disk whose history was on while the node was started without it keeps nothing', () => {
  const host = new HistoryHost();
  host.put(1);
  host.flush();
  host.limits = undefined;
  host.restart();
  host.put(2);
  host.settle();
  host.limits = LARGE;
  host.second += 9;
  host.restart();
  assert.equal(host.history.since, T + 10);
  assert.deepEqual(host.read(), []);
});

test('what is fetched is a hole: it begins anew when the node is a member, or when it starts with what it has fetched', () => {
  for (const crash of [false, true]) {
    const host = new HistoryHost();
    host.put(1);
    host.flush();
    host.history.suspend();
    host.put(2);
    assert.equal(host.history.since, undefined);
    host.flush();
    host.second += 7;
    if (crash) host.restart();
    else {
      host.put(3);
      host.flush();
      host.history.resume(at(host.second));
    }
    assert.equal(host.history.since, T + 8);
    host.put(4);
    host.settle();
    assert.deepEqual(host.read().map(({ address }) => address), [4]);
    assert.deepEqual(host.keys, [historyKey(host.history.firstNumber)]);
    host.history.resume(at(host.second + 100));
    assert.equal(host.history.since, T + 8, 'a member that enters another view has no hole');
  }
});

test('a clock that is set back a little holds the seconds: who comes back with one of before misses nothing', () => {
  const host = new HistoryHost();
  host.second += 100;
  assert.equal(host.history.baseSecond(at(host.second)), T + 100);
  host.second -= HISTORY_CLOCK_BACK_SECONDS_MAX;
  host.put(1);
  assert.equal(host.history.baseSecond(at(host.second)), T + 100);
  host.flush();
  assert.deepEqual(host.read().map(({ second }) => second - T), [100]);
  host.history.suspend();
  host.history.resume(at(host.second));
  assert.equal(host.history.since, T + 101);
});

test('a clock that is set back by more begins the history anew, and no second that was told before is claimed', () => {
  const host = new HistoryHost();
  host.second += 100;
  host.put(1);
  host.flush();
  host.second -= HISTORY_CLOCK_BACK_SECONDS_MAX + 1;
  host.put(2);
  host.flush();
  assert.equal(host.history.since, T + 101);
  host.put(3);
  host.settle();
  assert.deepEqual(host.read().map(({ address, second }) => [address, second]), [[3, host.second]]);
  host.restart();
  assert.equal(host.history.since, T + 101);
  // Whoever switches it off and on wants it to be of use before that.
  host.configure(undefined);
  host.configure(LARGE);
  assert.equal(host.history.since, host.second + 1);
});

test('a chunk that cannot be read is a hole, and what lies behind it is removed', () => {
  const host = new HistoryHost({ seconds: 50, bytes: 2 ** 40 });
  for (let i = 0; i < 5; i++) {
    host.put(2 * i);
    host.put(2 * i + 1);
    host.flush();
  }
  const copy = host.disk.copy();
  const meta = new Map(copy.meta);
  meta.delete(historyKey(1));
  meta.set(historyKey(5), Buffer.from('damage'));
  host.disk.restore({ records: copy.records, meta });
  host.restart();
  host.second += 20;
  host.put(100);
  host.settle();
  assert.equal(host.history.since, T + 21);
  assert.deepEqual(host.keys, []);
  host.put(101);
  host.flush();
  assert.deepEqual(host.read().map(({ address }) => address), [101]);
});

type Step =
  | { kind: 'put' | 'remove'; address: number }
  | { kind: 'flush' | 'restart' | 'restart with or without' | 'off' | 'on' | 'suspend' | 'resume' }
  | { kind: 'limits'; seconds: number; bytes: number }
  | { kind: 'clock'; seconds: number };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('put' as const), address: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), address: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('restart' as const, 'restart with or without' as const, 'off' as const, 'on' as const, 'suspend' as const, 'resume' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('limits' as const), seconds: fc.integer({ min: 0, max: 200 }), bytes: fc.integer({ min: 0, max: 4000 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('clock' as const), seconds: fc.oneof(fc.integer({ min: -20, max: 60 }), fc.integer({ min: -5000, max: 0 })) }) },
);

test('beside a model: all since the second that it names, nothing that it was not told, bounds kept, nothing left behind', () => {
  fc.assert(fc.property(fc.array(STEP, { maxLength: 200, size: 'max' }), (steps) => {
    const host = new HistoryHost({ seconds: 100, bytes: 2000 });
    // Every change of a record, recorded or not, with the clock's own second.
    let stored: { text: string; second: number; isFlushed: boolean; isClaimed: boolean; wasSuspended: boolean }[] = [];
    let suspended = false;
    const change = (address: number, record: Buffer | undefined): void => {
      stored.push({ text: `${address} ${record?.toString('base64')}`, second: host.second, isFlushed: false, isClaimed: true, wasSuspended: suspended });
    };
    for (const step of steps) {
      if (step.kind === 'put') change(step.address, host.put(step.address));
      else if (step.kind === 'remove') {
        change(step.address, undefined);
        host.remove(step.address);
      } else if (step.kind === 'flush') {
        host.flush();
        for (const one of stored) one.isFlushed = true;
      } else if (step.kind === 'restart' || step.kind === 'restart with or without') {
        const isOther = step.kind !== 'restart';
        if (isOther) host.limits = host.limits === undefined ? { seconds: 100, bytes: 2000 } : undefined;
        if (isOther && host.limits !== undefined) for (const one of stored) one.isClaimed = false;
        host.restart();
        stored = stored.filter(({ isFlushed }) => isFlushed);
        suspended = false;
        // Before a node does anything its incarnation is on the disk.
        host.flush();
      } else if (step.kind === 'off') host.configure(undefined);
      else if (step.kind === 'on') {
        // Nobody was told any second by a history that is new.
        if (host.limits === undefined) for (const one of stored) one.isClaimed = false;
        host.configure({ seconds: 100, bytes: 2000 });
      } else if (step.kind === 'suspend') {
        host.history.suspend();
        suspended = true;
      } else if (step.kind === 'resume') {
        host.history.resume(at(host.second));
        suspended = false;
      } else if (step.kind === 'limits') {
        if (host.limits !== undefined) host.configure({ seconds: step.seconds, bytes: step.bytes });
      } else if (step.kind === 'clock') {
        host.second += step.seconds;
        // While it is suspended nobody is told any second, so it may come again.
        if (step.seconds < 0) for (const one of stored) if (one.wasSuspended) one.isClaimed = false;
      }


      const { since } = host.history;
      assert.equal(since === undefined, host.limits === undefined || suspended);
      const read = host.read();
      assert.deepEqual(read.map(({ number }) => number), read.map((_, i) => host.history.firstNumber + i));
      assert.ok(read.every(({ second }, i) => i === 0 || second >= read[i - 1]!.second));
      if (since === undefined || step.kind !== 'flush') continue;
      const due = stored.filter(({ isClaimed, second }) => isClaimed && second >= since).map(({ text }) => text);
      const found = read.map(({ address, record }) => `${address} ${record?.toString('base64')}`);
      assert.deepEqual(due.filter((text) => !found.includes(text)), [], 'all since then is there');
      assert.deepEqual(found, stored.map(({ text }) => text).slice(stored.length - found.length), 'the newest, in order, and nothing else');
      assert.ok(host.history.bytes <= host.limits!.bytes);
      const oldest = host.history.chunkAt(host.history.firstNumber);
      assert.ok(oldest === undefined || readChunkHeader(oldest)!.lastSecond >= host.second - host.limits!.seconds);
    }
    // Off and settled, nothing is left.
    host.configure(undefined);
    host.settle();
    assert.deepEqual([...host.disk.copy().meta.keys()], []);
  }), { numRuns: 300 });
});
