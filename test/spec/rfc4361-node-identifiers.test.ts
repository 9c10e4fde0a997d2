/** RFC 4361: client identifiers of type 255, made of an IAID and a DUID, and clients that come under several names. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { recordHasClientIdentifier } from '../../node/lease/record.ts';
import { CLIENT_CHADDR, chaddrOf, discover, ip, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import type { SubnetSpec } from '../support/configs.ts';
import { replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const RESERVED = ip('10.0.0.7');
/** A DUID of type 1 (RFC 8415 §11.2), whose last bytes are a link-layer address. */
const DUID = Buffer.from('0001000129a1b2c3525400aabbcc', 'hex');
const named = (iaid: number, duid = DUID): Buffer => Buffer.concat([Buffer.of(255, 0, 0, 0, iaid), duid]);
const withSubnet = (fields: Partial<SubnetSpec>): TestServer => new TestServer({ subnets: [subnetConfig(fields)] });

function lease(server: TestServer, fields: ClientFields = {}): number {
  const offered = replyOf(server.receive(discover(fields))).yiaddr;
  assert.equal(replyOf(server.receive(request({ ...fields, requestedAddress: offered, serverIdentifier: SERVER }))).type, 5);
  server.advance(60_000);
  return offered;
}

test("RFC 4361 §6.3: DHCPv4 servers MUST use the 'client identifier' option to identify the client if the client sends it", () => {
  const server = new TestServer();
  const address = lease(server, { clientId: named(1) });
  assert.equal(recordHasClientIdentifier(server.table.read(address)!), true);
  // Its network card was replaced.
  assert.equal(lease(server, { clientId: named(1), chaddr: chaddrOf(9), xid: 2 }), address);
  assert.notEqual(lease(server, { clientId: named(1, Buffer.from('000200000009aa', 'hex')), xid: 3 }), address, 'another host on that card');
});

test('RFC 4361 §5: a client with two network interfaces can express that they are to receive different IP addresses, even on the same link', () => {
  const server = new TestServer();
  const wired = lease(server, { clientId: named(1), chaddr: chaddrOf(1) });
  const wireless = lease(server, { clientId: named(2), chaddr: chaddrOf(2), xid: 2 });
  assert.notEqual(wired, wireless);
  server.receive(release({ clientId: named(2), chaddr: chaddrOf(2), ciaddr: wireless, xid: 3 }), { unicast: true, sourceAddress: wireless });
  assert.equal(lease(server, { clientId: named(1), chaddr: chaddrOf(1), xid: 4 }), wired, 'one release ends one lease');
});

test('RFC 4361 §5: a client may present the same identity on two interfaces, so that both receive the same IP address', () => {
  const server = new TestServer();
  const address = lease(server, { clientId: named(1), chaddr: chaddrOf(1) });
  assert.equal(lease(server, { clientId: named(1), chaddr: chaddrOf(2), xid: 2 }), address);
});

test('RFC 4361 §6.1: the IAID is an opaque 32-bit quantity: the identifier is compared as a whole, and returned as it came', () => {
  const server = new TestServer();
  const addresses = [named(1), named(2), named(1).subarray(0, -1), Buffer.concat([named(1), Buffer.of(0)]), Buffer.of(255, 0), Buffer.of(255, 1, 2, 3, 4)].map((clientId, n) => {
    assert.deepEqual(replyOf(server.receive(discover({ clientId, xid: n }))).option(61), clientId);
    return lease(server, { clientId, xid: n });
  });
  assert.equal(new Set(addresses).size, addresses.length);
});

test('RFC 4361 §5: it must be possible to determine that two network identities belong to the same host: a reservation by DUID is for all of them', () => {
  const server = withSubnet({ reservations: [{ duid: DUID, address: RESERVED, hostname: 'laptop' }] });
  const first = { clientId: named(1), chaddr: chaddrOf(1), parameters: [12] };
  const second = { clientId: named(2), chaddr: chaddrOf(2), parameters: [12], xid: 2 };
  assert.equal(lease(server, first), RESERVED);
  const other = lease(server, second);
  assert.notEqual(other, RESERVED, 'one address is one interface\'s at a time');
  assert.equal(replyOf(server.receive(discover(second))).option(12)?.toString(), 'laptop', 'what else is reserved is for both');
  server.receive(release({ ...first, ciaddr: RESERVED, xid: 3 }), { unicast: true, sourceAddress: RESERVED });
  server.advance(3_700_000);
  assert.equal(lease(server, { ...second, xid: 4 }), RESERVED);
  // The same bytes in an identifier of another type are no DUID.
  const server2 = withSubnet({ reservations: [{ duid: DUID, address: RESERVED }] });
  assert.notEqual(lease(server2, { clientId: Buffer.concat([Buffer.of(0, 0, 0, 0, 1), DUID]) }), RESERVED);
});

test('RFC 4361 §6.3: DHCPv4 servers MAY use administrator-supplied values for chaddr and htype where a fixed IP address is assigned, even if the client sends a client identifier', () => {
  const server = withSubnet({ reservations: [{ hardware: { htype: 1, chaddr: CLIENT_CHADDR }, address: RESERVED }] });
  assert.equal(lease(server, { clientId: named(1) }), RESERVED);
});

test("RFC 4361 §6.4: DHCPv4 servers MUST use 'chaddr' as an identifier in cases where 'client identifier' is not sent", () => {
  const server = new TestServer();
  const address = lease(server);
  assert.equal(recordHasClientIdentifier(server.table.read(address)!), false);
  assert.equal(lease(server, { xid: 2 }), address);
  assert.notEqual(lease(server, { chaddr: chaddrOf(1), xid: 3 }), address);
});

// ── §7: boot stages ──────────────────────────────────────────────────────────────────────────────

const ROM: ClientFields = { options: { 60: Buffer.from('PXEClient:Arch:00007:UNDI:003016') } };
const LOADER: ClientFields = { clientId: Buffer.concat([Buffer.of(1), CLIENT_CHADDR]), options: { 77: Buffer.from('iPXE') } };
const SYSTEM: ClientFields = { clientId: named(1) };

test('RFC 4361 §7: where one boot stage presents no client identifier and another one made from the MAC address, both are treated as the same identifier', () => {
  const server = new TestServer();
  assert.equal(lease(server, ROM), lease(server, { ...LOADER, xid: 2 }));
});

test('RFC 4361 §7: a DHCPv4 server will allocate two different IP addresses to two boot stages that present different identities', () => {
  const server = new TestServer();
  const booting = lease(server, ROM);
  const running = lease(server, { ...SYSTEM, xid: 2 });
  assert.notEqual(running, booting);
  assert.deepEqual([lease(server, { ...ROM, xid: 3 }), lease(server, { ...SYSTEM, xid: 4 })], [booting, running], 'and the same two at the next boot');
});

test('where clients are known by their hardware address all boot stages have one address, and each gets its own identifier back', () => {
  const server = withSubnet({ identity: 'hardware' });
  const stages = [ROM, LOADER, SYSTEM];
  const addresses = stages.map((stage, n) => lease(server, { ...stage, xid: n }));
  assert.equal(new Set(addresses).size, 1);
  for (const stage of stages) assert.deepEqual(replyOf(server.receive(discover(stage))).option(61), stage.clientId);
  assert.equal(server.counters.identifierConflicts, 0);
  const [address] = addresses;
  server.advance(60_000);
  const renewal = server.receive(request({ ...SYSTEM, ciaddr: address!, xid: 9 }), { unicast: true, sourceAddress: address! });
  assert.equal(replyOf(renewal).type, 5, 'the system renews what the loader was given');
});
