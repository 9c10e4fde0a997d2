/** RFC 5107: the server identifier override sub-option (11) of relay agent information. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { serverIdentifierOverride, storedServerIdentifierOverride } from '../../node/server/relay.ts';
import { ip } from '../support/client-packets.ts';
import { address, relayInformation, requestMessage } from '../support/relayed-requests.ts';

const RELAY = ip('10.0.0.1');

test('RFC 5107 §4: servers MUST use this value, if present in a message, as the value of the Server Identifier option', () => {
  const relayAgentInformation = relayInformation([1, Buffer.from('port')], [11, address('10.9.9.9')]);
  for (const type of [1, 3, 8]) assert.equal(serverIdentifierOverride(requestMessage({ giaddr: RELAY, relayAgentInformation }, type)), ip('10.9.9.9'));
  assert.equal(serverIdentifierOverride(requestMessage({ giaddr: RELAY, relayAgentInformation: relayInformation([1, Buffer.of(11, 4, 1, 1)]) })), 0);
  assert.equal(serverIdentifierOverride(requestMessage({ giaddr: RELAY })), 0);
});

test('RFC 5107 §4: The option length (n) is 4: a sub-option of another length overrides nothing', () => {
  for (const length of [0, 3, 5]) {
    const message = requestMessage({ giaddr: RELAY, relayAgentInformation: relayInformation([11, Buffer.alloc(length, 1)]) });
    assert.equal(serverIdentifierOverride(message), 0, String(length));
  }
});

test('RFC 5107 §4: The DHCP relay agent should fill in the giaddr field when relaying the message: without it nobody overrides', () => {
  assert.equal(serverIdentifierOverride(requestMessage({ relayAgentInformation: relayInformation([11, address('10.9.9.9')]) })), 0);
});

test('RFC 5107 §4: The DHCP server must also record the address for use in subsequent messages to the client', () => {
  assert.equal(storedServerIdentifierOverride(relayInformation([2, Buffer.of(1)], [11, address('10.9.9.9')])), ip('10.9.9.9'));
  assert.equal(storedServerIdentifierOverride(relayInformation([2, Buffer.of(1)])), 0);
});
