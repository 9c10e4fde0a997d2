/**
 * Who held an address, or which addresses a client held: the history's rows and the bindings of now, put together. A
 * search reads a bounded number of rows a step, so that it never holds up a packet; what it has found it puts in order
 * at the end.
 */
import { sameBytes } from '../lease/fingerprint.ts';
import { BindingState, recordClientKey, recordState, recordStateSince, recordLastTransaction } from '../lease/record.ts';
import { HISTORY_SEARCH_DAYS_PER_STEP, HISTORY_SEARCH_ROWS_MAX, HISTORY_SEARCH_ROWS_OF_DAY_MAX, HISTORY_SEARCH_ROWS_PER_STEP } from './limits.ts';
import type { LeaseHistory } from './lease-history.ts';
import { addressRange, DAY_SECONDS, dayOf, hardwareKey, MOVED, rowOf, TENURE_ENDS } from './row.ts';
import type { HistoryRow, TenureEnd } from './row.ts';

/** A lease, or the part of one in which its client was behind one relay port. */
export interface Tenure {
  readonly row: HistoryRow;
  /** UTC seconds. */
  readonly from: number;
  /** Undefined: it goes on. */
  readonly to: number | undefined;
  readonly end: TenureEnd | 'active';
  /** False: `to` is the latest it can have been, or `from` the latest it can have begun. */
  readonly exact: boolean;
}

export type HistorySubject = { readonly address: number } | { readonly client: Uint8Array; readonly isHardware: boolean };

/** Both ends included, UTC seconds. */
export interface HistoryPeriod {
  readonly from: number;
  readonly to: number;
}

/** The bindings of now: the lease table. */
export interface CurrentBindings {
  read(address: number): Buffer | undefined;
  findAllByClient(clientKey: Uint8Array): number[];
  findAllByHardware(hardware: Uint8Array): number[];
}

export class HistorySearch {
  readonly #history: LeaseHistory;
  readonly #bindings: CurrentBindings;
  readonly #subject: HistorySubject;
  readonly #period: HistoryPeriod;
  /** Rows filed before that second are of no interest: those leases ended before the period, or were told before. */
  readonly #startAt: number;
  readonly #second: number;
  readonly #rows: HistoryRow[] = [];
  #day: number;
  #lastDay: number;
  /** In the day at hand; empty: from its start. */
  #next = '';
  /** Rows of this second and later ones were not looked at any more, since there are so many. */
  #goesOnAt: number | undefined;
  /** Leases that began earlier, by name: where their clients were last is looked for in the end. */
  #begun: Set<string> | undefined;
  #isTooMuch = false;

  /** `second`: now, UTC. `goOnAt`: what an earlier search of the same period has said, to hear the rest. */
  constructor(history: LeaseHistory, bindings: CurrentBindings, subject: HistorySubject, period: HistoryPeriod, second: number, goOnAt = 0) {
    this.#history = history;
    this.#bindings = bindings;
    this.#subject = subject;
    this.#period = period;
    this.#second = second;
    this.#startAt = Math.max(period.from, goOnAt);
    this.#day = Math.max(history.firstDay, dayOf(this.#startAt));
    // The clock of the node that filed a row may be ahead.
    this.#lastDay = dayOf(second) + 1;
  }

  /** True: there is more to do. */
  step(): boolean {
    for (let looked = 0, rows = 0; looked < HISTORY_SEARCH_DAYS_PER_STEP && rows < HISTORY_SEARCH_ROWS_PER_STEP; looked++) {
      if (this.#day > this.#lastDay && !this.#goBack()) return false;
      rows += this.#look();
    }
    return true;
  }

  /** A part of the day at hand; how many rows it had. */
  #look(): number {
    const page = this.#read();
    for (const row of page.rows) if (this.#concerns(row)) this.#take(row);
    this.#next = page.next ?? '';
    if (page.next === undefined) this.#endDay();
    if (this.#rows.length > HISTORY_SEARCH_ROWS_OF_DAY_MAX) {
      this.#isTooMuch = true;
      this.#day = this.#lastDay + 1;
    }
    return page.rows.length;
  }

  #take(row: HistoryRow): void {
    if (this.#begun !== undefined) {
      if (row.noted < this.#startAt && row.end === MOVED && this.#begun.has(nameOf(row))) this.#rows.push(row);
    } else if (row.noted >= this.#startAt) {
      if (row.start <= this.#period.to) this.#rows.push(row);
      // Leases of an address do not overlap: what is filed later began later still.
      else if ('address' in this.#subject) this.#lastDay = this.#day;
    }
  }

  #endDay(): void {
    this.#day++;
    if (this.#begun !== undefined || this.#day > this.#lastDay || this.#rows.length < HISTORY_SEARCH_ROWS_MAX) return;
    this.#goesOnAt = this.#day * DAY_SECONDS;
    this.#lastDay = this.#day - 1;
  }

  /** Once, when the period has been looked at. */
  #goBack(): boolean {
    if (this.#begun !== undefined || this.#isTooMuch) return false;
    const current = this.#current().map(({ address, record }) => rowOf(address, record, 0, MOVED, true));
    const earlier = [...this.#rows, ...current].filter(({ start }) => start < this.#startAt);
    this.#begun = new Set(earlier.map(nameOf));
    this.#day = Math.max(this.#history.firstDay, dayOf(Math.min(...earlier.map(({ start }) => start))));
    this.#lastDay = earlier.length === 0 ? -1 : dayOf(this.#startAt);
    return this.#day <= this.#lastDay;
  }

  #read(): { rows: HistoryRow[]; next: string | undefined } {
    if (!('address' in this.#subject)) return this.#history.rowsOfClient(this.#day, this.#subject.client, this.#next, HISTORY_SEARCH_ROWS_PER_STEP);
    const second = this.#begun === undefined && dayOf(this.#startAt) === this.#day ? this.#startAt % DAY_SECONDS : 0;
    const [from, to] = addressRange(this.#day, this.#subject.address, second);
    return this.#history.rows(this.#next === '' ? from : this.#next, to, HISTORY_SEARCH_ROWS_PER_STEP);
  }

  #concerns(row: HistoryRow): boolean {
    if ('address' in this.#subject) return true;
    return sameBytes(this.#subject.isHardware ? hardwareKey(row.htype, row.chaddr) : row.clientKey, this.#subject.client);
  }

  /**
   * Once `step` has said that there is no more to do; newest first. `goesOnAt`: leases that ended in that second or later
   * are left out: ask again with it. Undefined: they are too many for one day.
   */
  result(): { readonly tenures: Tenure[]; readonly goesOnAt: number | undefined } | undefined {
    if (this.#isTooMuch) return undefined;
    const bindings = this.#goesOnAt === undefined ? this.#current() : [];
    const tenures = tenuresOf(this.#rows, bindings, this.#second)
      .filter(({ from, row, to }) => from <= this.#period.to && (to === undefined || (to >= this.#period.from && row.noted >= this.#startAt)));
    tenures.sort((a, b) => b.from - a.from || (b.to ?? Infinity) - (a.to ?? Infinity) || a.row.address - b.row.address);
    return { tenures, goesOnAt: this.#goesOnAt };
  }

  #current(): { address: number; record: Buffer }[] {
    const subject = this.#subject;
    const addresses = 'address' in subject ? [subject.address]
      : subject.isHardware ? this.#bindings.findAllByHardware(subject.client) : this.#bindings.findAllByClient(subject.client);
    return addresses.flatMap((address) => {
      const record = this.#bindings.read(address);
      return record === undefined || recordClientKey(record).length === 0 ? [] : [{ address, record }];
    });
  }
}

/** A lease by address, start and client: rows of it that come twice are one. */
function nameOf({ address, clientKey, start }: HistoryRow): string {
  return `${address} ${start} ${clientKey.toString('hex')}`;
}

interface Gathered {
  readonly moves: Map<number, HistoryRow>;
  last: { readonly row: HistoryRow; readonly isActive: boolean } | undefined;
}

/**
 * From rows in any order and the bindings of now to leases. Of two rows that end the same lease the exact one counts, then
 * the later one: an earlier end was undone (a change that was never committed). A lease that goes on has not ended.
 */
export function tenuresOf(rows: readonly HistoryRow[], bindings: readonly { readonly address: number; readonly record: Buffer }[], second: number): Tenure[] {
  const leases = new Map<string, Gathered>();
  const of = (row: HistoryRow): Gathered => {
    const name = nameOf(row);
    let lease = leases.get(name);
    if (lease === undefined) leases.set(name, lease = { moves: new Map(), last: undefined });
    return lease;
  };
  for (const row of rows) {
    const lease = of(row);
    if (row.end === MOVED) lease.moves.set(row.noted, row);
    else if (lease.last === undefined || isBetter(row, lease.last.row)) lease.last = { row, isActive: false };
  }
  const tenures: Tenure[] = [];
  for (const { address, record } of bindings) {
    const row = rowOf(address, record, second, MOVED, true);
    if (recordState(record) === BindingState.ACTIVE) of(row).last = { row, isActive: true };
    else if (!rows.some((known) => isEndOf(known, address, record))) tenures.push(...endOnly(address, record));
  }
  for (const lease of leases.values()) tenures.push(...partsOf(lease, second));
  return tenures;
}

function isBetter(row: HistoryRow, than: HistoryRow): boolean {
  return row.exact === than.exact ? row.noted > than.noted : row.exact;
}

function isEndOf(row: HistoryRow, address: number, record: Buffer): boolean {
  return row.address === address && row.noted >= recordStateSince(record) && row.end !== MOVED && sameBytes(row.clientKey, recordClientKey(record));
}

const ENDED: Partial<Record<BindingState, 1 | 2 | 3>> = { [BindingState.EXPIRED]: 1, [BindingState.RELEASED]: 2, [BindingState.ABANDONED]: 3 };

/** A binding whose lease ended before the history began: when it began is not known any more. */
function endOnly(address: number, record: Buffer): Tenure[] {
  const end = ENDED[recordState(record)];
  const lastTransaction = recordLastTransaction(record);
  // An address that was declined when it was offered was nobody's.
  if (end === undefined || lastTransaction >= recordStateSince(record)) return [];
  const row = { ...rowOf(address, record, recordStateSince(record), end, false), start: lastTransaction };
  return [{ row, from: lastTransaction, to: endSecond(row), end: TENURE_ENDS[end], exact: false }];
}

function partsOf({ last, moves }: Gathered, second: number): Tenure[] {
  const parts: Tenure[] = [];
  let from: number | undefined;
  for (const row of [...moves.values()].sort((a, b) => a.noted - b.noted)) {
    parts.push({ row, from: from ?? row.start, to: row.noted, end: 'moved', exact: row.exact });
    from = row.noted;
  }
  if (last === undefined) return parts;
  const { isActive, row } = last;
  const start = from ?? row.start;
  if (!isActive) parts.push({ row, from: start, to: Math.max(start, endSecond(row)), end: TENURE_ENDS[row.end], exact: row.exact });
  // Its owner has not noticed yet that it ran out.
  else if (row.expires <= second) parts.push({ row, from: start, to: row.expires, end: 'expired', exact: true });
  else parts.push({ row, from: start, to: undefined, end: 'active', exact: true });
  return parts;
}

/** When the lease was over, at the latest. */
function endSecond({ expires, noted }: HistoryRow): number {
  return Math.min(noted, expires);
}
