import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { BOOTREPLY } from '../../node/codec/message.ts';
import { encodeReply } from '../../node/codec/reply.ts';
import { END, LEASE_TIME, overloadedDiscover, packet, parsed, replyTo, SERVER_ID, tlv, udhcpcDiscover } from '../unit/codec-packets.ts';

interface Part { readonly field: 'options' | 'file' | 'sname'; readonly code: number; readonly value: Buffer }

/** The parts as they lie in the message, in the order of RFC 3396 §5, walked without the reader under test. */
function parts(bytes: Buffer): Part[] {
  const found: Part[] = [];
  const walk = (field: Part['field'], from: number, end: number): void => {
    let at = from;
    while (at < end && bytes[at] !== 255) {
      if (bytes[at] === 0) { at++; continue; }
      const length = bytes[at + 1]!;
      assert.ok(at + 2 + length <= end, `${field}: an option crosses the end`);
      found.push({ field, code: bytes[at]!, value: bytes.subarray(at + 2, at + 2 + length) });
      at += 2 + length;
    }
  };
  walk('options', 240, bytes.length);
  const overload = found.find(({ code }) => code === 52)?.value[0] ?? 0;
  if ((overload & 1) !== 0) walk('file', 108, 236);
  if ((overload & 2) !== 0) walk('sname', 44, 108);
  return found;
}

const numbered = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => i % 251));

test('RFC 3396 §7: two or more options with the same code MUST be considered split portions, and reassembled in order', () => {
  const message = parsed(packet({
    options: Buffer.concat([tlv(53, [1]), tlv(67, Buffer.from('/diskle')), tlv(12, [65]), tlv(67, Buffer.from('ss/foo')), END]),
  }));
  assert.equal(message.option(67)?.toString(), '/diskless/foo');
});

test('RFC 3396 §5: the aggregate option buffer is made up of the optional parameters field, the file field, and the sname field, in that order', () => {
  assert.deepEqual(parsed(overloadedDiscover()).option(43), Buffer.from([1, 2, 3, 4, 5, 6]));
});

test('RFC 3396 §7: a client identifier sent in portions is one client', () => {
  const message = parsed(packet({ options: Buffer.concat([tlv(53, [1]), tlv(61, [255, 1, 2]), tlv(61, [3, 4]), END]) }));
  assert.deepEqual(message.clientKey('client-id'), Buffer.from([255, 1, 2, 3, 4]));
});

test('RFC 3396 §7: a number that is split is still the number', () => {
  const message = parsed(packet({ options: Buffer.concat([tlv(53, [1]), tlv(91, [0, 0]), tlv(91, [14, 16]), END]) }));
  assert.equal(message.optionU32(91), 3600);
});

test('RFC 3396 §6: no split portion of an option can contain more than 255 octets, and the lengths MUST add up', () => {
  for (const length of [255, 256, 510, 511, 1000]) {
    const value = numbered(length);
    const bytes = encodeReply(replyTo(udhcpcDiscover(), { options: [SERVER_ID, LEASE_TIME, { code: 43, value }], maxBytes: 1472 }));
    const portions = parts(bytes).filter(({ code }) => code === 43);
    assert.equal(portions.length, Math.ceil(length / 255));
    assert.deepEqual(Buffer.concat(portions.map((part) => part.value)), value);
    assert.deepEqual(parsed(bytes, BOOTREPLY).option(43), value);
  }
});

test('RFC 3396 §5: an option that fits into no field is broken into parts, stored in sequential order, none across a boundary', () => {
  // Nothing has room for 400 octets: 548 leave 289 in the options field, 127 in file, 63 in sname.
  const value = numbered(400);
  const bytes = encodeReply(replyTo(udhcpcDiscover(), { options: [SERVER_ID, LEASE_TIME, { code: 43, value }] }));
  const portions = parts(bytes).filter(({ code }) => code === 43);
  assert.ok(new Set(portions.map(({ field }) => field)).size > 1);
  assert.deepEqual(Buffer.concat(portions.map((part) => part.value)), value);
  assert.deepEqual(parsed(bytes, BOOTREPLY).option(43), value);
  assert.ok(bytes.length <= 548);
});

test('RFC 3396 §6: a reader that joins the parts in the order of §5 gets back every value that was written', () => {
  const lengths = fc.array(fc.nat(600), { minLength: 1, maxLength: 8 });
  fc.assert(fc.property(lengths, fc.integer({ min: 300, max: 1472 }), (list, maxBytes) => {
    const options = list.map((length, i) => ({ code: 200 + i, value: numbered(length) }));
    const bytes = encodeReply(replyTo(udhcpcDiscover(), { options: [SERVER_ID, LEASE_TIME, ...options], maxBytes }));
    const joined = new Map<number, Buffer>();
    for (const { code, value } of parts(bytes)) joined.set(code, Buffer.concat([joined.get(code) ?? Buffer.alloc(0), value]));
    const reply = parsed(bytes, BOOTREPLY);
    for (const { code, value } of options) {
      assert.deepEqual(reply.option(code), joined.get(code));
      if (joined.has(code)) assert.deepEqual(joined.get(code), value);
    }
  }), { numRuns: 500 });
});
