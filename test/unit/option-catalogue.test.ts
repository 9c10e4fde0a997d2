import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPTION_DEFINITIONS_MAX } from '../../node/limits.ts';
import {
  CUSTOM_TYPES, describeCustomTypes, describeOptions, findSuboptionDefinition, jsonSchemaOf, OptionCatalogue, parseOptionValue, readOptionValue,
  RELAY_SUBOPTIONS,
} from '../../node/codec/options.ts';
import type { CustomOption, OptionDefinition } from '../../node/codec/options.ts';

const { standard } = OptionCatalogue;
const mine: CustomOption = { code: 224, name: 'mine', type: 'u16' };

function extended(...custom: CustomOption[]): OptionCatalogue {
  const result = standard.extend(custom);
  assert.ok(result.ok, JSON.stringify(result));
  return result.catalogue;
}

/** What is wrong with the last of them. */
function problem(...custom: CustomOption[]): string {
  const result = standard.extend(custom);
  assert.ok(!result.ok);
  assert.deepEqual(result.problems.map(({ index }) => index), [custom.length - 1]);
  return result.problems[0]!.message;
}

/** Codes that IANA has given to nobody: removed, or never assigned (RFC 3679, RFC 3942, and what was assigned since). */
const UNASSIGNED = [
  84, 96, 102, 103, 104, 105, 106, 107, 110, 111, 115, 126, 127, 149, 160,
  ...Array.from({ length: 12 }, (_, i) => 163 + i), ...Array.from({ length: 30 }, (_, i) => 178 + i), 214, 215, 216, 217, 218, 219, 222, 223,
];

test('every code that IANA has assigned has a definition, each one once, by a name of its own', () => {
  const codes = standard.options.map(({ code }) => code);
  const assigned = Array.from({ length: 223 }, (_, i) => i + 1).filter((code) => !UNASSIGNED.includes(code));
  assert.deepEqual(codes, [...assigned, 249, 252]);
  assert.equal(new Set(standard.names).size, codes.length);
  for (const option of standard.options) {
    assert.match(option.name, /^[a-z][a-z0-9-]*$/);
    assert.notEqual(option.rfc, '');
    assert.equal(standard.find(option.name), option);
    assert.equal(standard.find(option.code), option);
    assert.equal(standard.find(String(option.code)), option);
    assert.equal(standard.find(`option-${option.code}`), option);
  }
});

test('sub-options have codes and names of their own too', () => {
  const every = ({ suboptions = [], spaces = {} }: OptionDefinition): (readonly OptionDefinition[])[] => [suboptions, ...Object.values(spaces)];
  for (const table of standard.options.flatMap(every)) {
    assert.equal(new Set(table.map(({ code }) => code)).size, table.length);
    assert.equal(new Set(table.map(({ name }) => name)).size, table.length);
    for (const { name } of table) assert.match(name, /^[a-z][a-z0-9-]*$/);
  }
});

test('a sub-option of relay agent information is found by its name and by its code, and an unknown one is bytes', () => {
  for (const known of RELAY_SUBOPTIONS) {
    assert.equal(findSuboptionDefinition(known.name), known);
    assert.equal(findSuboptionDefinition(known.code), known);
    assert.equal(findSuboptionDefinition(String(known.code)), known);
  }
  assert.equal(new Set(RELAY_SUBOPTIONS.map(({ code }) => code)).size, RELAY_SUBOPTIONS.length);
  assert.equal(new Set(RELAY_SUBOPTIONS.map(({ name }) => name)).size, RELAY_SUBOPTIONS.length);
  assert.deepEqual(findSuboptionDefinition(200), { code: 200, name: '200', type: 'bytes', minBytes: 0, origin: 'client', rfc: '' });
  for (const wrong of [256, -1, 1.5, '01', 'circuit', '', '__proto__']) assert.equal(findSuboptionDefinition(wrong), undefined, String(wrong));
});

test('a code without a definition takes bytes; pad, end and other words are no options', () => {
  for (const name of [225, '225', 'option-225']) {
    const option = standard.find(name)!;
    assert.equal(option.name, 'option-225');
    assert.deepEqual(parseOptionValue(option, '00:ff'), { ok: true, value: Buffer.from([0, 255]) });
    assert.deepEqual(parseOptionValue(option, ''), { ok: true, value: Buffer.alloc(0) });
    assert.equal(readOptionValue(option, Buffer.alloc(0)), '');
  }
  for (const name of [0, 255, 256, -1, 1.5, '0', '03', '1000', 'router', '__proto__', 'constructor', '', 'option-0', 'option-255', 'option-01']) {
    assert.equal(standard.find(name), undefined, String(name));
  }
});

test('an option that the configuration defines is found, read and written like any other', () => {
  const catalogue = extended(mine, { code: 84, name: 'old', type: 'text' }, { code: 150, name: 'grub-config', type: 'text' });
  assert.equal(catalogue.find('mine'), catalogue.find(224));
  assert.deepEqual(parseOptionValue(catalogue.find('mine')!, 258), { ok: true, value: Buffer.from([1, 2]) });
  assert.equal(catalogue.find('mine')!.origin, 'configuration');
  assert.deepEqual(catalogue.names, catalogue.options.map(({ name }) => name));
  assert.ok(catalogue.names.indexOf('old') < catalogue.names.indexOf('mine'));
  assert.equal(catalogue.find('tftp-server-address'), undefined, 'its place was taken');
  assert.equal(standard.find(224)!.type, 'bytes', 'the standard is as it was');
  assert.equal(standard.find('tftp-server-address')!.code, 150);
});

test('only codes of nobody and those from 128 may be defined, and none that the server or clients decide', () => {
  for (const { code, name, origin } of standard.options) {
    const result = standard.extend([{ code, name: 'mine', type: 'text' }]);
    assert.equal(result.ok, code >= 128 && origin === 'configuration', name);
    if (!result.ok) assert.match(result.problems[0]!.message, new RegExp(String.raw`\b${name}\b`));
  }
  for (const code of UNASSIGNED) extended({ code, name: 'mine', type: 'text' });
  for (const code of [0, 255, 1.5, -1, Number.NaN]) assert.match(problem({ code, name: 'mine', type: 'text' }), /a code from 1 to 254/);
});

test('names are new and simple, codes are given once', () => {
  assert.match(problem(mine, { ...mine, name: 'other' }), /each code once: 224/);
  assert.match(problem(mine, { ...mine, code: 225 }), /mine is option 224/);
  assert.match(problem({ ...mine, name: 'routers' }), /routers is option 3/);
  for (const name of ['', 'Mine', '1st', 'a b', 'a'.repeat(65), 'option-3', 'constructor_', '__proto__']) {
    assert.match(problem({ ...mine, name }), /a name of at most 64/);
  }
  extended({ ...mine, name: 'constructor' }, { code: 150, name: 'tftp-server-address', type: 'text' });
});

test('types are known, and nothing follows a value without an end', () => {
  for (const type of CUSTOM_TYPES) extended({ ...mine, type });
  assert.match(problem({ ...mine, type: 'ip-list' as 'ip' }), /one of ip, ipv6, .*: ip-list is none/);
  assert.match(problem({ ...mine, type: 'toString' as 'ip' }), /toString is none/);
  assert.match(problem({ ...mine, type: 'text', array: true }), /nothing to follow a value of type text/);
  assert.match(problem({ ...mine, type: 'record', record: ['text', 'u8'] }), /type text/);
  assert.match(problem({ ...mine, type: 'record', record: ['u8', 'domain-list'], array: true }), /type domain-list/);
  assert.match(problem({ ...mine, type: 'record', record: ['u8', 'record' as 'u8'] }), /record is none/);
  assert.match(problem({ ...mine, type: 'record' }), /the list record/);
  assert.match(problem({ ...mine, type: 'record', record: [] }), /the list record/);
  assert.match(problem({ ...mine, record: ['u8'] }), /the list record/);
  extended({ ...mine, type: 'record', record: ['u8', 'text'] }, { ...mine, code: 225, name: 'more', type: 'fqdn', array: true });
});

test('a space with a name is of option 43, one with a number of option 125, each with codes and names of its own', () => {
  const catalogue = extended(
    { code: 1, name: 'controller', type: 'ip', array: true, space: 'aruba' },
    { code: 1, name: 'controller', type: 'ip', space: 'other' },
    { code: 11, name: 'boot-arguments', type: 'text', space: 'pxe' }, { code: 1, name: 'acs', type: 'uri', space: 3561 },
  );
  const vendor = catalogue.find(43)!;
  const written = (value: unknown): string => {
    const parsed = parseOptionValue(vendor, value);
    return parsed.ok ? parsed.value.toString('hex') : parsed.expected;
  };
  assert.equal(written({ aruba: { controller: ['10.0.0.1', '10.0.0.2'] } }), '01080a0000010a000002');
  assert.equal(written({ other: { controller: '10.0.0.1' } }), '01040a000001');
  assert.equal(written({ pxe: { 'boot-arguments': 'a', 'discovery-control': 8 } }), '0b0161060108');
  assert.deepEqual(readOptionValue(catalogue.find(125)!, Buffer.from('00000de906 0104613a6262'.replace(' ', ''), 'hex')), { 3561: { acs: 'a:bb' } });
  assert.equal(standard.find(43)!.spaces?.['aruba'], undefined);
  assert.match(problem({ code: 6, name: 'mine', type: 'u8', space: 'pxe' }), /6 is discovery-control/);
  assert.match(problem({ code: 12, name: 'boot-menu', type: 'u8', space: 'pxe' }), /a name that space pxe does not have/);
  assert.match(problem({ ...mine, space: 9 }, { ...mine, space: 9, name: 'other' }), /224 is mine/);
  for (const space of ['', '12', 'A', '__proto__']) assert.match(problem({ ...mine, space }), /an enterprise number, or as the vendor's a name/);
  for (const space of [-1, 1.5, 2 ** 32]) assert.match(problem({ ...mine, space }), /enterprise number/);
  extended({ code: 3, name: 'routers', type: 'u8', space: 'mine' }, { code: 3, name: 'routers', type: 'u8', space: 0 });
});

test('every wrong definition is named, by its place in the list', () => {
  const result = standard.extend([{ ...mine, code: 3 }, mine, { ...mine, name: 'X', code: 225 }]);
  assert.ok(!result.ok);
  assert.deepEqual(result.problems.map(({ index }) => index), [0, 2]);
});

test('a catalogue can be extended again, and more definitions than the limit are refused', () => {
  const again = extended(mine).extend([{ ...mine, type: 'u32' }, { code: 1, name: 'a', type: 'u8', space: 'x' }]);
  assert.ok(again.ok);
  assert.equal(again.catalogue.find('mine')!.type, 'u32');
  const many = Array.from({ length: OPTION_DEFINITIONS_MAX + 1 }, (_, i): CustomOption => ({ code: 1, name: 'a', type: 'u8', space: i }));
  assert.ok(standard.extend(many.slice(1)).ok);
  assert.match(problem(...many), /at most 1024/);
});

test('the reference has a row for each option and sub-option that can be configured', () => {
  const lines = describeOptions(extended(mine, { code: 1, name: 'acs', type: 'uri', space: 3561 }));
  const row = (name: string): string | undefined => lines.find((line) => line.includes(`| \`${name}\` |`));
  for (const { name, origin } of standard.options) assert.equal(row(name) !== undefined, origin === 'configuration', name);
  for (const name of ['mine', 'cablelabs-client-conf.tsp-realm', 'vendor-encapsulated-options.pxe.boot-menu', 'vivso-suboptions.3561.acs']) {
    assert.ok(row(name), name);
  }
  assert.equal(row('v6-only-preferred'), '| 108 | `v6-only-preferred` | a whole number from 300 to 4294967295, or 0 | RFC 8925 §3.1 |');
});

test('the reference has a row for each type of a definition', () => {
  const lines = describeCustomTypes();
  assert.equal(lines.length, 2 + CUSTOM_TYPES.length);
  assert.equal(lines[2], '| `ip` | an IPv4 address such as 10.0.0.1 | 4 bytes | yes |');
  for (const line of [...lines, ...describeOptions()]) if (line.startsWith('|')) assert.equal(line.split('|').length, 6, line);
});

test('the schema for editors', () => {
  assert.deepEqual(jsonSchemaOf(standard.find('interface-mtu')!), { type: 'integer', minimum: 68, maximum: 65_535 });
  const address = { type: 'string', format: 'ipv4' };
  assert.deepEqual(jsonSchemaOf(standard.find('routers')!), { anyOf: [{ type: 'array', items: address, minItems: 1 }, address] });
  assert.deepEqual(jsonSchemaOf(standard.find('slp-directory-agent')!), {
    type: 'object', required: ['mandatory', 'addresses'], additionalProperties: false,
    properties: { mandatory: { type: 'boolean' }, addresses: { anyOf: [{ type: 'array', items: address, minItems: 1 }, address] } },
  });
});
