/** RFC 6925: the relay agent identifier sub-option (12) of relay agent information. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chaddrOf, discover, ip } from '../support/client-packets.ts';
import { replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import { relayInformation } from '../support/relayed-requests.ts';

const RESERVED = ip('10.0.0.7');

/** Whether a client behind the relay is given what is reserved for it. */
function isGiven(reserved: { readonly relayId: Buffer; readonly circuitId?: Buffer }, relayAgentInformation: Buffer, chaddr = chaddrOf(1)): boolean {
  const server = new TestServer({ subnets: [subnetConfig({ reservations: [{ ...reserved, address: RESERVED }] })] });
  return replyOf(server.receive(discover({ chaddr, giaddr: ip('10.0.0.1'), relayAgentInformation }))).yiaddr === RESERVED;
}

test('RFC 6925 §4: the identifier is the data of sub-option 12', () => {
  const relayId = Buffer.from('00112233-4455-6677');
  assert.equal(isGiven({ relayId }, relayInformation([1, Buffer.of(12, 1, 1)], [12, relayId])), true);
  assert.equal(isGiven({ relayId }, relayInformation([1, Buffer.of(12, 1, 1)])), false);
  assert.equal(isGiven({ relayId: Buffer.of(1) }, relayInformation([1, Buffer.of(12, 1, 1)])), false, 'what looks like one inside another is none');
});

test('RFC 6925 §4: the minimum length is one', () => {
  assert.equal(isGiven({ relayId: Buffer.of(0) }, relayInformation([12, Buffer.of(0)])), true);
  assert.equal(isGiven({ relayId: Buffer.of(0) }, relayInformation([12, Buffer.alloc(0)])), false);
});

test('RFC 6925 §3.2: something unique within the network element, such as a port, is combined with something that uniquely identifies that element', () => {
  const reserved = { relayId: Buffer.from('switch 1'), circuitId: Buffer.from('port 7') };
  const at = (relay: string, port: string): Buffer => relayInformation([1, Buffer.from(port)], [12, Buffer.from(relay)]);
  for (const n of [1, 2]) assert.equal(isGiven(reserved, at('switch 1', 'port 7'), chaddrOf(n)), true, 'whichever device is plugged in there');
  assert.equal(isGiven(reserved, at('switch 2', 'port 7')), false);
  assert.equal(isGiven(reserved, at('switch 1', 'port 8')), false);
});
