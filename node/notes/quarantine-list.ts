/**
 * Whom the cluster has in quarantine, as this node knows: kept by the notes that it has, whoever wrote them. It keeps
 * the addresses concerned from everybody, and tells which quarantines came and went since somebody last asked.
 */
import { QUARANTINES_MAX } from './limits.ts';
import type { Note } from './note.ts';
import type { Quarantine } from './quarantine.ts';
import { quarantineOf } from './quarantine.ts';
import { QuarantineIndex } from './quarantine-index.ts';

interface Addresses {
  setBlocked(address: number, blocked: boolean): void;
}

export interface Changed {
  readonly before: Quarantine | undefined;
  readonly after: Quarantine | undefined;
}

export class QuarantineList {
  readonly index = new QuarantineIndex();
  readonly #addresses: Addresses;
  /** How often each address is named. */
  readonly #named = new Map<number, number>();
  #changed: Changed[] = [];

  constructor(addresses: Addresses) {
    this.#addresses = addresses;
  }

  get size(): number {
    return this.index.size;
  }

  /** Nobody gets the address. */
  isBlocked(address: number): boolean {
    return this.#named.size > 0 && this.#named.has(address);
  }

  get hasChanged(): boolean {
    return this.#changed.length > 0;
  }

  /** At most so many of those that came, went or became others since, oldest first. */
  takeChanged(limit: number): readonly Changed[] {
    return this.#changed.splice(0, limit);
  }

  /** As a NoteListener. */
  readonly onNote = (key: number, note: Note | undefined): void => {
    const before = this.index.get(key);
    const after = quarantineOf(key, note);
    if (before === undefined && after === undefined) return;
    if (after === undefined) this.index.delete(key);
    else this.index.add(after);
    this.#name(after?.subject.address, 1);
    this.#name(before?.subject.address, -1);
    // A node out of service takes none, and looks at all records when it is in service.
    if (this.#changed.length >= QUARANTINES_MAX) this.#changed.shift();
    this.#changed.push({ before, after });
  };

  #name(address: number | undefined, count: 1 | -1): void {
    if (address === undefined) return;
    const times = (this.#named.get(address) ?? 0) + count;
    if (times === 0) {
      this.#named.delete(address);
      this.#addresses.setBlocked(address, false);
    } else {
      if (times === 1 && count === 1) this.#addresses.setBlocked(address, true);
      this.#named.set(address, times);
    }
  }
}
