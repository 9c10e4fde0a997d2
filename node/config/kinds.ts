/**
 * The kinds of values that a configuration is made of: what is written, what it becomes, and how it
 * is named to people. A kind never throws; undefined means that the value is not of this kind.
 */
import { formatHexPairs, parseAddressWithPrefix, parseHardware, parseHexPairs, parseIpv4, parseRange } from '../codec/address.ts';
import { INFINITE_SECONDS } from '../time.ts';

export interface Kind<T> {
  /** Read after "expected": "a duration such as 3s, at least 1s". */
  readonly expected: string;
  /** For the reference: "duration". */
  readonly type: string;
  /** What a plain number means: "seconds". */
  readonly unit?: string;
  read(value: unknown): T | undefined;
}

const UNIT_MS = new Map([['ms', 1], ['s', 1000], ['m', 60_000], ['h', 3_600_000], ['d', 86_400_000]]);

/** Milliseconds of "500ms", "3s", "5m", "12h", "7d"; a plain number is seconds. */
export function parseDurationMs(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? Math.round(value * 1000) : undefined;
  const match = typeof value === 'string' ? /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)$/.exec(value) : null;
  return match === null ? undefined : Math.round(Number(match[1]) * UNIT_MS.get(match[2]!)!);
}

function parseBound(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new Error(`not a duration: ${text}`);
  return ms;
}

interface DurationBounds {
  readonly min: string;
  readonly max: string;
}

export function durationMs({ min, max }: DurationBounds): Kind<number> {
  const [least, most] = [parseBound(min), parseBound(max)];
  return {
    expected: `a duration from ${min} to ${max}, such as 500ms, 3s, 1h or 7d (a plain number is seconds)`,
    type: `duration, ${min} to ${max}`,
    unit: 'seconds',
    read(value) {
      const ms = parseDurationMs(value);
      return ms === undefined || ms < least || ms > most ? undefined : ms;
    },
  };
}

/** Whole seconds; with `infinite` the word stands for 0xffffffff (RFC 2131 §3.3). */
export function durationSeconds({ min, max, infinite = false }: DurationBounds & { readonly infinite?: boolean }): Kind<number> {
  const ms = durationMs({ min, max });
  const orInfinite = infinite ? ', or infinite' : '';
  return {
    expected: `whole seconds: a duration from ${min} to ${max}, such as 30s, 1h or 7d (a plain number is seconds)${orInfinite}`,
    type: `duration in whole seconds, ${min} to ${max}${orInfinite}`,
    unit: 'seconds',
    read(value) {
      if (infinite && value === 'infinite') return INFINITE_SECONDS;
      const read = ms.read(value);
      return read === undefined || read % 1000 !== 0 ? undefined : read / 1000;
    },
  };
}

export function integer(min: number, max: number, unit?: string): Kind<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    type: `number, ${min} to ${max}`,
    ...(unit === undefined ? {} : { unit }),
    read: (value) => (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined),
  };
}

export const bool: Kind<boolean> = {
  expected: 'true or false',
  type: 'true or false',
  read: (value) => (typeof value === 'boolean' ? value : undefined),
};

export function oneOf<const T extends string>(...values: readonly T[]): Kind<T> {
  const list = values.join(', ');
  return { expected: `one of ${list}`, type: list, read: (value) => values.find((one) => one === value) };
}

function pattern(regex: RegExp, expected: string, type: string): Kind<string> {
  return { expected, type, read: (value) => (typeof value === 'string' && regex.test(value) ? value : undefined) };
}

const ID = /^[a-z0-9-]{1,32}$/;
export const isId = (text: string): boolean => ID.test(text);
export const ID_EXPECTED = 'a name of 1 to 32 lower-case letters, digits and dashes (in quotes if it looks like a number)';
export const id = pattern(ID, ID_EXPECTED, 'name: a-z, 0-9, -; at most 32');

export const filePath = pattern(/^[^\0]{1,4096}$/, 'a path', 'path');

/** Linux: at most 15 bytes, no slash, no space (and no colon, which is for aliases). */
export const interfaceName = pattern(/^(?!\.{1,2}$)[^\s/:\0]{1,15}$/, 'the name of a network interface such as eth0', 'interface name');

const HOSTNAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;
export const hostname = pattern(HOSTNAME, 'a host name such as printer or printer.example.net', 'host name');

export const address: Kind<number> = {
  expected: 'an IPv4 address such as 10.0.5.5',
  type: 'IPv4 address',
  read: (value) => (typeof value === 'string' ? parseIpv4(value) : undefined),
};

/** Host bits are let through here: the check of the whole names the prefix that was meant. */
export const prefix: Kind<{ address: number; network: number; prefixLength: number }> = {
  expected: 'an IPv4 network such as 10.0.0.0/8',
  type: 'IPv4 network',
  read: (value) => (typeof value === 'string' ? parseAddressWithPrefix(value) : undefined),
};

export const range: Kind<{ first: number; last: number }> = {
  expected: 'a range of IPv4 addresses such as 10.1.0.0-10.1.255.255',
  type: 'first-last',
  read: (value) => (typeof value === 'string' ? parseRange(value) : undefined),
};

export const hardware: Kind<{ htype: number; chaddr: Buffer }> = {
  expected: 'a hardware address such as 52:54:00:12:34:56, in quotes if it has digits only (other than Ethernet: type/address, such as 32/00:01:02:03)',
  type: 'hardware address',
  read: (value) => (typeof value === 'string' ? parseHardware(value) : undefined),
};

export const clientIdentifier: Kind<Buffer> = {
  expected: 'a client identifier of 2 to 255 bytes as pairs of hexadecimal digits such as 01:52:54:00:12:34:56',
  type: 'hexadecimal pairs, 2 to 255',
  read(value) {
    const bytes = typeof value === 'string' ? parseHexPairs(value) : undefined;
    return bytes === undefined || bytes.length < 2 || bytes.length > 255 ? undefined : bytes;
  },
};

/** "10.0.0.11:7067", "node-a.example.net:7067", "[::1]:7067". */
export function hostAndPort(portMin: number): Kind<{ host: string; port: number }> {
  return {
    expected: `an address and a port (${portMin} to 65535) such as 127.0.0.1:9067`,
    type: 'address:port',
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
  read(value) {
    if (typeof value !== 'string') return undefined;
    const url = URL.parse(value);
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') return undefined;
    if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '' || url.pathname !== '/') return undefined;
    return value.endsWith('/') ? value.slice(0, -1) : value;
  },
};

/** A client as one word, for comparing. */
export function clientWord(client: { readonly htype: number; readonly chaddr: Buffer } | Buffer): string {
  return Buffer.isBuffer(client) ? `id ${formatHexPairs(client)}` : `hw ${client.htype} ${formatHexPairs(client.chaddr)}`;
}
