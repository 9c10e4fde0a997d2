/** RFC 6925: the relay agent identifier sub-option (12) of relay agent information. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { relayId } from '../../node/server/relay.ts';
import { ip } from '../support/client-packets.ts';
import { relayInformation, requestMessage } from '../support/relayed-requests.ts';

const giaddr = ip('10.0.0.1');

test('RFC 6925 §4: the identifier is the data of sub-option 12', () => {
  const identifier = Buffer.from('00112233-4455-6677');
  const message = requestMessage({ giaddr, relayAgentInformation: relayInformation([1, Buffer.of(12, 1, 1)], [12, identifier]) });
  assert.deepEqual(relayId(message), identifier);
  assert.equal(relayId(requestMessage({ giaddr, relayAgentInformation: relayInformation([1, Buffer.of(12, 1, 1)]) })), undefined);
});

test('RFC 6925 §4: the minimum length is one', () => {
  assert.deepEqual(relayId(requestMessage({ giaddr, relayAgentInformation: relayInformation([12, Buffer.of(0)]) })), Buffer.of(0));
  assert.equal(relayId(requestMessage({ giaddr, relayAgentInformation: relayInformation([12, Buffer.alloc(0)]) })), undefined);
});
