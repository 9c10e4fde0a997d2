/** RFC 3046: what the sub-options of relay agent information look like, and what is made of them. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { ClassMatcher } from '../../node/classes/matcher.ts';
import type { ClassConfig } from '../../node/classes/types.ts';
import { circuitId, remoteId } from '../../node/server/relay.ts';
import { ip } from '../support/client-packets.ts';
import { relayInformation, requestMessage, selected } from '../support/relayed-requests.ts';

const giaddr = ip('10.0.0.1');
const ids = (relayAgentInformation: Buffer): (string | undefined)[] => {
  const message = requestMessage({ giaddr, relayAgentInformation });
  return [circuitId(message)?.toString('hex'), remoteId(message)?.toString('hex')];
};

test('RFC 3046 §2.0: the sub-options need not appear in sub-option code order', () => {
  assert.deepEqual(ids(relayInformation([2, Buffer.of(9)], [1, Buffer.of(7)])), ['07', '09']);
});

test('RFC 3046 §2.0: a sub-option length may be zero', () => {
  assert.deepEqual(ids(relayInformation([1, Buffer.alloc(0)], [2, Buffer.of(9)])), ['', '09']);
});

test('RFC 3046 §2.0: No "pad" sub-option is defined, and the field shall NOT be terminated with a 255 sub-option: codes 0 and 255 have lengths', () => {
  assert.deepEqual(ids(relayInformation([0, Buffer.of(1, 1)], [255, Buffer.of(2, 2)], [1, Buffer.of(7)], [2, Buffer.of(9)])), ['07', '09']);
});

test('RFC 3046 §3.1, §3.2: policies are based on exact string match only', () => {
  const classConfig: ClassConfig = {
    index: 0, name: 'port', overlay: { options: [] }, drop: false,
    condition: { kind: 'test', subject: { from: 'option', code: 82, path: [1] }, test: { kind: 'equals', values: [Buffer.from('port 1')] } },
  };
  const matcher = new ClassMatcher([classConfig]);
  const isIn = (circuit: Buffer): boolean =>
    matcher.match({ message: requestMessage({ giaddr, relayAgentInformation: relayInformation([1, circuit]) }), interfaceName: 'eth0', known: false }).has(0);
  assert.equal(isIn(Buffer.from('port 1')), true);
  for (const other of ['port 1\0', 'port 10', 'Port 1', 'port', '']) assert.equal(isIn(Buffer.from(other)), false, JSON.stringify(other));
});

test('RFC 3046 §2.2: Servers SHOULD be prepared to handle relay agent options in unicast messages', () => {
  const message = requestMessage({ ciaddr: ip('10.0.0.9'), relayAgentInformation: relayInformation([1, Buffer.of(7)]) }, 3);
  assert.equal(circuitId(message)?.toString('hex'), '07', 'of a relay that monitors what passes it, without giaddr');
});

test('RFC 3046 §2.1.1: a relay agent shall NOT modify a giaddr that is set: of several relays the first one says which subnet is meant', () => {
  assert.equal(selected({ giaddr: ip('10.0.1.1'), hops: 3, relayAgentInformation: relayInformation([1, Buffer.of(7)]) }), 1);
});
