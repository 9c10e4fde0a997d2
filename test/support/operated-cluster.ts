/** Operations on the production engines of a small simulated cluster, as an operator gives them to one of its nodes. */
import assert from 'node:assert/strict';
import { setImmediate as pause } from 'node:timers/promises';
import { ApiCounters } from '../../node/admin/api-counters.ts';
import { OperationRunner } from '../../node/admin/operation-runner.ts';
import { PoolTrends } from '../../node/admin/pool-trends.ts';
import type { AnyOperation, Caller, Operation, OperationHost } from '../../node/admin/operation.ts';
import { AUDIT_KINDS, auditEntry } from '../../node/admin/audit.ts';
import type { AuditEntry } from '../../node/admin/audit.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import { exampleStatus } from '../unit/telemetry-fixture.ts';
import type { ConfigSpec } from './configs.ts';
import { SmallCluster } from './small-cluster.ts';

export const OPERATOR: Caller = { name: 'alice', role: 'operator', via: 'socket', from: '' };

const ANSWER_MS_MAX = 10_000;

export class OperatedCluster extends SmallCluster {
  /** What the nodes' runners have reported. */
  readonly reported: (Occurrence & { readonly node: string })[] = [];
  /** Every node's, so that a test counts what it likes. */
  readonly trends = new PoolTrends();

  readonly counters = new ApiCounters();

  /** Started and in one view. */
  static of(...ids: readonly string[]): OperatedCluster {
    return OperatedCluster.with(ids);
  }

  /** The same with another configuration. */
  static with(ids: readonly string[], spec: Partial<ConfigSpec> = {}): OperatedCluster {
    const cluster = new OperatedCluster(ids, 1, spec);
    for (const id of ids) cluster.start(id);
    cluster.until('all are members', 60_000, () => ids.every((id) => cluster.members.split(' ').includes(id)) && cluster.settled(cluster.members));
    return cluster;
  }

  runner(id: string): OperationRunner {
    const node = this.node(id);
    return new OperationRunner({
      host: this.host(id), change: (decide, done) => node.change(decide, done),
      report: (occurrences) => this.reported.push(...occurrences.map((each) => ({ ...each, node: id }))), counters: this.counters,
    });
  }

  host(id: string): OperationHost {
    const node = this.node(id);
    const { engine } = node;
    assert(engine !== undefined, `${id} does not run`);
    return {
      node: id, table: node.table!, notes: engine.notes, quarantines: engine.quarantines, now: () => node.now(), config: () => engine.config, status: () => exampleStatus({ node: id }),
      protocol: () => engine.protocol, ownerOf: (slot) => engine.core.ownerOf(slot), owns: (slot) => engine.core.owns(slot), trends: this.trends, pause: () => pause(),
    };
  }

  /** The answer of the node `id`, once it has come; what it throws is thrown. Simulated time goes on meanwhile. */
  async operate<P, R>(id: string, operation: Operation<P, R>, parameters: object, caller: Caller = OPERATOR): Promise<R> {
    const any: AnyOperation = operation;
    assert(any.kind !== 'list', 'of a list the entries are asked for');
    return this.settle(this.runner(id).run(any, any.parameters.parse(parameters), caller)) as Promise<R>;
  }

  async list<P, R>(id: string, operation: Operation<P, R>, parameters: object, caller: Caller = OPERATOR): Promise<R[]> {
    const any: AnyOperation = operation;
    assert(any.kind === 'list', 'of an answer there are no entries');
    const entries: R[] = [];
    for await (const entry of this.runner(id).list(any, any.parameters.parse(parameters), caller)) entries.push(entry as R);
    return entries;
  }

  /** Lets simulated time go on until the promise has settled. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    const settled = { yet: false };
    const mark = (): void => {
      settled.yet = true;
    };
    promise.then(mark, mark);
    const began = this.agenda.now;
    while (!settled.yet) {
      assert(this.agenda.now - began < ANSWER_MS_MAX, 'no answer');
      this.run(10);
      // What it waits for may have come with this step.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return promise;
  }

  /** As the node knows the audit log, in order of time. */
  audit(id: string): AuditEntry[] {
    const { notes } = this.host(id);
    return AUDIT_KINDS.flatMap((kind) => notes.keys(kind)).map((key) => auditEntry.parse(notes.read(key)!.body)).sort((a, b) => a.at.localeCompare(b.at));
  }
}

/** For what is not asked for any: nobody changes anything. */
export function noOperations(): OperationRunner {
  const host = new Proxy({} as OperationHost, {
    get: () => assert.fail('nothing is asked of the node'),
  });
  return new OperationRunner({ host, change: (_decide, done) => done({ kind: 'unavailable', reason: 'no node' }), report: () => undefined, counters: new ApiCounters() });
}
