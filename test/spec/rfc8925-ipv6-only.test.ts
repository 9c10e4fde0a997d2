/** IPv6-only preferred: RFC 8925. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { ConfiguredOption } from '../../node/config/types.ts';
import { discover, ip, request } from '../support/client-packets.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const WAIT: ConfiguredOption = { code: 108, value: Buffer.of(0, 0, 7, 8), send: 'requested' };
const ASKS = { parameters: [1, 3, 108] };
const mostly = (more = {}): TestServer => new TestServer({ subnets: [subnetConfig({ options: [WAIT], ...more })] });

test('RFC 8925 §3.3: the server MUST include the option when the client asks and the pool is IPv6-mostly, and SHOULD return 0.0.0.0', () => {
  const server = mostly();
  const decision = server.receive(discover(ASKS));
  const offer = replyOf(decision);
  assert.deepEqual([offer.type, offer.yiaddr, offer.optionU32(108)], [2, 0, 1800]);
  assert.equal(server.table.offers.size, 0, 'no address is held');
  assert.equal(packetsOf(decision)[0]!.address, 0xffff_ffff);
});

test('RFC 8925 §3.3: the server MUST NOT include the option if the selected pool is not configured as IPv6-mostly', () => {
  const server = new TestServer();
  const offer = replyOf(server.receive(discover(ASKS)));
  assert.equal(offer.has(108), false);
  assert.notEqual(offer.yiaddr, 0);
});

test('RFC 8925 §3.3: the server MUST NOT include the option if it was not present in the Parameter Request List', () => {
  for (const send of ['requested', 'always'] as const) {
    for (const fields of [{ parameters: [1, 3] }, {}]) {
      const server = mostly({ options: [{ ...WAIT, send }] });
      const offer = replyOf(server.receive(discover(fields)));
      assert.equal(offer.has(108), false);
      assert.notEqual(offer.yiaddr, 0);
    }
  }
});

test('RFC 8925 §3.3: IPv6-mostly pools MAY be individual ones: the pool that the address would come from decides', () => {
  const pools = [{ first: ip('10.0.0.100'), last: ip('10.0.0.100') }, { first: ip('10.0.0.110'), last: ip('10.0.0.110'), scope: { options: [WAIT] } }];
  const server = new TestServer({ subnets: [subnetConfig({ pools, options: [] })] });
  const first = replyOf(server.receive(discover({ ...ASKS, chaddr: Buffer.from('020000000001', 'hex') })));
  assert.equal(first.yiaddr, ip('10.0.0.100'));
  const second = replyOf(server.receive(discover({ ...ASKS, chaddr: Buffer.from('020000000002', 'hex') })));
  assert.deepEqual([second.yiaddr, second.optionU32(108)], [0, 1800]);
});

test('RFC 8925 §3.3: a pool, or the clients of a class, may be taken out of an IPv6-mostly network: they get an address', () => {
  const never: ConfiguredOption = { code: 108, value: Buffer.alloc(0), send: 'never' };
  const always = { kind: 'test', subject: { from: 'hardware' }, test: { kind: 'exists' } } as const;
  const pools = [{ first: ip('10.0.0.100'), last: ip('10.0.0.110'), scope: { options: [never] } }];
  for (const server of [
    mostly({ pools }),
    new TestServer({ subnets: [subnetConfig({ options: [WAIT] })], classes: [{ name: 'IPv4 for all', condition: always, overlay: { options: [never] } }] }),
  ]) {
    const offer = replyOf(server.receive(discover(ASKS)));
    assert.deepEqual([offer.type, offer.yiaddr >>> 8, offer.has(108)], [2, ip('10.0.0.0') >>> 8, false]);
  }
});

test('RFC 8925 §3.3: with Rapid Commit and the option the server SHOULD NOT honor the Rapid Commit option', () => {
  const server = mostly({ scope: { options: [WAIT], rapidCommit: true } });
  const decision = server.receive(discover({ ...ASKS, options: { 80: Buffer.alloc(0) } }));
  assert.deepEqual([replyOf(decision).type, replyOf(decision).yiaddr, decision.changes.length], [2, 0, 0]);
});

test('RFC 8925 §3.3: a DHCPREQUEST for an address of such a pool MUST be processed per RFC 2131', () => {
  const server = mostly();
  const ack = replyOf(server.receive(request({ ...ASKS, requestedAddress: ip('10.0.0.120'), serverIdentifier: ip('10.0.0.2') })));
  assert.deepEqual([ack.type, ack.yiaddr, ack.optionU32(108)], [5, ip('10.0.0.120'), 1800]);
});

test('RFC 8925 §3.3.1: without an address and with option 108 the client is answered, with or without the Auto-Configure option', () => {
  const pools = [{ first: ip('10.0.0.100'), last: ip('10.0.0.100') }];
  const server = mostly({ pools });
  server.receive(request({ chaddr: Buffer.from('020000000001', 'hex'), requestedAddress: ip('10.0.0.100'), serverIdentifier: ip('10.0.0.2') }));
  const plain = replyOf(server.receive(discover(ASKS)));
  assert.deepEqual([plain.yiaddr, plain.optionU32(108), plain.has(116)], [0, 1800, false]);
  const both = replyOf(server.receive(discover({ ...ASKS, options: { 116: Buffer.of(1) } })));
  assert.deepEqual([both.yiaddr, both.optionU32(108), both.option(116)], [0, 1800, Buffer.of(0)]);
});

test('RFC 2563 §2: a client without an address that sends the Auto-Configure option is told whether to give itself one, if that is configured', () => {
  const full = { pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.100') }] };
  const answer: ConfiguredOption = { code: 116, value: Buffer.of(1), send: 'requested' };
  for (const [options, answered] of [[[answer], true], [[], false], [[{ ...answer, send: 'never' }], false]] as const) {
    const server = new TestServer({ subnets: [subnetConfig({ ...full, options })] });
    server.receive(request({ chaddr: Buffer.from('020000000001', 'hex'), requestedAddress: ip('10.0.0.100'), serverIdentifier: ip('10.0.0.2') }));
    const packets = packetsOf(server.receive(discover({ options: { 116: Buffer.of(1) } })));
    assert.equal(packets.length, answered ? 1 : 0);
    assert.deepEqual(packetsOf(server.receive(discover({ xid: 2 }))), [], 'a client that does not ask is not answered');
    if (answered) assert.deepEqual(packets[0]!.bytes.includes(Buffer.of(116, 1, 1)), true);
  }
});
