import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definition, malformed, refused, shown, wire } from '../support/option-wire.ts';

test('RFC 4039 §4: the code for the Rapid Commit option is 80, its length 0', () => {
  assert.equal(wire('rapid-commit', true), '');
  assert.equal(shown(80, ''), true);
  assert.equal(malformed(80, '01'), true);
  refused(80, false);
});

test('RFC 4039 §4: a server MUST include this option in a DHCPACK message sent in a response to a DHCPDISCOVER, and nobody configures it', () => {
  assert.equal(definition(80).origin, 'server');
});
