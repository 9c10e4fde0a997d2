/** The rules of the types that are one plain thing: addresses, numbers, text, bytes and names. */
import { formatHexPairs, formatIpv4, parseHexPairs, parseIpv4, prefixMask } from './address.ts';
import { domainNameExtent, formatDomainName, parseDomainName, readDomainList, writeDomainList } from './domain-name.ts';
import { formatIpv6, parseIpv6 } from './ipv6.ts';
import type { OptionJson, TypeRules, ValueShape } from './option-shape.ts';

/** A map as YAML and JSON give it. */
export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function fits(bytes: Buffer, at: number, size: number): number | undefined {
  return at + size <= bytes.length ? size : undefined;
}

function writeIpv4(text: string): Buffer | undefined {
  const address = parseIpv4(text);
  if (address === undefined) return undefined;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address);
  return bytes;
}

export const ip: TypeRules = {
  write(value, { notZero }) {
    const bytes = typeof value === 'string' ? writeIpv4(value) : undefined;
    return bytes !== undefined && notZero && bytes.readUInt32BE(0) === 0 ? undefined : bytes;
  },
  read(bytes, { notZero }) {
    if (bytes.length !== 4 || (notZero && bytes.readUInt32BE(0) === 0)) return undefined;
    return formatIpv4(bytes.readUInt32BE(0));
  },
  extent: (bytes, at) => fits(bytes, at, 4),
  describe: ({ notZero }) => `an IPv4 address such as 10.0.0.1${notZero ? ', not 0.0.0.0' : ''}`,
  describeList: 'a list of IPv4 addresses such as [10.0.0.1, 10.0.0.2]',
  schema: () => ({ type: 'string', format: 'ipv4' }),
};

export const ipv6: TypeRules = {
  write: (value) => (typeof value === 'string' ? parseIpv6(value) : undefined),
  read: (bytes) => (bytes.length === 16 ? formatIpv6(bytes) : undefined),
  extent: (bytes, at) => fits(bytes, at, 16),
  describe: () => 'an IPv6 address such as "2001:db8::1"',
  describeList: 'a list of IPv6 addresses such as ["2001:db8::1"]',
  schema: () => ({ type: 'string', format: 'ipv6' }),
};

/**
 * The length, then the bytes of the address that it reaches into. Bits below it are none in the configuration
 * and are cleared in what comes from the wire, as RFC 3442 asks of clients.
 */
function prefixRules(
  widest: 32 | 128, example: string, parse: (text: string) => Buffer | undefined, format: (address: Buffer) => string,
): TypeRules {
  const masked = (address: Buffer, length: number): Buffer => Buffer.from(address.map((byte, i) =>
    byte & (prefixMask(Math.min(Math.max(length - 8 * i, 0), 8)) >>> 24)));
  return {
    write(value) {
      const match = typeof value === 'string' ? /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(value) : null;
      const address = match === null ? undefined : parse(match[1]!);
      const length = Number(match?.[2]);
      if (address === undefined || length > widest || !masked(address, length).equals(address)) return undefined;
      return Buffer.concat([Buffer.from([length]), address.subarray(0, Math.ceil(length / 8))]);
    },
    read(bytes) {
      const length = bytes[0]!;
      if (bytes.length === 0 || length > widest || bytes.length !== 1 + Math.ceil(length / 8)) return undefined;
      const address = Buffer.concat([bytes.subarray(1), Buffer.alloc(widest / 8 + 1 - bytes.length)]);
      return `${format(masked(address, length))}/${length}`;
    },
    extent: (bytes, at) => (at < bytes.length && bytes[at]! <= widest ? fits(bytes, at, 1 + Math.ceil(bytes[at]! / 8)) : undefined),
    describe: () => `a network such as ${example}`,
    schema: () => ({ type: 'string', pattern: '^[0-9A-Fa-f.:]+/[0-9]{1,3}$' }),
  };
}

export const prefix: TypeRules = prefixRules(32, '10.0.0.0/8', writeIpv4, (address) => formatIpv4(address.readUInt32BE(0)));
export const ipv6Prefix: TypeRules = prefixRules(128, '"2001:db8::/32"', parseIpv6, formatIpv6);

export function integerRules(size: 1 | 2 | 4, signed = false): TypeRules {
  const bounds = ({ min, max }: ValueShape): [number, number] => [
    min ?? (signed ? -(2 ** (8 * size - 1)) : 0),
    max ?? 2 ** (8 * size - (signed ? 1 : 0)) - 1,
  ];
  const allowed = (value: number, shape: ValueShape): boolean => {
    const [min, max] = bounds(shape);
    if (!Number.isInteger(value) || value > max || (value < min && !(shape.orZero && value === 0))) return false;
    return shape.values === undefined || shape.values[value] !== undefined;
  };
  return {
    write(value, shape) {
      const named = Object.entries(shape.values ?? {}).find(([, name]) => name === value);
      const number = named === undefined ? value : Number(named[0]);
      if (typeof number !== 'number' || !allowed(number, shape)) return undefined;
      const bytes = Buffer.alloc(size);
      if (signed) bytes.writeIntBE(number, 0, size);
      else bytes.writeUIntBE(number, 0, size);
      return bytes;
    },
    read(bytes, shape) {
      if (bytes.length !== size) return undefined;
      const value = signed ? bytes.readIntBE(0, size) : bytes.readUIntBE(0, size);
      return allowed(value, shape) ? (shape.values?.[value] ?? value) : undefined;
    },
    extent: (bytes, at) => fits(bytes, at, size),
    describe(shape) {
      if (shape.values !== undefined) return `one of ${Object.entries(shape.values).map(([value, name]) => `${name} (${value})`).join(', ')}`;
      const [min, max] = bounds(shape);
      return `a whole number from ${min} to ${max}${shape.orZero ? ', or 0' : ''}`;
    },
    schema(shape) {
      if (shape.values !== undefined) return { enum: [...Object.values(shape.values), ...Object.keys(shape.values).map(Number)] };
      const [minimum, maximum] = bounds(shape);
      return { type: 'integer', minimum: shape.orZero ? 0 : minimum, maximum };
    },
  };
}

export const bool: TypeRules = {
  write: (value) => (typeof value === 'boolean' ? Buffer.from([value ? 1 : 0]) : undefined),
  read: (bytes) => (bytes.length === 1 && bytes[0]! <= 1 ? bytes[0] === 1 : undefined),
  extent: (bytes, at) => fits(bytes, at, 1),
  describe: () => 'true or false',
  schema: () => ({ type: 'boolean' }),
};

export const flag: TypeRules = {
  write: (value) => (value === true ? Buffer.alloc(0) : undefined),
  read: (bytes) => (bytes.length === 0 ? true : undefined),
  describe: () => 'true, to have it there',
  schema: () => ({ const: true }),
};

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;
const VISIBLE_ASCII = /^[\x20-\x7e]*$/;
const URI = /^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i;

function hasBytes({ length }: Uint8Array, { minBytes = 1, maxBytes }: ValueShape): boolean {
  return length >= minBytes && length <= (maxBytes ?? length);
}

/** Of text or bytes that may have one length only. */
function fixedExtent(bytes: Buffer, at: number, { minBytes = 1, maxBytes }: ValueShape): number | undefined {
  return minBytes === maxBytes ? fits(bytes, at, minBytes) : undefined;
}

/** " of 2 to 8 bytes", where the bounds say more than "not empty". */
function describeBytes({ minBytes = 1, maxBytes }: ValueShape): string {
  if (maxBytes !== undefined) return minBytes === maxBytes ? ` of ${minBytes} bytes` : ` of ${minBytes} to ${maxBytes} bytes`;
  return minBytes > 1 ? ` of at least ${minBytes} bytes` : '';
}

function textSchema({ minBytes = 1, maxBytes }: ValueShape): { type: string; minLength?: number; maxLength?: number } {
  return { type: 'string', ...(minBytes > 0 ? { minLength: 1 } : {}), ...(maxBytes === undefined ? {} : { maxLength: maxBytes }) };
}

function writeText(value: unknown, shape: ValueShape): Buffer | undefined {
  if (typeof value !== 'string' || CONTROL_CHARACTER.test(value) || !value.isWellFormed()) return undefined;
  const bytes = Buffer.from(value, 'utf8');
  return hasBytes(bytes, shape) ? bytes : undefined;
}

function readText(bytes: Buffer, shape: ValueShape): string | undefined {
  let { length } = bytes;
  // RFC 2132 §2: "the receiver of such options MUST be prepared to delete trailing nulls".
  while (length > 0 && bytes[length - 1] === 0) length--;
  const content = bytes.subarray(0, length);
  const text = content.toString('utf8');
  if (!hasBytes(content, shape) || CONTROL_CHARACTER.test(text)) return undefined;
  return Buffer.from(text, 'utf8').equals(content) ? text : undefined;
}

export const text: TypeRules = {
  write: writeText,
  read: readText,
  extent: fixedExtent,
  describe: (shape) => `text${describeBytes(shape)} without control characters (in quotes if it looks like a number)`,
  schema: textSchema,
};

export const uri: TypeRules = {
  write: (value, shape) => (typeof value === 'string' && URI.test(value) ? writeText(value, shape) : undefined),
  read(bytes, shape) {
    const text = readText(bytes, shape);
    return text !== undefined && URI.test(text) ? text : undefined;
  },
  describe: (shape) => `a URI such as https://example.net/${shape.maxBytes === undefined ? '' : `, of at most ${shape.maxBytes} bytes`}`,
  describeList: 'a list of URIs such as [https://example.net/]',
  schema: (shape) => ({ ...textSchema(shape), pattern: '^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$' }),
};

const HEX_PAIRS = '[0-9A-Fa-f]{2}((:[0-9A-Fa-f]{2})*|(-[0-9A-Fa-f]{2})*)';

function writeBytes(value: unknown, shape: ValueShape): Buffer | undefined {
  if (typeof value !== 'string') return undefined;
  const bytes = value === '' ? Buffer.alloc(0) : parseHexPairs(value);
  return bytes !== undefined && hasBytes(bytes, shape) ? bytes : undefined;
}

export const bytes: TypeRules = {
  write: writeBytes,
  read: (bytes, shape) => (hasBytes(bytes, shape) ? formatHexPairs(bytes) : undefined),
  extent: fixedExtent,
  describe(shape) {
    const count = describeBytes(shape).slice(' of '.length);
    return `${count === '' ? 'bytes' : count} as pairs of hexadecimal digits such as "01:0a:ff", in quotes`;
  },
  schema: bytesSchema,
};

function bytesSchema({ minBytes = 1 }: ValueShape): { type: string; pattern: string } {
  return { type: 'string', pattern: minBytes > 0 ? `^${HEX_PAIRS}$` : `^(${HEX_PAIRS})?$` };
}

/** `{hex: "01:0a"}`; undefined for anything else. */
export function writeRaw(value: unknown): Buffer | undefined {
  if (!isMap(value) || Object.keys(value).length !== 1) return undefined;
  return writeBytes(value['hex'], { type: 'bytes', minBytes: 0 });
}

export function formatRaw(value: Uint8Array): OptionJson {
  return { hex: formatHexPairs(value) };
}

export const RAW_SCHEMA = {
  type: 'object', properties: { hex: bytesSchema({ type: 'bytes', minBytes: 0 }) }, required: ['hex'], additionalProperties: false,
} as const;

export const textOrBytes: TypeRules = {
  write(value, shape) {
    const written = typeof value === 'string' && VISIBLE_ASCII.test(value) ? Buffer.from(value, 'latin1') : writeRaw(value);
    return written !== undefined && hasBytes(written, shape) ? written : undefined;
  },
  read(bytes, shape) {
    if (!hasBytes(bytes, shape)) return undefined;
    const text = bytes.toString('latin1');
    return VISIBLE_ASCII.test(text) ? text : formatRaw(bytes);
  },
  describe: (shape) => `text in visible ASCII${describeBytes(shape)}, or bytes such as {hex: "01:0a:ff"}`,
  schema: (shape) => ({ anyOf: [{ ...textSchema(shape), pattern: '^[ -~]*$' }, RAW_SCHEMA] }),
};

export const fqdn: TypeRules = {
  write: (value) => (typeof value === 'string' ? parseDomainName(value) : undefined),
  read: (bytes) => formatDomainName(bytes),
  extent: (bytes, at) => domainNameExtent(bytes, at),
  describe: () => 'a domain name such as example.net',
  describeList: 'a list of domain names such as [example.net, example.org]',
  schema: () => ({ type: 'string', minLength: 1 }),
};

export const domainList: TypeRules = {
  write(value, { minCount = 1, compressed = false }) {
    const names: unknown = typeof value === 'string' ? [value] : value;
    if (!Array.isArray(names) || names.length < minCount || !names.every((name) => typeof name === 'string')) return undefined;
    return writeDomainList(names, compressed);
  },
  read(bytes, { minCount = 1 }) {
    const names = readDomainList(bytes);
    return names === undefined || names.length < minCount ? undefined : names;
  },
  describe: () => fqdn.describeList!,
  schema({ minCount = 1 }) {
    const name = { type: 'string', minLength: 1 };
    return { anyOf: [{ type: 'array', items: name, minItems: minCount }, name] };
  },
};
