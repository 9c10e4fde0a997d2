/** What clients do that no chapter is about: old clocks, addresses of nobody, servers of others. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chaddrOf, decline, discover, ip, release, request } from '../support/client-packets.ts';
import { chaddrHomedAt, packetsOf, replyOf, subnetConfig, TestServer, twoNodes } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const ANOTHER_SERVER = ip('10.0.0.250');
/** In the subnet, and in no pool. */
const OUTSIDE = ip('10.0.0.20');

test("RFC 2131 §2: 'secs' are seconds elapsed since the client began: also those of a client that writes them in the wrong byte order", () => {
  const answered = (secs: number): boolean => {
    const view = twoNodes();
    return packetsOf(new TestServer({ view }).receive(discover({ chaddr: chaddrHomedAt(view, 'b'), secs }))).length > 0;
  };
  assert.deepEqual([0, 2, 3, 255].map(answered), [false, false, true, true]);
  // 1, 2, 3 and 200 seconds with their bytes swapped; without a mistake they would be minutes and hours.
  assert.deepEqual([0x100, 0x200, 0x300, 0xc800].map(answered), [false, false, true, true]);
  assert.deepEqual([0x101, 0xffff].map(answered), [true, true], 'what cannot be swapped is what it says');
});

test('RFC 2131 §4.3.1: the requested address is given if that address is valid: one in no pool is not, and another one is offered', () => {
  const server = new TestServer();
  for (const requestedAddress of [OUTSIDE, ip('10.0.0.0'), ip('10.0.0.255'), SERVER, ip('192.0.2.1'), 0, 0xffff_ffff]) {
    assert.equal(replyOf(server.receive(discover({ requestedAddress }))).yiaddr >= ip('10.0.0.100'), true);
  }
});

test('RFC 2131 §4.3.2: an address of the subnet that is in no pool is granted in no state', () => {
  for (const authoritative of [false, true]) {
    const server = new TestServer({ subnets: [subnetConfig({ authoritative })] });
    const type = (bytes: Buffer, packet = {}): number | undefined => {
      const decision = server.receive(bytes, packet);
      assert.deepEqual([decision.changes, decision.forwarded], [[], []]);
      return packetsOf(decision).length === 0 ? undefined : replyOf(decision).type;
    };
    const unlessSure = authoritative ? 6 : undefined;
    assert.equal(type(request({ requestedAddress: OUTSIDE, serverIdentifier: SERVER })), 6, 'SELECTING');
    assert.equal(type(request({ requestedAddress: OUTSIDE, xid: 2 })), unlessSure, 'INIT-REBOOT');
    assert.equal(type(request({ ciaddr: OUTSIDE, xid: 3 }), { unicast: true, sourceAddress: OUTSIDE }), unlessSure, 'RENEWING');
    assert.equal(type(request({ ciaddr: OUTSIDE, xid: 4 }), { sourceAddress: OUTSIDE }), unlessSure, 'REBINDING');
    assert.equal(type(release({ ciaddr: OUTSIDE, xid: 5 }), { unicast: true, sourceAddress: OUTSIDE }), undefined, 'DHCPRELEASE');
    assert.equal(type(decline({ requestedAddress: OUTSIDE, xid: 6 })), undefined, 'DHCPDECLINE');
  }
});

test('a reservation outside the pools is granted in every state, and to nobody else', () => {
  const server = new TestServer({ subnets: [subnetConfig({ reservations: [{ hardware: { htype: 1, chaddr: chaddrOf(1) }, address: OUTSIDE }] })] });
  const own = { chaddr: chaddrOf(1) };
  const ack = (bytes: Buffer, packet = {}): void => {
    server.advance(60_000);
    const reply = replyOf(server.receive(bytes, packet));
    assert.deepEqual([reply.type, reply.yiaddr], [5, OUTSIDE]);
  };
  ack(request({ ...own, requestedAddress: OUTSIDE, xid: 1 }));
  ack(request({ ...own, requestedAddress: OUTSIDE, serverIdentifier: SERVER, xid: 2 }));
  ack(request({ ...own, ciaddr: OUTSIDE, xid: 3 }), { unicast: true, sourceAddress: OUTSIDE });
  ack(request({ ...own, ciaddr: OUTSIDE, xid: 4 }), { sourceAddress: OUTSIDE });
  assert.equal(replyOf(server.receive(request({ requestedAddress: OUTSIDE, serverIdentifier: SERVER }))).type, 6);
  assert.notEqual(replyOf(server.receive(discover({ requestedAddress: OUTSIDE }))).yiaddr, OUTSIDE);
});

test("RFC 2131 §4.3.2: a DHCPREQUEST with another server's identifier is none of ours, whatever else it says", () => {
  const server = new TestServer({ subnets: [subnetConfig({ authoritative: true })] });
  const own = replyOf(server.receive(discover())).yiaddr;
  server.receive(request({ requestedAddress: own, serverIdentifier: SERVER }));
  server.advance(60_000);
  const before = server.table.read(own);
  for (const fields of [{ requestedAddress: own }, { requestedAddress: ip('192.0.2.1') }, { ciaddr: own }]) {
    const decision = server.receive(request({ ...fields, serverIdentifier: ANOTHER_SERVER, xid: 2 }));
    assert.deepEqual([packetsOf(decision), decision.changes], [[], []]);
  }
  assert.deepEqual([server.drops(), server.table.read(own)], [{ 'other-server': 3 }, before]);
});

test('a DHCPDISCOVER that comes through two relays at once is one offer of one address', () => {
  const server = new TestServer();
  const offers = [ip('10.0.0.1'), ip('10.0.0.4')].map((giaddr) => server.receive(discover({ giaddr })));
  assert.equal(new Set(offers.map((decision) => replyOf(decision).yiaddr)).size, 1);
  assert.deepEqual(offers.map((decision) => packetsOf(decision)[0]!.address), [ip('10.0.0.1'), ip('10.0.0.4')]);
  assert.equal(server.table.offers.size, 1);
});

test('a client with leases in two networks renews, releases and loses each by itself', () => {
  const office = subnetConfig({ name: '10.9.0.0/24', network: ip('10.9.0.0'), pools: [{ first: ip('10.9.0.100'), last: ip('10.9.0.199') }] });
  const server = new TestServer({ subnets: [subnetConfig(), office] });
  const [home, away] = [0, ip('10.9.0.1')].map((giaddr, n) => {
    const offered = replyOf(server.receive(discover({ giaddr, xid: n }))).yiaddr;
    assert.equal(replyOf(server.receive(request({ giaddr, xid: n, requestedAddress: offered, serverIdentifier: SERVER }))).type, 5);
    return offered;
  }) as [number, number];
  server.advance(60_000);
  for (const address of [home, away]) {
    const renewal = server.receive(request({ ciaddr: address, xid: address }), { unicast: true, sourceAddress: address });
    assert.deepEqual([replyOf(renewal).type, replyOf(renewal).yiaddr], [5, address]);
  }
  server.receive(release({ ciaddr: away, xid: 9 }), { unicast: true, sourceAddress: away });
  const still = server.receive(request({ ciaddr: home, xid: 10 }), { unicast: true, sourceAddress: home });
  assert.equal(replyOf(still).type, 5);
});
