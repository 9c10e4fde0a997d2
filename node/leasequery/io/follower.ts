/**
 * One active query (RFC 7724): first what the history holds since a time, if one was named, then each change as it is
 * committed. A requestor that falls behind what is kept in memory is sent away: the history on the disk reaches
 * further back, so it misses nothing if it comes again.
 */
import { setImmediate } from 'node:timers/promises';
import type { StoreSnapshot } from '../../io/store-snapshot.ts';
import { recordLastTransaction, recordStateSince } from '../../lease/record.ts';
import { BULK_CHUNK_BYTES, TOLD_AHEAD_SECONDS_MAX } from '../../limits.ts';
import type { BindingChange } from '../history-chunk.ts';
import { changesSince, historyOf } from '../history-reader.ts';
import { QueryStatus, QueryType } from '../messages.ts';
import type { ActiveQuery } from '../query.ts';
import { statusMessage } from '../stream-answers.ts';
import type { QueryPlan, StatusMessage } from '../stream-answers.ts';
import type { FollowedChanges } from './followed-changes.ts';
import type { Moment } from './bulk-run.ts';
import type { Outgoing } from './outgoing.ts';
import type { QueryLimits } from './query-limits.ts';

export interface FollowerParts {
  readonly query: ActiveQuery;
  /** The one in force: what may not be told any more is not told to who follows already. */
  readonly plan: () => QueryPlan;
  readonly out: Outgoing;
  readonly changes: FollowedChanges;
  readonly serverIdentifier: number;
  /** Seconds that a change may lie before the base-time with which a requestor comes back and yet be unknown to it. */
  readonly marginSeconds: number;
  readonly onRecord: () => void;
  readonly limits: QueryLimits;
}

type Ended = { readonly status: QueryStatus; readonly text: string };

const MESSAGE_BYTES_ROOM = 0xffff + 2;

export class Follower {
  readonly #parts: FollowerParts;
  /** The number of the next change to tell of; 0 while it catches up. */
  #next = 0;
  #isFirst = true;
  /** This node's, where there are others; and what this node would give out when the query began. */
  #incarnation: number | undefined;
  #owned: Uint8Array = new Uint8Array();
  #saidAt = performance.now();
  /** The base-time of the last change. */
  #toldSecond = 0;
  /** UTC second before which everything was told. */
  #base = 0;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
  }

  /** What came and was not told yet. */
  get waiting(): number {
    const { next } = this.#parts.changes;
    return next === undefined || this.#next === 0 ? 0 : Math.max(0, next - this.#next);
  }

  lagSeconds(second: number): number {
    const oldest = this.#next === 0 ? undefined : this.#parts.changes.at(this.#next);
    return typeof oldest === 'object' ? Math.max(0, second - oldest.second) : 0;
  }

  /** From the history to where the changes of late go on; closes the moment. Returns why it ends, if it does. */
  async begin(moment: Moment): Promise<Ended | undefined> {
    const { incarnation, owned, second, snapshot } = moment;
    this.#incarnation = incarnation;
    this.#owned = owned;
    const { query: { startTime }, marginSeconds } = this.#parts;
    try {
      const history = historyOf(snapshot);
      if (history === undefined) return terminated('changes are not kept on this node yet');
      this.#base = second;
      if (startTime !== undefined) {
        const from = startTime - marginSeconds;
        // RFC 7724 §7.4.1: said at once, and then only what happens from now on.
        if (from < history.since || from > second) this.#status(QueryStatus.DATA_MISSING, 'the history of changes does not reach back so far');
        else {
          const ended = await this.#catchUp(snapshot, from);
          if (ended !== undefined) return ended;
        }
      }
      this.#next = history.next;
    } finally {
      moment.close();
    }
    return this.pump();
  }

  async #catchUp(snapshot: StoreSnapshot, from: number): Promise<Ended | undefined> {
    const { limits: { snapshotMs }, out } = this.#parts;
    const began = performance.now();
    const left = (): number => snapshotMs - (performance.now() - began);
    let piece: BindingChange[] = [];
    let bytes = 0;
    const flush = async (): Promise<Ended | undefined> => {
      this.#tell(piece);
      piece = [];
      bytes = 0;
      if (out.isBlocked) await out.ready(left());
      else await setImmediate();
      // The bytes of the history stay on the disk, but not a moment of the store for as long as somebody likes.
      return out.isClosed || left() > 0 ? undefined : terminated(`the changes since then took more than ${snapshotMs / 1000} s to be read`);
    };
    for (const change of changesSince(snapshot, from)) {
      piece.push(change);
      bytes += MESSAGE_BYTES_USUAL + (change.record?.length ?? 0);
      if (bytes < BULK_CHUNK_BYTES) continue;
      const ended = await flush();
      if (ended !== undefined || out.isClosed) return ended;
    }
    this.#tell(piece);
    this.#status(QueryStatus.CATCH_UP_COMPLETE, '');
    return undefined;
  }

  /** Tells of what has come since, as far as the requestor reads. Returns why it ends, if it does. */
  pump(): Ended | undefined {
    if (this.#next === 0) return undefined;
    const { changes, out } = this.#parts;
    while (!out.isBlocked && !out.isClosed) {
      const piece: BindingChange[] = [];
      let bytes = 0;
      while (bytes < BULK_CHUNK_BYTES) {
        const change = changes.at(this.#next);
        if (change === 'gone') return terminated('changes were not read as fast as they came; come back with the last base-time');
        if (change === undefined) break;
        piece.push(change);
        bytes += MESSAGE_BYTES_USUAL + (change.record?.length ?? 0);
        this.#next++;
      }
      if (piece.length === 0) return undefined;
      this.#tell(piece);
    }
    return undefined;
  }

  /** `base`: what comes later is of this second or of a later one. Once a second. Returns why it ends, if it does. */
  tick(base: number): Ended | undefined {
    const { limits, out } = this.#parts;
    if (out.blockedMs() > limits.activeSendMs) return terminated('nothing was read');
    if (this.#next === 0 || this.waiting > 0) return undefined;
    this.#base = Math.max(this.#base, base);
    if (performance.now() - this.#saidAt >= limits.activeIdleMs) this.#status(QueryStatus.CONNECTION_ACTIVE, '');
    return undefined;
  }

  end({ status, text }: Ended): void {
    this.#status(status, text);
  }

  #status(status: QueryStatus, text: string): void {
    const { out, query } = this.#parts;
    const message: StatusMessage = { type: QueryType.LEASEQUERYSTATUS, status, text, baseTime: this.#base, serverIdentifier: this.#identifier() };
    out.write(statusMessage(query, message));
    this.#saidAt = performance.now();
  }

  #tell(piece: readonly BindingChange[]): void {
    if (piece.length === 0) return;
    const { marginSeconds, onRecord, out, query } = this.#parts;
    const plan = this.#parts.plan();
    const wanted = plan.wanted(query);
    const incarnation = this.#incarnation;
    let bytes = Buffer.allocUnsafe(BULK_CHUNK_BYTES * 2);
    let at = 0;
    for (const change of piece) {
      const { address, record } = change;
      // Where there are other nodes, who comes back is led back by as much as their clocks may differ.
      const second = Math.max(marginSeconds > 0 ? secondToTell(change) : change.second, this.#toldSecond);
      this.#toldSecond = second;
      const told = { second, incarnation };
      const identifier = this.#identifier();
      const isOwn = this.#owned[address & 255] === 1;
      let end = plan.tell(bytes, at, query, { address, record }, wanted, told, isOwn, identifier);
      if (end < 0) {
        out.write(bytes.subarray(0, at));
        bytes = Buffer.allocUnsafe(Math.max(BULK_CHUNK_BYTES * 2, MESSAGE_BYTES_ROOM));
        end = plan.tell(bytes, 0, query, { address, record }, wanted, told, isOwn, identifier);
      }
      at = end;
      this.#base = Math.max(this.#base, second);
      onRecord();
    }
    out.write(bytes.subarray(0, at));
    this.#saidAt = performance.now();
  }

  /** RFC 6926 §8.3: in the first message only. */
  #identifier(): number {
    const identifier = this.#isFirst ? this.#parts.serverIdentifier : 0;
    this.#isFirst = false;
    return identifier;
  }
}

/** An answer without what its record says. */
const MESSAGE_BYTES_USUAL = 280;

export function terminated(text: string): Ended {
  return { status: QueryStatus.QUERY_TERMINATED, text };
}

/**
 * When the change was stored here, but not before what its record tells of, whose time is that of the node that made it:
 * counted back from an earlier second it would be told as of this one, and one change of two nodes would look like two.
 */
export function secondToTell({ record, second }: BindingChange): number {
  if (record === undefined) return second;
  const made = Math.max(recordStateSince(record), recordLastTransaction(record));
  return made <= second + TOLD_AHEAD_SECONDS_MAX ? Math.max(second, made) : second;
}
