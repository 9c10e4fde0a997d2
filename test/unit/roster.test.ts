/** Whom a node has to do with, as configurations and views name them. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Outbox } from '../../cluster/core/context.ts';
import type { Peer } from '../../cluster/core/peer.ts';
import { Roster } from '../../cluster/core/roster.ts';
import type { ClusterState } from '../../cluster/core/state.ts';
import type { ClusterRead } from '../../cluster/view/coordination.ts';

test('the link to a node ends when it is named no more, also where it is named again at once', () => {
  const peers = new Map<string, Peer>();
  const options = { self: 'a', nodes: [{ id: 'a' }, { id: 'b' }, { id: 'c' }] };
  const out = new Outbox();
  const view = { members: [{ node: 'a', incarnation: 1 }, { node: 'c', incarnation: 3 }] };
  const state = { context: { options, out }, peers, view } as unknown as ClusterState;
  const roster = new Roster(state, peers);
  roster.meet();
  roster.onRead({ addresses: new Map([['b', '192.0.2.2:647'], ['c', '192.0.2.3:647'], ['d', '192.0.2.4:647']]) } as unknown as ClusterRead);
  assert.deepEqual([...peers.keys()], ['b', 'c']);
  assert.deepEqual([...roster.addresses.keys()], ['b', 'c']);

  options.nodes = [{ id: 'a' }, { id: 'b' }];
  roster.meet();
  assert.deepEqual([...peers.keys()], ['b', 'c'], 'a member is met until it is out of the view');
  assert.deepEqual(out.resets, []);
  view.members.pop();
  const before = peers.get('c');
  roster.meet();
  assert.deepEqual([...peers.keys()], ['b']);
  assert.deepEqual([...roster.addresses.keys()], ['b']);
  assert.deepEqual(out.resets, ['c']);

  options.nodes.push({ id: 'c' });
  roster.meet();
  assert.notEqual(peers.get('c'), before, 'nothing is known of it');
  assert.deepEqual(out.resets, ['c']);
});
