/**
 * What goes out on one connection, as fast as the other side reads: nothing is taken from a query while what was
 * written before has not left. So a requestor that reads slowly holds up itself, and memory stays as it is.
 */
import type { Duplex } from 'node:stream';

export class Outgoing {
  #stream: Duplex;
  #waiters: (() => void)[] = [];
  /** Monotonic milliseconds since when nothing could be written; undefined: it can. */
  #blockedSince: number | undefined;
  #closed = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#listen();
  }

  /** Goes on over another stream: TLS over the connection that there was. */
  switchTo(stream: Duplex): void {
    this.#stream = stream;
    this.#listen();
  }

  #listen(): void {
    this.#stream.on('drain', () => {
      this.#blockedSince = undefined;
      this.#wake();
    });
    this.#stream.on('close', () => this.close());
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get isBlocked(): boolean {
    return this.#blockedSince !== undefined;
  }

  /** How long nothing could be written. */
  blockedMs(): number {
    return this.#blockedSince === undefined ? 0 : performance.now() - this.#blockedSince;
  }

  /** The bytes are the stream's from now on. */
  write(bytes: Buffer): void {
    if (this.#closed) return;
    if (!this.#stream.write(bytes)) this.#blockedSince ??= performance.now();
  }

  /** Resolves when what waits has left, now or later, or when the connection has closed. */
  drained(): Promise<void> {
    return this.#closed ? Promise.resolve() : new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Resolves when more may be written, when the connection has closed, or when the time is over. */
  async ready(timeoutMs: number): Promise<void> {
    if (this.#closed || this.#blockedSince === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
      timer = setTimeout(resolve, timeoutMs);
    });
    clearTimeout(timer);
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** What was written still leaves, and nothing after it. */
  end(): void {
    this.#stream.end();
    this.close();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
