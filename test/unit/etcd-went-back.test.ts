/** etcd restored from a backup, emptied or replaced, in scenarios with production nodes (ARCHITECTURE.md, An etcd that went back). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EtcdOp } from '../../cluster/core/ports.ts';
import { Scenario } from '../support/scenario.ts';

const EMPTY = { revision: 1, keys: new Map(), leases: new Map() };

/** Both in service, with a backup of etcd that is some leases and beats old. */
function withBackup(nodes: readonly string[] = ['a', 'b']) {
  const world = new Scenario({ nodes });
  world.bootAll();
  assert.notEqual(world.lease(1), '');
  const backup = world.etcd.snapshot();
  world.run(20_000);
  const address = world.lease(2);
  assert.notEqual(address, '');
  return { world, backup, address };
}

const reasonOf = (world: Scenario, id: string): string => world.node(id).engine!.core.state.wentBack;

test('members notice it by the revision, go on over their links, and touch nothing in etcd', () => {
  const { world, backup, address } = withBackup();
  world.etcd.restore(backup, world.agenda.now);
  world.run(3000);
  for (const id of ['a', 'b']) {
    assert.match(reasonOf(world, id), /it is at revision \d+, and was at \d+|says so/);
    assert.ok(world.told(id, 'etcd.went-back').length > 0);
    assert.equal(world.stateOf(id), 'NORMAL');
  }
  for (let client = 10; client < 16; client++) assert.notEqual(world.lease(client), '');
  assert.equal(world.renew(2, address, 'renewing', ['a']), 'ack');
  // Long after its revision has passed what they knew.
  world.run(600_000);
  assert.ok(reasonOf(world, 'a') !== '' && reasonOf(world, 'b') !== '');
  assert.deepEqual(world.viewInEtcd(), world.viewOf('a'), 'the view is the one of the backup');
  assert.equal(world.etcd.entries().filter(({ key }) => key.startsWith('inbox/')).length, 0);
});

test('recover --force gives etcd what the members hold: nothing is lost', () => {
  const { world, backup, address } = withBackup(['a', 'b', 'c']);
  world.etcd.restore(backup, world.agenda.now);
  world.until('all have noticed', () => world.nodes.every(({ id }) => reasonOf(world, id) !== ''));
  const late = world.lease(9);
  const said = world.operate('b', { kind: 'recover', force: false });
  assert.ok(said.ok);
  assert.match(said.text, /etcd went back: .*\n.*members a b c.*\nNothing was changed/);
  assert.equal(world.viewOf('b')!.generation, 1);
  const probeUntil = world.viewOf('b')!.probeUntil;
  assert.ok(world.operate('b', { kind: 'recover', force: true }).ok);
  world.until('etcd has it', () => world.viewInEtcd()!.generation === 2, 5000);
  world.until('all is well', () => world.nodes.every(({ id }) => reasonOf(world, id) === '' && world.stateOf(id) === 'NORMAL' && world.serves(id)), 10_000);
  assert.equal(world.viewOf('a')!.probeUntil, probeUntil, 'nothing is unknown');
  assert.equal(world.renew(2, address, 'rebinding'), 'ack');
  assert.equal(world.renew(9, late, 'rebinding'), 'ack');
  // As ever: one dies and is taken over from, and comes back.
  world.crash('a');
  world.until('a is out', () => world.membersOf('b') === 'b c');
  assert.notEqual(world.lease(20, ['b', 'c']), '');
  world.boot('a');
  world.until('a is back', () => world.nodes.every(({ id }) => world.stateOf(id) === 'NORMAL'));
  world.run(2000);
  assert.equal(world.storeOf('a'), world.storeOf('b'));
});

for (const [what, clusterId] of [['another cluster id', '99'], ['no data at all', undefined]] as const) {
  test(`the same with ${what}`, () => {
    const { world, address } = withBackup();
    const { etcd } = world;
    etcd.restore(clusterId === undefined ? EMPTY : etcd.snapshot(), world.agenda.now, clusterId);
    if (clusterId === undefined) world.putConfig();
    world.until('both have noticed', () => reasonOf(world, 'a') !== '' && reasonOf(world, 'b') !== '', 10_000);
    assert.notEqual(world.lease(5), '');
    assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
    world.until('all is well', () => world.nodes.every(({ id }) => reasonOf(world, id) === '' && world.serves(id) && world.stateOf(id) === 'NORMAL'), 10_000);
    assert.equal(world.viewInEtcd()!.generation, 2);
    assert.equal(world.renew(2, address, 'rebinding'), 'ack');
  });
}

test('a link that is down then isolates: an inbox that may have been lost counts for nothing', () => {
  const { world, backup } = withBackup();
  world.etcd.restore(backup, world.agenda.now);
  world.until('both have noticed', () => reasonOf(world, 'a') !== '' && reasonOf(world, 'b') !== '');
  world.cutLink('a', 'b');
  world.until('both are isolated', () => world.stateOf('a') === 'ISOLATED' && world.stateOf('b') === 'ISOLATED');
  assert.equal(world.lease(7), '');
  const refused = world.operate('a', { kind: 'recover', force: true });
  assert.equal(refused.ok, false);
  assert.match(refused.text, /b is not linked with this node/);
  world.crash('b');
  world.run(1000);
  assert.ok(world.operate('a', { kind: 'partner-down', node: 'b' }).ok);
  world.until('a serves', () => world.serves('a') && reasonOf(world, 'a') === '', 10_000);
  assert.equal(world.viewInEtcd()!.generation, 2);
  world.mendLink('a', 'b');
  world.boot('b');
  world.until('b has recovered', () => world.stateOf('b') === 'NORMAL');
});

test('a transaction that compares a revision which came again does not count', () => {
  const { world } = withBackup();
  const { etcd } = world;
  world.cutLink('a', 'b');
  world.run(1000);
  const backup = etcd.snapshot();
  world.etcdCut.add('a');
  assert.notEqual(world.lease(40, ['b']), '', 'committed through the inbox of a, which reads nothing of it');
  // The view in the backup is the very same: nothing but what lay in the inbox is gone.
  etcd.restore(backup, world.agenda.now);
  world.run(300);
  assert.equal(world.lease(41, ['b']), '', 'whether a will ever hear of anything is not known any more');
  assert.notEqual(reasonOf(world, 'b'), '');
  // a was away, and would not notice by itself.
  world.etcdCut.delete('a');
  world.until('a has noticed', () => reasonOf(world, 'a') !== '', 5000);
  assert.equal(world.membersOf('a'), 'a b');
  world.mendLink('a', 'b');
  world.until('they go on over the link', () => world.stateOf('a') === 'NORMAL' && world.stateOf('b') === 'NORMAL', 20_000);
  world.run(1000);
  assert.equal(world.storeOf('a'), world.storeOf('b'), 'what the inbox had lost came over the link');
});

test('what was noticed is not forgotten by a restart, and neither is what etcd had', () => {
  const { world, backup } = withBackup();
  world.run(6000);
  world.crash('a');
  world.crash('b');
  world.etcd.restore(backup, world.agenda.now);
  world.boot('a', 'b');
  world.run(60_000);
  for (const id of ['a', 'b']) {
    assert.equal(world.stateOf(id), 'STARTUP');
    assert.match(reasonOf(world, id), /it is at revision|says so/);
  }
  world.crash('a');
  // Meanwhile its revision passes all that was ever known.
  for (let i = 0; i < 500; i++) world.putConfig();
  world.boot('a');
  world.run(60_000);
  assert.equal(world.stateOf('a'), 'STARTUP');
  assert.notEqual(reasonOf(world, 'a'), '');
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  world.until('both are in service', () => world.stateOf('a') === 'NORMAL' && world.stateOf('b') === 'NORMAL');
});

test('a node that starts beside members in service waits, and recovers once they have begun a generation', () => {
  const { world, backup } = withBackup(['a', 'b', 'c']);
  world.crash('c');
  world.until('c is out', () => world.membersOf('a') === 'a b');
  world.run(10_000);
  world.etcd.restore(backup, world.agenda.now);
  world.until('both have noticed', () => reasonOf(world, 'a') !== '' && reasonOf(world, 'b') !== '');
  world.boot('c');
  world.run(30_000);
  assert.equal(world.stateOf('c'), 'STARTUP');
  const refused = world.operate('c', { kind: 'recover', force: true });
  assert.match(refused.text, /a serves, and etcd went back: give this command on a/);
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  world.until('all are in service', () => world.nodes.every(({ id }) => world.stateOf(id) === 'NORMAL'));
  world.run(2000);
  assert.equal(world.storeOf('c'), world.storeOf('a'));
});

test('members whose restored etcd names a node that knows of a later view are told by it', () => {
  const world = new Scenario();
  world.bootAll();
  // The disk of a and etcd are of the same moment: nothing in itself shows that time has passed.
  world.run(6000);
  world.crash('a');
  const backup = world.etcd.snapshot();
  world.until('b goes on', () => world.membersOf('b') === 'b');
  world.run(20_000);
  assert.notEqual(world.lease(3, ['b']), '');
  world.crash('b');
  world.etcd.restore(backup, world.agenda.now);
  world.boot('a');
  world.until('a goes on by its disk', () => world.serves('a'), 60_000);
  // b has the newer store: a stops using an etcd that has lost what b was in.
  world.boot('b');
  world.until('a has noticed', () => reasonOf(world, 'a') !== '', 10_000);
  assert.match(reasonOf(world, 'a'), /its view is of epoch \d+, and b has been in \d+|b says so/);
  assert.equal(world.stateOf('b'), 'STARTUP');
});

test('an ordinary outage of etcd, a new leader of it, and lost answers are no reason', () => {
  const world = new Scenario({ nodes: ['a', 'b', 'c'] });
  world.bootAll();
  let n = 0;
  for (let i = 0; i < 30; i++) {
    world.etcdDown = i % 3 === 0;
    if (i % 4 === 0) world.etcd.grantAll(world.agenda.now);
    if (i % 5 === 0) world.loseAnswerTo = () => true;
    if (i === 10) world.crash('b');
    if (i === 14) world.boot('b');
    world.run(3000);
    if (world.lease(100 + i) !== '') n++;
  }
  assert.ok(n > 20);
  for (const { id } of world.nodes) assert.equal(reasonOf(world, id), '');
  world.until('all are in service', () => world.nodes.every(({ id }) => world.stateOf(id) === 'NORMAL'));
});

test('a view in etcd that cannot be read is no view: members go on over their links, and a person may put theirs in its place', () => {
  const { world } = withBackup();
  const value = Buffer.from('{"epoch":"of another program"}');
  world.etcd.apply({ kind: 'txn', id: 0, compares: [], then: [{ op: 'put', key: 'view', value }], otherwise: [], deadlineMs: 1000 }, world.agenda.now);
  world.until('both have noticed', () => reasonOf(world, 'a') !== '' && reasonOf(world, 'b') !== '', 5000);
  assert.match(reasonOf(world, 'a'), /its view cannot be read|b says so/);
  assert.notEqual(world.lease(7), '');
  assert.ok(world.operate('b', { kind: 'recover', force: true }).ok);
  world.until('all is well', () => world.nodes.every(({ id }) => reasonOf(world, id) === '' && world.serves(id)), 10_000);
  assert.equal(world.viewInEtcd()!.generation, 2);
});

test('the same for a node that starts', () => {
  const { world } = withBackup();
  world.crash('a');
  world.crash('b');
  const value = Buffer.from('no view');
  world.etcd.apply({ kind: 'txn', id: 0, compares: [], then: [{ op: 'put', key: 'view', value }], otherwise: [], deadlineMs: 1000 }, world.agenda.now);
  world.run(6000);
  world.boot('a');
  world.run(40_000);
  assert.ok(world.told('a', 'cluster.view-unreadable').length > 0);
  assert.equal(world.stateOf('a'), 'STARTUP');
  assert.match(world.operate('a', { kind: 'recover', force: true }).text, /the view in etcd cannot be read; it is overwritten/);
  world.until('a serves', () => world.serves('a'), 10_000);
});

test('an order to leave that a restored etcd brings back is not obeyed', () => {
  const world = new Scenario();
  world.bootAll();
  const order = Buffer.from(JSON.stringify({ by: 'root@host', at: '2026-01-01T00:00:00Z', reason: 'long ago' }));
  const put = (then: readonly EtcdOp[]): void => {
    world.etcd.apply({ kind: 'txn', id: 0, compares: [], then, otherwise: [], deadlineMs: 1000 }, world.agenda.now);
  };
  put([{ op: 'put', key: 'drains/b', value: order }]);
  world.until('b is out', () => world.membersOf('a') === 'a');
  const backup = world.etcd.snapshot();
  put([{ op: 'delete', key: 'drains/b' }]);
  world.until('b is back', () => world.stateOf('b') === 'NORMAL' && world.stateOf('a') === 'NORMAL');
  world.run(10_000);
  world.etcd.restore(backup, world.agenda.now);
  world.run(5000);
  assert.equal(world.stateOf('b'), 'NORMAL');
  assert.notEqual(world.lease(5), '');
});

test('a node on its way out is left out of the generation that the others begin', () => {
  const { world, backup } = withBackup(['a', 'b', 'c']);
  world.etcd.restore(backup, world.agenda.now);
  world.until('all have noticed', () => world.nodes.every(({ id }) => reasonOf(world, id) !== ''));
  world.node('c').drain();
  world.run(1000);
  assert.equal(world.stateOf('c'), 'DRAINING');
  assert.match(world.operate('c', { kind: 'recover', force: true }).text, /on its way out/);
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  world.until('both serve', () => world.serves('a') && world.serves('b') && world.membersOf('a') === 'a b', 10_000);
  world.until('c has ended', () => world.stateOf('c') === 'dead', 20_000);
  assert.notEqual(world.lease(5), '');
});

test('another etcd that answers for a while is not believed, and the right one is again', () => {
  const { world } = withBackup();
  const right = world.etcd.snapshot();
  const id = world.etcd.clusterId;
  world.etcd.restore(EMPTY, world.agenda.now, '99');
  world.until('both have noticed', () => reasonOf(world, 'a') !== '' && reasonOf(world, 'b') !== '', 5000);
  assert.notEqual(world.lease(5), '');
  world.etcd.restore(right, world.agenda.now, id);
  world.until('both believe it', () => reasonOf(world, 'a') === '' && reasonOf(world, 'b') === '', 5000);
  assert.equal(world.viewInEtcd()!.generation, 1);
  world.crash('a');
  world.until('b goes on', () => world.serves('b') && world.membersOf('b') === 'b');
});

test('the right one that came back older is not believed because another one answered meanwhile', () => {
  const { world, backup } = withBackup();
  const id = world.etcd.clusterId;
  world.etcd.restore(backup, world.agenda.now);
  world.until('both have noticed', () => reasonOf(world, 'a') !== '' && reasonOf(world, 'b') !== '', 5000);
  world.etcd.restore(EMPTY, world.agenda.now, '99');
  world.run(3000);
  world.etcd.restore(backup, world.agenda.now, id);
  for (let i = 0; i < 2000; i++) world.putConfig();
  world.run(5000);
  for (const node of ['a', 'b']) assert.notEqual(reasonOf(world, node), '');
});
