import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { RateSearch, median, quantile } from '../bench/search.ts';
import { holds, parseHalves, type Trial } from '../bench/trial.ts';

/** What a search finds where every rate up to `capacity` holds, and how many trials that took. */
function search(capacity: number, start: number, precision: number): { found: number; trials: number } {
  const rates = new RateSearch({ start, step: 2, precision, attempts: 1 });
  let trials = 0;
  for (let rate = rates.next; rate !== undefined; rate = rates.next) {
    rates.tried(rate, rate <= capacity);
    trials++;
  }
  return { found: rates.held, trials };
}

test('a search finds what a server carries, to its precision, wherever it starts', () => {
  fc.assert(fc.property(fc.integer({ min: 50, max: 100_000 }), fc.integer({ min: 50, max: 20_000 }), (capacity, start) => {
    const { found, trials } = search(capacity, start, 1.1);
    assert.ok(found <= capacity && found >= capacity / 1.12, `found ${found} of ${capacity}`);
    assert.ok(trials <= 20, `${trials} trials`);
  }));
});

test('a search ends where nothing holds', () => {
  assert.equal(search(0, 800, 1.1).found, 0);
});

test('a rate that holds above one that failed goes by the higher', () => {
  const rates = new RateSearch({ start: 1000, step: 2, precision: 1.1, attempts: 1 });
  rates.tried(1000, false);
  rates.tried(500, true);
  rates.tried(1100, true);
  assert.equal(rates.held, 1100);
  assert.equal(rates.next, 2200);
});

test('a rate has failed only when it failed as often as it must', () => {
  const rates = new RateSearch({ start: 1000, step: 2, precision: 1.1, attempts: 2 });
  rates.tried(1000, false);
  assert.equal(rates.next, 1000);
  rates.tried(1000, true);
  assert.equal(rates.held, 1000);
  rates.tried(2000, false);
  rates.tried(2000, false);
  assert.equal(rates.next, 1414);
});

test('quantiles lie between the values that they are nearest to', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(quantile([5], 0.99), 5);
  assert.equal(quantile([0, 100], 0.99), 99);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

const REPORT = `***Rate statistics***
Rate: 99.7213 4-way exchanges/second, expected rate: 100

***Malformed Packets***
Malformed packets: 0
***Statistics for: DISCOVER-OFFER***
sent packets: 400
received packets: 398
drops: 2
drops ratio: 0.5 %
orphans: 0

min delay: 0.299 ms
avg delay: 1.214 ms
max delay: 18.745 ms

***Statistics for: REQUEST-ACK***
sent packets: 398
received packets: 390
drops: 8
drops ratio: 2.010 %

min delay: 0.924 ms
avg delay: 4.237 ms
max delay: 50.819 ms
`;

test("perfdhcp's report is read half by half", () => {
  assert.deepEqual(parseHalves(REPORT), {
    offer: { sent: 400, received: 398, meanMs: 1.214, maxMs: 18.745 }, ack: { sent: 398, received: 390, meanMs: 4.237, maxMs: 50.819 },
  });
  assert.throws(() => parseHalves('Interrupted\n'), /no report/);
});

test('a trial holds when both halves lose 1 % at most and perfdhcp sent what it was asked', () => {
  const half = (sent: number, received: number): Trial['offer'] => ({ sent, received, meanMs: 1, maxMs: 2 });
  const trial = (offer: Trial['offer'], ack: Trial['ack'], unread = 0): Trial =>
    ({ rate: 100, offer, ack, exchanges: ack.received, unread, serverCpuMs: 1, helperCpuMs: 0, probed: undefined });
  assert.equal(holds(trial(half(400, 396), half(396, 393)), 4), true);
  assert.equal(holds(trial(half(400, 395), half(395, 395)), 4), false);
  assert.equal(holds(trial(half(400, 400), half(400, 395)), 4), false);
  assert.equal(holds(trial(half(379, 379), half(379, 379)), 4), false);
  assert.equal(holds(trial(half(400, 0), half(0, 0)), 4), false);
  // Also what came and was not read.
  assert.equal(holds(trial(half(400, 390), half(390, 380), 20), 4), false);
});
