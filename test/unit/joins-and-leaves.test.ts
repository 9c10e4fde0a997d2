/** The moments in which a node comes or goes: somebody answers every client. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { SmallCluster } from '../support/small-cluster.ts';

const CLIENTS = 40;

/** Whose offers new clients get while b, which was let in just now, hears none of them. */
function servers(bSaysThatItServes: boolean): Set<string | undefined> {
  const cluster = new SmallCluster(['a', 'b']);
  cluster.start('a');
  cluster.until('a serves', 20_000, () => cluster.settled('a'));
  cluster.tamper = (from, _to, message) =>
    (from === 'b' && message.body?.$case === 'status' && message.body.value.finished && !bSaysThatItServes ? { body: undefined } : message);
  cluster.start('b');
  cluster.until('b is let in', 20_000, () => cluster.settled('a b'));
  cluster.run(100);
  cluster.node('b').pause();
  return new Set(Array.from({ length: CLIENTS }, (_, client) => cluster.offer(client)?.server));
}

test('until a node that was let in has said that it owns its share, the others answer its clients', () => {
  assert.deepEqual(servers(false), new Set(['a']));
});

test('from then on they are its own', () => {
  assert.ok(servers(true).has(undefined));
});

test('until the others can know that a node leaves, it answers new clients itself', () => {
  const cluster = new SmallCluster(['a', 'b']);
  for (const id of ['a', 'b']) cluster.start(id);
  cluster.until('both in one view', 20_000, () => cluster.settled('a b'));
  cluster.run(1000);
  cluster.tamper = (from, _to, message) => (from === 'b' && message.body?.$case === 'status' ? { body: undefined } : message);
  cluster.node('b').drain();
  const answered = new Set(Array.from({ length: 10 }, (_, client) => cluster.offer(client)?.server));
  assert.deepEqual(answered, new Set(['a', 'b']));
});
