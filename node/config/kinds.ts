/**
 * The kinds of values that a configuration is made of: what is written, what it becomes, and how it
 * is named to people and to editors. A kind never throws; undefined means that the value is not of
 * this kind. Times are in time-kinds.ts, what lies on the wire as bytes in byte-kinds.ts.
 */
import { parseAddressWithPrefix, parseIpv4, parseRange } from '../codec/address.ts';
import type { Ipv4Prefix, Ipv4Range } from '../codec/address.ts';
import { OptionCatalogue } from '../codec/options.ts';
import { BOOT_FILE_NAME_BYTES_MAX, SERVER_HOSTNAME_BYTES_MAX } from '../limits.ts';

/** A fragment of JSON Schema (draft 7): wider than the kind where JSON Schema cannot say it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export interface Kind<T> {
  /** Read after "expected": "a duration such as 3s, at least 1s". */
  readonly expected: string;
  /** For the reference: "duration". */
  readonly type: string;
  /** What a plain number means: "seconds". */
  readonly unit?: string;
  readonly json: JsonSchema;
  read(value: unknown): T | undefined;
}

export function integer(min: number, max: number, unit?: string): Kind<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    type: `number, ${min} to ${max}`,
    ...(unit === undefined ? {} : { unit }),
    json: { type: 'integer', minimum: min, maximum: max },
    read: (value) => (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined),
  };
}

export function decimal(min: number, max: number): Kind<number> {
  return {
    expected: `a number from ${min} to ${max}`,
    type: `number, ${min} to ${max}`,
    json: { type: 'number', minimum: min, maximum: max },
    read: (value) => (typeof value === 'number' && value >= min && value <= max ? value : undefined),
  };
}

export const bool: Kind<boolean> = {
  expected: 'true or false',
  type: 'true or false',
  json: { type: 'boolean' },
  read: (value) => (typeof value === 'boolean' ? value : undefined),
};

export function oneOf<const T extends string>(...values: readonly T[]): Kind<T> {
  const list = values.join(', ');
  return { expected: `one of ${list}`, type: list, json: { enum: values }, read: (value) => values.find((one) => one === value) };
}

function pattern(regex: RegExp, expected: string, type: string): Kind<string> {
  return { expected, type, json: { type: 'string' }, read: (value) => (typeof value === 'string' && regex.test(value) ? value : undefined) };
}

const ID = /^[a-z0-9-]{1,32}$/;
export const isId = (text: string): boolean => ID.test(text);
export const ID_EXPECTED = 'a name of 1 to 32 lower-case letters, digits and dashes (in quotes if it looks like a number)';
export const id = pattern(ID, ID_EXPECTED, 'name: a-z, 0-9, -; at most 32');

/** Names of classes and shared networks: no slash, so that none looks like a subnet. */
export const label = pattern(
  /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'a name of 1 to 64 letters, digits, dots, dashes and underscores (in quotes if it looks like a number)', 'name',
);

/** The name of a class where one is referred to; VENDOR_CLASS_ may be followed by anything. */
export const classReference = pattern(/^[^\p{Cc}]{1,280}$/u, 'the name of a class', 'name of a class');

export const optionName = pattern(/^[a-z][a-z0-9-]{0,63}$/, 'a name of at most 64 lower-case letters, digits and dashes, a letter first', 'name: a-z, 0-9, -');

/** As X.509 writes them; a wildcard is for servers' certificates only. */
export const certificateName = pattern(/^[^\p{Cc}]{1,255}$/u, 'the name in a certificate such as bng1.example.net', 'name in a certificate');

/** A code; names as in the catalogue of standard options. */
export const optionReference: Kind<number> = {
  expected: 'the name of a DHCP option or its code (1 to 254)',
  type: 'name or code of an option',
  json: { type: ['string', 'integer'] },
  read: (value) => {
    if (typeof value === 'number') return Number.isInteger(value) && value >= 1 && value <= 254 ? value : undefined;
    return typeof value === 'string' ? OptionCatalogue.standard.find(value)?.code : undefined;
  },
};

export const filePath = pattern(/^[^\0]{1,4096}$/, 'a path', 'path');

export const description = pattern(/^[^\p{Cc}]{0,255}$/u, 'text of at most 255 characters, on one line (in quotes if it looks like a number)', 'text');

/** Linux: at most 15 bytes, no slash, no space (and no colon, which is for aliases). */
export const interfaceName = pattern(/^(?!\.{1,2}$)[^\s/:\0]{1,15}$/, 'the name of a network interface such as eth0', 'interface name');

const HOSTNAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;
export const hostname = pattern(HOSTNAME, 'a host name such as printer or printer.example.net', 'host name');

export const userName = pattern(/^[a-z_][a-z0-9_.-]{0,31}$/i, 'the name of a user of this host', 'user name');

/** The field of a reply ends in a NUL (RFC 2131 §2), so it takes a byte less than it has. */
function bootText(bytesMax: number, such: string): Kind<string> {
  return {
    expected: `text of at most ${bytesMax} bytes without control characters, such as ${such} (in quotes if it looks like a number)`,
    type: `text, at most ${bytesMax} bytes`,
    json: { type: 'string' },
    read: (value) => (typeof value === 'string' && !/\p{Cc}/u.test(value) && Buffer.byteLength(value) <= bytesMax ? value : undefined),
  };
}

export const serverHostname = bootText(SERVER_HOSTNAME_BYTES_MAX, 'boot.example.net');
export const bootFileName = bootText(BOOT_FILE_NAME_BYTES_MAX, 'pxelinux.0');

export const address: Kind<number> = {
  expected: 'an IPv4 address such as 10.0.5.5',
  type: 'IPv4 address',
  json: { type: 'string', format: 'ipv4' },
  read: (value) => (typeof value === 'string' ? parseIpv4(value) : undefined),
};

/** Host bits are let through here: the check of the whole names the prefix that was meant. */
export const prefix: Kind<Ipv4Prefix & { readonly address: number }> = {
  expected: 'an IPv4 network such as 10.0.0.0/8',
  type: 'IPv4 network',
  json: { type: 'string', pattern: '^[0-9.]+/[0-9]+$' },
  read: (value) => (typeof value === 'string' ? parseAddressWithPrefix(value) : undefined),
};

export const range: Kind<Ipv4Range> = {
  expected: 'a range of IPv4 addresses such as 10.1.0.0-10.1.255.255',
  type: 'first-last',
  json: { type: 'string', pattern: '^[0-9.]+ *- *[0-9.]+$' },
  read: (value) => (typeof value === 'string' ? parseRange(value) : undefined),
};

export const addressOrRange: Kind<Ipv4Range> = {
  expected: 'an IPv4 address such as 10.1.0.7, or a range such as 10.1.0.0-10.1.255.255',
  type: 'address or first-last',
  json: { type: 'string', pattern: '^[0-9.]+( *- *[0-9.]+)?$' },
  read(value) {
    const one = address.read(value);
    return one === undefined ? range.read(value) : { first: one, last: one };
  },
};

/** "10.0.0.11:7067", "node-a.example.net:7067", "[::1]:7067". */
export function hostAndPort(portMin: number): Kind<{ host: string; port: number }> {
  return {
    expected: `an address and a port (${portMin} to 65535) such as 127.0.0.1:9067`,
    type: 'address:port',
    json: { type: 'string', pattern: ':[0-9]{1,5}$' },
    read(value) {
      const match = typeof value === 'string' ? /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/i.exec(value) : null;
      if (match === null) return undefined;
      const host = match[1] ?? match[2]!;
      const port = Number(match[3]);
      const numeric = match[2] !== undefined && /^[0-9.]+$/.test(host);
      if (port < portMin || port > 65_535) return undefined;
      if (match[1] === undefined && (numeric ? parseIpv4(host) === undefined : !HOSTNAME.test(host))) return undefined;
      return { host, port };
    },
  };
}

export const etcdUrl: Kind<string> = {
  expected: 'the URL of an etcd member such as http://10.0.0.21:2379',
  type: 'URL',
  json: { type: 'string', format: 'uri' },
  read(value) {
    if (typeof value !== 'string') return undefined;
    const url = URL.parse(value);
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') return undefined;
    if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '' || url.pathname !== '/') return undefined;
    // etcd has none that goes without saying, and `url.port` is empty where it is the scheme's own.
    if (!/:\d+\/?$/.test(value)) return undefined;
    return value.endsWith('/') ? value.slice(0, -1) : value;
  },
};
