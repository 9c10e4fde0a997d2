/** The changes of late, in order, for all who follow them; each is somewhere in them, or has fallen behind. */
import { FOLLOWED_CHANGES_MAX } from '../../limits.ts';
import { historyKey, readChunk } from '../history-chunk.ts';
import type { BindingChange } from '../history-chunk.ts';

export class FollowedChanges {
  readonly #changesMax: number;
  #changes: BindingChange[] = [];
  /** Of the first one in `#changes`. */
  #first = 1;

  constructor(changesMax: number = FOLLOWED_CHANGES_MAX) {
    this.#changesMax = changesMax;
  }

  /** Changes as a chunk of the history has them; what is known already is passed over. */
  push(first: number, chunk: Buffer): void {
    const changes = readChunk(historyKey(first), chunk);
    if (changes === undefined) return this.clear();
    if (first !== this.#first + this.#changes.length) {
      this.#changes = [];
      this.#first = first;
    }
    this.#changes.push(...changes);
    const over = this.#changes.length - this.#changesMax;
    if (over <= 0) return undefined;
    this.#changes.splice(0, over);
    this.#first += over;
    return undefined;
  }

  clear(): void {
    this.#changes = [];
  }

  /** The number of the next one that comes; undefined: none has come yet. */
  get next(): number | undefined {
    return this.#changes.length === 0 ? undefined : this.#first + this.#changes.length;
  }

  /** Undefined: it has not come yet. 'gone': it is not kept any more. */
  at(number: number): BindingChange | 'gone' | undefined {
    if (this.#changes.length === 0) return undefined;
    return number < this.#first ? 'gone' : this.#changes[number - this.#first];
  }
}
