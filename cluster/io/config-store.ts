/**
 * The revisions of the cluster's configuration in etcd (config-revisions.ts says how they lie there).
 *
 * Invariants: all pieces of a revision are written before it is, and the write of the revision compares
 * them, so that nobody has deleted one meanwhile: a revision that can be read has all its pieces. It
 * compares the revision before as well: of two operators at once, one is told. What is deleted is
 * deleted only while neither the newest revision nor the view has changed since it was looked at.
 */
import { randomUUID } from 'node:crypto';
import { CONFIG_HISTORY_BYTES, CONFIG_HISTORY_REVISIONS, CONFIG_PIECE_BYTES } from '../../node/limits.ts';
import { auditOrderPut } from '../core/audit-orders.ts';
import { jsonOf } from '../core/json.ts';
import type { EtcdCompare, EtcdKeyValue, EtcdOp, EtcdRequest, EtcdResult } from '../core/ports.ts';
import { DRAINS_PREFIX, readDrains } from '../upgrade/drains.ts';
import type { DrainOrders } from '../upgrade/drains.ts';
import { decodeView } from '../view/view.ts';
import type { View } from '../view/view.ts';
import {
  ConfigDamaged, decodeRevision, encodeRevision, NEWEST_KEY, packConfig, pieceKey, PIECES_PREFIX, piecesOf, REVISIONS_PREFIX, revisionKey,
  unpackConfig,
} from './config-revisions.ts';
import type { ConfigRevision } from './config-revisions.ts';
import { EtcdRequests, EtcdUnknown } from './etcd-requests.ts';
import type { OnUnreachable, TxnResult } from './etcd-requests.ts';

/** A writer that is overtaken by the deletion of its pieces writes them again. */
const PUBLISH_TRIES = 5;
const APPLY_AGAIN = 'apply the configuration again (lessor config apply FILE)';
/** etcd takes 128 operations in a transaction. */
const DELETE_OPS_MAX = 100;

export interface StoredConfig {
  readonly record: ConfigRevision;
  readonly text: string;
}

export type Publication =
  | { readonly outcome: 'written'; readonly record: ConfigRevision }
  /** Somebody else has written a revision since. */
  | { readonly outcome: 'overtaken'; readonly newest: ConfigRevision | undefined };

export interface PublishOptions {
  /** The newest revision that the new one was made from; 0: there was none. */
  readonly expected: number;
  readonly at: string;
  readonly by: string;
  readonly comment: string;
  /** What it changes, a line each, for the audit log. */
  readonly changes?: readonly string[];
}

/** What the nodes and the view show in etcd, for whoever waits for a revision to come into force. */
export interface ClusterKeys {
  readonly newest: ConfigRevision | undefined;
  readonly view: View | undefined;
  /** The JSON of `nodes/<id>` by node: those whose sessions stand. */
  readonly nodes: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  readonly drains: DrainOrders;
}

export class ConfigStore {
  readonly requests: EtcdRequests;

  /** Without an answer of etcd everything is tried again, until `onUnreachable` throws. */
  constructor(send: (request: EtcdRequest) => void, onUnreachable: OnUnreachable) {
    this.requests = new EtcdRequests(send, onUnreachable);
  }

  /** Takes the result if it is one of this store's own. */
  settle(result: EtcdResult): boolean {
    return this.requests.settle(result);
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────

  /** @throws ConfigDamaged */
  async newest(): Promise<ConfigRevision | undefined> {
    return newestOf((await this.#read([{ op: 'get', key: NEWEST_KEY }]))[0]);
  }

  /** Undefined where it is not kept, or never was. @throws ConfigDamaged */
  async record(revision: number): Promise<ConfigRevision | undefined> {
    const key = revisionKey(revision);
    const [found, newest] = await this.#read([{ op: 'get', key }, { op: 'get', key: NEWEST_KEY }]);
    if (found![0] !== undefined) return decodeRevision(key, found![0].value);
    const last = newestOf(newest);
    return last?.revision === revision ? last : undefined;
  }

  /** @throws ConfigDamaged */
  async text(record: ConfigRevision): Promise<string> {
    const parts: Buffer[] = [];
    for (let piece = 0; piece < record.pieces; piece++) {
      const [found] = await this.#read([{ op: 'get', key: pieceKey(record.hash, piece) }]);
      if (found![0] === undefined) {
        throw new ConfigDamaged('piece-missing', `etcd lacks piece ${piece} of configuration revision ${record.revision}`);
      }
      parts.push(found![0].value);
    }
    return unpackConfig(record, parts);
  }

  /** Those kept, oldest first. @throws ConfigDamaged */
  async history(): Promise<ConfigRevision[]> {
    const [kept, newest] = await this.#read([{ op: 'get-prefix', prefix: REVISIONS_PREFIX, limit: 0 }, { op: 'get', key: NEWEST_KEY }]);
    const records = kept!.map(({ key, value }) => decodeRevision(key, value));
    const last = newestOf(newest);
    return last === undefined || records.at(-1)?.revision === last.revision ? records : [...records, last];
  }

  async clusterKeys(): Promise<ClusterKeys> {
    const [newest, views, nodes, drains] = await this.#read([
      { op: 'get', key: NEWEST_KEY }, { op: 'get', key: 'view' }, { op: 'get-prefix', prefix: 'nodes/', limit: 0 },
      { op: 'get-prefix', prefix: DRAINS_PREFIX, limit: 0 },
    ]);
    return {
      newest: newestOf(newest), view: viewOf(views), nodes: new Map(nodes!.map(({ key, value }) => [key.slice('nodes/'.length), jsonOf(value)])),
      drains: readDrains(drains!),
    };
  }

  /**
   * For a node that starts: the revision that the view names, so that it serves what the others serve;
   * where none is named, or etcd has lost it, the newest. Where etcd holds none, `initial` becomes revision 1.
   * @throws ConfigDamaged
   */
  async readOrCreate(initial: () => Promise<{ readonly text: string } & Omit<PublishOptions, 'expected'>>): Promise<StoredConfig> {
    for (;;) {
      const keys = await this.clusterKeys();
      const { newest, view } = keys;
      const named = view?.configRevision ?? 0;
      if (newest === undefined) {
        const known = highestRevision(keys);
        // What this node's file says may be long out of date.
        if (known > 0) throw new ConfigDamaged('record-unreadable', `etcd has lost its configuration, and the nodes have revision ${known}: ${APPLY_AGAIN}`);
        const { text, ...rest } = await initial();
        await this.publish(text, { expected: 0, ...rest });
        continue;
      }
      // Where a restored etcd lacks the one that is named, what an operator has applied since takes its place.
      const record = named === 0 || named === newest.revision ? newest : await this.record(named) ?? (newest.revision > named ? newest : undefined);
      if (record === undefined) throw new ConfigDamaged('record-unreadable', `etcd lacks configuration revision ${named}, which the view names: ${APPLY_AGAIN}`);
      return { record, text: await this.text(record) };
    }
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────

  /** Writes a new revision, if none was written since `expected`. @throws ConfigTooLarge, ConfigDamaged */
  async publish(text: string, options: PublishOptions): Promise<Publication> {
    const packed = packConfig(text);
    const { hash, bytes, stored } = packed;
    return this.#writeRevision({ hash, bytes, stored, pieces: packed.pieces.length }, packed.pieces, options);
  }

  /** A new revision with what an earlier one said. */
  async publishAgain(record: ConfigRevision, options: PublishOptions): Promise<Publication> {
    return this.#writeRevision(record, undefined, options);
  }

  async #writeRevision(
    content: Pick<ConfigRevision, 'hash' | 'pieces' | 'bytes' | 'stored'>, pieces: readonly Buffer[] | undefined, options: PublishOptions,
  ): Promise<Publication> {
    const { expected, at, by, changes = [], comment } = options;
    const { hash, bytes, stored } = content;
    // In an etcd that was restored the numbers begin anew where they were; nodes know later ones, and what those said.
    const revision = Math.max(expected, highestRevision(await this.clusterKeys())) + 1;
    const record: ConfigRevision = {
      revision, hash, pieces: content.pieces, bytes, stored, at, by, comment, previous: expected, id: randomUUID(),
    };
    for (let tries = 0; tries < PUBLISH_TRIES; tries++) {
      const compares = await this.#storePieces(record, pieces);
      const [found] = await this.#read([{ op: 'get', key: NEWEST_KEY }]);
      const newest = newestOf(found);
      if ((newest?.revision ?? 0) !== expected) return { outcome: 'overtaken', newest };
      compares.push({ key: NEWEST_KEY, modRevision: found?.[0]?.modRevision ?? 0 });
      if (await this.#putRevision(record, compares, changes)) return { outcome: 'written', record };
    }
    throw new ConfigDamaged('piece-missing', `the pieces of the new configuration were deleted ${PUBLISH_TRIES} times while it was written: somebody else is writing too`);
  }

  /** Those that are not there yet. What each was last written by is what the revision's write compares. */
  async #storePieces({ hash, pieces: count, revision }: ConfigRevision, pieces: readonly Buffer[] | undefined): Promise<EtcdCompare[]> {
    const [found] = await this.#read([{ op: 'get-prefix', prefix: piecesOf(hash), limit: 0, keysOnly: true }]);
    const there = new Map(found!.map(({ key, modRevision }) => [key, modRevision]));
    const compares: EtcdCompare[] = [];
    for (let piece = 0; piece < count; piece++) {
      const key = pieceKey(hash, piece);
      let modRevision = there.get(key);
      if (modRevision === undefined) {
        const value = pieces?.[piece];
        if (value === undefined) throw new ConfigDamaged('piece-missing', `etcd lacks piece ${piece} of what is to be revision ${revision}`);
        modRevision = (await this.#persist(() => this.#txn({ then: [{ op: 'put', key, value }] }))).revision;
      }
      compares.push({ key, modRevision });
    }
    return compares;
  }

  /** False: something that is compared has changed. A lost answer is cleared up by reading. */
  async #putRevision(record: ConfigRevision, compares: readonly EtcdCompare[], changes: readonly string[]): Promise<boolean> {
    const value = encodeRevision(record);
    const { at, by, comment, id, previous, revision } = record;
    const told = auditOrderPut({
      id, at, by, operation: 'config', target: `revision ${revision}`, before: previous === 0 ? '' : `revision ${previous}`, after: changes.join('; '), reason: comment,
    });
    const then: EtcdOp[] = [{ op: 'put', key: revisionKey(revision), value }, { op: 'put', key: NEWEST_KEY, value }, told];
    return this.#persist(async () => {
      try {
        return (await this.#txn({ compares, then })).succeeded || await this.#isOurs(record);
      } catch (error) {
        // Applied, not applied, or still to come: then it compares the same revision as the next try does.
        if (error instanceof EtcdUnknown && await this.#isOurs(record)) return true;
        throw error;
      }
    });
  }

  async #isOurs({ revision, id }: ConfigRevision): Promise<boolean> {
    const { reads } = await this.#txn({ then: [{ op: 'get', key: revisionKey(revision) }] });
    const found = reads[0]![0];
    return found !== undefined && jsonOf(found.value)['id'] === id;
  }

  /**
   * Deletes revisions past the bounds, and pieces that no revision names. To be called by whoever has
   * written one; where something changes meanwhile it leaves the rest to the next.
   */
  async tidy(): Promise<{ readonly revisions: number; readonly pieces: number }> {
    const [views, found, kept, keys] = await this.#read([
      { op: 'get', key: 'view' }, { op: 'get', key: NEWEST_KEY }, { op: 'get-prefix', prefix: REVISIONS_PREFIX, limit: 0 },
      { op: 'get-prefix', prefix: PIECES_PREFIX, limit: 0, keysOnly: true },
    ]);
    const newest = newestOf(found);
    if (newest === undefined) return { revisions: 0, pieces: 0 };
    const records = kept!.map(({ key, value }) => decodeRevision(key, value));
    const dropped = beyondBounds(records, newest.revision, viewOf(views)?.configRevision ?? 0);
    const named = new Set([newest, ...records.filter((record) => !dropped.has(record.revision))].map(({ hash }) => hash));
    const hashes = new Set(keys!.map(({ key }) => key.slice(PIECES_PREFIX.length).split('/')[0]!).filter((hash) => !named.has(hash)));
    const ops: EtcdOp[] = [
      ...[...dropped].map((revision): EtcdOp => ({ op: 'delete', key: revisionKey(revision) })),
      ...[...hashes].map((hash): EtcdOp => ({ op: 'delete-prefix', prefix: piecesOf(hash) })),
    ];
    const compares = [
      { key: NEWEST_KEY, modRevision: found![0]!.modRevision }, { key: 'view', modRevision: views![0]?.modRevision ?? 0 },
    ];
    for (let at = 0; at < ops.length; at += DELETE_OPS_MAX) {
      const then = ops.slice(at, at + DELETE_OPS_MAX);
      if (!(await this.#persist(() => this.#txn({ compares, then }))).succeeded) break;
    }
    return { revisions: dropped.size, pieces: hashes.size };
  }

  #persist<T>(action: () => Promise<T>): Promise<T> {
    return this.requests.persist(action);
  }

  #read(then: readonly EtcdOp[]): Promise<TxnResult['reads']> {
    return this.requests.read(then);
  }

  #txn(request: Parameters<EtcdRequests['txn']>[0]): Promise<TxnResult> {
    return this.requests.txn(request);
  }
}

/** Revisions that need not be kept: too many, or too large together. */
function beyondBounds(records: readonly ConfigRevision[], newest: number, named: number): Set<number> {
  const dropped = new Set<number>();
  const counted = new Set<string>();
  let bytes = 0;
  for (const { revision, hash, pieces, stored } of records.toReversed()) {
    if (!counted.has(hash)) bytes += stored === 0 ? pieces * CONFIG_PIECE_BYTES : stored;
    counted.add(hash);
    if (revision === named || revision >= newest - 1) continue;
    if (newest - revision >= CONFIG_HISTORY_REVISIONS || bytes > CONFIG_HISTORY_BYTES) dropped.add(revision);
  }
  return dropped;
}

function newestOf(found: readonly EtcdKeyValue[] | undefined): ConfigRevision | undefined {
  return found?.[0] === undefined ? undefined : decodeRevision(NEWEST_KEY, found[0].value);
}

function viewOf(found: readonly EtcdKeyValue[] | undefined): View | undefined {
  return found?.[0] === undefined ? undefined : decodeView(found[0].value);
}

/** That anybody shows: the newest, the one that the view names, and those that the nodes have. */
export function highestRevision({ newest, nodes, view }: Pick<ClusterKeys, 'nodes' | 'view'> & { readonly newest: Pick<ConfigRevision, 'revision'> | undefined }): number {
  const standings = [...nodes.values()].map(({ config }) => plain(config));
  const known = standings.flatMap(({ loaded, prepared, refused }) => [loaded, prepared, plain(refused)['revision']]);
  return Math.max(newest?.revision ?? 0, view?.configRevision ?? 0, ...known.filter((revision) => Number.isSafeInteger(revision)) as number[]);
}

function plain(json: unknown): Record<string, unknown> {
  return typeof json === 'object' && json !== null ? json as Record<string, unknown> : {};
}
