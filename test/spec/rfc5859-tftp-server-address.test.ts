import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definition, malformed, shown, wire } from '../support/option-wire.ts';

test('RFC 5859 §3: the option contains one or more IPv4 addresses, in order of preference', () => {
  assert.equal(wire('tftp-server-address', ['10.0.0.2', '10.0.0.1']), '0a0000020a000001');
  assert.deepEqual(shown(150, '0a0000020a000001'), ['10.0.0.2', '10.0.0.1']);
});

test('RFC 5859 §3: the length MUST be an integral multiple of 4 octets, at least 4', () => {
  assert.equal(malformed(150, ''), true);
  assert.equal(malformed(150, '0a00000100'), true);
});

test('RFC 5859 §3: it is intended only to be returned from the DHCP server', () => {
  assert.equal(definition(150).origin, 'configuration');
});
