import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Network, whyNoNetwork, type Host } from '../../deploy/lab/netns.ts';
import { waitUntil, type LabProcess } from '../../deploy/lab/processes.ts';
import type { CannedResponderOptions } from '../support/canned-responder.ts';
import type { SendDatagramsOptions } from '../support/send-datagrams.ts';

const responderFile = join(import.meta.dirname, '../support/canned-responder.ts');
const senderFile = join(import.meta.dirname, '../support/send-datagrams.ts');
const why = whyNoNetwork();
const needsNetwork = why === undefined ? {} : { skip: why };

interface Said {
  readonly what: string;
  readonly [field: string]: unknown;
}

class Responder {
  readonly process: LabProcess;
  readonly said: Said[] = [];

  constructor(host: Host, options: CannedResponderOptions) {
    this.process = host.spawn([process.execPath, responderFile, JSON.stringify(options)], {
      onLine: (line) => {
        if (line.startsWith('{')) this.said.push(JSON.parse(line) as Said);
      },
    });
  }

  of(what: string): Said[] {
    return this.said.filter((one) => one.what === what);
  }

  wait(what: string, matches: (said: Said) => boolean = () => true): Promise<Said> {
    return waitUntil(`${what} from the responder, which said:\n${this.process.output}\n`, 8000, () => this.of(what).find(matches));
  }
}

function packet(xid: number, fields: { giaddr?: string } = {}): string {
  const bytes = Buffer.alloc(300);
  bytes.set([1, 1, 6, 0]);
  bytes.writeUInt32BE(xid, 4);
  bytes.set((fields.giaddr ?? '0.0.0.0').split('.').map(Number), 24);
  bytes.set([2, 0, 0, 0, 7, xid & 255], 28);
  bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255], 236);
  return bytes.toString('hex');
}

function senderCommand(options: SendDatagramsOptions): string[] {
  return [process.execPath, senderFile, JSON.stringify(options)];
}

test('a packet is seen once, by the interface it came in on, and unicast is told from broadcast', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('one', { hosts: [{ name: 'server', addresses: ['10.1.0.1/16', '10.2.0.1/16'] }, { name: 'c1', addresses: ['10.1.0.9/16'] }] });
  net.createSegment('two', { hosts: [{ name: 'server', addresses: ['10.3.0.1/24'] }, { name: 'c2', addresses: ['10.3.0.9/24'] }] });
  const c1 = net.host('c1');
  c1.ip('route add 10.2.0.0/16 dev eth0');
  const responder = new Responder(net.host('server'), { interfaces: ['eth0', 'eth1'] });
  await responder.wait('ready');
  await c1.exec(senderCommand({
    address: '10.1.0.9', port: 68, datagrams: [
      { to: '255.255.255.255', hex: packet(1) }, { to: '10.1.0.1', hex: packet(2) }, { to: '10.2.0.1', hex: packet(3) },
      { to: '10.1.255.255', hex: packet(4) },
    ],
  }));
  await net.host('c2').exec(senderCommand({
    address: '10.3.0.9', port: 68, datagrams: [
      { to: '255.255.255.255', hex: packet(5) }, { to: '10.3.0.1', hex: packet(6) }, { to: '10.3.0.255', hex: packet(7) },
      { to: '10.3.0.1', hex: packet(99) },
    ],
  }));
  await responder.wait('packet', (said) => said['xid'] === 99);
  // Whatever would have come twice has come by now: sockets are read before the turn ends.
  await responder.process.stop();
  const seen = responder.of('packet').map((said) => [said['xid'], said['interface'], said['unicast'], said['source'], said['sourcePort']])
    .toSorted((a, b) => Number(a[0]) - Number(b[0]));
  assert.deepEqual(seen, [
    [1, 'eth0', false, '10.1.0.9', 68], [2, 'eth0', true, '10.1.0.9', 68], [3, 'eth0', true, '10.1.0.9', 68], [4, 'eth0', false, '10.1.0.9', 68],
    [5, 'eth1', false, '10.3.0.9', 68], [6, 'eth1', true, '10.3.0.9', 68], [7, 'eth1', false, '10.3.0.9', 68], [99, 'eth1', true, '10.3.0.9', 68],
  ]);
  const [end] = responder.of('end');
  assert.equal(end?.['received'], 8);
});

test('a relay that is reached over an interface without DHCP gets its answer, from the address it asked', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }] });
  net.createSegment('backbone', {
    hosts: [{ name: 'server', addresses: ['10.9.0.1/24'] }, { name: 'router', addresses: ['10.9.0.2/24'], gateway: '10.9.0.1' }],
  });
  net.createSegment('far', {
    hosts: [{ name: 'router', addresses: ['10.8.0.1/24'] }, { name: 'relay', addresses: ['10.8.0.2/24'], gateway: '10.8.0.1' }],
  });
  const server = net.host('server');
  net.route(net.host('router'));
  server.ip('route add 10.8.0.0/24 via 10.9.0.2');
  const responder = new Responder(server, { interfaces: ['eth0'] });
  await responder.wait('ready');
  const relay = net.host('relay').spawn(senderCommand({
    address: '10.8.0.2', port: 67, listen: true, datagrams: [{ to: '10.1.0.1', hex: packet(0x77, { giaddr: '10.8.0.2' }) }],
  }));
  const reply = JSON.parse(await relay.waitForLine(/"reply"/, 8000)) as { from: string; port: number; hex: string };
  assert.equal(reply.from, '10.1.0.1');
  assert.equal(reply.port, 67);
  assert.equal(reply.hex.slice(8, 16), '00000077');
  const [seen] = responder.of('packet');
  assert.equal(seen?.['interface'], 'eth0');
  assert.equal(seen?.['unicast'], true);
});

test('loopback serves as an interface, and a relay on the same host is answered', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }] });
  const server = net.host('server');
  const responder = new Responder(server, { interfaces: ['lo', 'eth0'] });
  await responder.wait('ready');
  for (const [i, to] of ['127.0.0.1', '10.1.0.1'].entries()) {
    const relay = server.spawn(senderCommand({
      address: '127.0.0.9', port: 67, listen: true, datagrams: [{ to, hex: packet(i, { giaddr: '127.0.0.9' }) }],
    }));
    const reply = JSON.parse(await relay.waitForLine(/"reply"/, 8000)) as { from: string };
    assert.equal(reply.from, to);
    await relay.stop();
  }
  assert.deepEqual(responder.of('packet').map((said) => [said['xid'], said['interface'], said['unicast']]), [[0, 'lo', true], [1, 'eth0', true]]);
});

test('interfaces and addresses that come and go are followed', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server' }, { name: 'client', addresses: ['10.1.0.9/24'] }] });
  const server = net.host('server');
  const client = net.host('client');
  const responder = new Responder(server, { interfaces: ['eth0', 'eth7'] });
  const ready = await responder.wait('ready');
  assert.deepEqual(ready['interfaces'], []);
  assert.deepEqual(responder.of('error').map((said) => [said['code'], said['interface']]), [['interface-missing', 'eth0'], ['interface-missing', 'eth7']]);

  server.ip('address add 10.1.0.1/24 brd + dev eth0');
  const here = (said: Said, addresses: string[]): boolean =>
    JSON.stringify((said['interfaces'] as { addresses: string[] }[]).map((one) => one.addresses)) === JSON.stringify([addresses]);
  await responder.wait('interfaces', (said) => here(said, ['10.1.0.1/24']));
  await client.exec(senderCommand({ address: '10.1.0.9', port: 68, datagrams: [{ to: '10.1.0.1', hex: packet(1) }, { to: '255.255.255.255', hex: packet(2) }] }));
  await responder.wait('packet', (said) => said['xid'] === 2);

  server.ip('address add 10.1.0.2/24 brd + dev eth0');
  await responder.wait('interfaces', (said) => here(said, ['10.1.0.1/24', '10.1.0.2/24']));
  await client.exec(senderCommand({ address: '10.1.0.9', port: 68, datagrams: [{ to: '10.1.0.2', hex: packet(3) }] }));
  await responder.wait('packet', (said) => said['xid'] === 3);

  server.ip('link set eth0 down');
  await responder.wait('interfaces', (said) => (said['interfaces'] as unknown[]).length === 0);
  // Reported again, since it was there in between; eth7 is not, since nothing has changed.
  assert.deepEqual(responder.of('error').map((said) => said['interface']), ['eth0', 'eth7', 'eth0']);
});

test('what waits in the sockets can be discarded, and what comes later is heard', needsNetwork, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sockets-'));
  try {
    await using net = new Network();
    net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'client', addresses: ['10.1.0.9/24'] }] });
    const client = net.host('client');
    const untilFile = join(folder, 'go-on');
    const blockingXid = 0xb10cb10c;
    const responder = new Responder(net.host('server'), { interfaces: ['eth0'], block: { xid: blockingXid, untilFile } });
    await responder.wait('ready');
    const send = (datagrams: SendDatagramsOptions['datagrams']): Promise<unknown> =>
      client.exec(senderCommand({ address: '10.1.0.9', port: 68, datagrams }));
    await send([{ to: '10.1.0.1', hex: packet(blockingXid) }]);
    await responder.wait('blocked');
    const waiting = Array.from({ length: 150 }, (_, i) => ({ to: i % 3 === 0 ? '255.255.255.255' : '10.1.0.1', hex: packet(100 + i) }));
    await send(waiting);
    writeFileSync(untilFile, '');
    const { count } = await responder.wait('discarded');
    assert.equal(count, waiting.length);
    await send([{ to: '10.1.0.1', hex: packet(1) }]);
    await responder.wait('packet', (said) => said['xid'] === 1);
    assert.deepEqual(responder.of('packet').map((said) => said['xid']), [blockingXid, 1]);
    await responder.process.stop();
    assert.deepEqual(responder.of('end')[0]?.['dropped'], { stalled: waiting.length });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('packets that wait together are handed over once each and answered in one batch', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'client', addresses: ['10.1.0.9/24'] }] });
  const responder = new Responder(net.host('server'), { interfaces: ['eth0'] });
  await responder.wait('ready');
  // The process is stopped until all are in its sockets.
  responder.process.signal('SIGSTOP');
  // More than one system call takes, and no more than a socket of the client's holds while it has no turn.
  const datagrams = Array.from({ length: 100 }, (_, i) => ({ to: '10.1.0.1', hex: packet(i, { giaddr: '10.1.0.9' }) }));
  const client = net.host('client').spawn(senderCommand({ address: '10.1.0.9', port: 67, listen: true, datagrams }));
  await client.waitForLine(/"sent"/, 8000);
  responder.process.signal('SIGCONT');
  await waitUntil('all replies', 8000, () => (client.output.split('"reply"').length - 1 >= datagrams.length ? true : undefined));
  await responder.process.stop();
  assert.deepEqual(responder.of('packet').map((said) => said['xid']), datagrams.map((_, i) => i));
  const [end] = responder.of('end');
  assert.ok(Number(end?.['batches']) < 10, `${datagrams.length} packets in ${String(end?.['batches'])} batches`);
});

test('a second DHCP server on an interface is noticed, and served beside once the first is gone', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }] });
  const server = net.host('server');
  const first = new Responder(server, { interfaces: ['eth0'] });
  await first.wait('ready');
  const second = new Responder(server, { interfaces: ['eth0'] });
  const error = await second.wait('error');
  assert.equal(error['code'], 'open-failed');
  assert.match(String(error['message']), /EADDRINUSE/);
  await first.process.stop();
  await second.wait('interfaces', (said) => (said['interfaces'] as unknown[]).length === 1);
});
