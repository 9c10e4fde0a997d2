/**
 * Which notes there are, in memory: found again at every start, told of every change of the store. It keeps numbers
 * alone; what a note says lies in the store, or with who listens.
 */
import type { RecordAt } from '../lease/merged-records.ts';
import { LOAD_PAGE_RECORDS } from '../limits.ts';
import { NOTES_LOOKED_AT_MAX } from './limits.ts';
import { NOTE_KEYS, NOTE_KEYS_END, noteKind, readNote } from './note.ts';
import type { Note, NoteKind } from './note.ts';

const SLOTS = 256;

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
  /** By kind and slot: how many there are. */
  readonly #taken: Readonly<Record<NoteKind, Uint32Array>> = { quarantine: new Uint32Array(SLOTS), audit: new Uint32Array(SLOTS), refusal: new Uint32Array(SLOTS) };
  /** By kind: since when the newest one is there. */
  readonly #newest: Record<NoteKind, number> = { quarantine: 0, audit: 0, refusal: 0 };
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
    const slot = key & 0xff;
    if (note === undefined) {
      if (this.#since[kind].delete(key)) this.#taken[kind][slot]!--;
    } else {
      if (!this.#since[kind].has(key)) this.#taken[kind][slot]!++;
      this.#since[kind].set(key, note.since);
      // Whoever has written the newest one: keys are given in one order, on all nodes and over restarts.
      if (note.since >= this.#newest[kind]) {
        this.#newest[kind] = note.since;
        this.#next[kind] = key + 1;
      }
    }
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
   * A key for a new note: free, in a slot that `owns` says yes to. Where none of those is free that of an old note if
   * `replaces`, else 0. Store under it before asking for the next.
   */
  newKey(kind: NoteKind, owns: (slot: number) => boolean, replaces: boolean): number {
    const { first, last } = NOTE_KEYS[kind];
    const taken = this.#since[kind];
    const size = last - first + 1;
    const isFree = this.#taken[kind].some((count, slot) => count < size / SLOTS && owns(slot));
    if (!isFree && !replaces) return 0;
    let oldest = 0;
    const most = isFree ? size : NOTES_LOOKED_AT_MAX;
    let looked = 0;
    for (let i = 0; i < size && looked < most; i++) {
      const key = first + ((this.#next[kind] - first + i) % size);
      if (!owns(key & 0xff)) continue;
      const since = taken.get(key);
      if (since === undefined) {
        this.#next[kind] = key + 1;
        return key;
      }
      looked++;
      if (oldest === 0 || since < taken.get(oldest)!) oldest = key;
    }
    // Keys are given in order, so those that come next are those of longest ago.
    return oldest;
  }
}
