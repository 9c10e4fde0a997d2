/** RFC 3011: the subnet selection option (118), as the selection of a subnet sees it. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { echoedSubnetSelection } from '../../node/server/relay.ts';
import { ip } from '../support/client-packets.ts';
import { address, requestMessage, selected } from '../support/relayed-requests.ts';

const asking = (text: string): { giaddr: number; options: Record<number, Buffer> } => ({ giaddr: ip('10.0.0.1'), options: { 118: address(text) } });

test('RFC 3011 §2: a server configured to respond to this option MUST allocate the address on the subnet specified in it, or on the same network segment', () => {
  assert.equal(selected(asking('10.0.1.0')), 1);
  assert.equal(selected({ options: { 118: address('10.0.2.0') } }), 2, 'by a client on the link of the server too');
  assert.equal(selected({ ciaddr: ip('10.0.0.9'), options: { 118: address('10.0.2.0') } }, { type: 3, unicast: true }), 2);
});

test('RFC 3011 §2: the subnet address is determined by taking any IPv4 address on the subnet', () => {
  for (const text of ['10.0.1.0', '10.0.1.77', '10.0.1.255']) assert.equal(selected(asking(text)), 1, text);
});

test('RFC 3011 §2: the server MUST NOT offer an address that is not on the requested subnet or network segment; a DHCPDISCOVER for an unknown subnet is handled as ever', () => {
  assert.equal(selected(asking('192.0.2.0')), 'no-subnet');
});

test('RFC 3011 §2: servers configured to support this option MUST return an identical copy of it, regardless of the parameter request list', () => {
  for (const parameters of [undefined, [1, 3], [118]]) {
    const message = requestMessage({ ...asking('10.0.1.77'), ...(parameters === undefined ? {} : { parameters }) });
    assert.deepEqual(echoedSubnetSelection(message, true), address('10.0.1.77'));
  }
  assert.equal(echoedSubnetSelection(requestMessage({ giaddr: ip('10.0.0.1'), parameters: [118] }), true), undefined, 'only to a client that sends it');
});

test('RFC 3011 §2: servers that are configured to ignore the option MUST ignore it, use their normal algorithms, and MUST NOT return it', () => {
  const disabled = { subnetSelection: false };
  assert.equal(selected(asking('10.0.1.0'), disabled), 0);
  assert.equal(selected({ options: { 118: address('10.0.1.0') } }, disabled), 0);
  assert.equal(selected(asking('192.0.2.0'), disabled), 0);
  assert.equal(echoedSubnetSelection(requestMessage(asking('10.0.1.0')), false), undefined);
});
