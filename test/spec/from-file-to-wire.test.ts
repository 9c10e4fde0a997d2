/** Configuration files, and what their clients are told: the whole way from the text to the bytes of an answer. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { loadClusterConfig } from '../../node/config/load.ts';
import { addressOption, chaddrOf, discover, inform, ip, parseReply, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { clusterConfig } from '../support/config-mistakes.ts';
import { PROJECT } from '../support/documentation.ts';
import { packetsOf, replyOf, TestServer } from '../support/dhcp-server.ts';
import { relayInformation } from '../support/relayed-requests.ts';

const SERVER = ip('10.0.0.2');
const serverOf = (text: string): TestServer => new TestServer({ config: clusterConfig(text) });

/** The options of the answer to a DHCPDISCOVER as hex, by code; undefined where it has none. */
function offered(server: TestServer, codes: readonly number[], fields: ClientFields = {}): (string | undefined)[] {
  const reply = replyOf(server.receive(discover({ parameters: codes, ...fields })));
  return codes.map((code) => reply.option(code)?.toString('hex'));
}

/** Text as hex. */
const ascii = (text: string): string => Buffer.from(text).toString('hex');

test('every kind of option goes out as its RFC lays it out', () => {
  const server = serverOf(`
subnets: [{ subnet: 10.0.0.0/24, pools: [10.0.0.100-10.0.0.199] }]
options:
  static-routes: [[192.0.2.1, 10.0.0.1]]
  vendor-encapsulated-options: { pxe: { discovery-control: 8, boot-servers: [{ type: 15, addresses: [10.0.0.5] }] } }
  vendor-class-identifier: PXEClient
  v4-captive-portal: https://portal.example.net/api
  domain-search: [eng.example.net, example.net]
  sip-servers: [sip.example.net]
  classless-static-route: [{ to: 10.9.0.0/16, via: 10.0.0.1 }, { to: 0.0.0.0/0, via: 10.0.0.1 }]
  ms-classless-static-route: ["10.9.0.0/16 - 10.0.0.1"]
  vivco-suboptions: { 4491: [docsis3.1] }
  vivso-suboptions: { 3561: { 1: "aa:bb" } }
  capwap-ac-v4: [10.0.0.7, 10.0.0.8]
  tftp-server-address: [10.0.0.9]
  option-6rd: { ipv4MaskLength: 8, prefixLength: 32, prefix: "2001:db8::", relays: [10.0.0.3] }
`);
  const expected: Record<number, string> = {
    33: 'c0000201 0a000001',
    43: '06 01 08 08 07 000f 01 0a000005',
    60: ascii('PXEClient'),
    114: ascii('https://portal.example.net/api'),
    // RFC 3397 §2: the second name is a pointer to the end of the first, at byte 4.
    119: `03 ${ascii('eng')} 07 ${ascii('example')} 03 ${ascii('net')} 00 c004`,
    120: `00 03 ${ascii('sip')} 07 ${ascii('example')} 03 ${ascii('net')} 00`,
    121: '10 0a09 0a000001 00 0a000001',
    124: `0000118b 0a 09 ${ascii('docsis3.1')}`,
    125: '00000de9 04 01 02 aabb',
    138: '0a000007 0a000008',
    150: '0a000009',
    212: '08 20 20010db8000000000000000000000000 0a000003',
    249: '10 0a09 0a000001',
  };
  const codes = Object.keys(expected).map(Number);
  const wanted = Object.values(expected).map((hex) => hex.replaceAll(' ', ''));
  assert.deepEqual(offered(server, codes, { options: { 57: Buffer.of(5, 220) } }), wanted);
});

test('an option of the file\'s own is a number, a list, a record or a sub-option, by name and by code', () => {
  const server = serverOf(`
optionDefinitions:
  - { code: 224, name: phone-vlan, type: u16 }
  - { code: 225, name: menu, type: record, record: [u8, text] }
  - { code: 226, name: doors, type: ip, array: true }
  - { code: 1, name: controller, type: ip, space: access-point }
subnets: [{ subnet: 10.0.0.0/24, pools: [10.0.0.100-10.0.0.199] }]
options:
  phone-vlan: 17
  225: [7, x]
  doors: [10.0.0.1, 10.0.0.2]
  vendor-encapsulated-options: { access-point: { controller: 10.0.0.9 } }
  230: "de:ad"
`);
  assert.deepEqual(offered(server, [224, 225, 226, 43, 230]), ['0011', '0778', '0a0000010a000002', '01040a000009', 'dead']);
});

test('what stands nearest to the client counts: reservation, class, pool, subnet, shared network, the top', () => {
  const server = serverOf(`
options: { time-servers: 10.0.0.61, log-servers: 10.0.0.61, ntp-servers: 10.0.0.61, smtp-server: 10.0.0.61, www-server: 10.0.0.61, pop-server: 10.0.0.61 }
leaseTime: 61s
classes:
  - { name: first, match: { option: vendor-class-identifier, equals: x }, options: { smtp-server: 10.0.0.65 } }
  - { name: second, match: { option: vendor-class-identifier, prefix: x }, options: { smtp-server: 10.0.0.99, www-server: 10.0.0.65 } }
sharedNetworks:
  - name: floor
    options: { log-servers: 10.0.0.62, ntp-servers: 10.0.0.62, smtp-server: 10.0.0.62, www-server: 10.0.0.62, pop-server: 10.0.0.62 }
    leaseTime: 62s
    subnets:
      - subnet: 10.0.0.0/24
        options: { ntp-servers: 10.0.0.63, smtp-server: 10.0.0.63, www-server: 10.0.0.63, pop-server: 10.0.0.63 }
        leaseTime: 63s
        reservations: [{ hardware: 02:00:00:00:00:01, options: { www-server: 10.0.0.66 }, leaseTime: 66s }]
        pools: [{ range: 10.0.0.100-10.0.0.199, options: { smtp-server: 10.0.0.64, www-server: 10.0.0.64, pop-server: 10.0.0.64 }, leaseTime: 64s }]
`);
  // From the top, the shared network, the subnet, the pool, the class, the reservation.
  const codes = [4, 7, 42, 70, 69, 72];
  const from = (fields: ClientFields): (number | undefined)[] => {
    const reply = replyOf(server.receive(discover({ parameters: codes, ...fields })));
    return [...codes.map((code) => reply.option(code)?.[3]), reply.optionU32(51)];
  };
  const classed = { options: { 60: Buffer.from('x') } };
  assert.deepEqual(from({}), [61, 62, 63, 64, 64, 64, 64]);
  assert.deepEqual(from({ ...classed, chaddr: chaddrOf(2) }), [61, 62, 63, 64, 65, 65, 64]);
  assert.deepEqual(from({ ...classed, chaddr: chaddrOf(1) }), [61, 62, 63, 64, 65, 66, 66]);
});

test('always and never, and what a class takes back', () => {
  const server = serverOf(`
options: { ntp-servers: { value: 10.0.0.123, send: always }, time-servers: 10.0.0.4 }
classes: [{ name: bare, match: { option: vendor-class-identifier, equals: bare }, options: { ntp-servers: { send: never }, time-servers: { send: never } } }]
subnets: [{ subnet: 10.0.0.0/24, authoritative: true, pools: [10.0.0.100-10.0.0.199] }]
`);
  assert.deepEqual(offered(server, [42, 4], { parameters: [4] }), ['0a00007b', '0a000004']);
  assert.deepEqual(offered(server, [42, 4], { parameters: [1] }), ['0a00007b', undefined]);
  assert.deepEqual(offered(server, [42, 4], { parameters: [4, 42], options: { 60: Buffer.from('bare') } }), [undefined, undefined]);
  const ack = replyOf(server.receive(inform({ ciaddr: ip('10.0.0.9'), parameters: [1] })));
  assert.equal(ack.optionU32(42), ip('10.0.0.123'), 'to a DHCPINFORM as well');
});

test('several subnets behind one giaddr: the class of a client says which of them is its own', () => {
  const server = serverOf(`
classes:
  - { name: phones, match: { option: vendor-class-identifier, prefix: Phone } }
  - { name: guests, match: { relay: circuit-id, prefix: guest } }
sharedNetworks:
  - name: floor
    subnets:
      - { subnet: 10.0.0.0/24, pools: [10.0.0.100-10.0.0.199], deny: [phones, guests], options: { routers: 10.0.0.1 } }
      - { subnet: 10.0.1.0/24, pools: [10.0.1.100-10.0.1.199], allow: [phones], options: { routers: 10.0.1.1 } }
      - { subnet: 10.0.2.0/24, pools: [10.0.2.100-10.0.2.199], allow: [guests], deny: [phones], options: { routers: 10.0.2.1 } }
`);
  const guest = relayInformation([1, Buffer.from('guest-7')]);
  const at = (fields: ClientFields): number[] => {
    const reply = replyOf(server.receive(discover({ giaddr: ip('10.0.0.1'), parameters: [3], ...fields })));
    return [reply.yiaddr >>> 8, reply.optionU32(3)!];
  };
  const subnet = (third: number): number[] => [ip(`10.0.${third}.0`) >>> 8, ip(`10.0.${third}.1`)];
  assert.deepEqual(at({ chaddr: chaddrOf(1) }), subnet(0));
  assert.deepEqual(at({ chaddr: chaddrOf(2), options: { 60: Buffer.from('Phone 7') } }), subnet(1));
  assert.deepEqual(at({ chaddr: chaddrOf(3), relayAgentInformation: guest }), subnet(2));
  assert.deepEqual(at({ chaddr: chaddrOf(4), relayAgentInformation: guest, options: { 60: Buffer.from('Phone 8') } }), subnet(1));
});

test('a client renews past its relay and is still whom its port made it: reservation, class and what they set', () => {
  const server = serverOf(`
classes: [{ name: wing, match: { relay: remote-id, equals: wing }, leaseTime: 10m, options: { time-servers: 10.0.0.4 } }]
subnets:
  - subnet: 10.0.0.0/24
    authoritative: true
    pools: [{ range: 10.0.0.100-10.0.0.199, allow: [wing] }]
    reservations: [{ circuitId: "7", remoteId: wing, address: 10.0.0.7, hostname: door }]
`);
  const fields = { parameters: [4, 12], giaddr: ip('10.0.0.1'), relayAgentInformation: relayInformation([1, Buffer.from('7')], [2, Buffer.from('wing')]) };
  const address = replyOf(server.receive(discover(fields))).yiaddr;
  assert.equal(address, ip('10.0.0.7'));
  server.receive(request({ ...fields, requestedAddress: address, serverIdentifier: SERVER }));
  server.advance(300_000);
  const past = { parameters: [4, 12], ciaddr: address };
  const told = (bytes: Buffer, more = {}): (string | number | undefined)[] => {
    const reply = replyOf(server.receive(bytes, { sourceAddress: address, ...more }));
    return [reply.type, reply.optionU32(51), reply.optionU32(4), reply.option(12)?.toString(), reply.has(82) ? 'option 82' : undefined];
  };
  const expected = [5, 600, ip('10.0.0.4'), 'door', undefined];
  assert.deepEqual(told(request({ ...past, xid: 2 }), { unicast: true }), expected, 'RENEWING');
  server.advance(300_000);
  assert.deepEqual(told(request({ ...past, xid: 3 })), expected, 'REBINDING on the link of the server');
  assert.deepEqual(told(inform({ ...past, xid: 4 }), { unicast: true }), [5, undefined, ip('10.0.0.4'), 'door', undefined], 'DHCPINFORM');
  const stranger = told(inform({ ...past, xid: 5, chaddr: chaddrOf(9) }), { unicast: true });
  assert.deepEqual(stranger, [5, undefined, undefined, undefined, undefined], 'what is known of one client is told to no other');
});

// ── network boot ─────────────────────────────────────────────────────────────────────────────────

const boot = (server: TestServer, fields: ClientFields): { file: string; siaddr: number; address: number } => {
  const bytes = packetsOf(server.receive(discover(fields)))[0]!.bytes;
  const reply = parseReply(bytes);
  return { file: bytes.toString('latin1', 108, bytes.indexOf(0, 108)), siaddr: reply.siaddr, address: reply.yiaddr };
};
const bootRom = (architectures: readonly number[], vendor: string, more: Record<number, Buffer> = {}): ClientFields =>
  ({ giaddr: ip('10.30.0.1'), options: { 60: Buffer.from(vendor), 93: Buffer.from(architectures.flatMap((each) => [0, each])), ...more } });

test('RFC 4578 §2.1: a 16-bit architecture type identifier describes the pre-boot runtime environment: each gets its boot file, and iPXE the script', () => {
  const server = new TestServer({ config: loadClusterConfig(join(PROJECT, 'deploy/examples/pxe-boot.yaml')) });
  const boots = (...architecture: Parameters<typeof bootRom>): ClientFields => ({ ...bootRom(...architecture), chaddr: chaddrOf(1) });
  const uefi = boot(server, boots([7], 'PXEClient:Arch:00007:UNDI:003016'));
  assert.deepEqual([uefi.file, uefi.siaddr], ['efi/x64/ipxe.efi', ip('10.30.0.5')]);
  assert.equal(boot(server, boots([0], 'PXEClient:Arch:00000:UNDI:002001')).file, 'undionly.kpxe');
  assert.equal(boot(server, boots([7], 'PXEClient:Arch:00007:UNDI:003016', { 77: Buffer.from('iPXE') })).file, 'http://10.30.0.5/boot.ipxe');
  const http = replyOf(server.receive(discover({ ...boots([16], 'HTTPClient:Arch:00016:UNDI:003001'), parameters: [67] })));
  assert.deepEqual([http.option(60)?.toString(), http.option(67)?.toString()], ['HTTPClient', 'http://10.30.0.5/efi/boot.efi']);
  assert.deepEqual(boot(server, { giaddr: ip('10.30.0.1'), chaddr: Buffer.from('525400123456', 'hex') }),
    { file: 'http://10.30.0.5/build-1.ipxe', siaddr: ip('10.30.0.5'), address: ip('10.30.1.20') });
});

test('RFC 4361 §7: multi-stage network booting: the stages of a machine have one address, the reserved one too, each with its own lease time', () => {
  const server = new TestServer({ config: loadClusterConfig(join(PROJECT, 'deploy/examples/pxe-boot.yaml')) });
  for (const [chaddr, reserved] of [[Buffer.from('525400123456', 'hex'), ip('10.30.1.20')], [chaddrOf(1), undefined]] as const) {
    const rom = bootRom([7], 'PXEClient:Arch:00007:UNDI:003016');
    const stages: ClientFields[] = [
      rom, { ...rom, clientId: Buffer.concat([Buffer.of(1), chaddr]), options: { ...rom.options, 77: Buffer.from('iPXE') } },
      { clientId: Buffer.concat([Buffer.of(255, 0, 0, 0, 1, 0, 4), Buffer.alloc(16, 7)]) },
    ];
    const leases = stages.map((stage, xid) => {
      const fields = { giaddr: ip('10.30.0.1'), ...stage, chaddr, xid };
      const address = replyOf(server.receive(discover(fields))).yiaddr;
      server.advance(20_000);
      const ack = replyOf(server.receive(request({ ...fields, requestedAddress: address, serverIdentifier: SERVER })));
      return [ack.yiaddr, ack.optionU32(51)];
    });
    const [[address]] = leases as [[number]];
    assert.equal(reserved ?? address, address);
    assert.deepEqual(leases, [[address, 3600], [address, 3600], [address, 12 * 3600]]);
  }
});

test('RFC 4578 §2.1: Clients that support more than one architecture type MAY include a list of these types', () => {
  const server = serverOf(`
classes:
  - { name: prefers-http, match: { option: client-system, prefix: 16 }, bootFileName: "http://boot.example.net/first" }
  - { name: can-do-x64, match: { option: client-system, contains: 7 }, bootFileName: x64.efi }
  - { name: both, match: { option: client-system, equals: [[6, 9]] }, bootFileName: both.efi }
subnets: [{ subnet: 10.30.0.0/24, pools: [10.30.0.100-10.30.0.199] }]
`);
  const file = (...architectures: number[]): string => boot(server, bootRom(architectures, 'PXEClient')).file;
  assert.deepEqual([file(16, 7), file(7, 16), file(9, 7), file(6, 9), file(9, 6)], ['http://boot.example.net/first', 'x64.efi', 'x64.efi', 'both.efi', '']);
});

test('RFC 4578 §2.4: options 128 through 135, which all PXE clients request, MAY be present in the replies', () => {
  const server = serverOf(`
subnets: [{ subnet: 10.0.0.0/24, pools: [10.0.0.100-10.0.0.199] }]
options: { pxe-129: "01:02", 135: "ff" }
`);
  assert.deepEqual(offered(server, [128, 129, 130, 131, 132, 133, 134, 135]), [undefined, '0102', undefined, undefined, undefined, undefined, undefined, 'ff']);
});

// ── vendors ──────────────────────────────────────────────────────────────────────────────────────

const VENDORS = `
classes:
  - name: modem
    match: { option: vivco-suboptions, enterprise: 4491, contains: docsis3 }
    options: { vivso-suboptions: { 4491: { 2: "0a:00:00:09" } } }
  - name: gateway
    match: { option: vivso-suboptions, enterprise: 3561, suboption: 2, equals: { text: "S-7" } }
    options: { time-servers: 10.0.0.4 }
subnets: [{ subnet: 10.0.0.0/24, pools: [10.0.0.100-10.0.0.199] }]
`;
const enterprise = (number: number, data: Buffer): Buffer => Buffer.concat([addressOption(number), Buffer.of(data.length), data]);
const item = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);

test('RFC 3925 §4: a typical case is a client that sends the Vendor Class option, to elicit a useful Vendor-Specific Information option', () => {
  const server = serverOf(VENDORS);
  const elicited = (value: Buffer): string | undefined => offered(server, [125], { options: { 124: value } })[0];
  assert.equal(elicited(enterprise(4491, item('docsis3.1'))), '0000118b0602040a000009');
  assert.equal(elicited(enterprise(9, item('docsis3.1'))), undefined, "another vendor's data");
  assert.equal(elicited(enterprise(4491, item('docsis2.0'))), undefined);
});

test('RFC 3925 §3: the information for each Enterprise Number is treated independently', () => {
  const server = serverOf(VENDORS);
  const both = Buffer.concat([enterprise(9, item('x')), enterprise(4491, Buffer.concat([item('y'), item('docsis3.0')]))]);
  assert.notEqual(offered(server, [125], { options: { 124: both } })[0], undefined);
  const options = Buffer.concat([enterprise(9, Buffer.of(2, 3, 0x53, 0x2d, 0x37)), enterprise(3561, Buffer.of(1, 1, 0, 2, 3, 0x53, 0x2d, 0x37))]);
  assert.deepEqual(offered(server, [4], { options: { 125: options } }), ['0a000004']);
  assert.deepEqual(offered(server, [4], { options: { 125: enterprise(9, Buffer.of(2, 3, 0x53, 0x2d, 0x37)) } }), [undefined]);
});

test('RFC 3925 §3: multiple instances of this option may be present and MUST be concatenated in accordance with RFC 3396', () => {
  const server = serverOf(VENDORS);
  const long = Buffer.concat([enterprise(9, item('x'.repeat(250))), enterprise(4491, item('docsis3.1'))]);
  assert.ok(long.length > 255);
  assert.equal(offered(server, [125], { options: { 124: long } })[0], '0000118b0602040a000009');
});

// ── long options ─────────────────────────────────────────────────────────────────────────────────

test('RFC 3396 §7: the decoding agent MUST NOT treat each split portion of an option as a separate object: the server decides by the whole', () => {
  const server = serverOf(`
classes: [{ name: long, match: { option: vendor-class-identifier, equals: "${'v'.repeat(300)}" }, options: { time-servers: { value: 10.0.0.4, send: always } } }]
subnets: [{ subnet: 10.0.0.0/24, pools: [10.0.0.100-10.0.0.199], reservations: [{ circuitId: "${'c'.repeat(200)}", address: 10.0.0.7 }], options: { log-servers: 10.0.0.5, ntp-servers: 10.0.0.6 } }]
`);
  assert.deepEqual(offered(server, [4], { options: { 60: Buffer.from('v'.repeat(300)) } }), ['0a000004']);
  assert.deepEqual(offered(server, [4], { options: { 60: Buffer.from('v'.repeat(299)) } }), [undefined]);
  // Relay agent information in two pieces, the reserved circuit across both, is echoed whole.
  const relayAgentInformation = relayInformation([2, Buffer.alloc(150, 1)], [1, Buffer.from('c'.repeat(200))]);
  const reply = replyOf(server.receive(discover({ giaddr: ip('10.0.0.1'), relayAgentInformation, options: { 57: Buffer.of(5, 220) } })));
  assert.deepEqual([reply.yiaddr, reply.option(82)], [ip('10.0.0.7'), relayAgentInformation]);
  // A parameter request list in two pieces asks for what is in either.
  const list = Buffer.from([...Array.from({ length: 255 }, () => 7), 42]);
  assert.deepEqual(offered(server, [7, 42], { parameters: [...list] }), ['0a000005', '0a000006']);
});

test('RFC 3396 §6: an option of the file that is longer than 255 octets goes out in portions whose lengths add up', () => {
  const routes = Array.from({ length: 40 }, (_, n) => `{ to: 10.${n}.0.0/24, via: 10.0.0.1 }`);
  const server = serverOf(`
subnets: [{ subnet: 10.0.0.0/24, pools: [10.0.0.100-10.0.0.199] }]
options: { classless-static-route: [${routes.join(', ')}] }
`);
  const expected = Buffer.concat(routes.map((_, n) => Buffer.from([24, 10, n, 0, 10, 0, 0, 1])));
  assert.deepEqual(offered(server, [121], { options: { 57: Buffer.of(5, 220) } }), [expected.toString('hex')]);
});
