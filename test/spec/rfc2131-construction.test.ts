/** RFC 2131 §4.1: where messages go and what they are made of. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { CLIENT_CHADDR, decline, discover, inform, ip, PARAMETERS, parseReply, request } from '../support/client-packets.ts';
import { IFACE, optionCodes, packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const BROADCAST = 0xffff_ffff;

function leased(server: TestServer, fields: Parameters<typeof request>[0] = {}): number {
  const offered = replyOf(server.receive(discover(fields))).yiaddr;
  server.receive(request({ ...fields, requestedAddress: offered, serverIdentifier: SERVER }));
  server.advance(60_000);
  return offered;
}

test("RFC 2131 §4.1: A server with multiple network addresses MUST be prepared to accept any of its network addresses as identifying that server", () => {
  const server = new TestServer();
  const iface = { ...IFACE, addresses: [...IFACE.addresses, { address: ip('10.0.0.7'), prefixLength: 24 }] };
  const offered = replyOf(server.receive(discover(), { iface })).yiaddr;
  const decision = server.receive(request({ requestedAddress: offered, serverIdentifier: ip('10.0.0.7') }), { iface });
  assert.equal(replyOf(decision).type, 5);
});

test('RFC 2131 §4.1: the server SHOULD choose an address from the interface on which the message was received as the server identifier', () => {
  const server = new TestServer();
  for (const giaddr of [0, ip('10.0.0.1')]) {
    assert.equal(replyOf(server.receive(discover({ giaddr }))).optionU32(54), SERVER);
  }
});

test("RFC 2131 §4.1: If 'giaddr' is non-zero, the server sends any return messages to the 'DHCP server' port on the relay agent", () => {
  const server = new TestServer({ subnets: [subnetConfig({ authoritative: true })] });
  const giaddr = ip('10.0.0.1');
  const offer = server.receive(discover({ giaddr, broadcast: true }));
  const yiaddr = replyOf(offer).yiaddr;
  const ack = server.receive(request({ giaddr, requestedAddress: yiaddr, serverIdentifier: SERVER }));
  const nak = server.receive(request({ giaddr, xid: 9, requestedAddress: ip('192.0.2.1') }));
  for (const decision of [offer, ack, nak]) {
    const [packet] = packetsOf(decision);
    assert.deepEqual([packet!.address, packet!.port, packet!.hardware], [giaddr, 67, undefined]);
  }
});

test("RFC 2131 §4.1: If 'giaddr' is zero and 'ciaddr' is nonzero, the server unicasts DHCPACK messages to the address in 'ciaddr'", () => {
  const server = new TestServer();
  const ciaddr = leased(server);
  const [packet] = packetsOf(server.receive(request({ ciaddr, xid: 2, broadcast: true }), { unicast: true, sourceAddress: ciaddr }));
  assert.deepEqual([packet!.address, packet!.port, packet!.hardware], [ciaddr, 68, undefined]);
});

test("RFC 2131 §4.1: If 'giaddr' and 'ciaddr' are zero and the broadcast bit is set, the server broadcasts DHCPOFFER and DHCPACK messages to 0xffffffff", () => {
  const server = new TestServer();
  const offer = server.receive(discover({ broadcast: true }));
  const ack = server.receive(request({ broadcast: true, requestedAddress: replyOf(offer).yiaddr, serverIdentifier: SERVER }));
  for (const decision of [offer, ack]) {
    const [packet] = packetsOf(decision);
    assert.deepEqual([packet!.address, packet!.port, packet!.hardware], [BROADCAST, 68, undefined]);
  }
});

test("RFC 2131 §4.1: If the broadcast bit is not set, the server unicasts to the client's hardware address and 'yiaddr' address", () => {
  const server = new TestServer();
  const bytes = discover();
  const offer = server.receive(bytes);
  bytes.fill(0);
  const [packet] = packetsOf(offer);
  assert.deepEqual([packet!.address, packet!.port], [replyOf(offer).yiaddr, 68]);
  assert.equal(packet!.hardware?.htype, 1);
  assert.deepEqual(packet!.hardware?.chaddr, CLIENT_CHADDR, 'a copy: the request buffer is used again');
});

test('RFC 2131 §4.1: If unicasting is not possible, the message MAY be sent as an IP broadcast', () => {
  const server = new TestServer();
  const infiniband = server.receive(discover({ htype: 32, chaddr: Buffer.alloc(0), clientId: Buffer.from('ff00000001', 'hex') }));
  assert.equal(packetsOf(infiniband)[0]!.address, BROADCAST);
});

test("RFC 2131 §4.1: In all cases, when 'giaddr' is zero, the server broadcasts any DHCPNAK messages to 0xffffffff", () => {
  const server = new TestServer({ subnets: [subnetConfig({ authoritative: true })] });
  const naks = [
    server.receive(request({ requestedAddress: ip('192.0.2.1') })),
    server.receive(request({ ciaddr: ip('10.0.0.150') }), { unicast: true, sourceAddress: ip('10.0.0.150') }),
  ];
  for (const decision of naks) {
    assert.equal(replyOf(decision).type, 6);
    const [packet] = packetsOf(decision);
    assert.deepEqual([packet!.address, packet!.port, packet!.hardware], [BROADCAST, 68, undefined]);
  }
});

test("RFC 2131 §4.1: the last option must always be the 'end' option", () => {
  const server = new TestServer();
  const { bytes } = packetsOf(server.receive(discover({ parameters: PARAMETERS, relayAgentInformation: Buffer.from('0101aa', 'hex') })))[0]!;
  const codes = optionCodes(bytes);
  const end = 240 + codes.reduce((at) => at + 2 + bytes[240 + at + 1]!, 0);
  assert.equal(bytes[end], 255);
  assert.ok(bytes.subarray(end + 1).every((byte) => byte === 0));
});

test('RFC 2131 §2: a client is sent no more than 576 bytes of IP datagram unless it says that it takes more (RFC 2132 §9.10)', () => {
  const options = [{ code: 43, value: Buffer.alloc(250, 1) }, { code: 125, value: Buffer.alloc(250, 2) }, { code: 119, value: Buffer.alloc(250, 3) }];
  const server = new TestServer({ subnets: [subnetConfig({ options })] });
  const parameters = [43, 125, 119];
  const plain = packetsOf(server.receive(discover({ parameters })))[0]!.bytes;
  assert.ok(plain.length <= 576 - 28, `${plain.length}`);
  const size = (bytes: number): Buffer => Buffer.of(bytes >> 8, bytes & 255);
  const more = packetsOf(server.receive(discover({ parameters, options: { 57: size(1400) } })))[0]!.bytes;
  assert.deepEqual(parameters.filter((code) => optionCodes(more).includes(code)), parameters);
  const small = packetsOf(server.receive(discover({ parameters, options: { 57: size(100) } })))[0]!.bytes;
  assert.equal(small.length, plain.length, 'less than 576 is not taken at its word');
  const tooMuch = { ...IFACE, mtu: 600 };
  const narrow = packetsOf(server.receive(discover({ parameters, options: { 57: size(1400) } }), { iface: tooMuch }))[0]!.bytes;
  assert.ok(narrow.length <= 600 - 28, 'never more than the interface carries');
});

test('RFC 2131 §4.1: messages are sent with at least the 300 bytes of BOOTP (RFC 1542 §2.1)', () => {
  const server = new TestServer({ subnets: [subnetConfig({ options: [] })] });
  assert.equal(packetsOf(server.receive(discover()))[0]!.bytes.length, 300);
});

test('RFC 2131 §4.2: If the client supplies a client identifier, the server MUST use that identifier to identify the client', () => {
  const server = new TestServer();
  const clientId = Buffer.from('00aabbcc', 'hex');
  const address = leased(server, { clientId });
  const other = Buffer.from('020000000099', 'hex');
  assert.equal(replyOf(server.receive(discover({ clientId, chaddr: other, xid: 5 }))).yiaddr, address);
  assert.notEqual(replyOf(server.receive(discover({ xid: 6 }))).yiaddr, address, 'the same hardware without it is another client');
});

test("RFC 2131 §4.2: If the client does not provide a client identifier, the server MUST use the contents of the 'chaddr' field", () => {
  const server = new TestServer();
  const address = leased(server);
  assert.equal(replyOf(server.receive(discover({ xid: 5 }))).yiaddr, address);
  assert.notEqual(replyOf(server.receive(discover({ xid: 6, chaddr: Buffer.from('020000000099', 'hex') }))).yiaddr, address);
});

test('identity: hardware knows a client by its hardware address whatever its client identifier', () => {
  const server = new TestServer({ subnets: [subnetConfig({ identity: 'hardware' })] });
  const address = leased(server, { clientId: Buffer.from('00aabbcc', 'hex') });
  assert.equal(replyOf(server.receive(discover({ xid: 5, clientId: Buffer.from('00ddeeff', 'hex') }))).yiaddr, address);
});

test('a node that is not in service answers nothing and counts why', () => {
  const server = new TestServer({ subnets: [subnetConfig({ authoritative: true })] });
  server.view.isServing = false;
  const packets = [discover(), request({ requestedAddress: ip('192.0.2.1') }), inform({ ciaddr: ip('10.0.0.9') }), decline({ requestedAddress: ip('10.0.0.100') })];
  for (const bytes of packets) assert.deepEqual(packetsOf(server.receive(bytes)), []);
  assert.deepEqual(server.drops(), { 'not-serving': packets.length });
});

test('a reply is one that clients can parse, with the xid, flags and hardware address of the request', () => {
  const server = new TestServer();
  const reply = parseReply(packetsOf(server.receive(discover({ xid: 0xdeadbeef, broadcast: true, giaddr: ip('10.0.0.1') })))[0]!.bytes);
  assert.deepEqual([reply.xid, reply.flags, reply.giaddr, reply.hops, reply.secs], [0xdeadbeef, 0x8000, ip('10.0.0.1'), 0, 0]);
  assert.deepEqual(reply.chaddr(), CLIENT_CHADDR);
});
