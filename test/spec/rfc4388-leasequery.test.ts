/** RFC 4388: which LEASEQUERY over UDP gets an answer, of which kind, and where it goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueryType } from '../../node/leasequery/messages.ts';
import { chaddrOf, CLIENT_CHADDR, decline, discover, ip, release } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { FakeView, IFACE, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import type { PacketFields } from '../support/dhcp-server.ts';
import { answer, askable, byAddress, byClientId, byHardware, CONCENTRATOR, lease, REQUESTORS, typeOf } from '../support/lease-queries.ts';
import { relayInformation } from '../support/relayed-requests.ts';

const { LEASEACTIVE, LEASEUNASSIGNED, LEASEUNKNOWN } = QueryType;
const CLIENT_ID = Buffer.from('ff00000001', 'hex');

/** What is asked, of a server that has leased an address to a client with both names. */
const REGIMES = (address: number): readonly Buffer[] => [byAddress(address), byHardware(CLIENT_CHADDR), byClientId(CLIENT_ID)];

// ── regimes ──────────────────────────────────────────────────────────────────────────────────────

test('RFC 4388 §6.3: a server that implements the DHCPLEASEQUERY message MUST implement all three query regimes: query by IP address, query by MAC address, and query by Client-identifier', () => {
  const server = askable();
  const address = lease(server, { clientId: CLIENT_ID });
  lease(server, { chaddr: chaddrOf(2), clientId: Buffer.from('ff00000002', 'hex') });
  for (const query of REGIMES(address)) {
    const { message, type } = answer(server, query);
    assert.deepEqual([type, message.ciaddr, message.chaddr()], [LEASEACTIVE, address, CLIENT_CHADDR]);
  }
});

test('RFC 4388 §5: the servers that implement this protocol always send a response to the DHCPLEASEQUERY message: either a DHCPLEASEUNASSIGNED, DHCPLEASEACTIVE, or DHCPLEASEUNKNOWN', () => {
  const server = askable();
  const address = lease(server, { clientId: CLIENT_ID });
  assert.deepEqual(REGIMES(address).map((query) => typeOf(server, query)), [LEASEACTIVE, LEASEACTIVE, LEASEACTIVE]);
  assert.equal(typeOf(server, byAddress('10.0.0.150')), LEASEUNASSIGNED);
  assert.equal(typeOf(server, byAddress('192.0.2.1')), LEASEUNKNOWN);
  assert.equal(typeOf(server, byHardware(chaddrOf(9))), LEASEUNKNOWN);
  assert.equal(typeOf(server, byClientId(Buffer.from('ff00000009', 'hex'))), LEASEUNKNOWN);
  assert.deepEqual(server.drops(), {});
  const counted = [...server.counters.queries.all()].map(({ protocol, kind, outcome, count }) => `${protocol} ${kind} ${outcome} ${count}`);
  assert.deepEqual(counted, [
    'single address active 1', 'single hardware active 1', 'single client-id active 1', 'single address unassigned 1', 'single address unknown 1',
    'single hardware unknown 1', 'single client-id unknown 1',
  ]);
});

test('RFC 4388 §6.3: the DHCPLEASEQUERY message MUST have exactly one of the following: a non-zero ciaddr, a non-zero htype/hlen/chaddr, or a Client-identifier option', () => {
  const address = ip('10.0.0.100');
  const rows: readonly ClientFields[] = [
    {}, { ciaddr: address, chaddr: CLIENT_CHADDR }, { ciaddr: address, clientId: CLIENT_ID }, { chaddr: CLIENT_CHADDR, clientId: CLIENT_ID },
    { ciaddr: address, chaddr: CLIENT_CHADDR, clientId: CLIENT_ID },
  ];
  for (const fields of rows) {
    const server = askable();
    assert.equal(lease(server, { clientId: CLIENT_ID }), address);
    assert.equal(server.ask(byAddress(0, fields)), undefined);
    assert.deepEqual(server.drops(), { 'query-malformed': 1 });
  }
});

test('RFC 4388 §6.2: the values of htype, hlen, and chaddr MUST be set to zero: a requestor that sets htype and hlen to an address of zeros names no client by it', () => {
  const server = askable();
  const address = lease(server, { clientId: CLIENT_ID });
  for (const query of [byAddress(address, { htype: 1, chaddr: Buffer.alloc(6) }), byClientId(CLIENT_ID, { htype: 1, chaddr: Buffer.alloc(6) })]) {
    assert.equal(answer(server, query).message.ciaddr, address);
  }
});

test('RFC 4388 §6.3: the DHCP server that receives a DHCPLEASEQUERY message MUST base its response on the particular data item used in the query', () => {
  const server = askable();
  const first = lease(server);
  const second = lease(server, { chaddr: chaddrOf(2), clientId: CLIENT_ID });
  assert.equal(answer(server, byHardware(CLIENT_CHADDR)).message.ciaddr, first);
  assert.equal(answer(server, byClientId(CLIENT_ID)).message.ciaddr, second);
  assert.equal(answer(server, byHardware(chaddrOf(2))).message.ciaddr, second);
  // Neither the interface nor where the packet came from says anything.
  const elsewhere: PacketFields = { iface: { ...IFACE, addresses: [{ address: ip('192.0.2.2'), prefixLength: 24 }] } };
  assert.equal(answer(server, byAddress(first), elsewhere).type, LEASEACTIVE);
});

test('RFC 4388 §6.3: the giaddr MUST NOT be used to restrict the processing of the query in any way, and MUST NOT be used locate a subnet to which the ciaddr (if any) must belong', () => {
  const server = new TestServer({
    subnets: [subnetConfig(), subnetConfig({ name: '10.0.7.0/24', network: ip('10.0.7.0'), pools: [] })],
    leaseQuery: { requestors: [{ network: 0, prefixLength: 0 }] },
  });
  const address = lease(server, { clientId: CLIENT_ID });
  for (const giaddr of ['10.0.0.1', '10.0.7.1', '192.0.2.1']) {
    for (const query of REGIMES(address)) {
      query.writeUInt32BE(ip(giaddr), 24);
      const { message, type } = answer(server, query);
      assert.deepEqual([type, message.ciaddr], [LEASEACTIVE, address], giaddr);
    }
  }
});

// ── the three answers ────────────────────────────────────────────────────────────────────────────

test('RFC 4388 §6.1: the values of the message types are 10 for DHCPLEASEQUERY, 11 for DHCPLEASEUNASSIGNED, 12 for DHCPLEASEUNKNOWN and 13 for DHCPLEASEACTIVE', () => {
  const server = askable();
  const address = lease(server);
  assert.equal(byAddress(address)[242], 10);
  assert.deepEqual([address, '10.0.0.150', '192.0.2.1'].map((asked) => typeOf(server, byAddress(asked))), [13, 11, 12]);
});

test('RFC 4388 §6.4: the server MUST respond with a DHCPLEASEUNASSIGNED message if this server has information about the IP address, but there is no active lease for the IP address', () => {
  const released = askable();
  const address = lease(released);
  assert.equal(typeOf(released, byAddress(address)), LEASEACTIVE);
  released.receive(release({ xid: 9, ciaddr: address, serverIdentifier: ip('10.0.0.2') }), { sourceAddress: address, unicast: true });
  assert.equal(typeOf(released, byAddress(address)), LEASEUNASSIGNED);

  const abandoned = askable();
  lease(abandoned);
  abandoned.receive(decline({ xid: 9, requestedAddress: address, serverIdentifier: ip('10.0.0.2') }));
  assert.equal(typeOf(abandoned, byAddress(address)), LEASEUNASSIGNED);

  const offered = askable();
  offered.receive(discover());
  assert.equal(typeOf(offered, byAddress(address)), LEASEUNASSIGNED, 'what is only offered is leased to nobody');
});

test('RFC 4388 §6.4: the DHCPLEASEACTIVE message indicates that there is an active lease: until the node that it belongs to has ended it, whatever another clock says', () => {
  const server = askable();
  const address = lease(server, { clientId: CLIENT_ID });
  const types = (): (number | undefined)[] => REGIMES(address).map((query) => typeOf(server, query));
  server.advance(3_599_000);
  assert.deepEqual(types(), [LEASEACTIVE, LEASEACTIVE, LEASEACTIVE]);
  server.advance(2000);
  assert.deepEqual(types(), [LEASEACTIVE, LEASEACTIVE, LEASEACTIVE]);
  assert.equal(server.tick().changes.length, 1);
  assert.deepEqual(types(), [LEASEUNASSIGNED, LEASEUNKNOWN, LEASEUNKNOWN]);
});

test('RFC 4388 §6.4: the DHCPLEASEUNASSIGNED message is only returned for a query by IP address: a client without a lease is DHCPLEASEUNKNOWN', () => {
  const server = askable();
  const address = lease(server, { clientId: CLIENT_ID });
  server.receive(release({ xid: 9, ciaddr: address, clientId: CLIENT_ID }), { sourceAddress: address, unicast: true });
  assert.deepEqual(REGIMES(address).map((query) => typeOf(server, query)), [LEASEUNASSIGNED, LEASEUNKNOWN, LEASEUNKNOWN]);
});

test('RFC 4388 §6.4: when responding with a DHCPLEASEUNKNOWN, the DHCP server MUST NOT include other DHCP options in the response', () => {
  const server = askable();
  const parameters = [1, 3, 51, 54, 61, 82, 91, 92, 152, 156];
  for (const query of [byAddress('192.0.2.1', { parameters }), byHardware(chaddrOf(9), { parameters }), byClientId(CLIENT_ID, { parameters })]) {
    const { codes, type } = answer(server, query);
    assert.deepEqual([type, codes], [LEASEUNKNOWN, [53]]);
  }
});

test('RFC 4388 §6.4: the DHCPLEASEUNKNOWN message is about what was asked for: the answer names it as the query did', () => {
  const server = askable();
  assert.equal(answer(server, byAddress('192.0.2.1')).message.ciaddr, ip('192.0.2.1'));
  const { message } = answer(server, byHardware(chaddrOf(9), { htype: 6 }));
  assert.deepEqual([message.htype, message.chaddr(), message.ciaddr], [6, chaddrOf(9), 0]);
});

// ── where it goes ────────────────────────────────────────────────────────────────────────────────

test('RFC 4388 §6.4.3: the server unicasts the DHCPLEASEUNASSIGNED, DHCPLEASEACTIVE, or DHCPLEASEUNKNOWN message to the giaddr', () => {
  const server = askable();
  const address = lease(server);
  for (const asked of [address, '10.0.0.150', '192.0.2.1']) {
    const packet = server.ask(byAddress(asked), { sourceAddress: ip('10.9.0.77'), sourcePort: 50_000 });
    assert.deepEqual([packet!.address, packet!.port, packet!.hardware], [CONCENTRATOR, 67, undefined]);
  }
});

test('RFC 4388 §6.2: the giaddr is used as in RFC 2131: with the relay source port sub-option of RFC 8357 the answer goes to the port that the query came from', () => {
  const server = askable();
  const query = byAddress('10.0.0.150', { relayAgentInformation: relayInformation([19, Buffer.alloc(0)]) });
  const packet = server.ask(query, { sourcePort: 4011 });
  assert.deepEqual([packet!.address, packet!.port], [CONCENTRATOR, 4011]);
});

test('RFC 4388 §6.4.3: if the "giaddr" field is zero, then the DHCP server MUST NOT reply to the DHCPLEASEQUERY message', () => {
  const server = new TestServer({ leaseQuery: { requestors: [{ network: 0, prefixLength: 0 }] } });
  const address = lease(server);
  for (const query of REGIMES(address)) {
    query.writeUInt32BE(0, 24);
    assert.equal(server.ask(query, { sourceAddress: CONCENTRATOR }), undefined);
  }
  assert.deepEqual(server.drops(), { 'query-malformed': 3 });
});

test('RFC 4388 §6.4.3: the message that is sent is a BOOTREPLY with the xid, the flags and the giaddr of the query', () => {
  const server = askable();
  const address = lease(server, { relayAgentInformation: Buffer.of(1, 1, 1), giaddr: ip('10.0.0.1') });
  for (const [asked, broadcast] of [[address, true], [address, false], ['10.0.0.150', true], ['192.0.2.1', true]] as const) {
    const { message } = answer(server, byAddress(asked, { xid: 0xfedc_ba98, broadcast }));
    const { flags, giaddr, hops, op, siaddr, xid, yiaddr } = message;
    assert.deepEqual({ flags, giaddr, hops, op, siaddr, xid, yiaddr }, {
      flags: broadcast ? 0x8000 : 0, giaddr: CONCENTRATOR, hops: 0, op: 2, siaddr: 0, xid: 0xfedc_ba98, yiaddr: 0,
    });
    assert.ok(message.bytes.length >= 300);
  }
});

// ── who may ask, and how often ───────────────────────────────────────────────────────────────────

test('RFC 4388 §7: it may be appropriate to configure a DHCP server with the IP addresses of the relay agents for which it may respond: without that it responds to nobody', () => {
  const server = new TestServer();
  const address = lease(server, { clientId: CLIENT_ID });
  for (const query of REGIMES(address)) assert.equal(server.ask(query), undefined);
  assert.deepEqual(server.drops(), { 'query-refused': 3 });
  server.configure({ leaseQuery: REQUESTORS });
  assert.equal(typeOf(server, byAddress(address)), LEASEACTIVE);
});

test('RFC 4388 §7: it responds only to requests from only a handful of relay agents: both the giaddr and where the packet comes from must be one', () => {
  const server = askable();
  const address = lease(server);
  const stranger = ip('10.9.1.1');
  assert.equal(server.ask(byAddress(address, { giaddr: stranger })), undefined);
  assert.equal(server.ask(byAddress(address, { giaddr: stranger }), { sourceAddress: CONCENTRATOR }), undefined);
  assert.equal(server.ask(byAddress(address), { sourceAddress: stranger }), undefined);
  assert.deepEqual(server.drops(), { 'query-refused': 3 });
  assert.ok(server.ask(byAddress(address), { sourceAddress: ip('10.9.0.255') }));
});

test('RFC 4388 §7: DHCP servers supporting the DHCPLEASEQUERY message SHOULD ensure that they cannot be successfully attacked by being flooded with large quantities of DHCPLEASEQUERY messages in a short time', () => {
  const server = askable({ limits: { queriesPerRequestor: { perSecond: 10, burst: 5 } } });
  const address = lease(server);
  const answered = (giaddr: number, times: number): number =>
    Array.from({ length: times }, () => server.ask(byAddress(address, { giaddr }))).filter((packet) => packet !== undefined).length;
  assert.equal(answered(CONCENTRATOR, 8), 5);
  assert.equal(answered(ip('10.9.0.2'), 3), 3, 'each requestor has a limit of its own');
  assert.deepEqual(server.drops(), { 'query-rate': 3 });
  server.advance(200);
  assert.equal(answered(CONCENTRATOR, 8), 2);
  assert.equal(lease(server), address, 'and clients are served all the same');
});

test('RFC 4388 §5: servers that do not implement the DHCPLEASEQUERY message SHOULD simply not respond: nor does a node that is not in service', () => {
  const view = new FakeView();
  const server = askable({ view });
  const address = lease(server);
  view.isServing = false;
  assert.equal(server.ask(byAddress(address)), undefined);
  assert.deepEqual(server.drops(), { 'not-serving': 1 });
  view.isServing = true;
  assert.equal(typeOf(server, byAddress(address)), LEASEACTIVE);
});

test('an interface that has lost its addresses has none to answer a LEASEQUERY from', () => {
  const server = askable();
  assert.equal(server.ask(byAddress('10.0.0.150'), { iface: { ...IFACE, addresses: [] } }), undefined);
  assert.deepEqual(server.drops(), { 'no-subnet': 1 });
});
