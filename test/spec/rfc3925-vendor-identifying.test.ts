import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OptionCatalogue, parseOptionValue, readOptionValue } from '../../node/codec/options.ts';
import { ascii, malformed, refused, shown, wire } from '../support/option-wire.ts';

test('RFC 3925 §3: the vendor class holds an enterprise number, a data length and the vendor-class-data', () => {
  assert.equal(wire('vivco-suboptions', { 4491: ['docsis3.0'] }), `0000118b 0a 09${ascii('docsis3.0')}`.replaceAll(' ', ''));
});

test('RFC 3925 §3: the vendor-class-data comprises a series of separate items, each with a data-len of one octet', () => {
  const encoded = `0000118b 09 03${ascii('one')} 00 0301ff02`;
  assert.deepEqual(shown(124, encoded), { 4491: ['one', '', { hex: '01:ff:02' }] });
  assert.equal(wire(124, { 4491: ['one', '', { hex: '01:ff:02' }] }), encoded.replaceAll(' ', ''));
  assert.equal(malformed(124, `0000118b 03 03${ascii('on')}`), true);
});

test('RFC 3925 §2: this sequence may be repeated multiple times within each option', () => {
  const encoded = `00000009 02 0141 0000118b 02 0142`;
  assert.deepEqual(shown(124, encoded), { 9: ['A'], 4491: ['B'] });
  assert.equal(wire(124, { 9: ['A'], 4491: 'B' }), encoded.replaceAll(' ', ''));
  assert.equal(malformed(124, '00000009 02 0141 0000118b 05 0142'), true);
  assert.equal(malformed(124, '000000'), true);
});

test('RFC 3925 §3: an enterprise number SHOULD only occur once, behavior is undefined if it occurs multiple times', () => {
  assert.equal(malformed(124, '00000009 02 0141 00000009 02 0142'), true);
});

test('RFC 3925 §4: the option-data MUST be encoded as a sequence of code/length/value fields', () => {
  const encoded = '00000de9 0a 0102aabb 0204 0a000001';
  assert.deepEqual(shown(125, encoded), { 3561: { 1: 'aa:bb', 2: '0a:00:00:01' } });
  assert.equal(wire('vivso-suboptions', { 3561: { 1: 'aa:bb', 2: '0a:00:00:01' } }), encoded.replaceAll(' ', ''));
});

test('RFC 3925 §4: option codes 0 and 255 have no pre-defined interpretation or format', () => {
  assert.deepEqual(shown(125, '00000de9 06 0001aa ff01bb'), { 3561: { 0: 'aa', 255: 'bb' } });
});

test('RFC 3925 §4: the option codes are defined by the vendor identified in the enterprise-number field', () => {
  const result = OptionCatalogue.standard.extend([
    { code: 2, name: 'acs-address', type: 'ip', space: 3561 },
    { code: 2, name: 'tftp-servers', type: 'ip', array: true, space: 4491 },
  ]);
  assert.ok(result.ok);
  const option = result.catalogue.find(125)!;
  const written = parseOptionValue(option, { 3561: { 'acs-address': '10.0.0.1' }, 4491: { 'tftp-servers': ['10.0.0.2', '10.0.0.3'] }, 9: { 2: '01' } });
  assert.ok(written.ok);
  assert.equal(written.value.toString('hex'), '00000009 03 020101 00000de9 06 02040a000001 0000118b 0a 02080a0000020a000003'.replaceAll(' ', ''));
  assert.deepEqual(readOptionValue(option, written.value), {
    9: { 2: '01' }, 3561: { 'acs-address': '10.0.0.1' }, 4491: { 'tftp-servers': ['10.0.0.2', '10.0.0.3'] },
  });
});

test('RFC 3925 §4: the data of an enterprise has a length of one octet, so that more than 255 bytes are refused', () => {
  wire(125, { 9: { 1: Array.from({ length: 253 }, () => '00').join(':') } });
  refused(125, { 9: { 1: Array.from({ length: 254 }, () => '00').join(':') } });
  refused(125, { 4294967296: { 1: '00' } });
  refused(125, {});
});
