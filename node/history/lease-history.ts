/**
 * The history of leases: who held which address, from when until when. Each node makes rows (row.ts) of the records that
 * it stores: one when a lease ends, one when its client moves to another relay port. A row goes to the disk in the same
 * flush as the change that it is made of. Leases that go on are told by their bindings. Pure.
 *
 * Invariants
 * - Of every lease that ended in the second `since` or later there is a row, but for those of the gap.
 * - The gap is what a node missed that fetched its records from others: it reaches from when this node last knew that
 *   it hears all changes until it was a member again, and closes when the rows of that time have been copied from a member
 *   (cluster/recovery/history-copy.ts).
 * - Rows of days before `cut` are gone, or are removed a few in each flush; no more are made.
 *
 * Meta key `t-state`: the fields of `HistoryState` as JSON.
 */
import type { LeaseHistoryLimits } from '../config/types.ts';
import type { BindingStore } from '../lease/store.ts';
import type { MetaAt } from '../lease/merged-values.ts';
import { keyAfter } from '../lease/merged-values.ts';
import { sameBytes } from '../lease/fingerprint.ts';
import {
  BindingState, recordClientKey, recordIncarnation, recordLastTransaction, recordSection, recordSeq, recordState, recordStateSince, SectionKind,
} from '../lease/record.ts';
import {
  LEASE_HISTORY_MARGIN_SECONDS, LEASE_HISTORY_REMOVED_MAX, LEASE_HISTORY_REMOVE_EVERY_MS, LEASE_HISTORY_ROW_OVERHEAD_BYTES,
  LEASE_HISTORY_SLACK_SECONDS,
} from './limits.ts';
import { wallSeconds } from '../time.ts';
import type { Now } from '../time.ts';
import {
  addressRange, BY_CLIENT, clientKeysOf, clientRange, DAY_SECONDS, dayKey, dayOf, decodeRow, encodeRow, isPlace, MOVED, REPLACED, rowKey, rowKeyOfClientKey, rowOf, ROWS, ROWS_END,
} from './row.ts';
import type { HistoryRow, StoredRow, TenureEndNumber } from './row.ts';

const STATE_KEY = 't-state';
const STATE_LAYOUT = 1;
const FOR_EVER = 0xffff_ffff;
/** No row is of a later day. */
const DAYS_END = 2 ** 18 - 1;

export interface HistoryGap {
  /** UTC seconds. */
  readonly from: number;
  /** 0xffffffff: the node is no member yet. */
  readonly to: number;
  /** Rows up to this key have been copied; empty: none. */
  readonly copied: string;
}

interface HistoryState {
  readonly layout: number;
  readonly since: number;
  /** Days before it have been removed. */
  readonly swept: number;
  readonly bytes: number;
  /** When this node last knew that it hears all changes. */
  readonly level: number;
  readonly gap?: HistoryGap | undefined;
}

/** Which changes the members have: of a log, up to a number. */
export type IsKnown = (incarnation: number, seq: number) => boolean;

const END_BY_STATE: Readonly<Record<BindingState, TenureEndNumber>> = {
  [BindingState.FREE]: REPLACED, [BindingState.ACTIVE]: REPLACED, [BindingState.EXPIRED]: 1, [BindingState.RELEASED]: 2, [BindingState.ABANDONED]: 3,
};

export class LeaseHistory {
  readonly #store: BindingStore;
  #limits: LeaseHistoryLimits | undefined;
  #since = 0;
  #cut = 0;
  #swept = 0;
  /** Where the removal goes on. */
  #sweepFrom: string = ROWS;
  #sweptAt = -Infinity;
  #bytes = 0;
  #level = 0;
  #gap: HistoryGap | undefined;
  /** The node fetches: what it stores is not what was changed one by one. */
  #isKnown: IsKnown | undefined;
  #isSaved = true;

  /** Goes on with what is on the disk. `limits` undefined: off, and what is kept is removed. */
  constructor(store: BindingStore, limits: LeaseHistoryLimits | undefined, now: Now) {
    this.#store = store;
    this.#limits = limits;
    const saved = store.readMeta(STATE_KEY);
    if (saved === undefined) {
      if (limits !== undefined) this.#begin(now);
      return;
    }
    const state = JSON.parse(saved.toString()) as HistoryState;
    this.#since = state.since;
    this.#cut = this.#swept = state.swept;
    this.#bytes = state.bytes;
    this.#level = state.level;
    this.#gap = state.gap;
    if (limits === undefined) this.#end();
  }

  #begin(now: Now): void {
    // What ended earlier in this second is not in it.
    this.#since = wallSeconds(now.wall) + 1;
    this.#cut = this.#swept = Math.max(0, dayOf(this.#since) - (this.#limits?.days ?? 0));
    this.#sweepFrom = ROWS;
    this.#isSaved = false;
  }

  #end(): void {
    this.#cut = DAYS_END;
    this.#gap = undefined;
    this.#isSaved = false;
  }

  get isOn(): boolean {
    return this.#limits !== undefined;
  }

  /** Of every lease that ended in this UTC second or later there is a row, but for the gap's; undefined: it is off. */
  get since(): number | undefined {
    return this.isOn ? this.#since : undefined;
  }

  get gap(): HistoryGap | undefined {
    return this.isOn ? this.#gap : undefined;
  }

  /** On the disk, about; with what is still to be removed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The first day since 1970 that may have rows. */
  get firstDay(): number {
    return this.#cut;
  }

  /** Other limits, at once. On again, it begins anew. */
  configure(limits: LeaseHistoryLimits | undefined, now: Now): void {
    const wasOn = this.isOn;
    this.#limits = limits;
    if (wasOn && limits === undefined) this.#end();
    else if (!wasOn && limits !== undefined) this.#begin(now);
  }

  // ── rows ─────────────────────────────────────────────────────────────────────────────────────

  /** A record is replaced by another one, or goes (undefined): both as the table has them. */
  add(address: number, before: Buffer | undefined, after: Buffer | undefined, now: Now): void {
    if (before === undefined || recordState(before) !== BindingState.ACTIVE || !this.isOn) return;
    // A change that the members do not have was never committed: nobody was told of that lease.
    if (this.#isKnown !== undefined && !this.#isKnown(recordIncarnation(before), recordSeq(before))) return;
    const row = endedRow(address, before, after, now);
    if (row !== undefined) this.#put(row);
  }

  /** A change came that an earlier one had replaced already: `current` is the record. It may tell of a lease that nothing else has told of. */
  addLate(address: number, late: Buffer, current: Buffer, now: Now): void {
    if (!this.isOn || this.#isKnown !== undefined) return;
    if (recordIncarnation(late) === recordIncarnation(current) && recordSeq(late) === recordSeq(current)) return;
    if (recordState(late) === BindingState.ACTIVE) this.add(address, late, current, now);
    else this.#makeExact(address, late);
  }

  /** How the lease of a row ended that had to be guessed. */
  #makeExact(address: number, ended: Buffer): void {
    const noted = recordStateSince(ended);
    for (const day of [dayOf(noted), dayOf(noted) + 1]) {
      for (const row of this.rows(...addressRange(day, address), LEASE_HISTORY_REMOVED_MAX).rows) {
        if (row.exact || row.noted < noted || row.lastTransaction !== recordLastTransaction(ended)) continue;
        if (!sameBytes(row.clientKey, recordClientKey(ended))) continue;
        this.#remove(row);
        this.#put({ ...row, noted, end: END_BY_STATE[recordState(ended)], exact: true });
        return;
      }
    }
  }

  #put(row: HistoryRow): void {
    if (dayOf(row.noted) < this.#cut || dayOf(row.noted) >= DAYS_END) return;
    const { key, value } = encodeRow(row);
    this.#store.putMeta(key, value);
    for (const byClient of clientKeysOf(row)) this.#store.putMeta(byClient, EMPTY);
    this.#bytes += rowBytes(key, value);
    this.#isSaved = false;
  }

  #remove(row: HistoryRow): void {
    const { key, value } = encodeRow(row);
    this.#store.putMeta(key, null);
    for (const byClient of clientKeysOf(row)) this.#store.putMeta(byClient, null);
    this.#bytes -= rowBytes(key, value);
    this.#isSaved = false;
  }

  /** Rows by keys from `from` on and below `to`; looks at `limit` at most. `next`: where to go on; undefined at the end. */
  rows(from: string, to: string, limit: number): { rows: HistoryRow[]; next: string | undefined } {
    const page = this.#store.metaRange(from, to, limit);
    const rows: HistoryRow[] = [];
    for (const stored of page) {
      const row = decodeRow(stored);
      if (row !== undefined) rows.push(row);
    }
    return { rows, next: page.length < limit ? undefined : keyAfter(page.at(-1)!.key) };
  }

  /** The same of a client's rows in a day: `from` is a key by client, '' at first. */
  rowsOfClient(day: number, clientKey: Uint8Array, from: string, limit: number): { rows: HistoryRow[]; next: string | undefined } {
    const [first, end] = clientRange(day, clientKey);
    const page = this.#store.metaRange(from === '' ? first : from, end, limit);
    const rows: HistoryRow[] = [];
    for (const { key } of page) {
      const of = rowKeyOfClientKey(key);
      const value = of === undefined ? undefined : this.#store.readMeta(of);
      const row = value === undefined ? undefined : decodeRow({ key: of!, value });
      if (row !== undefined) rows.push(row);
    }
    return { rows, next: page.length < limit ? undefined : keyAfter(page.at(-1)!.key) };
  }

  // ── flushes ──────────────────────────────────────────────────────────────────────────────────

  /** Before the driver takes the writes. `heardUntil`: this node is known to have heard of all changes up to this UTC second. */
  beforeWrites(now: Now, heardUntil: number | undefined): void {
    if (!this.isOn && this.#isSaved && this.#swept >= this.#cut) return;
    const second = wallSeconds(now.wall);
    if (this.isOn) this.#noteTime(second, heardUntil);
    if (this.#swept < this.#cut && now.mono - this.#sweptAt >= LEASE_HISTORY_REMOVE_EVERY_MS) {
      this.#sweptAt = now.mono;
      this.#sweep();
    }
    if (!this.#isSaved) this.#save();
  }

  #noteTime(second: number, heardUntil: number | undefined): void {
    // The clock was ahead when it began.
    if (second + 1 < this.#since) {
      this.#since = second + 1;
      this.#isSaved = false;
    }
    if (heardUntil === undefined || this.#isKnown !== undefined) return;
    // A confirmation may be of before the node fetched; and the clock may have been ahead.
    if (heardUntil > this.#level || second < this.#level) {
      this.#level = heardUntil;
      if (this.#store.hasQueued) this.#isSaved = false;
    }
    this.#moveCut(dayOf(second) - this.#limits!.days);
    if (this.#bytes > this.#limits!.bytes && this.#swept === this.#cut) {
      const first = this.#store.metaRange(dayKey(ROWS, this.#cut), ROWS_END, 1)[0];
      const row = first === undefined ? undefined : decodeRow(first);
      if (row !== undefined) this.#moveCut(dayOf(row.noted) + 1);
    }
  }

  #moveCut(day: number): void {
    if (day <= this.#cut) return;
    this.#cut = day;
    this.#since = Math.max(this.#since, day * DAY_SECONDS);
    this.#isSaved = false;
  }

  #sweep(): void {
    const prefix = this.#sweepFrom.startsWith(ROWS) ? ROWS : BY_CLIENT;
    const page = this.#store.metaRange(this.#sweepFrom, dayKey(prefix, this.#cut), LEASE_HISTORY_REMOVED_MAX);
    for (const { key, value } of page) {
      this.#store.putMeta(key, null);
      if (prefix === ROWS) this.#bytes = Math.max(0, this.#bytes - rowBytes(key, value));
    }
    if (page.length === LEASE_HISTORY_REMOVED_MAX) this.#sweepFrom = keyAfter(page.at(-1)!.key);
    else if (prefix === ROWS) this.#sweepFrom = BY_CLIENT;
    else {
      this.#sweepFrom = ROWS;
      this.#swept = this.#cut;
    }
    this.#isSaved = false;
  }

  #save(): void {
    this.#isSaved = true;
    if (!this.isOn && this.#swept === this.#cut) {
      this.#store.putMeta(STATE_KEY, null);
      return;
    }
    const state: HistoryState = {
      layout: STATE_LAYOUT, since: this.#since, swept: this.#swept, bytes: this.#bytes, level: this.#level, gap: this.#gap,
    };
    this.#store.putMeta(STATE_KEY, Buffer.from(JSON.stringify(state)));
  }

  // ── what was missed ──────────────────────────────────────────────────────────────────────────

  /** The node begins to fetch what it has missed. In one flush with the first record fetched. */
  suspend(isKnown: IsKnown): void {
    const isFirst = this.#isKnown === undefined;
    this.#isKnown = isKnown;
    if (!this.isOn || !isFirst) return;
    const from = this.#level;
    const { copied = '', from: before = from } = this.#gap ?? {};
    // What was copied before does not reach into what is missing now.
    const again = copied === '' ? '' : [copied, dayKey(ROWS, dayOf(Math.max(0, from - LEASE_HISTORY_MARGIN_SECONDS)))].sort()[0]!;
    this.#gap = { from: Math.min(from, before), to: FOR_EVER, copied: again };
    this.#isSaved = false;
  }

  /** The node is a member, and hears of every change from now on. */
  resume(now: Now): void {
    if (this.#isKnown === undefined) return;
    this.#isKnown = undefined;
    this.#level = wallSeconds(now.wall);
    if (this.#gap === undefined) return;
    this.#gap = { ...this.#gap, to: this.#level + 1 };
    this.#isSaved = false;
  }

  /**
   * From which UTC second on this node can tell another one all rows of its gap; undefined: it lacks some of them itself.
   * One that was away after the other had come back has all of them, though its gap may seem to begin a little earlier.
   * `partial`: then from when on it lacks nothing.
   */
  sinceFor({ from, to }: Pick<HistoryGap, 'from' | 'to'>, partial = false): number | undefined {
    if (!this.isOn || this.#isKnown !== undefined) return undefined;
    const own = this.#gap;
    const overlaps = own !== undefined && own.from + LEASE_HISTORY_SLACK_SECONDS < to && own.to > from + LEASE_HISTORY_SLACK_SECONDS;
    if (!overlaps) return this.#since;
    return partial ? Math.max(this.#since, own.to) : undefined;
  }

  /** For another node: rows of changes made in its gap or later, with keys above `after`; looks at `limit` at most. */
  page(gapFrom: number, after: string, limit: number): { rows: StoredRow[]; next: string; done: boolean } {
    const from = Math.max(0, gapFrom - LEASE_HISTORY_MARGIN_SECONDS);
    const first = dayKey(ROWS, Math.max(this.#cut, dayOf(from)));
    const page = this.#store.metaRange(after < first ? first : keyAfter(after), ROWS_END, limit);
    const rows = page.filter((stored) => (decodeRow(stored)?.noted ?? 0) >= from).map(({ key, value }: MetaAt) => ({ key, value }));
    return { rows, next: page.at(-1)?.key ?? after, done: page.length < limit };
  }

  /** Rows from another node, all up to the key `copied`. False: one of them is none, and nothing is taken. */
  takeRows(rows: readonly StoredRow[], copied: string): boolean {
    const decoded = rows.map((row) => decodeRow(row));
    if (this.#gap === undefined || !isPlace(copied) || !decoded.every((row) => row !== undefined)) return false;
    for (const row of decoded) {
      const key = rowKey(row);
      const value = this.#store.readMeta(key);
      const own = value === undefined ? undefined : decodeRow({ key, value });
      if (own?.exact === true || (own !== undefined && !row.exact)) continue;
      if (own !== undefined) this.#remove(own);
      this.#put(row);
    }
    this.#gap = { ...this.#gap, copied };
    this.#isSaved = false;
    return true;
  }

  /** All rows have come from a node whose history goes back to `since`. */
  closeGap(since: number): void {
    if (this.#gap === undefined) return;
    const { from } = this.#gap;
    if (since > from || this.#since > from) this.#since = Math.max(since, from, this.#cut * DAY_SECONDS);
    this.#gap = undefined;
    this.#isSaved = false;
  }
}

const EMPTY = Buffer.alloc(0);

function rowBytes(key: string, value: Buffer): number {
  return key.length + value.length + LEASE_HISTORY_ROW_OVERHEAD_BYTES;
}

/** What the change from an ACTIVE record tells; undefined: the lease goes on, and its client is where it was. */
function endedRow(address: number, before: Buffer, after: Buffer | undefined, now: Now): HistoryRow | undefined {
  if (after === undefined) return rowOf(address, before, Math.max(wallSeconds(now.wall), recordStateSince(before)), REPLACED, false);
  const isActive = recordState(after) === BindingState.ACTIVE;
  const since = recordStateSince(after);
  const start = recordStateSince(before);
  const isSameClient = (isActive && since !== start) ? false : sameBytes(recordClientKey(before), recordClientKey(after));
  if (isActive && isSameClient) {
    const relay = SectionKind.relayAgentInformation;
    if (sameBytes(recordSection(before, relay), recordSection(after, relay))) return undefined;
    return rowOf(address, before, Math.max(recordLastTransaction(after), start), MOVED, true);
  }
  if (isActive || !isSameClient) return rowOf(address, before, Math.max(since, start), REPLACED, false);
  // Whoever ends a lease copies its record: another last transaction is one that was not seen here.
  const isExact = recordLastTransaction(before) === recordLastTransaction(after);
  return rowOf(address, before, Math.max(since, start), END_BY_STATE[recordState(after)], isExact);
}
