import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { OfferBook } from '../../node/allocation/offers.ts';
import { fingerprint } from '../../node/lease/fingerprint.ts';
import { at } from './lease-model.ts';

const now = (ms: number): ReturnType<typeof at> => at(0, ms);
const key = (text: string): Buffer => Buffer.from(text);

test('a hold is found by client and by address until it is released', () => {
  const book = new OfferBook(10, 30_000);
  assert.equal(book.hold(100, key('a'), now(0), 1), true);
  assert.equal(book.find(key('a'), 0), 100);
  assert.equal(book.holder(100)?.xid, 1);
  assert.equal(book.isHeldBy(100, key('b')), false);
  book.release(100);
  assert.equal(book.find(key('a'), 0), 0);
  assert.equal(book.holder(100), undefined);
});

test('an address held for one client is refused to another until the hold has ended', () => {
  const book = new OfferBook(10, 30_000);
  book.hold(100, key('a'), now(0), 1);
  assert.equal(book.hold(100, key('b'), now(29_999), 2), false);
  assert.equal(book.find(key('b'), 0), 0);
  assert.equal(book.hold(100, key('b'), now(30_000), 2), true);
  assert.equal(book.find(key('a'), 0), 0);
});

test('a client holds one address of a network, and one of another network beside it', () => {
  const ended: number[] = [];
  const book = new OfferBook(10, 30_000, {
    networkOf: (address) => Math.floor(address / 100), onHold: () => {}, onEnd: (address) => ended.push(address),
  });
  book.hold(100, key('a'), now(0), 1);
  book.hold(200, key('a'), now(0), 1);
  book.hold(101, key('a'), now(0), 1);
  assert.deepEqual([book.find(key('a'), 1), book.find(key('a'), 2)], [101, 200]);
  assert.deepEqual(ended, [100]);
});

test('all holds end at once, and everybody hears of each', () => {
  const ended: number[] = [];
  const book = new OfferBook(10, 30_000, { networkOf: () => 0, onHold: () => {}, onEnd: (address) => ended.push(address) });
  for (const address of [3, 1, 2]) book.hold(address, key(`client ${address}`), now(address), 1);
  book.endAll();
  assert.deepEqual(ended, [3, 1, 2]);
  assert.deepEqual([book.size, book.holder(1), book.find(key('client 2'), 0)], [0, undefined, 0]);
});

test('two clients whose keys have one fingerprint keep what is theirs', () => {
  const seed = 5;
  const seen = new Map<number, Buffer>();
  let pair: [Buffer, Buffer] | undefined;
  for (let i = 0; pair === undefined; i++) {
    const candidate = key(`client ${i}`);
    const print = fingerprint(candidate, seed);
    const other = seen.get(print);
    if (other !== undefined) pair = [other, candidate];
    seen.set(print, candidate);
  }
  const book = new OfferBook(10, 30_000, { networkOf: () => 0, onHold: () => {}, onEnd: () => {} }, seed);
  book.hold(100, pair[0], now(0), 1);
  assert.equal(book.find(pair[1], 0), 0);
  assert.equal(book.hold(100, pair[1], now(0), 1), false);
  book.hold(101, pair[1], now(0), 1);
  assert.deepEqual([book.find(pair[0], 0), book.find(pair[1], 0)], [100, 101]);
  book.release(100);
  assert.deepEqual([book.find(pair[0], 0), book.find(pair[1], 0)], [0, 101]);
});

test('a full book lets the oldest hold go, and a renewed one is not the oldest', () => {
  const book = new OfferBook(2, 30_000);
  book.hold(1, key('a'), now(0), 1);
  book.hold(2, key('b'), now(1), 1);
  book.hold(1, key('a'), now(2), 2);
  book.hold(3, key('c'), now(3), 1);
  assert.deepEqual([1, 2, 3].map((address) => book.holder(address) !== undefined), [true, false, true]);
  assert.equal(book.holder(1)?.xid, 2);
});

test('holds end in their order, and everybody hears of each start and end', () => {
  const step = fc.record({
    address: fc.integer({ min: 1, max: 8 }), client: fc.constantFrom('a', 'b', 'c'), ms: fc.integer({ min: 0, max: 15_000 }),
    release: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
    const free = new Set([1, 2, 3, 4, 5, 6, 7, 8]);
    const book = new OfferBook(3, 30_000, {
      networkOf: () => 0,
      onHold: (address) => assert.ok(free.delete(address)),
      onEnd: (address) => assert.ok(!free.has(address) && free.add(address)),
    });
    let time = 0;
    for (const { address, client, ms, release } of steps) {
      time += ms;
      book.expire(now(time));
      if (release) book.release(address);
      else book.hold(address, key(client), now(time), 1);
      assert.equal(book.size, 8 - free.size);
      assert.ok(book.size <= 3);
      for (let held = 1; held <= 8; held++) {
        const offer = book.holder(held);
        assert.equal(offer === undefined, free.has(held));
        if (offer !== undefined) {
          assert.ok(offer.until > time);
          assert.equal(book.find(offer.clientKey, 0), held);
        }
      }
    }
    book.expire(now(time + 30_000));
    assert.equal(free.size, 8);
  }), { numRuns: 100 });
});
