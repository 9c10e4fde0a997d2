/** RFC 3011: the subnet selection option (118) in whole exchanges. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chaddrOf, discover, inform, ip, request } from '../support/client-packets.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import { address } from '../support/relayed-requests.ts';

/** The device that asks is on 10.0.0.0/24, its own clients are on another link of two subnets, the first with one address. */
const RELAY = ip('10.0.0.1');
const outside = { sharedNetwork: 'outside', authoritative: true };
const subnets = [
  subnetConfig(),
  subnetConfig({ ...outside, name: '10.0.1.0/24', network: ip('10.0.1.0'), pools: [{ first: ip('10.0.1.100'), last: ip('10.0.1.100') }] }),
  subnetConfig({ ...outside, name: '10.0.2.0/24', network: ip('10.0.2.0'), pools: [{ first: ip('10.0.2.100'), last: ip('10.0.2.100') }] }),
];
const asking = { giaddr: RELAY, parameters: [1], options: { 118: address('10.0.1.0') } };

test('RFC 3011 §2: the server MUST allocate the address on the subnet specified in the option, or on a subnet on the same network segment, and on no other', () => {
  const server = new TestServer({ subnets, subnetSelection: true });
  const addresses = [1, 2].map((n) => {
    const { yiaddr } = replyOf(server.receive(discover({ ...asking, chaddr: chaddrOf(n) })));
    assert.equal(replyOf(server.receive(request({ ...asking, chaddr: chaddrOf(n), requestedAddress: yiaddr, serverIdentifier: ip('10.0.0.2') }))).type, 5);
    return yiaddr;
  });
  assert.deepEqual(addresses, [ip('10.0.1.100'), ip('10.0.2.100')]);
  assert.deepEqual(packetsOf(server.receive(discover({ ...asking, chaddr: chaddrOf(3) }))), []);
  assert.deepEqual(server.drops(), { 'pool-exhausted': 1 });
});

test('RFC 3011 §2: servers configured to support this option MUST return an identical copy of it to any client that sends it, and reply to the address that they would choose without it', () => {
  const server = new TestServer({ subnets, subnetSelection: true });
  const offer = server.receive(discover(asking));
  const ack = server.receive(request({ ...asking, requestedAddress: replyOf(offer).yiaddr, serverIdentifier: ip('10.0.0.2') }));
  for (const decision of [offer, ack]) {
    assert.deepEqual(replyOf(decision).option(118), address('10.0.1.0'));
    assert.deepEqual([packetsOf(decision)[0]!.address, packetsOf(decision)[0]!.port], [RELAY, 67]);
  }
  assert.deepEqual(replyOf(server.receive(inform({ ...asking, ciaddr: ip('10.0.1.9'), xid: 2 }))).option(118), address('10.0.1.0'));
});

test('RFC 3011 §6: servers that implement the subnet selection option MUST by default disable use of the feature, and (§2) MUST NOT return this option', () => {
  const server = new TestServer();
  const fields = { giaddr: ip('10.0.0.1'), parameters: [1, 118], options: { 118: address('192.0.2.0') } };
  const offer = server.receive(discover(fields));
  assert.equal(replyOf(offer).yiaddr >>> 8, ip('10.0.0.0') >>> 8);
  const ack = server.receive(request({ ...fields, requestedAddress: replyOf(offer).yiaddr, serverIdentifier: ip('10.0.0.2') }));
  for (const decision of [offer, ack]) {
    assert.equal(replyOf(decision).has(118), false);
    assert.equal(packetsOf(decision)[0]!.address, ip('10.0.0.1'));
  }
});
