/** What enterprise networks ask of a DHCP server, by real clients, a real relay and the packet that network boot ROMs send. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import type { RealClientOptions } from '../../deploy/lab/real-clients.ts';
import { Capture } from '../support/capture.ts';
import { parseReply } from '../support/client-packets.ts';
import { PXE_DISCOVER } from '../support/pxe-discover.ts';
import { ADDRESSES, needs, ServedNetwork } from '../support/served-network.ts';

const WAIT_MS = 20_000;
const senderFile = join(import.meta.dirname, '../support/send-datagrams.ts');

const CONFIGURATION = `
leaseTime: { default: 60s, min: 30s, max: 10m }
authoritative: true
rapidCommit: true
optionDefinitions:
  - { code: 224, name: phone-vlan, type: u16 }
classes:
  - name: phones
    match: { option: vendor-class-identifier, prefix: Phone }
    options: { tftp-server-address: [10.1.0.60], phone-vlan: { value: 17, send: always } }
  - name: uefi
    match:
      all:
        - { option: vendor-class-identifier, prefix: PXEClient }
        - { option: client-system, equals: [7, 9] }
    nextServer: 10.1.0.70
    bootFileName: ipxe.efi
  - name: bios
    match:
      all:
        - { option: vendor-class-identifier, prefix: PXEClient }
        - { option: client-system, equals: 0 }
    nextServer: 10.1.0.70
    bootFileName: undionly.kpxe
  - name: infrastructure
    match: { field: hardware, prefix: { hex: "52:54" } }
    leaseTime: 7d
options:
  domain-search: [lan.example.net, example.net]
  classless-static-route: [{ to: 10.9.0.0/16, via: 10.1.0.2 }, { to: 0.0.0.0/0, via: 10.1.0.2 }]
  v4-captive-portal: https://portal.example.net/api
subnets:
  - subnet: 10.1.0.0/16
    pools:
      - { range: 10.1.32.0-10.1.32.255, allow: [phones] }
      - { range: 10.1.16.0-10.1.31.255, deny: [phones], exclude: [10.1.16.0-10.1.16.255] }
    options: { routers: [10.1.0.2], domain-name-servers: [10.1.0.53], domain-name: lan.example.net }
sharedNetworks:
  - name: office
    subnets:
      - subnet: 10.2.0.0/16
        deny: [phones]
        pools: [10.2.16.0-10.2.17.255]
        options: { routers: [10.2.0.1] }
      - subnet: 10.3.0.0/16
        allow: [phones]
        pools: [10.3.16.0-10.3.17.255]
        options: { routers: [10.3.0.1] }
    reservations:
      - { circuitId: eth1, address: 10.2.0.77, hostname: port-seven, description: the printer at the door }
`;

test('what enterprise networks ask for', needs('tshark', 'dhcrelay', 'udhcpc', 'dhclient', 'dhcpcd'), async (t) => {
  await using served = await ServedNetwork.start({
    nodes: ['a'], clients: ['phone', 'plain', 'rapid', 'routes', 'pxe', 'rom'], officeClients: ['desk', 'deskphone'],
    configuration: CONFIGURATION,
  });

  await t.test('a class gives its clients a pool and options of its own, and keeps the others out', () => classes(served));
  await t.test('dhcpcd gets its lease with two packets (RFC 4039)', () => rapidCommit(served));
  await t.test('dhclient is told routes, a search list and a portal that tshark can read (RFC 3442, 3397, 8910)', () => routes(served));
  await t.test('a network boot client is told its file by its architecture (RFC 4578)', () => networkBoot(served));
  await t.test('a network boot ROM without an address is answered by broadcast', () => bootRom(served));
  await t.test('a relay that says which link is meant serves a shared network, and the class chooses the subnet (RFC 3527)', () => sharedNetwork(served));
  await t.test('nothing failed inside the node', () => assert.doesNotMatch(served.nodes[0]!.output, /"level":"error"/));
});

function client(served: ServedNetwork, name: string, options: Pick<RealClientOptions, 'kind'> & Partial<RealClientOptions>): RealClient {
  return new RealClient({ host: served.host(name), folder: join(served.folder, name), ...options });
}

function capture(served: ServedNetwork, name: string): Promise<Capture> {
  return Capture.start({ host: served.host(name), file: join(served.folder, `${name}.pcapng`) });
}

/** Ends the capture; tshark finds nothing wrong in it. */
async function flawless(captured: Capture): Promise<void> {
  await captured.stop();
  assert.deepEqual(await captured.complaints(), []);
}

async function classes(served: ServedNetwork): Promise<void> {
  const captured = await capture(served, 'phone');
  const phone = client(served, 'phone', { kind: 'udhcpc', vendorClass: 'Phone-7000' });
  assert.match((await phone.waitForLease(WAIT_MS)).address, /^10\.1\.32\./);
  const plain = client(served, 'plain', { kind: 'udhcpc' });
  assert.match((await plain.waitForLease(WAIT_MS)).address, /^10\.1\.(1[7-9]|2\d|3[01])\./);
  await flawless(captured);
  const [ack] = await captured.read(['dhcp.option.type'], 'dhcp.option.dhcp == 5');
  const codes = ack![0]!.split(',');
  assert.ok(codes.includes('224'), `always sent: ${codes.join(' ')}`);
  assert.ok(!codes.includes('150'), 'not asked for');
  await phone.release(WAIT_MS);
  await plain.release(WAIT_MS);
}

async function rapidCommit(served: ServedNetwork): Promise<void> {
  const captured = await capture(served, 'rapid');
  const rapid = client(served, 'rapid', { kind: 'dhcpcd', rapidCommit: true });
  const lease = await rapid.waitForLease(WAIT_MS);
  await served.agreed(lease.address, 'ACTIVE');
  await flawless(captured);
  assert.deepEqual((await captured.read(['dhcp.option.dhcp'])).map(([type]) => type), ['1', '5']);
  await rapid.release(WAIT_MS);
}

async function routes(served: ServedNetwork): Promise<void> {
  const captured = await capture(served, 'routes');
  const asking = client(served, 'routes', { kind: 'dhclient', requests: ['rfc3442-classless-static-routes', 'domain-search', 'captive-portal'] });
  await asking.waitForLease(WAIT_MS);
  await flawless(captured);
  const fields = ['dhcp.option.classless_static_route', 'dhcp.option.dhcp_dns_domain_search_list_fqdn', 'dhcp.option.captive_portal'];
  assert.deepEqual(await captured.read(fields, 'dhcp.option.dhcp == 5'), [
    // 10.9.0.0/16 and 0.0.0.0/0, both by way of 10.1.0.2.
    ['100a090a010002,000a010002', 'lan.example.net,example.net', 'https://portal.example.net/api'],
  ]);
  await asking.release(WAIT_MS);
}

async function networkBoot(served: ServedNetwork): Promise<void> {
  for (const [architecture, file] of [['0007', 'ipxe.efi'], ['0000', 'undionly.kpxe']] as const) {
    const captured = await capture(served, 'pxe');
    const pxe = client(served, 'pxe', {
      kind: 'udhcpc', vendorClass: `PXEClient:Arch:0${architecture}:UNDI:003016`, sends: { 93: architecture, 94: '010310', 97: `00${'ab'.repeat(16)}` },
    });
    await pxe.waitForLease(WAIT_MS);
    await flawless(captured);
    assert.deepEqual(await captured.read(['dhcp.ip.server', 'dhcp.file'], 'dhcp.type == 2'), [['10.1.0.70', file], ['10.1.0.70', file]]);
    await pxe.release(WAIT_MS);
  }
}

async function bootRom(served: ServedNetwork): Promise<void> {
  const rom = served.host('rom');
  rom.ip('route add 255.255.255.255 dev eth0');
  const sender = rom.spawn([process.execPath, senderFile, JSON.stringify({
    address: '0.0.0.0', port: 68, datagrams: [{ to: '255.255.255.255', hex: PXE_DISCOVER.toString('hex') }], listen: true,
  })]);
  const line = await waitUntil('the offer', WAIT_MS, () => sender.output.split('\n').find((one) => one.includes('"reply"')));
  await sender.stop();
  const bytes = Buffer.from((JSON.parse(line) as { hex: string }).hex, 'hex');
  const offer = parseReply(bytes);
  assert.equal(offer.type, 2);
  assert.equal(bytes.toString('latin1', 108, bytes.indexOf(0, 108)), 'undionly.kpxe');
  // RFC 4578 §2.3 asks that of PXE servers; one that only names the boot server is none.
  assert.equal(offer.has(97), false);
}

async function sharedNetwork(served: ServedNetwork): Promise<void> {
  const { router, office, lan } = served;
  const { command, env } = requireProgram('dhcrelay');
  const relay = router.spawn([
    command, '-4', '-d', '-a', '-m', 'append', '-U', router.interfaceName(lan),
    '-id', router.interfaceName(office), ADDRESSES.a,
  ], { env, name: 'dhcrelay' });
  await relay.waitForLine(/Sending on\s+Socket/, WAIT_MS);
  const captured = await Capture.start({ host: router, segment: lan, file: join(served.folder, 'relay.pcapng') });
  const desk = client(served, 'desk', { kind: 'dhclient' });
  // Reserved for whatever is plugged in there: the relay names its interface as the circuit.
  assert.equal(router.interfaceName(office), 'eth1');
  assert.equal((await desk.waitForLease(WAIT_MS)).address, '10.2.0.77');
  const phone = client(served, 'deskphone', { kind: 'udhcpc', vendorClass: 'Phone-7000' });
  assert.match((await phone.waitForLease(WAIT_MS)).address, /^10\.3\.1[67]\./);
  await desk.release(WAIT_MS);
  await phone.release(WAIT_MS);
  await relay.stop();
  await flawless(captured);
  const selected = await captured.read(['dhcp.option.agent_information_option.link_selection', 'dhcp.ip.relay'], 'dhcp.type == 1');
  assert.ok(selected.length > 0);
}
