/**
 * How much room the disk of the data folder has, and how much of it the lease store takes. Looked at now and then
 * in libuv's threads, so that a disk that answers slowly holds up no packet and no scrape.
 */
import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataFolder } from '../telemetry/metric-table.ts';
import { JOURNAL_NAMES } from './journal-file.ts';
import { STORE_FILE_NAME } from './lmdb-disk.ts';

const LOOK_EVERY_MS = 10_000;
/** What `st_blocks` counts in, whatever the file system's blocks are (stat(2)). */
const STAT_BLOCK_BYTES = 512;
const STORE_FILES = [STORE_FILE_NAME, ...JOURNAL_NAMES];

export class DataFolderWatch {
  readonly #dataDir: string;
  readonly #timer: NodeJS.Timeout;
  #looking = false;
  #seen: DataFolder | undefined;

  /** `everyMs` is for tests. */
  constructor(dataDir: string, everyMs: number = LOOK_EVERY_MS) {
    this.#dataDir = dataDir;
    this.#timer = setInterval(() => void this.#look(), everyMs).unref();
    void this.#look();
  }

  /** As it was when it was looked at last; undefined while nobody could. */
  get seen(): DataFolder | undefined {
    return this.#seen;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    // One at a time: a disk that hangs must not use up the threads.
    if (this.#looking) return;
    this.#looking = true;
    try {
      const { bavail, blocks, bsize } = await statfs(this.#dataDir);
      const stored = await Promise.all(STORE_FILES.map((name) => stat(join(this.#dataDir, name)).then((file) => file.blocks * STAT_BLOCK_BYTES, () => 0)));
      this.#seen = { freeBytes: bavail * bsize, sizeBytes: blocks * bsize, storeBytes: stored.reduce((sum, bytes) => sum + bytes, 0) };
    } catch {
      // Rather no figures than old ones: what is the matter with the folder, the store's writes tell.
      this.#seen = undefined;
    }
    this.#looking = false;
  }
}
