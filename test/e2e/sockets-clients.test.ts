import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Network, whyNoNetwork, type Host } from '../../deploy/lab/netns.ts';
import { missingPrograms, requireProgram, type ProgramName } from '../../deploy/lab/programs.ts';
import { RealClient, type ClientKind } from '../../deploy/lab/real-clients.ts';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import { Capture } from '../support/capture.ts';

const responderFile = join(import.meta.dirname, '../support/canned-responder.ts');

function needs(...programs: ProgramName[]): { skip?: string } {
  const missing = missingPrograms(programs);
  const why = whyNoNetwork() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh test)` : undefined);
  return why === undefined ? {} : { skip: why };
}

const senderFile = join(import.meta.dirname, '../support/send-datagrams.ts');

async function startResponder(host: Host, interfaces: readonly string[]): Promise<LabProcess> {
  const started = host.spawn([process.execPath, responderFile, JSON.stringify({ interfaces })]);
  await started.waitForLine(/"ready"/, 8000);
  return started;
}

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'clients-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const kind of ['udhcpc', 'dhclient', 'dhcpcd'] as const satisfies readonly ClientKind[]) {
  test(`${kind} gets, renews and releases a lease from a server that unicasts to clients without an address`, needs(kind, 'tshark'), () =>
    withFolder(async (folder) => {
      await using net = new Network();
      net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/16'] }, { name: 'client' }] });
      const host = net.host('client');
      await startResponder(net.host('server'), ['eth0']);
      const capture = await Capture.start({ host, file: join(folder, 'seen.pcapng') });
      const client = new RealClient({ kind, host, folder, renewAfterSeconds: 2 });

      const lease = await client.waitForLease(15_000);
      assert.equal(lease.address, '10.1.0.2');
      assert.equal(lease.serverId, '10.1.0.1');
      assert.equal(lease.leaseSeconds, 60);
      const renewed = await client.renew(15_000);
      assert.equal(renewed.address, lease.address);
      await client.release(15_000);
      assert.deepEqual(host.addresses(), []);
      assert.equal(client.lease(), undefined);

      await capture.stop();
      assert.deepEqual(await capture.complaints(), []);
      const replies = await capture.read(['eth.dst', 'ip.src', 'ip.dst'], 'dhcp.type == 2');
      assert.ok(replies.length >= 3);
      // Not one was broadcast: the client was reached before it had an address.
      for (const reply of replies) assert.deepEqual(reply, [host.hardware(), '10.1.0.1', '10.1.0.2']);
      assert.equal((await capture.read(['ip.src'], 'dhcp.option.dhcp == 7')).length, 1);
    }));
}

test('a client that asks for broadcasts gets them, from the address of the server', needs('udhcpc', 'tshark'), () =>
  withFolder(async (folder) => {
    await using net = new Network();
    net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/16'] }, { name: 'client' }] });
    const host = net.host('client');
    await startResponder(net.host('server'), ['eth0']);
    const capture = await Capture.start({ host, file: join(folder, 'seen.pcapng') });
    const client = new RealClient({ kind: 'udhcpc', host, folder, broadcast: true });
    await client.waitForLease(15_000);
    await client.stop();
    await capture.stop();
    const replies = await capture.read(['eth.dst', 'ip.src', 'ip.dst'], 'dhcp.type == 2');
    assert.ok(replies.length >= 2);
    for (const reply of replies) assert.deepEqual(reply, ['ff:ff:ff:ff:ff:ff', '10.1.0.1', '255.255.255.255']);
  }));

test('a client behind a relay is answered through it', needs('udhcpc', 'dhcrelay'), () =>
  withFolder(async (folder) => {
    await using net = new Network();
    const office = net.createSegment('office', { hosts: [{ name: 'relay', addresses: ['10.2.0.1/16'] }, { name: 'client' }] });
    const lan = net.createSegment('lan', { hosts: [{ name: 'relay', addresses: ['10.1.0.2/16'] }, { name: 'server', addresses: ['10.1.0.1/16'], gateway: '10.1.0.2' }] });
    const relay = net.host('relay');
    net.route(relay);
    await startResponder(net.host('server'), ['eth0']);
    const { command, env } = requireProgram('dhcrelay');
    const relaying = relay.spawn([command, '-4', '-d', '-id', relay.interfaceName(office), '-iu', relay.interfaceName(lan), '10.1.0.1'], { env });
    await relaying.waitForLine(/Sending on\s+Socket/, 8000);
    const client = new RealClient({ kind: 'udhcpc', host: net.host('client'), folder });
    const lease = await client.waitForLease(15_000);
    assert.equal(lease.serverId, '10.1.0.1');
    await client.stop();
  }));

test('replies to clients without an address leave nothing in the ARP table, however many there are', needs('tshark'), () =>
  withFolder(async (folder) => {
    await using net = new Network();
    net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/16'] }, { name: 'client', addresses: ['10.1.0.9/16'] }] });
    const server = net.host('server');
    const host = net.host('client');
    await startResponder(server, ['eth0']);
    const capture = await Capture.start({ host, file: join(folder, 'seen.pcapng') });
    const datagrams = Array.from({ length: 150 }, (_, i) => {
      const bytes = Buffer.alloc(244);
      bytes.set([1, 1, 6, 0]);
      bytes.writeUInt32BE(i, 4);
      bytes.set([2, 0, 0, 0, 9, i], 28);
      bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255], 236);
      return { to: '255.255.255.255', hex: bytes.toString('hex') };
    });
    await host.exec([process.execPath, senderFile, JSON.stringify({ address: '10.1.0.9', port: 68, datagrams })]);
    await capture.stop();
    const seen = await capture.read(['eth.dst', 'ip.dst'], 'dhcp.type == 2');
    const due = datagrams.map((_, i) => [`02:00:00:00:09:${i.toString(16).padStart(2, '0')}`, `10.1.9.${i}`]);
    assert.deepEqual(seen, due);
    assert.equal(server.ip('-4 neigh show dev eth0').split('\n').filter((line) => line.startsWith('10.1.9.')).length, 0);
  }));
