import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatHexPairs, formatIpv4 } from '../../node/codec/address.ts';
import { describeValue, findOption, formatOptionValue, OPTIONS, parseOptionValue } from '../../node/codec/options.ts';
import type { OptionDefinition, OptionJson } from '../../node/codec/options.ts';

const ip = fc.nat(0xffff_ffff).map(formatIpv4);
const NO_CONTROL = /^[^\u0000-\u001f\u007f]*$/; // eslint-disable-line no-control-regex -- what text may not hold

/** Values as the table allows them, in the form that is shown and configured. */
function valuesOf(option: OptionDefinition): fc.Arbitrary<OptionJson> {
  const least = option.minCount ?? 1;
  // The table below makes the values of every type, also of those too narrow for this option's bounds.
  const integer = (min: number, max: number): fc.Arbitrary<OptionJson> =>
    option.values === undefined
      ? fc.integer({ min: Math.min(option.min ?? min, max), max: option.max ?? max })
      : fc.constantFrom(...Object.values(option.values));
  const lists = (entry: fc.Arbitrary<OptionJson>): fc.Arbitrary<OptionJson> => fc.array(entry, { minLength: least, maxLength: 100 });
  const byType: Readonly<Record<OptionDefinition['type'], fc.Arbitrary<OptionJson>>> = {
    ip,
    'ip-list': lists(ip),
    'ip-pairs': lists(fc.tuple(ip.filter((first) => first !== '0.0.0.0'), ip)),
    u8: integer(0, 255),
    u16: integer(0, 65_535),
    u32: integer(0, 0xffff_ffff),
    i32: integer(-(2 ** 31), 2 ** 31 - 1),
    bool: fc.boolean(),
    'u8-list': lists(integer(0, 255)),
    'u16-list': lists(integer(0, 65_535)),
    text: fc.string({ minLength: least, maxLength: 300, unit: 'grapheme' }).filter((text) => NO_CONTROL.test(text)),
    bytes: fc.uint8Array({ minLength: least, maxLength: 300 }).map(formatHexPairs),
  };
  return byType[option.type];
}

for (const option of OPTIONS) {
  test(`option ${option.code} ${option.name}: reading what was written is the identity`, () => {
    fc.assert(fc.property(valuesOf(option), (value) => {
      const written = parseOptionValue(option.name, value);
      assert.ok(written.ok);
      assert.deepEqual(formatOptionValue(option.code, written.value), value);
      assert.deepEqual(parseOptionValue(option.code, value), written);
    }), { numRuns: 50 });
  });
}

test('names and codes are unique, in order, and found by either', () => {
  assert.deepEqual(OPTIONS.map(({ code }) => code), OPTIONS.map(({ code }) => code).toSorted((a, b) => a - b));
  assert.equal(new Set(OPTIONS.map(({ code }) => code)).size, OPTIONS.length);
  assert.equal(new Set(OPTIONS.map(({ name }) => name)).size, OPTIONS.length);
  for (const option of OPTIONS) {
    assert.equal(findOption(option.name), option);
    assert.equal(findOption(option.code), option);
    assert.equal(findOption(String(option.code)), option);
    assert.notEqual(describeValue(option), '');
  }
});

test('a code outside the table takes bytes; pad, end and other words are no options', () => {
  assert.deepEqual(parseOptionValue(224, '00:ff'), { ok: true, value: Buffer.from([0, 255]) });
  assert.deepEqual(parseOptionValue('224', ''), { ok: true, value: Buffer.alloc(0) });
  for (const name of [0, 255, 256, -1, 1.5, '0', '03', '1000', 'router', '__proto__', 'constructor', '']) {
    assert.equal(parseOptionValue(name, '00').ok, false, String(name));
  }
});

test('values of another type or out of bounds are refused with what was expected', () => {
  const refused = (name: string, value: unknown): string => {
    const result = parseOptionValue(name, value);
    assert.ok(!result.ok, `${name}: ${JSON.stringify(value)}`);
    return result.expected;
  };
  assert.match(refused('routers', []), /list of IPv4 addresses/);
  refused('routers', ['10.0.0.256']);
  refused('routers', ['10.0.0.1', 7]);
  refused('routers', { 0: '10.0.0.1' });
  refused('swap-server', ['10.0.0.1']);
  refused('swap-server', '010.0.0.1');
  assert.match(refused('interface-mtu', 67), /68 to 65535/);
  refused('interface-mtu', 65_536);
  refused('interface-mtu', '1500');
  refused('interface-mtu', 1500.5);
  refused('default-ip-ttl', 0);
  refused('time-offset', 2 ** 31);
  refused('ip-forwarding', 1);
  refused('ip-forwarding', 'true');
  refused('netbios-node-type', 3);
  refused('netbios-node-type', 'x-node');
  refused('domain-name', '');
  refused('domain-name', 7);
  refused('domain-name', 'a\nb');
  refused('domain-name', '\ud800');
  refused('static-routes', [['0.0.0.0', '10.0.0.1']]);
  refused('static-routes', [['10.1.0.0']]);
  refused('policy-filter', ['10.1.0.0', '10.0.0.1']);
  refused('path-mtu-plateau-table', [67]);
  refused('vendor-encapsulated-options', '0');
  refused('vendor-encapsulated-options', '01:2');
  refused('vendor-encapsulated-options', 12);
  refused('domain-name', 'x'.repeat(4097));
  for (const value of [null, undefined, Number.NaN, Number.POSITIVE_INFINITY, 1n, Symbol('x')]) {
    for (const { name } of OPTIONS) assert.equal(parseOptionValue(name, value).ok, false, name);
  }
});

test('one address may be written without a list, and a number by its name', () => {
  assert.deepEqual(parseOptionValue('routers', '10.0.0.1'), parseOptionValue('routers', ['10.0.0.1']));
  assert.deepEqual(parseOptionValue('netbios-node-type', 'h-node'), parseOptionValue('netbios-node-type', 8));
});

test('what a client sent is shown as far as it fits its type, and never throws', () => {
  assert.equal(formatOptionValue(12, Buffer.from('host\0\0')), 'host');
  assert.deepEqual(formatOptionValue(12, Buffer.from([0xff, 0x41])), { malformed: 'ff:41' });
  assert.deepEqual(formatOptionValue(3, Buffer.from([1, 2, 3])), { malformed: '01:02:03' });
  assert.deepEqual(formatOptionValue(3, Buffer.alloc(0)), { malformed: '' });
  assert.deepEqual(formatOptionValue(53, Buffer.from([77])), { malformed: '4d' });
  fc.assert(fc.property(fc.nat(255), fc.uint8Array({ maxLength: 40 }), (code, value) => {
    JSON.stringify(formatOptionValue(code, Buffer.from(value)));
  }), { numRuns: 2000 });
});
