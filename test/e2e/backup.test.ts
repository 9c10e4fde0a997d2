/** Backups and restores with real processes: everything is lost but one file, and no address is given twice. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ClientGroup } from '../../deploy/lab/client-group.ts';
import type { Host } from '../../deploy/lab/netns.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import type { NodeStatus } from '../../node/admin/status.ts';
import { ClusterWorld, whyNoClusterWorld } from '../support/cluster-world.ts';
import { needs, ServedNetwork } from '../support/served-network.ts';

const why = whyNoClusterWorld();
// Leaving out is for a person's own machine.
const needsWorld = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };
const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const WAIT_MS = 60_000;
const RETRY_MS = 400;
/** As many addresses as the test has clients before one more comes. */
const SMALL = 'leaseTime: 10m\nauthoritative: true\nsubnets: [{ subnet: 10.77.0.0/16, pools: [10.77.16.0-10.77.16.26] }]\n';

interface Ended {
  readonly code: number | NodeJS.Signals;
  readonly output: string;
}

async function lessor(host: Host, cwd: string, ...args: string[]): Promise<Ended> {
  const command = host.spawn([process.execPath, entry, ...args], { name: args.join(' '), cwd });
  return { code: await command.exited, output: command.output };
}

test('two nodes and etcd are lost, one backup is left: clients keep their addresses, and nobody meets one that came later', { ...needsWorld, timeout: 240_000 }, async () => {
  await using world = new ClusterWorld({ nodes: 2, configuration: SMALL, hosts: [{ name: 'clients', addresses: ['10.77.0.31/16'] }, { name: 'late' }, { name: 'new' }] });
  const file = join(world.folder, 'a.backup');
  const onA = (...args: string[]): Promise<Ended> => lessor(world.host('a'), world.folder, ...args, '--config', join(world.folder, 'node-a.yaml'));
  const until = (what: string, holds: (status: NodeStatus) => boolean): Promise<NodeStatus> => waitUntil(`a: ${what}`, WAIT_MS, async () => {
    const status = await world.node('a').status();
    return status !== undefined && holds(status) ? status : undefined;
  });
  await world.start();
  const clients = new ClientGroup(world.host('clients'));
  await clients.ready();
  await clients.getLeases('early', 20, RETRY_MS, WAIT_MS);

  const made = await onA('backup', file);
  assert.equal(made.code, 0, made.output);
  assert.match(made.output, /verified; 20 bindings of node a of cluster world as of 20\S+ \(NORMAL, epoch \d+, generation 1/);
  const needless = await (async () => {
    await world.node('a').stop();
    rmSync(join(world.folder, 'data-a'), { recursive: true });
    return onA('restore', file);
  })();
  assert.equal(needless.code, 1);
  assert.match(needless.output, /b is PARTNER-DOWN: nothing was changed, and no restore is needed\. Start this node with its empty data folder/);
  world.node('a').start();
  await world.waitForNormal(WAIT_MS);

  // Leases that the backup knows nothing of: one of a host that answers for its address.
  await clients.getLeases('late', 6, RETRY_MS, WAIT_MS);
  const late = new RealClient({ kind: 'udhcpc', host: world.host('late'), folder: join(world.folder, 'late') });
  const { address: lateAddress } = await late.waitForLease(WAIT_MS);

  // ── everything is lost ──
  await Promise.all([...world.nodes.map((node) => node.kill()), ...world.etcd.map((member) => member.kill())]);
  for (const name of ['data-a', 'data-b', ...world.etcd.map((member) => `etcd-${member.name}`)]) rmSync(join(world.folder, name), { recursive: true, force: true });
  const unseen = await onA('restore', file);
  assert.equal(unseen.code, 0, unseen.output);
  assert.match(unseen.output, /etcd does not answer, so it cannot be seen whether another node serves/);
  assert.match(unseen.output, /This node does not go on with it by itself\. Next:/);
  for (const member of world.etcd) member.start();
  await Promise.all(world.etcd.map((member) => member.ready()));
  world.node('a').start();
  const waits = await until('it waits for an operator', ({ recentEvents }) => recentEvents.some(({ id }) => id === 'cluster.no-view-but-data'));
  assert.equal(waits.state, 'STARTUP');
  assert.match((await onA('recover')).output, /the store of a has 20 bindings, last in the view .*\nit was restored from a backup of 20\S+Z\n(?:.*\n)*Nothing was changed/);
  const forced = await onA('recover', '--force');
  assert.equal(forced.code, 0, forced.output);
  assert.match(forced.output, /generation 2 has begun; a is PARTNER-DOWN/);

  // ── it serves, and probes ──
  // Those of the group answer no probe, and are learnt as they renew; the one that has not is found by asking: its address is the last that seems free.
  const renewed = await clients.renewAll(WAIT_MS);
  assert.equal(renewed.length, 26);
  const fresh = new RealClient({ kind: 'udhcpc', host: world.host('new'), folder: join(world.folder, 'new') });
  await until('somebody was found to use an address', ({ recentEvents }) => recentEvents.some(({ id, fields }) => id === 'address.in-use' && fields?.['address'] === lateAddress));
  assert.equal(fresh.lease(), undefined);
  assert.equal((await late.renew(WAIT_MS)).address, lateAddress);
  assert.equal(new Set([...clients.holders().values(), lateAddress]).size, 27, 'no address twice');
  assert.deepEqual(clients.losses(), []);
  world.node('b').start();
  await world.waitForNormal(WAIT_MS);
  const { view } = await until('the generation stays', ({ state }) => state === 'NORMAL');
  assert.ok(view!.probeUntil > Date.now() / 1000 + 500, 'for as long as a lease may last');
});

test('a single node that is restored probes what it does not know of, over restarts too', { ...needs('udhcpc'), timeout: 120_000 }, async () => {
  await using served = await ServedNetwork.start({ nodes: ['a'], clients: ['c1', 'c2', 'c3'], leaseTime: '10m' });
  const [node] = served.nodes;
  const file = join(served.folder, 'a.backup');
  const onA = (...args: string[]): Promise<Ended> => lessor(served.host('a'), served.folder, ...args, '--config', join(served.folder, 'node-a.yaml'));
  const leaseOf = async (name: string): Promise<string> =>
    (await new RealClient({ kind: 'udhcpc', host: served.host(name), folder: join(served.folder, name) }).waitForLease(WAIT_MS)).address;
  const probing = async (): Promise<number> => (JSON.parse(await node!.fetch('/v1/status')) as NodeStatus).view!.probeUntil;
  await leaseOf('c1');
  assert.equal((await onA('backup', file)).code, 0);
  const late = await leaseOf('c2');
  assert.equal(await probing(), 0);
  await node!.kill();
  rmSync(join(served.folder, 'data-a'), { recursive: true });
  assert.equal((await onA('restore', file)).code, 0);
  node!.start();
  await node!.ready();
  const until = await probing();
  assert.ok(until > Date.now() / 1000 + 500);
  assert.match(node!.output, /"cluster\.generation"/);
  assert.notEqual(await leaseOf('c3'), late, 'the next free address has a host that answers for it');
  await node!.stop();
  node!.start();
  await node!.ready();
  assert.equal(await probing(), until);
});
