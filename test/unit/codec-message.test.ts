import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { DhcpMessage } from '../../node/codec/message.ts';
import { DROP_REASONS } from '../../node/telemetry/counters.ts';
import { END, dhclientRequest, overloadedDiscover, packet, parsed, relayedDiscover, SAMPLES, tlv, udhcpcDiscover } from './codec-packets.ts';

const TYPE = tlv(53, [1]);

function reasonFor(options: Uint8Array[]): string | undefined {
  return new DhcpMessage().parse(packet({ options: Buffer.concat(options) }));
}

test('a discover of udhcpc is read field by field', () => {
  const message = parsed(udhcpcDiscover());
  assert.equal(message.type, 1);
  assert.equal(message.op, 1);
  assert.equal(message.htype, 1);
  assert.equal(message.hlen, 6);
  assert.equal(message.secs, 1);
  assert.equal(message.xid, 0x3903f326);
  assert.equal(message.broadcast, false);
  assert.equal(message.chaddr().toString('hex'), '525400123456');
  assert.equal(message.option(60)?.toString(), 'udhcp 1.35.0');
  assert.equal(message.optionU16(57), 576);
  assert.equal(message.hasClientIdentifier, true);
  assert.equal(message.clientKey('client-id').toString('hex'), '01525400123456');
  assert.deepEqual(message.codes(), [53, 61, 57, 55, 60]);
});

test('a request of dhclient has no client identifier: its key is htype and chaddr', () => {
  const message = parsed(dhclientRequest());
  assert.equal(message.hasClientIdentifier, false);
  assert.equal(message.clientKey('client-id').toString('hex'), '01525400123456');
  assert.equal(message.optionU32(54), 0x0a000001);
  assert.equal(message.optionU32(50), 0x0a010007);
  assert.equal(message.optionU32(51), undefined);
  assert.equal(message.optionU32(12), undefined, 'eleven bytes are no number');
});

test('identity hardware ignores the client identifier', () => {
  const message = parsed(relayedDiscover());
  assert.equal(message.clientKey('client-id').toString('hex'), 'ff00010203040506070809');
  assert.equal(message.clientKey('hardware').toString('hex'), '01525400123456');
  assert.equal(message.giaddr, 0x0a000001);
  assert.equal(message.hops, 1);
  assert.equal(message.broadcast, true);
  assert.equal(message.has(80), true, 'an option without a value is present');
  assert.equal(message.option(80)?.length, 0);
  assert.equal(message.option(82)?.toString('hex'), '0104657468300206000102030405');
});

test('one reader forgets the last message when it reads the next', () => {
  const message = new DhcpMessage();
  assert.equal(message.parse(overloadedDiscover()), undefined);
  assert.equal(message.option(43)?.length, 6);
  assert.equal(message.parse(dhclientRequest()), undefined);
  assert.equal(message.type, 3);
  assert.equal(message.has(43), false);
  assert.equal(message.has(60), false);
  assert.equal(message.parse(Buffer.alloc(3)), 'too-short');
  assert.equal(message.parse(udhcpcDiscover()), undefined);
  assert.deepEqual(message.codes(), [53, 61, 57, 55, 60]);
});

test("the last message's overload does not open file and sname of the next one", () => {
  const message = new DhcpMessage();
  assert.equal(message.parse(overloadedDiscover()), undefined);
  const next = packet({ options: Buffer.concat([TYPE, tlv(43, [1]), tlv(43, [2]), END]), file: tlv(43, [3]), sname: tlv(43, [4]) });
  assert.equal(message.parse(next), undefined);
  assert.deepEqual(message.option(43), Buffer.from([1, 2]));
});

test('addresses over 127.255.255.255 stay positive', () => {
  const message = parsed(packet({ ciaddr: 0xc0a80001, giaddr: 0xffffffff, xid: 0xdeadbeef, options: TYPE }));
  assert.equal(message.ciaddr, 0xc0a80001);
  assert.equal(message.giaddr, 0xffffffff);
  assert.equal(message.xid, 0xdeadbeef);
});

test('every length below 240 bytes is too short', () => {
  const whole = udhcpcDiscover();
  for (let length = 0; length < 240; length++) assert.equal(new DhcpMessage().parse(whole.subarray(0, length)), 'too-short');
});

test('a message cut at any byte of its options is read or refused, and never misread', () => {
  const whole = relayedDiscover();
  for (let length = 240; length < whole.length; length++) {
    const reason = new DhcpMessage().parse(whole.subarray(0, length));
    assert.ok(reason === undefined || reason === 'option-truncated', `${length}: ${reason}`);
  }
});

test('malformed headers are told apart', () => {
  const at = (offset: number, value: number): string | undefined => {
    const bytes = udhcpcDiscover();
    bytes[offset] = value;
    return new DhcpMessage().parse(bytes);
  };
  assert.equal(at(0, 2), 'bad-op');
  assert.equal(at(0, 0), 'bad-op');
  assert.equal(at(2, 17), 'bad-hlen');
  assert.equal(at(2, 255), 'bad-hlen');
  assert.equal(at(2, 16), undefined);
  assert.equal(at(236, 0), 'bad-magic');
  assert.equal(at(239, 0x62), 'bad-magic');
  assert.equal(new DhcpMessage().parse(Buffer.alloc(65_536)), 'too-long');
});

test('a reply is read where a reply is expected', () => {
  const bytes = packet({ op: 2, options: tlv(53, [2]) });
  assert.equal(new DhcpMessage().parse(bytes), 'bad-op');
  assert.equal(parsed(bytes, 2).type, 2);
  assert.equal(new DhcpMessage().parse(udhcpcDiscover(), 2), 'bad-op');
});

test('an option past the end of its field is refused, length 255 included', () => {
  assert.equal(reasonFor([TYPE, Buffer.from([12])]), 'option-truncated');
  assert.equal(reasonFor([TYPE, Buffer.from([12, 1])]), 'option-truncated');
  assert.equal(reasonFor([TYPE, Buffer.from([12, 255, 1, 2])]), 'option-truncated');
  assert.equal(reasonFor([TYPE, tlv(12, Buffer.alloc(255))]), undefined);
});

test('a missing end option, pads and bytes after the end are tolerated', () => {
  assert.equal(reasonFor([TYPE]), undefined);
  assert.equal(reasonFor([Buffer.alloc(5), TYPE, Buffer.alloc(3)]), undefined);
  assert.equal(reasonFor([TYPE, END, Buffer.from([12, 200, 1])]), undefined);
});

test('options that decide must have the length of their type', () => {
  for (const code of [50, 51, 54]) {
    for (const length of [0, 1, 3, 5, 8, 255]) assert.equal(reasonFor([TYPE, tlv(code, Buffer.alloc(length))]), 'bad-option', `${code}/${length}`);
    assert.equal(reasonFor([TYPE, tlv(code, [1, 2, 3, 4])]), undefined);
    assert.equal(reasonFor([TYPE, tlv(code, [1, 2, 3, 4]), tlv(code, [1, 2, 3, 4])]), 'bad-option', 'joined, eight bytes');
  }
  assert.equal(reasonFor([TYPE, tlv(57, [2])]), 'bad-option');
  assert.equal(reasonFor([TYPE, tlv(57, [2, 64, 0])]), 'bad-option');
  assert.equal(reasonFor([TYPE, tlv(55, [])]), 'bad-option');
  assert.equal(reasonFor([TYPE, tlv(55, []), tlv(55, [])]), 'bad-option');
  assert.equal(reasonFor([TYPE, tlv(55, []), tlv(55, [1])]), undefined);
  assert.equal(reasonFor([TYPE, tlv(61, [])]), 'bad-option');
  assert.equal(reasonFor([TYPE, tlv(61, [1])]), 'bad-option');
  assert.equal(reasonFor([TYPE, tlv(61, [1]), tlv(61, [2])]), undefined);
  assert.equal(reasonFor([TYPE, tlv(61, Buffer.alloc(255)), tlv(61, [2])]), 'bad-option', 'longer than a binding keeps');
  assert.equal(reasonFor([TYPE, tlv(52, [])]), 'bad-option');
  assert.equal(reasonFor([TYPE, tlv(52, [1, 1])]), 'bad-option');
});

test('the message type must be one byte', () => {
  assert.equal(reasonFor([tlv(53, [])]), 'bad-message-type');
  assert.equal(reasonFor([tlv(53, [1, 1])]), 'bad-message-type');
  assert.equal(reasonFor([tlv(53, [1]), tlv(53, [1])]), 'bad-message-type');
  assert.equal(parsed(packet({ options: END })).type, 0, 'a BOOTP message has none');
});

test('a hardware address of no bytes leaves a key of one byte', () => {
  const message = parsed(packet({ chaddr: [], options: TYPE }));
  assert.equal(message.clientKey('client-id').length, 1);
});

/** Calls every reader; what they return does not matter, that they return does. */
function readAll(message: DhcpMessage): void {
  for (let code = 0; code < 256; code++) {
    const value = message.option(code);
    assert.equal(value !== undefined, message.has(code));
    message.optionU32(code);
    message.optionU16(code);
  }
  message.clientKey('client-id');
  message.clientKey('hardware');
  assert.ok(message.chaddr().length <= 16);
  for (const code of message.codes()) assert.ok(message.has(code));
}

function check(message: DhcpMessage, bytes: Buffer): void {
  const reason = message.parse(bytes);
  if (reason === undefined) readAll(message);
  else assert.ok(reason in DROP_REASONS);
}

test('random bytes never make the reader throw', () => {
  const message = new DhcpMessage();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => check(message, Buffer.from(bytes))), { numRuns: 500 });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.uint8Array({ minLength: 128, maxLength: 128 }),
    (options, sname, file) => check(message, packet({ options, sname, file }))), { numRuns: 1000 });
});

test('10,000 random mutations of real packets never make the reader throw', () => {
  const message = new DhcpMessage();
  const mutation = fc.record({ at: fc.nat(400), value: fc.nat(255) });
  fc.assert(
    fc.property(fc.constantFrom(...SAMPLES), fc.array(mutation, { minLength: 1, maxLength: 6 }), fc.option(fc.nat(400)), (sample, mutations, cut) => {
      const whole = sample();
      for (const { at, value } of mutations) whole[at % whole.length] = value;
      check(message, cut === null ? whole : whole.subarray(0, cut));
    }),
    { numRuns: 10_000 },
  );
});

test('what is read back is what was written, however the options are split and ordered', () => {
  const option = fc.record({ code: fc.integer({ min: 100, max: 254 }), value: fc.uint8Array({ maxLength: 40 }) });
  fc.assert(fc.property(fc.array(option, { maxLength: 20 }), (options) => {
    const message = parsed(packet({ options: Buffer.concat([TYPE, ...options.map(({ code, value }) => tlv(code, value)), END]) }));
    const expected = new Map<number, Buffer>();
    for (const { code, value } of options) expected.set(code, Buffer.concat([expected.get(code) ?? Buffer.alloc(0), value]));
    for (const [code, value] of expected) assert.deepEqual(message.option(code), value);
    assert.deepEqual(message.codes(), [53, ...expected.keys()]);
  }));
});
