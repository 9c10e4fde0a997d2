/** `lessor leasequery` against servers as they are: ISC dhcpd, whose code has nothing of ours, and a node of this project. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Network, type CommandFailure, type Host } from '../../deploy/lab/netns.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import { ADDRESSES, needs, ServedNetwork } from '../support/served-network.ts';

const ENTRY = join(import.meta.dirname, '../../node/cli/lessor.ts');
const WAIT_MS = 20_000;

interface Ended {
  readonly code: number;
  /** JSON, a line each. */
  readonly answers: readonly Readonly<Record<string, unknown>>[];
  readonly err: string;
}

async function leasequery(host: Host, ...args: string[]): Promise<Ended> {
  const command = [process.execPath, ENTRY, 'leasequery', ...args, '--json'];
  const { code, stdout, stderr } = await host.exec(command).then(
    (ended) => ({ code: 0, ...ended }), (error: unknown) => error as CommandFailure);
  assert.equal(typeof code, 'number', stderr);
  return { code: Number(code), answers: stdout.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>), err: stderr };
}

const DHCPD_CONFIGURATION = `
authoritative; allow leasequery; default-lease-time 3600;
subnet 10.0.0.0 netmask 255.255.255.0 { range 10.0.0.100 10.0.0.110; }
`;

/** As dhcpd writes a lease that began 10 minutes ago and lasts for 50 more. */
function dhcpdLease(address: string, beganSecondsAgo: number): string {
  const time = (seconds: number): string => {
    const at = new Date(Date.now() + seconds * 1000);
    const iso = at.toISOString();
    return `${at.getUTCDay()} ${iso.slice(0, 10).replaceAll('-', '/')} ${iso.slice(11, 19)}`;
  };
  return `lease ${address} {
  starts ${time(-beganSecondsAgo)};
  ends ${time(3000)};
  cltt ${time(-beganSecondsAgo)};
  binding state active;
  hardware ethernet 52:54:00:12:34:56;
  uid "\\001RT\\000\\0224V";
  option agent.circuit-id "eth1";
  option agent.remote-id 0:7;
}
`;
}

test('ISC dhcpd is asked for an active, an unassigned and an unknown address, and for a client', needs('dhcpd'), async (t) => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.0.0.1/24'] }, { name: 'operator', addresses: ['10.0.0.2/24', '10.0.0.3/24'] }] });
  const folder = mkdtempSync(join(tmpdir(), 'lessor-dhcpd-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [configuration, leases] = [join(folder, 'dhcpd.conf'), join(folder, 'dhcpd.leases')];
  writeFileSync(configuration, DHCPD_CONFIGURATION);
  writeFileSync(leases, dhcpdLease('10.0.0.100', 600) + dhcpdLease('10.0.0.101', 700));
  const { command, env } = requireProgram('dhcpd');
  const dhcpd = net.host('server').spawn([command, '-4', '-f', '-d', '--no-pid', '-cf', configuration, '-lf', leases, 'eth0'], { env });
  await dhcpd.waitForLine(/Server starting service/, WAIT_MS);
  const single = (...args: string[]): Promise<Ended> => leasequery(net.host('operator'), 'single', '--server', '10.0.0.1', ...args);

  await t.test('ACTIVE: the client, its lease and its port', async () => {
    const { code, answers: [answer], err } = await single('--address', '10.0.0.100');
    assert.equal(code, 0, err);
    assert.deepEqual(
      { type: answer!['type'], address: answer!['address'], hardware: answer!['hardware'], clientId: answer!['clientId'], relay: answer!['relay'], server: answer!['server'] },
      {
        type: 'ACTIVE', address: '10.0.0.100', hardware: '52:54:00:12:34:56', clientId: '01525400123456',
        relay: { 'circuit-id': 'eth1', 'remote-id': { hex: '00:07' } }, server: '10.0.0.1',
      },
    );
    const left = Number(answer!['leaseSeconds']);
    assert.ok(left > 2900 && left <= 3000, `${left} s`);
    const since = Date.now() - Date.parse(String(answer!['lastTransaction']));
    assert.ok(since > 595_000 && since < 700_000, `${since} ms`);
  });
  await t.test('UNASSIGNED and UNKNOWN, with their exit codes', async () => {
    const [free, foreign] = [await single('--address', '10.0.0.105'), await single('--address', '192.0.2.7')];
    assert.deepEqual([free.code, free.answers[0]!['type'], free.answers[0]!['address']], [0, 'UNASSIGNED', '10.0.0.105']);
    assert.deepEqual([foreign.code, foreign.answers[0]!['type']], [1, 'UNKNOWN']);
  });
  await t.test('a client by hardware address and by client identifier, with its other address', async () => {
    for (const by of [['--hardware', '52:54:00:12:34:56'], ['--client-id', '01:52:54:00:12:34:56']]) {
      const { code, answers: [answer] } = await single(...by);
      assert.deepEqual([code, answer!['address'], answer!['associated']], [0, '10.0.0.100', ['10.0.0.101']], by[0]);
    }
    assert.equal((await single('--hardware', '52:54:00:00:00:01')).code, 1);
  });
  await t.test('from another address of the host; a server that does not know RFC 8357 leaves --source-port without an answer', async () => {
    assert.equal((await single('--address', '10.0.0.100', '--giaddr', '10.0.0.3')).code, 0);
    const { code, err } = await single('--address', '10.0.0.100', '--source-port', '6767', '--timeout', '200ms', '--retries', '1');
    assert.deepEqual([code, /not know RFC 8357/.test(err)], [3, true], err);
  });
  await t.test('dhcpd has no bulk queries: that is told', async () => {
    const { code, err } = await leasequery(net.host('operator'), 'bulk', '--server', '10.0.0.1');
    assert.deepEqual([code, /10\.0\.0\.1:67: connection refused; 0 bindings came before/.test(err)], [3, true], err);
  });
});

const NODE_CONFIGURATION = `
leasequery: { requestors: [${ADDRESSES.router}/32], active: { enabled: true, insecure: true } }
leaseTime: 10m
authoritative: true
subnets:
  - subnet: 10.1.0.0/16
    pools: [10.1.16.0-10.1.16.31]
`;

test('a node is asked in all three ways, and its changes are followed', needs('dhclient'), async (t) => {
  await using served = await ServedNetwork.start({ nodes: ['a'], clients: ['laptop'], configuration: NODE_CONFIGURATION });
  const { router } = served;
  const lines: Record<string, unknown>[] = [];
  const following = router.spawn([process.execPath, ENTRY, 'leasequery', 'active', '--insecure', '--json', '--server', ADDRESSES.a,
    '--state-file', join(served.folder, 'requestor.json')], {
    onLine: (line) => {
      if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>);
    },
  });
  await following.waitForLine(/connected/, WAIT_MS);
  const laptop = new RealClient({ host: served.host('laptop'), folder: join(served.folder, 'laptop'), kind: 'dhclient' });
  const { address } = await laptop.waitForLease(WAIT_MS);

  await t.test('active: the grant comes as it happens', async () => {
    const told = await waitUntil('the grant', WAIT_MS, () => lines.find((line) => line['address'] === address));
    assert.deepEqual([told['type'], told['state'], told['remote']], ['ACTIVE', 'ACTIVE', false]);
  });
  await t.test('single: the same lease, at the usual port and by RFC 8357 at another one', async () => {
    for (const more of [[], ['--source-port', '6767']]) {
      const { code, answers, err } = await leasequery(router, 'single', '--server', ADDRESSES.a, '--address', address, ...more);
      assert.deepEqual([code, answers[0]?.['type'], answers[0]?.['server']], [0, 'ACTIVE', ADDRESSES.a], err);
    }
  });
  await t.test('bulk: every address of the pool once, or the client\'s alone', async () => {
    const all = await leasequery(router, 'bulk', '--server', ADDRESSES.a);
    assert.equal(all.code, 0, all.err);
    const addresses = all.answers.map((answer) => answer['address']);
    assert.equal(new Set(addresses).size, addresses.length);
    assert.equal(all.answers.filter((answer) => answer['type'] === 'ACTIVE').length, 1);
    assert.ok(addresses.length >= 32, `${addresses.length} addresses`);
    const hardware = String(all.answers.find((answer) => answer['type'] === 'ACTIVE')!['hardware']);
    const one = await leasequery(router, 'bulk', '--server', ADDRESSES.a, '--hardware', hardware);
    assert.deepEqual(one.answers.map((answer) => answer['address']), [address]);
    const count = await leasequery(router, 'bulk', '--server', ADDRESSES.a, '--count');
    assert.equal(count.answers[0]!['bindings'], addresses.length);
  });
  await t.test('active: so does the release, once', async () => {
    await laptop.release(WAIT_MS);
    await waitUntil('the release', WAIT_MS, () => lines.find((line) => line['address'] === address && line['type'] === 'UNASSIGNED'));
    const told = lines.map((line) => JSON.stringify([line['address'], line['state'], line['stateSince'], line['lastTransaction']]));
    assert.equal(new Set(told).size, told.length);
  });
  assert.equal(await following.stop(), 0);
});
