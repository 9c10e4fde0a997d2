/**
 * Lines to standard output that can neither block nor crash the node: a terminal that was stopped, a
 * pipe that nobody reads or that was closed, a full disk.
 *
 * Invariants: at most one write is under way; what waits is bounded, and lines past the bound are
 * counted and lost; after an error that is not "try again" the output is closed for good.
 */
import { closeSync, constants, fstatSync, openSync, write, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { isatty } from 'node:tty';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LineOutput } from '../log.ts';

/** Log text that waits for a slow reader; lines past it are lost and counted. */
export const LOG_BACKLOG_BYTES_MAX = 1 << 20;
const WRITE_BYTES_MAX = 64 * 1024;
const RETRY_MS = 20;
const CLOSE_WAIT_MS = 500;

type WriteOne = (chunk: Buffer, done: (error: NodeJS.ErrnoException | null, written: number) => void) => void;

/**
 * A pipe or terminal opened once more, without blocking: O_NONBLOCK belongs to the open file, so
 * setting it on the inherited one would hit every process that shares it. Files need none, and would
 * lose their position. Without it a write that nobody takes would keep the process from ending, since
 * the end waits for the thread that writes.
 */
function openWithoutBlocking(fd: number): number {
  const kind = fstatSync(fd);
  if (!kind.isFIFO() && !kind.isCharacterDevice()) return fd;
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return fd;
  }
}

/** A socket (what systemd gives) cannot be opened once more: libuv's own writing does not block on it. */
function writerFor(fd: number): WriteOne {
  if (!fstatSync(fd).isSocket()) return (chunk, done) => write(fd, chunk, done);
  const socket = new Socket({ fd, readable: false, writable: true });
  // The error also comes to the write's own callback.
  socket.on('error', () => {});
  return (chunk, done) => {
    socket.write(chunk, (error) => done(error ?? null, chunk.length));
  };
}

export class StandardOutput implements LineOutput {
  readonly isTerminal: boolean;
  /** Lines lost because the reader was too slow or is gone. */
  dropped = 0;
  readonly #fd: number;
  readonly #ownsFd: boolean;
  readonly #write: WriteOne;
  readonly #bytesMax: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #writing = false;
  #closed = false;

  constructor(fd = 1, bytesMax = LOG_BACKLOG_BYTES_MAX) {
    this.isTerminal = isatty(fd);
    this.#fd = openWithoutBlocking(fd);
    this.#ownsFd = this.#fd !== fd;
    this.#write = writerFor(this.#fd);
    this.#bytesMax = bytesMax;
  }

  /** `line` ends with a newline. */
  write(line: string): void {
    const bytes = Buffer.from(line, 'utf8');
    if (this.#closed || this.#waitingBytes + bytes.length > this.#bytesMax) {
      this.dropped++;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (!this.#writing) this.#writeNext();
  }

  #writeNext(): void {
    if (this.#waiting.length === 0 || this.#closed) {
      this.#writing = false;
      return;
    }
    this.#writing = true;
    const chunk = this.#takeChunk();
    this.#write(chunk, (error, written) => {
      if (error === null) {
        this.#waitingBytes -= written;
        if (written < chunk.length) this.#waiting.unshift(chunk.subarray(written));
        this.#writeNext();
      } else if (error.code === 'EAGAIN') {
        this.#waiting.unshift(chunk);
        setTimeout(() => this.#writeNext(), RETRY_MS).unref();
      } else {
        this.#fail();
      }
    });
  }

  /** What fits into one write, joined. */
  #takeChunk(): Buffer {
    let count = 0;
    let bytes = 0;
    while (count < this.#waiting.length && (count === 0 || bytes + this.#waiting[count]!.length <= WRITE_BYTES_MAX)) {
      bytes += this.#waiting[count]!.length;
      count++;
    }
    const taken = this.#waiting.splice(0, count);
    return taken.length === 1 ? taken[0]! : Buffer.concat(taken);
  }

  #fail(): void {
    this.#closed = true;
    this.#writing = false;
    this.dropped += this.#waiting.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** Waits until all is written, but not for a reader that does not read. */
  async close(): Promise<void> {
    for (let waited = 0; this.#waitingBytes > 0 && waited < CLOSE_WAIT_MS; waited += RETRY_MS) {
      await sleep(RETRY_MS);
    }
    if (this.#closed) return;
    this.#closed = true;
    this.dropped += this.#waiting.length;
    this.#waiting = [];
    if (this.#ownsFd && !this.#writing) closeSync(this.#fd);
  }

  /**
   * For the end of a process that cannot wait: writes what the reader takes at once. A write under
   * way is left to finish by itself.
   */
  flushNow(): void {
    try {
      while (this.#waiting.length > 0) {
        const chunk = this.#takeChunk();
        const written = writeSync(this.#fd, chunk);
        this.#waitingBytes -= written;
        if (written < chunk.length) this.#waiting.unshift(chunk.subarray(written));
      }
    } catch {
      this.#fail();
    }
  }
}
