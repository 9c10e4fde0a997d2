/** Another configuration while clients are served: a cluster by the command line, a single node by a signal. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Load } from '../../deploy/lab/load.ts';
import type { LoadResult } from '../../deploy/lab/load.ts';
import { sleep, waitUntil } from '../../deploy/lab/processes.ts';
import type { NodeStatus } from '../../node/admin/status.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import { needs, ServedNetwork } from '../support/served-network.ts';
import type { ServedNode } from '../support/served-network.ts';

const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const RATE = 200;
const QUIET_SECONDS = 10;
const REVISIONS = 10;

interface Ended {
  readonly code: number | NodeJS.Signals;
  readonly output: string;
}

/** The command, on the host of a node. */
async function lessor(served: ServedNetwork, ...args: string[]): Promise<Ended> {
  const config = join(served.folder, 'node-a.yaml');
  const command = served.host('a').spawn([process.execPath, entry, ...args, '--config', config], { name: args.join(' '), cwd: served.folder });
  return { code: await command.exited, output: command.output };
}

function clusterFile(served: ServedNetwork): string {
  return readFileSync(join(served.folder, 'cluster.yaml'), 'utf8');
}

/** A file with this text, beside the others. */
function file(served: ServedNetwork, name: string, text: string): string {
  const path = join(served.folder, name);
  writeFileSync(path, text);
  return path;
}

async function statusOf(node: ServedNode): Promise<NodeStatus> {
  return JSON.parse(await node.fetch('/v1/status')) as NodeStatus;
}

async function revisions(served: ServedNetwork): Promise<number[]> {
  return Promise.all(served.nodes.map(async (node) => (await statusOf(node)).config.loaded));
}

/** Why a node gave no answer, that it would have given without a change of the configuration. */
const OF_A_CHANGE = ['not-serving', 'no-subnet', 'superseded', 'commit-timeout', 'stale'];

interface Lost {
  readonly load: LoadResult;
  /** Drops of all nodes by reason, those that there were. */
  readonly drops: Readonly<Record<string, number>>;
}

async function dropsOf(served: ServedNetwork): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  for (const node of served.nodes) {
    for (const [label, value] of await node.metric('lessor_dhcp_dropped_total')) sums.set(label, (sums.get(label) ?? 0) + value);
  }
  return sums;
}

/** What is lost while something is done under load. */
async function underLoad(served: ServedNetwork, work: () => Promise<void>): Promise<Lost> {
  const before = await dropsOf(served);
  const load = new Load({ host: served.host('load'), rate: RATE, renewRate: 50, clients: 1000 });
  await work();
  const result = await load.stop();
  const after = await dropsOf(served);
  const drops = [...after].map(([label, value]) => [label.slice('reason="'.length, -1), value - (before.get(label) ?? 0)] as const);
  return { load: result, drops: Object.fromEntries(drops.filter(([, count]) => count > 0)) };
}

test('the configuration of the pair, changed while it serves', needs('etcd', 'perfdhcp', 'udhcpc'), async (t) => {
  await using served = await ServedNetwork.start({ nodes: ['a', 'b'], clients: ['load', 'fixed'] });
  served.host('load').ip('address add 10.1.0.31/16 dev eth0');
  const original = clusterFile(served);

  let revision = 1;
  const changed = async (nodes: string, ...args: string[]): Promise<void> => {
    revision++;
    const { code, output } = await lessor(served, ...args);
    assert.equal(code, 0, output);
    assert.match(output, new RegExp(`revision ${revision} is in force on ${nodes}$`, 'm'));
  };
  const next = async (...args: string[]): Promise<void> => {
    await changed('a b', ...args);
    assert.deepEqual(await revisions(served), [revision, revision]);
  };
  const apply = (name: string, text: string, nodes: string): Promise<void> => changed(nodes, 'config', 'apply', file(served, name, text), '--yes');

  await t.test(`${REVISIONS} revisions come into force under load, and cost no client an answer`, async (context) => {
    const quiet = await underLoad(served, () => sleep(QUIET_SECONDS * 1000));
    const changing = await underLoad(served, async () => {
      for (let i = 1; i <= REVISIONS; i++) {
        await next('config', 'apply', file(served, 'next.yaml', original.replace('[10.1.0.53]', `[10.1.0.53, 10.1.0.${100 + i}]`)));
      }
    });
    context.diagnostic(`without changes ${JSON.stringify(quiet)}; with ${REVISIONS} ${JSON.stringify(changing)}`);
    assert.ok(changing.load.received > RATE, `${changing.load.received} answers`);
    // perfdhcp also counts what was under way when it was stopped, and what the machine was too slow for.
    assert.deepEqual(Object.keys(changing.drops).filter((reason) => OF_A_CHANGE.includes(reason) && !(reason in quiet.drops)), []);
    assert.ok(changing.load.drops <= 0.01 * changing.load.sent + quiet.load.drops, `${changing.load.drops} drops of ${changing.load.sent}`);
  });

  await t.test('what a client is told is what was applied last', async () => {
    const { output } = await lessor(served, 'config', 'show');
    assert.match(output, /10\.1\.0\.110/);
  });

  await t.test('a reservation that is added is given to its client, without a change of the file', async () => {
    const host = served.host('fixed');
    await next('reservation', 'add', '--hardware', host.hardware(), '--address', '10.1.40.1', '--hostname', 'fixed', '--description', 'by a tool');
    const client = new RealClient({ kind: 'udhcpc', host, folder: join(served.folder, 'fixed') });
    assert.equal((await client.waitForLease(20_000)).address, '10.1.40.1');
    assert.equal((await served.agreed('10.1.40.1', 'ACTIVE')).reserved, true);
    await client.release(20_000);
    await client.stop();
  });

  await t.test('a file with mistakes is refused with all of them, and nothing changes', async () => {
    const path = file(served, 'bad.yaml', original.replace('leaseTime: 60s', 'leaseTime: soon').replace('10.3.0.0/16', '10.2.0.0/16'));
    const { code, output } = await lessor(served, 'config', 'apply', path);
    assert.equal(code, 1, output);
    assert.match(output, /bad\.yaml:2:12: leaseTime: expected/);
    assert.match(output, /bad\.yaml:\d+:\d+: subnets\[2\]/);
    assert.deepEqual(await revisions(served), [revision, revision]);
  });

  await t.test('a pool with active leases is taken away only where that is said', async () => {
    const path = file(served, 'fewer.yaml', original.replace('10.1.16.0-10.1.31.255', '10.1.31.0-10.1.31.255'));
    const refused = await lessor(served, 'config', 'apply', path);
    assert.equal(refused.code, 1, refused.output);
    assert.match(refused.output, /^This strands \d+ active leases: /m);
    assert.match(refused.output, /^ +10\.1\.0\.0\/16: \d+ \(10\.1\.\d+\.\d+, .*…\)$/m);
    assert.match(refused.output, /--yes/);
    assert.deepEqual(await revisions(served), [revision, revision]);
    await next('config', 'apply', path, '--yes', '--comment', 'a smaller pool');
    assert.equal((await statusOf(served.nodes[1]!)).leases[0]!.size, 256);
  });

  await t.test('a rollback is a new revision with what an earlier one said', async () => {
    await next('config', 'rollback');
    assert.equal((await statusOf(served.nodes[0]!)).leases[0]!.size, 4096);
    const { output: history } = await lessor(served, 'config', 'history');
    assert.match(history, new RegExp(`^${revision} +in force .* back to revision ${revision - 2}$`, 'm'));
    assert.match(history, new RegExp(`^${revision - 1} +- .* a smaller pool$`, 'm'));
  });

  await t.test('a node in service is not taken out of the list of nodes', async () => {
    const path = file(served, 'alone.yaml', original.replace(', b: { weight: 1 }', ''));
    const { code, output } = await lessor(served, 'config', 'apply', path);
    assert.equal(code, 1, output);
    assert.match(output, /nodes: b is in service and not among the nodes/);
  });

  await t.test('other weights move slots while both serve', async () => {
    const path = file(served, 'weights.yaml', original.replace('a: { weight: 1 }', 'a: { weight: 3 }'));
    await next('config', 'apply', path);
    await waitUntil('slots by weight', 5000, async () => {
      const [a, b] = await Promise.all(served.nodes.map(statusOf));
      return a!.slotsOwned === 192 && b!.slotsOwned === 64 && a!.homeSlots === 192 ? true : undefined;
    });
  });

  await t.test('a node that starts again serves what the others serve', async () => {
    const [, b] = served.nodes;
    await b!.kill();
    b!.start();
    await b!.ready();
    await served.inOneView();
    assert.deepEqual(await revisions(served), [revision, revision]);
  });

  await t.test('a node that is stopped can be taken out, does not start then, and comes back when it is named again', async () => {
    const [a, b] = served.nodes;
    assert.equal(await b!.stop(), 0);
    await waitUntil('a view of one', 10_000, async () => ((await statusOf(a!)).view?.members.length === 1 ? true : undefined));
    await apply('alone.yaml', original.replace(', b: { weight: 1 }', ''), 'a');
    assert.equal((await statusOf(a!)).state, 'NORMAL');
    b!.start();
    await waitUntil('b ended', 20_000, () => (b!.running ? undefined : true));
    assert.match(b!.output, /expected this node's name "b" among the nodes, found a/);
    await apply('both.yaml', original, 'a');
    b!.start();
    await b!.ready();
    await served.inOneView();
    assert.deepEqual(await revisions(served), [revision, revision]);
  });

  await t.test('a signal changes nothing in a cluster, and says so', async () => {
    const [a] = served.nodes;
    process.kill(a!.pid, 'SIGHUP');
    await waitUntil('the event', 5000, () => (a!.output.includes('config.not-from-file') ? true : undefined));
    assert.deepEqual(await revisions(served), [revision, revision]);
  });

  await t.test('nothing failed inside a node', () => {
    for (const { name, output } of served.nodes) assert.doesNotMatch(output, /"level":"error"/, `node ${name}`);
  });
});

test('a single node reads its file again when it gets SIGHUP', needs(), async (t) => {
  await using served = await ServedNetwork.start({ nodes: ['a'] });
  const [node] = served.nodes;
  const original = clusterFile(served);
  const hangUp = (): void => {
    process.kill(node!.pid, 'SIGHUP');
  };

  await t.test('the new one is in force', async () => {
    file(served, 'cluster.yaml', original.replace('10.1.16.0-10.1.31.255', '10.1.16.0-10.1.16.255'));
    hangUp();
    await waitUntil('the smaller pool', 5000, async () => ((await statusOf(node!)).leases[0]!.size === 256 ? true : undefined));
    assert.equal((await statusOf(node!)).config.loaded, 2);
  });

  await t.test('one with a mistake changes nothing, and the log says where it is', async () => {
    file(served, 'cluster.yaml', original.replace('10.1.16.0-10.1.31.255', '10.1.16.0-10.9.16.255'));
    hangUp();
    await waitUntil('the event', 5000, () => (node!.output.includes('config.refused') ? true : undefined));
    assert.match(node!.output, /cluster\.yaml:\d+:\d+: subnets\[0\]\.pools\[0\]/);
    assert.equal((await statusOf(node!)).leases[0]!.size, 256);
  });

  await t.test('the commands for clusters say what to do instead', async () => {
    const { code, output } = await lessor(served, 'config', 'apply', join(served.folder, 'cluster.yaml'));
    assert.equal(code, 1);
    assert.match(output, /SIGHUP/);
  });
});
