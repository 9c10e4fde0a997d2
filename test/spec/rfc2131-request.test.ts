/** RFC 2131 §4.3.2 and §4.3.6: DHCPREQUEST in its four states; §4.4.2 and §4.4.5 where servers are concerned. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import {
  BindingState, recordExpires, recordLastTransaction, recordSection, recordState, recordStateSince, recordXid, SectionKind, withState,
} from '../../node/lease/record.ts';
import type { Decision } from '../../node/server/ports.ts';
import { wallSeconds } from '../../node/time.ts';
import { chaddrOf, discover, ip, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { IFACE, packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const AUTHORITATIVE = { subnets: [subnetConfig({ authoritative: true })] };
/** Of no subnet that is configured. */
const UNKNOWN_NET = ip('192.0.2.1');
const OFFICE = subnetConfig({ name: '10.9.0.0/24', network: ip('10.9.0.0'), pools: [{ first: ip('10.9.0.100'), last: ip('10.9.0.199') }] });

function lease(server: TestServer, fields: ClientFields = {}): number {
  const offered = replyOf(server.receive(discover(fields))).yiaddr;
  server.receive(request({ ...fields, requestedAddress: offered, serverIdentifier: SERVER }));
  server.advance(60_000);
  return offered;
}

function assertAck(decision: Decision, address: number): void {
  assert.equal(decision.sendOnCommit.length, 1);
  assert.deepEqual([decision.sendNow, decision.sendOnConfirm], [[], []]);
  const reply = replyOf(decision);
  assert.deepEqual([reply.type, reply.yiaddr, decision.sendOnCommit[0]!.address], [5, address, address]);
}

function assertNak(decision: Decision): void {
  assert.equal(decision.sendOnConfirm.length, 1);
  assert.deepEqual([decision.sendNow, decision.sendOnCommit, decision.changes, decision.forwarded], [[], [], [], []]);
  assert.equal(replyOf(decision).type, 6);
  assert.deepEqual(decision.events.map(({ id }) => id), ['dhcp.nak']);
}

function assertSilent(decision: Decision): void {
  assert.deepEqual([packetsOf(decision), decision.changes, decision.forwarded], [[], [], []]);
}

const unicast = (address: number): { unicast: true; sourceAddress: number } => ({ unicast: true, sourceAddress: address });

// ── SELECTING ────────────────────────────────────────────────────────────────────────────────────

test('RFC 2131 §4.3.2, SELECTING: the binding is committed before the DHCPACK, which goes nowhere without it', () => {
  const server = new TestServer();
  const address = replyOf(server.receive(discover())).yiaddr;
  const decision = server.receive(request({ requestedAddress: address, serverIdentifier: SERVER, xid: 7, options: { 12: Buffer.from('host') } }));
  assertAck(decision, address);
  assert.equal(decision.sendOnCommit[0]!.confirm, false);
  assert.equal(decision.changes.length, 1);
  const { record } = decision.changes[0]!;
  const second = wallSeconds(server.now.wall);
  assert.deepEqual(
    [recordState(record), recordXid(record), recordStateSince(record), recordLastTransaction(record), recordExpires(record)],
    [BindingState.ACTIVE, 7, second, second, second + 3600],
  );
  assert.equal(recordSection(record, SectionKind.hostname).toString(), 'host');
});

test('RFC 2131 §3.1: If the selected server is unable to satisfy the DHCPREQUEST (the address has been allocated), it SHOULD respond with a DHCPNAK', () => {
  const server = new TestServer();
  const address = lease(server, { chaddr: chaddrOf(1) });
  assertNak(server.receive(request({ requestedAddress: address, serverIdentifier: SERVER })));
  const offered = replyOf(server.receive(discover({ chaddr: chaddrOf(2) }))).yiaddr;
  assertNak(server.receive(request({ requestedAddress: offered, serverIdentifier: SERVER })));
  assertNak(server.receive(request({ requestedAddress: UNKNOWN_NET, serverIdentifier: SERVER })));
});

test('RFC 2131 §4.3.2, SELECTING: an offer that was forgotten at a restart is kept if the address is free', () => {
  const address = replyOf(new TestServer().receive(discover())).yiaddr;
  assertAck(new TestServer().receive(request({ requestedAddress: address, serverIdentifier: SERVER })), address);
});

test('RFC 2131 §3.1: Those servers not selected by the DHCPREQUEST message use the message as notification that the client has declined that server\'s offer', () => {
  const server = new TestServer();
  const address = replyOf(server.receive(discover())).yiaddr;
  assert.equal(server.table.offers.size, 1);
  assertSilent(server.receive(request({ requestedAddress: address, serverIdentifier: ip('10.0.0.250') })));
  assert.equal(server.table.offers.size, 0);
  assert.deepEqual(server.drops(), { 'other-server': 1 });
});

// ── INIT-REBOOT ──────────────────────────────────────────────────────────────────────────────────

test('RFC 2131 §4.3.2, INIT-REBOOT: the client verifies a previously allocated, cached configuration', () => {
  const server = new TestServer();
  const address = lease(server);
  assertAck(server.receive(request({ requestedAddress: address, xid: 2 })), address);
});

test("RFC 2131 §4.3.2, INIT-REBOOT: Server SHOULD send a DHCPNAK message to the client if the 'requested IP address' is incorrect", () => {
  const server = new TestServer();
  const address = lease(server);
  assertNak(server.receive(request({ requestedAddress: address + 1, xid: 2 })));
});

test('RFC 2131 §4.3.2, INIT-REBOOT: If the client is on the wrong net, then the server SHOULD send a DHCPNAK message', () => {
  const server = new TestServer({ subnets: [subnetConfig(), OFFICE] });
  assertNak(server.receive(request({ requestedAddress: ip('10.9.0.100') })));
  assertNak(server.receive(request({ requestedAddress: ip('10.0.0.150'), giaddr: ip('10.9.0.1') })));
  assertNak(new TestServer(AUTHORITATIVE).receive(request({ requestedAddress: UNKNOWN_NET })));
});

test('RFC 2131 §4.3.2, INIT-REBOOT: peaceful coexistence of non-communicating DHCP servers on the same wire: of an address that another one may have given the server is not sure', () => {
  const server = new TestServer();
  assertSilent(server.receive(request({ requestedAddress: UNKNOWN_NET })));
  assertSilent(server.receive(request({ requestedAddress: UNKNOWN_NET, giaddr: ip('10.0.0.1') })));
  assert.deepEqual(server.drops(), { 'unknown-client': 2 });
  // With a record of the client it is not the other server's client, or no longer.
  lease(server);
  assertNak(server.receive(request({ requestedAddress: UNKNOWN_NET, xid: 2 })));
});

test('RFC 2131 §4.3.2, INIT-REBOOT: a client that comes home to a network where its lease runs on gets it back after a DHCPNAK for the address it brings', () => {
  const server = new TestServer({ subnets: [subnetConfig(), OFFICE] });
  const home = lease(server);
  const away = lease(server, { giaddr: ip('10.9.0.1'), xid: 2 });
  assertNak(server.receive(request({ requestedAddress: away, xid: 3 })));
  assert.equal(replyOf(server.receive(discover({ xid: 4 }))).yiaddr, home);
  assertAck(server.receive(request({ requestedAddress: away, giaddr: ip('10.9.0.1'), xid: 5 })), away);
});

test('RFC 2131 §4.3.2, INIT-REBOOT: If the DHCP server has no record of this client, then it MUST remain silent', () => {
  const server = new TestServer();
  assertSilent(server.receive(request({ requestedAddress: ip('10.0.0.150') })));
  assert.deepEqual(server.drops(), { 'unknown-client': 1 });
});

test('RFC 2131 §4.3.2, INIT-REBOOT: the only server of a network (authoritative) says no to a client without a record', () => {
  assertNak(new TestServer(AUTHORITATIVE).receive(request({ requestedAddress: ip('10.0.0.150') })));
});

test('RFC 2131 §4.3.2: The server MUST broadcast the DHCPNAK message to 0xffffffff; through a relay it MUST set the broadcast bit', () => {
  const server = new TestServer(AUTHORITATIVE);
  const [direct] = packetsOf(server.receive(request({ requestedAddress: UNKNOWN_NET })));
  assert.equal(direct!.address, 0xffff_ffff);
  const relayed = server.receive(request({ requestedAddress: UNKNOWN_NET, giaddr: ip('10.0.0.1') }));
  assert.deepEqual([packetsOf(relayed)[0]!.address, replyOf(relayed).broadcast], [ip('10.0.0.1'), true]);
});

test('RFC 2131 §4.3.2, INIT-REBOOT: a client whose lease ended gets its address again while nobody else has it', () => {
  const server = new TestServer();
  const address = lease(server);
  server.store(address, withState(server.table.read(address)!, BindingState.EXPIRED, 1));
  assertAck(server.receive(request({ requestedAddress: address, xid: 2 })), address);
});

test('a client that was given a reservation since is told so when it starts anew, not while it renews', () => {
  const reservations = [{ hardware: { htype: 1, chaddr: chaddrOf(1) }, address: ip('10.0.0.20') }];
  const before = new TestServer();
  const address = lease(before, { chaddr: chaddrOf(1) });
  const server = new TestServer({ subnets: [subnetConfig({ reservations })] });
  server.store(address, before.table.read(address)!);
  server.advance(120_000);
  assertAck(server.receive(request({ chaddr: chaddrOf(1), ciaddr: address, xid: 2 }), unicast(address)), address);
  assertNak(server.receive(request({ chaddr: chaddrOf(1), requestedAddress: address, xid: 3 })));
  assertAck(server.receive(request({ chaddr: chaddrOf(1), requestedAddress: ip('10.0.0.20'), xid: 4 })), ip('10.0.0.20'));
});

// ── RENEWING ─────────────────────────────────────────────────────────────────────────────────────

test("RFC 2131 §4.3.2, RENEWING: the DHCP server will trust the value in 'ciaddr', and use it when replying to the client", () => {
  const server = new TestServer();
  const address = lease(server);
  const decision = server.receive(request({ ciaddr: address, xid: 2 }), unicast(address));
  assertAck(decision, address);
  assert.equal(packetsOf(decision)[0]!.address, address);
});

test("RFC 2131 §4.3.2, RENEWING: a client behind a router sends without 'giaddr': its subnet is that of 'ciaddr'", () => {
  const server = new TestServer({ subnets: [subnetConfig(), { ...OFFICE, leaseSeconds: 600 }] });
  const address = lease(server, { giaddr: ip('10.9.0.1') });
  const decision = server.receive(request({ ciaddr: address, xid: 2 }), unicast(address));
  assertAck(decision, address);
  assert.equal(replyOf(decision).optionU32(51), 600);
});

test('RFC 2131 §4.4.5: a renewal extends the lease; the state keeps its beginning', () => {
  const server = new TestServer();
  const address = lease(server);
  const since = recordStateSince(server.table.read(address)!);
  const { changes } = server.receive(request({ ciaddr: address, xid: 2 }), unicast(address));
  const second = wallSeconds(server.now.wall);
  const { record } = changes[0]!;
  assert.deepEqual(
    [recordState(record), recordStateSince(record), recordLastTransaction(record), recordExpires(record), recordXid(record)],
    [BindingState.ACTIVE, since, second, second + 3600, 2],
  );
});

test('RFC 2131 §4.3.2, RENEWING: no record of the client: silence, or a DHCPNAK from the only server', () => {
  const packet = request({ ciaddr: ip('10.0.0.150') });
  assertSilent(new TestServer().receive(packet, unicast(ip('10.0.0.150'))));
  assertNak(new TestServer(AUTHORITATIVE).receive(packet, unicast(ip('10.0.0.150'))));
});

test("RFC 2131 §4.3.2, RENEWING: another client's address is never renewed", () => {
  const server = new TestServer();
  const address = lease(server, { chaddr: chaddrOf(1) });
  assertSilent(server.receive(request({ ciaddr: address, xid: 2 }), unicast(address)));
  lease(server);
  assertNak(server.receive(request({ ciaddr: address, xid: 3 }), unicast(address)));
});

test('the lease is counted from before its request was processed, so that the client\'s clock ends first', () => {
  const server = new TestServer();
  server.advance(1);
  const address = replyOf(server.receive(discover())).yiaddr;
  const { changes } = server.receive(request({ requestedAddress: address, serverIdentifier: SERVER }));
  assert.ok(recordExpires(changes[0]!.record) * 1000 >= server.now.wall + 3_600_000);
});

// ── REBINDING ────────────────────────────────────────────────────────────────────────────────────

test('RFC 2131 §4.3.2, REBINDING: a broadcast request extends the lease', () => {
  const server = new TestServer();
  const address = lease(server);
  assertAck(server.receive(request({ ciaddr: address, xid: 2 }), { sourceAddress: address }), address);
});

test("RFC 2131 §4.3.2, REBINDING: The DHCP server SHOULD check 'ciaddr' for correctness before replying", () => {
  const server = new TestServer();
  const address = lease(server);
  assertNak(server.receive(request({ ciaddr: address + 1, xid: 2 })));
});

test('RFC 2131 §4.3.2, REBINDING: on the wrong net: a DHCPNAK from the only server, else silence', () => {
  const packet = request({ ciaddr: UNKNOWN_NET });
  assertSilent(new TestServer().receive(packet));
  assertNak(new TestServer(AUTHORITATIVE).receive(packet));
});

test('RFC 2131 §4.3.2: where an interface has several subnets, the address asked for says which is meant', () => {
  const server = new TestServer({ subnets: [subnetConfig(), OFFICE] });
  const iface = { ...IFACE, addresses: [...IFACE.addresses, { address: ip('10.9.0.2'), prefixLength: 24 }] };
  const address = lease(server, { giaddr: ip('10.9.0.1') });
  assertAck(server.receive(request({ requestedAddress: address, xid: 2 }), { iface }), address);
  server.advance(60_000);
  assertAck(server.receive(request({ ciaddr: address, xid: 3 }), { iface }), address);
});

// ── what is none of them ─────────────────────────────────────────────────────────────────────────

test('RFC 2131 §4.3.6, Table 4: a DHCPREQUEST that names no address is none of the four', () => {
  const server = new TestServer();
  assertSilent(server.receive(request()));
  assertSilent(server.receive(request({ serverIdentifier: SERVER })));
  assert.deepEqual(server.drops(), { 'no-address': 2 });
});

// ── copies of a request ──────────────────────────────────────────────────────────────────────────

test('the same request through two relays is one transaction: one change, and each copy is answered through its own relay', () => {
  const server = new TestServer();
  const address = replyOf(server.receive(discover())).yiaddr;
  const fields = { requestedAddress: address, serverIdentifier: SERVER, xid: 3 };
  const first = server.receive(request({ ...fields, giaddr: ip('10.0.0.1'), relayAgentInformation: Buffer.from('0101aa', 'hex') }));
  server.advance(20);
  const second = server.receive(request({ ...fields, giaddr: ip('10.0.0.4'), relayAgentInformation: Buffer.from('0101bb', 'hex') }));
  assertAck(first, address);
  assertAck(second, address);
  assert.deepEqual([first.changes.length, second.changes.length], [1, 0]);
  assert.equal(second.sendOnCommit[0]!.confirm, true);
  assert.equal(packetsOf(second)[0]!.address, ip('10.0.0.4'));
  assert.equal(replyOf(second).option(82)?.toString('hex'), '0101bb');
});

test('a copy that comes later is promised only what is left of the lease', () => {
  const server = new TestServer();
  const address = replyOf(server.receive(discover())).yiaddr;
  const packet = request({ requestedAddress: address, serverIdentifier: SERVER });
  server.receive(packet);
  server.advance(3000);
  const copy = server.receive(packet);
  assert.deepEqual([replyOf(copy).optionU32(51), replyOf(copy).optionU32(58)], [3597, 1798]);
  server.advance(2000);
  assert.equal(server.receive(packet).changes.length, 1, 'after 5 s it is a request of its own');
});
