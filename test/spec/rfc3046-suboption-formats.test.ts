import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findSuboptionDefinition, parseOptionValue, readOptionValue } from '../../node/codec/options.ts';
import { ascii, malformed, refused, shown, wire } from '../support/option-wire.ts';

const suboption = (name: string, hex: string): unknown => readOptionValue(findSuboptionDefinition(name)!, Buffer.from(hex, 'hex'));

test('RFC 3046 §2.0: the agent information field consists of a sequence of SubOpt/Length/Value tuples for each sub-option', () => {
  const information = `0106${ascii('eth0/1')} 0206525400123456 05040a010000 0c03 00aabb`;
  const value = { 'circuit-id': 'eth0/1', 'remote-id': { hex: '52:54:00:12:34:56' }, 'link-selection': '10.1.0.0', 'relay-id': { hex: '00:aa:bb' } };
  assert.deepEqual(shown('dhcp-agent-options', information), value);
  assert.equal(wire(82, value), information.replaceAll(' ', ''));
});

test('RFC 3046 §2.0: at least one sub-option must be defined, the minimum length is two; a sub-option length may be zero', () => {
  assert.equal(malformed(82, ''), true);
  assert.equal(malformed(82, '01'), true);
  assert.deepEqual(shown(82, '0100'), { 'circuit-id': '' });
});

test('RFC 3046 §2.0: no "pad" sub-option is defined, and the field shall NOT be terminated with a 255 sub-option', () => {
  assert.deepEqual(shown(82, `0101${ascii('a')} 0000 ff00`), { 'circuit-id': 'a', 0: '', 255: '' });
  assert.equal(malformed(82, `0101${ascii('a')} ff`), true);
});

test('RFC 3046 §2.0: the length N of a sub-option may not reach past the field', () => {
  assert.equal(malformed(82, '01050102'), true);
  assert.equal(wire(82, { 'circuit-id': 'x'.repeat(255) }).slice(0, 4), '01ff');
  refused(82, { 'circuit-id': 'x'.repeat(256) });
});

test('RFC 3046 §2.0: two sub-options of one code have no form in which both could be shown', () => {
  assert.equal(malformed(82, `0101${ascii('a')} 0101${ascii('b')}`), true);
  refused(82, { 'circuit-id': 'a', 1: { hex: '62' } });
});

test('RFC 3046 §3.1: the circuit ID SHOULD be considered an opaque value', () => {
  assert.equal(suboption('circuit-id', ascii('Gi1/0/7:100')), 'Gi1/0/7:100');
  assert.deepEqual(suboption('circuit-id', '00040064010b'), { hex: '00:04:00:64:01:0b' });
  const matched = parseOptionValue(findSuboptionDefinition(1)!, { hex: '00:04:00:64:01:0b' });
  assert.ok(matched.ok && matched.value.equals(Buffer.from('00040064010b', 'hex')));
});

test('RFC 3527 §3 and RFC 5107 §4: link selection and server identifier override are one IPv4 address', () => {
  for (const name of ['link-selection', 'server-identifier-override']) {
    assert.equal(suboption(name, '0a010000'), '10.1.0.0');
    assert.equal(suboption(name, '0a0100'), undefined);
  }
});

test('RFC 5010 §3: the flags sub-option has one octet', () => {
  assert.equal(suboption('relay-agent-flags', '80'), 0x80);
  assert.equal(suboption('relay-agent-flags', '8000'), undefined);
});

test('RFC 6925 §4: the relay identifier has a minimum length of one', () => {
  assert.equal(suboption('relay-id', ''), undefined);
  assert.deepEqual(suboption('relay-id', '00030001525400123456'), { hex: '00:03:00:01:52:54:00:12:34:56' });
});

test('RFC 8357 §4.1 and RFC 6607 §3.3: the relay source port and the VSS control sub-option have a length of 0', () => {
  for (const name of ['relay-port', 'virtual-subnet-selection-control']) {
    assert.equal(suboption(name, ''), true);
    assert.equal(suboption(name, '0043'), undefined);
  }
});

test('RFC 6607 §3.5: a type and the information of that type', () => {
  assert.deepEqual(suboption('virtual-subnet-selection', `00${ascii('blue')}`), { type: 'nvt-ascii', information: 'blue' });
  assert.deepEqual(suboption('virtual-subnet-selection', 'ff'), { type: 'global', information: '' });
  assert.equal(suboption('virtual-subnet-selection', '07'), undefined, '2-254 are unassigned');
});

test('RFC 4243: the vendor-specific sub-option is kept by enterprise number', () => {
  assert.deepEqual(suboption('vendor-specific-information', '000009010401020304'), { 2305: { 1: '03:04' } });
});

test('RFC 3046 §2.0: a sub-option that breaks its own format is shown as bytes, and hides none of the others', () => {
  assert.deepEqual(shown(82, `0101${ascii('a')} 0502 0a01`), { 'circuit-id': 'a', 'link-selection': { hex: '0a:01' } });
});
