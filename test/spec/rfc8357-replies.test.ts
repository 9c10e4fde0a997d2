/** RFC 8357: the relay source port sub-option (19) in whole exchanges. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { discover, ip, request } from '../support/client-packets.ts';
import { packetsOf, replyOf, TestServer } from '../support/dhcp-server.ts';
import { relayInformation } from '../support/relayed-requests.ts';

const RELAY = ip('10.0.0.1');
const fields = { giaddr: RELAY, relayAgentInformation: relayInformation([19, Buffer.alloc(0)]) };
const FROM_RELAY = { unicast: true, sourceAddress: RELAY, sourcePort: 4011 };

test('RFC 8357 §5.1: the server MUST use the UDP source port of the message as the destination port of the reply to the relay, whatever the reply is', () => {
  const server = new TestServer();
  const offer = server.receive(discover(fields), FROM_RELAY);
  const { yiaddr } = replyOf(offer);
  const ack = server.receive(request({ ...fields, requestedAddress: yiaddr, serverIdentifier: ip('10.0.0.2') }), FROM_RELAY);
  const nak = server.receive(request({ ...fields, requestedAddress: ip('192.0.2.1'), xid: 2 }), FROM_RELAY);
  for (const [decision, type] of [[offer, 2], [ack, 5], [nak, 6]] as const) {
    const [packet] = packetsOf(decision);
    assert.deepEqual([replyOf(decision).type, packet!.address, packet!.port], [type, RELAY, 4011]);
  }
});

test('RFC 8357 §3.1: without the sub-option the reply goes to port 67 of the relay', () => {
  const server = new TestServer();
  const [packet] = packetsOf(server.receive(discover({ giaddr: RELAY }), FROM_RELAY));
  assert.deepEqual([packet!.address, packet!.port], [RELAY, 67]);
});

test('RFC 8357 §5.1: the port is the relay\'s: what goes to the client itself goes to its own port', () => {
  const server = new TestServer();
  const { yiaddr } = replyOf(server.receive(discover(fields), FROM_RELAY));
  server.receive(request({ ...fields, requestedAddress: yiaddr, serverIdentifier: ip('10.0.0.2') }), FROM_RELAY);
  const renewal = server.receive(request({ ...fields, giaddr: 0, ciaddr: yiaddr, xid: 2 }), { ...FROM_RELAY, sourceAddress: yiaddr });
  const [packet] = packetsOf(renewal);
  assert.deepEqual([packet!.address, packet!.port], [yiaddr, 68]);
});
