/** The history of leases with real processes: both nodes tell the same, whatever becomes of one of them. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ClientGroup } from '../../deploy/lab/client-group.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import type { HeldLeaseView, HistoryCoverageView } from '../../node/admin/history-view.ts';
import { ClusterWorld, whyNoClusterWorld } from '../support/cluster-world.ts';

const why = whyNoClusterWorld();
const needsWorld = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };
const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const WAIT_MS = 30_000;
const CONFIGURATION = 'leaseTime: 10m\nauthoritative: true\nsubnets: [{ subnet: 10.77.0.0/16, pools: [10.77.16.0-10.77.16.63] }]\n';

interface Told {
  readonly coverage: HistoryCoverageView;
  readonly leases: readonly HeldLeaseView[];
}

test('both nodes tell who held an address, also one that was killed in between, and one that has lost its disk', { ...needsWorld, timeout: 120_000 }, async () => {
  await using world = new ClusterWorld({ nodes: 2, configuration: CONFIGURATION, hosts: [{ name: 'clients', addresses: ['10.77.0.31/16'] }] });
  const lessor = async (node: string, ...args: string[]): Promise<string> => {
    const command = world.host(node).spawn([process.execPath, entry, ...args, '--config', join(world.folder, `node-${node}.yaml`)], { name: args.join(' '), cwd: world.folder });
    assert.equal(await command.exited, 0, command.output);
    return command.output;
  };
  const history = async (node: string, ...args: string[]): Promise<Told> => {
    const lines = (await lessor(node, 'history', ...args, '--json')).split('\n').filter((line) => line.startsWith('{'));
    const [coverage, ...leases] = lines.map((line) => JSON.parse(line) as unknown);
    return { coverage: coverage as HistoryCoverageView, leases: leases as HeldLeaseView[] };
  };
  /** b has nothing left to copy, and both tell the same of the address. */
  const agree = async (address: string, end: HeldLeaseView['end']): Promise<HeldLeaseView> => {
    const b = await waitUntil('b has all of the history', WAIT_MS, async () => {
      const told = await history('b', '--address', address);
      return told.coverage.gap === null ? told : undefined;
    });
    const a = await history('a', '--address', address);
    assert.deepEqual(b.leases, a.leases);
    assert.equal(b.coverage.since, a.coverage.since);
    assert.equal(a.leases[0]?.end, end, JSON.stringify(a));
    assert.ok(a.leases[0].exact);
    return a.leases[0];
  };
  await world.start();
  const clients = new ClientGroup(world.host('clients'));
  await clients.ready();
  await clients.getLeases('client', 8, 400, WAIT_MS);
  const [first, second, third] = clients.holders().values();
  await lessor('a', 'release', first!, '--reason', 'test');

  // ── killed: what ends meanwhile it copies ──
  await world.node('b').kill();
  await waitUntil('a serves alone', WAIT_MS, async () => (await world.node('a').status())?.state === 'PARTNER-DOWN' || undefined);
  await lessor('a', 'release', second!);
  world.node('b').start();
  await world.waitForNormal(WAIT_MS);
  await agree(second!, 'released');

  // ── with a new disk ──
  await world.node('b').kill();
  rmSync(join(world.folder, 'data-b'), { recursive: true });
  world.node('b').start();
  await world.waitForNormal(WAIT_MS);
  const held = await agree(first!, 'released');
  await agree(third!, 'active');

  // ── by client, at a time, for a spreadsheet ──
  assert.deepEqual((await history('b', '--client', held.hardware, '--at', held.from)).leases, [held]);
  assert.match(await lessor('b', 'history', '--address', first!, '--csv'), new RegExp(`^address,from,to,.*\n${first!.replaceAll('.', '\\.')},${held.from},${held.to!},released,true,`));
});
