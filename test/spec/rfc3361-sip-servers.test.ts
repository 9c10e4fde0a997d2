import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labels, malformed, refused, shown, wire } from '../support/option-wire.ts';

test('RFC 3361 §3.1: with the encoding byte 0 a sequence of labels follows, encoded as RFC 1035 §3.1 says', () => {
  assert.equal(wire('sip-servers', ['example.com', 'example.net']), `00${labels('example.com')}${labels('example.net')}`);
  assert.deepEqual(shown(120, `00${labels('example.com')}${labels('example.net')}`), ['example.com', 'example.net']);
});

test('RFC 3361 §3.1: names may be compressed as RFC 1035 §4.1.4 says, for those who read them', () => {
  assert.deepEqual(shown(120, `00${labels('a.example.com')}0162c002`), ['a.example.com', 'b.example.com']);
});

test('RFC 3361 §3.2: with the encoding byte 1 a list of IPv4 addresses follows', () => {
  assert.equal(wire(120, ['10.0.0.1', '10.0.0.2']), '010a0000010a000002');
  assert.deepEqual(shown(120, '010a0000010a000002'), ['10.0.0.1', '10.0.0.2']);
  assert.equal(malformed(120, '010a0000'), true);
  assert.equal(malformed(120, '01'), true);
});

test('RFC 3361 §3: names and addresses cannot be mixed, and other encodings are unknown', () => {
  refused(120, ['example.com', '10.0.0.1']);
  refused(120, []);
  assert.equal(malformed(120, `02${labels('example.com')}`), true);
  assert.equal(malformed(120, ''), true);
  assert.equal(malformed(120, `00${labels('10.0.0.1')}`), true, 'a name that could not be told from an address');
});
