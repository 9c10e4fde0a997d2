/**
 * The logs of recent changes in memory: this node's own, and what it received of the others', for
 * the tail that an evicted node's heirs exchange. Entries are numbered without holes from `base`.
 */
import type { Change } from '../../proto/gen/replication.ts';
import { chainChecksum } from './cursors.ts';

export interface LogEntry extends Change {
  readonly seq: number;
  /** The store's position of its write: flushed when the store has flushed that far. */
  readonly position: number;
  /** Monotonic milliseconds. */
  readonly madeAt: number;
  readonly checksum: number;
}

/** Committed entries kept for a peer that reconnects, learns or asks for a tail; beyond it a learner fetches again. */
export const LOG_KEPT_ENTRIES = 16_384;

/** The first of them that fit; one at least, so that there is an end. */
export function withinBytes<T extends Change>(changes: T[], bytesMax: number): T[] {
  let bytes = 0;
  const count = changes.findIndex(({ record }) => (bytes += record.length) > bytesMax);
  return count < 0 ? changes : changes.slice(0, Math.max(1, count));
}

export class RecentLog {
  readonly incarnation: number;
  #entries: LogEntry[] = [];
  /** Index of the first live entry: shifting an array of thousands on each append would cost. */
  #head = 0;
  #last: number;
  #lastChecksum: number;

  constructor(incarnation: number, last = 0, checksum = 0) {
    this.incarnation = incarnation;
    this.#last = last;
    this.#lastChecksum = checksum;
  }

  /** The number of the newest entry; the next one gets one more. */
  get last(): number {
    return this.#last;
  }

  /** The lowest number that is still held, or last + 1. */
  get base(): number {
    return this.#entries[this.#head]?.seq ?? this.#last + 1;
  }

  append(address: number, record: Buffer, position: number, madeAt: number): LogEntry {
    this.#lastChecksum = chainChecksum(this.#lastChecksum, record);
    const entry = { seq: ++this.#last, address, record, position, madeAt, checksum: this.#lastChecksum };
    this.#entries.push(entry);
    return entry;
  }

  at(seq: number): LogEntry | undefined {
    return seq < this.base ? undefined : this.#entries[this.#head + seq - this.base];
  }

  /** Whether another's word of this log agrees with it; of what is no longer held nothing can be said. */
  agrees(seq: number, checksum: number): boolean {
    if (seq === 0) return true;
    if (seq > this.#last) return false;
    const entry = this.at(seq);
    return entry === undefined || entry.checksum === checksum;
  }

  /** Entries above `after`, at most `limit`; only what is still held. */
  after(after: number, limit: number): LogEntry[] {
    const from = this.#head + Math.max(0, after + 1 - this.base);
    return this.#entries.slice(from, from + limit);
  }

  /** Forgets entries up to `seq` beyond the kept number. */
  trim(seq: number): void {
    while (this.#entries.length - this.#head > LOG_KEPT_ENTRIES && this.#entries[this.#head]!.seq <= seq) this.#head++;
    if (this.#head > LOG_KEPT_ENTRIES) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }
}
