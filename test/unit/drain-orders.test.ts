/** Nodes that an operator takes out of service and brings back, by keys in etcd. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeTransitionAllowed } from '../../cluster/core/node-state.ts';
import type { NodeState } from '../../cluster/core/node-state.ts';
import { mayLeave, readDrains } from '../../cluster/upgrade/drains.ts';
import type { DrainOrder } from '../../cluster/upgrade/drains.ts';
import { DRAIN_LAST_REQUESTS_MS, DRAIN_ORDER_MS_MAX } from '../../node/limits.ts';
import { SmallCluster } from '../support/small-cluster.ts';

function order(createRevision: number, force = false): DrainOrder {
  return { by: 'me', at: '', reason: '', force, createRevision };
}

describe('who may leave', () => {
  const all = ['a', 'b', 'c'];
  const may = (node: string, drains: Record<string, DrainOrder>, members = all, unable = ''): boolean =>
    mayLeave(node, members, new Map(Object.entries(drains)), (other) => other !== unable);

  test('a member with an order, if another one stays that can serve', () => {
    assert.equal(may('a', {}), false);
    assert.equal(may('a', { a: order(1) }), true);
    assert.equal(may('a', { a: order(1) }, ['a']), false);
    assert.equal(may('a', { a: order(1) }, ['a', 'b'], 'b'), false);
    assert.equal(may('b', { a: order(1) }), false);
  });

  test('of those that are all to leave the last one ordered stays', () => {
    const drains = { a: order(3), b: order(5), c: order(4) };
    assert.deepEqual(all.map((node) => may(node, drains)), [true, false, true]);
    assert.deepEqual(all.map((node) => may(node, { a: order(3), b: order(3), c: order(3) })), [true, true, false], 'written at once');
  });

  test('an order by force is obeyed whatever follows, and then counts on nobody', () => {
    assert.equal(may('a', { a: order(1, true) }, ['a']), true);
    assert.deepEqual(['a', 'b'].map((node) => may(node, { a: order(1), b: order(2, true) }, ['a', 'b'])), [false, true]);
  });

  test('a key that cannot be read counts', () => {
    const pair = (key: string, value: string) => ({ key, value: Buffer.from(value), createRevision: 7, modRevision: 7, lease: '0' });
    const drains = readDrains([pair('drains/a', 'because'), pair('drains/b', '{"by":"me","at":5,"reason":"disk","more":1,"force":"yes"}')]);
    assert.deepEqual(drains.get('a'), { by: '', at: '', reason: '', force: false, createRevision: 7 });
    assert.deepEqual(drains.get('b'), { by: 'me', at: '', reason: 'disk', force: false, createRevision: 7 });
  });
});

function started(ids: readonly string[], seed = 1): SmallCluster {
  const cluster = new SmallCluster(ids, seed);
  for (const id of ids) cluster.start(id);
  cluster.until('all in one view', 20_000, () => cluster.settled(ids.join(' ')));
  return cluster;
}

const drain = (cluster: SmallCluster, id: string, more: object = {}): void => cluster.put(`drains/${id}`, { by: 'op@host', at: '2026-01-01T00:00:00Z', reason: 'a new disk', ...more });

describe('drained', () => {
  for (const [ids, node] of [[['a', 'b'], 'a'], [['a', 'b'], 'b'], [['a', 'b', 'c'], 'a'], [['a', 'b', 'c'], 'c']] as const) {
    test(`${node} of ${ids.join(' ')} leaves in good order, stays outside, and comes back`, () => {
      const cluster = started(ids);
      const others = ids.filter((id) => id !== node).join(' ');
      const addresses: (string | undefined)[] = Array.from({ length: 20 }, (_, client) => cluster.lease(client));
      assert.equal(addresses.includes(undefined), false);
      drain(cluster, node);
      const took = cluster.until('it is out', 5000, () => cluster.settled(others));
      assert.ok(took < 1000, `${took} ms`);
      cluster.run(200);
      assert.equal(cluster.state(node), 'DRAINING');
      assert.deepEqual(cluster.told('drain.begun', node).map(({ fields }) => fields), [{ by: 'op@host', reason: 'a new disk' }]);
      assert.equal(cluster.node(node).engine!.core.serving(), false);
      const { epoch } = cluster.view;
      cluster.run(60_000);
      assert.equal(cluster.state(node), 'DRAINING');
      assert.equal(cluster.view.epoch, epoch, 'nothing more happens');
      assert.deepEqual(cluster.exited, [], 'the process goes on');
      assert.deepEqual(Array.from({ length: 20 }, (_, client) => cluster.lease(client)), addresses, 'nothing that was granted is lost');
      for (let client = 20; client < 30; client++) addresses.push(cluster.lease(client));
      assert.equal(addresses.includes(undefined), false, 'the others serve everybody');
      cluster.delete(`drains/${node}`);
      cluster.until('it is back', 20_000, () => cluster.settled(ids.join(' ')));
      cluster.until('it is NORMAL', 2000, () => cluster.state(node) === 'NORMAL');
      assert.equal(cluster.told('drain.ended', node).length, 1);
      assert.deepEqual(addresses.map((_, client) => cluster.lease(client)), addresses);
    });
  }

  test('no new client waits while a node leaves, and who has an offer from it takes it', () => {
    for (const how of ['SIGTERM', 'order'] as const) {
      const cluster = started(['a', 'b']);
      let client = 0;
      while (cluster.offer(client)?.server !== 'b') client++;
      if (how === 'SIGTERM') cluster.node('b').drain();
      else drain(cluster, 'b');
      cluster.until('b is on its way out', 100, () => cluster.state('b') === 'DRAINING');
      assert.ok(cluster.accept(client), 'the offer holds');
      const began = cluster.agenda.now;
      // With no seconds waited: nobody takes them for one that was not answered.
      for (let i = 100; cluster.members !== 'a'; i++) assert.ok(cluster.lease(i), `client ${i}, ${cluster.agenda.now - began} ms later`);
      assert.ok(cluster.agenda.now - began >= DRAIN_LAST_REQUESTS_MS - 100);
      for (let i = 500; i < 520; i++) assert.ok(cluster.lease(i));
    }
  });

  test('a restart keeps it so, and so does a power cut of all', () => {
    const cluster = started(['a', 'b', 'c']);
    drain(cluster, 'b');
    cluster.until('b is out', 5000, () => cluster.settled('a c'));
    cluster.crash('b');
    cluster.run(1000);
    cluster.start('b');
    cluster.until('b is DRAINING again', 5000, () => cluster.state('b') === 'DRAINING');
    cluster.run(30_000);
    assert.equal(cluster.members, 'a c');
    for (const id of ['a', 'b', 'c']) cluster.crash(id);
    cluster.run(5000);
    for (const id of ['a', 'b', 'c']) cluster.start(id);
    cluster.until('the others go on', 60_000, () => cluster.settled('a c'));
    cluster.run(30_000);
    assert.equal(cluster.members, 'a c');
    assert.equal(cluster.state('b'), 'DRAINING');
    cluster.delete('drains/b');
    cluster.until('b is back', 20_000, () => cluster.settled('a b c'));
  });

  test('a node that was down when it was ordered out is not let in', () => {
    const cluster = started(['a', 'b']);
    cluster.crash('b');
    cluster.until('b is out', 10_000, () => cluster.settled('a'));
    drain(cluster, 'b');
    cluster.start('b');
    cluster.run(20_000);
    assert.equal(cluster.state('b'), 'DRAINING');
    assert.equal(cluster.node('b').engine!.core.learner.recordsFetched, 0);
    assert.equal(cluster.members, 'a');
  });

  test('a learner that is ordered out stops where it is, and holds up nobody', () => {
    const cluster = started(['a', 'b', 'c']);
    for (let client = 0; client < 10; client++) cluster.lease(client);
    cluster.crash('c');
    cluster.until('c is out', 10_000, () => cluster.settled('a b'));
    cluster.start('c');
    cluster.until('c follows', 10_000, () => cluster.node('c').engine!.core.learner.following);
    drain(cluster, 'c');
    cluster.until('c is out for good', 10_000, () => cluster.state('c') === 'DRAINING' && cluster.settled('a b'));
    assert.equal(cluster.node('c').engine!.core.learner.following, false);
    for (let client = 10; client < 20; client++) assert.ok(cluster.lease(client));
    cluster.delete('drains/c');
    cluster.until('c is back', 20_000, () => cluster.settled('a b c'));
  });

  test('asked to stop while it is drained, it ends at once', () => {
    const cluster = started(['a', 'b']);
    drain(cluster, 'b');
    cluster.until('b is out', 5000, () => cluster.settled('a'));
    cluster.run(500);
    cluster.node('b').drain();
    cluster.run(10);
    assert.deepEqual(cluster.exited, ['b']);
  });

  test('asked to stop while it is on its way out, it goes on and ends', () => {
    const cluster = started(['a', 'b']);
    const leader = cluster.nodes.find((node) => node.engine!.core.leader.leads)!.id;
    const node = leader === 'a' ? 'b' : 'a';
    cluster.etcdCut.add(leader);
    drain(cluster, node);
    cluster.until('it drains', 2000, () => cluster.state(node) === 'DRAINING');
    cluster.node(node).drain();
    cluster.run(500);
    assert.deepEqual(cluster.exited, [], 'nobody has written a view without it');
    cluster.etcdCut.clear();
    cluster.until('it has ended', 2000, () => cluster.exited.includes(node));
    assert.equal(cluster.members, leader);
  });
});

describe('the last one in service', () => {
  test('is not drained, says so once, and leaves when another has come', () => {
    const cluster = started(['a', 'b']);
    cluster.crash('a');
    cluster.until('a is out', 10_000, () => cluster.settled('b'));
    drain(cluster, 'b');
    cluster.run(30_000);
    assert.equal(cluster.state('b'), 'PARTNER-DOWN');
    assert.equal(cluster.told('drain.not-obeyed', 'b').length, 1);
    assert.ok(cluster.lease(1));
    cluster.start('a');
    cluster.until('b leaves', 30_000, () => cluster.settled('a'));
    cluster.run(1000);
    assert.equal(cluster.state('b'), 'DRAINING');
    assert.ok(cluster.lease(2));
  });

  test('of two that are ordered out at once one goes on', () => {
    const cluster = started(['a', 'b']);
    drain(cluster, 'a');
    drain(cluster, 'b');
    cluster.run(DRAIN_ORDER_MS_MAX + 5000);
    assert.equal(cluster.members, 'b', 'the later order is not obeyed');
    assert.ok(cluster.lease(1));
    cluster.delete('drains/a');
    cluster.until('they change places', 30_000, () => cluster.settled('a'));
    assert.ok(cluster.lease(2));
  });

  test('one without an interface for clients does not count as going on', () => {
    const cluster = started(['a', 'b']);
    cluster.node('b').engine!.setInterfaces([], cluster.node('b').now());
    cluster.run(2000);
    drain(cluster, 'a');
    cluster.run(DRAIN_ORDER_MS_MAX + 5000);
    assert.equal(cluster.members, 'a b');
    assert.ok(cluster.lease(1));
  });

  test('serves again when the one that was to take over dies first', () => {
    const cluster = started(['a', 'b']);
    // So that a cannot leave before b is dead.
    cluster.tamper = (_from, to, message) => (message.body?.$case === 'evict' && to === 'b' ? { body: undefined } : message);
    cluster.node('b').pause();
    drain(cluster, 'a');
    cluster.until('a drains', 2000, () => cluster.state('a') === 'DRAINING');
    cluster.crash('b');
    cluster.until('a serves again', 10_000, () => cluster.state('a') === 'PARTNER-DOWN' && cluster.settled('a'));
    assert.ok(cluster.lease(1));
    assert.equal(cluster.told('drain.not-obeyed', 'a').length, 1);
  });

  for (const [how, when] of [['SIGTERM', 'has just died'], ['order', 'has just died'], ['SIGTERM', 'dies meanwhile'], ['order', 'dies meanwhile']] as const) {
    test(`${how}: a view is not left to a node that ${when}`, () => {
      const cluster = started(['a', 'b']);
      const node = cluster.nodes.find((each) => each.engine!.core.leader.leads)!.id;
      const other = node === 'a' ? 'b' : 'a';
      const address = cluster.lease(1);
      const leave = (): void => (how === 'SIGTERM' ? cluster.node(node).drain() : drain(cluster, node));
      if (when === 'dies meanwhile') {
        leave();
        // The other has been heard since, and no view can be written yet.
        cluster.run(450);
        cluster.etcdCut.add(node);
      }
      // Its host is gone without a word.
      cluster.node(other).pause();
      cluster.run(when === 'has just died' ? 100 : 1500);
      cluster.etcdCut.delete(node);
      if (when === 'has just died') leave();
      cluster.until('the dead one is out', 10_000, () => cluster.members === node);
      if (how === 'order') {
        cluster.until('it serves on', 2000, () => cluster.state(node) === 'PARTNER-DOWN');
        assert.equal(cluster.lease(1, 10), address);
        return;
      }
      cluster.until('it has ended', 2000, () => cluster.exited.includes(node));
      cluster.start(node);
      cluster.until('it goes on by itself', 40_000, () => cluster.settled(node));
      assert.equal(cluster.lease(1, 10), address);
    });
  }

  test('by force it falls silent, and leaves when another has come', () => {
    const cluster = started(['a', 'b']);
    const address = cluster.lease(1);
    cluster.crash('a');
    cluster.until('a is out', 10_000, () => cluster.settled('b'));
    drain(cluster, 'b', { force: true });
    cluster.until('b is silent', 2000, () => cluster.state('b') === 'DRAINING');
    cluster.run(20_000);
    assert.equal(cluster.members, 'b', 'it is all there is of the view');
    assert.equal(cluster.lease(2, 10), undefined);
    cluster.start('a');
    cluster.until('a has taken over', 30_000, () => cluster.settled('a'));
    assert.equal(cluster.lease(1), address);
    cluster.delete('drains/b');
    cluster.until('b is back', 20_000, () => cluster.settled('a b'));
  });

  test('by force it stays silent over a restart, and serves when it is wanted again', () => {
    const cluster = started(['a', 'b']);
    cluster.crash('a');
    cluster.until('a is out', 10_000, () => cluster.settled('b'));
    drain(cluster, 'b', { force: true });
    cluster.until('b is silent', 2000, () => cluster.state('b') === 'DRAINING');
    cluster.crash('b');
    cluster.start('b');
    cluster.until('b has its view', 60_000, () => cluster.settled('b'));
    cluster.run(1000);
    assert.equal(cluster.state('b'), 'DRAINING');
    cluster.delete('drains/b');
    cluster.until('b serves', 2000, () => cluster.state('b') === 'PARTNER-DOWN');
    assert.ok(cluster.lease(1));
  });
});

describe('undrained', () => {
  test('before it had left, it serves on', () => {
    for (const linkDown of [false, true]) {
      const cluster = started(['a', 'b', 'c']);
      if (linkDown) cluster.cutLink('a', 'b');
      cluster.run(2000);
      // Nobody writes a view meanwhile, as with a slow etcd.
      const leader = cluster.nodes.find((node) => node.engine!.core.leader.leads)!;
      cluster.tamper = (_from, _to, message) => (message.body?.$case === 'evict' ? { body: undefined } : message);
      const node = leader.id === 'a' ? 'b' : 'a';
      cluster.etcdCut.add(leader.id);
      drain(cluster, node);
      cluster.until('it drains', 2000, () => cluster.state(node) === 'DRAINING');
      cluster.delete(`drains/${node}`);
      cluster.until('it serves', 2000, () => cluster.state(node) === (linkDown ? 'COMMUNICATIONS-INTERRUPTED' : 'NORMAL'));
      cluster.etcdCut.clear();
      assert.equal(cluster.members, 'a b c');
    }
  });

  test('a node that the view still names goes on where no member is left, whoever wants it out', () => {
    const cluster = started(['a', 'b']);
    cluster.crash('b');
    // Before the leader has seen it: with the key in place the new start finds its old name in the view.
    cluster.etcdCut.add('a');
    drain(cluster, 'b');
    cluster.start('b');
    cluster.until('b is kept out', 10_000, () => cluster.state('b') === 'DRAINING');
    cluster.crash('a');
    cluster.until('b serves', 60_000, () => cluster.settled('b'));
    assert.equal(cluster.told('drain.not-obeyed', 'b').length, 1);
    assert.ok(cluster.lease(1));
    cluster.etcdCut.clear();
    cluster.start('a');
    cluster.until('b leaves', 30_000, () => cluster.settled('a'));
  });
});

describe('where the link to the leader is down', () => {
  for (const how of ['SIGTERM', 'order'] as const) {
    test(`${how}: the leader sees in etcd that the node is ready to leave`, () => {
      const cluster = started(['a', 'b', 'c']);
      const leader = cluster.nodes.find((node) => node.engine!.core.leader.leads)!.id;
      const node = leader === 'a' ? 'b' : 'a';
      for (const other of ['a', 'b', 'c']) if (other !== node) cluster.cutLink(node, other);
      cluster.until('the links are down', 5000, () => cluster.state(node) === 'COMMUNICATIONS-INTERRUPTED');
      const address = cluster.lease(1, 10);
      assert.ok(address);
      if (how === 'SIGTERM') cluster.node(node).drain();
      else drain(cluster, node);
      const took = cluster.until('it is out', 5000, () => !cluster.members.includes(node));
      // As long as the session of a node that is dead would stand, and a second.
      assert.ok(took < 4500, `${took} ms`);
      if (how === 'SIGTERM') cluster.until('its process has ended', 2000, () => cluster.exited.includes(node));
      assert.equal(cluster.lease(1, 10), address);
    });
  }

  test('a member that does not leave by itself in time is evicted', () => {
    const cluster = started(['a', 'b']);
    const leader = cluster.nodes.find((node) => node.engine!.core.leader.leads)!.id;
    const node = leader === 'a' ? 'b' : 'a';
    // It hears nothing of the order, and its acknowledgements come.
    cluster.etcdCut.add(node);
    drain(cluster, node);
    const took = cluster.until('it is out', DRAIN_ORDER_MS_MAX + 5000, () => cluster.members === leader);
    assert.ok(took > DRAIN_ORDER_MS_MAX - 1000, `${took} ms`);
    assert.equal(cluster.told('view.written', leader).at(-1)!.fields['reason'], `${node} is to be drained and does not leave`);
    cluster.etcdCut.clear();
    cluster.until('it stays out', 5000, () => cluster.state(node) === 'DRAINING');
  });
});

test('every state that a drain may end in is in the table, and ISOLATED is not', () => {
  const after = (['STARTUP', 'RECOVER', 'NORMAL', 'COMMUNICATIONS-INTERRUPTED', 'PARTNER-DOWN', 'ISOLATED', 'SHUTDOWN'] as NodeState[])
    .filter((state) => nodeTransitionAllowed('DRAINING', state));
  assert.deepEqual(after, ['STARTUP', 'RECOVER', 'NORMAL', 'COMMUNICATIONS-INTERRUPTED', 'PARTNER-DOWN', 'SHUTDOWN']);
});
