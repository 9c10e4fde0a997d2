/**
 * RECOVER, the member's side: gives a learner pages of records. It keeps nothing between pages; the
 * learner says how far it has come. Only a member that has finished its view gives anything.
 *
 * The cursors are read before the records, so that what changes meanwhile is in the logs that the
 * learner follows from those cursors on.
 */
import { recordIncarnation, recordSeq } from '../../node/lease/record.ts';
import type { Change, Fetch } from '../../proto/gen/replication.ts';
import type { Peer } from '../core/peer.ts';
import { isMember } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';

const PAGE_CHANGES_MAX = 512;
/** Records looked at for one page: bounds how long the event loop is held. */
const PAGE_SCAN_MAX = 4096;
const EMPTY = Buffer.alloc(0);

export function answerFetch(state: ClusterState, peer: Peer, fetch: Fetch): void {
  const { context, view, finished, cursors } = state;
  const refused = !isMember(state) || !finished || view === undefined;
  const given = cursors.list();
  const page = refused ? { changes: [], done: true, next: 0 } : pageFor(state, fetch);
  context.out.send(peer.id, { $case: 'fetchRecords', value: {
    id: fetch.id, ...page, refused, epoch: view?.epoch ?? 0, cursors: given,
  } });
}

function pageFor({ context }: ClusterState, fetch: Fetch): { changes: Change[]; done: boolean; next: number } {
  if (fetch.byAddress) {
    const changes = fetch.addresses.map((address) => ({ address, record: context.table.read(address) ?? EMPTY }));
    return { changes, done: true, next: 0 };
  }
  const has = new Map(fetch.cursors.map((cursor) => [cursor.incarnation, cursor.seq]));
  const changes: Change[] = [];
  let from = fetch.from;
  const records = context.table.records(from - 1, PAGE_SCAN_MAX);
  for (const { address, record } of records) {
    if (changes.length === PAGE_CHANGES_MAX) return { changes, done: false, next: from };
    from = address + 1;
    if (recordSeq(record) > (has.get(recordIncarnation(record)) ?? 0)) changes.push({ address, record });
  }
  return { changes, done: records.length < PAGE_SCAN_MAX, next: from };
}
