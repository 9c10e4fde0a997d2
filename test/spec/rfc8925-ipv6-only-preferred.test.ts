import assert from 'node:assert/strict';
import { test } from 'node:test';
import { malformed, refused, shown, wire } from '../support/option-wire.ts';

test('RFC 8925 §3.1: the server MUST set the length field to 4', () => {
  assert.equal(wire('v6-only-preferred', 1800), '00000708');
  assert.equal(shown(108, '00000708'), 1800);
  assert.equal(malformed(108, '000708'), true);
  assert.equal(malformed(108, '0000070800'), true);
  assert.equal(malformed(108, ''), true);
});

test('RFC 8925 §3.4: V6ONLY_WAIT MUST NOT be less than MIN_V6ONLY_WAIT (300) seconds', () => {
  assert.equal(wire(108, 300), '0000012c');
  assert.match(refused(108, 299), /from 300 to 4294967295/);
});

test('RFC 8925 §3.1: without a configured V6ONLY_WAIT the server MUST set the field to zero', () => {
  assert.equal(wire(108, 0), '00000000');
});
