/** What goes through an inbox arrives, whatever is lost on the way: executions that were found by thinking. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { ip } from '../support/client-packets.ts';
import { BindingState, withState } from '../../node/lease/record.ts';
import type { EtcdRequest } from '../../cluster/core/ports.ts';
import type { StoryHost } from '../support/story-host.ts';
import { Story } from '../support/story.ts';
import { LOG_KEPT_ENTRIES } from '../../cluster/replication/log.ts';
import { memberOf } from '../../cluster/view/view.ts';

const LARGE = { pools: [{ first: ip('10.0.1.0'), last: ip('10.0.250.255') }] };

test('an inbox is looked into also by a node whose links are up and whose watch of etcd has gone silent', () => {
  const story = new Story({ nodes: ['a', 'b'], subnet: LARGE }).startAll();
  const b = story.host('b');
  story.hintless.add('b');
  story.apart('a', 'b');
  story.etcdCut.add('b');
  story.run(20);
  // So many that a does not keep them: b can have them from its inbox alone.
  const changes = LOG_KEPT_ENTRIES + 600;
  story.grants('a', changes);
  story.until('a has committed them', () => story.host('a').state.committedSeq === changes, 1500);
  story.together('a', 'b');
  story.until('b takes the link to be up', () => b.state.peers.get('a')!.up);
  story.etcdCut.clear();
  story.until('b has them', () => b.state.cursors.seq(story.host('a').engine.incarnation) === changes, 5000);
  assert.equal(story.view?.epoch, b.state.view?.epoch);
});

/** Requests of clients for changes that another member owns; more than wait for an inbox. */
function flood(story: Story, from: string, to: string, count: number): void {
  const { core } = story.host(from).engine;
  const member = memberOf(story.view!, to)!;
  for (let id = 1; id <= count; id++) {
    core.inbox.post(member, { body: { $case: 'propose', value: { id: 1e6 + id, address: ip('10.0.1.1'), record: Buffer.alloc(0), expectedEpoch: 1, expectedIncarnation: 1, expectedSeq: id } } });
  }
}

test('a view is finished through the inbox although so many requests wait there that further ones are dropped', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  story.apart('a', 'b');
  story.run(300);
  story.etcdFate = (from, request) => (from === 'a' && request.kind === 'txn' && request.then.some((op) => op.op === 'put' && op.key.startsWith('inbox/b/')) ? 'lost' : 'done');
  flood(story, 'a', 'b', 2000);
  story.run(50);
  flood(story, 'a', 'b', 2000);
  const epoch = story.view!.epoch;
  const leader = story.host(story.leader);
  leader.input((engine) => engine.core.leader.resign());
  story.until('both have adopted the next view', () => ['a', 'b'].every((id) => story.host(id).state.view!.epoch > epoch));
  story.run(200);
  story.etcdFate = () => 'done';
  story.settle();
});

test('what was meant for an earlier start of a member is not for the next one', () => {
  const story = new Story({ nodes: ['a', 'b', 'c'] }).startAll();
  story.apart('a', 'b');
  story.run(300);
  story.etcdFate = (from, request) => (from === 'a' && request.kind === 'txn' && request.then.some((op) => op.op === 'put' && op.key.startsWith('inbox/b/')) ? 'lost' : 'done');
  flood(story, 'a', 'b', 200);
  story.run(50);
  story.crash('b');
  story.settle(['a', 'c']);
  story.etcdFate = () => 'done';
  story.together('a', 'b');
  story.start('b');
  story.settle();
  story.run(2000);
  assert.deepEqual(story.sent.filter(({ from, kind }) => from === 'b' && kind === 'proposeResult'), [], 'b was asked nothing');
});

test('a node joins while two members see each other only through etcd', () => {
  const story = new Story({ nodes: ['a', 'b', 'c'] });
  story.start('a');
  story.start('b');
  story.settle(['a', 'b']);
  story.apart('a', 'b');
  story.run(500);
  const epoch = story.view!.epoch;
  story.start('c');
  story.settle(['a', 'b', 'c'], 5000);
  assert.equal(story.view!.epoch, epoch + 1, 'without a try that failed');
});

test('what was taken from an inbox stays there until it is stored how far it went, also where it changed nothing', () => {
  const story = new Story({ nodes: ['a', 'b', 'c'], config: { nodes: [{ id: 'a', weight: 0 }, { id: 'b', weight: 1 }, { id: 'c', weight: 1 }] } });
  story.start('c');
  story.settle(['c']);
  for (const id of ['a', 'b']) story.start(id);
  story.settle();
  const [a, b, c] = ['a', 'b', 'c'].map((id) => story.host(id)) as [StoryHost, StoryHost, StoryHost];
  const isOwnInbox = (from: string, request: EtcdRequest): boolean => from === 'a' && request.kind === 'txn' && request.then.some((op) => op.op === 'get-prefix' && op.prefix === 'inbox/a/');
  // Two changes of b wait in a's inbox, each in an item of its own.
  story.etcdFate = (from, request) => (isOwnInbox(from, request) ? 'lost' : 'done');
  story.apart('a', 'b');
  story.run(300);
  const first = story.grants('b', 1);
  story.run(20);
  const [y] = story.grants('b', 1) as [number];
  story.run(20);
  assert.ok(story.keys('inbox/a/b/').length >= 2);
  assert.equal(b.state.committedSeq, 2);
  // The first address goes to c, which changes it; a has that at once.
  b.serves(false);
  story.until('c owns what b had', () => first.every((address) => c.engine.core.owns(address & 255)), 3000);
  c.input(() => {
    for (const address of first) c.engine.core.replication.append(address, withState(c.table.read(address)!, BindingState.EXPIRED, 1));
  });
  story.run(50);
  for (const address of first) assert.match(story.binding('a', address), /^EXPIRED/);
  // Now a reads its inbox, and the power fails as soon as it deletes there.
  story.etcdFate = (from, request) => {
    const deletes = from === 'a' && request.kind === 'txn' && request.then.some((op) => op.op === 'delete');
    if (deletes) story.agenda.after(0, () => story.hosts.forEach(({ alive, id }) => alive && story.crash(id)));
    return 'done';
  };
  story.until('the power has failed', () => !a.alive);
  story.run(100);
  story.etcdFate = () => 'done';
  story.start('a');
  story.settle(['a'], 60_000);
  assert.match(story.binding('a', y), /^ACTIVE/);
});

test('a cut link alone evicts nobody, however long it lasts: what goes through the inbox is taken there', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  const { epoch } = story.view!;
  story.apart('a', 'b');
  for (let second = 0; second < 100; second++) {
    if (second % 20 === 0) for (const id of ['a', 'b']) story.grants(id, 1);
    story.run(1000);
  }
  assert.deepEqual([story.members, story.view!.epoch], ['a b', epoch], story.describe());
  story.together('a', 'b');
  story.settle();
});

test('a member whose inbox holds what it cannot take recovers by itself', () => {
  const story = new Story({ nodes: ['a', 'b'], config: { evictAfterMs: 5000 } }).startAll();
  const follower = story.hosts.find(({ id }) => id !== story.leader)!;
  const key = `inbox/${follower.id}/${story.leader}/${story.host(story.leader).engine.incarnation}/0000000099`;
  story.etcd.apply({ kind: 'txn', id: 0, compares: [], then: [{ op: 'put', key, value: Buffer.from('not an item') }], otherwise: [], deadlineMs: 0 }, story.agenda.now);
  const { incarnation } = follower.engine;
  story.until('it begins anew', () => follower.engine.incarnation !== incarnation, 15_000);
  story.settle();
  assert.deepEqual(story.keys('inbox/'), []);
});
