/** The matcher decides what a plain reading of the conditions decides, whatever the packet holds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ClassMatcher } from '../../node/classes/matcher.ts';
import type { ClassRequest } from '../../node/classes/matcher.ts';
import type { Condition, Subject, Test } from '../../node/classes/types.ts';
import { DhcpMessage } from '../../node/codec/message.ts';
import { enterpriseData, suboption, vendorSuboption } from '../../node/codec/suboptions.ts';
import { classes } from './class-fixture.ts';
import { END, packet, tlv } from './codec-packets.ts';

function valueOf({ message, interfaceName }: ClassRequest, subject: Subject): Buffer | undefined {
  switch (subject.from) {
    case 'hardware': return message.hlen === 0 ? undefined : message.chaddr();
    case 'htype': return Buffer.of(message.htype);
    case 'giaddr': return message.bytes.subarray(24, 28);
    case 'ciaddr': return message.bytes.subarray(12, 16);
    case 'interface': return Buffer.from(interfaceName);
    default: {
      let value = message.option(subject.code);
      if (subject.enterprise !== undefined && value !== undefined) value = enterpriseData(value, subject.enterprise);
      for (const code of subject.path) value = value && (subject.code === 43 ? vendorSuboption : suboption)(value, code);
      return value;
    }
  }
}

function passes(request: ClassRequest, subject: Subject, test: Test): boolean {
  const value = valueOf(request, subject);
  if (value === undefined) return false;
  switch (test.kind) {
    case 'equals': return test.values.some((listed) => listed.equals(value));
    case 'prefix': return test.values.some((listed) => value.subarray(0, listed.length).equals(listed));
    case 'contains': return test.values.some((listed) => value.includes(listed));
    case 'network':
      return value.length === 4 && test.networks.some(({ network, prefixLength }) =>
        prefixLength === 0 || value.readUInt32BE(0) >>> (32 - prefixLength) === network >>> (32 - prefixLength));
    default:
      return subject.from === 'giaddr' || subject.from === 'ciaddr' ? value.readUInt32BE(0) !== 0 : true;
  }
}

function isMet(request: ClassRequest, condition: Condition, before: readonly boolean[]): boolean {
  switch (condition.kind) {
    case 'test': return passes(request, condition.subject, condition.test);
    case 'class': return before[condition.index] ?? false;
    case 'all': return condition.of.every((part) => isMet(request, part, before));
    case 'any': return condition.of.some((part) => isMet(request, part, before));
    case 'not': return !isMet(request, condition.of, before);
    case 'known': return request.known;
    default: return request.message.type === 0;
  }
}

// Few values of few lengths, so that classes and packets often agree.
const aByte = fc.constantFrom(0, 1, 2, 5, 255);
const aValue = fc.array(aByte, { maxLength: 6 }).map((bytes) => Buffer.from(bytes));
const aCode = fc.constantFrom(43, 60, 82, 124, 125);

const aSubject: fc.Arbitrary<Subject> = fc.oneof(
  fc.constantFrom<Subject>({ from: 'hardware' }, { from: 'htype' }, { from: 'giaddr' }, { from: 'ciaddr' }, { from: 'interface' }),
  fc.record({ from: fc.constant('option' as const), code: aCode, path: fc.array(aByte, { maxLength: 2 }) }),
  fc.record({ from: fc.constant('option' as const), code: fc.constantFrom(124, 125), path: fc.array(aByte, { maxLength: 1 }), enterprise: fc.constantFrom(1, 0x0102_0501) }),
);

const aTest: fc.Arbitrary<Test> = fc.oneof(
  fc.record({ kind: fc.constantFrom('equals' as const, 'prefix' as const, 'contains' as const), values: fc.array(aValue, { maxLength: 3 }) }),
  fc.record({
    kind: fc.constant('network' as const),
    networks: fc.array(fc.constantFrom(0, 8, 9, 32).chain((prefixLength) => fc.constantFrom(0, 0x0102_0000, 0x0102_0501).map((address) => ({
      network: prefixLength === 0 ? 0 : (address & (0xffff_ffff << (32 - prefixLength))) >>> 0, prefixLength,
    }))), { maxLength: 2 }),
  }),
  fc.constant<Test>({ kind: 'exists' }),
);

const { condition: aCondition } = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ kind: fc.constant('test' as const), subject: aSubject, test: aTest }),
    fc.record({ kind: fc.constant('class' as const), index: fc.nat(5) }),
    fc.constantFrom<Condition>({ kind: 'known' }, { kind: 'bootp' }),
    fc.record({ kind: fc.constantFrom('all' as const, 'any' as const), of: fc.array(tie('condition'), { maxLength: 3 }) }),
    fc.record({ kind: fc.constant('not' as const), of: tie('condition') }),
  ),
}));

const aTlv = fc.tuple(aByte, aValue).map(([code, value]) => tlv(code, value));
const aContainer = fc.oneof(aValue, fc.array(aTlv, { maxLength: 3 }).map((parts) => Buffer.concat(parts)),
  fc.tuple(fc.constantFrom(1, 0x0102_0501), fc.array(aTlv, { maxLength: 2 })).map(([number, parts]) => {
    const data = Buffer.concat(parts);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(number);
    head[4] = data.length;
    return Buffer.concat([head, data]);
  }));

const aRequest = fc.record({
  options: fc.array(fc.tuple(aCode, aContainer), { maxLength: 6 }), type: fc.constantFrom(Buffer.alloc(0), tlv(53, [1])),
  giaddr: fc.constantFrom(0, 0x0102_0501), ciaddr: fc.constantFrom(0, 0x0102_0000), chaddr: fc.array(aByte, { maxLength: 16 }), htype: aByte,
  interfaceName: fc.constantFrom('eth0', '\u0001\u0002', ''), known: fc.boolean(),
});

test('classes of any conditions, over requests with any options one after the other', () => {
  fc.assert(fc.property(fc.array(aCondition, { maxLength: 6 }), fc.array(aRequest, { minLength: 1, maxLength: 3 }), (conditions, requests) => {
    const matcher = new ClassMatcher(classes(conditions));
    const message = new DhcpMessage();
    for (const { options, type, interfaceName, known, ...header } of requests) {
      const bytes = packet({ ...header, options: Buffer.concat([type, ...options.map(([code, value]) => tlv(code, value)), END]) });
      assert.equal(message.parse(bytes), undefined);
      const request: ClassRequest = { message, interfaceName, known };
      const expected: boolean[] = [];
      for (const condition of conditions) expected.push(isMet(request, condition, expected));
      const set = matcher.match(request);
      assert.deepEqual(conditions.map((_, index) => set.has(index)), expected);
      assert.deepEqual(set.indexes, expected.flatMap((is, index) => (is ? [index] : [])));
    }
  }), { numRuns: 1500 });
});
