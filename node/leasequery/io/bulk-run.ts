/**
 * One bulk query on its way (RFC 6926): from a moment of the store to the connection, in pieces, as fast as the
 * requestor reads. The moment is held for SNAPSHOT_MS_MAX at most: the store cannot use its pages again before.
 */
import { setImmediate } from 'node:timers/promises';
import type { StoreSnapshot } from '../../io/store-snapshot.ts';
import { BULK_CHUNK_BYTES, SNAPSHOT_MS_MAX } from '../../limits.ts';
import { findBindings } from '../bulk.ts';
import { QueryStatus } from '../messages.ts';
import type { BulkQuery } from '../query.ts';
import type { QueryPlan } from '../stream-answers.ts';
import type { Outgoing } from './outgoing.ts';

/** A moment of the store, and what this node says of it. */
export interface Moment {
  readonly snapshot: StoreSnapshot;
  /** UTC, when it was asked for: what is not in it was stored then or later. */
  readonly second: number;
  readonly owned: Uint8Array;
  readonly incarnation: number | undefined;
}

export interface BulkEnd {
  readonly records: number;
  readonly status: QueryStatus;
  readonly text: string;
}

const MESSAGE_BYTES_ROOM = 0xffff + 2;

/** Closes the snapshot. `serverIdentifier`: told in the first answer. */
export async function runBulk(query: BulkQuery, plan: QueryPlan, moment: Moment, out: Outgoing, serverIdentifier: number, onRecords: (count: number) => void): Promise<BulkEnd> {
  const { incarnation, owned, snapshot } = moment;
  const wanted = plan.wanted(query);
  const began = performance.now();
  let records = 0;
  let piece = Buffer.allocUnsafe(BULK_CHUNK_BYTES);
  let at = 0;
  let told = 0;
  const flush = (): void => {
    if (at === 0) return;
    onRecords(records - told);
    told = records;
    out.write(piece.subarray(0, at));
    piece = Buffer.allocUnsafe(BULK_CHUNK_BYTES);
    at = 0;
  };
  try {
    for (const found of findBindings(query, snapshot, plan.configured)) {
      const toldAt = { second: Math.floor(Date.now() / 1000), incarnation };
      const tell = (into: Buffer, from: number): number =>
        plan.tell(into, from, query, found, wanted, toldAt, owned[found.address & 255] === 1, records === 0 ? serverIdentifier : 0);
      const end = tell(piece, at);
      if (end >= 0) at = end;
      else {
        flush();
        if (out.isBlocked) await out.ready(SNAPSHOT_MS_MAX - (performance.now() - began));
        else await setImmediate();
        if (out.isClosed) return { records, status: QueryStatus.QUERY_TERMINATED, text: 'the connection has ended' };
        if (performance.now() - began >= SNAPSHOT_MS_MAX) {
          return { records, status: QueryStatus.QUERY_TERMINATED, text: `the answer took more than ${SNAPSHOT_MS_MAX / 1000} s to be read` };
        }
        const second = tell(piece, 0);
        at = second >= 0 ? second : writeAlone(out, tell);
      }
      records++;
    }
    flush();
    return { records, status: QueryStatus.SUCCESS, text: '' };
  } finally {
    snapshot.close();
  }
}

/** One that is longer than a piece. */
function writeAlone(out: Outgoing, tell: (into: Buffer, from: number) => number): number {
  const room = Buffer.allocUnsafe(MESSAGE_BYTES_ROOM);
  out.write(room.subarray(0, tell(room, 0)));
  return 0;
}
