/** The reference of the options that can be configured, in Markdown. */
import { CUSTOM, CUSTOM_TYPES, OptionCatalogue } from './option-catalogue.ts';
import { VALUES } from './option-rules.ts';
import type { CustomType } from './option-catalogue.ts';
import type { OptionDefinition } from './option-shape.ts';

/** A table of the options, and one of their sub-options by name. */
export function describeOptions(catalogue: OptionCatalogue = OptionCatalogue.standard): string[] {
  const options = catalogue.options.filter(({ origin }) => origin === 'configuration');
  return [
    ...table('name', options.map((option) => [option.name, option])), '',
    'Sub-options, by name or by code in the value of the option (or of the vendor\'s space) before the dot. Whatever its type says,',
    'a sub-option may also be given as bytes: `{hex: "01:0a:ff"}`.', '',
    ...table('sub-option', options.flatMap(suboptionsOf)),
  ];
}

const ON_THE_WIRE: Readonly<Record<CustomType, string>> = {
  ip: '4 bytes', ipv6: '16 bytes',
  prefix: 'its length in a byte, then the bytes that it reaches into', 'ipv6-prefix': 'as prefix',
  route: 'a prefix and the router (RFC 3442)',
  u8: '1 byte', u16: '2 bytes', u32: '4 bytes', i8: '1 byte', i16: '2 bytes', i32: '4 bytes',
  bool: '1 byte, 0 or 1', flag: 'no bytes',
  fqdn: 'labels (RFC 1035 §3.1)', 'domain-list': 'names one after the other', 'compressed-domain-list': 'with pointers (RFC 1035 §4.1.4)',
  text: 'UTF-8', uri: 'ASCII', bytes: 'as they are', 'text-or-bytes': 'as they are',
  text8: 'its length in 1 byte, then UTF-8', text16: 'its length in 2 bytes, then UTF-8',
  bytes8: 'their number in 1 byte, then they', bytes16: 'their number in 2 bytes, then they',
};

/** A table of the types that a definition may have. */
export function describeCustomTypes(): string[] {
  return [
    '| type | value | on the wire | repeats |', '| --- | --- | --- | --- |',
    ...CUSTOM_TYPES.map((type) => {
      const shape = CUSTOM[type];
      return `| \`${type}\` | ${VALUES.describe(shape)} | ${ON_THE_WIRE[type]} | ${'open' in shape ? 'no' : 'yes'} |`;
    }),
  ];
}

function suboptionsOf({ name, suboptions = [], spaces = {} }: OptionDefinition): [string, OptionDefinition][] {
  return [
    ...suboptions.map((suboption): [string, OptionDefinition] => [`${name}.${suboption.name}`, suboption]),
    ...Object.entries(spaces).flatMap(([space, definitions]) =>
      definitions.map((suboption): [string, OptionDefinition] => [`${name}.${space}.${suboption.name}`, suboption])),
  ];
}

function table(heading: string, rows: readonly (readonly [string, OptionDefinition])[]): string[] {
  return [
    `| code | ${heading} | value | defined in |`, '| --- | --- | --- | --- |',
    ...rows.map(([name, definition]) => `| ${definition.code} | \`${name}\` | ${VALUES.describe(definition)} | ${definition.rfc} |`),
  ];
}
