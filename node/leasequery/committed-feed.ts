/**
 * The changes that wait until they are committed, for who listens to them as they happen (RFC 7724 §7.3).
 *
 * They are handed out in the order of their numbers: whoever knows all up to one number goes on with the next.
 * One that is not committed holds up those behind it, for the milliseconds that a commit takes; unless the newest
 * change of its address is committed, for then it never will be, and nobody need know of it: what has become of the
 * address is handed out in its place, so that who follows by the numbers finds no gap.
 *
 * What was stored before anybody listened is in the history only, and some of it may not be committed yet. Until
 * all of it is, nothing is handed out, and `through` is not known.
 */
import { recordIncarnation, recordSeq } from '../lease/record.ts';
import { FEED_CHANGES_MAX, FEED_INCARNATIONS_MAX } from '../limits.ts';
import type { BindingChange } from './history-chunk.ts';

/** An incarnation that is in no view counts as one that has left: committed once the view is finished. */
export type IsCommitted = (incarnation: number, seq: number) => boolean;

export type TakenChanges =
  /** Too many waited, or the history has begun anew: what was not handed out yet is only in the history, if anywhere. */
  | { readonly lost: true }
  | {
    readonly lost: false;
    readonly changes: readonly BindingChange[];
    /** All up to this number are committed, and handed out if they came since somebody listens; undefined: not known yet. */
    readonly through: number | undefined;
  };

interface Reached {
  seq: number;
  number: number;
}

/** Stands for what was stored before this start. */
const EARLIER: readonly [incarnation: number, seq: number] = [0, 0];
const COMPACT_AT = 1024;

export class CommittedFeed {
  #listening = false;
  #isLost = false;
  #waiting: BindingChange[] = [];
  /** Of `#waiting`: what lies before it is handed out. */
  #head = 0;
  /** By address, the number of the newest change that waits. */
  readonly #newest = new Map<number, number>();
  /** How far each log has been stored since the start. */
  readonly #reached = new Map<number, Reached>();
  /** What must be committed before anything is handed out. */
  #before: (readonly [incarnation: number, seq: number])[] = [];
  #through = 0;

  get listening(): boolean {
    return this.#listening;
  }

  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  /** `last`: the number of the newest change so far. */
  listen(last: number): void {
    this.#clear();
    this.#listening = true;
    this.#isLost = false;
    this.#through = last;
    this.#before = [EARLIER, ...[...this.#reached].map(([incarnation, { seq }]) => [incarnation, seq] as const)];
  }

  close(): void {
    this.#clear();
    this.#listening = false;
  }

  #clear(): void {
    this.#waiting = [];
    this.#head = 0;
    this.#newest.clear();
  }

  /** What waits will never be handed out; whoever listens is told so once. */
  lose(): void {
    this.#clear();
    this.#isLost = this.#listening;
  }

  add(change: BindingChange): void {
    if (change.record !== undefined) this.#note(change.record, change.number);
    if (!this.#listening || this.#isLost) return;
    this.#waiting.push(change);
    this.#newest.set(change.address, change.number);
    if (this.waiting > FEED_CHANGES_MAX) this.lose();
  }

  #note(record: Buffer, number: number): void {
    const incarnation = recordIncarnation(record);
    const seq = recordSeq(record);
    const reached = this.#reached.get(incarnation);
    if (reached === undefined) {
      if (this.#reached.size >= FEED_INCARNATIONS_MAX) this.#forgetStillest();
      this.#reached.set(incarnation, { seq, number });
    } else {
      if (seq > reached.seq) reached.seq = seq;
      reached.number = number;
    }
  }

  #forgetStillest(): void {
    const [stillest] = [...this.#reached].reduce((one, other) => (other[1].number < one[1].number ? other : one));
    this.#reached.delete(stillest);
  }

  /** The next ones that are committed, at most `limit`. */
  take(isCommitted: IsCommitted, limit: number, last: number): TakenChanges {
    if (!this.#listening) return { lost: false, changes: [], through: undefined };
    if (this.#isLost) {
      this.listen(last);
      return { lost: true };
    }
    if (this.#before.length > 0) this.#before = this.#before.filter(([incarnation, seq]) => !isCommitted(incarnation, seq));
    if (this.#before.length > 0) return { lost: false, changes: [], through: undefined };
    const changes: BindingChange[] = [];
    for (; changes.length < limit && this.waiting > 0; this.#head++) {
      const change = this.#waiting[this.#head]!;
      const newest = this.#at(this.#newest.get(change.address)!);
      if (isSettled(change, isCommitted)) changes.push(change);
      else if (isSettled(newest, isCommitted)) changes.push({ ...change, record: newest.record });
      else break;
      if (newest === change) this.#newest.delete(change.address);
      this.#through = change.number;
    }
    this.#compact();
    return { lost: false, changes, through: this.#through };
  }

  /** Numbers have no gap. */
  #at(number: number): BindingChange {
    return this.#waiting[this.#head + number - this.#waiting[this.#head]!.number]!;
  }

  #compact(): void {
    if (this.#head === this.#waiting.length || this.#head >= Math.max(COMPACT_AT, this.#waiting.length / 2)) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Of the oldest change that somebody who listens does not have yet; undefined: everything is handed out. */
  oldestSecond(): number | undefined {
    return this.#listening && this.waiting > 0 ? this.#waiting[this.#head]!.second : undefined;
  }
}

/** A record that went was taken away by the word of the members. */
function isSettled({ record }: BindingChange, isCommitted: IsCommitted): boolean {
  return record === undefined || isCommitted(recordIncarnation(record), recordSeq(record));
}
