/** Asks a node over its HTTP port. Every failure says which URL was tried and what to try next. */
import { loadNodeConfig } from '../config/load.ts';
import type { LeaseView } from '../admin/lease-view.ts';
import type { NodeStatus } from '../admin/status.ts';
import { CliError, ExitCode } from './cli-error.ts';

export const DEFAULT_URL = 'http://127.0.0.1:9067';
const ANSWER_MS_MAX = 10_000;
const NOT_READY = 503;

export interface TargetOptions {
  readonly url?: string;
  readonly config?: string;
}

/** From `--url`, or the port that `--config` names, or the default. @throws CliError, ConfigError */
export function targetUrl(options: TargetOptions): string {
  if (options.url !== undefined) return checkedUrl(options.url);
  if (options.config === undefined) return DEFAULT_URL;
  const { host, port } = loadNodeConfig(options.config).http;
  // A node that listens everywhere listens here as well.
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}

function checkedUrl(text: string): string {
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(withScheme) || !/^https?:$/.test(new URL(withScheme).protocol)) {
    throw new CliError(ExitCode.usage, `--url: expected something like ${DEFAULT_URL}, found "${text}"`);
  }
  return new URL(withScheme).origin;
}

export class NodeClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async status(): Promise<NodeStatus> {
    const response = await this.#get('/v1/status');
    const text = await this.#reading(() => response.text());
    return this.#understood(() => JSON.parse(text) as NodeStatus);
  }

  async readiness(): Promise<{ readonly ready: boolean; readonly reason: string }> {
    const response = await this.#get('/readyz', NOT_READY);
    const text = await this.#reading(() => response.text());
    return this.#understood(() => {
      const { ready, reason } = JSON.parse(text) as { ready?: unknown; reason?: unknown };
      if (typeof ready !== 'boolean') throw new TypeError('no readiness');
      return { ready, reason: String(reason) };
    });
  }

  /** In order of address, as many at a time as came in together. @throws CliError */
  async *leases(query: Readonly<Record<string, string>>): AsyncGenerator<LeaseView[]> {
    const response = await this.#get(`/v1/leases?${new URLSearchParams(query).toString()}`);
    const decoder = new TextDecoder();
    let rest = '';
    const reader = response.body!.getReader();
    for (;;) {
      const { done, value } = await this.#reading(() => reader.read());
      if (done) {
        // A node ends every line: what is left over is somebody else's.
        if (rest !== '') yield this.#understood(() => [JSON.parse(rest) as LeaseView]);
        return;
      }
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop()!;
      yield this.#understood(() => lines.map((line) => JSON.parse(line) as LeaseView));
    }
  }

  /** `also`: a status that is an answer as well, and no failure. */
  async #get(path: string, also?: number): Promise<Response> {
    const slow = new AbortController();
    // Only the beginning of the answer has a deadline: a long list may take its time.
    const timer = setTimeout(() => slow.abort(), ANSWER_MS_MAX);
    let response: Response;
    try {
      response = await fetch(this.#url + path, { signal: slow.signal });
    } catch (cause) {
      throw this.#unreachable(cause, slow.signal.aborted);
    } finally {
      clearTimeout(timer);
    }
    if (response.ok || response.status === also) return response;
    const message = await errorOf(response);
    if (response.status === 400) throw new CliError(ExitCode.usage, message);
    throw new CliError(ExitCode.unreachable, `the node at ${this.#url} answered ${response.status}: ${message}`);
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (cause) {
      throw new CliError(
        ExitCode.unreachable,
        `the answer of the node at ${this.#url} broke off: ${reasonOf(cause)}. It may have stopped; its log says more.`,
        { cause },
      );
    }
  }

  #understood<T>(parse: () => T): T {
    try {
      return parse();
    } catch (cause) {
      throw new CliError(
        ExitCode.unreachable,
        `what answers at ${this.#url} is no Lessor node: its answer is not JSON. Name the node's port with --url.`,
        { cause },
      );
    }
  }

  #unreachable(cause: unknown, slow: boolean): CliError {
    const reason = slow ? `no answer within ${ANSWER_MS_MAX / 1000} s` : reasonOf(cause);
    const hint = reason === 'connection refused'
      ? 'Is a node running on this host (lessor node --config node.yaml)? '
      : '';
    return new CliError(
      ExitCode.unreachable,
      `cannot reach a node at ${this.#url}: ${reason}. ${hint}` +
        'Name its port with --url http://HOST:PORT, or its configuration with --config node.yaml (http.listen).',
      { cause },
    );
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was closed',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name could not be resolved',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_SOCKET: 'the connection was closed',
};

function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const { code, message } = cause as NodeJS.ErrnoException;
  return (code === undefined ? undefined : REASONS[code]) ?? message ?? String(error);
}

/** The message of a JSON error, or what the other side says if it is no node of Lessor. */
async function errorOf(response: Response): Promise<string> {
  const text = (await response.text()).slice(0, 500);
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === 'string') return error;
  } catch {
    // No JSON: something else listens there.
  }
  return `${response.statusText}. Is this the HTTP port of a Lessor node?`;
}
