/** What the parts of the failover core share, as it is when a node starts. */
import type { Context } from '../core/context.ts';
import type { Peer } from '../core/peer.ts';
import type { ClusterState } from '../core/state.ts';
import { SLOTS } from '../view/view.ts';
import { Cursors } from './cursors.ts';
import { RecentLog } from './log.ts';

export function initialState(context: Context, peers: ReadonlyMap<string, Peer>): ClusterState {
  return {
    context, peers, cursors: new Cursors(context.store), phase: 'starting', leaving: false, draining: false,
    view: undefined, others: { of: undefined, members: [] }, viewRevision: 0, finished: false, lastFinished: undefined, duties: [], waived: [], unwritten: false, wentBack: '',
    continuous: new Uint8Array(SLOTS), log: new RecentLog(context.incarnation), received: new Map(),
    flushedSeq: 0, committedSeq: 0, acknowledged: new Map(), inboxed: new Map(), committedOf: new Map(), required: undefined,
    etcdAnsweredAt: -Infinity, clockSteppedAt: undefined, dhcpReady: true, serverIds: [],
  };
}
