/** The history file: a line of JSON for everything that happened, in the order in which it was told. */
import { createWriteStream, type WriteStream } from 'node:fs';
import { once } from 'node:events';
import type { HistoryEntry } from './events.ts';

export class History {
  readonly path: string;
  readonly #stream: WriteStream;

  constructor(path: string) {
    this.path = path;
    this.#stream = createWriteStream(path);
  }

  /** Nothing any more once it is closed: clients go on until they are ended. */
  add(entry: HistoryEntry): void {
    if (!this.#stream.writableEnded) this.#stream.write(`${JSON.stringify(entry)}\n`);
  }

  async close(): Promise<void> {
    this.#stream.end();
    await once(this.#stream, 'finish');
  }
}
