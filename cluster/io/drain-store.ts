/** The orders that take nodes out of service, as the command line writes them to etcd. */
import { randomUUID } from 'node:crypto';
import { auditOrderPut } from '../core/audit-orders.ts';
import type { EtcdOp } from '../core/ports.ts';
import { DRAINS_PREFIX, readDrains } from '../upgrade/drains.ts';
import type { DrainOrder } from '../upgrade/drains.ts';
import type { EtcdRequests } from './etcd-requests.ts';

export type NewDrainOrder = Omit<DrainOrder, 'createRevision'>;

export class DrainStore {
  readonly #requests: EtcdRequests;

  constructor(requests: EtcdRequests) {
    this.#requests = requests;
  }

  /** Undefined: it is written. Else the order that is there already, which asks for no less. */
  async order(node: string, { at, by, force, reason }: NewDrainOrder): Promise<DrainOrder | undefined> {
    const key = DRAINS_PREFIX + node;
    const put: EtcdOp = { op: 'put', key, value: Buffer.from(JSON.stringify({ by, at, reason, ...(force ? { force } : {}) })) };
    const told = auditOrderPut({ id: randomUUID(), at, by, operation: 'drain', target: node, before: '', after: `wanted out of service${force ? ', also as the last one' : ''}`, reason });
    for (;;) {
      const [found] = await this.#requests.read([{ op: 'get', key }]);
      const there = readDrains(found!).get(node);
      // Ours, where the answer to an earlier try was lost.
      if (there !== undefined && there.at === at && there.by === by && there.force === force) return undefined;
      if (there !== undefined && (there.force || !force)) return there;
      const compares = [{ key, modRevision: found![0]?.modRevision ?? 0 }];
      const { succeeded } = await this.#requests.persist(() => this.#requests.txn({ compares, then: [put, told] }));
      if (succeeded) return undefined;
    }
  }

  /** The order that was there. */
  async takeBack(node: string, { at, by }: Pick<NewDrainOrder, 'at' | 'by'>): Promise<DrainOrder | undefined> {
    const key = DRAINS_PREFIX + node;
    const [found] = await this.#requests.read([{ op: 'get', key }]);
    const there = readDrains(found!).get(node);
    if (there === undefined) return undefined;
    const before = `drained${there.by === '' ? '' : ` by ${there.by}`}${there.at === '' ? '' : ` at ${there.at}`}`;
    const told = auditOrderPut({ id: randomUUID(), at, by, operation: 'undrain', target: node, before, after: 'wanted in service', reason: '' });
    await this.#requests.persist(() => this.#requests.txn({ then: [{ op: 'delete', key }, told] }));
    return there;
  }
}
