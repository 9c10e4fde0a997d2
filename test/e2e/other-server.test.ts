/** Another DHCP server on the clients' segment: ISC's dhcpd answers first, and udhcpc chooses it; lessor doctor finds it by asking. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../deploy/lab/netns.ts';
import { waitUntil, type LabProcess } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import { ROGUE_SUSPECTED_MS_MIN } from '../../node/limits.ts';
import { needs, ServedNetwork } from '../support/served-network.ts';

const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const WAIT_MS = 20_000;
const OTHER = '10.1.0.66';

/** Lessor asks for seconds whether an address is in use, so that the other server is always first. */
const SLOW = `leaseTime: 60s
authoritative: true
conflictCheck: { method: icmp, timeout: 3s }
subnets:
  - subnet: 10.1.0.0/16
    pools: [10.1.16.0-10.1.31.255]
`;

async function startDhcpd(host: Host, folder: string): Promise<LabProcess> {
  mkdirSync(folder);
  writeFileSync(join(folder, 'dhcpd.conf'), `default-lease-time 600;
ping-check false;
authoritative;
subnet 10.1.0.0 netmask 255.255.0.0 { range 10.1.200.1 10.1.200.100; }
`);
  writeFileSync(join(folder, 'leases'), '');
  const { command, env } = requireProgram('dhcpd');
  const server = host.spawn([command, '-4', '-d', '-f', '-cf', join(folder, 'dhcpd.conf'), '-lf', join(folder, 'leases'), '-pf', join(folder, 'pid'), '--no-pid', 'eth0'], { env, name: 'dhcpd' });
  await server.waitForLine(/Server starting service/, WAIT_MS);
  return server;
}

test('a second server that clients choose is reported, once two of them have', { ...needs('dhcpd', 'udhcpc'), timeout: 120_000 }, async () => {
  await using served = await ServedNetwork.start({ nodes: ['a'], clients: ['c1', 'c2', 'other'], configuration: SLOW });
  const [node] = served.nodes;
  const other = served.host('other');
  await other.exec(['ip', 'addr', 'add', `${OTHER}/16`, 'dev', 'eth0']);
  await startDhcpd(other, join(served.folder, 'other'));

  const choose = async (name: string): Promise<void> => {
    const client = new RealClient({ kind: 'udhcpc', host: served.host(name), folder: join(served.folder, name) });
    assert.equal((await client.waitForLease(WAIT_MS)).serverId, OTHER);
    await client.stop();
  };
  const reports = async (): Promise<number> => (await node!.metric('lessor_events_total')).get('event="rogue-server"')!;
  await choose('c1');
  const doctor = node!.host.spawn([process.execPath, entry, 'doctor', '--config', join(served.folder, 'node-a.yaml')], { cwd: served.folder, name: 'doctor' });
  await new Promise((resolve) => setTimeout(resolve, ROGUE_SUSPECTED_MS_MIN));
  assert.equal(await doctor.exited, 1);
  assert.match(doctor.output, new RegExp(`^problem {2}other servers {4}${OTHER.replaceAll('.', '\\.')} \\(${other.hardware()}\\) on eth0 offers 10\\.1\\.200\\.\\d+$`, 'm'));
  assert.equal(await reports(), 0);
  await choose('c2');
  await waitUntil('it is reported', WAIT_MS, async () => ((await reports()) === 1 ? true : undefined));
  const line = node!.output.split('\n').find((each) => each.includes('"rogue-server"'))!;
  const { server, interface: iface, level, self } = JSON.parse(line) as Record<string, unknown>;
  assert.deepEqual({ server, iface, level, self }, { server: OTHER, iface: 'eth0', level: 'warn', self: 'a' });
});
