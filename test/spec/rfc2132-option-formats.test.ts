import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OptionCatalogue } from '../../node/codec/options.ts';
import { ascii, definition, malformed, refused, shown, wire } from '../support/option-wire.ts';

test('RFC 2132 §3 to §9: every option has a row in the table', () => {
  // 1 to 61 and 64 to 76 are RFC 2132's, but for pad and end; 62 and 63 are RFC 2242's.
  for (let code = 1; code <= 76; code++) assert.notEqual(definition(code).rfc, '', `option ${code}`);
});

test('RFC 2132 §3.4: the time offset is expressed as a two\'s complement 32-bit integer', () => {
  assert.equal(wire('time-offset', -3600), 'fffff1f0');
  assert.equal(shown(2, 'fffff1f0'), -3600);
});

test('RFC 2132: of the options with lists of addresses the length MUST be a multiple of 4, at least 4', () => {
  for (const { code, type, array, minCount } of OptionCatalogue.standard.options) {
    if (type !== 'ip' || !array) continue;
    assert.equal(malformed(code, '0a0000'), true);
    assert.equal(malformed(code, '0a000001ff'), true);
    assert.equal(malformed(code, '0a000001'), false);
    assert.equal(malformed(code, ''), minCount !== 0);
  }
});

test('RFC 2132 §8.13: the minimum length of the Mobile IP home agent option is 0, no home agents are available', () => {
  assert.equal(wire('mobile-ip-home-agent', []), '');
});

test('RFC 2132 §4.3 and §5.8: the length of policy filters and static routes MUST be a multiple of 8', () => {
  assert.equal(wire('policy-filter', [['10.1.0.0', '255.255.0.0']]), '0a010000ffff0000');
  for (const code of [21, 33]) {
    assert.equal(malformed(code, '0a010000'), true);
    assert.equal(malformed(code, '0a0100000a000001'), false);
  }
});

test('RFC 2132 §5.8: the default route (0.0.0.0) is an illegal destination for a static route', () => {
  refused('static-routes', [['0.0.0.0', '10.0.0.1']]);
  assert.equal(malformed(33, '000000000a000001'), true);
});

test('RFC 2132 §4.4: the minimum legal value of the maximum datagram reassembly size is 576', () => {
  refused('max-dgram-reassembly', 575);
  assert.equal(wire('max-dgram-reassembly', 576), '0240');
});

test('RFC 2132 §4.5 and §7.1: a time-to-live lies between 1 and 255', () => {
  for (const name of ['default-ip-ttl', 'default-tcp-ttl']) {
    refused(name, 0);
    refused(name, 256);
    assert.equal(wire(name, 255), 'ff');
  }
});

test('RFC 2132 §4.7 and §5.1: an MTU cannot be smaller than 68', () => {
  refused('interface-mtu', 67);
  refused('path-mtu-plateau-table', [1500, 67]);
  assert.equal(wire('path-mtu-plateau-table', [68, 1500]), '004405dc');
});

test('RFC 2132 §8.7: the NetBIOS node types are 0x1, 0x2, 0x4 and 0x8', () => {
  for (let value = 0; value <= 255; value++) {
    if ([1, 2, 4, 8].includes(value)) wire('netbios-node-type', value);
    else refused('netbios-node-type', value);
  }
});

test('RFC 2132 §2: options with text SHOULD NOT include a trailing NULL, and the receiver MUST be prepared to delete them', () => {
  assert.equal(wire('host-name', 'printer'), '7072696e746572');
  assert.equal(shown(12, '7072696e74657200'), 'printer');
});

test('RFC 2132 §9.6: the message types are 1 to 8', () => {
  assert.equal(shown(53, '01'), 'discover');
  assert.equal(shown(53, '08'), 'inform');
  assert.equal(malformed(53, '00'), true);
});

test('RFC 2132 §9.14: the minimum length of a client identifier is 2', () => {
  assert.equal(malformed(61, '01'), true);
  assert.equal(shown(61, '0102'), '01:02');
});

test('RFC 2132 §8.4: the code for vendor specific information is 43 and its minimum length is 1', () => {
  assert.equal(malformed(43, ''), true);
  assert.equal(shown(43, '41'), '41');
});

test('RFC 2132 §8.4: the vendor may define several items, encoded as a sequence of code/length/value fields', () => {
  assert.equal(wire(43, { 1: '0a:00:00:01', 2: 'ff' }), '01040a000001 0201ff'.replaceAll(' ', ''));
  assert.deepEqual(shown(43, '01040a000001 0201ff'), { 1: '0a:00:00:01', 2: 'ff' });
  refused(43, { 0: '01' });
  refused(43, { 255: '01' });
});

test('RFC 2132 §8.4: code 255 (END), if present, signifies the end of the encapsulated vendor extensions', () => {
  assert.deepEqual(shown(43, '0101aa ff 0201bb'), { 1: 'aa' });
  assert.deepEqual(shown(43, '00 0101aa 0000'), { 1: 'aa' });
});

test('RFC 2132 §8.4: the information is an opaque object of n octets, when it is no such sequence', () => {
  assert.equal(shown(43, ascii('http://10.0.0.1')), '68:74:74:70:3a:2f:2f:31:30:2e:30:2e:30:2e:31');
  assert.equal(wire(43, '68:74'), '6874');
});
