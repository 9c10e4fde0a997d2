/** What a node remembers of the others: no more than it needs however long it lives, and nothing less. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { Context } from '../../cluster/core/context.ts';
import type { PeerMessage } from '../../cluster/core/ports.ts';
import { Beats } from '../../cluster/recovery/beats.ts';
import { BindingStore } from '../../node/lease/store.ts';
import type { MonotonicMs, WallMs } from '../../node/time.ts';
import { ip } from '../support/client-packets.ts';
import { Story } from '../support/story.ts';
import { SimDisk } from '../sim/disk.ts';

test('logs, acknowledgements and numbers of incarnations that are gone are forgotten', () => {
  const story = new Story({ nodes: ['a', 'b', 'c'], subnet: { pools: [{ first: ip('10.0.1.0'), last: ip('10.0.50.255') }] } }).startAll();
  const { state } = story.host('a');
  for (let times = 0; times < 8; times++) {
    const last = state.cursors.list().length;
    story.grants('c', 20);
    story.until('a has them', () => state.cursors.list().length > last || state.cursors.seq(story.host('c').engine.incarnation) === 20);
    story.crash('c');
    story.settle(['a', 'b']);
    story.start('c');
    story.settle();
  }
  const sizes = { received: state.received.size, acknowledged: state.acknowledged.size, inboxed: state.inboxed.size, committedOf: state.committedOf.size };
  for (const [what, size] of Object.entries(sizes)) assert.ok(size <= 4, `${what}: ${size}`);
  const hellos = story.sent.filter(({ from, kind }) => from === 'a' && kind === 'hello');
  const { body } = hellos.at(-1)!.message;
  assert.ok(body?.$case === 'hello' && body.value.acksSeen.length <= 4, `${body?.$case === 'hello' ? body.value.acksSeen.length : 'no hello'} acknowledgements are told of`);
});

function beatsOn(disk: SimDisk, incarnation: number): { beats: Beats; store: BindingStore } {
  const store = new BindingStore(disk);
  const context = { store, incarnation, now: { mono: 0 as MonotonicMs, wall: 0 as WallMs } } as unknown as Context;
  const beats = new Beats(context, false);
  beats.begin();
  return { beats, store };
}

function flush(disk: SimDisk, store: BindingStore): void {
  const batch = store.takeWrites();
  if (batch === undefined) return;
  disk.begin(batch);
  disk.complete();
  store.flushed(batch.position);
}

test('the acknowledgements of a member outlast those of any number of learners', () => {
  const disk = new SimDisk();
  const { beats, store } = beatsOn(disk, 1);
  const member = 7;
  for (let n = 1; n <= 300; n++) {
    beats.noteAck(1000 + n, n);
    beats.noteAck(member, n);
  }
  beats.save(true);
  flush(disk, store);
  const { beats: after } = beatsOn(disk, 2);
  assert.ok(after.acksSeen().some(({ by, origin, seq }) => by === member && origin === 1 && seq === 300));
});

test('a node that was started many times after a power cut still knows which incarnation its disk holds', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  const address = story.lease(1, 'a');
  story.run(100);
  for (const id of ['a', 'b']) story.crash(id);
  story.etcdCut.add('a');
  for (let starts = 0; starts < 70; starts++) {
    story.start('a');
    story.run(10);
    story.crash('a');
  }
  story.etcdCut.clear();
  story.start('a');
  story.settle(['a'], 60_000);
  assert.match(story.binding('a', address), /^ACTIVE/);
});

test('a member that once acknowledged more than it has is not what it was', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  story.lease(1, 'b');
  story.run(1500);
  const a = story.host('a');
  const b = story.host('b');
  const hello = story.sent.findLast(({ from, kind }) => from === 'b' && kind === 'hello')!.message.body;
  assert.ok(hello?.$case === 'hello');
  const had = a.state.cursors.seq(b.engine.incarnation);
  const tell = (seq: number): void => a.input((engine, now) => engine.onLink({ kind: 'link-message', peer: 'b', message: { body: { $case: 'hello', value: {
    ...hello.value, acksSeen: [{ by: a.engine.incarnation, origin: b.engine.incarnation, seq }],
  } } } }, now));
  tell(had);
  assert.equal(a.state.phase, 'member');
  // As after a virtual machine was put back to an earlier moment, memory and disk: b has had its word for more.
  tell(had + 1);
  assert.equal(story.told('cluster.rolled-back', 'a').length, 1);
  story.settle();
});

test('what an earlier incarnation has acknowledged is not put down to the next one', () => {
  const story = new Story({ nodes: ['a', 'b', 'c'] }).startAll();
  const a = story.host('a');
  story.grants('a', 10);
  story.run(50);
  const hello = story.sent.findLast(({ from, to, kind }) => from === 'b' && to === 'a' && kind === 'hello')!.message.body;
  assert.ok(hello?.$case === 'hello');
  const tell = (body: NonNullable<PeerMessage['body']>): void => a.input((engine, now) => engine.onLink({ kind: 'link-message', peer: 'b', message: { body } }, now));
  story.etcdCut.add('a');
  // b is ahead of a by a view, acknowledges what it has, and then begins anew: all that before a has read that view.
  tell({ $case: 'tailRequest', value: { epoch: story.view!.epoch + 1, incarnation: 1, after: 0 } });
  tell({ $case: 'ack', value: { epoch: story.view!.epoch + 1, incarnation: a.engine.incarnation, seq: 10 } });
  tell({ $case: 'hello', value: { ...hello.value, incarnation: 4711, cursors: [], acksSeen: [], member: false, follows: false } });
  story.etcdCut.clear();
  const { epoch } = story.view!;
  const leader = story.host(story.leader);
  leader.input((engine) => engine.core.leader.resign());
  story.until('a has adopted the next view', () => a.state.view!.epoch > epoch);
  assert.equal(a.state.acknowledged.get(4711) ?? 0, 0);
});
