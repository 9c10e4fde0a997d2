/**
 * The index in LMDB: under which addresses a client or a relay agent has bindings (lease/identifiers.ts makes its
 * keys; they have no values). A change of a record changes its keys in the same transaction.
 *
 * The index is complete where its marker names the generation of the journal that LMDB has: a version of this
 * program that knows no index counts that generation on and leaves the marker behind. Otherwise what the index lacks
 * is added while the node serves, and the marker is written at the end; a process that ends before that begins
 * again. Keys of another layout are removed first.
 *
 * Many new bindings at once, as of a node that joins, would cost several times what their records do: a key changes
 * a page of its own somewhere in the index. With more of them than a limit the index falls behind: keys are removed
 * still, but no more put, and when the stream has calmed down it is built, in order of the keys.
 *
 * Invariants
 * - Once complete, every identifier of every record has its key. Keys that no record has any more do no harm:
 *   who finds a key compares the record.
 * - While it is built, `changesOf` keeps right what is changed meanwhile: the building only adds keys, of a record
 *   as it was at some moment. What changed since has its own keys from that change on, and no change removes a key
 *   that the record still has. The change from falling behind to building is a transaction: no change made before
 *   it is still under way when the first record is read.
 */
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Database } from 'lmdb';
import { eachIndexKey, IDENTIFIER_KINDS, IndexKeys, sameIdentifiers } from '../lease/identifiers.ts';
import {
  INDEX_CALM_MS, INDEX_NEW_KEYS_MAX, INDEX_REBUILD_KEYS_MAX, INDEX_REBUILD_PAUSE_MS, INDEX_REBUILD_RETRY_MS, INDEX_REBUILD_SLICE_RECORDS,
} from '../limits.ts';

/** LMDB's meta key with the last generation of the journal that it has all of. */
export const GENERATION_KEY = 'journal-generation';
/** And with the one up to which its index is right, behind the index's version. */
export const MARKER_KEY = 'index-generation';

/** Of the keys' layout and hash. */
const INDEX_VERSION = 1;

const NOTHING = Buffer.alloc(0);
export const ADDRESS_MAX = 0xffff_ffff;

/** Keys to put and to remove, for one transaction. */
export interface IndexChanges {
  readonly put: IndexKeys;
  readonly removed: IndexKeys;
}

export interface Databases {
  readonly records: Database<Buffer, number>;
  readonly meta: Database<Buffer, string>;
  readonly index: Database<Buffer, Buffer>;
}

/**
 * Calls `prepare` when no other transaction of this disk is under way, and then what it returns in one; resolves
 * when that is flushed. What must see the last commit is read in `prepare`, which may throw.
 */
export type Transact = (prepare: () => () => void) => Promise<void>;

/** The marker begins with it. */
const MARKER_START = `${INDEX_VERSION} `;
const MARKER_INCOMPLETE = Buffer.from(`${MARKER_START}incomplete`);

/** What the marker is of a complete index, beside this generation (undefined where there was none yet). */
function markerOf(generation: Buffer | undefined): string {
  return MARKER_START + (generation?.toString() ?? '0');
}

/** Whether the index is complete, from a way to read LMDB's meta values. */
export function indexIsComplete(readMeta: (key: string) => Buffer | undefined): boolean {
  return readMeta(MARKER_KEY)?.toString() === markerOf(readMeta(GENERATION_KEY));
}

/** Bounds that tests set lower: see limits.ts. */
export interface IndexBounds {
  readonly newKeysMax: number;
  readonly calmMs: number;
  readonly rebuildKeysMax: number;
}

const BOUNDS: IndexBounds = { newKeysMax: INDEX_NEW_KEYS_MAX, calmMs: INDEX_CALM_MS, rebuildKeysMax: INDEX_REBUILD_KEYS_MAX };

export class LmdbIndex {
  readonly #databases: Databases;
  readonly #transact: Transact;
  readonly #bounds: IndexBounds;
  readonly #stop = new AbortController();
  /** `behind`: keys are not put. */
  #state: 'complete' | 'building' | 'behind';
  /** Its keys may be of another layout; the marker says so until they are removed. */
  #foreign: boolean;
  #building: Promise<void> = Promise.resolve();
  /** Keys put since the last checkpoint, and, about, keys not put because the index is behind. */
  #newKeys = 0;
  #leftOut = 0;
  readonly #before = new IndexKeys();
  readonly #after = new IndexKeys();

  /** Begins to build the index where it is missing or stale, in a later turn of the event loop. */
  constructor(databases: Databases, transact: Transact, bounds: IndexBounds = BOUNDS) {
    this.#databases = databases;
    this.#transact = transact;
    this.#bounds = bounds;
    const { records, meta } = databases;
    this.#foreign = meta.get(MARKER_KEY)?.toString().startsWith(MARKER_START) !== true;
    this.#state = indexIsComplete((key) => meta.get(key)) ? 'complete' : 'behind';
    if (this.#state === 'complete') return;
    if (this.#foreign && (records.getStats() as { entryCount: number }).entryCount === 0) {
      meta.transactionSync(() => this.#putMarker(meta.get(GENERATION_KEY)));
      this.#foreign = false;
      this.#state = 'complete';
    } else {
      this.#building = this.#build(0);
    }
  }

  get complete(): boolean {
    return this.#state === 'complete';
  }

  /** Resolves when the building that is under way has ended: the index is complete, or the disk was closed. */
  get built(): Promise<void> {
    return this.#building;
  }

  /** Ends the building at its next step. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#building;
  }

  /**
   * What changes with these records, null a removal, against the ones in LMDB now; no other change of them may be
   * under way. A renewal changes nothing. With `all` each key of the records is looked for: an older version may
   * have written just these without their keys, in a part of a checkpoint that it did not finish.
   */
  changesOf(records: ReadonlyMap<number, Buffer | null>, all = false): IndexChanges {
    const changes = { put: new IndexKeys(), removed: new IndexKeys() };
    // A snapshot that an earlier read has left behind may be older than the last commit.
    this.#databases.records.resetReadTxn();
    for (const [address, record] of records) {
      // In a buffer that the next read overwrites.
      const old = this.#databases.records.getBinaryFast(address);
      if (old === undefined && this.#state === 'behind') this.#leftOut += IDENTIFIER_KINDS.length;
      else if (all || old === undefined || record === null || !sameIdentifiers(old, record)) this.#compare(address, old, record, all, changes);
    }
    if (!all) this.#countNew(changes.put);
    return changes;
  }

  #compare(address: number, old: Buffer | undefined, record: Buffer | null, all: boolean, { put, removed }: IndexChanges): void {
    const [before, after] = [this.#before, this.#after];
    before.clear();
    after.clear();
    if (old !== undefined) eachIndexKey(address, old, (key) => before.add(key));
    if (record !== null) eachIndexKey(address, record, (key) => after.add(key));
    for (let i = 0; i < after.count; i++) {
      const key = after.at(i);
      if (all ? !this.#databases.index.doesExist(key) : !before.has(key)) put.add(key);
    }
    for (let i = 0; i < before.count; i++) if (!after.has(before.at(i))) removed.add(before.at(i));
  }

  #countNew({ count }: IndexKeys): void {
    if (this.#state === 'behind') {
      this.#leftOut += count;
      return;
    }
    this.#newKeys += count;
    if (this.#newKeys <= this.#bounds.newKeysMax) return;
    const isBuilding = this.#state === 'building';
    this.#state = 'behind';
    if (!isBuilding) this.#building = this.#build(this.#bounds.calmMs);
  }

  /** Within the transaction that changes the records, and LMDB's meta values by `meta`. */
  apply({ put, removed }: IndexChanges, meta: ReadonlyMap<string, Buffer | null>): void {
    const { index } = this.#databases;
    for (let i = 0; i < removed.count; i++) void index.remove(removed.at(i));
    if (this.#state !== 'behind') this.#putKeys(put);
    else if (!this.#foreign) void this.#databases.meta.put(MARKER_KEY, MARKER_INCOMPLETE);
    const generation = meta.get(GENERATION_KEY);
    if (generation == null) return;
    this.#newKeys = 0;
    if (this.#state === 'complete') this.#putMarker(generation);
  }

  #putKeys(keys: IndexKeys): void {
    for (let i = 0; i < keys.count; i++) void this.#databases.index.put(keys.at(i), NOTHING);
  }

  #putMarker(generation: Buffer | undefined): void {
    void this.#databases.meta.put(MARKER_KEY, Buffer.from(markerOf(generation)));
  }

  /**
   * Begins when there were few new keys for a while. Never rejects: what fails, as on a full disk, begins again
   * later, and so does what falls behind.
   */
  async #build(calmMs: number): Promise<void> {
    const { signal } = this.#stop;
    for (let pauseMs = calmMs; ;) {
      try {
        await this.#calm(pauseMs);
        await this.#buildOnce();
        return;
      } catch {
        if (signal.aborted) return;
        pauseMs = this.#state === 'behind' ? this.#bounds.calmMs : INDEX_REBUILD_RETRY_MS;
      }
    }
  }

  async #calm(pauseMs: number): Promise<void> {
    const { signal } = this.#stop;
    for (let leftOut = -Infinity; this.#leftOut - leftOut > this.#bounds.newKeysMax;) {
      leftOut = this.#leftOut;
      await (pauseMs === 0 ? setImmediate(undefined, { signal }) : setTimeout(pauseMs, undefined, { signal }));
    }
  }

  async #buildOnce(): Promise<void> {
    const { meta, index } = this.#databases;
    await this.#transact(() => {
      this.#state = 'building';
      this.#newKeys = 0;
      return () => {
        if (this.#foreign) void index.clearAsync();
        void meta.put(MARKER_KEY, MARKER_INCOMPLETE);
      };
    });
    this.#foreign = false;
    for (let after: number | undefined = -1; after !== undefined;) {
      const buckets: IndexKeys[] = [];
      after = await this.#collect(after, buckets);
      await this.#putBuckets(buckets);
    }
    await this.#complete();
  }

  async #complete(): Promise<void> {
    const { meta } = this.#databases;
    let complete = false;
    const written = this.#transact(() => {
      this.#checkGoesOn();
      complete = true;
      this.#state = 'complete';
      meta.resetReadTxn();
      const generation = meta.get(GENERATION_KEY);
      return () => this.#putMarker(generation);
    });
    await written.catch((error: unknown) => {
      // Each checkpoint writes the marker too now, so that it does not matter if this one failed.
      if (!complete) throw error;
    });
  }

  /**
   * Keys of the records above `after`, each in the bucket of its kind and of the hash's first byte: LMDB writes
   * whole pages, and keys in order of address would be one a page. Returns the last address, or undefined at the end.
   */
  async #collect(after: number, buckets: IndexKeys[]): Promise<number | undefined> {
    let count = 0;
    const add = (key: Buffer): void => {
      const bucket = key.readUInt16BE(0);
      (buckets[bucket] ??= new IndexKeys()).add(key);
      count++;
    };
    for (let from = after;;) {
      await this.#pause();
      if (from >= ADDRESS_MAX) return undefined;
      let seen = 0;
      for (const { key, value } of this.#databases.records.getRange({ start: from + 1, limit: INDEX_REBUILD_SLICE_RECORDS })) {
        eachIndexKey(key, value, add);
        from = key;
        seen++;
      }
      if (seen < INDEX_REBUILD_SLICE_RECORDS) return undefined;
      if (count >= this.#bounds.rebuildKeysMax) return from;
    }
  }

  async #putBuckets(buckets: readonly IndexKeys[]): Promise<void> {
    const { index } = this.#databases;
    let slice: IndexKeys[] = [];
    let count = 0;
    const put = async (): Promise<void> => {
      const keys = slice;
      slice = [];
      count = 0;
      await this.#pause();
      await this.#transact(() => {
        const missing = new IndexKeys();
        index.resetReadTxn();
        for (const bucket of keys) {
          for (let i = 0; i < bucket.count; i++) if (!index.doesExist(bucket.at(i))) missing.add(bucket.at(i));
        }
        return () => this.#putKeys(missing);
      });
    };
    // It has holes, which are skipped so.
    for (const bucket of Object.values(buckets)) {
      slice.push(bucket);
      count += bucket.count;
      if (count >= INDEX_REBUILD_SLICE_RECORDS) await put();
    }
    if (count > 0) await put();
  }

  /** Lets the node serve; throws when the building is to end. */
  async #pause(): Promise<void> {
    await setTimeout(INDEX_REBUILD_PAUSE_MS, undefined, { signal: this.#stop.signal });
    this.#checkGoesOn();
  }

  #checkGoesOn(): void {
    if (this.#state === 'behind') throw new Error('The index fell behind while it was built');
  }
}
