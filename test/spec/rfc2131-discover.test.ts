/** RFC 2131 §4.3.1: DHCPDISCOVER, and what a server's messages hold (Table 3). */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { BindingState, withState } from '../../node/lease/record.ts';
import { addressOption, chaddrOf, discover, ip, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { IFACE, optionCodes, packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');

function lease(server: TestServer, fields: ClientFields = {}): number {
  const offered = replyOf(server.receive(discover(fields))).yiaddr;
  assert.equal(replyOf(server.receive(request({ ...fields, requestedAddress: offered, serverIdentifier: SERVER }))).type, 5);
  return offered;
}

test("RFC 2131 §4.3.1: the new address SHOULD be the client's current address as recorded in the client's current binding", () => {
  const server = new TestServer();
  lease(server, { chaddr: chaddrOf(1) });
  const address = lease(server);
  assert.equal(replyOf(server.receive(discover({ xid: 2, requestedAddress: ip('10.0.0.180') }))).yiaddr, address);
});

test("RFC 2131 §4.3.1: ELSE the client's previous address as recorded in the client's (now expired or released) binding", () => {
  const server = new TestServer();
  lease(server, { chaddr: chaddrOf(1) });
  const address = lease(server);
  server.receive(release({ ciaddr: address, xid: 77 }), { unicast: true, sourceAddress: address });
  assert.equal(replyOf(server.receive(discover({ xid: 2, requestedAddress: ip('10.0.0.180') }))).yiaddr, address);
  server.store(address, withState(server.table.read(address)!, BindingState.EXPIRED, 1));
  assert.equal(replyOf(server.receive(discover({ xid: 3 }))).yiaddr, address);
});

test("RFC 2131 §4.3.1: ... if that address is in the server's pool of available addresses and not already allocated", () => {
  const server = new TestServer({ subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.101') }] })] });
  const address = lease(server);
  server.advance(60_000);
  server.receive(release({ ciaddr: address, xid: 77 }), { unicast: true, sourceAddress: address });
  server.advance(3_600_000);
  server.server.tick(server.now);
  lease(server, { chaddr: chaddrOf(1) });
  assert.equal(lease(server, { chaddr: chaddrOf(2) }), address, 'the last one left');
  assert.deepEqual(packetsOf(server.receive(discover({ xid: 2 }))), []);
});

test("RFC 2131 §4.3.1: ELSE the address requested in the 'Requested IP Address' option, if that address is valid and not already allocated", () => {
  const server = new TestServer();
  assert.equal(replyOf(server.receive(discover({ requestedAddress: ip('10.0.0.180') }))).yiaddr, ip('10.0.0.180'));
  const other = chaddrOf(1);
  assert.notEqual(replyOf(server.receive(discover({ chaddr: other, requestedAddress: ip('10.0.0.180') }))).yiaddr, ip('10.0.0.180'), 'offered to another');
  const outside = replyOf(server.receive(discover({ chaddr: chaddrOf(2), requestedAddress: ip('10.0.0.20') }))).yiaddr;
  assert.ok(outside >= ip('10.0.0.100') && outside <= ip('10.0.0.199'));
});

test("RFC 2131 §4.3.1: the address is selected based on the subnet from which the message was received, or on 'giaddr' when not 0", () => {
  const second = subnetConfig({ name: '10.9.0.0/16', network: ip('10.9.0.0'), prefixLength: 16, pools: [{ first: ip('10.9.1.0'), last: ip('10.9.1.9') }] });
  const server = new TestServer({ subnets: [subnetConfig(), second] });
  assert.equal(replyOf(server.receive(discover())).yiaddr >>> 8, ip('10.0.0.0') >>> 8);
  assert.equal(replyOf(server.receive(discover({ giaddr: ip('10.9.0.1'), xid: 2 }))).yiaddr >>> 8, ip('10.9.1.0') >>> 8);
  const iface = { ...IFACE, addresses: [{ address: ip('10.9.0.2'), prefixLength: 16 }] };
  assert.equal(replyOf(server.receive(discover({ xid: 3 }), { iface })).yiaddr >>> 8, ip('10.9.1.0') >>> 8);
  assert.deepEqual(packetsOf(server.receive(discover({ giaddr: ip('192.0.2.1') }))), []);
  assert.deepEqual(server.drops(), { 'unknown-relay': 1 });
});

test('RFC 2131 §4.3.1: If no address is available, the server may choose to report the problem to the system administrator', () => {
  const server = new TestServer({ subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.100') }] })] });
  lease(server, { chaddr: chaddrOf(1) });
  const first = server.receive(discover());
  assert.deepEqual(first.events.map(({ id }) => id), ['pool.exhausted']);
  assert.deepEqual(server.receive(discover({ xid: 2 })).events, [], 'not for every client');
  server.advance(60_000);
  assert.equal(server.receive(discover({ xid: 3 })).events.length, 1);
  assert.deepEqual(server.drops(), { 'pool-exhausted': 3 });
});

test("RFC 2131 §4.3.1: the server SHOULD NOT reuse the selected network address before the client responds to the server's DHCPOFFER message", () => {
  const server = new TestServer();
  const offers = new Set<number>();
  for (let n = 0; n < 100; n++) offers.add(replyOf(server.receive(discover({ chaddr: chaddrOf(n) }))).yiaddr);
  assert.equal(offers.size, 100);
  assert.deepEqual(packetsOf(server.receive(discover({ chaddr: chaddrOf(100) }))), []);
  server.advance(30_000);
  server.server.tick(server.now);
  assert.equal(packetsOf(server.receive(discover({ chaddr: chaddrOf(100) }))).length, 1, 'held for 30 s');
});

test('RFC 2131 §4.3.1: a client that asks again is offered the same address, and a DHCPOFFER changes no binding', () => {
  const server = new TestServer();
  const first = server.receive(discover());
  const second = server.receive(discover({ xid: 2 }));
  assert.equal(replyOf(first).yiaddr, replyOf(second).yiaddr);
  assert.deepEqual([first.changes, first.forwarded, server.table.size], [[], [], 0]);
});

test("RFC 2131 §4.3.1, Table 3: DHCPOFFER has 'ciaddr' 0, 'yiaddr' the address offered, and the options that it MUST have", () => {
  const server = new TestServer();
  const decision = server.receive(discover({ requestedAddress: ip('10.0.0.180') }));
  const reply = replyOf(decision);
  assert.deepEqual([reply.type, reply.ciaddr, reply.yiaddr, reply.siaddr], [2, 0, ip('10.0.0.180'), 0]);
  assert.deepEqual([reply.optionU32(51), reply.optionU32(54)], [3600, SERVER]);
});

test('RFC 2131 §4.3.1, Table 3: DHCPOFFER and DHCPACK MUST NOT have the requested address, parameter request list or maximum message size', () => {
  const configured = [50, 55, 57, 53, 54, 51, 82, 61].map((code) => ({ code, value: Buffer.of(9, 9, 9, 9) }));
  const server = new TestServer({ subnets: [subnetConfig({ options: configured })] });
  const fields: ClientFields = { requestedAddress: ip('10.0.0.180'), parameters: [50, 55, 57, 53, 54, 51, 82, 61], options: { 57: Buffer.of(5, 0) } };
  const offer = packetsOf(server.receive(discover(fields)))[0]!.bytes;
  const ack = packetsOf(server.receive(request({ ...fields, serverIdentifier: SERVER })))[0]!.bytes;
  for (const bytes of [offer, ack]) assert.deepEqual(optionCodes(bytes), [53, 54, 51, 58, 59, 1]);
});

test("RFC 2131 §4.3.1, Table 3: DHCPACK has 'ciaddr' from the DHCPREQUEST or 0, and the lease time", () => {
  const server = new TestServer();
  const address = lease(server);
  server.advance(60_000);
  const renewed = replyOf(server.receive(request({ ciaddr: address, xid: 2 }), { unicast: true, sourceAddress: address }));
  assert.deepEqual([renewed.ciaddr, renewed.yiaddr, renewed.optionU32(51)], [address, address, 3600]);
});

test('RFC 2131 §4.3.1, Table 3: DHCPNAK has addresses 0, a server identifier, a message, and MUST NOT have other options', () => {
  const server = new TestServer({ subnets: [subnetConfig({ authoritative: true })] });
  const decision = server.receive(request({ requestedAddress: ip('192.0.2.1'), parameters: [1, 3, 6] }));
  const reply = replyOf(decision);
  assert.deepEqual([reply.ciaddr, reply.yiaddr, reply.siaddr], [0, 0, 0]);
  assert.deepEqual(optionCodes(packetsOf(decision)[0]!.bytes), [53, 54, 56]);
});

test('RFC 2131 §4.3.1: The server MUST supply as many of the requested parameters as possible and MUST omit any it cannot provide, each only once', () => {
  const server = new TestServer();
  const bytes = packetsOf(server.receive(discover({ parameters: [15, 6, 15, 6, 28, 3, 200] })))[0]!.bytes;
  assert.deepEqual(optionCodes(bytes), [53, 54, 51, 58, 59, 1, 3, 15, 6], "the client's order, the mask and the routers before");
});

test('RFC 2131 §4.3.1: Options not requested are not sent; a client without a list gets all that is configured', () => {
  const server = new TestServer();
  const few = packetsOf(server.receive(discover({ parameters: [6] })))[0]!.bytes;
  assert.deepEqual(optionCodes(few), [53, 54, 51, 58, 59, 1, 6]);
  const all = packetsOf(server.receive(discover()))[0]!.bytes;
  assert.deepEqual(optionCodes(all), [53, 54, 51, 58, 59, 1, 3, 6, 15, 42]);
});

test('RFC 2131 §4.3.1: Any parameters specific to this client (a reservation: its address and its host name)', () => {
  const reservations = [
    { hardware: { htype: 1, chaddr: chaddrOf(1) }, address: ip('10.0.0.150'), hostname: 'printer' },
    { clientId: Buffer.from('00aa', 'hex'), address: ip('10.0.0.20') },
  ];
  const server = new TestServer({ subnets: [subnetConfig({ reservations })] });
  const printer = replyOf(server.receive(discover({ chaddr: chaddrOf(1), parameters: [12] })));
  assert.equal(printer.yiaddr, ip('10.0.0.150'));
  assert.equal(printer.option(12)?.toString(), 'printer');
  assert.equal(printer.optionU32(51), 3600);
  assert.equal(replyOf(server.receive(discover({ clientId: Buffer.from('00aa', 'hex') }))).yiaddr, ip('10.0.0.20'), 'outside the pool');
  const stranger = replyOf(server.receive(discover({ chaddr: chaddrOf(2), requestedAddress: ip('10.0.0.150'), parameters: [12] })));
  assert.notEqual(stranger.yiaddr, ip('10.0.0.150'));
  assert.equal(stranger.has(12), false);
});

test('RFC 2131 §4.3.3: abandoned addresses are used again only when nothing else is free, the oldest first', () => {
  const server = new TestServer({ subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.102') }] })] });
  for (const n of [1, 2]) {
    const address = lease(server, { chaddr: chaddrOf(n) });
    server.advance(40_000);
    server.store(address, withState(server.table.read(address)!, BindingState.ABANDONED, Math.floor(server.now.wall / 1000)));
  }
  // What the clocks may be wrong by.
  server.advance(20_000);
  server.server.tick(server.now);
  assert.equal(lease(server, { chaddr: chaddrOf(3) }), ip('10.0.0.102'));
  assert.equal(lease(server, { chaddr: chaddrOf(4) }), ip('10.0.0.100'));
  const offers = [5, 6].map((n) => packetsOf(server.receive(discover({ chaddr: chaddrOf(n) }))).length);
  assert.deepEqual(offers, [1, 0], 'an abandoned address is offered to one client only');
});

test("RFC 2131 §4.4.5: T1 defaults to (0.5 * duration_of_lease), T2 to (0.875 * duration_of_lease)", () => {
  const server = new TestServer();
  const reply = replyOf(server.receive(discover()));
  assert.deepEqual([reply.optionU32(58), reply.optionU32(59)], [1800, 3150]);
});

test('RFC 2131 §3.3: 0xffffffff is reserved to represent "infinity"', () => {
  const server = new TestServer({ subnets: [subnetConfig({ leaseSeconds: 0xffff_ffff })] });
  const address = lease(server);
  const reply = replyOf(server.receive(discover({ xid: 2, options: { 51: addressOption(60) } })));
  assert.deepEqual([reply.optionU32(51), reply.optionU32(58), reply.optionU32(59)], [0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);
  assert.equal(server.table.read(address)!.readUInt32BE(32), 0xffff_ffff);
});
