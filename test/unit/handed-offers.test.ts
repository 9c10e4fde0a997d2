/** Addresses that are offered while their owner changes: their clients get them, and nobody else is offered them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OfferBook } from '../../node/allocation/offers.ts';
import { DRAIN_LAST_REQUESTS_MS } from '../../node/limits.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import { SmallCluster } from '../support/small-cluster.ts';

const OFFERED = 40;

function started(): SmallCluster {
  const cluster = new SmallCluster(['a', 'b']);
  for (const id of ['a', 'b']) cluster.start(id);
  cluster.until('both in one view', 20_000, () => cluster.settled('a b'));
  return cluster;
}

/** Clients 0 to OFFERED have an offer of that node and wait; others come meanwhile and take the next addresses. */
function offered(cluster: SmallCluster, server: string): number[] {
  const clients: number[] = [];
  for (let client = 0; clients.length < OFFERED; client++) if (cluster.offer(client)?.server === server) clients.push(client);
  return clients;
}

function newcomers(cluster: SmallCluster, from: number): Set<string | undefined> {
  return new Set(Array.from({ length: 3 * OFFERED }, (_, i) => cluster.lease(from + i)));
}

test('the newest offers come first, and no more than wanted', () => {
  const book = new OfferBook(10, 1000);
  const now: Now = { mono: 0 as MonotonicMs, wall: 0 as WallMs };
  for (let i = 1; i <= 6; i++) book.hold(i, Buffer.of(i), now, i);
  book.hold(2, Buffer.of(2), now, 7);
  assert.deepEqual(book.newest((address) => address % 2 === 0, 2).map(({ address, xid }) => [address, xid]), [[2, 7], [6, 6]]);
});

test('a node that comes back does not offer what the other has offered of its addresses', () => {
  const cluster = started();
  cluster.put('drains/b', {});
  cluster.until('b is out', 5000, () => cluster.settled('a'));
  cluster.delete('drains/b');
  // Just before the view with b in it.
  let late = true;
  cluster.tamper = (_from, _to, message) => (late && message.body?.$case === 'joinReady' ? { body: undefined } : message);
  cluster.until('b follows', 10_000, () => cluster.node('b').engine!.core.learner.following);
  const waiting = offered(cluster, 'a');
  assert.equal(cluster.members, 'a');
  late = false;
  cluster.until('b is back', 10_000, () => cluster.settled('a b'));
  const taken = newcomers(cluster, 10_000);
  assert.equal(taken.has(undefined), false);
  for (const client of waiting) {
    const address = cluster.accept(client);
    assert.ok(address, `client ${client} gets what it was offered`);
    assert.equal(taken.has(address), false);
  }
});

test('what a node that leaves has offered is held by the one that takes over', () => {
  const cluster = started();
  const waiting = offered(cluster, 'b');
  cluster.node('b').drain();
  cluster.until('b is out', 5000, () => cluster.settled('a'));
  assert.ok(cluster.agenda.now > DRAIN_LAST_REQUESTS_MS);
  const taken = newcomers(cluster, 10_000);
  for (const client of waiting) {
    const address = cluster.accept(client);
    assert.ok(address, `client ${client} gets what it was offered`);
    assert.equal(taken.has(address), false);
  }
});

test('without that word they would collide: the rule is needed', () => {
  const cluster = started();
  cluster.tamper = (_from, _to, message) => (message.body?.$case === 'held' ? { body: undefined } : message);
  const waiting = offered(cluster, 'b');
  cluster.node('b').drain();
  cluster.until('b is out', 5000, () => cluster.settled('a'));
  newcomers(cluster, 10_000);
  assert.ok(waiting.some((client) => cluster.accept(client) === undefined));
});
