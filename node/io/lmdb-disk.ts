/**
 * The lease store's disk: LMDB in one file, `leases.mdb` in the data folder. Records lie under their
 * address (a 32-bit number, in order), meta values under strings, and an index of the records (lmdb-index.ts), in
 * three databases of one environment.
 *
 * Invariants
 * - A commit resolves only once its transaction is flushed: `overlappingSync` is off, since with it LMDB
 *   resolves when a record is visible, and a power cut could still lose it.
 * - A commit that is refused has applied nothing: one transaction, ended or dropped as a whole.
 * - Commits are written one after the other, so that each knows the records that it replaces.
 * - What is read is copied out of the map, so it may be kept.
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { open } from 'lmdb';
import type { RootDatabase } from 'lmdb';
import { CORRUPT_ACTION, NEWER_ACTION, StoreError } from '../lease/store-error.ts';
import type { MetaAt } from '../lease/merged-values.ts';
import type { Disk, WriteBatch } from '../lease/store.ts';
import { META_KEY_BYTES_MAX } from '../limits.ts';
import { ADDRESS_MAX, type Databases, type IndexChanges, LmdbIndex } from './lmdb-index.ts';

/** Of the databases and their keys, not of the records: those carry their own. */
const FORMAT_VERSION = 1;
const FORMAT_KEY = 'lessor-format';

export const STORE_FILE_NAME = 'leases.mdb';

/**
 * The thread that writes a transaction begins when all of it lies ready. It would begin with the first thousand changes, and
 * where it overtakes the rest it looks for more in ever longer intervals, which end only where the clock that it waits by goes
 * as it should: under a faked one a commit never ended. Missing from the package's types.
 */
const WRITE_WHAT_IS_READY = { batchStartThreshold: Infinity };

/** Address space set aside, not disk or memory: the map need not move while it is read. More than the leases and the largest history take. */
const MAP_BYTES = 2 ** 38;
/** A file holds no more, whichever version made it. */
const DATABASES_MAX = 4;
const LMDB_MAGIC = 0xbeef_c0de;
const MAGIC_AT = 24;
const PAGE_SIZE_AT = 48;
/** Pages at the file's end that LMDB counts but never wrote, because they were given back unused. */
const UNWRITTEN_PAGES_MAX = 16;
/** With less room than this a failed write is put down to the lack of it. */
const FULL_BELOW_BYTES = 2 ** 20;

/**
 * Opens the store in `dataDir`, making both where they are missing. `mapBytes` is for tests.
 * Throws StoreError `newer-format`, `corrupt`, `unavailable`, `full` or `io`.
 */
export function openLmdbDisk(dataDir: string, mapBytes: number = MAP_BYTES): LmdbDisk {
  const path = join(dataDir, STORE_FILE_NAME);
  let root: RootDatabase<unknown, string> | undefined;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o750 });
    checkHeader(path);
    root = open<unknown, string>({
      path, mapSize: mapBytes, maxDbs: DATABASES_MAX, overlappingSync: false, eventTurnBatching: false, ...WRITE_WHAT_IS_READY,
    });
    checkLength(path, root);
    checkFormat(root);
    // The names of a new file and a new folder must survive a power cut as well as what is in it.
    for (const folder of [dataDir, dirname(dataDir)]) syncFolder(folder);
    return new LmdbDisk(path, root);
  } catch (error) {
    void root?.close();
    throw toStoreError(error, path);
  }
}

function openDatabases(root: RootDatabase<unknown, string>): Databases {
  return {
    records: root.openDB<Buffer, number>({ name: 'records', keyEncoding: 'uint32', encoding: 'binary' }),
    meta: root.openDB<Buffer, string>({ name: 'meta', encoding: 'binary' }),
    index: root.openDB<Buffer, Buffer>({ name: 'index', keyEncoding: 'binary', encoding: 'binary' }),
  };
}

/**
 * The databases for a thread that only reads, while another one of this process has the store open. Throws
 * StoreError `unavailable`, `corrupt` or `io`.
 */
export function openLmdbForReading(dataDir: string): { root: RootDatabase<unknown, string>; databases: Databases } {
  const path = join(dataDir, STORE_FILE_NAME);
  let root: RootDatabase<unknown, string> | undefined;
  try {
    root = open<unknown, string>({ path, mapSize: MAP_BYTES, maxDbs: DATABASES_MAX, readOnly: true });
    return { root, databases: openDatabases(root) };
  } catch (error) {
    void root?.close();
    throw toStoreError(error, path);
  }
}

export class LmdbDisk implements Disk {
  readonly #path: string;
  readonly #root: RootDatabase<unknown, string>;
  readonly #databases: Databases;
  readonly #index: LmdbIndex;
  #last: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(path: string, root: RootDatabase<unknown, string>) {
    this.#path = path;
    this.#root = root;
    this.#databases = openDatabases(root);
    this.#index = new LmdbIndex(this.#databases, (prepare) => this.#transact(prepare));
  }

  /** Resolves when the index is complete, or the disk was closed before. */
  get indexed(): Promise<void> {
    return this.#index.built;
  }

  read(address: number): Buffer | undefined {
    return this.#databases.records.get(address);
  }

  readMeta(key: string): Buffer | undefined {
    return this.#databases.meta.get(key);
  }

  scan(after: number, limit: number): { address: number; record: Buffer }[] {
    const page: { address: number; record: Buffer }[] = [];
    if (after >= ADDRESS_MAX || limit <= 0) return page;
    for (const { key, value } of this.#databases.records.getRange({ start: after + 1, limit })) {
      page.push({ address: key, record: value });
    }
    return page;
  }

  metaRange(from: string, to: string, limit: number): MetaAt[] {
    const page: MetaAt[] = [];
    if (limit <= 0) return page;
    for (const { key, value } of this.#databases.meta.getRange({ start: from, end: to, limit })) page.push({ key, value });
    return page;
  }

  /** How many records there are. */
  count(): number {
    return (this.#databases.records.getStats() as { entryCount: number }).entryCount;
  }

  /**
   * Resolves when the batch is on the disk. Rejects with StoreError `full`, `io` or `closed`, having
   * applied nothing; the same batch may be committed again.
   */
  async commit(batch: WriteBatch): Promise<void> {
    if (this.#closed) throw new StoreError('closed', `The lease store ${this.#path} is closed`, 'This is a bug; report it');
    for (const key of batch.meta.keys()) {
      // Checked before the transaction begins: an exception inside would leave half a batch behind.
      if (key.length === 0 || Buffer.byteLength(key) > META_KEY_BYTES_MAX) throw new RangeError(`bad meta key of ${key.length} characters`);
    }
    if (batch.records.size === 0 && batch.meta.size === 0) return;
    try {
      await this.#transact(() => {
        const changes = this.#index.changesOf(batch.records);
        return () => this.#put(batch, changes);
      });
    } catch (error) {
      throw toStoreError(error, this.#path);
    }
  }

  #transact(prepare: () => () => void): Promise<void> {
    const done = this.#last.then(async () => {
      const write = prepare();
      try {
        await this.#root.batch(write);
      } catch (error) {
        throw await causeOf(error);
      }
    });
    this.#last = done.catch(() => undefined);
    return done;
  }

  /**
   * Commits and flushes before it returns: for a start, when nobody waits, and no commit is under way. What the
   * index lacks of these records is put right too. Throws as `commit` rejects.
   */
  commitNow(changes: Pick<WriteBatch, 'records' | 'meta'>): void {
    try {
      const indexChanges = this.#index.changesOf(changes.records, true);
      this.#root.transactionSync(() => this.#put(changes, indexChanges));
    } catch (error) {
      throw toStoreError(error, this.#path);
    }
  }

  #put({ records, meta }: Pick<WriteBatch, 'records' | 'meta'>, indexChanges: IndexChanges): void {
    const databases = this.#databases;
    for (const [address, record] of records) {
      if (record === null) void databases.records.remove(address);
      else void databases.records.put(address, record);
    }
    for (const [key, value] of meta) {
      if (value === null) void databases.meta.remove(key);
      else void databases.meta.put(key, value);
    }
    this.#index.apply(indexChanges, meta);
  }

  /** Waits for commits under way and closes the file. LMDB must be closed before the process exits. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#index.stop();
    await this.#last;
    await this.#root.close();
  }
}

/** LMDB maps the file and trusts it: what is no LMDB file at all is turned away before that. */
function checkHeader(path: string): void {
  const file = openExisting(path, 'r');
  if (file === undefined) return;
  try {
    const size = fstatSync(file).size;
    if (size === 0) return;
    const first = readAt(file, 0);
    const pageSize = first.readUInt32LE(PAGE_SIZE_AT);
    const sane = first.readUInt32LE(MAGIC_AT) === LMDB_MAGIC && pageSize >= 512 && pageSize <= 65_536;
    if (!sane || size < 2 * pageSize || readAt(file, pageSize).readUInt32LE(MAGIC_AT) !== LMDB_MAGIC) {
      throw new StoreError('corrupt', `${path} is not a lease store, or it is damaged`, CORRUPT_ACTION);
    }
  } finally {
    closeSync(file);
  }
}

/** Reading a mapped page that lies past the end of its file would end the process with SIGBUS. */
function checkLength(path: string, root: RootDatabase<unknown, string>): void {
  const stats = root.getStats() as { pageSize: number; lastPageNumber: number };
  const file = openExisting(path, 'r+');
  if (file === undefined) return;
  try {
    const size = fstatSync(file).size;
    const expected = (stats.lastPageNumber + 1) * stats.pageSize;
    if (size >= expected) return;
    if (expected - size > UNWRITTEN_PAGES_MAX * stats.pageSize) {
      throw new StoreError('corrupt', `${path} has ${size} bytes and should have ${expected}: it was cut off`, CORRUPT_ACTION);
    }
    ftruncateSync(file, expected);
  } finally {
    closeSync(file);
  }
}

export function syncFolder(folder: string): void {
  const handle = openExisting(folder, 'r');
  if (handle === undefined) return;
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function checkFormat(root: RootDatabase<unknown, string>): void {
  const format = root.get(FORMAT_KEY);
  if (format === undefined) {
    root.putSync(FORMAT_KEY, FORMAT_VERSION);
  } else if (typeof format !== 'number') {
    throw new StoreError('corrupt', 'The lease store does not say which format it has', CORRUPT_ACTION);
  } else if (format > FORMAT_VERSION) {
    throw new StoreError(
      'newer-format', `The lease store has format ${format}; this version of Lessor reads up to ${FORMAT_VERSION}`,
      NEWER_ACTION,
    );
  }
}

function openExisting(path: string, flags: 'r' | 'r+'): number | undefined {
  try {
    return openSync(path, flags);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function readAt(file: number, position: number): Buffer {
  const bytes = Buffer.alloc(PAGE_SIZE_AT + 4);
  readSync(file, bytes, 0, bytes.length, position);
  return bytes;
}

/** lmdb-js rejects with a general error whose `commitError` rejects with the real one. */
async function causeOf(error: unknown): Promise<unknown> {
  const commitError = (error as { commitError?: Promise<never> }).commitError;
  if (commitError === undefined) return error;
  try {
    return await commitError;
  } catch (cause) {
    return cause;
  }
}

// errno values and LMDB's own return codes, as lmdb-js puts them into `code`.
const FULL_CODES: ReadonlySet<unknown> = new Set([28, 27, 122, -30792, -30788, 'ENOSPC', 'EDQUOT', 'EFBIG']);
const EIO = 5;
const CORRUPT_CODES: ReadonlySet<unknown> = new Set([-30797, -30796, -30794, -30793]);
const UNAVAILABLE_CODES: ReadonlySet<unknown> = new Set([1, 2, 13, 20, 30, 'EACCES', 'EPERM', 'ENOENT', 'ENOTDIR', 'EROFS', 'EEXIST']);

export function toStoreError(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = (error as { code?: unknown } | null)?.code;
  const detail = error instanceof Error ? error.message : String(error);
  // A write that only partly fitted is reported as an input/output error.
  if (FULL_CODES.has(code) || ((code === EIO || code === 'EIO') && isFull(dirname(path)))) {
    return new StoreError('full', `No room for the lease store ${path}: ${detail}`, 'Free space on its file system; nothing was lost', error);
  }
  if (CORRUPT_CODES.has(code)) {
    return new StoreError('corrupt', `The lease store ${path} fails its check: ${detail}`, CORRUPT_ACTION, error);
  }
  if (UNAVAILABLE_CODES.has(code)) {
    return new StoreError('unavailable', `The lease store ${path} cannot be opened: ${detail}`, 'Check that the data folder exists and that this user may write to it', error);
  }
  return new StoreError('io', `The lease store ${path} could not be read or written: ${detail}`, 'Check the disk and the system log', error);
}

function isFull(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize < FULL_BELOW_BYTES;
  } catch {
    return false;
  }
}
