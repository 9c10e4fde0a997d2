/**
 * Which notes there are, in memory: found again at every start, told of every change of the store. It keeps numbers
 * alone; what a note says lies in the store, or with who listens.
 */
import type { RecordAt } from '../lease/merged-records.ts';
import { LOAD_PAGE_RECORDS } from '../limits.ts';
import { NOTE_KEYS, NOTE_KEYS_END, noteKind, readNote } from './note.ts';
import type { Note, NoteKind } from './note.ts';

/** Hears of a note that is there or was changed, and of one that is over (undefined). */
export type NoteListener = (key: number, note: Note | undefined) => void;

interface NoteRecords {
  read(key: number): Buffer | undefined;
  records(after: number, limit: number): readonly RecordAt[];
}

export class NoteBook {
  readonly #records: NoteRecords;
  /** By kind: since when each note is there, by key; in order of key. */
  readonly #since: Readonly<Record<NoteKind, Map<number, number>>> = { quarantine: new Map(), audit: new Map(), refusal: new Map() };
  readonly #listeners: Partial<Record<NoteKind, NoteListener>> = {};
  /** By kind: where the next new note is looked for. */
  readonly #next: Record<NoteKind, number> = {
    quarantine: NOTE_KEYS.quarantine.first, audit: NOTE_KEYS.audit.first, refusal: NOTE_KEYS.refusal.first,
  };

  constructor(records: NoteRecords) {
    this.#records = records;
  }

  /** Reads those that are stored. Whoever is to hear of them has said so before. */
  load(): void {
    for (let after = -1; ;) {
      const page = this.#records.records(after, LOAD_PAGE_RECORDS);
      for (const { address, record } of page) if (address < NOTE_KEYS_END) this.onRecord(address, record);
      const last = page.at(-1)?.address;
      if (last === undefined || last >= NOTE_KEYS_END) return;
      after = last;
    }
  }

  listen(kind: NoteKind, listener: NoteListener): void {
    this.#listeners[kind] = listener;
  }

  /** A record below NOTE_KEYS_END was stored, or went. */
  onRecord(key: number, record: Buffer | undefined): void {
    const kind = noteKind(key);
    if (kind === undefined) return;
    const note = readNote(record);
    if (note === undefined) this.#since[kind].delete(key);
    else this.#since[kind].set(key, note.since);
    this.#listeners[kind]?.(key, note);
  }

  count(kind: NoteKind): number {
    return this.#since[kind].size;
  }

  keys(kind: NoteKind): readonly number[] {
    return [...this.#since[kind].keys()];
  }

  /** Since when each is there (UTC seconds), by key. */
  all(kind: NoteKind): ReadonlyMap<number, number> {
    return this.#since[kind];
  }

  read(key: number): Note | undefined {
    return readNote(this.#records.read(key));
  }

  /**
   * A key for a new note: free, in a slot that `owns` says yes to. Where none of those is free the oldest note's if
   * `replaces`, else 0. Store under it before asking for the next.
   */
  newKey(kind: NoteKind, owns: (slot: number) => boolean, replaces: boolean): number {
    const { first, last } = NOTE_KEYS[kind];
    const taken = this.#since[kind];
    const size = last - first + 1;
    for (let i = 0; i < size; i++) {
      const key = first + ((this.#next[kind] - first + i) % size);
      if (taken.has(key) || !owns(key & 0xff)) continue;
      this.#next[kind] = key + 1;
      return key;
    }
    if (!replaces) return 0;
    let oldest = 0;
    for (const [key, since] of taken) if (owns(key & 0xff) && (oldest === 0 || since < taken.get(oldest)!)) oldest = key;
    return oldest;
  }
}
