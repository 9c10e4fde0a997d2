/** What goes through an inbox arrives, whatever is lost on the way: executions that were found by thinking. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { ip } from '../support/client-packets.ts';
import { Story } from '../support/story.ts';
import { LOG_KEPT_ENTRIES } from '../../cluster/replication/log.ts';

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
  story.until('b takes the link to be up', () => b.engine.core.isReachable('a'));
  story.etcdCut.clear();
  story.until('b has them', () => b.state.cursors.seq(story.host('a').engine.incarnation) === changes, 5000);
  assert.equal(story.view?.epoch, b.state.view?.epoch);
});
