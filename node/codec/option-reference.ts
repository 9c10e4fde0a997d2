/** The reference of the options that can be configured, in Markdown. */
import { OptionCatalogue } from './option-catalogue.ts';
import { VALUES } from './option-rules.ts';
import type { OptionDefinition } from './option-shape.ts';

/** A table of the options, and one of their sub-options by name. */
export function describeOptions(catalogue: OptionCatalogue = OptionCatalogue.standard): string[] {
  const options = catalogue.options.filter(({ origin }) => origin === 'configuration');
  return [
    ...table('name', options.map((option) => [option.name, option])), '',
    'Sub-options, by name or by code in the value of the option (or of the vendor\'s space) before the dot. Whatever its type says,',
    'a sub-option may also be given as bytes: `{bytes: "01:0a:ff"}`.', '',
    ...table('sub-option', options.flatMap(suboptionsOf)),
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
    ...rows.map(([name, definition]) => `| ${definition.code} | \`${name}\` | ${VALUES.describe(definition).replaceAll('|', '\\|')} | ${definition.rfc} |`),
  ];
}
