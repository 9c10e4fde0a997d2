/** What heirs must agree on when a member leaves: executions that were found by thinking, each with what it would cost. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { EtcdRequest } from '../../cluster/core/ports.ts';
import { ip } from '../support/client-packets.ts';
import { Story } from '../support/story.ts';

/** w makes changes that reach a alone, and dies. */
function tailOnOneSide(changes: number, padding = 0): { story: Story; addresses: number[] } {
  const story = new Story({ nodes: ['a', 'b', 'w'], subnet: { pools: [{ first: ip('10.0.1.0'), last: ip('10.0.250.255') }] } }).startAll();
  story.padding = padding;
  story.hold('w', 'b');
  story.etcdCut.add('w');
  const addresses = story.grants('w', changes);
  story.until('a has them', () => story.host('a').state.cursors.seq(story.host('w').engine.incarnation) === changes);
  story.run(50);
  return { story, addresses };
}

/** a and b would answer differently, and one of them may die next. */
function assertAgreement(story: Story, addresses: readonly number[]): void {
  const differ = addresses.filter((address) => story.binding('b', address) !== story.binding('a', address));
  assert.equal(differ.length, 0, `${differ.length} of ${addresses.length} bindings differ; ${story.describe()}`);
}

function puts(request: EtcdRequest, prefix: string, bytesMin: number): boolean {
  return request.kind === 'txn' && request.then.some((op) => op.op === 'put' && op.key.startsWith(prefix) && op.value.length >= bytesMin);
}

function reads(request: EtcdRequest, prefix: string): boolean {
  return request.kind === 'txn' && request.then.some((op) => op.op === 'get-prefix' && op.prefix.startsWith(prefix));
}

test('a tail that takes the inbox and the link in parts is had as a whole, or asked for again', () => {
  const { story, addresses } = tailOnOneSide(2700);
  story.apart('a', 'b');
  story.run(20);
  story.crash('w');
  // What a puts into the inbox of b takes its time, and so does what b reads there.
  let aPuts = false;
  story.etcdFate = (from, request) => {
    if (from === 'a' && puts(request, 'inbox/b/', 50_000)) aPuts = true;
    if (from === 'a' && puts(request, 'inbox/b/', 50_000)) return 'answer-held';
    return from === 'b' && aPuts && reads(request, 'inbox/b/') ? 'held' : 'done';
  };
  story.until('a puts a part of the tail into the inbox', () => aPuts);
  story.run(20);
  story.together('a', 'b');
  story.until('b has said hello', () => story.host('a').state.peers.get('b')!.connected);
  // What b asks for once more, over the link, is held up behind its hello.
  story.hold('b', 'a');
  story.until('the link is up for a', () => story.host('a').state.peers.get('b')!.up);
  story.releaseEtcd(['a']);
  story.run(300);
  story.etcdFate = () => 'done';
  story.releaseEtcd();
  story.flow('b', 'a');
  story.settle(['a', 'b']);
  assertAgreement(story, addresses);
});

test('a tail of long records fits through the inbox', () => {
  const { story, addresses } = tailOnOneSide(2700, 1300);
  story.apart('a', 'b');
  story.run(20);
  story.crash('w');
  story.settle(['a', 'b']);
  assertAgreement(story, addresses);
});

test('changes of very long records fit through the inbox', () => {
  const story = new Story({ nodes: ['a', 'b'], subnet: { pools: [{ first: ip('10.0.1.0'), last: ip('10.0.250.255') }] } }).startAll();
  story.padding = 60_000;
  story.apart('a', 'b');
  story.run(300);
  const addresses = story.grants('a', 300);
  story.until('a has committed them', () => story.host('a').state.committedSeq === 300);
  story.run(1000);
  assertAgreement(story, addresses);
});
