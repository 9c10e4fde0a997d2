/**
 * The cluster's configuration in etcd: the text, compressed, in pieces well under etcd's limit for one
 * request, named by its hash; then the revision that points at them. So a revision that can be read
 * always has all its pieces.
 *
 *     config/pieces/<hash>/<number>   gzip of cluster.yaml, a piece each
 *     config/revision                 {"revision": 1, "hash": "…", "pieces": 1}
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import * as z from 'zod';
import type { EtcdOp, EtcdRequest, EtcdResult } from '../core/ports.ts';

const PIECE_BYTES = 512 * 1024;
const DEADLINE_MS = 2000;
const RETRY_MS = 1000;

const revisionSchema = z.object({ revision: z.int().min(1), hash: z.string(), pieces: z.int().min(1) });

export interface StoredConfig {
  readonly revision: number;
  readonly text: string;
}

type TxnResult = Extract<EtcdResult, { outcome: 'txn' }>;

/** Plain requests at the start of a node, before the failover core asks anything; ids from 2^40 on. */
export class ConfigStore {
  readonly #send: (request: EtcdRequest) => void;
  readonly #waiting = new Map<number, (result: EtcdResult) => void>();
  #nextId = 2 ** 40;

  constructor(send: (request: EtcdRequest) => void) {
    this.#send = send;
  }

  /** Takes the result if it is one of this store's own. */
  settle(result: EtcdResult): boolean {
    const done = this.#waiting.get(result.id);
    this.#waiting.delete(result.id);
    done?.(result);
    return done !== undefined;
  }

  /**
   * What etcd holds; where it holds none, `initial` becomes revision 1. Waits for etcd as long as it
   * takes, telling `onUnreachable` of each failure.
   */
  async readOrCreate(initial: () => string, onUnreachable: (error: string) => void): Promise<StoredConfig> {
    for (;;) {
      const found = await this.#attempt(() => this.#read(), onUnreachable);
      if (found !== undefined) return found;
      const text = initial();
      await this.#attempt(() => this.#create(text), onUnreachable);
    }
  }

  async #attempt<T>(action: () => Promise<T>, onUnreachable: (error: string) => void): Promise<T> {
    for (;;) {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof EtcdUnknown)) throw error;
        onUnreachable(error.message);
        await sleep(RETRY_MS);
      }
    }
  }

  async #read(): Promise<StoredConfig | undefined> {
    const [pointer] = (await this.#txn([{ op: 'get', key: 'config/revision' }])).reads[0]!;
    if (pointer === undefined) return undefined;
    const { revision, hash, pieces } = revisionSchema.parse(JSON.parse(pointer.value.toString()));
    const parts: Buffer[] = [];
    for (let piece = 0; piece < pieces; piece++) {
      const [part] = (await this.#txn([{ op: 'get', key: pieceKey(hash, piece) }])).reads[0]!;
      if (part === undefined) throw new Error(`etcd lacks piece ${piece} of configuration revision ${revision}`);
      parts.push(part.value);
    }
    return { revision, text: gunzipSync(Buffer.concat(parts)).toString() };
  }

  /** Create-if-absent: of two nodes that start at once, one's file becomes revision 1. */
  async #create(text: string): Promise<void> {
    const bytes = gzipSync(text);
    const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
    const pieces = Math.ceil(bytes.length / PIECE_BYTES);
    for (let piece = 0; piece < pieces; piece++) {
      const value = bytes.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);
      await this.#txn([{ op: 'put', key: pieceKey(hash, piece), value }]);
    }
    const value = Buffer.from(JSON.stringify({ revision: 1, hash, pieces }));
    await this.#txn([{ op: 'put', key: 'config/revision', value }], 'config/revision');
  }

  #txn(then: readonly EtcdOp[], ifAbsent?: string): Promise<TxnResult> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (result) => {
        if (result.outcome === 'txn') resolve(result);
        else reject(new EtcdUnknown(result.outcome === 'unknown' ? result.error : result.outcome));
      });
      this.#send({
        kind: 'txn', id, compares: ifAbsent === undefined ? [] : [{ key: ifAbsent, createRevision: 0 }],
        then, otherwise: [], deadlineMs: DEADLINE_MS,
      });
    });
  }
}

/** The answer did not come; the request may or may not have been carried out. */
class EtcdUnknown extends Error {}

function pieceKey(hash: string, piece: number): string {
  return `config/pieces/${hash}/${String(piece).padStart(4, '0')}`;
}
