/** Which subnet is selected: relays, routers and interfaces of several subnets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ip } from '../support/client-packets.ts';
import { address, relayInformation, selected } from '../support/relayed-requests.ts';

const [REQUEST, RELEASE, INFORM] = [3, 7, 8];
const link = (text: string): Buffer => relayInformation([5, address(text)]);
const ELSEWHERE = '192.0.2.1';

test('link selection goes before option 118, that before giaddr, that before ciaddr, that before the interface', () => {
  const everything = {
    relayAgentInformation: link('10.0.2.0'), options: { 118: address('10.0.1.0') }, giaddr: ip('10.0.0.1'), ciaddr: ip(ELSEWHERE),
  };
  const where = { unicast: true, interfaces: [ELSEWHERE] };
  assert.equal(selected(everything, { type: REQUEST, ...where }), 2);
  assert.equal(selected({ ...everything, relayAgentInformation: Buffer.of(1, 0) }, { type: REQUEST, ...where }), 1);
  assert.equal(selected({ ...everything, relayAgentInformation: Buffer.of(1, 0), options: {} }, { type: REQUEST, ...where }), 0);
  assert.equal(selected({ ciaddr: ip('10.0.2.7') }, { type: REQUEST, unicast: true }), 2);
  assert.equal(selected({ ciaddr: ip('10.0.2.7') }, { type: REQUEST }), 0);
});

test('what was selected and is not served is not replaced by something else', () => {
  const giaddr = ip('10.0.0.1');
  assert.equal(selected({ giaddr, relayAgentInformation: link(ELSEWHERE), options: { 118: address('10.0.1.0') } }), 'no-subnet');
  assert.equal(selected({ giaddr, options: { 118: address(ELSEWHERE) } }), 'no-subnet');
  assert.equal(selected({ giaddr, relayAgentInformation: link('0.0.0.0') }), 'no-subnet');
  assert.equal(selected({ ciaddr: ip(ELSEWHERE) }, { type: REQUEST, unicast: true }), 'no-subnet');
  assert.equal(selected({}, { interfaces: [ELSEWHERE] }), 'no-subnet');
  assert.equal(selected({}, { interfaces: [] }), 'no-subnet');
});

test('a relay in no subnet is counted by itself, unless it selects a link that is served', () => {
  assert.equal(selected({ giaddr: ip(ELSEWHERE) }), 'unknown-relay');
  assert.equal(selected({ giaddr: ip(ELSEWHERE), relayAgentInformation: link('10.0.1.9') }), 1);
  assert.equal(selected({ giaddr: ip(ELSEWHERE), options: { 118: address('10.0.1.0') } }), 1);
});

test('a link that is no address: no other link will do', () => {
  const giaddr = ip('10.0.0.1');
  assert.equal(selected({ giaddr, relayAgentInformation: Buffer.of(5, 3, 10, 0, 1) }), 'bad-option');
  assert.equal(selected({ giaddr, relayAgentInformation: Buffer.of(5, 0) }), 'bad-option');
  assert.equal(selected({ giaddr, options: { 118: Buffer.of(10, 0, 1, 0, 10) } }), 'bad-option');
  assert.equal(selected({ giaddr, options: { 118: Buffer.of(10) } }, { subnetSelection: false }), 0, 'it is not looked at');
  assert.equal(selected({ giaddr, relayAgentInformation: link('10.0.2.0'), options: { 118: Buffer.of(10) } }), 2);
});

test('a release is about the address that it names', () => {
  const fields = { ciaddr: ip('10.0.2.9'), giaddr: ip('10.0.0.1'), relayAgentInformation: link('10.0.1.0') };
  assert.equal(selected(fields, { type: RELEASE }), 2);
  assert.equal(selected({ ...fields, ciaddr: ip(ELSEWHERE) }, { type: RELEASE }), 'no-subnet');
  assert.equal(selected({ ...fields, ciaddr: 0 }, { type: RELEASE }), 1);
  assert.equal(selected(fields, { type: INFORM }), 1);
});

test('the ciaddr of a DHCPDISCOVER says nothing', () => {
  assert.equal(selected({ ciaddr: ip('10.0.2.9') }, { unicast: true }), 0);
  assert.equal(selected({ ciaddr: ip('10.0.2.9') }, { interfaces: ['10.0.0.2', '10.0.2.2'] }), 0);
});

test('an interface of several subnets: the one that the client asks for, else the first that is served', () => {
  const interfaces = [ELSEWHERE, '10.0.0.2', '10.0.2.2'];
  assert.equal(selected({}, { interfaces }), 0);
  assert.equal(selected({ requestedAddress: ip('10.0.2.9') }, { interfaces }), 2);
  assert.equal(selected({ ciaddr: ip('10.0.2.9') }, { type: REQUEST, interfaces }), 2, 'rebinding');
  assert.equal(selected({ requestedAddress: ip('10.0.1.9') }, { interfaces }), 0, 'a subnet of another interface');
  assert.equal(selected({ requestedAddress: ip('10.0.2.9') }, { interfaces: ['10.0.0.2'] }), 0);
});

test('messages about a virtual network are about no address of ours, whatever else they say', () => {
  const options = { 221: Buffer.from([0, 0x61]) };
  for (const type of [1, REQUEST, RELEASE, INFORM]) {
    assert.equal(selected({ ciaddr: ip('10.0.0.9'), options }, { type }), 'virtual-subnet');
    const relayAgentInformation = relayInformation([5, address('10.0.0.0')], [151, Buffer.of(0, 0x61)]);
    assert.equal(selected({ giaddr: ip(ELSEWHERE), relayAgentInformation }, { type }), 'virtual-subnet');
  }
});
