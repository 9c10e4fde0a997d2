/** The operator's last resorts with real processes: the command line, the control socket, three members of etcd and their backup. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ClientGroup } from '../../deploy/lab/client-group.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import type { NodeStatus } from '../../node/admin/status.ts';
import { ClusterWorld, whyNoClusterWorld } from '../support/cluster-world.ts';

const why = whyNoClusterWorld();
// Leaving out is for a person's own machine.
const needsWorld = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };
const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const WAIT_MS = 60_000;
const RETRY_MS = 400;

interface Ended {
  readonly code: number | NodeJS.Signals;
  readonly output: string;
}

/** A command on the host of a node, with that node's configuration. */
async function lessor(world: ClusterWorld, node: string, ...args: string[]): Promise<Ended> {
  const command = world.host(node).spawn([process.execPath, entry, ...args, '--config', join(world.folder, `node-${node}.yaml`)], {
    name: args.join(' '), cwd: world.folder,
  });
  return { code: await command.exited, output: command.output };
}

async function until(world: ClusterWorld, node: string, what: string, holds: (status: NodeStatus) => boolean): Promise<NodeStatus> {
  let last: NodeStatus | undefined;
  try {
    return await waitUntil(`${node}: ${what}`, WAIT_MS, async () => {
      last = await world.node(node).status();
      return last !== undefined && holds(last) ? last : undefined;
    });
  } catch (error) {
    throw new Error(`${(error as Error).message}; last seen: ${JSON.stringify({ ...last, recentEvents: last?.recentEvents.slice(-8), leases: [] })}`, { cause: error });
  }
}

async function etcdctl(world: ClusterWorld, host: string, ...args: string[]): Promise<string> {
  const { command, env } = requireProgram('etcdctl');
  return (await world.host(host).exec([command, '--endpoints', 'http://127.0.0.1:2379', ...args], { env: { ...env, ETCDCTL_API: '3' } })).stdout;
}

async function killEtcd(world: ClusterWorld): Promise<void> {
  await Promise.all(world.etcd.map((member) => member.kill()));
}

async function startEtcd(world: ClusterWorld): Promise<void> {
  for (const member of world.etcd) member.start();
  await Promise.all(world.etcd.map((member) => member.ready()));
}

/** As an operator does: every member from the same file, under its name and address of before. */
async function restoreEtcd(world: ClusterWorld, backup: string): Promise<void> {
  const peers = world.etcd.map(({ name }, i) => `${name}=http://10.77.0.${21 + i}:2380`);
  for (const [i, { name }] of world.etcd.entries()) {
    const folder = join(world.folder, `etcd-${name}`);
    rmSync(folder, { recursive: true, force: true });
    await etcdctl(world, name, 'snapshot', 'restore', backup, '--name', name, '--data-dir', folder,
      '--initial-cluster', peers.join(','), '--initial-advertise-peer-urls', `http://10.77.0.${21 + i}:2380`);
  }
}

test('partner-down while etcd is away, an etcd restored from a backup, and a node that is alone with an old disk', { ...needsWorld, timeout: 240_000 }, async () => {
  await using world = new ClusterWorld({ nodes: 2, leaseTime: '10m', hosts: [{ name: 'clients', addresses: ['10.77.0.31/16'] }] });
  const backup = join(world.folder, 'backup.db');
  await world.start();
  const clients = new ClientGroup(world.host('clients'));
  await clients.ready();
  await clients.getLeases('early', 4, RETRY_MS, WAIT_MS);
  await etcdctl(world, 'e1', 'snapshot', 'save', backup);

  const refused = await lessor(world, 'a', 'partner-down', 'b', '--yes');
  assert.equal(refused.code, 1, refused.output);
  assert.match(refused.output, /refused: b answers on its link: it is not switched off/);

  // ── etcd is gone, and then b ──
  await killEtcd(world);
  await until(world, 'a', 'etcd is away', ({ etcd }) => !etcd.reachable);
  await clients.getLeases('linked', 2, RETRY_MS, WAIT_MS);
  await world.node('b').kill();
  await until(world, 'a', 'isolated', ({ state }) => state === 'ISOLATED');
  const unsure = await lessor(world, 'a', 'partner-down', 'b');
  assert.equal(unsure.code, 2, unsure.output);
  const declared = await lessor(world, 'a', 'partner-down', 'b', '--yes');
  assert.equal(declared.code, 0, declared.output);
  assert.match(declared.output, /generation 2 has begun with this node alone/);
  await clients.getLeases('alone', 4, RETRY_MS, WAIT_MS);
  assert.match((await lessor(world, 'a', 'status')).output, /generation 2, members a, .*; NOT in etcd yet\n(?:.*\n)*probing: every address before it is given out, until 20/);
  await startEtcd(world);
  await until(world, 'a', 'etcd has the new generation', ({ view }) => view?.inEtcd === true && view.generation === 2);
  world.node('b').start();
  await world.waitForNormal(WAIT_MS);
  assert.equal((await clients.renewAll(WAIT_MS)).length, 10);

  // ── etcd is restored from the backup, which is older than all that ──
  await killEtcd(world);
  await restoreEtcd(world, backup);
  await startEtcd(world);
  for (const node of ['a', 'b']) await until(world, node, 'etcd went back', ({ etcd, state }) => etcd.wentBack !== '' && state === 'NORMAL');
  await clients.getLeases('over the link', 2, RETRY_MS, WAIT_MS);
  const said = await lessor(world, 'b', 'recover');
  assert.equal(said.code, 0, said.output);
  assert.match(said.output, /etcd went back: .*\n.*members a b.*\nNothing was changed/);
  const recovered = await lessor(world, 'b', 'recover', '--force');
  assert.equal(recovered.code, 0, recovered.output);
  assert.match(recovered.output, /generation 3 has begun with a b/);
  for (const node of ['a', 'b']) await until(world, node, 'etcd counts again', ({ etcd, view }) => etcd.wentBack === '' && view?.generation === 3 && view.inEtcd);
  await world.waitForNormal(WAIT_MS);
  assert.equal((await clients.renewAll(WAIT_MS)).length, 12);

  // ── all members are gone: the disk of a is a copy of before, that of b is lost ──
  const data = join(world.folder, 'data-a');
  await world.node('a').stop();
  cpSync(data, `${data}-copy`, { recursive: true });
  world.node('a').start();
  await world.waitForNormal(WAIT_MS);
  await clients.getLeases('late', 2, RETRY_MS, WAIT_MS);
  // Together, or the second one writes a view without the first.
  await Promise.all(['a', 'b'].map((node) => world.node(node).kill()));
  rmSync(data, { recursive: true });
  cpSync(`${data}-copy`, data, { recursive: true });
  world.node('a').start();
  await until(world, 'a', 'unfit', ({ recentEvents }) => recentEvents.some(({ id }) => id === 'cluster.unfit'));
  // Until its session has ended b might be serving.
  const forced = await waitUntil('a is forced', WAIT_MS, async () => {
    const ended = await lessor(world, 'a', 'recover', '--force');
    if (ended.code !== 0) assert.match(ended.output, /it may be serving/);
    return ended.code === 0 ? ended : undefined;
  });
  assert.match(forced.output, /etcd has the view of epoch \d+, generation 3, with a b\n.*\nit is an older copy/);
  assert.match(forced.output, /generation 4 has begun; a is /);
  // Those of b are unknown to a, and keep what they renew.
  assert.equal((await clients.renewAll(WAIT_MS)).length, 14);
  world.node('b').start();
  await world.waitForNormal(WAIT_MS);
  assert.deepEqual(clients.losses(), []);
  const events = world.node('a').lastLines;
  assert.match(events, /operator\.command.*recover --force/);
});
