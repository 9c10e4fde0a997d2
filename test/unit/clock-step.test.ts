/** A wall clock that steps, and who takes a node's word that it is right again (ARCHITECTURE.md, Time). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SmallCluster } from '../support/small-cluster.ts';

/** The session TTL, and two seconds. */
const PROMISED_MS = 5000;

/** Both in one view, and for 2 s without a link. */
function withCutLink(): SmallCluster {
  const cluster = new SmallCluster(['a', 'b']);
  for (const id of ['a', 'b']) cluster.start(id);
  cluster.until('all in one view', 20_000, () => cluster.settled('a b'));
  cluster.cutLink('a', 'b');
  cluster.run(2000);
  return cluster;
}

/** b's clock has stepped while nobody could be asked, and then the only other member left: by itself, as one of an earlier version may. */
function aloneWithAWrongClock(): SmallCluster {
  const cluster = withCutLink();
  cluster.node('b').clock.stepMs = 285_000;
  cluster.run(500);
  assert.equal(cluster.told('clock.stepped', 'b').length, 1);
  const { view } = cluster;
  cluster.putView({ ...view, epoch: view.epoch + 1, members: view.members.filter(({ node }) => node === 'b'), slots: view.slots.map(() => 0) });
  cluster.crash('a');
  cluster.run(20_000);
  return cluster;
}

const serves = (cluster: SmallCluster, id: string): boolean => cluster.node(id).engine!.core.serving();

test('a node whose clock stepped serves nobody by it as the only member: nobody has agreed with it', () => {
  const cluster = aloneWithAWrongClock();
  assert.equal(cluster.members, 'b');
  assert.equal(serves(cluster, 'b'), false);
  assert.equal(cluster.lease(1, 10), undefined);
});

test('it serves again once its clock is back where it was', () => {
  const cluster = aloneWithAWrongClock();
  cluster.node('b').clock.stepMs = 300;
  cluster.until('b serves', 1000, () => serves(cluster, 'b'));
  assert.ok(cluster.lease(1, 10));
});

test('or once another node that is back agrees with it; one that does not changes nothing', () => {
  const cluster = aloneWithAWrongClock();
  cluster.joinLink('a', 'b');
  cluster.start('a');
  cluster.run(10_000);
  assert.equal(serves(cluster, 'b'), false);
  cluster.node('a').clock.stepMs = 285_000;
  cluster.until('both serve', 30_000, () => cluster.settled('a b') && serves(cluster, 'a') && serves(cluster, 'b'));
});

for (const who of ['the leader', 'another member'] as const) {
  test(`${who} whose clock steps while its link is down leaves to the others what it cannot serve, and comes back when they agree`, () => {
    const cluster = withCutLink();
    const leads = cluster.node('a').engine!.core.leader.leads ? 'a' : 'b';
    const [stepped, other] = (who === 'the leader') === (leads === 'a') ? ['a', 'b'] : ['b', 'a'];
    cluster.node(stepped).clock.stepMs = -64_000;
    cluster.until('the other serves alone', PROMISED_MS, () => cluster.settled(other));
    assert.match(String(cluster.told('view.left', stepped).at(-1)?.fields['members']), new RegExp(`^${other}$`));
    for (let client = 1; client <= 8; client++) assert.ok(cluster.lease(client, 10), 'the other owns all slots');
    cluster.joinLink('a', 'b');
    cluster.run(10_000);
    assert.equal(cluster.members, other);
    cluster.node(stepped).clock.stepMs = 0;
    cluster.until('both serve', 30_000, () => cluster.settled('a b') && serves(cluster, 'a') && serves(cluster, 'b'));
  });
}

test('of two whose clocks come to differ by more than is assumed, and the leader\'s lies between, one leaves until they agree', () => {
  const cluster = new SmallCluster(['a', 'b', 'c']);
  for (const id of ['a', 'b', 'c']) cluster.start(id);
  cluster.until('all in one view', 20_000, () => cluster.settled('a b c'));
  const leads = ['a', 'b', 'c'].find((id) => cluster.node(id).engine!.core.leader.leads)!;
  const [fast, slow] = ['a', 'b', 'c'].filter((id) => id !== leads) as [string, string];
  // Too little at a time to count as a step.
  for (let ms = 500; ms <= 6000; ms += 500) {
    cluster.node(fast).clock.stepMs = ms;
    cluster.node(slow).clock.stepMs = 300 - ms;
    cluster.run(2000);
  }
  const left = cluster.members.split(' ');
  assert.equal(left.length, 2, `in the view: ${cluster.members}`);
  assert.ok(left.includes(leads));
  for (let client = 1; client <= 8; client++) assert.ok(cluster.lease(client, 10), 'those who agree own all slots');
  cluster.run(10_000);
  assert.equal(cluster.members, left.join(' '), 'it is not let in again');
  for (const id of [fast, slow]) cluster.node(id).clock.stepMs = 0;
  cluster.until('all serve', 30_000, () => cluster.settled('a b c') && serves(cluster, fast) && serves(cluster, slow));
});
