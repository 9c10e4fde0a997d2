/** A disk that takes nothing any more: executions that were found by thinking. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { UNCOMMITTED_CHANGES_MAX } from '../../node/limits.ts';
import { chaddrOf, discover, ip, request } from '../support/client-packets.ts';
import { Story } from '../support/story.ts';

test('a member whose disk takes nothing is evicted though the leader itself changes nothing', () => {
  const story = new Story({ nodes: ['a', 'b'], config: { nodes: [{ id: 'a', weight: 1 }, { id: 'b', weight: 0 }] } });
  story.start('b');
  story.settle(['b']);
  story.start('a');
  story.settle();
  assert.equal(story.leader, 'b');
  story.lease(1, 'a');
  story.host('a').diskStuck = true;
  story.requests(2, 'a');
  story.until('b serves alone', () => story.members === 'b', 8000);
  story.settle(['b']);
  story.lease(2, 'b');
  story.host('a').diskStuck = false;
  story.settle();
});

test('a node whose disk is full makes no more changes than it has room for, and goes on when the disk does', () => {
  const story = new Story({ nodes: ['a'], subnet: { pools: [{ first: ip('10.0.1.0'), last: ip('10.1.250.255') }], network: ip('10.0.0.0'), prefixLength: 8 } }).startAll();
  const a = story.host('a');
  const asks = (client: number): void => {
    const fields = { chaddr: chaddrOf(client), xid: client, broadcast: true, secs: 60 };
    a.receive(discover(fields));
    a.receive(request({ ...fields, requestedAddress: ip('10.1.200.0') + client, serverIdentifier: a.address }));
  };
  a.diskStuck = true;
  story.grants('a', UNCOMMITTED_CHANGES_MAX - 2);
  for (let client = 1; client <= 20; client++) asks(client);
  assert.equal(a.state.log.last, UNCOMMITTED_CHANGES_MAX);
  a.diskStuck = false;
  story.until('they are committed', () => a.state.committedSeq === UNCOMMITTED_CHANGES_MAX, 1000);
  asks(30);
  story.until('another one is', () => a.state.committedSeq > UNCOMMITTED_CHANGES_MAX, 1000);
});
