/**
 * One bulk query on its way (RFC 6926): from a moment of the store to the connection, in pieces, as fast as the
 * requestor reads. The moment is held for so long at most (SNAPSHOT_MS_MAX): the store cannot use its pages again before.
 */
import { setImmediate } from 'node:timers/promises';
import type { StoreSnapshot } from '../../io/store-snapshot.ts';
import { BULK_CHUNK_BYTES } from '../../limits.ts';
import { findBindings } from '../bulk.ts';
import { QueryStatus } from '../messages.ts';
import type { BulkQuery } from '../query.ts';
import type { QueryPlan } from '../stream-answers.ts';
import type { Outgoing } from './outgoing.ts';

/** A moment of the store, and what this node says of it. */
export interface Moment {
  readonly snapshot: StoreSnapshot;
  /** Once, by whoever was given it: the next one may be opened then. */
  close(): void;
  /**
   * UTC, when it was asked for: what is not in it was stored then or later. So it is the base-time of what is told of
   * it, however long that takes: who comes back with it as query-start-time misses nothing.
   */
  readonly second: number;
  readonly owned: Uint8Array;
  readonly incarnation: number | undefined;
}

export interface BulkEnd {
  readonly status: QueryStatus;
  readonly text: string;
}

export interface BulkParts {
  readonly plan: QueryPlan;
  readonly out: Outgoing;
  /** Told in the first answer. */
  readonly serverIdentifier: number;
  /** So many answers were written. */
  readonly onRecords: (count: number) => void;
  readonly snapshotMs: number;
}

const MESSAGE_BYTES_ROOM = 0xffff + 2;

/** Closes the moment. */
export async function runBulk(query: BulkQuery, moment: Moment, parts: BulkParts): Promise<BulkEnd> {
  const { onRecords, out, plan, serverIdentifier, snapshotMs } = parts;
  const { owned, snapshot } = moment;
  const wanted = plan.wanted(query);
  const began = performance.now();
  let records = 0;
  let piece = Buffer.allocUnsafe(BULK_CHUNK_BYTES);
  let at = 0;
  let told = 0;
  const flush = (): void => {
    if (records > told) onRecords(records - told);
    told = records;
    if (at === 0) return;
    out.write(piece.subarray(0, at));
    piece = Buffer.allocUnsafe(BULK_CHUNK_BYTES);
    at = 0;
  };
  try {
    for (const found of findBindings(query, snapshot, plan.configured)) {
      const tell = (into: Buffer, from: number): number =>
        plan.tell(into, from, query, found, wanted, moment, owned[found.address & 255] === 1, records === 0 ? serverIdentifier : 0);
      const end = tell(piece, at);
      if (end >= 0) at = end;
      else {
        flush();
        if (out.isBlocked) await out.ready(snapshotMs - (performance.now() - began));
        else await setImmediate();
        if (out.isClosed) return { status: QueryStatus.QUERY_TERMINATED, text: 'the connection has ended' };
        if (performance.now() - began >= snapshotMs) {
          return { status: QueryStatus.QUERY_TERMINATED, text: `the answer took more than ${snapshotMs / 1000} s to be read` };
        }
        const second = tell(piece, 0);
        at = second >= 0 ? second : writeAlone(out, tell);
      }
      records++;
    }
    flush();
    return { status: QueryStatus.SUCCESS, text: '' };
  } finally {
    moment.close();
  }
}

/** One that is longer than a piece. */
function writeAlone(out: Outgoing, tell: (into: Buffer, from: number) => number): number {
  const room = Buffer.allocUnsafe(MESSAGE_BYTES_ROOM);
  out.write(room.subarray(0, tell(room, 0)));
  return 0;
}
