import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ascii, malformed, refused, shown, wire } from '../support/option-wire.ts';

test('RFC 3004 §4: value consists of one or more instances of User Class Data, each after its length', () => {
  assert.equal(wire('user-class', ['lab', 'pxe-client']), `03${ascii('lab')}0a${ascii('pxe-client')}`);
  assert.deepEqual(shown(77, `03${ascii('lab')}0a${ascii('pxe-client')}`), ['lab', 'pxe-client']);
});

test('RFC 3004 §4: each User Class value is indicated as an opaque field', () => {
  assert.deepEqual(shown(77, '0301ff02'), [{ hex: '01:ff:02' }]);
  assert.equal(wire(77, [{ hex: '01:ff:02' }]), '0301ff02');
});

test('RFC 3004 §4: UC_Len_i MUST be non-zero', () => {
  refused(77, ['']);
  refused(77, []);
  assert.deepEqual(shown(77, '00'), { hex: '00' });
  assert.deepEqual(shown(77, `03${ascii('lab')}00`), { hex: '03:6c:61:62:00' });
  assert.equal(malformed(77, ''), true);
});

test('RFC 3004 §4: a client that sends its class without a length (as many do) is shown and matched by that', () => {
  assert.equal(shown(77, ascii('iPXE')), 'iPXE');
  assert.equal(wire(77, 'iPXE'), ascii('iPXE'));
});

test('RFC 3004 §4: a bare class that would be read as instances is not written', () => {
  const looksLikeOne = `!${'x'.repeat(33)}`;
  assert.deepEqual(shown(77, ascii(looksLikeOne)), ['x'.repeat(33)]);
  refused(77, looksLikeOne);
});
