/** What of a request a condition looks at, and how the values are written that it is compared with. */
import { OptionCode } from '../codec/message.ts';
import { parseHexPairs } from '../codec/address.ts';
import type { Subject } from '../classes/types.ts';
import { readBytes, readMarkedBytes } from './byte-kinds.ts';
import { found } from './error.ts';
import type { PathPart, Report } from './error.ts';
import * as kinds from './kinds.ts';
import { didYouMean } from './nearest.ts';
import type { PlainMap } from './plain-values.ts';
import { describeOptionType, parseOptionValue } from '../codec/options.ts';
import type { OptionCatalogue, OptionDefinition } from '../codec/options.ts';

type Path = readonly PathPart[];

export type ValueTest = 'equals' | 'prefix' | 'contains';

export interface ReadSubject {
  readonly subject: Subject;
  /** For people: "the field htype". */
  readonly name: string;
  /** The tests that make sense, besides `exists`. */
  readonly tests: readonly (ValueTest | 'network')[];
  /** The value as it would lie on the wire. */
  read(test: ValueTest, value: unknown): Buffer | { readonly expected: string };
}

const ALL_TESTS: ReadSubject['tests'] = ['equals', 'prefix', 'contains', 'network'];
const BYTE_TESTS: ReadSubject['tests'] = ['equals', 'prefix', 'contains'];
const FIELDS = ['hardware', 'htype', 'giaddr', 'ciaddr', 'interface'] as const;
const ENTERPRISE = kinds.integer(0, 0xffff_ffff);
/** RFC 3925. */
const BY_ENTERPRISE: readonly number[] = [124, 125];
const OR_HEX = ', or bytes such as { hex: "0a:1b" }';

/** Undefined: there is a mistake in it, and it has been reported. */
export function readSubject(
  head: 'option' | 'relay' | 'field', value: PlainMap, path: Path, catalogue: OptionCatalogue, report: Report,
): ReadSubject | undefined {
  if (head === 'field') return readField(value['field'], [...path, 'field'], report);
  if (head === 'relay') {
    const agentOptions = catalogue.find(OptionCode.RELAY_AGENT_INFORMATION)!;
    return readPath(agentOptions, { suboption: value['relay'] }, path, report, 'relay');
  }
  const definition = typeof value['option'] === 'string' || typeof value['option'] === 'number' ? catalogue.find(value['option']) : undefined;
  if (definition !== undefined) return readPath(definition, value, path, report, 'suboption');
  const hint = typeof value['option'] === 'string' ? didYouMean(value['option'], catalogue.names) : '';
  report([...path, 'option'], `expected the name of a DHCP option or its code (1 to 254)${hint}, ${found(value['option'])}`);
  return undefined;
}

/** `key`: where the file has the sub-options. */
function readPath(option: OptionDefinition, value: PlainMap, path: Path, report: Report, key: 'relay' | 'suboption'): ReadSubject | undefined {
  const { code } = option;
  const enterprise = readEnterprise(option, value, path, report);
  if (enterprise === WRONG) return undefined;
  const given = value['suboption'];
  const steps: readonly unknown[] = given === undefined ? [] : Array.isArray(given) ? given : [given];
  if (given !== undefined && steps.length === 0) {
    report([...path, key], 'expected at least one sub-option, found an empty list');
    return undefined;
  }
  const codes: number[] = [];
  let definition: OptionDefinition | undefined;
  let definitions = suboptionsOf(option, enterprise);
  for (const [index, step] of steps.entries()) {
    const inner = findStep(definitions, step);
    if (inner === undefined) {
      const names = definitions.map(({ name }) => name);
      report([...path, key, ...(Array.isArray(given) ? [index] : [])],
        `expected ${names.length === 0 ? '' : 'the name of a sub-option or '}a code from 0 to 255${didYouMean(String(step), names)}, ${found(step)}`);
      return undefined;
    }
    codes.push(inner.code);
    ({ definition } = inner);
    definitions = definition?.suboptions ?? [];
  }
  const subject: Subject = { from: 'option', code, path: codes, ...(enterprise === undefined ? {} : { enterprise }) };
  // Of what one enterprise has in options 124 and 125 as a whole nothing is known.
  return codes.length === 0 && enterprise === undefined ? bytesOf(subject, option, false) : bytesOf(subject, definition, true);
}

const WRONG = 'wrong';

function readEnterprise({ code, name }: OptionDefinition, { enterprise, suboption }: PlainMap, path: Path, report: Report): number | undefined | typeof WRONG {
  const within = BY_ENTERPRISE.includes(code);
  if (enterprise === undefined) {
    if (suboption === undefined || !within) return undefined;
    report(path, `expected enterprise too: the number that the sub-options of ${name} belong to`);
    return WRONG;
  }
  const read = ENTERPRISE.read(enterprise);
  if (!within) report([...path, 'enterprise'], `expected enterprise with options 124 and 125 only, not with ${name}`, 'key');
  else if (read === undefined) report([...path, 'enterprise'], `expected ${ENTERPRISE.expected}, ${found(enterprise)}`);
  return within && read !== undefined ? read : WRONG;
}

/** Of option 43 those of all vendors: a name tells which one is meant. */
function suboptionsOf(option: OptionDefinition, enterprise: number | undefined): readonly OptionDefinition[] {
  if (enterprise === undefined) return [...(option.suboptions ?? []), ...Object.values(option.spaces ?? {}).flat()];
  return Object.entries(option.spaces ?? {}).find(([space]) => space === String(enterprise))?.[1] ?? [];
}

/** A code that several vendors use has no definition that could be relied on. */
function findStep(definitions: readonly OptionDefinition[], step: unknown): { code: number; definition: OptionDefinition | undefined } | undefined {
  const text = typeof step === 'string' || typeof step === 'number' ? String(step) : '';
  const named = definitions.find(({ name }) => name === text);
  if (named !== undefined) return { code: named.code, definition: named };
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(text) || Number(text) > 255) return undefined;
  const known = definitions.filter(({ code }) => code === Number(text));
  return { code: Number(text), definition: known.length === 1 ? known[0] : undefined };
}

/** `inner`: what lies inside an option; where nothing more is known of it, a text stands for itself. */
function bytesOf(subject: Subject, definition: OptionDefinition | undefined, inner: boolean): ReadSubject {
  const type = definition?.type;
  const name = definition?.name ?? 'these bytes';
  if (definition === undefined || (inner && type === 'bytes')) {
    return {
      subject, name, tests: ALL_TESTS,
      read: (_, value) => nonEmpty(readBytes(value, 'text')) ?? { expected: `text${OR_HEX}` },
    };
  }
  return {
    subject, name, tests: type === 'ip' || type === 'bytes' ? ALL_TESTS : BYTE_TESTS,
    read(test, value) {
      const marked = nonEmpty(readMarkedBytes(value));
      if (marked !== undefined) return marked;
      if (typeof value === 'string' && value.startsWith('0x')) return { expected: 'pairs of hexadecimal digits after 0x' };
      if (test !== 'equals' && typeof value === 'string' && type !== 'ip') {
        // A part of a value is no value: of a list of names, a host name, anything with a form of its own.
        return nonEmpty(type === 'bytes' ? parseHexPairs(value) : Buffer.from(value)) ?? { expected: `${type === 'bytes' ? 'pairs of hexadecimal digits' : 'text'}${OR_HEX}` };
      }
      const parsed = parseOptionValue(definition, value);
      if (parsed.ok) return parsed.value;
      // One of a list: what a list of that one would be.
      const alone = parseOptionValue(definition, [value]);
      return alone.ok ? alone.value : { expected: `${describeOptionType(definition)}${OR_HEX}` };
    },
  };
}

function nonEmpty(bytes: Buffer | undefined): Buffer | undefined {
  return bytes === undefined || bytes.length === 0 ? undefined : bytes;
}

function readField(value: unknown, path: Path, report: Report): ReadSubject | undefined {
  const field = FIELDS.find((one) => one === value);
  if (field !== undefined) return { subject: { from: field }, name: `the field ${field}`, ...FIELD_VALUES[field] };
  const hint = typeof value === 'string' ? didYouMean(value, FIELDS) : '';
  report(path, `expected one of ${FIELDS.join(', ')}${hint}, ${found(value)}`);
  return undefined;
}

type FieldValues = Pick<ReadSubject, 'tests' | 'read'>;

const HTYPE = kinds.integer(0, 255);

const ADDRESS_FIELD: FieldValues = {
  tests: ['equals', 'network'],
  read(_, value) {
    const address = kinds.address.read(value);
    if (address === undefined) return { expected: kinds.address.expected };
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(address);
    return bytes;
  },
};

const FIELD_VALUES: Readonly<Record<typeof FIELDS[number], FieldValues>> = {
  hardware: {
    tests: BYTE_TESTS,
    read(_, value) {
      const bytes = readBytes(value, 'hex');
      return bytes === undefined || bytes.length === 0 || bytes.length > 16
        ? { expected: 'a hardware address or a part of it such as 00:1b:63, in quotes if it has digits only' } : bytes;
    },
  },
  htype: {
    tests: ['equals'],
    read(_, value) {
      const htype = HTYPE.read(value);
      return htype === undefined ? { expected: HTYPE.expected } : Buffer.from([htype]);
    },
  },
  giaddr: ADDRESS_FIELD,
  ciaddr: ADDRESS_FIELD,
  interface: {
    tests: BYTE_TESTS,
    read: (_, value) => {
      const name = kinds.interfaceName.read(value);
      return name === undefined ? { expected: kinds.interfaceName.expected } : Buffer.from(name);
    },
  },
};
