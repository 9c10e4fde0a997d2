import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definition, malformed, refused, shown, wire } from '../support/option-wire.ts';

test('RFC 4578 §2.1: octet "n" MUST be an even number greater than zero', () => {
  assert.deepEqual(shown('client-system', '0007'), [7]);
  assert.deepEqual(shown(93, '00000009'), [0, 9]);
  assert.equal(malformed(93, ''), true);
  assert.equal(malformed(93, '000700'), true);
  assert.equal(wire(93, [0, 9]), '00000009');
});

test('RFC 4578 §2.2: the network interface identifier is a type, a major and a minor revision', () => {
  // "To encode the UNDI revision of 2.11, "M" would be set to 2, and "m" would be set to 11 (0x0B)."
  assert.equal(wire('client-ndi', { type: 1, major: 2, minor: 11 }), '01020b');
  assert.deepEqual(shown(94, '01020b'), { type: 1, major: 2, minor: 11 });
  assert.equal(malformed(94, '0102'), true);
  assert.equal(malformed(94, '01020b00'), true);
  refused(94, { type: 1, major: 2 });
});

test('RFC 4578 §2.3: octet "t" describes the type of the machine identifier in the remaining octets', () => {
  const guid = '00112233445566778899aabbccddeeff';
  assert.deepEqual(shown('uuid-guid', `00${guid}`), { type: 0, identifier: '00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff' });
  assert.equal(malformed(97, '00'), true);
});

test('RFC 4578 §2.4: the format and contents of options 128 through 135 are NOT defined', () => {
  for (let code = 128; code <= 135; code++) {
    assert.equal(definition(code).type, 'bytes');
    assert.equal(wire(code, '01:02'), '0102');
  }
});
