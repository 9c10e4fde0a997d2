/** RFC 6607: virtual subnet selection (option 221, sub-options 151 and 152), by a server that has the global network only. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { echoedRelayInformation, echoedVirtualSubnet, namesVirtualSubnet } from '../../node/server/relay.ts';
import { ip } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { relayInformation, requestMessage, selected } from '../support/relayed-requests.ts';

const giaddr = ip('10.0.1.1');
const GLOBAL = Buffer.of(255);
const BLUE = Buffer.from('\0blue');
const VPN_ID = Buffer.of(1, 0, 0, 1, 0, 0, 0, 7);
const NONE = Buffer.alloc(0);

const byRelay = (network: Buffer): ClientFields => ({ giaddr, relayAgentInformation: relayInformation([1, Buffer.of(7)], [151, network], [152, NONE]) });
const byClient = (network: Buffer): ClientFields => ({ giaddr, options: { 221: network } });

test('RFC 6607 §7: a DHCP server may choose to attempt to allocate an address using the VSS information and, if this is impossible, to not allocate an address', () => {
  for (const network of [BLUE, VPN_ID]) {
    assert.equal(selected(byRelay(network)), 'virtual-subnet');
    assert.equal(selected(byClient(network)), 'virtual-subnet');
  }
});

test('RFC 6607 §4: the same address in another network is another address: no message about one changes or tells of ours', () => {
  for (const type of [3, 4, 7, 8]) {
    assert.equal(selected({ ...byRelay(BLUE), ciaddr: ip('10.0.1.9') }, { type, unicast: true }), 'virtual-subnet');
    assert.equal(selected({ ciaddr: ip('10.0.1.9'), options: { 221: BLUE } }, { type, unicast: true }), 'virtual-subnet');
  }
});

test('RFC 6607 §7: where the Type field is 255, the VSS option denotes the global, default VPN', () => {
  assert.equal(selected(byRelay(GLOBAL)), 1);
  assert.equal(selected(byClient(GLOBAL)), 1);
});

test('RFC 6607 §3.5: with type 255 there MUST NOT be any VSS information, and the length MUST be 1; other types are unassigned', () => {
  for (const network of [Buffer.of(255, 1), NONE, Buffer.of(2), Buffer.of(254, 255)]) {
    assert.equal(namesVirtualSubnet(requestMessage(byRelay(network))), true);
    assert.equal(namesVirtualSubnet(requestMessage(byClient(network))), true);
  }
});

test('RFC 6607 §7: a server that does not receive a VSS-Control sub-option MUST process the VSS sub-option in the same fashion', () => {
  const without = (network: Buffer): ClientFields => ({ giaddr, relayAgentInformation: relayInformation([151, network]) });
  assert.equal(selected(without(BLUE)), 'virtual-subnet');
  assert.equal(selected(without(GLOBAL)), 1);
});

test('RFC 6607 §7.1: servers MUST return an instance of the option if they successfully use it, and an exact copy', () => {
  assert.deepEqual(echoedVirtualSubnet(requestMessage(byClient(GLOBAL))), GLOBAL);
});

test('RFC 6607 §7.1: the VSS option code in the Parameter Request List should not change the decision to return the option', () => {
  assert.equal(echoedVirtualSubnet(requestMessage({ giaddr, parameters: [221] })), undefined);
  assert.deepEqual(echoedVirtualSubnet(requestMessage({ ...byClient(GLOBAL), parameters: [1] })), GLOBAL);
});

test('RFC 6607 §7.2: a server that supports the VSS sub-option MUST copy the VSS sub-option and MUST NOT copy the VSS-Control sub-option', () => {
  assert.deepEqual(echoedRelayInformation(requestMessage(byRelay(GLOBAL))), relayInformation([1, Buffer.of(7)], [151, GLOBAL]));
});

test('RFC 6607 §8: the entire contents of the Relay Agent Information option are echoed, except if otherwise specified for a sub-option', () => {
  const information = relayInformation([2, Buffer.of(152, 0)], [200, NONE], [1, Buffer.of(7)]);
  assert.deepEqual(echoedRelayInformation(requestMessage({ giaddr, relayAgentInformation: information })), information);
});

test('RFC 6607 §7.3: the VSS sub-option takes precedence over the VSS option', () => {
  assert.equal(selected({ ...byRelay(GLOBAL), options: { 221: BLUE } }), 1);
  assert.equal(selected({ ...byRelay(BLUE), options: { 221: GLOBAL } }), 'virtual-subnet');
});

test('RFC 6607 §7.3: all VSS options and sub-options MUST be replicated and MUST contain only the VSS information that was used', () => {
  const message = requestMessage({ ...byRelay(GLOBAL), options: { 221: BLUE } });
  assert.deepEqual(echoedVirtualSubnet(message), GLOBAL);
  assert.deepEqual(echoedRelayInformation(message), relayInformation([1, Buffer.of(7)], [151, GLOBAL]));
});
