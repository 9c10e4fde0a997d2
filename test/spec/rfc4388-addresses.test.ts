/** RFC 4388 §6.4.1: which address the answer to a LEASEQUERY is about, and which others it lists. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueryType } from '../../node/leasequery/messages.ts';
import { chaddrOf, CLIENT_CHADDR, ip, release } from '../support/client-packets.ts';
import { IFACE, subnetConfig } from '../support/dhcp-server.ts';
import type { TestServer, TestServerOptions } from '../support/dhcp-server.ts';
import {
  answer, askable, askableSubnet, associated, byAddress, byClientId, byHardware, lease, renew, REQUESTORS, subnetNumber, typeOf,
} from '../support/lease-queries.ts';

const { LEASEACTIVE, LEASEUNASSIGNED, LEASEUNKNOWN } = QueryType;
const CLIENT_ID = Buffer.from('ff00000001', 'hex');
const HARDWARE = { htype: 1, chaddr: CLIENT_CHADDR };
const THREE_SUBNETS: TestServerOptions = { subnets: [subnetConfig(), subnetNumber(1), subnetNumber(2)] };

/** A client that has a lease in each of three subnets, got a minute apart, in this order. */
function leasesInThree(server: TestServer, order: readonly number[] = [0, 1, 2], fields: { readonly clientId?: Buffer } = { clientId: CLIENT_ID }): number[] {
  return order.map((n) => {
    server.advance(60_000);
    return lease(server, { ...fields, giaddr: ip(`10.0.${n}.1`) });
  });
}

// ── by address ───────────────────────────────────────────────────────────────────────────────────

test('RFC 4388 §6.4.1: if that IP address is one managed by the DHCP server, then that IP address MUST be set in the "ciaddr" field of a DHCPLEASEUNASSIGNED message', () => {
  const server = askableSubnet({ reservations: [{ hardware: HARDWARE, address: ip('10.0.0.7') }] });
  // In a pool, at both of its ends, and reserved outside of all pools.
  for (const managed of ['10.0.0.100', '10.0.0.150', '10.0.0.199', '10.0.0.7']) {
    const { message, type } = answer(server, byAddress(managed));
    assert.deepEqual([type, message.ciaddr], [LEASEUNASSIGNED, ip(managed)]);
  }
});

test('RFC 4388 §6.4.1: if the IP address is not managed by the DHCP server, then a DHCPLEASEUNKNOWN message must be returned', () => {
  const server = askableSubnet({ reservations: [{ hardware: HARDWARE, address: ip('10.0.0.7') }] });
  for (const elsewhere of ['192.0.2.1', '10.0.1.100', '255.255.255.255']) assert.equal(typeOf(server, byAddress(elsewhere)), LEASEUNKNOWN, elsewhere);
  for (const inNoPool of ['10.0.0.8', '10.0.0.99', '10.0.0.200', '10.0.0.1']) assert.equal(typeOf(server, byAddress(inNoPool)), LEASEUNKNOWN, inNoPool);
});

test('RFC 4388 §6.4.1: an address that is managed by a reservation is so until the reservation ends', () => {
  const endsAt = 1_700_000_060;
  const server = askableSubnet({ reservations: [{ hardware: HARDWARE, address: ip('10.0.0.7'), endsAt }] });
  assert.equal(typeOf(server, byAddress('10.0.0.7')), LEASEUNASSIGNED);
  server.advance(61_000);
  assert.equal(typeOf(server, byAddress('10.0.0.7')), LEASEUNKNOWN);
});

test('RFC 4388 §6.4: the server MUST respond with a DHCPLEASEACTIVE message when the IP address returned in the "ciaddr" field is currently leased: whatever the configuration says of it now', () => {
  const server = askable();
  const address = lease(server);
  const parameters = [3, 51, 58, 59];
  const fewer = subnetConfig({ pools: [{ first: ip('10.0.0.190'), last: ip('10.0.0.199') }] });
  const dropped = subnetNumber(5);
  for (const [subnet, told] of [[subnetConfig(), [53, 54, 51, 58, 59, 3]], [fewer, [53, 54, 51, 58, 59, 3]], [dropped, [53, 54, 51]]] as const) {
    server.configure({ subnets: [subnet], leaseQuery: REQUESTORS });
    const { codes, message, type } = answer(server, byAddress(address, { parameters }));
    assert.deepEqual([type, message.chaddr(), message.optionU32(51), codes], [LEASEACTIVE, CLIENT_CHADDR, 3600, told], subnet.name);
    assert.equal(answer(server, byHardware(CLIENT_CHADDR)).message.ciaddr, address);
  }
  server.receive(release({ xid: 9, ciaddr: address }), { sourceAddress: address, unicast: true });
  server.advance(3_700_000);
  server.tick();
  assert.equal(typeOf(server, byAddress(address)), LEASEUNKNOWN);
});

// ── by client ────────────────────────────────────────────────────────────────────────────────────

test('RFC 4388 §6.4.1: the client\'s identity is any client that has proffered an identical Client-identifier option, or an identical MAC address', () => {
  const server = askable();
  const [identified, plain] = [lease(server, { clientId: CLIENT_ID }), lease(server, { chaddr: chaddrOf(2) })];
  assert.equal(answer(server, byHardware(CLIENT_CHADDR)).message.ciaddr, identified, 'also where it is not the name that the lease is kept under');
  assert.equal(answer(server, byHardware(chaddrOf(2))).message.ciaddr, plain);
  assert.equal(typeOf(server, byHardware(CLIENT_CHADDR, { htype: 6 })), LEASEUNKNOWN, 'of another kind of hardware');
  assert.equal(typeOf(server, byHardware(CLIENT_CHADDR.subarray(0, 5))), LEASEUNKNOWN);
  assert.equal(typeOf(server, byClientId(CLIENT_ID.subarray(0, 4))), LEASEUNKNOWN);
  assert.equal(typeOf(server, byClientId(Buffer.concat([CLIENT_ID, Buffer.of(0)]))), LEASEUNKNOWN);
});

test('RFC 4388 §6.4.1: a client is matched by the Client-identifier that it has proffered: its hardware address is not one, even if the bytes are the same', () => {
  const server = askable();
  const likeHardware = Buffer.concat([Buffer.of(1), chaddrOf(2)]);
  const address = lease(server, { chaddr: chaddrOf(2) });
  assert.equal(typeOf(server, byClientId(likeHardware)), LEASEUNKNOWN);
  const proffered = lease(server, { chaddr: chaddrOf(3), clientId: Buffer.concat([Buffer.of(1), chaddrOf(4)]) });
  assert.equal(answer(server, byClientId(Buffer.concat([Buffer.of(1), chaddrOf(4)]))).message.ciaddr, proffered);
  assert.equal(typeOf(server, byHardware(chaddrOf(4))), LEASEUNKNOWN);
  assert.equal(answer(server, byHardware(chaddrOf(2))).message.ciaddr, address);
});

test('RFC 4388 §6.4.1: an identical MAC address is found where clients are known by nothing else', () => {
  const server = askableSubnet({ identity: 'hardware' });
  const address = lease(server, { clientId: CLIENT_ID });
  assert.equal(answer(server, byHardware(CLIENT_CHADDR)).message.ciaddr, address);
  assert.equal(associated(answer(server, byHardware(CLIENT_CHADDR))), undefined);
});

test('RFC 4388 §6.4.1: the IP address placed in the "ciaddr" field of a DHCPLEASEACTIVE message MUST be that of an IP address for which the client that most recently used the IP address matches', () => {
  const server = askableSubnet({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.100') }] });
  const address = lease(server, { clientId: CLIENT_ID });
  server.receive(release({ xid: 9, ciaddr: address, clientId: CLIENT_ID }), { sourceAddress: address, unicast: true });
  server.advance(3_700_000);
  server.tick();
  assert.equal(lease(server, { chaddr: chaddrOf(2) }), address);
  assert.deepEqual([byHardware(CLIENT_CHADDR), byClientId(CLIENT_ID)].map((query) => typeOf(server, query)), [LEASEUNKNOWN, LEASEUNKNOWN]);
  const { message } = answer(server, byAddress(address));
  assert.deepEqual([message.ciaddr, message.chaddr()], [address, chaddrOf(2)]);
});

test('RFC 4388 §6.4.1: if there is only a single IP address that fulfills this criteria, then it MUST be placed in the "ciaddr" field of the DHCPLEASEACTIVE message', () => {
  const server = askable(THREE_SUBNETS);
  const addresses = leasesInThree(server);
  for (const address of addresses.slice(1)) {
    server.receive(release({ xid: 9, ciaddr: address, clientId: CLIENT_ID }), { sourceAddress: address, unicast: true });
  }
  const reply = answer(server, byClientId(CLIENT_ID));
  assert.deepEqual([reply.type, reply.message.ciaddr, associated(reply)], [LEASEACTIVE, addresses[0], undefined]);
});

test('RFC 4388 §6.4.1: the DHCP server MUST return the IP address returned to the client in the most recent transaction with the client', () => {
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0]]) {
    const server = askable(THREE_SUBNETS);
    const addresses = leasesInThree(server, order);
    for (const query of [byHardware(CLIENT_CHADDR), byClientId(CLIENT_ID)]) assert.equal(answer(server, query).message.ciaddr, addresses[2]);
    server.advance(60_000);
    renew(server, addresses[0]!, { clientId: CLIENT_ID });
    for (const query of [byHardware(CLIENT_CHADDR), byClientId(CLIENT_ID)]) assert.equal(answer(server, query).message.ciaddr, addresses[0]);
  }
});

test('RFC 4388 §6.4.1: if no value is set in the "ciaddr" field, then a DHCPLEASEUNKNOWN message MUST be returned instead', () => {
  const server = askable();
  lease(server, { clientId: CLIENT_ID });
  for (const query of [byHardware(chaddrOf(2)), byClientId(Buffer.of(0xff, 2))]) {
    const { message, type } = answer(server, query);
    assert.deepEqual([type, message.ciaddr], [LEASEUNKNOWN, 0]);
  }
});

// ── associated-ip ────────────────────────────────────────────────────────────────────────────────

test('RFC 4388 §6.4.2: in the case where more than one IP address has been involved, then the list of all of the IP addresses MUST be returned in the associated-ip option, whether or not that option was requested', () => {
  const server = askable(THREE_SUBNETS);
  const addresses = leasesInThree(server, [1, 0, 2]);
  lease(server, { chaddr: chaddrOf(2) });
  const latestFirst = addresses.toReversed();
  for (const parameters of [undefined, [51], [92], [92, 51, 92]]) {
    const fields = parameters === undefined ? {} : { parameters };
    for (const query of [byHardware(CLIENT_CHADDR, fields), byClientId(CLIENT_ID, fields)]) {
      const reply = answer(server, query);
      assert.deepEqual(associated(reply), latestFirst);
      assert.equal(reply.codes.filter((code) => code === 92).length, 1);
    }
  }
});

test('RFC 4388 §6.1: associated-ip is of the DHCP client specified in a particular DHCPLEASEQUERY message: not where there is one address, or none is specified', () => {
  const server = askable(THREE_SUBNETS);
  const parameters = [92];
  assert.equal(associated(answer(server, byHardware(CLIENT_CHADDR, { parameters }))), undefined);
  const [address] = leasesInThree(server, [1]);
  assert.equal(associated(answer(server, byHardware(CLIENT_CHADDR, { parameters }))), undefined);
  leasesInThree(server, [2]);
  assert.equal(associated(answer(server, byHardware(CLIENT_CHADDR, { parameters })))!.length, 2);
  assert.equal(associated(answer(server, byAddress(address!, { parameters }))), undefined);
});

test('RFC 4388 §6.1: the associated addresses of a MAC address are those of every client that proffered it', () => {
  const server = askable(THREE_SUBNETS);
  const byItsHardware = leasesInThree(server, [0], {});
  const byOneName = leasesInThree(server, [1]);
  const byAnother = leasesInThree(server, [2], { clientId: Buffer.of(0xff, 2) });
  assert.deepEqual(associated(answer(server, byHardware(CLIENT_CHADDR))), [...byAnother, ...byOneName, ...byItsHardware]);
  assert.equal(associated(answer(server, byClientId(CLIENT_ID))), undefined);
});

test('RFC 4388 §6.1: the minimum length of associated-ip is 4 octets, and the length MUST always be a multiple of 4: where there is no room for all of them the most recent ones are listed', () => {
  const many = Array.from({ length: 50 }, (_, n) => n);
  const server = askable({ subnets: many.map((n) => subnetNumber(n)) });
  const addresses = leasesInThree(server, many).toReversed();
  const asked = byHardware(CLIENT_CHADDR, { parameters: [51, 58, 59, 91] });
  const counts = [0, 299, 300, 301, 328, 340, 400, 576, 1000, 1500, 9000].map((mtu) => {
    const reply = answer(server, asked, { iface: { ...IFACE, mtu } });
    const listed = associated(reply)!;
    assert.equal(reply.message.option(92)!.length % 4, 0);
    assert.deepEqual(listed, addresses.slice(0, listed.length));
    assert.equal(reply.message.ciaddr, addresses[0]);
    assert.ok(reply.message.bytes.length <= Math.max(mtu - 28, 300), `${reply.message.bytes.length} bytes over an MTU of ${mtu}`);
    for (const code of [51, 58, 59, 91]) assert.ok(mtu < 340 || reply.message.has(code), `${code} over an MTU of ${mtu}`);
    return listed.length;
  });
  assert.ok(counts[0]! >= 1);
  assert.deepEqual(counts, counts.toSorted((a, b) => a - b));
  assert.deepEqual(counts.slice(-2), [50, 50]);
});

test('RFC 4388 §6.4.1: the associated addresses have their place also where much else is to be told', () => {
  const options = [{ code: 15, value: Buffer.alloc(250, 'a') }, { code: 119, value: Buffer.alloc(250, 1) }];
  const server = askable({ subnets: [subnetNumber(0, { options }), subnetNumber(1, { options })] });
  const [first, second] = leasesInThree(server, [0, 1]);
  for (let mtu = 300; mtu < 800; mtu++) {
    const reply = answer(server, byClientId(CLIENT_ID, { parameters: [15, 119] }), { iface: { ...IFACE, mtu } });
    assert.deepEqual(associated(reply), [second, first], `over an MTU of ${mtu}`);
  }
});
