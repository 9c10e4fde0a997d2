/** Values of any shape of option, in the form in which they are shown: what is written of one reads as the same. */
import * as fc from 'fast-check';
import { formatHexPairs, formatIpv4, parseIpv4 } from '../../node/codec/address.ts';
import { formatIpv6 } from '../../node/codec/ipv6.ts';
import { VALUES } from '../../node/codec/option-rules.ts';
import type { OptionDefinition, OptionJson, OptionType, ValueShape } from '../../node/codec/option-shape.ts';

type Values = fc.Arbitrary<OptionJson>;

const ENTRIES_MAX = 3;
const NO_CONTROL = /^[^\u0000-\u001f\u007f]*$/; // eslint-disable-line no-control-regex -- what text may not hold

const ip = fc.nat(0xffff_ffff).map(formatIpv4);
const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => formatIpv6(bytes));

function prefix(bytes: number, format: (address: Buffer) => string): fc.Arbitrary<string> {
  return fc.tuple(fc.uint8Array({ minLength: bytes, maxLength: bytes }), fc.nat(8 * bytes)).map(([address, length]) =>
    `${format(Buffer.from(address.map((byte, i) => byte & ~(0xff >> Math.min(Math.max(length - 8 * i, 0), 8)))))}/${length}`);
}

/** Labels as they are shown: visible ASCII but for dot and backslash, which are escaped like every other byte. */
const labelByte = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('a', 'b', 'x', 'z', 'A', 'B', '0', '9', '-', '_') },
  { weight: 1, arbitrary: fc.nat(255).map((byte) => {
    if (byte === 0x2e || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
    return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`;
  }) },
);
const label = fc.array(labelByte, { minLength: 1, maxLength: 12 }).map((bytes) => bytes.join(''));
export const domainName: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.array(fc.oneof(label, fc.constantFrom('example', 'net', 'a')), { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.')),
  },
  { weight: 1, arbitrary: fc.constant('.') },
);

function visible(least: number, most = 12): fc.Arbitrary<string> {
  return fc.string({ minLength: least, maxLength: most, unit: 'grapheme-ascii' });
}

function hex(least: number, most = Math.max(least, 10)): fc.Arbitrary<string> {
  return fc.uint8Array({ minLength: least, maxLength: most }).map(formatHexPairs);
}

function raw(least: number): Values {
  return fc.uint8Array({ minLength: Math.max(least, 1), maxLength: 10 }).filter((bytes) => bytes.some((byte) => byte < 0x20 || byte > 0x7e))
    .map((bytes) => ({ hex: formatHexPairs(bytes) }));
}

function integer(least: number, most: number): (shape: ValueShape) => Values {
  return ({ values, min = least, max = most, orZero }) => {
    if (values !== undefined) return fc.constantFrom(...Object.values(values));
    return orZero ? fc.oneof(fc.constant(0), fc.integer({ min, max })) : fc.integer({ min, max });
  };
}

function names(least: number): fc.Arbitrary<string[]> {
  return fc.array(domainName, { minLength: least, maxLength: ENTRIES_MAX });
}

function suboptions(shape: ValueShape): Values {
  const known = fc.tuple(...(shape.suboptions ?? []).map((definition) =>
    fc.option(valuesOf(definition), { nil: undefined }).map((value) => [definition.name, value] as const)));
  const codes = new Set([...(shape.suboptions ?? []).map(({ code }) => code), ...(shape.excluded ?? [])]);
  const [first, last] = shape.padded ? [1, 254] : [0, shape.wide ? 65_535 : 255];
  const unknown = fc.dictionary(fc.integer({ min: first, max: last }).filter((code) => !codes.has(code)).map(String), hex(0, 6), { maxKeys: 2 });
  const map = fc.tuple(known, unknown).map(([entries, others]) =>
    ({ ...Object.fromEntries(entries.filter(([, value]) => value !== undefined).slice(0, 4)), ...others }) as OptionJson)
    .filter((value) => Object.keys(value).length >= (shape.minCount ?? 1));
  // Bytes stay bytes only where they are no sub-options.
  return shape.orBytes ? fc.oneof(map, hex(1).filter((text) => VALUES.read(VALUES.write(text, shape)!, shape) === text)) : map;
}

const BY_TYPE: Readonly<Record<OptionType, (shape: ValueShape) => Values>> = {
  ip: ({ notZero }) => ip.filter((address) => !notZero || address !== '0.0.0.0'),
  ipv6: () => ipv6,
  prefix: () => prefix(4, (address) => formatIpv4(address.readUInt32BE(0))),
  'ipv6-prefix': () => prefix(16, formatIpv6),
  u8: integer(0, 255), u16: integer(0, 65_535), u32: integer(0, 0xffff_ffff),
  i8: integer(-128, 127), i16: integer(-32_768, 32_767), i32: integer(-(2 ** 31), 2 ** 31 - 1),
  bool: () => fc.boolean(),
  flag: () => fc.constant(true),
  text: ({ minBytes = 1, maxBytes }) => (maxBytes === undefined
    ? fc.string({ minLength: minBytes, maxLength: 12, unit: 'binary' }).filter((text) => NO_CONTROL.test(text))
    : visible(minBytes, Math.min(maxBytes, 12)).filter((text) => NO_CONTROL.test(text))),
  uri: () => visible(1).filter((text) => !text.includes(' ')).map((text) => `https://example.net/${text}`),
  bytes: ({ minBytes = 1, maxBytes }) => hex(minBytes, maxBytes),
  'text-or-bytes': ({ minBytes = 1 }) => fc.oneof(visible(minBytes), raw(minBytes)),
  fqdn: () => domainName,
  'domain-list': ({ minCount = 1 }) => names(minCount),
  route: () => fc.record({ to: prefix(4, (address) => formatIpv4(address.readUInt32BE(0))), via: ip }, { noNullPrototype: true }),
  sized: ({ of }) => valuesOf(of!),
  record({ fields = [] }) {
    const required = fields.filter(({ optional }) => !optional).length;
    const named = (values: readonly OptionJson[]): OptionJson =>
      (fields[0]!.name === undefined ? values : Object.fromEntries(values.map((value, i) => [fields[i]!.name!, value])));
    return fc.integer({ min: required, max: fields.length })
      .chain((count) => fc.tuple(...fields.slice(0, count).map((field) => valuesOf(field))).map(named));
  },
  'bit-fields': ({ bits = [] }) => fc.tuple(...bits.filter(({ name }) => name !== undefined).map(({ name, bits: width, signed, fraction = 0 }) => {
    const raw = fc.integer({ min: signed ? -(2 ** (width - 1)) : 0, max: 2 ** (signed ? width - 1 : width) - 1 });
    return raw.map((number) => [name!, number / 2 ** fraction] as const);
  })).map((entries) => Object.fromEntries(entries)),
  suboptions,
  'by-enterprise'({ of, spaces = {} }) {
    const others = fc.nat(0xffff_ffff).map(String).filter((key) => !(key in spaces));
    const known = fc.tuple(...Object.entries(spaces).map(([key, suboptions]) =>
      fc.option(valuesOf({ ...of!, suboptions }), { nil: undefined }).map((value) => [key, value] as const)));
    return fc.tuple(fc.dictionary(others, valuesOf(of!), { maxKeys: 2 }), known)
      .map(([one, other]) => ({ ...one, ...Object.fromEntries(other.filter(([, value]) => value !== undefined)) }) as Record<string, OptionJson>)
      .filter((value) => Object.keys(value).length > 0);
  },
  'names-or-addresses': ({ maxCount = ENTRIES_MAX }) => fc.oneof(
    fc.array(ip, { minLength: 1, maxLength: maxCount }),
    names(1).map((list) => list.slice(0, maxCount)).filter((list) => list.every((name) => parseIpv4(name) === undefined)),
  ),
  'user-class': (shape) => fc.oneof(
    fc.array(fc.oneof(visible(1), raw(1)), { minLength: 1, maxLength: ENTRIES_MAX }),
    fc.oneof(visible(1), raw(1)).filter((bare) => VALUES.write(bare, shape) !== undefined),
  ),
  'client-fqdn': () => fc.tuple(fc.subarray(['S', 'O', 'E', 'N']), domainName, fc.constantFrom('', '.')).map(([flags, name, end]) =>
    ({ flags, name: flags.includes('E') && name !== '.' ? name + end : name.replaceAll(/[^a-z.]/g, '') })),
};

export function valuesOf(shape: ValueShape): Values {
  const one = BY_TYPE[shape.type](shape);
  return shape.array ? fc.array(one, { minLength: shape.minCount ?? 1, maxLength: shape.maxCount ?? ENTRIES_MAX }) : one;
}

/** Bytes that are often nearly a value: some that were written with up to two changed, cut off or put in, and some of chance. */
export function bytesLike(definition: OptionDefinition): fc.Arbitrary<Buffer> {
  const written = valuesOf(definition).map((value) => VALUES.write(value, definition)!);
  const change = fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'insert', 'cut'));
  const changed = fc.tuple(written, fc.array(change, { maxLength: 2 })).map(([bytes, changes]) => {
    const list = [...bytes];
    for (const [at, byte, kind] of changes) {
      const place = at % (list.length + 1);
      if (kind === 'cut') list.length = place;
      else list.splice(place, kind === 'set' ? 1 : 0, byte);
    }
    return Buffer.from(list);
  });
  return fc.oneof(changed, fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)));
}
