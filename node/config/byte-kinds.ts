/**
 * What lies on the wire as bytes: identifiers of clients and relays. Read to one character a byte
 * (latin1), so that they serve as keys of a map. Any of them may be written as "0x0a1b",
 * { hex: "0a:1b" } or { text: "wifi" }; what a plain text means depends on the kind.
 */
import { parseHardware, parseHexPairs } from '../codec/address.ts';
import { CLIENT_IDENTIFIER_BYTES_MAX, DUID_BYTES_MAX } from '../limits.ts';
import type { JsonSchema, Kind } from './kinds.ts';

/** What a text without a mark of its own is: the characters themselves, or "0a:1b". */
export type PlainText = 'text' | 'hex';

export const BYTES_JSON: JsonSchema = {
  anyOf: [
    { type: 'string' },
    { type: 'object', properties: { hex: { type: 'string' } }, required: ['hex'], additionalProperties: false },
    { type: 'object', properties: { text: { type: 'string' } }, required: ['text'], additionalProperties: false },
  ],
};

/** Undefined: none of the forms. */
export function readBytes(value: unknown, plain: PlainText): Buffer | undefined {
  const marked = readMarkedBytes(value);
  if (marked !== undefined || typeof value !== 'string' || value.startsWith('0x')) return marked;
  return plain === 'text' ? Buffer.from(value) : parseHexPairs(value);
}

/** "0x0a1b", { hex } and { text } only. */
export function readMarkedBytes(value: unknown): Buffer | undefined {
  if (typeof value === 'string') return value.startsWith('0x') ? parseHexDigits(value.slice(2)) : undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { hex, text, ...others } = value as Record<string, unknown>;
  if (Object.keys(others).length > 0 || (hex === undefined) === (text === undefined)) return undefined;
  if (typeof text === 'string') return Buffer.from(text);
  return typeof hex === 'string' ? (parseHexPairs(hex) ?? parseHexDigits(hex)) : undefined;
}

function parseHexDigits(text: string): Buffer | undefined {
  return /^(?:[0-9a-f]{2})+$/i.test(text) ? Buffer.from(text, 'hex') : undefined;
}

interface BytesBounds {
  readonly min: number;
  readonly max: number;
  readonly plain: PlainText;
  readonly such: string;
}

function bytes(what: string, { min, max, plain, such }: BytesBounds): Kind<string> {
  const form = plain === 'hex' ? 'as pairs of hexadecimal digits' : 'as text (in quotes if it looks like a number), or { hex: "0a:1b" },';
  return {
    expected: `${what} of ${min} to ${max} bytes ${form} such as ${such}`,
    type: plain === 'hex' ? `hexadecimal pairs, ${min} to ${max}` : `text or { hex }, ${min} to ${max} bytes`,
    json: BYTES_JSON,
    read(value) {
      const read = readBytes(value, plain);
      return read === undefined || read.length < min || read.length > max ? undefined : read.toString('latin1');
    },
  };
}

export const clientIdentifier = bytes('a client identifier', { min: 2, max: CLIENT_IDENTIFIER_BYTES_MAX, plain: 'hex', such: '01:52:54:00:12:34:56' });

/** RFC 8415 §11.1: two bytes of type, and at least one and at most 128 of identifier. */
export const duid = bytes('a DUID', { min: 3, max: DUID_BYTES_MAX, plain: 'hex', such: '00:03:00:01:52:54:00:12:34:56' });

/** What a relay sends in a sub-option of option 82. */
export const relayIdentifier = bytes('an identifier', { min: 1, max: 255, plain: 'text', such: 'ge-0/0/7' });

/** htype, then chaddr. */
export const hardware: Kind<string> = {
  expected: 'a hardware address such as 52:54:00:12:34:56, in quotes if it has digits only (other than Ethernet: type/address, such as 32/00:01:02:03)',
  type: 'hardware address',
  json: { type: 'string', pattern: '^([0-9]+/)?[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2})*$' },
  read(value) {
    const parsed = typeof value === 'string' ? parseHardware(value) : undefined;
    return parsed === undefined ? undefined : String.fromCharCode(parsed.htype) + parsed.chaddr.toString('latin1');
  },
};
