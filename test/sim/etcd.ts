/**
 * etcd's twin for the simulator: its key space, revisions, transactions and leases, as a plain value.
 *
 * Synchronous and deterministic. `apply` is the instant at which etcd takes a request; whether and when
 * the request reaches it, and the answer its sender, is the simulator's business. Time is what the
 * caller says (milliseconds, never going back); a lease ends when `expire` is called after its end.
 * The compliance suite runs the same cases against this and against a real etcd.
 */
import type { EtcdCompare, EtcdKeyValue, EtcdOp, EtcdRequest, EtcdResult } from '../../cluster/core/ports.ts';

type TxnRequest = Extract<EtcdRequest, { kind: 'txn' }>;

interface StoredKey {
  readonly value: Buffer;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly lease: string;
}

interface StoredLease {
  readonly ttlSeconds: number;
  /** etcd ends it at this time or somewhat later. */
  readonly endsAtMs: number;
}

export interface SimEtcdSnapshot {
  readonly revision: number;
  readonly keys: ReadonlyMap<string, StoredKey>;
  /** TTL in seconds by lease id: a restored etcd starts every lease anew. */
  readonly leases: ReadonlyMap<string, number>;
}

export interface SimEtcdOptions {
  /** Decimal text of an unsigned 64-bit number. */
  readonly clusterId?: string;
  /** etcd raises smaller TTLs to this: 1.5 election timeouts, rounded up. */
  readonly leaseTtlMinSeconds?: number;
  readonly txnOpsMax?: number;
  readonly requestBytesMax?: number;
}

/** Above 2^53, as real ids are: whoever makes a number of one finds another lease or none. */
const FIRST_LEASE = 7_587_850_000_000_000_001n;

export class SimEtcd {
  readonly #leaseTtlMinSeconds: number;
  readonly #txnOpsMax: number;
  readonly #requestBytesMax: number;
  readonly #listeners = new Set<(keys: readonly string[]) => void>();
  #keys = new Map<string, StoredKey>();
  #leases = new Map<string, StoredLease>();
  #revision = 1;
  #clusterId: string;
  /** Outside of snapshots: the random ids of a restored etcd do not repeat either. */
  #leasesGranted = 0n;

  constructor(options: SimEtcdOptions = {}) {
    this.#clusterId = options.clusterId ?? '14841639068965178418';
    this.#leaseTtlMinSeconds = options.leaseTtlMinSeconds ?? 2;
    this.#txnOpsMax = options.txnOpsMax ?? 128;
    this.#requestBytesMax = options.requestBytesMax ?? 1.5 * 1024 * 1024;
  }

  get revision(): number {
    return this.#revision;
  }

  get clusterId(): string {
    return this.#clusterId;
  }

  /** All keys in order, for checkers: not something that a node could see. */
  entries(): EtcdKeyValue[] {
    return this.#range('', 0);
  }

  /** Called with the keys of each new revision, after it is in force. Returns how to end that. */
  onChange(listener: (keys: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  apply(request: EtcdRequest, nowMs: number): EtcdResult {
    switch (request.kind) {
      case 'txn':
        return this.#txn(request);
      case 'grant':
        return this.#grant(request.id, request.ttlSeconds, nowMs);
      case 'keepalive':
        return { id: request.id, outcome: 'alive', ttlSeconds: this.#keepalive(request.lease, nowMs) };
      case 'revoke':
        this.#end(request.lease);
    }
    return { id: request.id, outcome: 'revoked' };
  }

  /** Ends the leases whose time is over, one revision for each that has keys. */
  expire(nowMs: number): void {
    const over = [...this.#leases].filter(([, lease]) => lease.endsAtMs <= nowMs);
    over.sort(([, one], [, other]) => one.endsAtMs - other.endsAtMs);
    for (const [id] of over) this.#end(id);
  }

  /** When the next lease is over; undefined without leases. */
  nextExpiry(): number | undefined {
    let next: number | undefined;
    for (const { endsAtMs } of this.#leases.values()) next = Math.min(next ?? endsAtMs, endsAtMs);
    return next;
  }

  /** What a new leader of etcd does: every lease starts again at its full TTL. */
  grantAll(nowMs: number): void {
    for (const [id, { ttlSeconds }] of this.#leases) this.#leases.set(id, lease(ttlSeconds, nowMs));
  }

  snapshot(): SimEtcdSnapshot {
    const leases = [...this.#leases].map(([id, { ttlSeconds }]): [string, number] => [id, ttlSeconds]);
    return { revision: this.#revision, keys: new Map(this.#keys), leases: new Map(leases) };
  }

  /**
   * Back to an earlier snapshot, as an operator does from a backup. That gives a new cluster id, so the
   * caller names one; a disk that went back by itself keeps the old one. Watchers are not told.
   */
  restore(snapshot: SimEtcdSnapshot, nowMs: number, clusterId: string = this.#clusterId): void {
    this.#revision = snapshot.revision;
    this.#keys = new Map(snapshot.keys);
    this.#leases = new Map([...snapshot.leases].map(([id, ttlSeconds]) => [id, lease(ttlSeconds, nowMs)]));
    this.#clusterId = clusterId;
  }

  #txn(request: TxnRequest): EtcdResult {
    const { id } = request;
    const succeeded = request.compares.every((compare) => this.#holds(compare));
    const ops = succeeded ? request.then : request.otherwise;
    const error = this.#fault(request) ?? this.#leaseFault(ops);
    if (error !== undefined) return { id, outcome: 'unknown', error };
    const changed: string[] = [];
    const reads = ops.map((op) => this.#run(op, changed));
    this.#changed(changed);
    return { id, outcome: 'txn', succeeded, reads, revision: this.#revision, clusterId: this.#clusterId };
  }

  #holds(compare: EtcdCompare): boolean {
    const stored = this.#keys.get(compare.key);
    return 'modRevision' in compare
      ? (stored?.modRevision ?? 0) === compare.modRevision
      : (stored?.createRevision ?? 0) === compare.createRevision;
  }

  /** What etcd refuses before it looks at any key: both branches are checked. */
  #fault(request: TxnRequest): string | undefined {
    const { compares, then, otherwise } = request;
    if (Math.max(compares.length, then.length, otherwise.length) > this.#txnOpsMax) {
      return 'etcdserver: too many operations in txn request';
    }
    for (const branch of [then, otherwise]) {
      const put = new Set<string>();
      for (const op of branch) {
        if (op.op !== 'put') continue;
        if (put.has(op.key) || branch.some((other) => deletes(other, op.key))) {
          return 'etcdserver: duplicate key given in txn request';
        }
        put.add(op.key);
      }
    }
    let bytes = 0;
    for (const op of [...then, ...otherwise]) if (op.op === 'put') bytes += op.key.length + op.value.length;
    return bytes > this.#requestBytesMax ? 'etcdserver: request is too large' : undefined;
  }

  /** Only the branch that runs is checked, and before any of it takes effect. */
  #leaseFault(ops: readonly EtcdOp[]): string | undefined {
    const lost = ops.some((op) => op.op === 'put' && !this.#leases.has(op.lease ?? '0') && (op.lease ?? '0') !== '0');
    return lost ? 'etcdserver: requested lease not found' : undefined;
  }

  /** Writes carry the revision that the transaction will have; its later reads see them. */
  #run(op: EtcdOp, changed: string[]): EtcdKeyValue[] {
    switch (op.op) {
      case 'get': {
        const stored = this.#keys.get(op.key);
        return stored === undefined ? [] : [read(op.key, stored)];
      }
      case 'get-prefix': {
        const found = this.#range(op.prefix, op.limit);
        return op.keysOnly === true ? found.map((entry) => ({ ...entry, value: Buffer.alloc(0) })) : found;
      }
      case 'put': {
        const modRevision = this.#revision + 1;
        const createRevision = this.#keys.get(op.key)?.createRevision ?? modRevision;
        const value = Buffer.from(op.value);
        this.#keys.set(op.key, { value, createRevision, modRevision, lease: op.lease ?? '0' });
        changed.push(op.key);
        return [];
      }
      case 'delete':
        if (this.#keys.delete(op.key)) changed.push(op.key);
        return [];
      case 'delete-prefix':
    }
    for (const { key } of this.#range(op.prefix, 0)) {
      this.#keys.delete(key);
      changed.push(key);
    }
    return [];
  }

  /** In the order of the keys' bytes, which is not that of JavaScript's strings. */
  #range(prefix: string, limit: number): EtcdKeyValue[] {
    const found: [string, StoredKey][] = [];
    for (const entry of this.#keys) if (entry[0].startsWith(prefix)) found.push(entry);
    if (found.length > 1) found.sort(([one], [other]) => compareBytes(one, other));
    return (limit > 0 ? found.slice(0, limit) : found).map(([key, stored]) => read(key, stored));
  }

  #grant(id: number, ttlSeconds: number, nowMs: number): EtcdResult {
    const granted = lease(Math.max(ttlSeconds, this.#leaseTtlMinSeconds), nowMs);
    const name = String(FIRST_LEASE + this.#leasesGranted++);
    this.#leases.set(name, granted);
    return { id, outcome: 'granted', lease: name, ttlSeconds: granted.ttlSeconds };
  }

  /** A lease that is over but not yet ended cannot be kept: etcd waits for its end and answers 0. */
  #keepalive(id: string, nowMs: number): number {
    const found = this.#leases.get(id);
    if (found === undefined) return 0;
    if (found.endsAtMs <= nowMs) {
      this.#end(id);
      return 0;
    }
    this.#leases.set(id, lease(found.ttlSeconds, nowMs));
    return found.ttlSeconds;
  }

  #end(id: string): void {
    if (!this.#leases.delete(id)) return;
    const keys = this.#range('', 0).filter((entry) => entry.lease === id);
    for (const { key } of keys) this.#keys.delete(key);
    this.#changed(keys.map(({ key }) => key));
  }

  #changed(keys: readonly string[]): void {
    if (keys.length === 0) return;
    this.#revision++;
    for (const listener of this.#listeners) listener(keys);
  }
}

function lease(ttlSeconds: number, nowMs: number): StoredLease {
  return { ttlSeconds, endsAtMs: nowMs + ttlSeconds * 1000 };
}

function read(key: string, stored: StoredKey): EtcdKeyValue {
  return { key, ...stored, value: Buffer.from(stored.value) };
}

/** Order of the UTF-8 bytes: the halves of a surrogate pair come after all other characters. */
function compareBytes(one: string, other: string): number {
  const rank = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit);
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) {
    const difference = rank(one.charCodeAt(at)) - rank(other.charCodeAt(at));
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

function deletes(op: EtcdOp, key: string): boolean {
  return (op.op === 'delete' && op.key === key) || (op.op === 'delete-prefix' && key.startsWith(op.prefix));
}
