/**
 * The history of changes that an active LEASEQUERY goes back in (RFC 7724 §8.2): every change of a binding that
 * this node stores, its own and those of other nodes, in the order in which it stored them. Pure: it lies in the
 * store's meta values, in chunks (`history-chunk.ts`), and goes to the disk in the same flush as the records.
 *
 * Invariants
 * - Every change of the second `since` or a later one is in it, or waits for the next flush; but for those that say
 *   nothing new of a lease, only what DNS has come to.
 * - Numbers and seconds never go down from one change to the next. A change may carry a second later than its
 *   own, after the clock was set back a little; if it was set back by more, the history begins anew.
 * - `since` never goes down while it is on: whoever comes back with a second that was told before the clock was
 *   set back is not given less than what came after.
 * - On the disk lie the chunks from `oldest` on, each followed by the next one without a gap. Those before `first`
 *   are no part of the history any more, and are removed a few in each flush.
 *
 * What it keeps in memory does not grow with the history: a chunk names the one behind it, so that the oldest are
 * removed by reading them.
 *
 * Meta key `history-state`, big-endian: 0 u8 layout version, 1; 1 u8 flags, bit 0 suspended or off; 2 u16 zero;
 * 4 u32 since; 8 u48 oldest; 14 u48 first; 20 u48 number of the next change; 26 u48 bytes; 32 u32 second of the
 * newest change.
 */
import type { LeaseQueryConfig } from '../config/types.ts';
import { sameBinding, tellsTheSame } from '../lease/record.ts';
import type { BindingStore } from '../lease/store.ts';
import { HISTORY_CHUNK_BYTES_MAX, HISTORY_CLOCK_BACK_SECONDS_MAX, HISTORY_REMOVED_BYTES_MAX, HISTORY_REMOVED_CHUNKS_MAX } from '../limits.ts';
import { wallSeconds } from '../time.ts';
import type { Now } from '../time.ts';
import { CommittedFeed } from './committed-feed.ts';
import type { IsCommitted, TakenChanges } from './committed-feed.ts';
import { changeBytes, encodeChunk, historyKey, readChunkHeader } from './history-chunk.ts';
import type { BindingChange } from './history-chunk.ts';

export const STATE_KEY = 'history-state';
const STATE_LAYOUT = 1;
const STATE_BYTES = 36;
const FLAG_SUSPENDED = 1;
const KEY_BYTES = historyKey(0).length;

/** Of the history; what is older, or too much, goes. */
export interface HistoryLimits {
  readonly seconds: number;
  /** Of the chunks and their keys; the disk rounds each up by its own rules. */
  readonly bytes: number;
}

/** Undefined: nobody may follow changes, and none are kept. */
export function historyLimits({ active }: LeaseQueryConfig): HistoryLimits | undefined {
  return active === undefined ? undefined : { seconds: active.historySeconds, bytes: active.historyBytes };
}

/** What the disk says of the chunks beside them. */
export interface HistoryState {
  /** False: there is no history. The node fetches, it was switched off, or the layout is not known. */
  readonly goesOn: boolean;
  /** Every change of this UTC second and later ones is in it. */
  readonly since: number;
  /** Of the oldest chunk on the disk. */
  readonly oldest: number;
  /** Of the oldest chunk of the history. */
  readonly first: number;
  /** Of the next change. */
  readonly next: number;
  readonly bytes: number;
  readonly lastSecond: number;
}

/** Later layouts have these fields in the same places. */
export function readHistoryState(bytes: Buffer): HistoryState {
  return {
    goesOn: bytes[0] === STATE_LAYOUT && (bytes[1]! & FLAG_SUSPENDED) === 0, since: bytes.readUInt32BE(4), oldest: bytes.readUIntBE(8, 6), first: bytes.readUIntBE(14, 6),
    next: bytes.readUIntBE(20, 6), bytes: bytes.readUIntBE(26, 6), lastSecond: bytes.readUInt32BE(32),
  };
}

interface OldestChunk {
  readonly count: number;
  readonly lastSecond: number;
  /** With its key. */
  readonly bytes: number;
}

export class ChangeHistory {
  readonly #store: BindingStore;
  readonly #feed = new CommittedFeed();
  #limits: HistoryLimits | undefined;
  /** What others changed is not known here: the node fetches, and is no member yet. */
  #suspended = false;
  /** On, and not suspended. */
  #recording = false;
  #since = 0;
  #oldest = 1;
  #first = 1;
  #next = 1;
  #bytes = 0;
  #lastSecond = 0;
  /** What the next flush takes, cut into chunks as it comes. */
  #pending: BindingChange[] = [];
  #pendingBytes = 0;
  /** The chunk at `#oldest`, once it has been read. */
  #oldestChunk: OldestChunk | undefined;
  #isSaved = true;

  /**
   * Goes on with what is on the disk. `limits` undefined: off. The store must have been written to only by what
   * records here: a version of the program without a history leaves a hole that cannot be noticed.
   */
  constructor(store: BindingStore, limits: HistoryLimits | undefined, now: Now) {
    this.#store = store;
    this.#limits = limits;
    const state = store.readMeta(STATE_KEY);
    const goesOn = state !== undefined && this.#load(readHistoryState(state));
    this.#recording = limits !== undefined;
    if (limits !== undefined && !goesOn) this.#begin(wallSeconds(now.wall));
    else if (limits === undefined && state !== undefined) this.#end();
  }

  /** False: what is on the disk is to be removed. */
  #load({ bytes, first, goesOn, lastSecond, next, oldest, since }: HistoryState): boolean {
    this.#since = since;
    this.#oldest = oldest;
    this.#first = first;
    this.#next = next;
    this.#bytes = bytes;
    this.#lastSecond = lastSecond;
    return goesOn;
  }

  /** Every change of this UTC second and later ones is in the history; undefined: there is none. */
  get since(): number | undefined {
    return this.#recording ? this.#since : undefined;
  }

  /** Of the oldest chunk of the history; `nextNumber` while there is none. */
  get firstNumber(): number {
    return this.#first;
  }

  /** Which the next change will have. */
  get nextNumber(): number {
    return this.#next;
  }

  /** On the disk and on the way there, with keys; without what is still to be removed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Other limits, at once. Undefined: off; what is kept is removed. On again, the history begins anew. */
  configure(limits: HistoryLimits | undefined, now: Now): void {
    const wasOn = this.#limits !== undefined;
    this.#limits = limits;
    this.#recording = limits !== undefined && !this.#suspended;
    if (wasOn && limits === undefined) this.#end();
    else if (!wasOn && this.#recording) this.#begin(wallSeconds(now.wall));
  }

  /** The node begins to fetch what it has missed: the history has a hole, and ends. In one flush with the first record fetched. */
  suspend(): void {
    if (this.#suspended) return;
    this.#suspended = true;
    this.#recording = false;
    if (this.#limits !== undefined) this.#drop();
  }

  /** The node is a member: if it has fetched, the history begins anew. */
  resume(now: Now): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    this.#recording = this.#limits !== undefined;
    if (this.#recording) this.#begin(wallSeconds(now.wall));
  }

  #begin(second: number): void {
    this.#drop();
    this.#lastSecond = Math.max(this.#lastSecond, second);
    // The changes that this second has seen already are not in it.
    this.#since = Math.max(this.#since, this.#lastSecond + 1);
  }

  #end(): void {
    this.#drop();
    this.#lastSecond = 0;
    this.#since = 0;
  }

  /** Nothing that is kept is part of the history any more. */
  #drop(): void {
    this.#seal();
    this.#first = this.#next;
    this.#bytes = 0;
    this.#isSaved = false;
    this.#feed.lose();
  }

  /** A record was stored in the place of `before`; undefined: it went. */
  add(address: number, record: Buffer | undefined, now: Now, before?: Buffer): void {
    if (!this.#recording || isOfDnsOnly(before, record)) return;
    const second = this.#secondAt(now);
    const change = { number: this.#next++, second, address, record };
    this.#pendingBytes += changeBytes(change);
    this.#pending.push(change);
    if (this.#pendingBytes >= HISTORY_CHUNK_BYTES_MAX) this.#seal();
    this.#feed.add(change);
  }

  #secondAt(now: Now): number {
    const second = wallSeconds(now.wall);
    if (second > this.#lastSecond) this.#lastSecond = second;
    return this.#lastSecond;
  }

  /** Before the driver takes the writes: what was added goes into the same flush as its records, and what is too old or too much goes. */
  beforeWrites(now: Now): void {
    if (!this.#recording && this.#isSaved && this.#oldest === this.#next) return;
    const second = wallSeconds(now.wall);
    if (this.#recording && second + HISTORY_CLOCK_BACK_SECONDS_MAX < this.#lastSecond) {
      this.#begin(second);
      this.#lastSecond = second;
    }
    this.#seal();
    this.#prune(second);
    if (!this.#isSaved) this.#save();
  }

  /** Makes a chunk of what was added. */
  #seal(): void {
    if (this.#pending.length === 0) return;
    const chunk = encodeChunk(this.#pending, this.#pendingBytes);
    this.#store.putMeta(historyKey(this.#pending[0]!.number), chunk);
    this.#bytes += chunk.length + KEY_BYTES;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#isSaved = false;
  }

  #prune(second: number): void {
    let bytes = 0;
    for (let removed = 0; removed < HISTORY_REMOVED_CHUNKS_MAX && bytes < HISTORY_REMOVED_BYTES_MAX && this.#oldest < this.#next; removed++) {
      this.#oldestChunk ??= this.#readOldest();
      const chunk = this.#oldestChunk;
      if (this.#oldest === this.#first) {
        // What cannot be read is damage: there is a hole.
        if (chunk === undefined) this.#begin(second);
        else if (!this.#isTooMuch(chunk, second)) return;
        else {
          this.#first += chunk.count;
          this.#bytes -= chunk.bytes;
          // Others of its last second may be in the next chunk, but not all.
          this.#since = Math.max(this.#since, chunk.lastSecond + 1);
        }
      }
      this.#store.putMeta(historyKey(this.#oldest), null);
      this.#oldest += chunk?.count ?? 1;
      this.#oldestChunk = undefined;
      this.#isSaved = false;
      bytes += chunk?.bytes ?? 0;
    }
  }

  #isTooMuch({ lastSecond }: OldestChunk, second: number): boolean {
    return this.#limits === undefined || this.#bytes > this.#limits.bytes || lastSecond < second - this.#limits.seconds;
  }

  #readOldest(): OldestChunk | undefined {
    const value = this.#store.readMeta(historyKey(this.#oldest));
    const header = value === undefined ? undefined : readChunkHeader(value);
    if (header === undefined || this.#oldest + header.count > this.#next) return undefined;
    return { count: header.count, lastSecond: header.lastSecond, bytes: value!.length + KEY_BYTES };
  }

  #save(): void {
    this.#isSaved = true;
    if (this.#limits === undefined && this.#oldest === this.#next) {
      this.#store.putMeta(STATE_KEY, null);
      return;
    }
    const state = Buffer.allocUnsafe(STATE_BYTES);
    const flags = this.#recording ? 0 : FLAG_SUSPENDED;
    state.writeUInt32BE(STATE_LAYOUT * 2 ** 24 + flags * 2 ** 16, 0);
    state.writeUInt32BE(this.#since, 4);
    state.writeUIntBE(this.#oldest, 8, 6);
    state.writeUIntBE(this.#first, 14, 6);
    state.writeUIntBE(this.#next, 20, 6);
    state.writeUIntBE(this.#bytes, 26, 6);
    state.writeUInt32BE(this.#lastSecond, 32);
    this.#store.putMeta(STATE_KEY, state);
  }

  /**
   * The chunk whose first change has this number, flushed or not; undefined: there is none (any more). The number
   * behind its last change is that of the next one.
   */
  chunkAt(number: number): Buffer | undefined {
    return number >= this.#first && number < this.#next ? this.#store.readMeta(historyKey(number)) : undefined;
  }

  // ── as it happens ────────────────────────────────────────────────────────────────────────────

  get listening(): boolean {
    return this.#feed.listening;
  }

  /** Whether changes are kept for `takeCommitted`. Set it before the first one listens, and take it back after the last. */
  set listening(listening: boolean) {
    if (listening === this.#feed.listening) return;
    if (listening) this.#feed.listen(this.#next - 1);
    else this.#feed.close();
  }

  /** Changes since somebody listens that are committed, in order, at most `limit`. */
  takeCommitted(isCommitted: IsCommitted, limit: number): TakenChanges {
    return this.#feed.take(isCommitted, limit, this.#next - 1);
  }

  /**
   * What may be told as base-time (RFC 7724 §7.3) to one who has all that `takeCommitted` has given: what comes
   * after is of this UTC second or of a later one, so that nothing is missed by who comes back with it.
   */
  baseSecond(now: Now): number {
    return this.#feed.oldestSecond() ?? this.#secondAt(now);
  }
}

/** What a requestor is told has not changed by it: whoever follows hears nothing of the node's own work. */
function isOfDnsOnly(before: Buffer | undefined, record: Buffer | undefined): boolean {
  return before !== undefined && record !== undefined && tellsTheSame(before, record) && !sameBinding(before, record);
}
