/**
 * A moment of the store, marked by the thread that writes it, for another thread of the process that reads the
 * store as it was then (store-snapshot.ts). Shared memory tells that one whether the mark still holds.
 *
 * The turns count on by 2 before a turn of the journal: before anything of the generation that ends is put into
 * LMDB, and before the other file is written over. A batch that is larger than the journal goes into LMDB without
 * it: the turns are odd from before its transaction until the batch counts as committed.
 */
export interface SnapshotMark {
  /** Of the journal's current file, and which of the two files that is. */
  readonly generation: number;
  readonly file: number;
  /** Of that generation so many were committed, and of the one before. */
  readonly frames: number;
  readonly previousFrames: number;
  /** The start of the frames' checksums. */
  readonly seed: number;
  readonly turns: number;
  readonly sharedTurns: SharedArrayBuffer;
}

const TURN = 2;

export class Turns {
  readonly shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  readonly #count = new Int32Array(this.shared);

  get count(): number {
    return Atomics.load(this.#count, 0);
  }

  turn(): void {
    Atomics.add(this.#count, 0, TURN);
  }

  /** Around a transaction that goes past the journal. */
  async pastJournal(write: () => Promise<void>): Promise<void> {
    Atomics.add(this.#count, 0, 1);
    try {
      await write();
    } finally {
      Atomics.add(this.#count, 0, 1);
    }
  }
}

/** How many turns there were since the mark; undefined where it is none to go by, as LMDB may be ahead of it. */
export function turnsSince(mark: SnapshotMark): number | undefined {
  if (mark.turns % TURN !== 0) return undefined;
  // The count may have passed the largest number, which the difference does not show.
  const since = (Atomics.load(new Int32Array(mark.sharedTurns), 0) - mark.turns) | 0;
  return since / TURN;
}
