/** A node that stood still for longer than clocks may differ: what waited for it is as old as that. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SmallCluster } from '../support/small-cluster.ts';

test('changes that waited for it do not look like so many wrong clocks, and it comes back', () => {
  const cluster = new SmallCluster(['a', 'b']);
  for (const id of ['a', 'b']) cluster.start(id);
  cluster.until('all in one view', 20_000, () => cluster.settled('a b'));
  cluster.run(1000);
  cluster.node('a').pause();
  let client = 0;
  // Until its link is found out of order, b sends each change over it.
  for (let i = 0; i < 20; i++) cluster.lease(client++, 3);
  cluster.until('b alone', 10_000, () => cluster.settled('b'));
  cluster.run(15_000);
  cluster.node('a').resume();
  cluster.until('both', 10_000, () => cluster.settled('a b'));
  const told = cluster.told('cluster.clock-difference', 'a').length;
  assert.ok(told <= 1, `${told} times`);
});
