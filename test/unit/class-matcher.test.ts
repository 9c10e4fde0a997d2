import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClassMatcher, NO_CLASSES } from '../../node/classes/matcher.ts';
import type { Condition } from '../../node/classes/types.ts';
import type { DhcpMessage } from '../../node/codec/message.ts';
import { all, any, classes, enterprise, equals, exists, inClass, is, match, met, not, option, values } from './class-fixture.ts';
import { END, overloadedDiscover, packet, parsed, relayedDiscover, tlv, udhcpcDiscover } from './codec-packets.ts';

const TYPE = tlv(53, [1]);

function discoverWith(...options: readonly Buffer[]): DhcpMessage {
  return parsed(packet({ options: Buffer.concat([TYPE, ...options, END]) }));
}

const bytes = (text: string): number[] => [...Buffer.from(text)];

test('a value equals one of those listed as a whole', () => {
  const message = parsed(udhcpcDiscover());
  const conditions = [
    equals(option(60), 'udhcp 1.35.0'), equals(option(60), 'MSFT 5.0', 'udhcp 1.35.0'), equals(option(60), 'udhcp'),
    equals(option(60), 'udhcp 1.35.0.1'), equals(option(60)), equals(option(77), 'udhcp 1.35.0'), equals(option(57), [2, 64]),
  ];
  assert.deepEqual(met(conditions, message), [0, 1, 6]);
});

test('a value begins with one of those listed, or has one inside', () => {
  const message = parsed(udhcpcDiscover());
  const prefix = (...listed: string[]): Condition => is(option(60), values('prefix', ...listed));
  const contains = (...listed: string[]): Condition => is(option(60), values('contains', ...listed));
  assert.deepEqual(met([
    prefix('udhcp'), prefix('dhcp'), prefix('MSFT', 'udhcp 1.35.0'), prefix('udhcp 1.35.0 '), prefix(''), prefix(),
  ], message), [0, 2, 4]);
  assert.deepEqual(met([
    contains('1.35'), contains('udhcp'), contains('.0'), contains('1.36'), contains('x', 'cp 1'), contains(''), contains(), contains('5.0 '),
  ], message), [0, 1, 2, 4, 5]);
});

test('what follows a value in the packet is no part of it', () => {
  const message = discoverWith(tlv(60, bytes('abc')), Buffer.of(1, 1, 7));
  assert.deepEqual(met([
    is(option(60), values('contains', [99, 1])), is(option(60), values('prefix', [...bytes('abc'), 1])), equals(option(60), [...bytes('abc'), 1]),
    is(option(60), values('contains', 'bc')),
  ], message), [3]);
});

test('a value that is there and empty is another thing than one that is not there', () => {
  const message = discoverWith(tlv(80, []));
  assert.deepEqual(met([
    exists(option(80)), exists(option(81)), equals(option(80), ''), equals(option(81), ''), not(exists(option(81))),
    is(option(81), values('prefix', '')), is(option(81), values('contains', '')),
  ], message), [0, 2, 4]);
});

test('the header fields, and the interface', () => {
  const message = parsed(relayedDiscover());
  const direct = parsed(packet({ options: Buffer.concat([TYPE, END]), htype: 32, chaddr: [] }));
  const conditions = [
    is({ from: 'hardware' }, values('prefix', [0x52, 0x54])), equals({ from: 'htype' }, [1]), equals({ from: 'giaddr' }, [10, 0, 0, 1]),
    exists({ from: 'giaddr' }), exists({ from: 'ciaddr' }), equals({ from: 'ciaddr' }, [0, 0, 0, 0]), equals({ from: 'interface' }, 'eth0', 'eth1'),
    exists({ from: 'hardware' }), exists({ from: 'htype' }), is({ from: 'hardware' }, values('prefix', '')), equals({ from: 'interface' }, 'eth'),
    equals({ from: 'giaddr' }, [0, 0, 0, 0]),
  ];
  assert.deepEqual(met(conditions, message), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
  assert.deepEqual(met(conditions, direct, { interfaceName: 'eth' }), [5, 8, 10, 11]);
  assert.deepEqual(met(conditions, direct, { interfaceName: 'x'.repeat(300) }), [5, 8, 11], 'a name that is none');
});

test('an address lies in a network', () => {
  const within = (code: number): Condition =>
    is(option(code), { kind: 'network', networks: [{ network: 0xc000_0200, prefixLength: 24 }, { network: 0x0a00_0000, prefixLength: 8 }] });
  const message = discoverWith(tlv(50, [10, 9, 8, 7]), tlv(118, [192, 0, 3, 1]), tlv(43, [10, 9, 8]), tlv(6, [10, 0, 0, 1, 10, 0, 0, 2]));
  assert.deepEqual(met([within(50), within(118), within(43), within(6), within(54)], message), [0]);
  assert.deepEqual(met([
    is({ from: 'giaddr' }, { kind: 'network', networks: [{ network: 0x0a00_0000, prefixLength: 32 }] }),
    is({ from: 'giaddr' }, { kind: 'network', networks: [{ network: 0x0a00_0001, prefixLength: 32 }] }),
    is({ from: 'giaddr' }, { kind: 'network', networks: [{ network: 0, prefixLength: 0 }] }),
    is({ from: 'giaddr' }, { kind: 'network', networks: [] }),
  ], parsed(relayedDiscover())), [1, 2]);
});

test('sub-options of relay agent information, of vendor-specific information, and below those', () => {
  const message = discoverWith(
    tlv(43, [0, 0, 1, 2, ...bytes('hi'), 0, 255, 2, 1, 9]),
    tlv(82, [1, 6, ...bytes('port-7'), 9, 6, 1, 1, 5, 2, 1, 6, 0, 1, 3]),
  );
  assert.deepEqual(met([
    equals(option(82, 1), 'port-7'), is(option(82, 1), values('prefix', 'port-')), exists(option(82, 2)), equals(option(82, 9, 2), [6]),
    equals(option(82, 0), [3]), exists(option(82, 9, 3)), exists(option(82, 1, 112)), equals(option(43, 1), 'hi'),
    exists(option(43, 2)), exists(option(43, 0)),
  ], message), [0, 1, 3, 4, 7]);
});

test('options 124 and 125 by enterprise number, and the sub-options of 125', () => {
  const message = discoverWith(
    tlv(124, [0, 0, 0x0d, 0xe9, 3, 2, ...bytes('ab')]),
    tlv(125, [0, 0, 0, 9, 3, 1, 1, 5, 0, 0, 0x0d, 0xe9, 7, 1, 2, ...bytes('cd'), 0, 1, 8]),
  );
  assert.deepEqual(met([
    equals(enterprise(124, 3561), [2, ...bytes('ab')]), exists(enterprise(124, 9)), equals(enterprise(125, 3561, 1), 'cd'),
    equals(enterprise(125, 9, 1), [5]), equals(enterprise(125, 3561, 0), [8]), exists(enterprise(125, 10)), exists(enterprise(125, 3561)),
  ], message), [0, 2, 3, 4, 6]);
});

test('sub-options that reach past their option are not there, those before them are', () => {
  const message = discoverWith(
    tlv(82, [1, 2, 7, 7, 2, 9, 1]), tlv(43, [1, 1, 5, 2]), tlv(124, [0, 0, 0, 9, 1, 5, 0, 0]), tlv(125, [0, 0, 0, 9, 8, 1, 1, 5]),
  );
  assert.deepEqual(met([
    exists(option(82, 1)), exists(option(82, 2)), exists(option(82, 7)), exists(option(43, 1)), exists(option(43, 2)),
    exists(enterprise(124, 9)), exists(enterprise(125, 9)),
  ], message), [0, 3, 5]);
});

test('an option in several pieces is put together first, its sub-options too', () => {
  const split = discoverWith(tlv(82, [1, 4, 97]), tlv(60, bytes('PXE')), tlv(82, bytes('bcd')), tlv(60, bytes('Client')));
  assert.deepEqual(met([
    equals(option(82, 1), 'abcd'), equals(option(60), 'PXEClient'), equals(option(60), 'PXE'), is(option(60), values('contains', 'EC')),
  ], split), [0, 1, 3]);
  assert.deepEqual(met([equals(option(43), [1, 2, 3, 4, 5, 6]), equals(option(60), 'in-sname'), equals(option(12), 'in-file')],
    parsed(overloadedDiscover())), [0, 1, 2]);
});

test('all, any and not, of none as well', () => {
  const yes = exists(option(53));
  const no = exists(option(54));
  assert.deepEqual(met([
    all(yes, yes), all(yes, no), any(no, yes), any(no, no), not(no), not(yes), all(), any(), all(yes), any(no), not(all(yes, not(any(no))))
  ], parsed(udhcpcDiscover())), [0, 2, 4, 6, 8]);
});

test('known clients and clients that speak BOOTP', () => {
  const conditions: Condition[] = [{ kind: 'known' }, not({ kind: 'known' }), { kind: 'bootp' }];
  assert.deepEqual(met(conditions, parsed(udhcpcDiscover()), { known: true }), [0]);
  assert.deepEqual(met(conditions, parsed(udhcpcDiscover())), [1]);
  assert.deepEqual(met(conditions, parsed(packet({ options: END }))), [1, 2]);
});

test('a class may stand on those before it, and on no other', () => {
  const message = parsed(udhcpcDiscover());
  const vendor = equals(option(60), 'udhcp 1.35.0');
  assert.deepEqual(met([vendor, inClass(0), not(inClass(1)), all(inClass(1), vendor), inClass(2)], message), [0, 1, 3]);
  assert.deepEqual(met([inClass(0), inClass(2), vendor, inClass(99), inClass(-1), not(inClass(5))], message), [2, 5]);
});

test('one request leaves nothing behind for the next', () => {
  const matcher = new ClassMatcher(classes([
    equals(option(60), 'udhcp 1.35.0'), inClass(0), equals(option(82, 1), 'eth0'), equals(option(60), 'in-sname'), exists(option(43)), { kind: 'known' },
  ]));
  const requests = [udhcpcDiscover, relayedDiscover, overloadedDiscover].map((make) => parsed(make()));
  const expected = [[0, 1], [2], [3, 4]];
  for (const first of [0, 1, 2]) {
    for (const next of [0, 1, 2]) {
      match(matcher, requests[first]!, { known: true });
      assert.deepEqual(match(matcher, requests[next]!).indexes, expected[next]);
    }
  }
});

test('classes that ask for one value of an option each: a request is in those that name its own', () => {
  const conditions = Array.from({ length: 200 }, (_, i) => (i % 3 === 0
    ? equals(option(60), `vendor-${i}`)
    : i % 3 === 1 ? all({ kind: 'known' }, equals(option(60), `vendor-${i - 1}`, `vendor-${i + 1}`)) : equals(option(60), `vendor-${i}`, 'vendor-0')));
  const matcher = new ClassMatcher(classes(conditions));
  const vendor = (text: string): DhcpMessage => discoverWith(tlv(60, bytes(text)));
  assert.deepEqual(match(matcher, vendor('vendor-99')).indexes, [99]);
  assert.deepEqual(match(matcher, vendor('vendor-99'), { known: true }).indexes, [99, 100]);
  assert.deepEqual(match(matcher, vendor('vendor-101'), { known: true }).indexes, [100, 101]);
  assert.deepEqual(match(matcher, vendor('vendor-0')).indexes, [0, ...Array.from({ length: 66 }, (_, i) => 3 * i + 2)]);
  assert.equal(match(matcher, vendor('vendor-9999999')), NO_CLASSES);
  assert.equal(match(matcher, discoverWith()), NO_CLASSES);
});

test('of very many values none is taken for another', () => {
  const valueOf = (n: number): readonly number[] => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].map((byte) => byte ^ 0x5a);
  const listed = Array.from({ length: 50_000 }, (_, i) => valueOf(Math.imul(i, 0x9e37_79b1)));
  const matcher = new ClassMatcher(classes([equals(option(60), ...listed)]));
  const request = packet({ options: Buffer.concat([TYPE, tlv(60, [0, 0, 0, 0]), END]) });
  const message = parsed(request);
  const isIn = (value: readonly number[]): boolean => {
    request.set(value, request.length - 5);
    return match(matcher, message).has(0);
  };
  for (let i = 0; i < 50_000; i += 7) assert.ok(isIn(listed[i]!), String(i));
  for (let i = 50_000; i < 250_000; i++) assert.ok(!isIn(valueOf(Math.imul(i, 0x9e37_79b1))), String(i));
});

test('without classes nobody is in one', () => {
  assert.equal(match(new ClassMatcher([]), parsed(udhcpcDiscover())), NO_CLASSES);
  assert.deepEqual([NO_CLASSES.id, NO_CLASSES.indexes, NO_CLASSES.drop, NO_CLASSES.identity, NO_CLASSES.overlay], [0, [], false, undefined, { options: [] }]);
  assert.equal(NO_CLASSES.has(0), false);
});

test('a class that does not stand at its index is a mistake of the caller', () => {
  const [first, second] = classes([all(), any()]);
  assert.throws(() => new ClassMatcher([second!, first!]), /stands at its index/);
});
