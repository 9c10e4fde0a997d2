/**
 * Tokens of the API, and the file that says which a node takes. The file holds no token, only what tells one: a line each,
 *
 *     NAME  ROLE  SHA-256 of the token in hex  [until when, as 2027-03-31 or 2027-03-31T18:00Z]
 *
 * with `#` before a comment. What it says counts line by line: one that cannot be read gives nobody a role, and spoils no other.
 */
import * as timeKinds from '../config/time-kinds.ts';
import { API_NAME_CHARACTERS_MAX, API_TOKENS_MAX } from './limits.ts';
import { INFINITE_SECONDS } from '../time.ts';
import { ROLES } from './roles.ts';
import type { Role } from './roles.ts';

/** "lessor_" and 32 random bytes in base64url. */
export const TOKEN = /^lessor_[A-Za-z0-9_-]{43}$/;
export const TOKEN_PREFIX = 'lessor_';
export const TOKEN_BYTES = 32;

export interface TokenEntry {
  readonly name: string;
  readonly role: Role;
  /** SHA-256 of the token's text. */
  readonly hash: Buffer;
  /** UTC seconds; INFINITE_SECONDS: it does not end. */
  readonly expires: number;
  /** Of the file, from 1 on. */
  readonly line: number;
}

export interface TokenFile {
  readonly tokens: readonly TokenEntry[];
  /** "line 3: expected …"; nothing of a hash is in it. */
  readonly mistakes: readonly string[];
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]*$/;
export const NAME_EXPECTED = `a name of letters, digits, dots, hyphens, underscores and @, of at most ${API_NAME_CHARACTERS_MAX} characters`;

export function isTokenName(text: string): boolean {
  return NAME.test(text) && text.length <= API_NAME_CHARACTERS_MAX;
}

export function parseTokenFile(text: string): TokenFile {
  const tokens: TokenEntry[] = [];
  const mistakes: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.replace(/(?:^|\s)#.*$/, '').trim().split(/\s+/).filter((word) => word !== '');
    if (words.length === 0) continue;
    const read = tokens.length >= API_TOKENS_MAX ? `more than ${API_TOKENS_MAX} tokens` : readEntry(words, index + 1);
    if (typeof read === 'string') mistakes.push(`line ${index + 1}: ${read}`);
    else if (tokens.some(({ name }) => name === read.name)) mistakes.push(`line ${index + 1}: ${read.name} is here twice`);
    else tokens.push(read);
  }
  return { tokens, mistakes };
}

/** A text: what is wrong with it. */
function readEntry([name, role, hash, until, ...more]: readonly string[], line: number): TokenEntry | string {
  if (!isTokenName(name!)) return `expected ${NAME_EXPECTED}`;
  const known = ROLES.find((each) => each === role);
  if (known === undefined) return `${name}: expected a role (${ROLES.join(', ')})`;
  if (hash === undefined || !/^[0-9a-f]{64}$/i.test(hash)) return `${name}: expected the SHA-256 of the token in hex, as lessor token create prints it`;
  const expires = until === undefined ? INFINITE_SECONDS : timeKinds.until.read(until);
  if (expires === undefined) return `${name}: expected ${timeKinds.until.expected}`;
  if (more.length > 0) return `${name}: expected a name, a role, a hash and an end, and nothing behind them`;
  return { name: name!, role: known, hash: Buffer.from(hash, 'hex'), expires, line };
}

/** A line of the file, without its end. `until`: as the file has it. */
export function tokenLine(name: string, role: Role, hash: Buffer, until: string | undefined): string {
  return [name, role, hash.toString('hex'), ...(until === undefined ? [] : [until])].join('  ');
}
