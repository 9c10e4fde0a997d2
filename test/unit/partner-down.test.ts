/** `lessor partner-down NODE`, in scenarios with production nodes (ARCHITECTURE.md, Last resorts). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scenario } from '../support/scenario.ts';

/** etcd is gone, and then one of the nodes: the others can commit nothing. */
function isolated(nodes: readonly string[], dead: string): Scenario {
  const world = new Scenario({ nodes });
  world.bootAll();
  assert.notEqual(world.lease(1), '');
  world.etcdDown = true;
  world.run(5000);
  assert.notEqual(world.lease(2), '', 'without etcd nothing changes');
  world.crash(dead);
  for (const id of nodes.filter((node) => node !== dead)) world.until(`${id} is isolated`, () => world.stateOf(id) === 'ISOLATED');
  assert.equal(world.lease(3), '', 'nothing can be granted');
  return world;
}

function etcdReturns(world: Scenario): void {
  world.etcdDown = false;
  world.etcd.grantAll(world.agenda.now);
}

test('of two nodes the one that is left serves at once, without etcd', () => {
  const world = isolated(['a', 'b'], 'b');
  const answer = world.operate('a', { kind: 'partner-down', node: 'b' });
  assert.deepEqual(answer, { ok: true, text: 'generation 2 has begun with this node alone' });
  world.until('a serves', () => world.serves('a'), 1000);
  assert.equal(world.stateOf('a'), 'PARTNER-DOWN');
  assert.notEqual(world.lease(3), '');
  assert.ok(world.viewOf('a')!.probeUntil > 0);
  assert.deepEqual(world.told('a', 'cluster.generation').map(({ fields }) => fields['inEtcd']), [false]);
  assert.equal(world.viewInEtcd()!.generation, 1);

  etcdReturns(world);
  world.until('etcd has the new generation', () => world.viewInEtcd()!.generation === 2, 5000);
  world.until('a knows', () => world.told('a', 'cluster.generation-written').length === 1, 1000);
  world.until('a leads again', () => world.node('a').engine!.core.leader.leads, 10_000);
  assert.notEqual(world.lease(4), '');
  world.boot('b');
  world.until('b has recovered', () => world.stateOf('b') === 'NORMAL' && world.stateOf('a') === 'NORMAL');
  world.run(2000);
  assert.equal(world.storeOf('b'), world.storeOf('a'));
});

test('it is refused where the word cannot be right, or is not needed', () => {
  const world = new Scenario({ nodes: ['a', 'b', 'c'] });
  world.bootAll();
  const refused = (id: string, node: string, why: RegExp): void => {
    const { ok, text } = world.operate(id, { kind: 'partner-down', node });
    assert.equal(ok, false);
    assert.match(text, why);
  };
  refused('a', 'b', /b answers on its link/);
  refused('a', 'a', /this is that node/);
  refused('a', 'x', /x is not in the view/);
  world.cutLink('a', 'c');
  world.run(6000);
  refused('a', 'c', /etcd answers: it takes c out of the view by itself/);
  world.crash('c');
  world.mendLink('a', 'c');
  world.until('c is out', () => world.membersOf('a') === 'a b');
  refused('a', 'c', /c is not in the view/);
  world.etcdDown = true;
  world.cutLink('a', 'b');
  world.run(6000);
  world.crash('b');
  world.boot('b');
  world.run(6000);
  refused('b', 'a', /this node is not in the view/);
  assert.equal(world.viewOf('a')!.generation, 1);
});

test('of three nodes those that are left agree, and serve', () => {
  const world = isolated(['a', 'b', 'c'], 'c');
  const { ok, text } = world.operate('b', { kind: 'partner-down', node: 'c' });
  assert.equal(ok, true);
  assert.equal(text, 'a is asked to go by generation 2; lessor status shows the outcome');
  world.until('both serve', () => world.serves('a') && world.serves('b'), 2000);
  for (const id of ['a', 'b']) {
    assert.equal(world.stateOf(id), 'PARTNER-DOWN');
    assert.equal(world.membersOf(id), 'a b');
    assert.equal(world.viewOf(id)!.generation, 2);
  }
  for (let client = 10; client < 16; client++) assert.notEqual(world.lease(client), '');
  assert.deepEqual(world.node('b').engine!.core.lastResort.progress, { state: 'done', text: 'generation 2 has begun with a b' });
  etcdReturns(world);
  world.until('etcd has the new generation', () => world.viewInEtcd()!.generation === 2, 5000);
  world.boot('c');
  world.until('c has recovered', () => world.nodes.every(({ id }) => world.stateOf(id) === 'NORMAL'));
  world.run(2000);
  assert.equal(world.storeOf('c'), world.storeOf('a'));
  assert.equal(world.storeOf('b'), world.storeOf('a'));
});

test('one that reaches the node, or etcd, does not go along, and nothing changes', () => {
  const world = new Scenario({ nodes: ['a', 'b', 'c'] });
  world.bootAll();
  world.etcdDown = true;
  world.cutLink('a', 'c');
  world.until('a is isolated', () => world.stateOf('a') === 'ISOLATED');
  world.run(5000);
  assert.ok(world.operate('a', { kind: 'partner-down', node: 'c' }).ok);
  world.run(500);
  assert.match(world.node('a').engine!.core.lastResort.progress!.text, /b does not go along: c answers it/);
  assert.equal(world.told('a', 'cluster.generation-refused').length, 1);
  world.etcdDown = false;
  world.etcdCut.add('a');
  world.crash('c');
  world.run(300);
  assert.ok(world.operate('a', { kind: 'partner-down', node: 'c' }).ok);
  world.run(300);
  assert.match(world.node('a').engine!.core.lastResort.progress!.text, /b does not go along: etcd answers it/);
  for (const id of ['a', 'b']) assert.equal(world.viewOf(id)!.generation, 1);
});

test('what the dead node committed through an inbox is known once etcd is back', () => {
  const world = new Scenario();
  world.bootAll();
  world.etcdCut.add('a');
  world.cutLink('a', 'b');
  world.run(700);
  // b commits through etcd, a reads nothing of it.
  const unread = world.lease(77, ['b']);
  assert.notEqual(unread, '');
  const quiet = world.lease(78, ['b'], '10.0.0.181');
  assert.equal(quiet, '10.0.0.181');
  world.etcdDown = true;
  world.crash('b');
  world.run(6000);
  world.mendLink('a', 'b');
  assert.equal(world.stateOf('a'), 'ISOLATED');
  assert.ok(world.operate('a', { kind: 'partner-down', node: 'b' }).ok);
  world.until('a serves', () => world.serves('a'), 1000);
  assert.equal(world.addressOf(77, 'a'), '');
  // It answers for its address, so nobody else is given it.
  world.inUse.add(world.numberOf(unread));
  assert.ok(![unread, quiet].includes(world.lease(100, ['a'])));
  assert.ok(world.takeProbed().includes(world.numberOf(unread)), 'the scenario means that it was to be given to another client');
  world.etcdCut.clear();
  etcdReturns(world);
  world.until('a has read its inbox', () => world.node('a').engine!.core.state.waived.length === 0 && world.serves('a'), 10_000);
  assert.equal(world.addressOf(78, 'a'), quiet, 'what nobody else was given is known again');
  assert.equal(world.renew(77, unread, 'rebinding', ['a']), 'ack', 'whoever was found to use its address is its client');
  assert.equal(world.addressOf(77, 'a'), unread);
  world.boot('b');
  world.until('b has recovered', () => world.stateOf('b') === 'NORMAL');
  world.run(2000);
  assert.equal(world.storeOf('b'), world.storeOf('a'));
});

test('a node that restarts before etcd has the new generation goes on in it once etcd is back', () => {
  const world = isolated(['a', 'b'], 'b');
  world.operate('a', { kind: 'partner-down', node: 'b' });
  world.until('a serves', () => world.serves('a'), 1000);
  const address = world.lease(3, ['a']);
  assert.notEqual(address, '');
  world.run(1000);
  world.crash('a');
  world.boot('a');
  world.run(60_000);
  assert.equal(world.stateOf('a'), 'STARTUP', 'without etcd nobody can say that it is the last one');
  etcdReturns(world);
  world.until('a goes on', () => world.serves('a'), 60_000);
  assert.equal(world.viewInEtcd()!.generation, 2);
  assert.equal(world.membersOf('a'), 'a');
  assert.equal(world.renew(3, address, 'rebinding', ['a']), 'ack');
  world.boot('b');
  world.until('b has recovered', () => world.stateOf('b') === 'NORMAL');
});

test('of two that restart the one that has not heard of the new generation recovers', () => {
  const world = isolated(['a', 'b', 'c'], 'c');
  world.operate('a', { kind: 'partner-down', node: 'c' });
  // b agrees, and its link goes before it hears that a has gone ahead.
  world.onSent = (from, _peer, { body }) => {
    if (from === 'b' && body?.$case === 'forceAnswer') world.links.cut(world.node('a'), world.node('b'), false);
  };
  world.until('a has gone ahead', () => world.viewOf('a')!.generation === 2, 2000);
  world.run(1000);
  assert.equal(world.viewOf('b')!.generation, 1);
  world.crash('a');
  world.crash('b');
  world.links.mend();
  world.boot('a', 'b');
  etcdReturns(world);
  world.until('both serve', () => world.serves('a') && world.serves('b'), 90_000);
  assert.equal(world.viewInEtcd()!.generation, 2);
});

test('one that missed the new view hears of it with the next hello', () => {
  const world = isolated(['a', 'b', 'c'], 'c');
  world.operate('a', { kind: 'partner-down', node: 'c' });
  // Nothing more reaches b from the moment in which it has agreed.
  world.onSent = (from, _peer, { body }) => {
    if (from === 'b' && body?.$case === 'forceAnswer') world.links.cut(world.node('a'), world.node('b'), false);
  };
  world.until('a has gone ahead', () => world.viewOf('a')!.generation === 2, 2000);
  world.run(1000);
  assert.equal(world.viewOf('b')!.generation, 1);
  world.links.break(world.node('a'), world.node('b'));
  world.links.mend();
  world.until('both serve', () => world.serves('a') && world.serves('b'), 5000);
  assert.equal(world.viewOf('b')!.epoch, world.viewOf('a')!.epoch);
  assert.equal(world.told('b', 'cluster.older-generation').length, 0);
});

test('two operators at once come to one view', () => {
  const world = isolated(['a', 'b', 'c'], 'c');
  assert.ok(world.operate('a', { kind: 'partner-down', node: 'c' }).ok);
  assert.ok(world.operate('b', { kind: 'partner-down', node: 'c' }).ok);
  world.until('both serve', () => world.serves('a') && world.serves('b'), 5000);
  assert.equal(world.viewOf('b')!.epoch, world.viewOf('a')!.epoch);
  for (let client = 10; client < 14; client++) assert.notEqual(world.lease(client), '');
});

test('a node that was declared to be off and is not gives up what it has, once it can be told', () => {
  const world = new Scenario();
  world.bootAll();
  world.cutLink('a', 'b');
  world.etcdCut.add('a');
  world.until('a is isolated', () => world.stateOf('a') === 'ISOLATED');
  world.until('b goes on', () => world.serves('b') && world.membersOf('b') === 'b');
  world.run(5000);
  assert.ok(world.operate('a', { kind: 'partner-down', node: 'b' }).ok);
  world.until('a serves', () => world.serves('a'), 2000);
  world.run(2000);
  assert.equal(world.membersOf('b'), 'b', 'b knows nothing of it');
  world.mendLink('a', 'b');
  world.until('b has heard of it', () => world.told('b', 'cluster.older-generation').length > 0, 10_000);
  assert.equal(world.serves('b'), false);
  world.etcdCut.clear();
  world.until('b has recovered', () => world.stateOf('b') === 'NORMAL' && world.stateOf('a') === 'NORMAL');
  assert.equal(world.viewInEtcd()!.generation, 2);
  world.run(2000);
  assert.equal(world.storeOf('b'), world.storeOf('a'));
});

test('etcd that comes back first with a node of the older generation is written over', () => {
  const world = new Scenario();
  world.bootAll();
  world.cutLink('a', 'b');
  world.etcdCut.add('a');
  world.until('b goes on', () => world.serves('b') && world.membersOf('b') === 'b');
  world.run(5000);
  assert.ok(world.operate('a', { kind: 'partner-down', node: 'b' }).ok);
  world.run(1000);
  world.etcdCut.clear();
  world.until('b has left', () => !world.serves('b'), 5000);
  assert.equal(world.viewInEtcd()!.generation, 2);
  assert.deepEqual(world.viewInEtcd()!.members.map(({ node }) => node), ['a']);
  world.mendLink('a', 'b');
  world.until('b has recovered', () => world.stateOf('b') === 'NORMAL' && world.stateOf('a') === 'NORMAL');
});

test('a node whose clock stepped since it was compared last is given no say', () => {
  const world = isolated(['a', 'b'], 'b');
  world.node('a').clock.stepMs = 30_000;
  world.run(1000);
  const { ok, text } = world.operate('a', { kind: 'partner-down', node: 'b' });
  assert.equal(ok, false);
  assert.match(text, /the clock of this node stepped/);
});

test('the last of three serves once both others are declared to be off', () => {
  const world = isolated(['a', 'b', 'c'], 'c');
  world.crash('b');
  world.run(6000);
  const first = world.operate('a', { kind: 'partner-down', node: 'c' });
  assert.equal(first.ok, false);
  assert.match(first.text, /c is taken to be switched off, but b is not linked with this node, .*lessor partner-down b\)/);
  assert.equal(world.stateOf('a'), 'ISOLATED');
  assert.ok(world.operate('a', { kind: 'partner-down', node: 'b' }).ok);
  world.until('a serves', () => world.serves('a'), 1000);
  assert.equal(world.membersOf('a'), 'a');
  etcdReturns(world);
  world.until('etcd has it', () => world.viewInEtcd()!.generation === 2, 5000);
  world.boot('b', 'c');
  world.until('all are in service', () => world.nodes.every(({ id }) => world.stateOf(id) === 'NORMAL'), 90_000);
});

test('a word that was not enough is forgotten after a minute, and when the node is heard of', () => {
  const world = isolated(['a', 'b', 'c'], 'c');
  world.crash('b');
  world.run(6000);
  assert.equal(world.operate('a', { kind: 'partner-down', node: 'c' }).ok, false);
  world.run(61_000);
  const late = world.operate('a', { kind: 'partner-down', node: 'b' });
  assert.equal(late.ok, false);
  assert.match(late.text, /b is taken to be switched off, but c is not linked/);
  world.boot('b');
  world.until('b says hello', () => world.node('a').engine!.core.state.peers.get('b')!.introduced !== undefined);
  const third = world.operate('a', { kind: 'partner-down', node: 'c' });
  assert.match(third.text, /c is taken to be switched off, but b is not linked/);
});
