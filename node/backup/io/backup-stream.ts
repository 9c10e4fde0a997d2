/** A backup of the store in a data folder that this process has open, as a stream: one moment, read by a thread of its own. */
import { extname } from 'node:path';
import { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import type { SnapshotMark } from '../../io/store-snapshot.ts';
import { BACKUP_IDLE_MS_MAX } from '../../limits.ts';
import type { BackupTask, FromBackupThread, ToBackupThread } from './backup-thread.ts';

export interface BackupParts extends BackupTask {
  /** Marks the disk as it is now. */
  readonly mark: () => SnapshotMark;
}

/** A mark is too old once the journal has turned over twice: under any load one of a few is not. */
const MARKS_MAX = 20;
const END_MS = 2000;

/** While it is open the store keeps the pages of that moment: a reader that stops reading is sent away. */
export class BackupStream extends Readable {
  readonly #worker: Worker;
  readonly #mark: () => SnapshotMark;
  #marks = 0;
  #wanted = false;
  #opened = false;
  #idle: NodeJS.Timeout;

  constructor({ mark, ...task }: BackupParts) {
    super({ highWaterMark: 1 });
    this.#mark = mark;
    this.#worker = new Worker(new URL(`./backup-thread${extname(import.meta.filename)}`, import.meta.url), {
      workerData: task satisfies BackupTask, name: 'backup', resourceLimits: { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 256 },
    });
    this.#worker.on('message', (message: FromBackupThread) => this.#onMessage(message));
    this.#worker.on('error', (error: Error) => this.destroy(error));
    this.#idle = this.#watch();
    this.#open();
  }

  #watch(): NodeJS.Timeout {
    return setTimeout(() => this.destroy(new Error(`nothing was read of the backup for ${BACKUP_IDLE_MS_MAX / 1000} s`)), BACKUP_IDLE_MS_MAX).unref();
  }

  #open(): void {
    if (++this.#marks > MARKS_MAX) this.destroy(new Error('the store changes faster than a moment of it can be opened: try again when there is less load'));
    else this.#send({ mark: this.#mark() });
  }

  #send(message: ToBackupThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage(message);
  }

  #onMessage(message: FromBackupThread): void {
    if (this.destroyed) return;
    if (message === 'retry') return this.#open();
    if (message === 'opened') {
      this.#opened = true;
      if (this.#wanted) this.#send('next');
      return undefined;
    }
    this.#wanted = false;
    this.push(message === null ? null : Buffer.from(message));
    return undefined;
  }

  override _read(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    clearTimeout(this.#idle);
    this.#idle = this.#watch();
    if (this.#opened) this.#send('next');
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#idle);
    // It has ended by itself.
    if (this.#worker.threadId === -1) return done(error);
    const enough = setTimeout(() => void this.#worker.terminate(), END_MS);
    this.#worker.once('exit', () => {
      clearTimeout(enough);
      done(error);
    });
    this.#send('end');
    return undefined;
  }
}
