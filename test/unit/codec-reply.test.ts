import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { BOOTREPLY } from '../../node/codec/message.ts';
import { encodeReply } from '../../node/codec/reply.ts';
import type { OptionValue } from '../../node/config/types.ts';
import { LEASE_TIME, parsed, relayedDiscover, replyTo, SERVER_ID, udhcpcDiscover } from './codec-packets.ts';

const filled = (code: number, length: number): OptionValue => ({ code, value: Buffer.alloc(length, code) });

test('a plain reply has its options in the order given and no overload', () => {
  const options = [SERVER_ID, LEASE_TIME, { code: 1, value: Buffer.from([255, 0, 0, 0]) }, { code: 15, value: Buffer.from('example.net') }];
  const bytes = encodeReply(replyTo(udhcpcDiscover(), { options }));
  const reply = parsed(bytes, BOOTREPLY);
  assert.deepEqual(reply.codes(), [53, 54, 51, 1, 15]);
  assert.equal(reply.yiaddr, 0x0a010007);
  assert.equal(reply.option(15)?.toString(), 'example.net');
  assert.equal(bytes.length, 300);
});

test('relay agent information is echoed last, as received', () => {
  const request = relayedDiscover();
  const relayAgentInformation = parsed(request).option(82);
  assert.ok(relayAgentInformation !== undefined);
  const bytes = encodeReply(replyTo(request, { relayAgentInformation, options: [SERVER_ID, LEASE_TIME, filled(12, 20)] }));
  const reply = parsed(bytes, BOOTREPLY);
  assert.deepEqual(reply.codes(), [53, 54, 51, 12, 82]);
  assert.deepEqual(reply.option(82), relayAgentInformation);
});

test('options with a place of their own are written once', () => {
  const options = [SERVER_ID, filled(53, 1), filled(82, 4), filled(52, 1), { code: 0, value: Buffer.alloc(1) }, { code: 255, value: Buffer.alloc(1) }, LEASE_TIME];
  assert.deepEqual(parsed(encodeReply(replyTo(udhcpcDiscover(), { options })), BOOTREPLY).codes(), [53, 54, 51]);
});

test('a reply may fill maxBytes to the last byte without overload', () => {
  // 240 + 3 (type) + 6 + 6 + 2 + length + 1 (end)
  const exact = encodeReply(replyTo(udhcpcDiscover(), { options: [SERVER_ID, LEASE_TIME, filled(12, 64)], maxBytes: 322 }));
  assert.equal(exact.length, 322);
  assert.deepEqual(parsed(exact, BOOTREPLY).codes(), [53, 54, 51, 12]);
  const over = encodeReply(replyTo(udhcpcDiscover(), { options: [SERVER_ID, LEASE_TIME, filled(12, 65)], maxBytes: 322 }));
  assert.ok(over.length <= 322);
  assert.deepEqual(parsed(over, BOOTREPLY).option(52), Buffer.from([1]));
  assert.deepEqual(parsed(over, BOOTREPLY).option(12), filled(12, 65).value);
});

test('less than 300 bytes allowed counts as 300', () => {
  const bytes = encodeReply(replyTo(udhcpcDiscover(), { options: [SERVER_ID, LEASE_TIME, filled(12, 30)], maxBytes: 100 }));
  assert.equal(bytes.length, 300);
  assert.equal(parsed(bytes, BOOTREPLY).has(12), true);
});

test('what fits nowhere is left out, and what matters more keeps its place', () => {
  const options = [SERVER_ID, LEASE_TIME, filled(3, 4), filled(17, 250), filled(43, 2000), filled(67, 120), filled(66, 60), filled(15, 40)];
  const bytes = encodeReply(replyTo(udhcpcDiscover(), { options }));
  const reply = parsed(bytes, BOOTREPLY);
  assert.ok(bytes.length <= 548);
  assert.equal(reply.has(43), false);
  for (const code of [54, 51, 3, 17, 67, 66]) assert.equal(reply.option(code)?.length, options.find((option) => option.code === code)!.value.length);
});

test('the required options and relay agent information stay even past maxBytes', () => {
  const relayAgentInformation = Buffer.alloc(600, 7);
  const options = [SERVER_ID, filled(12, 100), filled(15, 200), LEASE_TIME];
  const reply = parsed(encodeReply(replyTo(relayedDiscover(), { options, relayAgentInformation })), BOOTREPLY);
  assert.deepEqual(reply.option(82), relayAgentInformation);
  assert.equal(reply.has(54), true);
  assert.equal(reply.has(51), true);
  assert.equal(reply.has(12), true, 'file has room for it');
  assert.equal(reply.has(15), false);
  const lastOfAll = [filled(12, 125), filled(15, 61), SERVER_ID, LEASE_TIME];
  const full = parsed(encodeReply(replyTo(relayedDiscover(), { options: lastOfAll, relayAgentInformation })), BOOTREPLY);
  for (const { code, value } of lastOfAll) assert.deepEqual(full.option(code), value);
});

test('the reply does not depend on the buffer of the request after it was made', () => {
  const request = udhcpcDiscover();
  const bytes = encodeReply(replyTo(request));
  const before = Buffer.from(bytes);
  request.fill(0xee);
  assert.deepEqual(bytes, before);
});

test('any reply is well-formed, keeps to its length, and holds whole options only', () => {
  const optional = fc.uniqueArray(
    fc.record({ code: fc.integer({ min: 1, max: 254 }), value: fc.uint8Array({ maxLength: 700 }) }),
    { maxLength: 30, selector: ({ code }) => code },
  );
  const relayed = fc.option(fc.uint8Array({ minLength: 2, maxLength: 200 }));
  fc.assert(fc.property(optional, relayed, fc.integer({ min: 0, max: 1472 }), (given, agent, maxBytes) => {
    const own = new Set([51, 52, 53, 54, 82]);
    // Those with a length of their own would be refused by the reader for what is in them.
    const checked = new Set([50, 55, 57, 61]);
    const extra = given.filter(({ code }) => !own.has(code) && !checked.has(code)).map(({ code, value }) => ({ code, value: Buffer.from(value) }));
    const relayAgentInformation = agent === null ? undefined : Buffer.from(agent);
    const bytes = encodeReply(replyTo(udhcpcDiscover(), { options: [SERVER_ID, LEASE_TIME, ...extra], relayAgentInformation, maxBytes }));
    const reply = parsed(bytes, BOOTREPLY);
    assert.ok(bytes.length >= 300);
    const required = 240 + 3 + 3 + 12 + 1 + (agent === null ? 0 : agent.length + 2);
    assert.ok(bytes.length <= Math.max(300, maxBytes, required));
    assert.equal(reply.codes()[0], 53);
    assert.deepEqual(reply.option(54), SERVER_ID.value);
    assert.deepEqual(reply.option(51), LEASE_TIME.value);
    assert.deepEqual(reply.option(82), relayAgentInformation);
    for (const { code, value } of extra) if (reply.has(code)) assert.deepEqual(reply.option(code), value);
    const size = 240 + 3 + 12 + 1 + (agent === null ? 0 : agent.length + 2) +
      extra.reduce((sum, { value }) => sum + value.length + 2 * Math.max(1, Math.ceil(value.length / 255)), 0);
    if (size <= Math.max(300, maxBytes)) {
      assert.equal(reply.has(52), false);
      for (const { code } of extra) assert.ok(reply.has(code));
    }
  }), { numRuns: 1000 });
});
