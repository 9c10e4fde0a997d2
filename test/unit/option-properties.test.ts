/** What holds for every option, sub-option and type of a definition, on values and bytes of chance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { z } from 'zod';
import {
  CUSTOM_TYPES, describeOptionType, jsonSchemaOf, OptionCatalogue, parseOptionValue, readOptionValue, RELAY_SUBOPTIONS,
} from '../../node/codec/options.ts';
import type { CustomOption, OptionDefinition } from '../../node/codec/options.ts';
import { bytesLike, valuesOf } from '../support/option-values.ts';

/** One definition of every type, and the ways to put types together. */
const CUSTOM: readonly CustomOption[] = [
  ...CUSTOM_TYPES.map((type, i): CustomOption => ({ code: 224 + i, name: `custom-${type}`, type })),
  { code: 222, name: 'custom-list', type: 'u16', array: true },
  { code: 223, name: 'custom-records', type: 'record', record: ['u8', 'text8', 'prefix'], array: true },
  { code: 200, name: 'custom-record', type: 'record', record: ['fqdn', 'i32', 'bytes16', 'text'] },
  { code: 1, name: 'one', type: 'ip', space: 3561 },
  { code: 2, name: 'two', type: 'text', space: 3561 },
];

function extended(): OptionCatalogue {
  const result = OptionCatalogue.standard.extend(CUSTOM);
  assert.ok(result.ok);
  return result.catalogue;
}

const suboptions = ({ name, suboptions = [], spaces = {} }: OptionDefinition): OptionDefinition[] =>
  [...suboptions, ...Object.values(spaces).flat()].map((suboption) => ({ ...suboption, name: `${name}.${suboption.name}` }));
const options = extended().options;
const definitions = [...options, ...options.flatMap(suboptions)];

test('the definitions of every kind are looked at', () => {
  assert.ok(definitions.length > 200);
  for (const { name } of RELAY_SUBOPTIONS) assert.ok(definitions.some((definition) => definition.name === `dhcp-agent-options.${name}`), name);
});

for (const definition of definitions) {
  const { code, name } = definition;

  test(`${name} (${code}): reading what was written is the identity, and editors let the value through`, () => {
    const schema = z.fromJSONSchema(jsonSchemaOf(definition));
    assert.notEqual(describeOptionType(definition), '');
    fc.assert(fc.property(valuesOf(definition), (value) => {
      const written = parseOptionValue(definition, value);
      assert.ok(written.ok, `not written: ${JSON.stringify(value)}`);
      assert.deepEqual(readOptionValue(definition, written.value), value);
      const checked = schema.safeParse(value);
      assert.ok(checked.success, checked.error?.message);
    }), { numRuns: 40 });
  });

  test(`${name} (${code}): no bytes make the reader throw, and what is readable writes back to the same`, () => {
    fc.assert(fc.property(bytesLike(definition), (bytes) => {
      const value = readOptionValue(definition, bytes);
      if (value === undefined) return;
      const written = parseOptionValue(definition, value);
      assert.ok(written.ok, `not written: ${JSON.stringify(value)}`);
      assert.deepEqual(readOptionValue(definition, written.value), value);
    }), { numRuns: 80 });
  });

  test(`${name} (${code}): no value makes the writer throw`, () => {
    fc.assert(fc.property(fc.anything(), (value) => {
      const written = parseOptionValue(definition, value);
      if (written.ok) assert.notEqual(readOptionValue(definition, written.value), undefined);
      else assert.equal(written.expected, describeOptionType(definition));
    }), { numRuns: 40 });
  });
}

test('a sub-option that breaks its definition is shown as its bytes, and these are not taken for a value of its type', () => {
  const dnr = OptionCatalogue.standard.find(162)!;
  // ALPN (key 1) with eight empty names.
  const bytes = Buffer.from('005c000022036e65740b61616161000061616161610861616161616161610761616161616161000800000000000000000001000800000000000000000002' +
    '000000030002000000070014f0908080f0908080f0908080f0908080f0908080', 'hex');
  const value = readOptionValue(dnr, bytes);
  assert.match(JSON.stringify(value), /"alpn":\{"hex":"00:00:00:00:00:00:00:00"\}/);
  assert.deepEqual(parseOptionValue(dnr, value), { ok: true, value: bytes });
});
