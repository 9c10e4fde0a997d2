/** RFC 2131 §4.3.3 to §4.3.5 and §4.4.6: DHCPDECLINE, DHCPRELEASE, DHCPINFORM. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { BindingState, recordChaddr, recordState, recordStateSince, recordXid } from '../../node/lease/record.ts';
import { wallSeconds } from '../../node/time.ts';
import { chaddrOf, CLIENT_CHADDR, decline, discover, inform, ip, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { optionCodes, packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');

function lease(server: TestServer, fields: ClientFields = {}): number {
  const offered = replyOf(server.receive(discover(fields))).yiaddr;
  server.receive(request({ ...fields, requestedAddress: offered, serverIdentifier: SERVER }));
  server.advance(60_000);
  return offered;
}

const unicast = (address: number): { unicast: true; sourceAddress: number } => ({ unicast: true, sourceAddress: address });
const stateOf = (server: TestServer, address: number): number | undefined => {
  const record = server.table.read(address);
  return record === undefined ? undefined : recordState(record);
};

// ── DHCPDECLINE ──────────────────────────────────────────────────────────────────────────────────

test('RFC 2131 §4.3.3: The server MUST mark the network address as not available and SHOULD notify the local system administrator', () => {
  const server = new TestServer();
  const address = lease(server);
  const decision = server.receive(decline({ requestedAddress: address, serverIdentifier: SERVER, xid: 9 }));
  assert.deepEqual(packetsOf(decision), []);
  assert.equal(stateOf(server, address), BindingState.ABANDONED);
  assert.equal(recordStateSince(server.table.read(address)!), wallSeconds(server.now.wall));
  assert.deepEqual(decision.events.map(({ id }) => id), ['lease.declined']);
  assert.notEqual(replyOf(server.receive(discover({ xid: 10 }))).yiaddr, address);
});

test('RFC 2131 §4.3.3: an address that was only offered may be declined as well', () => {
  const server = new TestServer();
  const address = replyOf(server.receive(discover())).yiaddr;
  server.receive(decline({ requestedAddress: address, serverIdentifier: SERVER }));
  assert.equal(stateOf(server, address), BindingState.ABANDONED);
  assert.deepEqual(recordChaddr(server.table.read(address)!), CLIENT_CHADDR);
  assert.equal(server.table.offers.size, 0);
});

test('a decline of what the client neither has nor was offered changes nothing', () => {
  const server = new TestServer();
  const address = lease(server, { chaddr: chaddrOf(1) });
  for (const requestedAddress of [address, ip('10.0.0.190')]) {
    const decision = server.receive(decline({ requestedAddress, serverIdentifier: SERVER }));
    assert.deepEqual(decision.changes, []);
    assert.deepEqual(decision.events.map(({ id }) => id), ['dhcp.refused']);
  }
  assert.deepEqual(server.receive(decline()).changes, []);
  assert.deepEqual(server.drops(), { 'no-binding': 2, 'no-address': 1 });
});

test('a decline counts once', () => {
  const server = new TestServer();
  const address = lease(server);
  const packet = decline({ requestedAddress: address, serverIdentifier: SERVER });
  assert.equal(server.receive(packet).changes.length, 1);
  assert.equal(server.receive(packet).changes.length, 0);
});

test('a decline or release that names a server outside the cluster is none of ours', () => {
  const server = new TestServer();
  const address = lease(server);
  const serverIdentifier = ip('10.0.0.250');
  server.receive(decline({ requestedAddress: address, serverIdentifier }));
  server.receive(release({ ciaddr: address, serverIdentifier, xid: 9 }), unicast(address));
  assert.equal(stateOf(server, address), BindingState.ACTIVE);
  assert.deepEqual(server.drops(), { 'unknown-server': 2 });
});

// ── DHCPRELEASE ──────────────────────────────────────────────────────────────────────────────────

test('RFC 2131 §4.3.4: Upon receipt of a DHCPRELEASE message, the server marks the network address as not allocated', () => {
  const server = new TestServer();
  const address = lease(server);
  const decision = server.receive(release({ ciaddr: address, serverIdentifier: SERVER, xid: 9 }), unicast(address));
  assert.deepEqual(packetsOf(decision), [], 'there is no answer');
  assert.deepEqual(decision.events.map(({ id }) => id), ['lease.released']);
  const record = server.table.read(address)!;
  assert.deepEqual([recordState(record), recordStateSince(record), recordXid(record)], [BindingState.RELEASED, wallSeconds(server.now.wall), 9]);
});

test("RFC 2131 §4.3.4: The server SHOULD retain a record of the client's initialization parameters for possible reuse", () => {
  const server = new TestServer();
  const address = lease(server);
  server.receive(release({ ciaddr: address, xid: 9 }), unicast(address));
  assert.equal(replyOf(server.receive(discover({ xid: 10 }))).yiaddr, address);
});

test('a released address goes to nobody else for 30 s', () => {
  const server = new TestServer({ subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.100') }] })], maxClockSkewMs: 0 });
  const address = lease(server);
  server.receive(release({ ciaddr: address, xid: 9 }), unicast(address));
  const stranger = discover({ chaddr: chaddrOf(1) });
  server.advance(29_000);
  server.server.tick(server.now);
  assert.deepEqual(packetsOf(server.receive(stranger)), []);
  server.advance(1000);
  server.server.tick(server.now);
  assert.equal(replyOf(server.receive(stranger)).yiaddr, address);
});

test('a release counts only from the address itself or through a relay', () => {
  const server = new TestServer();
  const address = lease(server);
  server.receive(release({ ciaddr: address, xid: 9 }), unicast(ip('10.0.0.66')));
  assert.equal(stateOf(server, address), BindingState.ACTIVE);
  assert.deepEqual(server.drops(), { 'spoofed-release': 1 });
  server.receive(release({ ciaddr: address, xid: 9, giaddr: ip('10.0.0.1') }), unicast(ip('10.0.0.1')));
  assert.equal(stateOf(server, address), BindingState.RELEASED);
});

test("a release counts only from the client that has the lease, and only with an xid that is new to the binding", () => {
  const server = new TestServer();
  const address = lease(server, { xid: 5 });
  server.receive(release({ ciaddr: address, xid: 9, chaddr: chaddrOf(1) }), unicast(address));
  server.receive(release({ ciaddr: address, xid: 5 }), unicast(address));
  assert.equal(stateOf(server, address), BindingState.ACTIVE);
  assert.deepEqual(server.drops(), { 'no-binding': 1, 'replayed-release': 1 });
});

test('a release that comes again frees nothing that was granted since', () => {
  const server = new TestServer();
  const address = lease(server);
  const packet = release({ ciaddr: address, xid: 9 });
  assert.equal(server.receive(packet, unicast(address)).changes.length, 1);
  assert.equal(server.receive(packet, unicast(address)).changes.length, 0);
  assert.deepEqual(server.drops(), { 'replayed-release': 1 });
});

// ── DHCPINFORM ───────────────────────────────────────────────────────────────────────────────────

const authoritative = (): TestServer => new TestServer({ subnets: [subnetConfig({ authoritative: true })] });

test("RFC 2131 §4.3.5: The server responds by sending a DHCPACK message directly to the address given in the 'ciaddr' field", () => {
  const server = authoritative();
  const ciaddr = ip('10.0.0.9');
  const decision = server.receive(inform({ ciaddr }));
  assert.equal(decision.sendNow.length, 1);
  const [packet] = packetsOf(decision);
  assert.deepEqual([packet!.address, packet!.port, replyOf(decision).type, replyOf(decision).ciaddr], [ciaddr, 68, 5, ciaddr]);
  assert.deepEqual(decision.events.map(({ id }) => id), ['dhcp.inform']);
});

test("RFC 2131 §4.3.5: The server MUST NOT send a lease expiration time to the client and SHOULD NOT fill in 'yiaddr'", () => {
  const decision = authoritative().receive(inform({ ciaddr: ip('10.0.0.9'), parameters: [1, 3, 6, 15, 51, 58, 59] }));
  assert.equal(replyOf(decision).yiaddr, 0);
  assert.deepEqual(optionCodes(packetsOf(decision)[0]!.bytes), [53, 54, 1, 3, 6, 15]);
});

test('RFC 2131 §3.4: servers SHOULD NOT allocate a new address, check for an existing binding, fill in yiaddr or include lease time parameters', () => {
  const server = authoritative();
  const decision = server.receive(inform({ ciaddr: ip('10.0.0.150') }));
  assert.deepEqual([decision.changes, server.table.size, server.table.offers.size], [[], 0, 0]);
});

test('an inform gets no answer where the server is not authoritative, and that is logged', () => {
  const server = new TestServer();
  const decision = server.receive(inform({ ciaddr: ip('10.0.0.9') }));
  assert.deepEqual(packetsOf(decision), []);
  assert.deepEqual(decision.events.map(({ id }) => id), ['dhcp.refused']);
  assert.deepEqual(server.drops(), { 'not-authoritative': 1 });
});

test("a unicast inform through a router is about the subnet of 'ciaddr'; one without an address is dropped", () => {
  const remote = subnetConfig({ name: '10.9.0.0/24', network: ip('10.9.0.0'), pools: [], authoritative: true, options: [{ code: 15, value: Buffer.from('remote') }] });
  const server = new TestServer({ subnets: [subnetConfig(), remote] });
  const decision = server.receive(inform({ ciaddr: ip('10.9.0.9') }), unicast(ip('10.9.0.9')));
  assert.equal(replyOf(decision).option(15)?.toString(), 'remote');
  assert.deepEqual(packetsOf(server.receive(inform())), []);
  assert.deepEqual(server.drops(), { 'no-address': 1 });
});

test('RFC 2131 §3.4: the server SHOULD check the network address in a DHCPINFORM message for consistency', () => {
  const remote = subnetConfig({ name: '10.9.0.0/24', network: ip('10.9.0.0'), pools: [], authoritative: true });
  const server = new TestServer({ subnets: [subnetConfig({ authoritative: true }), remote] });
  for (const ciaddr of [ip('10.9.0.9'), ip('192.0.2.1'), 0xffff_ffff]) {
    assert.deepEqual(packetsOf(server.receive(inform({ ciaddr }))), []);
    assert.deepEqual(packetsOf(server.receive(inform({ ciaddr, giaddr: ip('10.0.0.1') }), unicast(ip('10.0.0.1')))), []);
  }
  assert.deepEqual(server.drops(), { 'no-subnet': 6 });
  assert.equal(replyOf(server.receive(inform({ ciaddr: ip('10.9.0.9'), giaddr: ip('10.9.0.1') }), unicast(ip('10.9.0.1')))).type, 5);
});
