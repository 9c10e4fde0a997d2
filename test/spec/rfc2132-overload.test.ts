import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BOOTREPLY, DhcpMessage } from '../../node/codec/message.ts';
import { encodeReply } from '../../node/codec/reply.ts';
import type { OptionValue } from '../../node/config/types.ts';
import { END, LEASE_TIME, packet, parsed, replyTo, SERVER_ID, tlv, udhcpcDiscover } from '../unit/codec-packets.ts';

const IN_FILE = Buffer.concat([tlv(12, Buffer.from('from-file')), END]);
const IN_SNAME = Buffer.concat([tlv(60, Buffer.from('from-sname')), END]);

function withOverload(value: number | undefined): DhcpMessage {
  const overload = value === undefined ? [] : [tlv(52, [value])];
  return parsed(packet({ options: Buffer.concat([tlv(53, [1]), ...overload, END]), file: IN_FILE, sname: IN_SNAME }));
}

const filled = (code: number, length: number): OptionValue => ({ code, value: Buffer.alloc(length, code) });

test("RFC 2132 §9.3: value 1, the 'file' field is used to hold options", () => {
  assert.equal(withOverload(1).option(12)?.toString(), 'from-file');
  assert.equal(withOverload(1).has(60), false);
});

test("RFC 2132 §9.3: value 2, the 'sname' field is used to hold options", () => {
  assert.equal(withOverload(2).option(60)?.toString(), 'from-sname');
  assert.equal(withOverload(2).has(12), false);
});

test('RFC 2132 §9.3: value 3, both fields are used to hold options', () => {
  assert.equal(withOverload(3).option(12)?.toString(), 'from-file');
  assert.equal(withOverload(3).option(60)?.toString(), 'from-sname');
});

test("RFC 2132 §9.3: without the option overload option 'sname' and 'file' hold no options", () => {
  assert.deepEqual(withOverload(undefined).codes(), [53]);
});

test('RFC 2131 §4.1: any individual option in the options, sname and file fields MUST be entirely contained in that field', () => {
  const crossing = Buffer.alloc(128);
  crossing.set([43, 127]);
  assert.equal(new DhcpMessage().parse(packet({ options: Buffer.concat([tlv(52, [1]), tlv(53, [1]), END]), file: crossing })), 'option-truncated');
  const exact = Buffer.alloc(64);
  exact.set([43, 62]);
  assert.equal(parsed(packet({ options: Buffer.concat([tlv(52, [2]), tlv(53, [1]), END]), sname: exact })).option(43)?.length, 62);
});

test("RFC 2131 §4.1: options in the 'options' field MUST be interpreted first; an overload option inside 'file' opens nothing", () => {
  const file = Buffer.concat([tlv(52, [2]), END]);
  const message = parsed(packet({ options: Buffer.concat([tlv(53, [1]), tlv(52, [1]), END]), file, sname: IN_SNAME }));
  assert.equal(message.has(60), false);
});

test("RFC 2132 §9.3: a server that sends options in 'file' and 'sname' says so with the value 3", () => {
  const options = [SERVER_ID, LEASE_TIME, filled(43, 250), filled(12, 125), filled(15, 61)];
  const bytes = encodeReply(replyTo(udhcpcDiscover(), { options }));
  const reply = parsed(bytes, BOOTREPLY);
  assert.deepEqual(reply.option(52), Buffer.from([3]));
  for (const { code, value } of options) assert.deepEqual(reply.option(code), value);
  assert.ok(bytes.length <= 548);
});

test("RFC 2131 §4.1: options in 'sname' and 'file' MUST begin with the first octet of the field, MUST be terminated by an 'end' option, and MUST be followed by 'pad' options", () => {
  const bytes = encodeReply(replyTo(udhcpcDiscover(), { options: [SERVER_ID, LEASE_TIME, filled(43, 250), filled(12, 100), filled(15, 40)] }));
  assert.equal(bytes[108], 12);
  assert.equal(bytes[108 + 102], 255);
  assert.deepEqual(bytes.subarray(108 + 103, 236), Buffer.alloc(128 - 103));
  const reply = parsed(bytes, BOOTREPLY);
  assert.equal(reply.option(15)?.length, 40);
});

test("RFC 2131 §4.1: the 'option overload' option MUST appear in the 'options' field, whose options MUST be terminated by an 'end' option", () => {
  const bytes = encodeReply(replyTo(udhcpcDiscover(), { options: [SERVER_ID, LEASE_TIME, filled(43, 250), filled(12, 125)] }));
  let at = 240;
  const codes: number[] = [];
  while (at < bytes.length && bytes[at] !== 255) {
    codes.push(bytes[at]!);
    at += 2 + bytes[at + 1]!;
  }
  assert.deepEqual(codes, [53, 52, 54, 51, 43]);
  assert.equal(bytes[at], 255);
});
