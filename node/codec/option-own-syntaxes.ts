/** The rules of the few options that have a syntax of their own. */
import { formatIpv4, parseIpv4 } from './address.ts';
import { formatPartialName, parsePartialName, readDomainList } from './domain-name.ts';
import { domainList, ip, isMap, prefix, textOrBytes } from './option-simple-types.ts';
import type { TypeRules, ValueShape } from './option-shape.ts';

const PREFIX = { type: 'prefix' } as const;
const IP = { type: 'ip' } as const;

/** RFC 3442: a destination descriptor and a router; 0.0.0.0 as the router: the destination is on the link. */
export const route: TypeRules = {
  write(value, _shape, inner) {
    const given: readonly unknown[] = typeof value === 'string' ? value.split(/\s+-\s+/) : isMap(value) ? Object.values(value) : [];
    if (given.length !== 2) return undefined;
    const [to, via] = isMap(value) ? [value['to'], value['via']] : given;
    const destination = prefix.write(to, PREFIX, inner);
    const router = ip.write(via, IP, inner);
    return destination === undefined || router === undefined ? undefined : Buffer.concat([destination, router]);
  },
  read(bytes, _shape, inner) {
    const size = prefix.extent!(bytes, 0, PREFIX, inner);
    const to = size === undefined ? undefined : prefix.read(bytes.subarray(0, size), PREFIX, inner);
    const via = size === undefined ? undefined : ip.read(bytes.subarray(size), IP, inner);
    return to === undefined || via === undefined ? undefined : { to, via };
  },
  extent(bytes, at, _shape, inner) {
    const size = prefix.extent!(bytes, at, PREFIX, inner);
    return size === undefined || at + size + 4 > bytes.length ? undefined : size + 4;
  },
  describe: () => 'a route such as {to: 10.0.0.0/8, via: 10.1.0.1} or "10.0.0.0/8 - 10.1.0.1"',
  describeList: 'a list of routes such as [{to: 10.0.0.0/8, via: 10.1.0.1}] or ["10.0.0.0/8 - 10.1.0.1"]',
  schema: (_shape, inner) => ({
    anyOf: [
      {
        type: 'object', required: ['to', 'via'], additionalProperties: false,
        properties: { to: inner.schema(PREFIX), via: inner.schema(IP) },
      },
      { type: 'string', pattern: '^[0-9.]+/[0-9]+ +- +[0-9.]+$' },
    ],
  }),
};

const DOMAIN_NAMES = 0;
const ADDRESSES = 1;

/** RFC 3361 §3, and RFC 3495 for one: all names or all addresses. */
export const namesOrAddresses: TypeRules = {
  write(value, shape, inner) {
    const given: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (given.length === 0 || given.length > (shape.maxCount ?? given.length)) return undefined;
    const addresses = given.map((one) => ip.write(one, IP, inner));
    if (addresses.every((address) => address !== undefined)) return Buffer.concat([Buffer.from([ADDRESSES]), ...addresses]);
    const names = addresses.some((address) => address !== undefined) ? undefined : domainList.write(given, shape, inner);
    return names === undefined ? undefined : Buffer.concat([Buffer.from([DOMAIN_NAMES]), names]);
  },
  read(bytes, shape) {
    const content = bytes.subarray(1);
    const read = bytes[0] === ADDRESSES ? readAddresses(content) : bytes[0] === DOMAIN_NAMES ? readNames(content) : undefined;
    return read === undefined || read.length > (shape.maxCount ?? read.length) ? undefined : read;
  },
  describe: ({ maxCount }) => (maxCount === 1
    ? 'a domain name such as example.net or an IPv4 address such as 10.0.0.1'
    : 'a list of domain names such as [sip.example.net] or of IPv4 addresses such as [10.0.0.1]'),
  schema: ({ maxCount }) => ({
    anyOf: [
      { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, ...(maxCount === undefined ? {} : { maxItems: maxCount }) },
      { type: 'string', minLength: 1 },
    ],
  }),
};

function readNames(bytes: Buffer): string[] | undefined {
  const names = readDomainList(bytes);
  // A name in the form of an address would be taken for one.
  return names === undefined || names.length === 0 || names.some((name) => parseIpv4(name) !== undefined) ? undefined : names;
}

function readAddresses(bytes: Buffer): string[] | undefined {
  if (bytes.length === 0 || bytes.length % 4 !== 0) return undefined;
  return Array.from({ length: bytes.length / 4 }, (_, i) => formatIpv4(bytes.readUInt32BE(4 * i)));
}

const CLASS: ValueShape = { type: 'sized', lengthBytes: 1, of: { type: 'text-or-bytes' }, array: true };
const BARE: ValueShape = { type: 'text-or-bytes' };

/**
 * RFC 3004 §4: a list of classes, each after its length. Many clients (iPXE among them) send one class bare: that
 * is a single value. Bare text that reads as a list is not written, since nobody could tell it from one.
 */
export const userClass: TypeRules = {
  write(value, _shape, inner) {
    if (Array.isArray(value)) return inner.write(value, CLASS);
    const bare = inner.write(value, BARE);
    return bare === undefined || inner.read(bare, CLASS) !== undefined ? undefined : bare;
  },
  read: (bytes, _shape, inner) => inner.read(bytes, CLASS) ?? inner.read(bytes, BARE),
  describe: () => 'a list of classes such as [lab, {hex: "01:0a:ff"}], or one without a list, which is sent bare',
  schema: (_shape, inner) => ({ anyOf: [{ type: 'array', items: inner.schema(BARE), minItems: 1 }, inner.schema(BARE)] }),
};

/** RFC 4702 §2.1, from the lowest bit; E is told by the encoding. */
const FQDN_FLAGS = ['S', 'O', 'E', 'N'] as const;
const FQDN_ENCODED = 0x04;
/** RFC 4702 §2.2: "A server SHOULD set these to 255 when sending the option and MUST ignore them on receipt." */
const RCODE = 255;
const ASCII_NAME: ValueShape = { type: 'text-or-bytes', minBytes: 0 };

/** RFC 4702 §2: the flags by letter, and the name; with flag E (the wire's form) a dot at its end makes it a full one. */
export const clientFqdn: TypeRules = {
  write(value, _shape, inner) {
    if (!isMap(value) || Object.keys(value).length !== 2) return undefined;
    const { flags, name } = value;
    if (!Array.isArray(flags) || typeof name !== 'string' || new Set(flags).size < flags.length) return undefined;
    if (!flags.every((flag) => FQDN_FLAGS.includes(flag))) return undefined;
    const bits = FQDN_FLAGS.reduce((bits, flag, i) => (flags.includes(flag) ? bits | (1 << i) : bits), 0);
    const bytes = (bits & FQDN_ENCODED) === 0 ? textOrBytes.write(name, ASCII_NAME, inner) : parsePartialName(name);
    return bytes === undefined ? undefined : Buffer.concat([Buffer.from([bits, RCODE, RCODE]), bytes]);
  },
  read(bytes, _shape, inner) {
    if (bytes.length < 3) return undefined;
    const flags = FQDN_FLAGS.filter((_, i) => (bytes[0]! & (1 << i)) !== 0);
    const rest = bytes.subarray(3);
    const name = flags.includes('E') ? formatPartialName(rest) : textOrBytes.read(withoutNuls(rest), ASCII_NAME, inner);
    return typeof name === 'string' ? { flags, name } : undefined;
  },
  describe: () => 'a map of flags (a list of S, O, E, N) and name',
  schema: () => ({
    type: 'object', required: ['flags', 'name'], additionalProperties: false,
    properties: { flags: { type: 'array', items: { enum: FQDN_FLAGS }, uniqueItems: true }, name: { type: 'string' } },
  }),
};

function withoutNuls(bytes: Buffer): Buffer {
  let { length } = bytes;
  while (length > 0 && bytes[length - 1] === 0) length--;
  return bytes.subarray(0, length);
}
