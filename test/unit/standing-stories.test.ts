/** What a node shows of itself and does about it, at moments that are rare. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Story } from '../support/story.ts';

test('a node that stands still between adopting a view and its next turn finds itself cut off, and no table of states forbids that', () => {
  const story = new Story({ nodes: ['a', 'b'] });
  story.start('a');
  story.settle(['a']);
  story.hintless.add('b');
  story.etcdFate = (from, request) => {
    const letsIn = from === 'a' && request.kind === 'txn' && request.then.some((op) => op.op === 'put' && op.key === 'view');
    if (letsIn) story.apart('a', 'b');
    return 'done';
  };
  story.start('b');
  const b = story.host('b');
  b.pauseOnce(() => b.state.phase === 'member');
  story.until('b has adopted a view that names it', () => b.paused);
  story.etcdCut.add('b');
  story.run(6000);
  b.resume();
  assert.ok(story.told('node.state', 'b').some(({ fields }) => fields.to === 'ISOLATED'), story.describe());
  story.etcdFate = () => 'done';
  story.etcdCut.clear();
  story.hintless.clear();
  story.together('a', 'b');
  story.settle();
});
