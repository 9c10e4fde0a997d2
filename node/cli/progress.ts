/** How far a long command has come: one line on standard error that is written over, where that is a terminal; else nothing. */

export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const EVERY_MS = 200;
const COLUMNS = 80;

export class Progress {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  #shownAt = -Infinity;
  #shown = false;

  /** `now`: monotonic milliseconds. */
  constructor(stream: ProgressStream = process.stderr, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
  }

  /** Often: the text is only made when it is shown. */
  show(text: () => string): void {
    if (this.#stream.isTTY !== true || this.#now() - this.#shownAt < EVERY_MS) return;
    this.#shownAt = this.#now();
    this.#shown = true;
    this.#stream.write(`\r\u001b[K${text().slice(0, (this.#stream.columns ?? COLUMNS) - 1)}`);
  }

  /** Takes the line away: before anything else is written, and at the end. */
  clear(): void {
    if (this.#shown) this.#stream.write('\r\u001b[K');
    this.#shown = false;
  }
}

/** "12,345/s" since a moment of the monotonic clock. */
export function rateText(count: number, since: number, now: number = performance.now()): string {
  const seconds = (now - since) / 1000;
  return `${Math.round(seconds > 0 ? count / seconds : 0).toLocaleString('en')}/s`;
}
