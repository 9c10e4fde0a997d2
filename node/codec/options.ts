/**
 * Option values between three forms: as configured (what YAML gives), on the wire, and as shown in
 * JSON. What is shown can be configured again: reading a written value is the identity.
 */
import { formatHexPairs, formatIpv4, parseHexPairs, parseIpv4 } from './address.ts';
import { OPTION_VALUE_BYTES_MAX } from '../limits.ts';
import { OPTIONS } from './option-table.ts';
import type { OptionDefinition, OptionType } from './option-table.ts';

export { OPTIONS } from './option-table.ts';
export type { OptionDefinition, OptionOrigin, OptionType } from './option-table.ts';

export type OptionJson = string | number | boolean | readonly OptionJson[] | { readonly malformed: string };

export type ParsedOption =
  | { readonly ok: true; readonly value: Buffer }
  /** What would have been right, to be read after "expected". */
  | { readonly ok: false; readonly expected: string };

const BY_CODE = new Map(OPTIONS.map((option) => [option.code, option]));
const BY_NAME = new Map(OPTIONS.map((option) => [option.name, option]));

/** An option by its name or by its code (a number, or digits); codes outside the table are bytes. */
export function findOption(nameOrCode: string | number): OptionDefinition | undefined {
  const byName = BY_NAME.get(String(nameOrCode));
  if (byName !== undefined) return byName;
  if (!/^[1-9][0-9]{0,2}$/.test(String(nameOrCode))) return undefined;
  const code = Number(nameOrCode);
  if (code > 254) return undefined;
  return BY_CODE.get(code) ?? { code, name: `option-${code}`, type: 'bytes', origin: 'configuration', minCount: 0, rfc: '' };
}

/** A value as configured, to the wire. Never throws. */
export function parseOptionValue(nameOrCode: string | number, value: unknown): ParsedOption {
  const option = findOption(nameOrCode);
  if (option === undefined) return { ok: false, expected: 'the name of a DHCP option or its code (1 to 254)' };
  const bytes = TYPES[option.type].write(value, option);
  if (bytes === undefined || bytes.length > OPTION_VALUE_BYTES_MAX) return { ok: false, expected: describeValue(option) };
  return { ok: true, value: bytes };
}

/** A value from the wire, for JSON. What does not fit the option's type comes as `malformed`, in hexadecimal. */
export function formatOptionValue(code: number, value: Buffer): OptionJson {
  const option = findOption(code);
  const json = option === undefined ? undefined : TYPES[option.type].read(value, option);
  return json === undefined ? { malformed: formatHexPairs(value) } : json;
}

/** What a value of this option looks like, for error messages and the reference. */
export function describeValue(option: OptionDefinition): string {
  return TYPES[option.type].describe(option);
}

interface TypeRules {
  /** Undefined: not a value of this type, or out of bounds. */
  write(value: unknown, option: OptionDefinition): Buffer | undefined;
  read(bytes: Buffer, option: OptionDefinition): OptionJson | undefined;
  describe(option: OptionDefinition): string;
}

const TYPES: Readonly<Record<OptionType, TypeRules>> = {
  ip: {
    write: (value) => writeAddress(value),
    read: (bytes) => (bytes.length === 4 ? formatIpv4(bytes.readUInt32BE(0)) : undefined),
    describe: () => 'an IPv4 address such as 10.0.0.1',
  },
  'ip-list': {
    write: (value, option) => concatAll((typeof value === 'string' ? [value] : value), option, writeAddress),
    read: (bytes, option) => readAll(bytes, 4, option, (at) => formatIpv4(bytes.readUInt32BE(at))),
    describe: () => 'a list of IPv4 addresses such as [10.0.0.1, 10.0.0.2]',
  },
  'ip-pairs': {
    write: (value, option) => concatAll(value, option, (pair) => writePair(pair, option)),
    read: (bytes, option) => readAll(bytes, 8, option, (at) => readPair(bytes, at, option)),
    describe: ({ firstNotZero }) =>
      `a list of pairs of IPv4 addresses such as [[10.1.0.0, 10.0.0.1]]${firstNotZero ? ', 0.0.0.0 not being a destination' : ''}`,
  },
  u8: integerRules(1),
  u16: integerRules(2),
  u32: integerRules(4),
  i32: integerRules(4, true),
  bool: {
    write: (value) => (typeof value === 'boolean' ? Buffer.from([value ? 1 : 0]) : undefined),
    read: (bytes) => (bytes.length === 1 && bytes[0]! <= 1 ? bytes[0] === 1 : undefined),
    describe: () => 'true or false',
  },
  'u8-list': integerListRules(1),
  'u16-list': integerListRules(2),
  text: {
    write: writeText,
    read: readText,
    describe: ({ minCount = 1 }) =>
      `text${minCount > 1 ? ` of at least ${minCount} bytes` : ''} without control characters (in quotes if it looks like a number)`,
  },
  bytes: {
    write: writeBytes,
    read: (bytes, { minCount = 1 }) => (bytes.length >= minCount ? formatHexPairs(bytes) : undefined),
    describe: ({ minCount = 1 }) =>
      `${minCount > 1 ? `at least ${minCount} ` : ''}bytes as pairs of hexadecimal digits such as "01:0a:ff", in quotes`,
  },
};

function integerRules(size: 1 | 2 | 4, signed = false): TypeRules {
  const bounds = (option: OptionDefinition): [number, number] => [
    option.min ?? (signed ? -(2 ** (8 * size - 1)) : 0),
    option.max ?? 2 ** (8 * size - (signed ? 1 : 0)) - 1,
  ];
  const allowed = (value: number, option: OptionDefinition): boolean => {
    const [min, max] = bounds(option);
    return Number.isInteger(value) && value >= min && value <= max && (option.values === undefined || option.values[value] !== undefined);
  };
  return {
    write(value, option) {
      const named = Object.entries(option.values ?? {}).find(([, name]) => name === value);
      const number = named === undefined ? value : Number(named[0]);
      if (typeof number !== 'number' || !allowed(number, option)) return undefined;
      const bytes = Buffer.alloc(size);
      if (signed) bytes.writeIntBE(number, 0, size);
      else bytes.writeUIntBE(number, 0, size);
      return bytes;
    },
    read(bytes, option) {
      if (bytes.length !== size) return undefined;
      const value = signed ? bytes.readIntBE(0, size) : bytes.readUIntBE(0, size);
      return allowed(value, option) ? (option.values?.[value] ?? value) : undefined;
    },
    describe(option) {
      if (option.values !== undefined) {
        return `one of ${Object.entries(option.values).map(([value, name]) => `${name} (${value})`).join(', ')}`;
      }
      const [min, max] = bounds(option);
      return `a whole number from ${min} to ${max}`;
    },
  };
}

function integerListRules(size: 1 | 2): TypeRules {
  const one = integerRules(size);
  return {
    write: (value, option) => concatAll(value, option, (entry) => one.write(entry, option)),
    read: (bytes, option) => readAll(bytes, size, option, (at) => one.read(bytes.subarray(at, at + size), option)),
    describe: (option) => `a list, each entry ${one.describe(option)}`,
  };
}

function writeAddress(value: unknown): Buffer | undefined {
  const address = typeof value === 'string' ? parseIpv4(value) : undefined;
  if (address === undefined) return undefined;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address);
  return bytes;
}

function writePair(value: unknown, option: OptionDefinition): Buffer | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const first = writeAddress(value[0]);
  const second = writeAddress(value[1]);
  if (first === undefined || second === undefined) return undefined;
  if (option.firstNotZero && first.readUInt32BE(0) === 0) return undefined;
  return Buffer.concat([first, second]);
}

function readPair(bytes: Buffer, at: number, option: OptionDefinition): OptionJson | undefined {
  const first = bytes.readUInt32BE(at);
  if (option.firstNotZero && first === 0) return undefined;
  return [formatIpv4(first), formatIpv4(bytes.readUInt32BE(at + 4))];
}

function concatAll(value: unknown, option: OptionDefinition, write: (entry: unknown) => Buffer | undefined): Buffer | undefined {
  if (!Array.isArray(value) || value.length < (option.minCount ?? 1)) return undefined;
  const parts: Buffer[] = [];
  for (const entry of value) {
    const part = write(entry);
    if (part === undefined) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function readAll(
  bytes: Buffer, size: number, option: OptionDefinition, read: (at: number) => OptionJson | undefined,
): OptionJson[] | undefined {
  if (bytes.length % size !== 0 || bytes.length / size < (option.minCount ?? 1)) return undefined;
  const entries: OptionJson[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const entry = read(at);
    if (entry === undefined) return undefined;
    entries.push(entry);
  }
  return entries;
}

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

function writeText(value: unknown, { minCount = 1 }: OptionDefinition): Buffer | undefined {
  if (typeof value !== 'string' || CONTROL_CHARACTER.test(value) || !value.isWellFormed()) return undefined;
  const bytes = Buffer.from(value, 'utf8');
  return bytes.length >= minCount ? bytes : undefined;
}

function readText(bytes: Buffer, { minCount = 1 }: OptionDefinition): OptionJson | undefined {
  let { length } = bytes;
  // RFC 2132 §2: "the receiver of such options MUST be prepared to delete trailing nulls".
  while (length > 0 && bytes[length - 1] === 0) length--;
  const text = bytes.toString('utf8', 0, length);
  if (length < minCount || CONTROL_CHARACTER.test(text)) return undefined;
  return Buffer.from(text, 'utf8').equals(bytes.subarray(0, length)) ? text : undefined;
}

function writeBytes(value: unknown, { minCount = 1 }: OptionDefinition): Buffer | undefined {
  if (typeof value !== 'string') return undefined;
  const bytes = value === '' ? Buffer.alloc(0) : parseHexPairs(value);
  return bytes !== undefined && bytes.length >= minCount ? bytes : undefined;
}
