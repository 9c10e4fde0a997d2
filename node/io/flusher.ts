/** One flush under way at a time: all changes of the meantime share the next. A disk that fails is tried again. */
import type { WriteBatch } from '../lease/store.ts';
import { StoreError } from '../lease/store-error.ts';

const STORE_RETRY_MS = 1000;

export interface FlusherParts {
  readonly commit: (batch: WriteBatch) => Promise<void>;
  readonly takeWrites: () => WriteBatch | undefined;
  readonly onFlushed: (position: number, seconds: number) => void;
  /** The first failure of a flush; it is tried until it succeeds. */
  readonly onFailed: (error: Error) => void;
  /** A mistake of ours: the node cannot go on. */
  readonly onBroken: (error: Error) => void;
}

export class Flusher {
  readonly #parts: FlusherParts;
  #committing = false;
  #closed = false;

  constructor(parts: FlusherParts) {
    this.#parts = parts;
  }

  close(): void {
    this.#closed = true;
  }

  flush(): void {
    if (this.#committing) return;
    const batch = this.#parts.takeWrites();
    if (batch === undefined) return;
    this.#committing = true;
    void this.#commit(batch);
  }

  async #commit(batch: WriteBatch): Promise<void> {
    const began = performance.now();
    for (let failed = false; ; failed = true) {
      try {
        await this.#parts.commit(batch);
        break;
      } catch (error) {
        if (this.#closed) return;
        // A full or failing disk may recover; anything else is a mistake of ours.
        if (!(error instanceof StoreError) || error.code === 'closed') return this.#parts.onBroken(error as Error);
        if (!failed) this.#parts.onFailed(error);
        await new Promise((resolve) => setTimeout(resolve, STORE_RETRY_MS));
      }
    }
    if (this.#closed) return;
    this.#committing = false;
    this.#parts.onFlushed(batch.position, (performance.now() - began) / 1000);
    return undefined;
  }
}
