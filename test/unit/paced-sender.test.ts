import { test } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { PacedSender } from '../../node/io/paced-sender.ts';
import { REPLY_AGE_MS_MAX, SEND_BURST_PACKETS, SEND_QUEUE_PACKETS_MAX } from '../../node/limits.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import { Counters } from '../../node/telemetry/counters.ts';
import type { MonotonicMs } from '../../node/time.ts';

const packets = (count: number, from = 0): OutgoingPacket[] =>
  Array.from({ length: count }, (_, i) => ({ port: from + i, receivedAt: 0 }) as OutgoingPacket);

function paced(): { sender: PacedSender; bursts: number[][]; counters: Counters; clock: { now: number } } {
  const bursts: number[][] = [];
  const counters = new Counters();
  const clock = { now: 0 };
  const sender = new PacedSender((burst) => bursts.push(burst.map(({ port }) => port)), counters, () => clock.now as MonotonicMs);
  return { sender, bursts, counters, clock };
}

test('a few answers leave at once', () => {
  const { sender, bursts } = paced();
  sender.send(packets(3));
  assert.deepEqual(bursts, [[0, 1, 2]]);
  sender.close();
});

test('many answers leave in bursts, all of them and in order', async () => {
  const { sender, bursts } = paced();
  const count = SEND_BURST_PACKETS * 3 + 5;
  sender.send(packets(SEND_BURST_PACKETS + 1));
  sender.send(packets(count - SEND_BURST_PACKETS - 1, SEND_BURST_PACKETS + 1));
  assert.equal(bursts.length, 1);
  while (sender.waiting > 0) await sleep(1);
  assert.ok(bursts.every((burst) => burst.length <= SEND_BURST_PACKETS));
  assert.deepEqual(bursts.flat(), packets(count).map(({ port }) => port));
  sender.close();
});

test('answers that leave one by one within a pause share its burst', () => {
  const { sender, bursts } = paced();
  for (let i = 0; i < SEND_BURST_PACKETS + 10; i++) sender.send(packets(1, i));
  assert.equal(bursts.flat().length, SEND_BURST_PACKETS);
  assert.equal(sender.waiting, 10);
  sender.close();
  assert.equal(bursts.flat().length, SEND_BURST_PACKETS + 10);
});

test('past the limit answers are dropped and counted', () => {
  const { sender, counters } = paced();
  sender.send(packets(SEND_BURST_PACKETS));
  sender.send(packets(SEND_QUEUE_PACKETS_MAX + 7));
  assert.equal(counters.drops.overload, 7);
  sender.close();
});

test('what became too old while it waited does not leave: the process may have stood still', () => {
  const { sender, bursts, counters, clock } = paced();
  sender.send(packets(SEND_BURST_PACKETS + 20));
  assert.equal(bursts.flat().length, SEND_BURST_PACKETS);
  clock.now = REPLY_AGE_MS_MAX + 1;
  sender.close();
  assert.equal(bursts.flat().length, SEND_BURST_PACKETS);
  assert.equal(counters.drops.stale, 20);
});
