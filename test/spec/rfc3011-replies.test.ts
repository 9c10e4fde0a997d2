/** RFC 3011: the subnet selection option (118) in whole exchanges. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { discover, ip, request } from '../support/client-packets.ts';
import { packetsOf, replyOf, TestServer } from '../support/dhcp-server.ts';
import { address } from '../support/relayed-requests.ts';

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
