/** Quarantine of a real client on a real pair: wherever it is ordered and whoever dies, on every node and until its end. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LeaseView } from '../../node/admin/lease-view.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import { blocksOf } from '../support/runbook.ts';
import { needs, ServedNetwork } from '../support/served-network.ts';
import type { ServedNode } from '../support/served-network.ts';

const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const IN_TIME_MS = 20_000;
const PORTAL = 'https://portal.example.net/api';
const CONFIGURATION = `leaseTime: 30s
authoritative: true
maxClockSkew: 1s
quarantine: { class: shut-out }
classes:
  - name: shut-out
    leaseTime: 20s
    options: { v4-captive-portal: { value: "${PORTAL}", send: always } }
subnets:
  - subnet: 10.1.0.0/16
    pools:
      - 10.1.16.0-10.1.16.63
      - { range: 10.1.200.0-10.1.200.63, allow: [shut-out] }
`;

async function lessor(served: ServedNetwork, node: string, ...args: string[]): Promise<string> {
  const command = served.host(node).spawn([process.execPath, entry, ...args, '--config', join(served.folder, `node-${node}.yaml`)], { name: args.join(' '), cwd: served.folder });
  assert.equal(await command.exited, 0, command.output);
  return command.output;
}

async function recordOf(served: ServedNetwork, node: string, address: string): Promise<LeaseView> {
  return JSON.parse(await lessor(served, node, 'leases', '--socket', '--json', '--address', address)) as LeaseView;
}

/** It is told to renew, and gets a DHCPNAK: after so many entries of its history. */
async function refused(client: RealClient, seen: number): Promise<void> {
  await client.renew(1).catch(() => undefined);
  await waitUntil('the renewal is refused', IN_TIME_MS, () => client.history().slice(seen).find(({ event }) => event === 'refused'));
}

/** The node has dropped requests of clients in quarantine since. */
async function refuses(node: ServedNode): Promise<void> {
  const dropped = async (): Promise<number> => (await node.metric('lessor_dhcp_dropped_total')).get('reason="quarantined"') ?? 0;
  const before = await dropped();
  await waitUntil(`${node.name} refuses a client in quarantine`, IN_TIME_MS, async () => (await dropped() > before ? true : undefined));
}

test('a client in quarantine gets nothing, or an address of the class, on any node, until it is let go', { ...needs('etcd', 'udhcpc', 'dhclient'), timeout: 120_000 }, async () => {
  await using served = await ServedNetwork.start({ nodes: ['a', 'b'], clients: ['one', 'two'], configuration: CONFIGURATION });
  const client = new RealClient({ kind: 'udhcpc', host: served.host('one'), folder: join(served.folder, 'one') });
  const ordinary = (await client.waitForLease(IN_TIME_MS)).address;
  const { owner } = await recordOf(served, 'a', ordinary);
  const [told, other] = (owner === 'a' ? ['b', 'a'] : ['a', 'b']).map((name) => served.nodes.find((node) => node.name === name)!) as [ServedNode, ServedNode];

  // ── ordered where the address is not owned ──
  assert.match(await lessor(served, told.name, 'quarantine', 'add', '--address', ordinary, '--reason', 'a worm'), new RegExp(`ends the lease of ${ordinary}`));
  await refused(client, 0);
  const until = client.history().length;
  await refuses(other).catch(() => refuses(told));
  const hardware = served.host('one').hardware();

  // ── whoever was told is killed ──
  await told.kill();
  await refuses(other);
  assert.deepEqual(client.history().slice(until).filter(({ event }) => event === 'bound' || event === 'renewed'), []);
  told.start();
  await told.ready();
  await served.inOneView();

  // ── the class, for this one and another client ──
  await lessor(served, told.name, 'quarantine', 'add', '--address', ordinary, '--reason', 'a worm', '--mode', 'class');
  assert.match((await client.waitForLease(IN_TIME_MS)).address, /^10\.1\.200\./);
  await lessor(served, other.name, 'quarantine', 'add', '--client', served.host('two').hardware(), '--reason', 'a test', '--mode', 'class');
  const portal = new RealClient({ kind: 'dhclient', host: served.host('two'), folder: join(served.folder, 'two'), requests: ['captive-portal'] });
  assert.match((await portal.waitForLease(IN_TIME_MS)).address, /^10\.1\.200\./);
  assert.ok(readFileSync(join(served.folder, 'two/two.leases'), 'utf8').includes(`option captive-portal "${PORTAL}";`));

  // ── let go: the next renewal is refused, and it comes back to where it was ──
  assert.match(await lessor(served, told.name, 'quarantine', 'clear', '--address', ordinary, '--reason', 'cleaned'), /cleared quarantine/);
  await refused(client, client.history().length);
  await waitUntil('an ordinary lease', IN_TIME_MS, () => client.lease()?.address.startsWith('10.1.16.') || undefined);

  // ── and a while that ends by itself ──
  const seen = client.history().length;
  await lessor(served, other.name, 'quarantine', 'add', '--client', hardware, '--for', '5s', '--reason', 'a while');
  await refused(client, seen);
  const again = await waitUntil('a lease after it', IN_TIME_MS, () => client.history().slice(seen).find(({ event }) => event === 'bound'));
  assert.match(again.address, /^10\.1\.16\./);

  // ── the runbook, as it is written ──
  const tool = join(served.folder, 'lessor');
  writeFileSync(tool, `#!/bin/sh\nexec "${process.execPath}" "${entry}" "$@" --config "${join(served.folder, 'node-a.yaml')}"\n`, { mode: 0o755 });
  const blocks = blocksOf(readFileSync(join(import.meta.dirname, '../../deploy/runbooks/quarantine.md'), 'utf8')).map(({ script }) => script);
  const page = served.host('a').spawn(['bash', '-ec', blocks.join('')], {
    name: 'runbook', cwd: served.folder, env: { PATH: `${served.folder}:${process.env['PATH'] ?? ''}`, ADDRESS: again.address, WHEN: '0s', CLIENT: hardware },
  });
  assert.equal(await page.exited, 0, page.output);
  for (const line of [new RegExp(`active +${again.address} +${hardware}`), /added quarantine/, /ticket 4711: scans/, /changed quarantine/, /cleared quarantine/]) assert.match(page.output, line);
});
