/**
 * The file of the API's tokens, looked at again and again: what is added or taken out counts within seconds. Without
 * the file, or where it cannot be read, no token counts.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { TLS_LOOK_MS } from '../../limits.ts';
import { API_MISTAKES_TOLD_MAX, API_TOKEN_FILE_BYTES_MAX } from '../limits.ts';
import type { Occurrence } from '../../telemetry/events.ts';
import { isoSeconds } from '../lease-view.ts';
import { checkKeyMode } from '../../tls/io/check-files.ts';
import type { FindToken } from '../access.ts';
import { parseTokenFile, TOKEN } from '../tokens.ts';
import type { TokenEntry } from '../tokens.ts';

export function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** @throws Error that says why it cannot be read */
export function readTokenFile(path: string): ReturnType<typeof parseTokenFile> {
  if (statSync(path).size > API_TOKEN_FILE_BYTES_MAX) throw new Error(`is larger than ${API_TOKEN_FILE_BYTES_MAX} bytes: expected a file of lessor token create`);
  return parseTokenFile(readFileSync(path, 'utf8'));
}

/** What is wrong with the file, as `lessor config check` tells it. */
export function checkTokens(path: string | undefined): { readonly severity: 'error' | 'warning'; readonly file: string; readonly message: string }[] {
  if (path === undefined) return [];
  try {
    return [...readTokenFile(path).mistakes.map((mistake) => ({ severity: 'error', file: path, message: mistake }) as const), ...checkKeyMode({ key: path })];
  } catch (error) {
    return [{ severity: 'error', file: path, message: `cannot be read: ${(error as Error).message}` }];
  }
}

export class Tokens {
  readonly #path: string;
  readonly #report: (occurrences: readonly Occurrence[]) => void;
  readonly #timer: NodeJS.Timeout;
  #tokens: readonly TokenEntry[] = [];
  #seen = '';

  constructor(path: string, report: (occurrences: readonly Occurrence[]) => void) {
    this.#path = path;
    this.#report = report;
    this.look();
    this.#timer = setInterval(() => this.look(), TLS_LOOK_MS).unref();
  }

  get count(): number {
    return this.#tokens.length;
  }

  /** Compares with all of them, so that it takes as long whichever it is. `now`: UTC seconds. */
  find(token: string, now: number): ReturnType<FindToken> {
    if (!TOKEN.test(token)) return 'this is no token of Lessor: lessor token create makes one';
    const hash = hashOf(token);
    let found: TokenEntry | undefined;
    for (const entry of this.#tokens) if (timingSafeEqual(entry.hash, hash)) found = entry;
    if (found === undefined) return 'this token is not known here: the file that http.tokens names on this node has it not, or not any more';
    if (found.expires <= now) return `the token ${found.name} ended on ${isoSeconds(found.expires)}: make a new one (lessor token create)`;
    return found;
  }

  look(): void {
    const stat = statSync(this.#path, { throwIfNoEntry: false });
    const seen = stat === undefined ? 'missing' : `${stat.ino} ${stat.mtimeMs} ${stat.ctimeMs} ${stat.size}`;
    if (seen === this.#seen) return;
    this.#seen = seen;
    try {
      const { mistakes, tokens } = readTokenFile(this.#path);
      this.#tokens = tokens;
      if (mistakes.length > 0) this.#tell([...mistakes.slice(0, API_MISTAKES_TOLD_MAX), ...(mistakes.length > API_MISTAKES_TOLD_MAX ? [`and ${mistakes.length - API_MISTAKES_TOLD_MAX} more`] : [])].join('; '));
    } catch (error) {
      this.#tokens = [];
      this.#tell((error as Error).message);
    }
    for (const { message } of checkKeyMode({ key: this.#path })) this.#report([{ id: 'api.tokens-exposed', fields: { file: this.#path, problem: message } }]);
  }

  #tell(problem: string): void {
    this.#report([{ id: 'api.tokens-unusable', fields: { file: this.#path, problem } }]);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
