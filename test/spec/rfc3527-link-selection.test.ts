/** RFC 3527: the link selection sub-option (5) of relay agent information. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { ip } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { address, relayInformation, selected } from '../support/relayed-requests.ts';

const selecting = (text: string, fields: ClientFields = {}): ClientFields =>
  ({ giaddr: ip('10.0.0.1'), relayAgentInformation: relayInformation([1, Buffer.from('port')], [5, address(text)]), ...fields });

test('RFC 3527 §3: the server MUST allocate the address on the subnet specified in the link-selection sub-option, or on the same link', () => {
  assert.equal(selected(selecting('10.0.1.0')), 1);
  assert.equal(selected(selecting('10.0.1.0', { giaddr: ip('192.0.2.1') })), 1, 'whatever giaddr says');
  for (const type of [1, 3, 4, 8]) assert.equal(selected(selecting('10.0.2.0'), { type }), 2, `message type ${type}`);
});

test('RFC 3527 §3: the sub-option contains an address of the subnet: any of them determines it', () => {
  for (const text of ['10.0.1.0', '10.0.1.77', '10.0.1.255']) assert.equal(selected(selecting(text)), 1, text);
});

test('RFC 3527 §3: the link-selection sub-option MUST be used in preference to the subnet-selection option', () => {
  assert.equal(selected(selecting('10.0.1.0', { options: { 118: address('10.0.2.0') } })), 1);
  assert.equal(selected(selecting('192.0.2.0', { options: { 118: address('10.0.2.0') } })), 'no-subnet');
});

test('RFC 3527 §3: the server MUST NOT offer an address that is not on the requested subnet or its link', () => {
  assert.equal(selected(selecting('192.0.2.0')), 'no-subnet');
  assert.equal(selected({ giaddr: ip('10.0.0.1'), relayAgentInformation: relayInformation([5, Buffer.of(10, 0, 1)]) }), 'bad-option', 'one that cannot be read');
});

test('RFC 3527 §3: the handling of DHCPDISCOVER for an unknown subnet continues to operate unchanged: it gets no answer', () => {
  assert.equal(typeof selected({ giaddr: ip('192.0.2.1') }), 'string');
  assert.equal(typeof selected(selecting('192.0.2.0', { giaddr: ip('192.0.2.1') })), 'string');
});

test('RFC 3527 §3: the relay agent adds it whenever it sets giaddr: without one no relay has said it', () => {
  assert.equal(selected(selecting('10.0.1.0', { giaddr: 0 })), 0);
});
