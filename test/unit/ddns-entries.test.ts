import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { currentEntry, dnsWork, encodeDnsEntries, isSameName, moveOn, readDnsEntries } from '../../node/ddns/entries.ts';
import type { DnsEntry } from '../../node/ddns/types.ts';
import { BindingState, encodeRecord, SectionKind, withSection, withState } from '../../node/lease/record.ts';
import { DNS_ENTRIES_PER_BINDING_MAX } from '../../node/limits.ts';

const bytes = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max }).map((value) => Buffer.from(value));
const anyEntry: fc.Arbitrary<DnsEntry> = fc.record({
  name: bytes(1, 255), dhcid: bytes(35, 35), current: fc.boolean(), forward: fc.boolean(), reverse: fc.boolean(),
  forwardSettled: fc.boolean(), reverseSettled: fc.boolean(), refusal: fc.constantFrom('none', 'conflict', 'refused', 'no-zone'),
}, { noNullPrototype: true });

/** Few names and clients, so that the same ones come again. */
const claim: fc.Arbitrary<DnsEntry> = fc.record({
  name: fc.integer({ min: 0, max: 11 }).map((n) => Buffer.from([1, 0x61 + n, 0])), dhcid: fc.integer({ min: 0, max: 1 }).map((n) => Buffer.alloc(35, n)),
  current: fc.constant(true), forward: fc.boolean(), reverse: fc.boolean(),
  forwardSettled: fc.boolean(), reverseSettled: fc.boolean(), refusal: fc.constant('none'),
}, { noNullPrototype: true });

function record(dns: Buffer, state: BindingState = BindingState.ACTIVE): Buffer {
  return encodeRecord({
    state, hasClientIdentifier: false, reserved: false, htype: 1, chaddr: Buffer.alloc(6, 1), clientKey: Buffer.alloc(7, 1),
    stateSince: 1, lastTransaction: 1, expires: 2, leaseSeconds: 1, xid: 1, relayAgentInformation: Buffer.from('rai'), hostname: Buffer.alloc(0), dns,
  });
}

const entry = (name: string, more: Partial<DnsEntry> = {}): DnsEntry => ({
  name: Buffer.from(`\x01${name}\0`, 'latin1'), dhcid: Buffer.alloc(35, 7), current: true, forward: true, reverse: true,
  forwardSettled: false, reverseSettled: false, refusal: 'none', ...more,
});

test('what is written is read', () => {
  fc.assert(fc.property(fc.array(anyEntry, { maxLength: 8 }), (entries) => {
    assert.deepEqual(readDnsEntries(encodeDnsEntries(entries)), entries);
  }));
  assert.equal(encodeDnsEntries([]).length, 0);
});

test('damaged bytes are read as far as they go, and nothing throws', () => {
  fc.assert(fc.property(fc.array(anyEntry, { maxLength: 3 }), fc.nat(900), bytes(0, 80), (entries, cut, tail) => {
    const damaged = Buffer.concat([encodeDnsEntries(entries).subarray(0, cut), tail]);
    readDnsEntries(damaged);
    dnsWork(record(damaged));
    currentEntry(record(damaged));
  }));
  const whole = encodeDnsEntries([entry('a'), entry('b', { current: false })]);
  assert.deepEqual(readDnsEntries(whole.subarray(0, -1)), [entry('a')]);
  assert.deepEqual(readDnsEntries(Buffer.concat([Buffer.of(2), whole.subarray(1)])), []);
});

test('there is work as the entries say, whatever the state', () => {
  fc.assert(fc.property(fc.array(anyEntry, { maxLength: 4 }), fc.constantFrom(2, 3, 4, 5), (entries, state) => {
    const expected = state === BindingState.ACTIVE
      ? entries.some((e) => !e.current || (e.forward && !e.forwardSettled) || (e.reverse && !e.reverseSettled))
      : entries.length > 0;
    assert.equal(dnsWork(record(encodeDnsEntries(entries), state as BindingState)), expected);
  }));
});

test('a lease with its entry settled has no work, and gets some when it ends', () => {
  const settled = record(encodeDnsEntries([entry('a', { forwardSettled: true, reverseSettled: true })]));
  assert.equal(dnsWork(settled), false);
  assert.equal(dnsWork(withState(settled, BindingState.EXPIRED, 5)), true);
  assert.equal(dnsWork(withSection(settled, SectionKind.dns, Buffer.alloc(0))), false);
  assert.deepEqual(currentEntry(settled)?.name, entry('a').name);
});

test('moving on keeps in the list whatever may be in DNS and is no more wanted', () => {
  fc.assert(fc.property(fc.array(fc.option(claim, { nil: undefined }), { maxLength: 14 }), (steps) => {
    let entries: readonly DnsEntry[] = [];
    for (const next of steps) {
      const before = entries;
      const moved = moveOn(before, next);
      entries = moved.entries;
      assert.ok(entries.length <= DNS_ENTRIES_PER_BINDING_MAX);
      assert.deepEqual(entries.filter(({ current }) => current), next === undefined ? [] : [next]);
      const all = [...entries, ...moved.givenUp];
      for (const e of before) {
        for (const side of ['forward', 'reverse'] as const) {
          assert.ok(!e[side] || all.some((other) => isSameName(other, e) && other[side]), 'nothing is lost');
        }
      }
      const past = entries.filter(({ current }) => !current);
      assert.ok(past.every((e, i) => past.slice(i + 1).every((other) => !isSameName(e, other))), 'each name once');
    }
  }));
});

test('past the bound the name withdrawn longest ago is given up', () => {
  let entries: readonly DnsEntry[] = [];
  for (const letter of 'abcdefgh') entries = moveOn(entries, entry(letter)).entries;
  assert.equal(entries.length, DNS_ENTRIES_PER_BINDING_MAX);
  const { givenUp } = moveOn(entries, entry('i'));
  assert.deepEqual(givenUp.map(({ name }) => name[1]), [0x61]);
});

test('a client that takes its A record over loses ours and keeps its PTR record', () => {
  const done = entry('a', { forwardSettled: true, reverseSettled: true });
  const next = entry('a', { forward: false, reverseSettled: true });
  assert.deepEqual(moveOn([done], next).entries, [next, entry('a', { current: false, reverse: false })]);
});
