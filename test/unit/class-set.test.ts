import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClassMatcher, mayPass, NO_CLASSES } from '../../node/classes/matcher.ts';
import type { ClassSet } from '../../node/classes/matcher.ts';
import type { DhcpMessage } from '../../node/codec/message.ts';
import type { ConfiguredOption } from '../../node/config/types.ts';
import { CLASS_SETS_MAX } from '../../node/limits.ts';
import { all, classes, equals, is, match, option } from './class-fixture.ts';
import { END, packet, parsed, tlv } from './codec-packets.ts';

const TYPE = tlv(53, [1]);

/** In class i where byte i of option 60 is 1. */
function byteClasses(count: number): ClassMatcher {
  const conditions = Array.from({ length: count }, (_, i) => all(equals(option(60), ...patterns(count).filter((pattern) => pattern[i] === 1))));
  return new ClassMatcher(classes(conditions));
}

const patterns = (count: number): number[][] =>
  Array.from({ length: 2 ** count }, (_, bits) => Array.from({ length: count }, (_, i) => (bits >> i) & 1));

const vendor = (value: readonly number[]): DhcpMessage => parsed(packet({ options: Buffer.concat([TYPE, tlv(60, value), END]) }));

const configured = (code: number, text: string): ConfiguredOption => ({ code, value: Buffer.from(text), send: 'requested' });

test('equal sets are the very same object, other sets are other objects with other ids', () => {
  const matcher = byteClasses(4);
  const first = patterns(4).map((pattern) => match(matcher, vendor(pattern)));
  const second = patterns(4).map((pattern) => match(matcher, vendor(pattern)));
  for (const [i, set] of first.entries()) assert.equal(second[i], set);
  assert.equal(new Set(first).size, 16);
  assert.equal(new Set(first.map(({ id }) => id)).size, 16);
  assert.equal(first[0], NO_CLASSES);
  assert.deepEqual(first[0b1010]!.indexes, [1, 3]);
  assert.deepEqual([0, 1, 2, 3, 4, 31, 32].map((index) => first[0b1010]!.has(index)), [false, true, false, true, false, false, false]);
});

test('past its limit the table of sets starts anew, and no id comes twice', () => {
  const bits = Math.ceil(Math.log2(CLASS_SETS_MAX + 3));
  const matcher = new ClassMatcher(classes(Array.from({ length: bits }, (_, i) =>
    is(option(60 + i), { kind: 'exists' }))));
  const requestOf = (n: number): DhcpMessage =>
    parsed(packet({ options: Buffer.concat([TYPE, ...Array.from({ length: bits }, (_, i) => ((n >> i) & 1 ? tlv(60 + i, [0, 0]) : Buffer.alloc(0))), END]) }));
  const sets = new Map<number, ClassSet>();
  for (let n = 1; n <= CLASS_SETS_MAX; n++) sets.set(n, match(matcher, requestOf(n)));
  assert.equal(match(matcher, requestOf(1)), sets.get(1), 'all of them are remembered');
  const ids = new Set([...sets.values()].map(({ id }) => id));
  assert.equal(ids.size, CLASS_SETS_MAX);
  const oneMore = match(matcher, requestOf(CLASS_SETS_MAX + 1));
  const again = match(matcher, requestOf(1));
  assert.notEqual(again, sets.get(1));
  assert.deepEqual(again.indexes, sets.get(1)!.indexes);
  assert.ok(!ids.has(oneMore.id) && !ids.has(again.id) && oneMore.id !== again.id);
  assert.equal(match(matcher, requestOf(1)), again);
});

test('classes beyond the 32nd', () => {
  const matcher = new ClassMatcher(classes(Array.from({ length: 100 }, (_, i) => is(option(i % 2 === 0 ? 53 : 54), { kind: 'exists' }))));
  const set = match(matcher, vendor([1]));
  assert.deepEqual(set.indexes, Array.from({ length: 50 }, (_, i) => 2 * i));
  for (let index = 0; index < 130; index++) assert.equal(set.has(index), index < 100 && index % 2 === 0, String(index));
});

test('an earlier class goes before a later one, for each lease time, boot field and option by itself', () => {
  const routers = configured(3, 'first');
  const domain = configured(15, 'second');
  const matcher = new ClassMatcher(classes([all(), all(), all()], {
    0: { overlay: { lease: { defaultSeconds: 60 }, options: [configured(66, 'first'), routers] } },
    1: { overlay: { lease: { defaultSeconds: 120, maxSeconds: 240 }, boot: { nextServer: 1 }, options: [configured(3, 'second'), domain] }, identity: 'hardware' },
    2: {
      overlay: { lease: { maxSeconds: 1, renew: { seconds: 9 } }, boot: { nextServer: 2, bootFileName: Buffer.from('boot') }, options: [configured(6, 'third'), configured(15, 'third')] },
      identity: 'client-id', drop: true,
    },
  }));
  const { overlay, identity, drop } = match(matcher, vendor([1]));
  assert.deepEqual(overlay, {
    lease: { defaultSeconds: 60, maxSeconds: 240, renew: { seconds: 9 } },
    boot: { nextServer: 1, bootFileName: Buffer.from('boot') },
    options: [routers, configured(6, 'third'), domain, configured(66, 'first')],
  });
  assert.equal(identity, 'hardware');
  assert.equal(drop, true);
});

test('what no class of the set says is not there', () => {
  const matcher = new ClassMatcher(classes([all(), equals(option(60), [9])], { 1: { overlay: { lease: { minSeconds: 5 }, options: [] }, drop: true, identity: 'hardware' } }));
  const set = match(matcher, vendor([1]));
  assert.deepEqual([set.overlay, set.drop, set.identity], [{ options: [] }, false, undefined]);
  assert.deepEqual(match(matcher, vendor([9])).overlay, { lease: { minSeconds: 5 }, options: [] });
});

test('a guard: in none of deny, and in one of allow where that is set', () => {
  const set = match(byteClasses(4), vendor([0, 1, 1, 0]));
  assert.deepEqual(set.indexes, [1, 2]);
  const passes = (allow: readonly number[] | undefined, deny: readonly number[]): boolean => mayPass(set, { allow, deny });
  assert.equal(passes(undefined, []), true);
  assert.equal(passes([0, 2], []), true);
  assert.equal(passes([0, 3], []), false);
  assert.equal(passes([], []), false, 'nobody is allowed');
  assert.equal(passes(undefined, [0, 3]), true);
  assert.equal(passes(undefined, [3, 1]), false);
  assert.equal(passes([1], [2]), false, 'deny goes before allow');
  assert.equal(mayPass(NO_CLASSES, { allow: undefined, deny: [0] }), true);
  assert.equal(mayPass(NO_CLASSES, { allow: [0], deny: [] }), false);
});
