import { test } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { PacedSender } from '../../node/io/paced-sender.ts';
import { SEND_BURST_PACKETS, SEND_QUEUE_PACKETS_MAX } from '../../node/limits.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import { Counters } from '../../node/telemetry/counters.ts';

const packets = (count: number, from = 0): OutgoingPacket[] =>
  Array.from({ length: count }, (_, i) => ({ port: from + i }) as OutgoingPacket);

function paced(): { sender: PacedSender; bursts: number[][]; counters: Counters } {
  const bursts: number[][] = [];
  const counters = new Counters();
  const sender = new PacedSender((burst) => bursts.push(burst.map(({ port }) => port)), counters);
  return { sender, bursts, counters };
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
