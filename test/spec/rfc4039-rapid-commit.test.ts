/** Rapid commit: RFC 4039. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { BindingState, recordState } from '../../node/lease/record.ts';
import { chaddrHomedAt, packetsOf, replyOf, subnetConfig, TestServer, twoNodes } from '../support/dhcp-server.ts';
import { discover, ip, request } from '../support/client-packets.ts';

const RAPID_COMMIT = { 80: Buffer.alloc(0) };
const rapid = (): TestServer => new TestServer({ subnets: [subnetConfig({ scope: { rapidCommit: true } })] });

test('RFC 4039 §3.1: a DHCPACK with the Rapid Commit option answers only a DHCPDISCOVER that contained one, if configuration allows', () => {
  const both = rapid().receive(discover({ options: RAPID_COMMIT }));
  assert.equal(replyOf(both).type, 5);
  assert.equal(replyOf(both).option(80)?.length, 0);
  for (const [server, options] of [[rapid(), {}], [new TestServer(), RAPID_COMMIT]] as const) {
    const offer = replyOf(server.receive(discover({ options })));
    assert.equal(offer.type, 2);
    assert.equal(offer.has(80), false);
  }
});

test('RFC 4039 §3.1: Servers sending the DHCPACK message commit the binding to persistent storage before sending the DHCPACK', () => {
  const server = rapid();
  const decision = server.receive(discover({ options: RAPID_COMMIT }));
  assert.deepEqual(decision.sendNow, []);
  assert.equal(decision.sendOnCommit.length, 1);
  assert.equal(decision.changes[0]!.address, replyOf(decision).yiaddr);
  assert.equal(recordState(decision.changes[0]!.record), BindingState.ACTIVE);
});

test("RFC 4039 §4: a server MUST include this option in the DHCPACK of a rapid commit, and it is in no other DHCPACK", () => {
  const server = rapid();
  const address = replyOf(server.receive(discover({ options: RAPID_COMMIT }))).yiaddr;
  const renewed = replyOf(server.receive(request({ ciaddr: address, xid: 3, options: RAPID_COMMIT }), { unicast: true, sourceAddress: address }));
  assert.equal(renewed.type, 5);
  assert.equal(renewed.has(80), false);
});

test('a DHCPDISCOVER with rapid commit that comes again is answered by what the first one stored', () => {
  const server = rapid();
  const address = replyOf(server.receive(discover({ options: RAPID_COMMIT }))).yiaddr;
  server.advance(1000);
  const again = server.receive(discover({ options: RAPID_COMMIT }));
  assert.deepEqual(again.changes, []);
  assert.deepEqual([replyOf(again).type, replyOf(again).yiaddr, replyOf(again).has(80)], [5, address, true]);
});

test('a client of the other node gets no second lease from this one', () => {
  const view = twoNodes('a');
  const server = new TestServer({ view, subnets: [subnetConfig({ scope: { rapidCommit: true } })] });
  const chaddr = chaddrHomedAt(view, 'b');
  assert.deepEqual(packetsOf(server.receive(discover({ chaddr, options: RAPID_COMMIT }))), []);
  assert.deepEqual(server.drops(), { 'not-responsible': 1 });
});

test('an earlier address on another owner is granted by way of that owner', () => {
  const view = twoNodes('a');
  const server = new TestServer({ view, subnets: [subnetConfig({ scope: { rapidCommit: true } })] });
  const chaddr = chaddrHomedAt(view, 'a');
  const address = replyOf(server.receive(discover({ chaddr, options: RAPID_COMMIT }))).yiaddr;
  view.members = ['b', 'a'];
  view.homeOf = () => 'b';
  view.isReachable = () => false;
  server.advance(10_000);
  const decision = server.receive(discover({ chaddr, xid: 8, options: RAPID_COMMIT }));
  assert.deepEqual(decision.forwarded.map((change) => [change.address, change.owner]), [[address, 'b']]);
  assert.equal(replyOf(decision).type, 5);
  assert.equal(ip('10.0.0.100') <= address, true);
});
