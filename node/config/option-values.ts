/**
 * `options:` and `optionDefinitions:` of a file. They are read after the schema: which names there are,
 * and what their values look like, may be the file's own doing.
 */
import { OptionCatalogue, parseOptionValue } from '../codec/options.ts';
import type { OptionDefinition } from '../codec/options.ts';
import { found } from './error.ts';
import type { PathPart, Report } from './error.ts';
import { didYouMean } from './nearest.ts';
import { asList, isMap } from './plain-values.ts';
import { optionDefinition } from './schema.ts';
import type { ConfiguredOption, OptionSend } from './types.ts';

const EMPTY: Buffer = Buffer.alloc(0);
const SENDS: readonly OptionSend[] = ['requested', 'always', 'never'];
const WRAPPER_KEYS = ['value', 'send'];

/** The options that there are, the file's own among them, but for those that have a mistake. */
export function readDefinitions(definitions: unknown, path: readonly PathPart[], report: Report): OptionCatalogue {
  const wellFormed = asList(definitions).flatMap((definition, index) => {
    const { data } = optionDefinition.safeParse(definition);
    return data === undefined ? [] : [{ index, definition: data }];
  });
  if (wellFormed.length === 0) return OptionCatalogue.standard;
  const extended = OptionCatalogue.standard.extend(wellFormed.map(({ definition }) => definition));
  if (extended.ok) return extended.catalogue;
  const wrong = new Set(extended.problems.map(({ index }) => index));
  for (const { index, message } of extended.problems) {
    const { index: place, definition } = wellFormed[index]!;
    report([...path, place], `expected ${message}, ${found(definition)}`);
  }
  const rest = OptionCatalogue.standard.extend(wellFormed.filter((_, index) => !wrong.has(index)).map(({ definition }) => definition));
  return rest.ok ? rest.catalogue : OptionCatalogue.standard;
}

/** In order of code; without those that have a mistake. Anything but a map has no options. */
export function readOptions(options: unknown, path: readonly PathPart[], catalogue: OptionCatalogue, report: Report): ConfiguredOption[] {
  if (!isMap(options)) return [];
  const read = new Map<number, ConfiguredOption>();
  for (const [key, given] of Object.entries(options)) {
    const problem = (message: string, within: readonly PathPart[] = [], at?: 'key'): void => report([...path, key, ...within], message, at);
    const definition = catalogue.find(key);
    if (definition === undefined) {
      problem(`expected the name of a DHCP option or its code (1 to 254)${didYouMean(key, catalogue.names)}, ${found(given)}`);
    } else if (definition.origin !== 'configuration') {
      problem(`expected no value here: ${definition.name} ${
        definition.origin === 'server' ? 'follows from the rest of the configuration' : 'comes from clients and relays only'}, ${found(given)}`);
    } else if (read.has(definition.code)) {
      problem(`expected each option once: ${definition.name} is option ${definition.code}, which is set here too, ${found(given)}`);
    } else {
      const option = readOption(definition, given, problem);
      if (option !== undefined) read.set(option.code, option);
    }
  }
  return [...read.values()].sort((a, b) => a.code - b.code);
}

type Problem = (message: string, within?: readonly PathPart[], at?: 'key') => void;

/** A value, or { value, send }: a map with one of these keys is always the latter. */
function readOption(definition: OptionDefinition, given: unknown, problem: Problem): ConfiguredOption | undefined {
  if (!isMap(given) || !WRAPPER_KEYS.some((key) => key in given)) return readValue(definition, given, 'requested', problem, []);
  const unknown = Object.keys(given).filter((key) => !WRAPPER_KEYS.includes(key));
  for (const key of unknown) problem(`unknown key${didYouMean(key, WRAPPER_KEYS) || '; expected one of value, send'}`, [key], 'key');
  const send = SENDS.find((one) => one === (given['send'] ?? 'requested'));
  if (send === undefined) problem(`expected one of ${SENDS.join(', ')}, ${found(given['send'])}`, ['send']);
  // What is never sent needs no value: so a subnet takes back what stands further out.
  if (send === 'never' && given['value'] === undefined) return { code: definition.code, value: EMPTY, send };
  const option = readValue(definition, given['value'], send ?? 'requested', problem, ['value']);
  return send === undefined || unknown.length > 0 ? undefined : option;
}

function readValue(
  definition: OptionDefinition, given: unknown, send: OptionSend, problem: Problem, within: readonly PathPart[],
): ConfiguredOption | undefined {
  const parsed = parseOptionValue(definition, given);
  if (parsed.ok) return { code: definition.code, value: parsed.value, send };
  problem(`expected ${parsed.expected}, ${found(given)}`, within);
  return undefined;
}
