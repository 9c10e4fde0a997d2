/**
 * A disk in memory that can lose power, for the simulator. It behaves as LMDB does where that matters:
 * a commit is applied as a whole, and commits become durable in the order they were begun.
 *
 * One trap is modelled on purpose. LMDB can show a record before it is flushed; with
 * `visibleBeforeFlush` this disk does too, so that code which takes "visible" for "durable" is found.
 */
import type { IdentifierKind } from '../../node/lease/identifiers.ts';
import { hasIdentifier } from '../../node/lease/identifiers.ts';
import type { RecordAt } from '../../node/lease/merged-records.ts';
import { firstFrom } from '../../node/lease/merged-values.ts';
import type { Disk, DiskReader, WriteBatch } from '../../node/lease/store.ts';
import type { BindingsAt } from '../../node/leasequery/bulk.ts';
import type { MetaAt } from '../../node/leasequery/history-reader.ts';

interface Contents {
  records: Map<number, Buffer>;
  meta: Map<string, Buffer>;
}

/** What was on the disk at one moment; for restored backups and rolled-back virtual machines. */
export interface DiskCopy {
  readonly records: ReadonlyMap<number, Buffer>;
  readonly meta: ReadonlyMap<string, Buffer>;
}

export interface Completion {
  readonly batch: WriteBatch;
  /** Set when the commit failed; then nothing of the batch was applied. */
  readonly error?: Error;
}

export class SimDisk implements DiskReader {
  /** Show records of commits that are begun and not yet flushed. */
  visibleBeforeFlush: boolean;
  #durable: Contents = { records: new Map(), meta: new Map() };
  #begun: { readonly batch: WriteBatch; readonly copied: WriteBatch }[] = [];
  #failures: Error[] = [];
  /** Keys of `#durable.records` in order; undefined when they have changed. */
  #order: number[] | undefined;
  /** And of `#durable.meta`. */
  #metaOrder: string[] | undefined;

  constructor(options: { readonly visibleBeforeFlush?: boolean } = {}) {
    this.visibleBeforeFlush = options.visibleBeforeFlush ?? false;
  }

  /** Commits begun and not yet flushed. */
  get pending(): number {
    return this.#begun.length;
  }

  get size(): number {
    return this.#durable.records.size;
  }

  read(address: number): Buffer | undefined {
    const found = this.#shown((batch) => batch.records.get(address));
    return copyOf(found === undefined ? this.#durable.records.get(address) : (found ?? undefined));
  }

  readMeta(key: string): Buffer | undefined {
    const found = this.#shown((batch) => batch.meta.get(key));
    return copyOf(found === undefined ? this.#durable.meta.get(key) : (found ?? undefined));
  }

  scan(after: number, limit: number): { address: number; record: Buffer }[] {
    const records = this.#visibleRecords();
    const order = records === this.#durable.records ? this.#sorted() : [...records.keys()].sort((a, b) => a - b);
    const page: { address: number; record: Buffer }[] = [];
    for (let i = firstAbove(order, after); i < order.length && page.length < limit; i++) {
      page.push({ address: order[i]!, record: Buffer.from(records.get(order[i]!)!) });
    }
    return page;
  }

  metaRange(from: string, to: string, limit: number): { key: string; value: Buffer }[] {
    const shown = this.visibleBeforeFlush ? this.#begun.flatMap(({ copied }) => [...copied.meta]) : [];
    const meta = shown.length === 0 ? this.#durable.meta : new Map(this.#durable.meta);
    if (meta !== this.#durable.meta) apply(meta, new Map(shown));
    const keys = meta === this.#durable.meta ? (this.#metaOrder ??= [...meta.keys()].sort()) : [...meta.keys()].sort();
    const page: { key: string; value: Buffer }[] = [];
    for (let i = firstFrom(keys, from); i < keys.length && keys[i]! < to && page.length < limit; i++) {
      page.push({ key: keys[i]!, value: Buffer.from(meta.get(keys[i]!)!) });
    }
    return page;
  }

  /** Starts a commit; `complete` ends it. */
  begin(batch: WriteBatch): void {
    this.#begun.push({ batch, copied: { position: batch.position, records: copyAll(batch.records), meta: copyAll(batch.meta) } });
  }

  /** Flushes the oldest commit begun, or fails it if `failNext` says so; undefined when there is none. */
  complete(): Completion | undefined {
    const oldest = this.#begun.shift();
    if (oldest === undefined) return undefined;
    const error = this.#failures.shift();
    if (error !== undefined) return { batch: oldest.batch, error };
    apply(this.#durable.records, oldest.copied.records);
    apply(this.#durable.meta, oldest.copied.meta);
    this.#order = undefined;
    this.#metaOrder = undefined;
    return { batch: oldest.batch };
  }

  /** The next `complete` fails with this error, and applies nothing. */
  failNext(error: Error): void {
    this.#failures.push(error);
  }

  /** Power is lost: what was flushed stays, all else is gone. */
  crash(): void {
    this.#begun = [];
    this.#failures = [];
  }

  /** A new, empty disk. */
  wipe(): void {
    this.crash();
    this.#durable = { records: new Map(), meta: new Map() };
    this.#order = undefined;
    this.#metaOrder = undefined;
  }

  /** What is flushed now. */
  copy(): DiskCopy {
    return { records: copyAll(this.#durable.records), meta: copyAll(this.#durable.meta) };
  }

  /** The same to be read: no bytes are copied, since what lies on the disk is replaced and never changed. */
  moment(): DiskMoment {
    return new DiskMoment(this.#durable.records, this.#durable.meta);
  }

  /** The disk is as it was when it was copied. */
  restore(copy: DiskCopy): void {
    this.crash();
    this.#durable = { records: copyAll(copy.records), meta: copyAll(copy.meta) };
    this.#order = undefined;
    this.#metaOrder = undefined;
  }

  #shown<T>(find: (batch: WriteBatch) => T | undefined): T | undefined {
    if (!this.visibleBeforeFlush) return undefined;
    for (let i = this.#begun.length - 1; i >= 0; i--) {
      const found = find(this.#begun[i]!.copied);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #visibleRecords(): ReadonlyMap<number, Buffer> {
    if (!this.visibleBeforeFlush || this.#begun.length === 0) return this.#durable.records;
    const records = new Map(this.#durable.records);
    for (const { copied } of this.#begun) apply(records, copied.records);
    return records;
  }

  #sorted(): number[] {
    this.#order ??= [...this.#durable.records.keys()].sort((a, b) => a - b);
    return this.#order;
  }
}

/** What was flushed at one moment, as another thread reads it (node/io/store-snapshot.ts) while the disk goes on. */
export class DiskMoment implements BindingsAt, MetaAt {
  readonly #records: readonly RecordAt[];
  readonly #meta: ReadonlyMap<string, Buffer>;
  #keys: readonly string[] | undefined;

  constructor(records: ReadonlyMap<number, Buffer>, meta: ReadonlyMap<string, Buffer>) {
    this.#records = [...records].map(([address, record]) => ({ address, record })).sort((a, b) => a.address - b.address);
    this.#meta = new Map(meta);
  }

  scan(after: number, limit: number): RecordAt[] {
    const page: RecordAt[] = [];
    for (const each of this.#records) {
      if (each.address <= after) continue;
      if (page.length === limit) break;
      page.push(each);
    }
    return page;
  }

  find(kind: IdentifierKind, identifier: Buffer): RecordAt[] {
    return this.#records.filter(({ record }) => hasIdentifier(kind, record, identifier));
  }

  readMeta(key: string): Buffer | undefined {
    return this.#meta.get(key);
  }

  *scanMeta(from: string, to: string): Iterable<[string, Buffer]> {
    this.#keys ??= [...this.#meta.keys()].sort();
    for (let i = firstFrom(this.#keys, from); i < this.#keys.length && this.#keys[i]! < to; i++) yield [this.#keys[i]!, this.#meta.get(this.#keys[i]!)!];
  }
}

/** The disk behind the interface that LMDB's adapter has: a commit is begun, and flushed a little later. */
export function asDisk(disk: SimDisk): Disk {
  return {
    read: (address) => disk.read(address),
    readMeta: (key) => disk.readMeta(key),
    scan: (after, limit) => disk.scan(after, limit),
    metaRange: (from, to, limit) => disk.metaRange(from, to, limit),
    commit: async (batch) => {
      disk.begin(batch);
      await Promise.resolve();
      const completion = disk.complete();
      if (completion?.error !== undefined) throw completion.error;
    },
    close: () => Promise.resolve(),
  };
}

function apply<K>(target: Map<K, Buffer>, changes: ReadonlyMap<K, Buffer | null>): void {
  for (const [key, value] of changes) {
    if (value === null) target.delete(key);
    else target.set(key, value);
  }
}

function copyOf(value: Buffer | undefined): Buffer | undefined {
  return value === undefined ? undefined : Buffer.from(value);
}

function copyAll<K, V extends Buffer | null>(values: ReadonlyMap<K, V>): Map<K, V> {
  const copied = new Map<K, V>();
  for (const [key, value] of values) copied.set(key, (value === null ? null : Buffer.from(value)) as V);
  return copied;
}

function firstAbove(order: readonly number[], after: number): number {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (order[middle]! <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
