/** A node whose store was restored from a backup, in scenarios with production nodes (ARCHITECTURE.md, A restored backup). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restoredMeta } from '../../cluster/recovery/beats.ts';
import { Scenario } from '../support/scenario.ts';

const MADE_AT = '2026-01-01T00:00:10.000Z';

/** All has crashed. Even this very disk, with nothing lost of it, is what the backup is made of. */
function crashed(restored: boolean): Scenario {
  const world = new Scenario();
  world.bootAll();
  for (const client of [1, 2, 3]) assert.notEqual(world.lease(client), '');
  world.run(12_000);
  world.crash('a');
  world.crash('b');
  if (restored) {
    const { disk } = world.node('a');
    const { meta, records } = disk.copy();
    disk.restore({ records, meta: new Map([...meta, ...restoredMeta(MADE_AT, meta)]) });
  }
  world.run(10_000);
  return world;
}

test('it never goes on by itself, though the same disk would without its mark', () => {
  const same = crashed(false);
  same.boot('a');
  same.until('the disk itself is fit', () => same.serves('a'), 60_000);
  const world = crashed(true);
  world.boot('a');
  world.run(300_000);
  assert.equal(world.stateOf('a'), 'STARTUP');
  assert.ok(world.told('a', 'cluster.unfit').length > 0);
  assert.equal(world.viewInEtcd()!.generation, 1);
});

test('by an operator\'s word it begins a generation that probes, and is a store like any other then', () => {
  const world = crashed(true);
  world.boot('a');
  world.run(60_000);
  const said = world.operate('a', { kind: 'recover', force: false });
  assert.match(said.text, /the store of a has 3 bindings/);
  assert.match(said.text, new RegExp(`it was restored from a backup of ${MADE_AT}`));
  assert.doesNotMatch(said.text, /a fetch into it was cut short/);
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  world.until('a serves', () => world.serves('a'), 5000);
  assert.equal(world.viewOf('a')!.generation, 2);
  assert.ok(world.viewOf('a')!.probeUntil > 0);
  world.takeProbed();
  assert.notEqual(world.lease(9), '');
  assert.ok(world.takeProbed().length > 0);
  world.run(1000);
  assert.equal(world.node('a').disk.readMeta('restored-from'), undefined);
  // From here on it is fit as any member is.
  world.crash('a');
  world.run(5000);
  world.boot('a');
  world.until('a goes on by itself', () => world.serves('a'), 60_000);
});

test('where another node has its own disk it goes on, and this one fetches everything anew', () => {
  const world = crashed(true);
  world.boot('a');
  world.run(20_000);
  world.boot('b');
  world.until('both serve', () => world.stateOf('a') === 'NORMAL' && world.stateOf('b') === 'NORMAL', 120_000);
  assert.equal(world.viewOf('a')!.generation, 1, 'nobody had to decide anything');
  world.run(2000);
  assert.equal(world.storeOf('a'), world.storeOf('b'));
  assert.equal(world.node('a').disk.readMeta('restored-from'), undefined);
});
