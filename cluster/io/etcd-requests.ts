/**
 * Plain requests to etcd for whoever waits for their answers, beside those of the failover core, whose numbers
 * stay below 2^40. What may be done twice is tried again while etcd does not answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdCompare, EtcdOp, EtcdRequest, EtcdResult } from '../core/ports.ts';

const DEADLINE_MS = 2000;
const RETRY_MS = 1000;

/** Told of each failure of etcd; throws to give up. */
export type OnUnreachable = (error: string) => void;

export type TxnResult = Extract<EtcdResult, { outcome: 'txn' }>;

/** The answer did not come; the request may or may not have been carried out. */
export class EtcdUnknown extends Error {}

export class EtcdRequests {
  readonly #send: (request: EtcdRequest) => void;
  readonly #onUnreachable: OnUnreachable;
  readonly #waiting = new Map<number, (result: EtcdResult) => void>();
  #nextId = 2 ** 40;

  /** Without an answer of etcd everything is tried again, until `onUnreachable` throws. */
  constructor(send: (request: EtcdRequest) => void, onUnreachable: OnUnreachable) {
    this.#send = send;
    this.#onUnreachable = onUnreachable;
  }

  /** Takes the result if it is one of its own. */
  settle(result: EtcdResult): boolean {
    const done = this.#waiting.get(result.id);
    this.#waiting.delete(result.id);
    done?.(result);
    return done !== undefined;
  }

  /** Only for what may be done twice. */
  async persist<T>(action: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof EtcdUnknown)) throw error;
        this.#onUnreachable(error.message);
        await sleep(RETRY_MS);
      }
    }
  }

  async read(then: readonly EtcdOp[]): Promise<TxnResult['reads']> {
    return (await this.persist(() => this.txn({ then }))).reads;
  }

  /** @throws EtcdUnknown */
  txn({ compares = [], then }: { compares?: readonly EtcdCompare[]; then: readonly EtcdOp[] }): Promise<TxnResult> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (result) => {
        if (result.outcome === 'txn') resolve(result);
        else reject(new EtcdUnknown(result.outcome === 'unknown' ? result.error : result.outcome));
      });
      this.#send({ kind: 'txn', id, compares, then, otherwise: [], deadlineMs: DEADLINE_MS });
    });
  }
}
