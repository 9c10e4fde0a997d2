/**
 * Files with TSIG keys, as `tsig-keygen` writes them and name servers read them:
 *
 *     key "lessor" {
 *             algorithm hmac-sha256;
 *             secret "base64";
 *     };
 *
 * One or several keys, with the comments of such files. Nothing of a secret is ever in a message.
 */
import { formatDomainName, parseDomainName } from '../codec/domain-name.ts';
import { TSIG_ALGORITHMS } from './tsig.ts';
import type { TsigAlgorithm, TsigKey } from './tsig.ts';

/** RFC 8945 §8 wants as many bytes as the MAC has; fewer than these can be guessed. */
const SECRET_BYTES_MIN = 16;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A file of keys that cannot be used, or a key in it. */
export class KeyFileError extends Error {
  readonly code = 'key-file';
  readonly file: string;
  /** From 1 on; undefined: it is not about a line. */
  readonly line: number | undefined;
  readonly problem: string;

  constructor(file: string, line: number | undefined, problem: string, options?: ErrorOptions) {
    super(`${file}${line === undefined ? '' : `:${line}`}: ${problem}`, options);
    this.name = 'KeyFileError';
    this.file = file;
    this.line = line;
    this.problem = problem;
  }
}

interface Token {
  readonly text: string;
  readonly quoted: boolean;
  readonly line: number;
}

/** As `TsigKey.name` has it, from what is written elsewhere: case and a dot at the end make no difference. */
export function keyNameOf(text: string): string {
  return text.toLowerCase().replace(/\.$/, '');
}

/** The keys of a file, at least one. @throws KeyFileError */
export function parseKeyFile(text: string, file: string): TsigKey[] {
  const reader = new Reader(tokensOf(text, file), file);
  const keys: TsigKey[] = [];
  while (!reader.atEnd) {
    const line = reader.line;
    const key = readKey(reader);
    if (keys.some(({ name }) => name === key.name)) throw new KeyFileError(file, line, `the key ${key.name} is here twice`);
    keys.push(key);
  }
  if (keys.length === 0) throw new KeyFileError(file, undefined, 'holds no key: expected what tsig-keygen prints');
  return keys;
}

function readKey(reader: Reader): TsigKey {
  reader.take('key', 'key "NAME" { ... };');
  const { line, text: given } = reader.next('the name of the key');
  const wire = parseDomainName(given);
  if (wire === undefined || wire.length === 1) throw reader.error(line, `${JSON.stringify(given)} is no name of a key: expected a domain name`);
  reader.take('{', '{ after the name of the key');
  let algorithm: TsigAlgorithm | undefined;
  let secret: Buffer | undefined;
  for (let statement = reader.next('algorithm, secret or }'); statement.text !== '}'; statement = reader.next('algorithm, secret or }')) {
    if (statement.text === 'algorithm' && algorithm === undefined) algorithm = readAlgorithm(reader);
    else if (statement.text === 'secret' && secret === undefined) secret = readSecret(reader);
    else throw reader.error(statement.line, expected('algorithm and secret, each once', statement));
    reader.take(';', '; at the end of the statement');
  }
  reader.take(';', '; after }');
  if (algorithm === undefined) throw reader.error(line, 'the key has no algorithm');
  if (secret === undefined) throw reader.error(line, 'the key has no secret');
  return { name: formatDomainName(wire)!.toLowerCase(), algorithm, secret };
}

function readAlgorithm(reader: Reader): TsigAlgorithm {
  const { line, text } = reader.next('an algorithm');
  const name = text.toLowerCase().replace(/\.$/, '');
  if (name in TSIG_ALGORITHMS) return name as TsigAlgorithm;
  const use = `use ${Object.keys(TSIG_ALGORITHMS).join(', ')}: tsig-keygen -a hmac-sha256 makes such a key, and the name server needs it as well`;
  if (/^hmac-(md5|sha1)\b/.test(name)) throw reader.error(line, `${name} is not safe any more and refused: ${use}`);
  if (name === 'gss-tsig') throw reader.error(line, `keys of GSS-TSIG are not for files, and Lessor does not speak it: ${use}`);
  throw reader.error(line, `the algorithm${text.length > 30 ? '' : ` ${JSON.stringify(text)}`} is not supported: ${use}`);
}

function readSecret(reader: Reader): Buffer {
  const { line, text } = reader.next('a secret');
  if (text === '' || !BASE64.test(text)) throw reader.error(line, 'the secret is not in base64');
  const secret = Buffer.from(text, 'base64');
  if (secret.length < SECRET_BYTES_MIN) {
    throw reader.error(line, `the secret has ${secret.length} bytes and can be guessed: expected ${SECRET_BYTES_MIN} at least; tsig-keygen makes a good one`);
  }
  return secret;
}

class Reader {
  readonly #tokens: readonly Token[];
  readonly #file: string;
  #at = 0;

  constructor(tokens: readonly Token[], file: string) {
    this.#tokens = tokens;
    this.#file = file;
  }

  get atEnd(): boolean {
    return this.#at === this.#tokens.length;
  }

  get line(): number {
    return this.#tokens[Math.min(this.#at, this.#tokens.length - 1)]?.line ?? 1;
  }

  next(wanted: string): Token {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw this.error(this.line, `ends too early: expected ${wanted}`);
    this.#at++;
    return token;
  }

  /** A word or a sign that must stand here. */
  take(text: string, wanted: string): void {
    const token = this.next(wanted);
    if (token.quoted || token.text !== text) throw this.error(token.line, expected(wanted, token));
  }

  error(line: number, problem: string): KeyFileError {
    return new KeyFileError(this.#file, line, problem);
  }
}

/** A secret that stands at the wrong place is not repeated either. */
function expected(wanted: string, { quoted, text }: Token): string {
  return `expected ${wanted}, found ${quoted || text.length > 20 ? 'something else' : text}`;
}

function tokensOf(text: string, file: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  // A comment, a text in quotes, a sign, a word, blanks; one character where it is none of them.
  for (const [piece] of text.matchAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|#[^\n]*|"[^"\n]*"|[{};]|(?:[^\s{};"#/]|\/(?![/*]))+|\s+|[\s\S]/g)) {
    if (piece === '"' || piece === '/') throw new KeyFileError(file, line, piece === '"' ? 'a text in quotes does not end in its line' : 'a comment has no end');
    if (!/^(?:\s|#|\/\/|\/\*)/.test(piece)) {
      const quoted = piece.startsWith('"');
      tokens.push({ text: quoted ? piece.slice(1, -1) : piece, quoted, line });
    }
    line += piece.split('\n').length - 1;
  }
  return tokens;
}
