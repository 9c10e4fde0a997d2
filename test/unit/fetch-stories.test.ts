/** A node that fetches ends with what the members have, and nothing else. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { ip } from '../support/client-packets.ts';
import { Story } from '../support/story.ts';

const LARGE = { pools: [{ first: ip('10.0.1.0'), last: ip('10.0.50.255') }] };

test('a change that only the fetched pages show, and that died with its origin, is not kept', () => {
  const story = new Story({ nodes: ['a', 'b', 'c'], subnet: LARGE });
  for (const id of ['a', 'b']) story.start(id);
  story.settle(['a', 'b']);
  const a = story.host('a');
  story.grants('b', 1500);
  story.run(100);
  story.start('c');
  // Between two pages a grants an address that the second one is to show, and b does not hear of it.
  let late: number | undefined;
  story.arrives = (from, to, { body }) => {
    if (from !== 'c' || to !== 'a' || body?.$case !== 'fetch' || body.value.from === 0 || late !== undefined) return true;
    story.hold('a', 'b');
    late = story.grants('a', 1, ip('10.0.49.0'))[0];
    return true;
  };
  story.until('c has the address from its pages', () => late !== undefined && story.binding('c', late).startsWith('ACTIVE'));
  story.crash('a');
  story.settle(['b', 'c']);
  assert.equal(a.alive, false);
  assert.equal(story.binding('b', late!), 'FREE');
  assert.equal(story.binding('c', late!), 'FREE');
});

test('a node that is let in keeps its links, though it hears of changes under the new view before it has read that', () => {
  const story = new Story({ nodes: ['a', 'b', 'c'], subnet: LARGE });
  for (const id of ['a', 'b']) story.start(id);
  story.settle(['a', 'b']);
  story.etcdFate = (from, request) => {
    const isRead = from === 'c' && request.kind === 'txn' && request.then.some((op) => op.op === 'get' && op.key === 'view');
    return isRead && story.members === 'a b c' ? 'held' : 'done';
  };
  story.start('c');
  story.until('the others are in the next view', () => ['a', 'b'].every((id) => story.host(id).state.view?.members.length === 3));
  story.run(5);
  story.grants('a', 5);
  story.run(50);
  story.etcdFate = () => 'done';
  story.releaseEtcd();
  story.settle();
  assert.deepEqual(story.sent.filter(({ kind }) => kind === 'refuse'), []);
  assert.deepEqual(story.told('link.down').filter(({ fields }) => fields.reason === 'closed'), []);
});
