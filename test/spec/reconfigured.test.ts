/** What becomes of leases and clients when the configuration changes under them. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { Decision } from '../../node/server/ports.ts';
import { BindingState, recordExpires, recordLeaseSeconds, recordReserved, recordState } from '../../node/lease/record.ts';
import { wallSeconds } from '../../node/time.ts';
import { addressOption, CLIENT_CHADDR, chaddrOf, decline, discover, ip, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { leaseTimes } from '../support/configs.ts';
import type { SubnetSpec } from '../support/configs.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const RESERVED = ip('10.0.0.7');
const HARDWARE = { htype: 1, chaddr: CLIENT_CHADDR };
const withSubnet = (fields: Partial<SubnetSpec>): { subnets: SubnetSpec[] } => ({ subnets: [subnetConfig(fields)] });

function lease(server: TestServer, fields: ClientFields = {}): number {
  const offered = replyOf(server.receive(discover(fields))).yiaddr;
  assert.equal(replyOf(server.receive(request({ ...fields, requestedAddress: offered, serverIdentifier: SERVER }))).type, 5);
  server.advance(60_000);
  return offered;
}

let lastXid = 1000;
function renew(server: TestServer, address: number, fields: ClientFields = {}): Decision {
  return server.receive(request({ xid: ++lastXid, ...fields, ciaddr: address }), { unicast: true, sourceAddress: address });
}

// ── lease times ──────────────────────────────────────────────────────────────────────────────────

test('RFC 2131 §4.4.5: a renewal takes the lease time that is configured by then, longer or shorter, with T1 and T2 of it', () => {
  for (const seconds of [7200, 600, 0xffff_ffff]) {
    const server = new TestServer();
    const address = lease(server);
    server.configure(withSubnet({ leaseSeconds: seconds }));
    assert.equal(recordLeaseSeconds(server.table.read(address)!), 3600, 'until then it runs on as it was given');
    const toldBefore = recordExpires(server.table.read(address)!);
    const ack = replyOf(renew(server, address));
    const [t1, t2] = seconds === 0xffff_ffff ? [seconds, seconds] : [seconds / 2, seconds * 7 / 8];
    assert.deepEqual([ack.type, ack.yiaddr, ack.optionU32(51), ack.optionU32(58), ack.optionU32(59)], [5, address, seconds, t1, t2]);
    const expires = recordExpires(server.table.read(address)!);
    // The client may never hear of a shorter lease: its address is its own until the longer one has ended.
    if (seconds < 3600) assert.ok(expires >= toldBefore && expires <= toldBefore + 1, `${expires}`);
    else assert.equal(expires, seconds === 0xffff_ffff ? seconds : wallSeconds(server.now.wall) + seconds);
  }
});

test('a lease for ever that is renewed under a configuration with an end gets one, once its client has shown that it knows', () => {
  const server = new TestServer(withSubnet({ leaseSeconds: 0xffff_ffff }));
  const address = lease(server);
  server.configure(withSubnet({}));
  assert.equal(replyOf(renew(server, address)).optionU32(51), 3600);
  assert.equal(recordExpires(server.table.read(address)!), 0xffff_ffff);
  server.advance(1_800_000);
  assert.equal(replyOf(renew(server, address)).optionU32(51), 3600);
  server.advance(3_600_000);
  server.tick();
  assert.equal(recordState(server.table.read(address)!), BindingState.EXPIRED);
});

test('a renewal that would come too early to be written is written where the lease time has changed', () => {
  const cached = { leaseCache: 0.25 };
  const server = new TestServer(withSubnet({ scope: cached }));
  const address = lease(server);
  assert.deepEqual(renew(server, address).changes, []);
  server.configure(withSubnet({ leaseSeconds: 7200, scope: { ...cached, lease: leaseTimes(7200) } }));
  const renewal = renew(server, address);
  assert.deepEqual([renewal.changes.length, replyOf(renewal).optionU32(51)], [1, 7200]);
});

test('new bounds hold for what a client asks for at its next renewal', () => {
  const bounds = (minSeconds: number, maxSeconds: number): { subnets: SubnetSpec[] } => withSubnet({ scope: { lease: leaseTimes(3600, { minSeconds, maxSeconds }) } });
  const asks = { options: { 51: addressOption(20_000) } };
  const server = new TestServer(bounds(600, 86_400));
  const address = lease(server, asks);
  assert.equal(recordLeaseSeconds(server.table.read(address)!), 20_000);
  server.configure(bounds(600, 7200));
  assert.equal(replyOf(renew(server, address, asks)).optionU32(51), 7200);
  server.advance(60_000);
  assert.equal(replyOf(renew(server, address)).optionU32(51), 3600, 'and the default for one that asks for nothing');
});

// ── addresses ────────────────────────────────────────────────────────────────────────────────────

test('RFC 2131 §4.3.2: a lease whose address is in no pool any more runs on until its client asks to extend it', () => {
  const server = new TestServer();
  const address = lease(server);
  server.configure(withSubnet({ pools: [{ first: ip('10.0.0.50'), last: ip('10.0.0.50') }] }));
  assert.equal(recordState(server.table.read(address)!), BindingState.ACTIVE);
  assert.equal(replyOf(renew(server, address)).type, 6);
  assert.equal(lease(server, { xid: 2 }), ip('10.0.0.50'));
});

test('a client of a subnet that is gone hears nothing of it where it still is, and a DHCPNAK where the server knows all addresses', () => {
  const server = new TestServer();
  const address = lease(server);
  const moved = { name: '10.9.0.0/24', network: ip('10.9.0.0'), pools: [{ first: ip('10.9.0.100'), last: ip('10.9.0.199') }] };
  server.configure(withSubnet(moved));
  assert.deepEqual([packetsOf(renew(server, address)), server.drops()], [[], { 'no-subnet': 1 }]);
  server.configure(withSubnet({ ...moved, authoritative: true }));
  const iface = { name: 'eth0', index: 2, mtu: 1500, addresses: [{ address: ip('10.9.0.2'), prefixLength: 24 }] };
  assert.equal(replyOf(server.receive(request({ ciaddr: address, xid: 2 }), { iface, sourceAddress: address })).type, 6);
});

// ── reservations ─────────────────────────────────────────────────────────────────────────────────

test('a client that is given a reservation keeps its lease until it starts anew', () => {
  const server = new TestServer();
  const address = lease(server);
  server.configure(withSubnet({ reservations: [{ hardware: HARDWARE, address: RESERVED, hostname: 'printer' }] }));
  const renewal = replyOf(renew(server, address, { parameters: [12] }));
  assert.deepEqual([renewal.type, renewal.yiaddr, renewal.option(12)?.toString()], [5, address, 'printer'], 'with what is reserved beside the address');
  server.advance(60_000);
  assert.equal(replyOf(server.receive(request({ requestedAddress: address, xid: 2 }))).type, 6);
  assert.equal(lease(server, { xid: 3 }), RESERVED);
});

test('the address that a client has may be reserved for it, and it renews as before', () => {
  const server = new TestServer();
  for (const clientId of [undefined, Buffer.from('ff000000010003000102', 'hex')]) {
    const fields: ClientFields = clientId === undefined ? {} : { clientId, chaddr: chaddrOf(1) };
    const address = lease(server, fields);
    server.configure(withSubnet({ reservations: [{ hardware: { htype: 1, chaddr: fields.chaddr ?? CLIENT_CHADDR }, address }] }));
    assert.equal(replyOf(renew(server, address, fields)).type, 5);
    assert.equal(recordReserved(server.table.read(address)!), true);
    server.configure({});
  }
});

test('an address that somebody has is reserved for another client: the holder hears so at its next renewal, and the other one gets it when that lease has ended', () => {
  const server = new TestServer();
  const holder = { chaddr: chaddrOf(9) };
  const address = lease(server, holder);
  server.configure(withSubnet({ reservations: [{ hardware: HARDWARE, address }] }));
  const meanwhile = lease(server, { xid: 2 });
  assert.notEqual(meanwhile, address, 'one address is never two clients\'');
  assert.equal(replyOf(renew(server, address, holder)).type, 6);
  assert.notEqual(lease(server, { ...holder, xid: 3 }), address);
  assert.equal(replyOf(server.receive(request({ requestedAddress: meanwhile, xid: 4 }))).type, 5, 'still in use, for all that is known');
  server.advance(3_700_000);
  server.tick();
  assert.equal(replyOf(server.receive(request({ requestedAddress: meanwhile, xid: 5 }))).type, 6);
  assert.equal(lease(server, { xid: 6 }), address);
});

test('an address that its holder declines and that is reserved for another client goes to that one when the lease would have ended', () => {
  const server = new TestServer();
  const holder = { chaddr: chaddrOf(9) };
  const address = lease(server, holder);
  assert.equal(replyOf(renew(server, address, holder)).type, 5);
  server.configure(withSubnet({ reservations: [{ hardware: HARDWARE, address }] }));
  server.receive(decline({ ...holder, requestedAddress: address, serverIdentifier: SERVER, xid: 2 }));
  assert.equal(recordState(server.table.read(address)!), BindingState.ABANDONED);
  // Its next request may have overtaken the DHCPDECLINE: then it uses the address all the same.
  server.advance(3_000_000);
  assert.notEqual(replyOf(server.receive(discover({ xid: 3 }))).yiaddr, address);
  server.advance(700_000);
  assert.equal(replyOf(server.receive(discover({ xid: 4 }))).yiaddr, address);
});

test('RFC 2131 §4.3.3: a reserved address that its own client declines is tried again by it after ten minutes', () => {
  const server = new TestServer(withSubnet({ reservations: [{ hardware: HARDWARE, address: RESERVED }] }));
  lease(server);
  server.receive(decline({ requestedAddress: RESERVED, serverIdentifier: SERVER, xid: 2 }));
  assert.notEqual(replyOf(server.receive(discover({ xid: 3 }))).yiaddr, RESERVED);
  server.advance(600_000);
  assert.equal(replyOf(server.receive(discover({ xid: 4 }))).yiaddr, RESERVED);
});

test('a reservation whose end passes while its client has the address: inside a pool the client keeps it, and it is like any other address then', () => {
  const server = new TestServer();
  const address = ip('10.0.0.120');
  const endsAt = wallSeconds(server.now.wall) + 1000;
  server.configure(withSubnet({ reservations: [{ hardware: HARDWARE, address, endsAt }] }));
  assert.equal(lease(server), address);
  assert.equal(recordReserved(server.table.read(address)!), true);
  // At the very second, before any turn has noticed it.
  server.advance(940_000);
  assert.equal(replyOf(renew(server, address)).type, 5);
  assert.equal(recordReserved(server.table.read(address)!), false);
  server.tick();
  server.advance(60_000);
  assert.equal(replyOf(renew(server, address)).type, 5);
  server.advance(3_700_000);
  server.tick();
  assert.equal(replyOf(server.receive(discover({ chaddr: chaddrOf(1), requestedAddress: address }))).yiaddr, address, 'free for others when the lease has ended');
});

test('a reservation whose end passes while its client has the address: outside the pools the client moves at its next renewal', () => {
  const server = new TestServer();
  server.configure(withSubnet({ reservations: [{ hardware: HARDWARE, address: RESERVED, endsAt: wallSeconds(server.now.wall) + 1000 }] }));
  assert.equal(lease(server), RESERVED);
  assert.equal(replyOf(renew(server, RESERVED)).type, 5);
  server.advance(940_000);
  server.tick();
  assert.equal(recordState(server.table.read(RESERVED)!), BindingState.ACTIVE, 'the lease runs on');
  assert.equal(replyOf(renew(server, RESERVED)).type, 6);
  assert.equal(lease(server, { xid: 2 }) >= ip('10.0.0.100'), true);
});

test('a client is known as long as its reservation has not ended', () => {
  const server = new TestServer();
  const known = { name: 'KNOWN', condition: { kind: 'known' } as const };
  server.configure({
    classes: [known],
    subnets: [subnetConfig({ guard: { allow: [0], deny: [] }, reservations: [{ hardware: HARDWARE, endsAt: wallSeconds(server.now.wall) + 1000 }] })],
  });
  const address = lease(server);
  server.advance(940_000);
  assert.equal(replyOf(renew(server, address)).type, 6);
  assert.deepEqual([packetsOf(server.receive(discover({ xid: 2 }))), server.drops()], [[], { 'not-permitted': 1 }]);
});

// ── the rest ─────────────────────────────────────────────────────────────────────────────────────

test('options and boot fields of the new configuration are in the next answer', () => {
  const server = new TestServer();
  const address = lease(server, { parameters: [6] });
  const boot = { nextServer: ip('10.0.0.9'), serverHostname: Buffer.alloc(0), bootFileName: Buffer.from('new') };
  server.configure(withSubnet({ options: [{ code: 6, value: addressOption(ip('10.0.0.54')) }], scope: { boot } }));
  const ack = replyOf(renew(server, address, { parameters: [6] }));
  assert.deepEqual([ack.optionU32(6), ack.siaddr], [ip('10.0.0.54'), ip('10.0.0.9')]);
});

test('with another identity a client that sends an identifier of its own is a new one: nobody else is given its address before its lease ends', () => {
  const fields = { clientId: Buffer.from('ff0000000100020000000911', 'hex') };
  for (const authoritative of [true, false]) {
    const server = new TestServer(withSubnet({ authoritative }));
    const address = lease(server, fields);
    server.configure(withSubnet({ authoritative, identity: 'hardware' }));
    const renewal = renew(server, address, fields);
    assert.deepEqual(packetsOf(renewal).map(({ bytes }) => bytes[242]), authoritative ? [6] : [], 'a DHCPNAK or nothing');
    assert.notEqual(lease(server, { ...fields, xid: 2 }), address);
    assert.equal(recordState(server.table.read(address)!), BindingState.ACTIVE);
  }
});

test('leases are logged from when the configuration says so, until it does not', () => {
  const server = new TestServer();
  const address = lease(server);
  const seen = (): string[] => {
    server.advance(60_000);
    return renew(server, address).events.map(({ id }) => id);
  };
  assert.deepEqual(seen(), []);
  server.configure({ logLeases: true });
  assert.deepEqual(seen(), ['lease.renewed']);
  server.configure({ logLeases: false });
  assert.deepEqual(seen(), []);
});
