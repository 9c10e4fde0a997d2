/** RFC 6607: virtual subnet selection in whole exchanges, by a server that has the global network only. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { discover, ip, release, request } from '../support/client-packets.ts';
import { packetsOf, replyOf, TestServer } from '../support/dhcp-server.ts';
import { relayInformation } from '../support/relayed-requests.ts';

const giaddr = ip('10.0.0.1');
const GLOBAL = Buffer.of(255);
const BLUE = Buffer.from('\0blue');
const NONE = Buffer.alloc(0);
const SERVER = ip('10.0.0.2');

test('RFC 6607 §7.2: a server that does not honor the sub-option MUST NOT echo either sub-option: a request for a virtual network gets no answer', () => {
  const server = new TestServer();
  const relayAgentInformation = relayInformation([151, BLUE], [152, NONE]);
  assert.deepEqual(packetsOf(server.receive(discover({ giaddr, relayAgentInformation }))), []);
  assert.deepEqual(packetsOf(server.receive(discover({ giaddr, options: { 221: BLUE }, xid: 2 }))), []);
  assert.deepEqual(server.drops(), { 'virtual-subnet': 2 });
});

test('RFC 6607 §4: the same address in another network is another address: its release ends no lease here', () => {
  const server = new TestServer();
  const { yiaddr } = replyOf(server.receive(discover({ giaddr })));
  server.receive(request({ giaddr, requestedAddress: yiaddr, serverIdentifier: SERVER }));
  const relayAgentInformation = relayInformation([151, BLUE], [152, NONE]);
  assert.deepEqual(server.receive(release({ giaddr, ciaddr: yiaddr, serverIdentifier: SERVER, xid: 2, relayAgentInformation })).changes, []);
  assert.deepEqual(server.drops(), { 'virtual-subnet': 1 });
});

test('RFC 6607 §7.2: a server that supports the VSS sub-option MUST copy it, and MUST NOT copy the VSS-Control sub-option, into the outgoing option', () => {
  const server = new TestServer();
  const relayAgentInformation = relayInformation([1, Buffer.of(7)], [152, NONE], [151, GLOBAL]);
  const offer = replyOf(server.receive(discover({ giaddr, relayAgentInformation })));
  assert.deepEqual(offer.option(82), relayInformation([1, Buffer.of(7)], [151, GLOBAL]));
  const ack = replyOf(server.receive(request({ giaddr, relayAgentInformation, requestedAddress: offer.yiaddr, serverIdentifier: SERVER })));
  assert.deepEqual(ack.option(82), relayInformation([1, Buffer.of(7)], [151, GLOBAL]));
});

test('RFC 6607 §7.1: servers receiving a VSS option MUST return an instance of it if they successfully use it to allocate an IP address', () => {
  const server = new TestServer();
  const fields = { giaddr, options: { 221: GLOBAL }, parameters: [1] };
  const offer = replyOf(server.receive(discover(fields)));
  assert.deepEqual(offer.option(221), GLOBAL);
  assert.deepEqual(replyOf(server.receive(request({ ...fields, requestedAddress: offer.yiaddr, serverIdentifier: SERVER }))).option(221), GLOBAL);
  assert.equal(replyOf(server.receive(discover({ giaddr, parameters: [1, 221], xid: 2 }))).has(221), false);
});
