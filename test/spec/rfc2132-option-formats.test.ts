import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findOption, formatOptionValue, OPTIONS, parseOptionValue } from '../../node/codec/options.ts';

/** Wire bytes in hexadecimal of a configured value. */
function wire(name: string, value: unknown): string {
  const result = parseOptionValue(name, value);
  assert.ok(result.ok, name);
  return result.value.toString('hex');
}

const malformed = (code: number, hex: string): boolean => {
  const json = formatOptionValue(code, Buffer.from(hex, 'hex'));
  return typeof json === 'object' && 'malformed' in json;
};

test('RFC 2132 §3 to §9: every option has a row in the table', () => {
  // 1 to 61 and 64 to 76 are RFC 2132's, but for pad and end; 62 and 63 are RFC 2242's.
  for (let code = 1; code <= 76; code++) assert.notEqual(findOption(code)?.rfc, '', `option ${code}`);
});

test('RFC 2132 §3.4: the time offset is expressed as a two\'s complement 32-bit integer', () => {
  assert.equal(wire('time-offset', -3600), 'fffff1f0');
  assert.equal(formatOptionValue(2, Buffer.from('fffff1f0', 'hex')), -3600);
});

test('RFC 2132: of the options with lists of addresses the length MUST be a multiple of 4, at least 4', () => {
  for (const { code, type, minCount } of OPTIONS) {
    if (type !== 'ip-list') continue;
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
  assert.equal(parseOptionValue('static-routes', [['0.0.0.0', '10.0.0.1']]).ok, false);
  assert.equal(malformed(33, '000000000a000001'), true);
});

test('RFC 2132 §4.4: the minimum legal value of the maximum datagram reassembly size is 576', () => {
  assert.equal(parseOptionValue('max-dgram-reassembly', 575).ok, false);
  assert.equal(wire('max-dgram-reassembly', 576), '0240');
});

test('RFC 2132 §4.5 and §7.1: a time-to-live lies between 1 and 255', () => {
  for (const name of ['default-ip-ttl', 'default-tcp-ttl']) {
    assert.equal(parseOptionValue(name, 0).ok, false);
    assert.equal(parseOptionValue(name, 256).ok, false);
    assert.equal(wire(name, 255), 'ff');
  }
});

test('RFC 2132 §4.7 and §5.1: an MTU cannot be smaller than 68', () => {
  assert.equal(parseOptionValue('interface-mtu', 67).ok, false);
  assert.equal(parseOptionValue('path-mtu-plateau-table', [1500, 67]).ok, false);
  assert.equal(wire('path-mtu-plateau-table', [68, 1500]), '004405dc');
});

test('RFC 2132 §8.7: the NetBIOS node types are 0x1, 0x2, 0x4 and 0x8', () => {
  for (let value = 0; value <= 255; value++) {
    assert.equal(parseOptionValue('netbios-node-type', value).ok, [1, 2, 4, 8].includes(value), String(value));
  }
});

test('RFC 2132 §2: options with text SHOULD NOT include a trailing NULL, and the receiver MUST be prepared to delete them', () => {
  assert.equal(wire('host-name', 'printer'), '7072696e746572');
  assert.equal(formatOptionValue(12, Buffer.from('7072696e74657200', 'hex')), 'printer');
});

test('RFC 2132 §9.6: the message types are 1 to 8', () => {
  assert.equal(formatOptionValue(53, Buffer.from([1])), 'discover');
  assert.equal(formatOptionValue(53, Buffer.from([8])), 'inform');
  assert.equal(malformed(53, '00'), true);
});

test('RFC 2132 §9.14: the minimum length of a client identifier is 2', () => {
  assert.equal(malformed(61, '01'), true);
  assert.equal(formatOptionValue(61, Buffer.from([1, 2])), '01:02');
});
