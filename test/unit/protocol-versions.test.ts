/** Nodes that speak different protocol versions, in one cluster. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { highestCommon } from '../../cluster/upgrade/versions.ts';
import { decodeView, encodeView } from '../../cluster/view/view.ts';
import { PROTOCOL, rangeText } from '../../node/protocol.ts';
import type { Ack, PeerMessage } from '../../proto/gen/replication.ts';
import { SmallCluster } from '../support/small-cluster.ts';

const ONE = { min: 1, max: 1 };
const BOTH = { min: 1, max: 2 };
const TWO = { min: 2, max: 2 };

test('the version of a view is the highest that all its members speak', () => {
  assert.equal(highestCommon([BOTH, BOTH]), 2);
  assert.equal(highestCommon([ONE, BOTH]), 1);
  assert.equal(highestCommon([BOTH, { min: 2, max: 3 }, { min: 1, max: 4 }]), 2);
  assert.equal(highestCommon([ONE, TWO]), undefined);
  assert.equal(highestCommon([ONE, BOTH, TWO]), undefined, 'two and two have one in common, all of them have none');
  assert.equal(highestCommon([{ min: 3, max: 2 }]), undefined);
  assert.deepEqual([rangeText(ONE), rangeText(BOTH)], ['1', '1 to 2']);
});

test('this build runs beside the version before it', () => {
  assert.ok(PROTOCOL.min <= PROTOCOL.max - 1, 'no cluster can be upgraded one node at a time to a build that speaks the newest version alone');
});

/** Acknowledgements that were sent, by sender: whether they carry a checksum. */
function watchAcks(cluster: SmallCluster): { from: string; to: string; ack: Ack }[] {
  const acks: { from: string; to: string; ack: Ack }[] = [];
  cluster.tamper = (from, to, message) => {
    if (message.body?.$case === 'ack') acks.push({ from, to, ack: message.body.value });
    return message;
  };
  return acks;
}

function startAll(cluster: SmallCluster, ranges: Readonly<Record<string, typeof BOTH>>): void {
  for (const [id, range] of Object.entries(ranges)) cluster.start(id, range);
  const members = Object.keys(ranges).join(' ');
  cluster.until(`${members} in one view`, 20_000, () => cluster.settled(members));
}

/** Taken out, and started as another build. */
function replace(cluster: SmallCluster, id: string, range: typeof BOTH): void {
  const before = cluster.exited.length;
  cluster.node(id).drain();
  cluster.until(`${id} has drained`, 5000, () => cluster.exited.length > before);
  cluster.start(id, range);
}

describe('replaced one at a time', () => {
  for (const ids of [['a', 'b'], ['a', 'b', 'c']]) {
    test(`${ids.length} nodes: the version goes up when the last old one is gone, and down when one comes back`, () => {
      const cluster = new SmallCluster(ids);
      const all = ids.join(' ');
      startAll(cluster, Object.fromEntries(ids.map((id) => [id, ONE])));
      assert.equal(cluster.view.protocol, 1);
      for (const id of ids) {
        const before = cluster.exited.length;
        cluster.node(id).drain();
        cluster.until(`${id} has drained`, 5000, () => cluster.exited.length > before);
        const last = id === ids.at(-1);
        assert.equal(cluster.view.protocol, last ? 2 : 1, `without ${id}`);
        cluster.start(id, BOTH);
        cluster.until(`${id} is back`, 20_000, () => cluster.settled(all));
        assert.equal(cluster.view.protocol, last ? 2 : 1, `with ${id} again`);
        assert.ok(cluster.lease(100 + ids.indexOf(id)));
      }
      for (const id of ids) {
        replace(cluster, id, ONE);
        cluster.until(`${id} is back`, 20_000, () => cluster.settled(all));
        assert.equal(cluster.view.protocol, 1, `with an old ${id}`);
        assert.ok(cluster.lease(200 + ids.indexOf(id)));
      }
      for (const node of ids) {
        const changes = cluster.told('protocol.changed', node).map(({ fields }) => `${String(fields['from'])} ${String(fields['to'])}`);
        assert.ok(changes.every((change) => change === '1 2' || change === '2 1'), changes.join(', '));
      }
      assert.deepEqual(cluster.told('protocol.refused').concat(cluster.told('protocol.peer-refused'), cluster.told('cluster.rolled-back')), []);
    });
  }

  test('a member whose link is down does not count as speaking more than is in force', () => {
    const cluster = new SmallCluster(['a', 'b', 'c']);
    startAll(cluster, { a: BOTH, b: BOTH, c: ONE });
    cluster.cutLink('a', 'c');
    cluster.cutLink('b', 'c');
    cluster.run(2000);
    // The view is written anew while nobody has a link to c.
    const leader = cluster.nodes.find((node) => node.engine?.core.leader.leads)!.id;
    const evicted = leader === 'a' ? 'b' : 'a';
    cluster.crash(evicted);
    cluster.until(`${evicted} is out`, 10_000, () => !cluster.members.includes(evicted));
    assert.ok(cluster.members.includes('c'));
    assert.equal(cluster.view.protocol, 1);
  });
});

describe('what version 2 adds', () => {
  const checksums = (acks: readonly { ack: Ack }[]): boolean[] => [...new Set(acks.map(({ ack }) => ack.checksum !== undefined))];

  test('acknowledgements carry a checksum where version 2 is in force, and nowhere else', () => {
    for (const [other, expected] of [[BOTH, true], [ONE, false]] as const) {
      const cluster = new SmallCluster(['a', 'b']);
      startAll(cluster, { a: BOTH, b: other });
      const acks = watchAcks(cluster);
      for (let client = 0; client < 4; client++) assert.ok(cluster.lease(client));
      assert.deepEqual(new Set(acks.map(({ from }) => from)), new Set(['a', 'b']));
      assert.deepEqual(checksums(acks), [expected]);
    }
  });

  test('a node that is not a member yet is spoken to in its own version', () => {
    const cluster = new SmallCluster(['a', 'b', 'c']);
    startAll(cluster, { a: BOTH, b: BOTH });
    assert.equal(cluster.view.protocol, 2);
    assert.ok(cluster.lease(1));
    const acks = watchAcks(cluster);
    cluster.start('c', ONE);
    cluster.until('c is in', 20_000, () => cluster.settled('a b c'));
    assert.equal(cluster.view.protocol, 1);
    assert.ok(acks.some(({ to }) => to === 'c'));
    assert.deepEqual(checksums(acks.filter(({ from, to }) => from === 'c' || to === 'c')), [false]);
  });

  /** One byte of a record, once, between the network and the store of the node that it goes to. */
  function damageOnce(cluster: SmallCluster, victim: string): () => boolean {
    let done = false;
    cluster.tamper = (_from, to, message): PeerMessage => {
      if (done || to !== victim || message.body?.$case !== 'batch' || message.body.value.changes.length === 0) return message;
      done = true;
      const [first, ...rest] = message.body.value.changes;
      const record = Buffer.from(first!.record);
      // The xid: any other value is as good.
      record[40]! ^= 1;
      return { body: { $case: 'batch', value: { ...message.body.value, changes: [{ address: first!.address, record }, ...rest] } } };
    };
    return () => done;
  }

  test('a peer that stores something else is noticed at its acknowledgement: nothing is granted on it, and the node recovers', () => {
    const cluster = new SmallCluster(['a', 'b']);
    startAll(cluster, { a: BOTH, b: BOTH });
    const damaged = damageOnce(cluster, 'b');
    let granted: string | undefined;
    // Clients of either node, until one of a's is the one.
    for (let client = 0; !damaged(); client++) granted = cluster.lease(client);
    assert.equal(granted, undefined);
    assert.deepEqual(cluster.told('cluster.rolled-back').map(({ node }) => node), ['a']);
    assert.equal(cluster.node('a').engine!.core.state.committedSeq, 0, 'a begins anew');
    cluster.until('a is back', 20_000, () => cluster.settled('a b'));
    cluster.run(1000);
    const [a, b] = cluster.nodes.map((node) => node.table!.records(-1, 1000).map(({ address, record }) => `${address} ${record.toString('hex')}`));
    assert.deepEqual(a, b);
  });

  test('under version 1 it is noticed only when the link is made anew', () => {
    const cluster = new SmallCluster(['a', 'b']);
    startAll(cluster, { a: BOTH, b: ONE });
    const damaged = damageOnce(cluster, 'b');
    for (let client = 0; !damaged(); client++) assert.ok(cluster.lease(client));
    cluster.run(5000);
    assert.deepEqual(cluster.told('cluster.rolled-back'), []);
    cluster.links.break(cluster.node('a'), cluster.node('b'));
    cluster.run(2000);
    assert.deepEqual(cluster.told('cluster.rolled-back').map(({ node }) => node), ['a']);
  });
});

describe('an unclean mix', () => {
  test('a node that shares no version with the members stays outside; both sides say so once, and the others serve on', () => {
    const cluster = new SmallCluster(['a', 'b', 'c']);
    startAll(cluster, { a: ONE, b: ONE });
    const { epoch } = cluster.view;
    cluster.start('c', TWO);
    cluster.run(5000);
    const before = cluster.events.length;
    cluster.run(60_000);
    assert.deepEqual(cluster.events.slice(before).filter(({ id }) => id !== 'lease.granted'), [], 'nothing is repeated');
    assert.equal(cluster.resets, 0, 'no stream is made anew for it');
    assert.equal(cluster.view.epoch, epoch, 'the others are not concerned');
    assert.equal(cluster.members, 'a b');
    assert.ok(cluster.lease(1));
    assert.equal(cluster.state('c'), 'RECOVER');
    assert.deepEqual(cluster.told('protocol.refused').map(({ node, fields }) => [node, fields]), [
      ['c', { speaks: '2', inForce: 1, members: 'a 1, b 1' }],
    ]);
    assert.equal(cluster.node('c').engine!.core.versions.refusal, 'speaks protocol 2, the members a 1, b 1');
    for (const [node, peer] of [['a', 'c'], ['b', 'c'], ['c', 'a'], ['c', 'b']] as const) {
      assert.equal(cluster.told('protocol.peer-refused', node).filter(({ fields }) => fields['peer'] === peer).length, 1, `${node} of ${peer}`);
    }
    assert.equal(cluster.node('c').engine!.core.learner.recordsFetched, 0);
    // The same node as a build that speaks both is welcome.
    cluster.crash('c');
    cluster.start('c', BOTH);
    cluster.until('c is in', 20_000, () => cluster.settled('a b c'));
    assert.equal(cluster.view.protocol, 1);
  });

  test('a version that each two of them share, but not all, lets nobody in', () => {
    const cluster = new SmallCluster(['a', 'b', 'c']);
    startAll(cluster, { a: BOTH, b: TWO });
    assert.equal(cluster.view.protocol, 2);
    cluster.start('c', ONE);
    cluster.run(20_000);
    assert.equal(cluster.members, 'a b');
    assert.equal(cluster.view.protocol, 2);
    assert.equal(cluster.told('protocol.refused', 'c').length, 1);
    assert.ok(cluster.lease(1));
    // Once the one that rules it out is gone, the other can go down.
    cluster.crash('b');
    cluster.until('c is in', 30_000, () => cluster.settled('a c'));
    assert.equal(cluster.view.protocol, 1);
    // And now that one is outside.
    cluster.start('b', TWO);
    cluster.run(20_000);
    assert.equal(cluster.members, 'a c');
    assert.equal(cluster.told('protocol.refused', 'b').length, 1);
  });

  test('the leader lets nobody in that the next view could not name, whatever the learner thinks', () => {
    const cluster = new SmallCluster(['a', 'b', 'c']);
    startAll(cluster, { a: BOTH, b: TWO });
    cluster.start('c', ONE);
    // As a build that does not look at what the members speak.
    Object.defineProperty(cluster.node('c').engine!.core.versions, 'mayJoin', { value: () => true });
    cluster.until('c asks', 10_000, () => cluster.told('protocol.peer-refused').some(({ fields }) => fields['peer'] === 'c'));
    cluster.run(10_000);
    assert.equal(cluster.members, 'a b');
    assert.ok(cluster.lease(1));
  });

  test('its old incarnation is out at once, though nothing more is heard of the new one', () => {
    const cluster = new SmallCluster(['a', 'b']);
    startAll(cluster, { a: ONE, b: ONE });
    cluster.crash('b');
    cluster.run(50);
    cluster.start('b', TWO);
    const took = cluster.until('the old b is out', 5000, () => cluster.members === 'a');
    assert.ok(took < 1500, `${took} ms`);
    assert.ok(cluster.lease(1));
  });

  test('after a power cut those that can follow one view go on, the others wait outside', () => {
    const cluster = new SmallCluster(['a', 'b', 'c']);
    startAll(cluster, { a: BOTH, b: BOTH, c: BOTH });
    for (const id of ['a', 'b', 'c']) cluster.crash(id);
    cluster.start('a', BOTH);
    cluster.start('b', ONE);
    cluster.start('c', TWO);
    cluster.until('somebody serves', 60_000, () => cluster.members !== 'a b c' && cluster.settled(cluster.members));
    cluster.run(20_000);
    assert.match(cluster.members, /^a b$|^a c$/);
    assert.equal(cluster.view.protocol, cluster.members === 'a b' ? 1 : 2);
    assert.equal(cluster.told('protocol.refused', cluster.members === 'a b' ? 'c' : 'b').length, 1);
  });

  test('a member that finds itself in a view which it cannot follow is out of it', () => {
    const cluster = new SmallCluster(['a', 'b']);
    startAll(cluster, { a: BOTH, b: BOTH });
    cluster.put('view', JSON.parse(encodeView({ ...cluster.view, epoch: cluster.view.epoch + 1, protocol: 9 }).toString()));
    cluster.until('both have left', 2000, () => cluster.told('view.left').length === 2);
    assert.equal(cluster.lease(1), undefined);
  });
});

describe('what a newer version wrote', () => {
  test('fields of a view that this version does not know are read over, and passed on', () => {
    const view = { epoch: 3, generation: 1, members: [{ node: 'a', incarnation: 1, zone: 'east' }], slots: '0'.repeat(256), protocol: 1, configRevision: 0, probeUntil: 0, quiet: [1] };
    const read = decodeView(Buffer.from(JSON.stringify(view)))!;
    assert.equal(read.epoch, 3);
    assert.deepEqual(JSON.parse(encodeView({ ...read, epoch: 4 }).toString()), { ...view, epoch: 4 });
  });

  test('a leader of this version writes the next view with them', () => {
    const cluster = new SmallCluster(['a', 'b']);
    startAll(cluster, { a: BOTH, b: BOTH });
    cluster.put('view', { ...JSON.parse(encodeView({ ...cluster.view, epoch: cluster.view.epoch + 1 }).toString()) as object, quiet: 'until noon' });
    cluster.until('the view is adopted', 2000, () => cluster.settled('a b'));
    cluster.crash('b');
    cluster.until('b is out', 5000, () => cluster.settled('a'));
    assert.equal((JSON.parse(encodeView(cluster.view).toString()) as Record<string, unknown>)['quiet'], 'until noon');
    cluster.start('b');
    cluster.until('b is back', 20_000, () => cluster.settled('a b'));
    assert.equal((JSON.parse(encodeView(cluster.view).toString()) as Record<string, unknown>)['quiet'], 'until noon');
  });
});
