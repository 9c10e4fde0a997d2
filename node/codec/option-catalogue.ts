/**
 * Which options there are: the standard ones, and those that a configuration defines on top.
 *
 * A configuration may define
 * - a DHCP option: under a code that IANA has given to nobody, or one from 128 on. Those up to 223 were site-specific
 *   until RFC 3942 and are in wide use by vendors beside what they are assigned to now; 224 to 254 still are
 *   site-specific. Its definition takes the standard one's place, unless the server or clients decide that option;
 * - a sub-option of option 43 in the space of a vendor, which has a name: vendors' codes overlap;
 * - a sub-option of option 125 for an enterprise, which has a number.
 */
import { OPTION_DEFINITIONS_MAX } from '../limits.ts';
import { OPTIONS } from './option-table.ts';
import type { OptionDefinition, OptionSpaces, ValueShape } from './option-shape.ts';

export interface CustomOption {
  readonly code: number;
  readonly name: string;
  readonly type: CustomType | 'record';
  /** Values, or records, one after the other. */
  readonly array?: boolean | undefined;
  /** With type `record`: what it is made of, in order. */
  readonly record?: readonly CustomType[] | undefined;
  /** A vendor's name: in option 43. An enterprise number: in option 125. */
  readonly space?: string | number | undefined;
}

/** The types of a definition. Where `open`, a value ends with the option: none can follow it. */
export const CUSTOM = {
  ip: { type: 'ip' }, ipv6: { type: 'ipv6' }, prefix: { type: 'prefix' }, 'ipv6-prefix': { type: 'ipv6-prefix' }, route: { type: 'route' },
  u8: { type: 'u8' }, u16: { type: 'u16' }, u32: { type: 'u32' }, i8: { type: 'i8' }, i16: { type: 'i16' }, i32: { type: 'i32' },
  bool: { type: 'bool' },
  flag: { type: 'flag', open: true },
  fqdn: { type: 'fqdn' },
  'domain-list': { type: 'domain-list', open: true },
  'compressed-domain-list': { type: 'domain-list', compressed: true, open: true },
  text: { type: 'text', open: true },
  uri: { type: 'uri', open: true },
  bytes: { type: 'bytes', open: true },
  'text-or-bytes': { type: 'text-or-bytes', open: true },
  /** After its length in one byte, or two. */
  text8: { type: 'sized', lengthBytes: 1, of: { type: 'text', minBytes: 0 } },
  text16: { type: 'sized', lengthBytes: 2, of: { type: 'text', minBytes: 0 } },
  bytes8: { type: 'sized', lengthBytes: 1, of: { type: 'bytes', minBytes: 0 } },
  bytes16: { type: 'sized', lengthBytes: 2, of: { type: 'bytes', minBytes: 0 } },
} as const satisfies Readonly<Record<string, ValueShape & { readonly open?: true }>>;

export type CustomType = keyof typeof CUSTOM;

/** What `type` and the entries of `record` may be; `type` may be `record` too. */
export const CUSTOM_TYPES = Object.keys(CUSTOM) as readonly CustomType[];

export interface OptionProblem {
  /** In the list that was given. */
  readonly index: number;
  /** What would have been right, to be read after "expected". */
  readonly message: string;
}

export type ExtendResult =
  | { readonly ok: true; readonly catalogue: OptionCatalogue }
  | { readonly ok: false; readonly problems: readonly OptionProblem[] };

const NAME = /^[a-z][a-z0-9-]{0,63}$/;
const NAME_EXPECTED = 'a name of at most 64 lower-case letters, digits and dashes that begins with a letter';
/** These are the names of options without a definition. */
const NUMBERED_NAME = /^option-([1-9][0-9]{0,2})$/;
const VENDOR_OPTIONS = 43;
const ENTERPRISE_OPTIONS = 125;
const FREE_FROM = 128;
const LAST_CODE = 254;

export class OptionCatalogue {
  static readonly standard: OptionCatalogue = new OptionCatalogue(OPTIONS);

  /** In order of code. */
  readonly options: readonly OptionDefinition[];
  readonly #byCode: ReadonlyMap<number, OptionDefinition>;
  readonly #byName: ReadonlyMap<string, OptionDefinition>;

  private constructor(options: readonly OptionDefinition[]) {
    this.options = options.toSorted((a, b) => a.code - b.code);
    this.#byCode = new Map(options.map((option) => [option.code, option]));
    this.#byName = new Map(options.map((option) => [option.name, option]));
  }

  /** In order of code. */
  get names(): readonly string[] {
    return this.options.map(({ name }) => name);
  }

  /** By name, or by code (a number, or digits); a code from 1 to 254 without a definition is bytes. */
  find(nameOrCode: string | number): OptionDefinition | undefined {
    const text = String(nameOrCode);
    const named = this.#byName.get(text);
    if (named !== undefined) return named;
    const digits = NUMBERED_NAME.exec(text)?.[1] ?? text;
    if (!/^[1-9][0-9]{0,2}$/.test(digits) || Number(digits) > LAST_CODE) return undefined;
    const code = Number(digits);
    return this.#byCode.get(code) ?? { code, name: `option-${code}`, type: 'bytes', minBytes: 0, origin: 'configuration', rfc: '' };
  }

  /** A new catalogue with all of `custom`, or what is wrong with each that cannot be. */
  extend(custom: readonly CustomOption[]): ExtendResult {
    if (custom.length > OPTION_DEFINITIONS_MAX) {
      return { ok: false, problems: [{ index: OPTION_DEFINITIONS_MAX, message: `at most ${OPTION_DEFINITIONS_MAX} definitions` }] };
    }
    const problems: OptionProblem[] = [];
    const added: { readonly space: string | number | undefined; readonly definition: OptionDefinition }[] = [];
    for (const [index, option] of custom.entries()) {
      const taken = added.filter(({ space }) => space === option.space).map(({ definition }) => definition);
      const message = problemOf(option) ?? this.#conflictOf(option, taken);
      if (message === undefined) added.push({ space: option.space, definition: definitionOf(option) });
      else problems.push({ index, message });
    }
    if (problems.length > 0) return { ok: false, problems };

    const options = new Map(this.#byCode);
    for (const { space, definition } of added) {
      if (space === undefined) options.set(definition.code, definition);
      else {
        const container = options.get(typeof space === 'string' ? VENDOR_OPTIONS : ENTERPRISE_OPTIONS)!;
        options.set(container.code, { ...container, spaces: withSuboption(container.spaces ?? {}, String(space), definition) });
      }
    }
    return { ok: true, catalogue: new OptionCatalogue([...options.values()]) };
  }

  /** What stands in the way: definitions that are there, and `taken`, those before it in the same space. */
  #conflictOf({ code, name, space }: CustomOption, taken: readonly OptionDefinition[]): string | undefined {
    if (space !== undefined) {
      const container = this.#byCode.get(typeof space === 'string' ? VENDOR_OPTIONS : ENTERPRISE_OPTIONS)!;
      const there = [...spaceOf(container.spaces ?? {}, String(space)), ...taken];
      const same = there.find((other) => other.code === code);
      if (same !== undefined) return `a code that space ${space} does not have yet: ${code} is ${same.name}`;
      return there.some((other) => other.name === name) ? `a name that space ${space} does not have yet` : undefined;
    }
    const there = this.#byCode.get(code);
    if (there !== undefined && code < FREE_FROM) {
      return `a code that IANA has given to nobody, or one from ${FREE_FROM} to ${LAST_CODE}: ${code} is ${there.name}`;
    }
    if (there !== undefined && there.origin !== 'configuration') {
      const from = there.origin === 'server' ? 'the server itself' : 'clients and relays';
      return `a code that the configuration decides: ${there.name} (${code}) comes from ${from}`;
    }
    if (taken.some((other) => other.code === code)) return `each code once: ${code} is defined before`;
    const namesake = this.#byName.get(name) ?? taken.find((other) => other.name === name);
    return namesake !== undefined && namesake.code !== code ? `a name of its own: ${name} is option ${namesake.code}` : undefined;
  }
}

function withSuboption(spaces: OptionSpaces, space: string, definition: OptionDefinition): OptionSpaces {
  return { ...spaces, [space]: [...spaceOf(spaces, space), definition].toSorted((a, b) => a.code - b.code) };
}

function spaceOf(spaces: OptionSpaces, space: string): readonly OptionDefinition[] {
  return Object.hasOwn(spaces, space) ? spaces[space]! : [];
}

/** What is wrong with a definition by itself. */
function problemOf({ code, name, type, array = false, record, space }: CustomOption): string | undefined {
  if (!Number.isInteger(code) || code < 1 || code > LAST_CODE) return `a code from 1 to ${LAST_CODE}`;
  if (!NAME.test(name) || NUMBERED_NAME.test(name)) return `${NAME_EXPECTED}, other than option- with a number`;
  if (typeof space === 'string' && !NAME.test(space)) return `as the space an enterprise number, or as the vendor's ${NAME_EXPECTED}`;
  if (typeof space === 'number' && (!Number.isInteger(space) || space < 0 || space > 0xffff_ffff)) {
    return 'as the space an enterprise number from 0 to 4294967295';
  }
  const parts: readonly string[] = type === 'record' ? record ?? [] : [type];
  if (type === 'record' ? parts.length === 0 : record !== undefined) {
    return 'type: record together with the list record, which says what it is made of';
  }
  const unknown = parts.find((part) => !Object.hasOwn(CUSTOM, part));
  if (unknown !== undefined) return `as the type one of ${CUSTOM_TYPES.join(', ')}: ${unknown} is none of them`;
  const open = parts.find((part, i) => 'open' in CUSTOM[part as CustomType] && (array || i < parts.length - 1));
  return open === undefined ? undefined : `nothing to follow a value of type ${open}, which goes to the end of the option`;
}

function definitionOf({ code, name, type, array = false, record = [] }: CustomOption): OptionDefinition {
  const shape: ValueShape = type === 'record' ? { type: 'record', fields: record.map(shapeOf) } : shapeOf(type);
  return { code, name, ...shape, ...(array ? { array: true } : {}), origin: 'configuration', rfc: '' };
}

function shapeOf(type: CustomType): ValueShape {
  const { open: _, ...shape }: ValueShape & { readonly open?: true } = CUSTOM[type];
  return shape;
}
