/**
 * The commit rule's first half: changes travel over the links in the order of the log, and are
 * acknowledged, cumulatively, once the receiver has flushed them (ARCHITECTURE.md, The commit rule).
 *
 * Invariants: a log is received without holes; nothing is acknowledged before it is flushed; a
 * change is accepted only from an incarnation that the adopted view names, and not after it has
 * said that it makes no more under that epoch.
 */
import assert from 'node:assert/strict';
import { isRecord, recordEpoch, recordIncarnation, recordSeq, recordState, supersedes, writeStamp } from '../../node/lease/record.ts';
import { bindingTransition } from '../../node/lease/states.ts';
import { CHANGES_BYTES_MAX } from '../../node/limits.ts';
import { PROTOCOL_ACK_CHECKSUM } from '../../node/protocol.ts';
import { RefuseReason } from '../../proto/gen/replication.ts';
import type { Ack, Batch, Change, Refuse } from '../../proto/gen/replication.ts';
import type { Peer } from '../core/peer.ts';
import { commitPeers, isPresent, noteCommitted, owns, protocolWith } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import { names } from '../view/view.ts';
import { chainChecksum } from './cursors.ts';
import { RecentLog, withinBytes } from './log.ts';

/** Changes in one message, and changes sent that are not yet acknowledged. */
const BATCH_CHANGES_MAX = 256;
const WINDOW_CHANGES = 8192;

/** How far a log goes. */
interface Reached {
  readonly seq: number;
  readonly checksum: number;
}

const NOTHING: Reached = { seq: 0, checksum: 0 };

interface PendingAck extends Reached {
  readonly incarnation: number;
  readonly position: number;
}

export interface ReplicationHooks {
  readonly readView: () => void;
  /** The peer has stored something else than what was sent to it. */
  readonly onDiverged: (peer: Peer) => void;
}

export class Replication {
  readonly #state: ClusterState;
  readonly #hooks: ReplicationHooks;
  #pendingAcks: PendingAck[] = [];
  /** Per incarnation: how far its log is flushed here. */
  readonly #flushedOf = new Map<number, Reached>();
  /** Counts binding transitions, for the simulator's coverage and the metrics. */
  readonly transitions = new Map<string, number>();
  /** Two logs that changed one address in one epoch: two owners at once, which must never be. */
  conflicts = 0;

  constructor(state: ClusterState, hooks: ReplicationHooks) {
    this.#state = state;
    this.#hooks = hooks;
  }

  #readView(): void {
    this.#hooks.readView();
  }

  /** This node is another incarnation: its log is empty, it owns nothing, and nobody has acknowledged anything. */
  begin(): void {
    const { acknowledged, context, continuous, inboxed, peers } = this.#state;
    this.#state.finished = false;
    this.#state.required = undefined;
    continuous.fill(0);
    this.#state.log = new RecentLog(context.incarnation);
    this.#state.flushedSeq = 0;
    this.#state.committedSeq = 0;
    acknowledged.clear();
    inboxed.clear();
    for (const peer of peers.values()) peer.forgetOurLog();
  }

  /** Makes a change: stamps the record, stores it and queues it for everyone. Returns its number. */
  append(address: number, record: Buffer): number {
    const { context, cursors, log, view } = this.#state;
    assert(view !== undefined && owns(this.#state, address & 0xff), 'only the owner of a slot changes its bindings');
    const existing = context.table.read(address);
    const { from, to, allowed } = bindingTransition(existing === undefined ? undefined : recordState(existing), recordState(record));
    assert(allowed, `a binding cannot go from ${from} to ${to}`);
    this.#countTransition(`${from} ${to}`);
    writeStamp(record, { epoch: view.epoch, incarnation: context.incarnation, seq: log.last + 1 });
    const position = context.table.put(address, record, context.now, existing);
    const entry = log.append(address, record, position, context.now.mono);
    cursors.set(context.incarnation, entry.seq, entry.checksum);
    return entry.seq;
  }

  #countTransition(key: string): void {
    this.transitions.set(key, (this.transitions.get(key) ?? 0) + 1);
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────

  /** Once a turn: what each follower does not have yet goes out in as few messages as possible. */
  sendBatches(): void {
    for (const peer of this.#state.peers.values()) {
      if (peer.connected && peer.follows) this.#sendTo(peer);
    }
  }

  #sendTo(peer: Peer): void {
    const { context, log, acknowledged, view } = this.#state;
    if (view === undefined) return;
    if (peer.nextSeq < log.base) {
      // A member finds the rest in its inbox; a learner that fell behind what is kept fetches again.
      if (!names(view, peer.id, peer.incarnation)) {
        peer.follows = false;
        this.#refuse(peer, RefuseReason.REFUSE_REASON_GAP);
      }
      return;
    }
    const acked = acknowledged.get(peer.incarnation) ?? 0;
    while (peer.nextSeq <= log.last && peer.nextSeq - 1 - acked < WINDOW_CHANGES) {
      const entries = log.after(peer.nextSeq - 1, BATCH_CHANGES_MAX);
      const through = entries.at(-1)!.seq;
      if (peer.nextSeq - 1 <= acked) peer.progressAt = context.now.mono;
      context.out.send(peer.id, { $case: 'batch', value: this.#batch(entries, through) });
      peer.nextSeq = through + 1;
    }
  }

  /** Also what an inbox item carries. */
  #batch(changes: Change[], through: number): Batch {
    const { context, view, committedSeq } = this.#state;
    return {
      epoch: view!.epoch, incarnation: context.incarnation, changes, through,
      committed: committedSeq, wallMs: Math.round(context.now.wall),
    };
  }

  /** The next changes that the inbox of a peer lacks, or undefined when it lacks none. */
  batchForInbox(after: number): Batch | undefined {
    const { log } = this.#state;
    if (after >= log.last || after + 1 < log.base) return undefined;
    const entries = withinBytes(log.after(after, BATCH_CHANGES_MAX), CHANGES_BYTES_MAX);
    return this.#batch(entries, entries.at(-1)!.seq);
  }

  onAck(peer: Peer, ack: Ack): void {
    const { acknowledged, context, log, view } = this.#state;
    if (ack.incarnation !== context.incarnation) return;
    if (view !== undefined && ack.epoch > view.epoch) this.#readView();
    const before = acknowledged.get(peer.incarnation) ?? 0;
    if (ack.seq > log.last) {
      context.out.resets.push(peer.id);
      return;
    }
    if (ack.checksum !== undefined && !log.agrees(ack.seq, ack.checksum)) {
      this.#hooks.onDiverged(peer);
      return;
    }
    if (ack.seq > before) {
      acknowledged.set(peer.incarnation, ack.seq);
      peer.progressAt = context.now.mono;
    }
    // What it already had when the stream was made need not be sent again.
    if (peer.nextSeq <= ack.seq) peer.nextSeq = ack.seq + 1;
  }

  onRefuse(peer: Peer, refuse: Refuse): void {
    if (refuse.reason === RefuseReason.REFUSE_REASON_CLOCK) {
      peer.refusesClock = true;
      this.#state.context.out.event('cluster.clock-refused', {
        peer: peer.id, differenceMs: Math.round(refuse.wallMs - this.#state.context.now.wall),
      });
    }
    if (refuse.reason === RefuseReason.REFUSE_REASON_EPOCH) peer.refusedInEpoch = Math.max(peer.refusedInEpoch, refuse.epoch);
    this.#readView();
  }

  // ── receiving ────────────────────────────────────────────────────────────────────────────────

  onBatch(peer: Peer, batch: Batch): void {
    const { context, phase, view } = this.#state;
    // One that is outside has what it fetches, and what is under way to an earlier incarnation is not for it.
    if (view === undefined || batch.incarnation !== peer.incarnation || (phase !== 'member' && phase !== 'learner')) return;
    if (!this.#accepts(peer, batch)) {
      this.#refuse(peer, RefuseReason.REFUSE_REASON_EPOCH);
      this.#readView();
      return;
    }
    if (Math.abs(batch.wallMs - context.now.wall) > context.options.maxClockSkewMs) {
      // The stream ends with it: a node that stood still finds many more of them there.
      if (peer.clockRefused) return;
      peer.clockRefused = true;
      this.#refuse(peer, RefuseReason.REFUSE_REASON_CLOCK);
      context.out.event('cluster.clock-difference', { peer: peer.id, differenceMs: Math.round(batch.wallMs - context.now.wall) });
      context.out.resets.push(peer.id);
      return;
    }
    noteCommitted(this.#state, batch.incarnation, batch.committed);
    if (!this.#applyInOrder(batch.incarnation, batch.changes)) context.out.resets.push(peer.id);
  }

  /** ARCHITECTURE.md, Epochs: of my epoch, or of an older one from a member that has not adopted mine yet. */
  #accepts(peer: Peer, batch: Batch): boolean {
    const { view } = this.#state;
    if (!names(view!, peer.id, batch.incarnation)) return false;
    if (batch.epoch === view!.epoch) return true;
    return batch.epoch < view!.epoch && (peer.adopted?.epoch ?? 0) < view!.epoch;
  }

  #refuse(peer: Peer, reason: RefuseReason): void {
    const { context, view } = this.#state;
    context.out.send(peer.id, {
      $case: 'refuse', value: { epoch: view?.epoch ?? 0, reason, wallMs: Math.round(context.now.wall) },
    });
  }

  /** What the inbox brought: written under a view that named its writer, so only its place counts. */
  applyFromInbox(batch: Batch): boolean {
    noteCommitted(this.#state, batch.incarnation, batch.committed);
    return this.#applyInOrder(batch.incarnation, batch.changes);
  }

  /** False: a number is missing or a record is none; nothing after it was taken. */
  #applyInOrder(incarnation: number, changes: readonly Change[]): boolean {
    const { cursors } = this.#state;
    let seq = cursors.seq(incarnation);
    let checksum = cursors.checksum(incarnation);
    let complete = true;
    const log = this.#receivedLog(incarnation);
    for (const change of changes) {
      const { record } = change;
      if (!isRecord(record) || recordIncarnation(record) !== incarnation) {
        complete = false;
        break;
      }
      const number = recordSeq(record);
      if (number <= seq) continue;
      if (number !== seq + 1) {
        complete = false;
        break;
      }
      const position = this.#apply(change.address, record);
      log.append(change.address, record, position, this.#state.context.now.mono);
      seq = number;
      checksum = chainChecksum(checksum, record);
    }
    if (seq > cursors.seq(incarnation)) this.#advance(incarnation, seq, checksum);
    return complete;
  }

  #receivedLog(incarnation: number): RecentLog {
    const { received, cursors } = this.#state;
    let log = received.get(incarnation);
    const seq = cursors.seq(incarnation);
    if (log === undefined || log.last !== seq) {
      log = new RecentLog(incarnation, seq, cursors.checksum(incarnation));
      received.set(incarnation, log);
    }
    return log;
  }

  #apply(address: number, record: Buffer): number {
    const { context } = this.#state;
    const existing = context.table.read(address);
    if (existing !== undefined && recordEpoch(record) === recordEpoch(existing) && recordIncarnation(record) !== recordIncarnation(existing)) this.conflicts++;
    if (existing !== undefined && !supersedes(record, existing)) {
      context.tenures?.addLate(address, record, existing, context.now);
      return context.store.position;
    }
    return context.table.put(address, record, context.now, existing);
  }

  /** The log is stored up to `seq` here; acknowledged when it is flushed. */
  #advance(incarnation: number, seq: number, checksum: number): void {
    const { cursors, received } = this.#state;
    cursors.set(incarnation, seq, checksum);
    received.get(incarnation)?.trim(seq);
    // A change that replaced nothing queues no record, and yet must not be acknowledged before its cursor is safe.
    this.#pendingAcks.push({ incarnation, seq, checksum, position: cursors.safePosition });
  }

  /** The tail of an evicted node's log; false when a record is none. */
  applyTail(changes: readonly Change[]): boolean {
    for (const change of changes) {
      if (!isRecord(change.record)) return false;
      this.#apply(change.address, change.record);
    }
    return true;
  }

  tailDone(incarnation: number, seq: number, checksum: number): void {
    if (seq > this.#state.cursors.seq(incarnation)) this.#advance(incarnation, seq, checksum);
  }

  // ── flush and commit ─────────────────────────────────────────────────────────────────────────

  /** After a flush: acknowledge what others sent, count what is our own. */
  onFlushed(): void {
    const { context, log } = this.#state;
    const flushed = context.store.flushedPosition;
    let taken = 0;
    const moved = new Set<number>();
    for (const pending of this.#pendingAcks) {
      if (pending.position > flushed) break;
      this.#flushedOf.set(pending.incarnation, pending);
      moved.add(pending.incarnation);
      taken++;
    }
    if (taken > 0) this.#pendingAcks.splice(0, taken);
    for (const peer of this.#state.peers.values()) if (moved.has(peer.incarnation)) this.sendAck(peer);
    let seq = this.#state.flushedSeq;
    while (seq < log.last && log.at(seq + 1)!.position <= flushed) seq++;
    this.#state.flushedSeq = seq;
    this.advanceCommit();
  }

  /** Says how far the peer's log is flushed here. Only a member or a follower says anything. */
  sendAck(peer: Peer): void {
    const { context, view, phase } = this.#state;
    if (!peer.connected || view === undefined || (phase !== 'member' && phase !== 'learner')) return;
    const { seq, checksum } = this.#flushedOf.get(peer.incarnation) ?? NOTHING;
    context.out.send(peer.id, { $case: 'ack', value: {
      epoch: view.epoch, incarnation: peer.incarnation, seq,
      ...(protocolWith(this.#state, peer) >= PROTOCOL_ACK_CHECKSUM ? { checksum } : {}),
    } });
  }

  /** ARCHITECTURE.md, The commit rule: own flush, and for every other member its acknowledgement or its inbox. */
  advanceCommit(): void {
    const state = this.#state;
    if (state.phase !== 'member' || state.clockSteppedAt !== undefined) return;
    let seq = state.flushedSeq;
    for (const member of commitPeers(state)) {
      const has = Math.max(state.acknowledged.get(member.incarnation) ?? 0, state.inboxed.get(member.incarnation) ?? 0);
      if (has < seq) seq = has;
    }
    if (seq > state.committedSeq) {
      state.committedSeq = seq;
      state.log.trim(seq);
    }
  }

  /** Logs of incarnations that are gone need no acknowledgement. */
  forgetDeparted(): void {
    for (const origin of this.#flushedOf.keys()) if (!isPresent(this.#state, origin)) this.#flushedOf.delete(origin);
  }

  /** What is flushed counts from the disk's cursors at a start. */
  flushedFromCursors(): void {
    this.#flushedOf.clear();
    this.#pendingAcks = [];
    for (const cursor of this.#state.cursors.list()) this.#flushedOf.set(cursor.incarnation, cursor);
  }

  /**
   * After a fetch: acknowledged as a whole once all of it is flushed. The members wait for that
   * acknowledgement before they vouch, also where no further change ever comes.
   */
  flushAllCursors(): void {
    const { context, cursors } = this.#state;
    this.#flushedOf.clear();
    this.#pendingAcks = cursors.list().map((cursor) => ({ ...cursor, position: context.store.position }));
  }
}
