/** `lessor drain` and `undrain`, before a real etcd and nodes that do as they are told. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { ClusterKeys } from '../../cluster/io/config-store.ts';
import { encodeView } from '../../cluster/view/view.ts';
import { couldLeave, drainProgress, returnProgress } from '../../node/cli/drain-wait.ts';
import { EtcdAsker, etcdMissing, startEtcd, type EtcdProcess } from '../support/etcd-process.ts';
import { type Ended, runLessor } from '../support/run-lessor.ts';

const run = (...args: string[]): Promise<Ended> => runLessor(args);

interface KeysOf {
  readonly members?: string;
  /** What each shows; the incarnation is the place in the alphabet. */
  readonly shows?: Readonly<Record<string, string>>;
  readonly drained?: Readonly<Record<string, boolean>>;
  readonly withoutInterface?: string;
}

const incarnationOf = (node: string): number => node.charCodeAt(0) - 96;

function keysOf({ drained = {}, members = 'a b', shows = { a: 'NORMAL', b: 'NORMAL' }, withoutInterface = '' }: KeysOf): ClusterKeys {
  const named = members === '' ? [] : members.split(' ').map((node) => ({ node, incarnation: incarnationOf(node) }));
  return {
    newest: undefined,
    view: named.length === 0 ? undefined : { epoch: 1, generation: 1, members: named, slots: [], protocol: 1, configRevision: 0, probeUntil: 0 },
    nodes: new Map(Object.entries(shows).map(([node, state]) =>
      [node, { incarnation: incarnationOf(node), state, serverIds: node === withoutInterface ? [] : [1] }])),
    drains: new Map(Object.entries(drained).map(([node, force], i) => [node, { by: '', at: '', reason: '', force, createRevision: i + 1 }])),
  };
}

test('how far a node is on its way out', () => {
  const at = (keys: KeysOf): string => drainProgress(keysOf(keys), 'b').state;
  assert.equal(at({}), 'not-ordered');
  assert.deepEqual(drainProgress(keysOf({ drained: { b: false } }), 'b'), { state: 'leaving', shows: 'NORMAL' });
  assert.deepEqual(drainProgress(keysOf({ drained: { b: false }, shows: { a: 'NORMAL' } }), 'b'), { state: 'leaving', shows: '' });
  assert.equal(at({ drained: { b: false }, members: 'a' }), 'leaving', 'it has not noticed yet');
  assert.deepEqual(drainProgress(keysOf({ drained: { b: false }, members: 'a', shows: { a: 'NORMAL', b: 'DRAINING' } }), 'b'), { state: 'out', running: true, others: ['a'] });
  assert.deepEqual(drainProgress(keysOf({ drained: { b: false }, members: 'a', shows: { a: 'NORMAL' } }), 'b'), { state: 'out', running: false, others: ['a'] });
  assert.equal(at({ drained: { b: false }, members: '', shows: {} }), 'out');
  assert.equal(at({ drained: { b: false }, members: 'b' }), 'kept');
  assert.equal(at({ drained: { b: true }, members: 'b' }), 'leaving');
  assert.equal(at({ drained: { b: true }, members: 'b', shows: { b: 'DRAINING' } }), 'silent');
});

test('whether a node could leave', () => {
  assert.equal(couldLeave(keysOf({}), 'b'), true);
  assert.equal(couldLeave(keysOf({ members: 'b' }), 'b'), false);
  assert.equal(couldLeave(keysOf({ members: 'b' }), 'b', true), true);
  assert.equal(couldLeave(keysOf({ members: 'a' }), 'b'), true, 'it is not in service');
  assert.equal(couldLeave(keysOf({ drained: { a: false } }), 'b'), false, 'the other is on its way out');
  assert.equal(couldLeave(keysOf({ shows: { b: 'NORMAL' } }), 'b'), false, 'the other has no session');
  assert.equal(couldLeave(keysOf({ withoutInterface: 'a' }), 'b'), false);
  assert.equal(couldLeave(keysOf({ members: 'b', drained: { b: true } }), 'b'), true);
});

test('how far a node is on its way back', () => {
  const at = (keys: KeysOf): string => returnProgress(keysOf(keys), 'b').state;
  assert.equal(at({ drained: { b: false } }), 'ordered-again');
  assert.equal(at({ shows: { a: 'NORMAL' }, members: 'a' }), 'not-running');
  assert.equal(at({ shows: { a: 'NORMAL', b: 'RECOVER' }, members: 'a' }), 'returning');
  assert.equal(at({ shows: { a: 'NORMAL', b: 'RECOVER' } }), 'returning');
  assert.equal(at({}), 'in-service');
});

let etcd: EtcdProcess;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lessor-cli-drain-'));
  if (etcdMissing() === undefined) etcd = await startEtcd();
});
after(async () => {
  rmSync(folder, { recursive: true });
  if (etcdMissing() === undefined) await etcd.remove();
});

/** A cluster of its own in the one etcd. */
class Cluster {
  readonly #asker: EtcdAsker;
  readonly config: string;
  #members: string[];
  readonly #shows = new Map<string, string>();

  static async start(context: TestContext, members = 'a b'): Promise<Cluster> {
    const cluster = new Cluster(members);
    context.after(() => cluster.#asker.close());
    await cluster.#asker.ready();
    for (const node of members.split(' ')) cluster.#shows.set(node, 'NORMAL');
    await cluster.#write();
    return cluster;
  }

  private constructor(members: string) {
    const name = `c${Math.floor(Math.random() * 1e9)}`;
    this.#members = members.split(' ');
    this.#asker = new EtcdAsker([etcd.endpoint], [], `/lessor/${name}/`);
    this.config = join(folder, `${name}.yaml`);
    writeFileSync(this.config, `node: a\ndhcp: { interfaces: [lo] }\ncluster: { name: ${name}, listen: 127.0.0.1:7067, etcd: [${etcd.endpoint}] }\n`);
  }

  lessor(...args: string[]): Promise<Ended> {
    return run(...args, '--config', this.config);
  }

  async #write(): Promise<void> {
    const members = this.#members.map((node) => ({ node, incarnation: incarnationOf(node) }));
    await this.#put('view', encodeView({ epoch: 1, generation: 1, members, slots: Array.from({ length: 256 }, () => 0), protocol: 1, configRevision: 0, probeUntil: 0 }));
    for (const [node, state] of this.#shows) {
      await this.#put(`nodes/${node}`, Buffer.from(JSON.stringify({ incarnation: incarnationOf(node), state, serverIds: [1] })));
    }
  }

  async #put(key: string, value: Buffer): Promise<void> {
    const { outcome } = await this.#asker.ask({ kind: 'txn', compares: [], then: [{ op: 'put', key, value }], otherwise: [], deadlineMs: 2000 });
    assert.equal(outcome, 'txn');
  }

  /** The command runs; the node does as it is told, a while after it is. */
  async during(command: Promise<Ended>, node: string, members: string, state: string): Promise<Ended> {
    const ended = new AbortController();
    const end = command.finally(() => ended.abort());
    while (!ended.signal.aborted && (await this.order(node) !== undefined) !== (state === 'DRAINING')) await this.#asker.pass(20);
    await this.#asker.pass(300);
    this.#members = members.split(' ');
    this.#shows.set(node, state);
    await this.#write();
    return end;
  }

  async order(node: string): Promise<Record<string, unknown> | undefined> {
    const result = await this.#asker.ask({ kind: 'txn', compares: [], then: [{ op: 'get', key: `drains/${node}` }], otherwise: [], deadlineMs: 2000 });
    assert.ok(result.outcome === 'txn');
    const [found] = result.reads[0]!;
    return found === undefined ? undefined : JSON.parse(found.value.toString()) as Record<string, unknown>;
  }
}

describe('with etcd', { skip: etcdMissing() ?? false }, () => {
  test('a node is drained and comes back, and the command waits for it', async (context) => {
    const cluster = await Cluster.start(context);
    const { code, out, err } = await cluster.during(cluster.lessor('drain', 'b', '--reason', 'a new disk'), 'b', 'a', 'DRAINING');
    assert.equal(code, 0, err);
    assert.equal(out, 'b is out of service; a serves. It keeps running, in state DRAINING. It stays out, also over restarts, until: lessor undrain b\n');
    assert.match(err, /^b is ordered out of service\nwaiting: b is NORMAL\n$/);
    const order = await cluster.order('b');
    assert.match(String(order!['by']), /@/);
    assert.equal(order!['reason'], 'a new disk');
    assert.ok(Date.now() - Date.parse(String(order!['at'])) < 60_000);
    const again = await cluster.lessor('drain', 'b');
    assert.equal(again.code, 0);
    assert.match(again.err, /^b is ordered out of service by \S+@\S+ since 20\S+Z: a new disk already$/m);
    const back = await cluster.during(cluster.lessor('undrain', 'b'), 'b', 'a b', 'NORMAL');
    assert.equal(back.code, 0, back.err);
    assert.equal(back.out, 'b is in service again: NORMAL\n');
    assert.equal(await cluster.order('b'), undefined);
    assert.deepEqual(await cluster.lessor('undrain', 'b'), { code: 0, out: '', err: 'b is not drained\n' });
  });

  test('without waiting it only writes', async (context) => {
    const cluster = await Cluster.start(context);
    assert.deepEqual(await cluster.lessor('drain', 'a', '--no-wait'), { code: 0, out: '', err: 'a is ordered out of service\n' });
    assert.equal((await cluster.order('a'))!['reason'], '');
    assert.deepEqual(await cluster.lessor('undrain', 'a', '--no-wait'), { code: 0, out: '', err: 'a may come back\n' });
  });

  test('the last one in service is refused; by force there is a warning', async (context) => {
    const cluster = await Cluster.start(context, 'b');
    const refused = await cluster.lessor('drain', 'b');
    assert.equal(refused.code, 1);
    assert.match(refused.err, /nothing was changed: it is the only node in service.*--force/);
    assert.equal(await cluster.order('b'), undefined);
    const forced = await cluster.during(cluster.lessor('drain', 'b', '--force'), 'b', 'b', 'DRAINING');
    assert.equal(forced.code, 0, forced.err);
    assert.match(forced.err, /^WARNING: b is the only node in service\. No client is served until/);
    assert.match(forced.out, /^b serves nobody any more/);
    assert.equal((await cluster.order('b'))!['force'], true);
  });

  test('of two the second is refused while the first is out', async (context) => {
    const cluster = await Cluster.start(context);
    await cluster.lessor('drain', 'a', '--no-wait');
    const { code, err } = await cluster.lessor('drain', 'b');
    assert.equal(code, 1);
    assert.match(err, /none would go on serving: each is to be drained/);
  });

  test('an order is made one by force, not the other way round', async (context) => {
    const cluster = await Cluster.start(context);
    await cluster.lessor('drain', 'b', '--no-wait');
    await cluster.lessor('drain', 'b', '--no-wait', '--force');
    assert.equal((await cluster.order('b'))!['force'], true);
    assert.match((await cluster.lessor('drain', 'b', '--no-wait')).err, /by force .* already/);
    assert.equal((await cluster.order('b'))!['force'], true);
  });

  test('one that does not leave in time is told with what to do, and the order stands', async (context) => {
    const cluster = await Cluster.start(context);
    const { code, err } = await cluster.lessor('drain', 'b', '--timeout', '0.5');
    assert.equal(code, 1);
    assert.match(err, /b has not left within 0\.5 s, it is NORMAL\. The order stands\..*lessor undrain b/);
    assert.notEqual(await cluster.order('b'), undefined);
  });

  test('one that is not running is out at once, and comes back when it is started', async (context) => {
    const cluster = await Cluster.start(context, 'a');
    const unknown = await cluster.lessor('drain', 'bb');
    assert.equal(unknown.code, 1);
    assert.equal(unknown.err, 'lessor: there is no node "bb" in this cluster. Its nodes: a\n');
    // Known by the configuration alone.
    writeFileSync(join(folder, 'c.yaml'), 'nodes: { a: {}, node-b: {} }\nsubnets:\n  - subnet: 10.0.0.0/8\n    pools: [10.1.0.0-10.1.0.255]\n');
    assert.equal((await cluster.lessor('config', 'apply', join(folder, 'c.yaml'), '--no-wait')).code, 0);
    assert.match((await cluster.lessor('drain', 'node_b')).err, /no node "node_b" in this cluster; did you mean node-b\? Its nodes: a, node-b/);
    const { code, out, err } = await cluster.lessor('drain', 'node-b');
    assert.equal(code, 0, err);
    assert.match(out, /^node-b is out of service; a serves\. Its process is not running\./);
    assert.equal((await cluster.lessor('undrain', 'node-b')).out, 'node-b is not running: it comes into service when it is started\n');
  });

  test('wrong usage, and a single node', async (context) => {
    const cluster = await Cluster.start(context);
    assert.equal((await cluster.lessor('drain')).code, 2);
    assert.equal((await cluster.lessor('drain', 'b', '--timeout', 'soon')).code, 2);
    const single = join(folder, 'single.yaml');
    writeFileSync(single, 'node: a\ndhcp: { interfaces: [lo] }\n');
    const { code, err } = await run('drain', 'a', '--config', single);
    assert.equal(code, 1);
    assert.match(err, /has no cluster: node a is the only one.*SIGTERM/);
  });
});
