/** RFC 5107: the server identifier override sub-option (11) in whole exchanges. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { discover, ip, request } from '../support/client-packets.ts';
import { packetsOf, replyOf, TestServer } from '../support/dhcp-server.ts';
import { address, relayInformation } from '../support/relayed-requests.ts';

const RELAY = ip('10.0.0.1');
const fields = { giaddr: RELAY, relayAgentInformation: relayInformation([11, address('10.0.0.1')]) };

test('RFC 5107 §4: If both the suboption and the Server Identifier option specify the same address, then the server should accept the DHCPREQUEST', () => {
  const server = new TestServer();
  const offer = replyOf(server.receive(discover(fields)));
  assert.equal(offer.optionU32(54), RELAY);
  const ack = replyOf(server.receive(request({ ...fields, requestedAddress: offer.yiaddr, serverIdentifier: RELAY })));
  assert.deepEqual([ack.type, ack.optionU32(54)], [5, RELAY]);
});

test('RFC 5107 §4: without the suboption an address that is not the server\'s is another server\'s: the DHCPREQUEST is silently ignored', () => {
  const server = new TestServer();
  const { yiaddr } = replyOf(server.receive(discover(fields)));
  const other = { giaddr: RELAY, relayAgentInformation: relayInformation([11, address('10.0.0.7')]) };
  assert.deepEqual(packetsOf(server.receive(request({ ...other, requestedAddress: yiaddr, serverIdentifier: RELAY }))), []);
  assert.deepEqual(server.drops(), { 'other-server': 1 });
});

test('RFC 5107 §4: The DHCP server must also record the address for use in subsequent messages to the client until the next message from the relay', () => {
  const server = new TestServer();
  const { yiaddr } = replyOf(server.receive(discover(fields)));
  server.receive(request({ ...fields, requestedAddress: yiaddr, serverIdentifier: RELAY }));
  server.advance(60_000);
  const renewal = replyOf(server.receive(request({ ciaddr: yiaddr, xid: 2 }), { unicast: true, sourceAddress: yiaddr }));
  assert.deepEqual([renewal.type, renewal.optionU32(54)], [5, RELAY]);
  server.advance(60_000);
  const moved = replyOf(server.receive(request({ ciaddr: yiaddr, xid: 3, giaddr: RELAY, relayAgentInformation: relayInformation([1, Buffer.of(7)]) })));
  assert.deepEqual([moved.type, moved.optionU32(54)], [5, ip('10.0.0.2')]);
});
