/** RFC 8357: the relay source port sub-option (19) of relay agent information. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { relayPort } from '../../node/server/relay.ts';
import { ip } from '../support/client-packets.ts';
import { relayInformation, requestMessage } from '../support/relayed-requests.ts';

const giaddr = ip('10.0.0.1');
const information = relayInformation([1, Buffer.of(19, 0)], [19, Buffer.alloc(0)]);

test('RFC 8357 §5.1: the server MUST use the UDP source port of a message with the sub-option as the destination port of the reply to the relay', () => {
  for (const port of [67, 1000, 65_535]) assert.equal(relayPort(requestMessage({ giaddr, relayAgentInformation: information }), port), port);
});

test('RFC 8357 §3.1: without the sub-option relay agents receive on port 67, whatever port they send from', () => {
  assert.equal(relayPort(requestMessage({ giaddr }), 1000), 67);
  assert.equal(relayPort(requestMessage({ giaddr, relayAgentInformation: relayInformation([1, Buffer.of(19, 0)]) }), 1000), 67);
});

test('RFC 8357 §4.1: the length is to be set to 0; a relay that sends more has asked for the same', () => {
  assert.equal(relayPort(requestMessage({ giaddr, relayAgentInformation: relayInformation([19, Buffer.of(3, 232)]) }), 4000), 4000);
});
