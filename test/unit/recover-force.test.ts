/** `lessor recover --force` on a node outside the view, in scenarios with production nodes (ARCHITECTURE.md, Last resorts). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scenario } from '../support/scenario.ts';

/** a's disk is an older copy, b is gone for good: nobody goes on by itself. */
function unfit(leases = 3): Scenario {
  const world = new Scenario();
  world.bootAll();
  world.lease(1);
  world.run(1000);
  const copy = world.node('a').disk.copy();
  world.run(12_000);
  for (let client = 2; client < 2 + leases; client++) assert.notEqual(world.lease(client), '');
  world.run(1000);
  world.crash('a');
  world.crash('b');
  world.node('a').disk.restore(copy);
  world.run(5000);
  world.boot('a');
  world.run(60_000);
  assert.equal(world.stateOf('a'), 'STARTUP');
  assert.ok(world.told('a', 'cluster.unfit').length > 0);
  return world;
}

test('without --force it is only said what would happen and what may be lost', () => {
  const world = unfit();
  const before = world.etcd.revision;
  const { ok, text } = world.operate('a', { kind: 'recover', force: false });
  assert.ok(ok);
  assert.match(text, /view of epoch \d+, generation 1, with a b/);
  assert.match(text, /the store of a has 1 bindings, last in the view of epoch \d+, generation 1, at 2026-01-01T/);
  assert.match(text, /an older copy: etcd has heard of \d+ beats/);
  assert.match(text, /Nothing was changed/);
  world.run(5000);
  assert.equal(world.stateOf('a'), 'STARTUP');
  assert.equal(world.viewInEtcd()!.generation, 1);
  assert.ok(world.etcd.revision - before < 5, 'beats and sessions at most');
});

test('with --force the node goes on alone in a new generation, and the others recover from it', () => {
  const world = unfit();
  const old = world.viewInEtcd()!;
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  world.until('a serves', () => world.serves('a'), 5000);
  const view = world.viewOf('a')!;
  assert.equal(view.generation, 2);
  assert.ok(view.epoch >= 2 ** 20 && view.epoch > old.epoch);
  assert.equal(world.membersOf('a'), 'a');
  assert.equal(world.viewInEtcd()!.generation, 2);
  assert.equal(world.told('a', 'cluster.generation').length, 1);
  assert.equal(world.renew(1, world.addressOf(1, 'a'), 'renewing', ['a']), 'ack', 'what the store has is kept');
  assert.notEqual(world.lease(9), '');
  // b has newer records of the old generation, and gives them up.
  world.boot('b');
  world.until('b has recovered', () => world.stateOf('b') === 'NORMAL' && world.stateOf('a') === 'NORMAL');
  world.run(2000);
  assert.equal(world.storeOf('b'), world.storeOf('a'));
  assert.equal(world.viewOf('b')!.generation, 2);
  assert.equal(world.viewOf('b')!.probeUntil, view.probeUntil, 'it is passed on from view to view');
});

test('it is refused where RECOVER works by itself, and on a member', () => {
  const world = new Scenario();
  world.bootAll();
  assert.match(world.operate('a', { kind: 'recover', force: true }).text, /nothing to recover/);
  world.crash('b');
  world.run(10_000);
  world.node('b').disk.wipe();
  world.boot('b');
  const { engine } = world.node('b');
  world.until('b is on its way', () => engine!.core.state.phase === 'outside' && engine!.core.state.peers.get('a')!.introduced !== undefined, 10_000, 1);
  const { ok, text } = world.operate('b', { kind: 'recover', force: true });
  assert.equal(ok, false);
  assert.match(text, /a serves and is linked with this node, which recovers from it by itself/);
  world.until('b has recovered', () => world.stateOf('b') === 'NORMAL');
  assert.equal(world.viewOf('b')!.generation, 1);
});

test('it is refused while another node may be serving out of reach', () => {
  const world = new Scenario();
  world.bootAll();
  world.crash('b');
  world.run(10_000);
  world.cutLink('a', 'b');
  world.node('b').disk.wipe();
  world.boot('b');
  world.run(10_000);
  assert.ok(world.serves('a'));
  const { ok, text } = world.operate('b', { kind: 'recover', force: true });
  assert.equal(ok, false);
  assert.match(text, /a has a session in etcd as PARTNER-DOWN: it may be serving/);
});

test('a node with a newer store goes first', () => {
  const world = new Scenario();
  world.bootAll();
  world.crash('b');
  world.run(10_000);
  const address = world.lease(1, ['a']);
  world.run(1000);
  world.crash('a');
  world.etcd.restore({ revision: 1, keys: new Map(), leases: new Map() }, world.agenda.now);
  world.putConfig();
  world.boot('a', 'b');
  world.run(20_000);
  for (const id of ['a', 'b']) assert.ok(world.told(id, 'cluster.no-view-but-data').length > 0, id);
  const { ok, text } = world.operate('b', { kind: 'recover', force: true });
  assert.equal(ok, false);
  assert.match(text, /a was in a later view \(epoch \d+, generation 1\)/);
  assert.match(world.operate('a', { kind: 'recover', force: true }).text, /etcd has no view: it has lost its data/);
  world.until('both are in service', () => world.stateOf('a') === 'NORMAL' && world.stateOf('b') === 'NORMAL');
  assert.equal(world.viewInEtcd()!.generation, 2);
  world.run(2000);
  assert.equal(world.storeOf('b'), world.storeOf('a'));
  assert.equal(world.renew(1, address, 'rebinding'), 'ack');
});

test('one whose store is an older copy leaves it to another one of the same view', () => {
  const world = new Scenario();
  world.bootAll();
  const snapshot = world.etcd.snapshot();
  world.run(12_000);
  const copy = world.node('a').disk.copy();
  world.run(12_000);
  const address = world.lease(1);
  world.etcd.restore(snapshot, world.agenda.now);
  world.run(12_000);
  assert.ok(world.told('a', 'etcd.went-back').length > 0);
  world.crash('a');
  world.crash('b');
  world.node('a').disk.restore(copy);
  world.boot('a', 'b');
  world.run(20_000);
  const { ok, text } = world.operate('a', { kind: 'recover', force: true });
  assert.equal(ok, false);
  assert.match(text, /the store of this node is an older copy, and b was in the same view: give this command there, or switch b off/);
  assert.ok(world.operate('b', { kind: 'recover', force: true }).ok);
  world.until('both are in service', () => world.stateOf('a') === 'NORMAL' && world.stateOf('b') === 'NORMAL');
  world.run(2000);
  assert.equal(world.storeOf('b'), world.storeOf('a'));
  assert.equal(world.renew(1, address, 'rebinding'), 'ack');
});

test('what lies in the inbox of the node is taken before it serves, whole or not', () => {
  const world = new Scenario();
  world.bootAll();
  const copy = world.node('a').disk.copy();
  world.run(12_000);
  world.lease(1);
  world.etcdCut.add('a');
  world.cutLink('a', 'b');
  world.run(700);
  // b commits through the inbox; a reads nothing of it.
  const lost = world.lease(77, ['b']);
  assert.notEqual(lost, '');
  world.crash('a');
  world.crash('b');
  world.mendLink('a', 'b');
  world.etcdCut.clear();
  world.node('a').disk.restore(copy);
  world.run(5000);
  world.boot('a');
  world.run(40_000);
  assert.ok(world.told('a', 'cluster.unfit').length > 0);
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  world.until('a serves', () => world.serves('a'), 10_000);
  assert.ok(world.told('a', 'inbox.gap').length > 0, 'what came before is lost with the disk');
  assert.equal(world.renew(77, lost, 'rebinding', ['a']), 'ack');
  assert.equal(world.addressOf(77, 'a'), lost);
});

test('a write whose answer is lost counts once reading shows it', () => {
  const world = unfit();
  world.loseAnswerTo = (request) => request.kind === 'txn' && request.then.some((op) => op.op === 'put' && op.key === 'view');
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  const again = world.operate('a', { kind: 'recover', force: true });
  assert.equal(again.ok, false);
  assert.match(again.text, /being written already/);
  world.until('a serves', () => world.serves('a'), 10_000);
  assert.equal(world.viewInEtcd()!.generation, 2);
  assert.equal(world.told('a', 'view.adopted').filter(({ fields }) => Number(fields['epoch']) >= 2 ** 20).length >= 1, true);
});

test('a write that never arrived can be asked for again', () => {
  const world = unfit();
  world.etcdCut.add('a');
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  world.run(2000);
  world.etcdCut.clear();
  world.until('it is told', () => world.node('a').engine!.core.lastResort.progress?.state === 'refused', 10_000);
  assert.equal(world.viewInEtcd()!.generation, 1);
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  world.until('a serves', () => world.serves('a'), 10_000);
});

test('of two nodes that are forced at once one begins the generation, and the other recovers from it', () => {
  const world = new Scenario({ nodes: ['a', 'b', 'c'] });
  world.bootAll();
  for (const { id } of world.nodes) world.crash(id);
  world.etcd.restore({ revision: 1, keys: new Map(), leases: new Map() }, world.agenda.now);
  world.putConfig();
  world.boot('a', 'b');
  world.run(20_000);
  assert.ok(world.operate('a', { kind: 'recover', force: true }).ok);
  assert.ok(world.operate('b', { kind: 'recover', force: true }).ok);
  world.until('both are in service', () => world.serves('a') && world.serves('b'));
  assert.equal(world.viewInEtcd()!.generation, 2);
  const [one, other] = ['a', 'b'].map((id) => world.node(id).engine!.core.lastResort.progress!.state).toSorted();
  assert.deepEqual([one, other], ['done', 'refused']);
});
