import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { domainName } from '../support/option-values.ts';
import { ascii, labels, malformed, shown, wire } from '../support/option-wire.ts';

test('RFC 3397 §3: the search list eng.apple.com. and marketing.apple.com.', () => {
  const encoded = `${labels('eng.apple.com')}09${ascii('marketing')}c004`;
  assert.equal(wire('domain-search', ['eng.apple.com.', 'marketing.apple.com.']), encoded);
  assert.deepEqual(shown(119, encoded), ['eng.apple.com', 'marketing.apple.com']);
});

test('RFC 3397 §2: an entire domain name or a list of labels at the end of one is replaced with a pointer to a prior occurrence', () => {
  assert.equal(wire(119, ['example.net', 'example.net']), `${labels('example.net')}c000`);
  assert.equal(wire(119, ['a.example.net', 'net', 'b.example.net']), `${labels('a.example.net')}c00a0162c002`);
  fc.assert(fc.property(fc.array(domainName, { minLength: 1, maxLength: 8 }), (names) => {
    const once = wire(119, names);
    assert.deepEqual(shown(119, once), names);
    assert.ok(once.length <= names.map((name) => wire(213, name)).join('').length);
    // What was there before needs two bytes a name, a root one.
    assert.ok(wire(119, [...names, ...names]).length <= once.length + 4 * names.length);
  }));
});

test('RFC 3397 §2: the pointer refers to the offset within the data portion of the DHCP option, the complete aggregate block', () => {
  const names = Array.from({ length: 40 }, (_, i) => `subdomain-${i}.example.net`);
  const block = wire(119, names);
  assert.ok(block.length / 2 > 255, 'it takes more than one option');
  assert.deepEqual(shown(119, block), names);
});

test('RFC 3397 §2: a pointer leads to a prior occurrence, so one to itself, forward or in a circle ends no name', () => {
  assert.equal(malformed(119, 'c000'), true);
  assert.equal(malformed(119, '0161c000'), true);
  assert.equal(malformed(119, '0161c004 016200'), true);
  assert.equal(malformed(119, `${labels('net')}0161c007`), true);
  assert.equal(malformed(119, '0161c002'), true);
  assert.equal(malformed(119, `${labels('net')}c0ff`), true);
  assert.equal(malformed(119, '04c003c00100 c001'), true, 'a circle inside of a label');
});

test('RFC 3397 §2: pointers may lead over pointers, further back each time', () => {
  assert.deepEqual(shown(119, `${labels('net')}0161c000 0162c005`), ['net', 'a.net', 'b.a.net']);
});

test('RFC 3397 §3: every search domain name must end either with a zero or with a two-octet compression pointer', () => {
  assert.equal(malformed(119, '03656e67'), true);
  assert.equal(malformed(119, '03656e'), true);
  assert.equal(malformed(119, `${labels('net')}0161c0`), true);
  assert.equal(malformed(119, `40${'61'.repeat(64)}00`), true, 'a label has at most 63 bytes, the bits above are reserved');
});
