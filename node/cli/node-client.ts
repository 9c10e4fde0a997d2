/** Asks a node over its HTTP port. Every failure says which URL was tried and what to try next. */
import { request as requestHttp } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import type { LeaseView } from '../admin/lease-view.ts';
import type { NodeStatus } from '../admin/status.ts';
import { CONTROL_SOCKET } from '../admin/operator.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { controlFailure } from './control-client.ts';
import type { NodeTarget } from './target-options.ts';

const ANSWER_MS_MAX = 10_000;
const NOT_READY = 503;
/** Nobody may, nothing is there, or it does not go: the node has answered what was asked. */
const REFUSED = new Set([401, 403, 404, 409]);

/** Undefined: left out. */
type Parameters = Readonly<Record<string, string | number | boolean | undefined>>;

export class NodeClient {
  readonly #target: NodeTarget;
  readonly #url: string;

  constructor(target: NodeTarget) {
    this.#target = target;
    this.#url = target.dataDir === undefined ? target.url : join(target.dataDir, CONTROL_SOCKET);
  }

  async status(): Promise<NodeStatus> {
    const response = await this.#get('/v1/status');
    const text = await this.#reading(() => textOf(response));
    return this.#understood(() => JSON.parse(text) as NodeStatus);
  }

  async readiness(): Promise<{ readonly ready: boolean; readonly reason: string }> {
    const response = await this.#get('/readyz', NOT_READY);
    const text = await this.#reading(() => textOf(response));
    return this.#understood(() => {
      const { ready, reason } = JSON.parse(text) as { ready?: unknown; reason?: unknown };
      if (typeof ready !== 'boolean') throw new TypeError('no readiness');
      return { ready, reason: String(reason) };
    });
  }

  /** In order of address, as many at a time as came in together. @throws CliError */
  leases(query: Readonly<Record<string, string>>): AsyncGenerator<LeaseView[]> {
    return this.list<LeaseView>('/v1/leases', query);
  }

  /** An operation that answers at once. @throws CliError */
  async call<T>(method: 'GET' | 'POST', path: string, parameters: Parameters): Promise<T> {
    const query = method === 'GET' ? queryOf(parameters) : '';
    const response = await this.#successful(await this.#ask(path + query, method === 'GET' ? undefined : JSON.stringify(parameters)));
    const text = await this.#reading(() => textOf(response));
    return this.#understood(() => JSON.parse(text) as T);
  }

  /** The entries of a list, as many at a time as came in together. @throws CliError */
  async *list<T>(path: string, parameters: Parameters): AsyncGenerator<T[]> {
    const response = await this.#get(path + queryOf(parameters));
    let rest = '';
    const pieces = response.setEncoding('utf8')[Symbol.asyncIterator]() as AsyncIterator<string>;
    for (;;) {
      const { done, value } = await this.#reading(() => pieces.next());
      if (done === true) {
        // A node ends every line: what is left over is somebody else's.
        if (rest !== '') yield this.#understood(() => [JSON.parse(rest) as T]);
        return;
      }
      const lines = (rest + value).split('\n');
      rest = lines.pop()!;
      yield this.#understood(() => lines.map((line) => JSON.parse(line) as T));
    }
  }

  /** `also`: a status that is an answer as well, and no failure. */
  async #get(path: string, also?: number): Promise<IncomingMessage> {
    return this.#successful(await this.#ask(path), also);
  }

  async #successful(response: IncomingMessage, also?: number): Promise<IncomingMessage> {
    const { statusCode = 0 } = response;
    if ((statusCode >= 200 && statusCode < 300) || statusCode === also) return response;
    const { isAnswer, message } = await errorOf(response);
    if (statusCode === 400) throw new CliError(ExitCode.usage, message);
    if (isAnswer && REFUSED.has(statusCode)) throw new CliError(ExitCode.no, message);
    throw new CliError(ExitCode.unreachable, `the node at ${this.#url} answered ${statusCode}: ${message}`);
  }

  /** Only the beginning of the answer has a deadline: a long list may take its time. */
  #ask(path: string, body?: string): Promise<IncomingMessage> {
    const { dataDir, headers, tls, url } = this.#target;
    return new Promise((resolve, reject) => {
      const request = url.startsWith('https:') ? requestHttps : requestHttp;
      const call = request(url + path, {
        agent: false, ...tls, ...(dataDir === undefined ? {} : { socketPath: this.#url }), method: body === undefined ? 'GET' : 'POST',
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }) },
      }, (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      const timer = setTimeout(() => call.destroy(new Error(`no answer within ${ANSWER_MS_MAX / 1000} s`)), ANSWER_MS_MAX);
      call.on('error', (cause) => {
        clearTimeout(timer);
        reject(this.#unreachable(cause));
      });
      call.end(body);
    });
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (cause) {
      throw new CliError(
        ExitCode.unreachable,
        `the answer of the node at ${this.#url} broke off: ${reasonFor(cause as Error).reason}. It may have stopped; its log says more.`,
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

  #unreachable(cause: NodeJS.ErrnoException): CliError {
    const { dataDir } = this.#target;
    if (dataDir !== undefined) return controlFailure(this.#url, dataDir, cause);
    const { hint, reason } = reasonFor(cause);
    return new CliError(ExitCode.unreachable, `cannot reach a node at ${this.#url}: ${reason}. ${hint}.`, { cause });
  }
}

function queryOf(parameters: Parameters): string {
  const given = Object.entries(parameters).flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, String(value)]]));
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was closed',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name could not be resolved',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'the connection timed out',
};

const WHERE = 'Name its port with --url http://HOST:PORT, or its configuration with --config node.yaml (http.listen)';

const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: `Is a node running on this host (lessor node --config node.yaml)? ${WHERE}`,
  ECONNRESET: `Does it want HTTPS (http.tls)? ${WHERE}`,
  ERR_TLS_CERT_ALTNAME_INVALID: '--tls-server-name says whom it must name',
};

function reasonFor(error: NodeJS.ErrnoException): { readonly reason: string; readonly hint: string } {
  const { code = '', message } = error;
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH/.test(code)) return { reason: 'it does not speak TLS', hint: `Is it http:// that it wants? ${WHERE}` };
  if (code.startsWith('ERR_SSL_')) {
    const words = code.slice('ERR_SSL_'.length).toLowerCase().replaceAll('_', ' ');
    return { reason: `TLS does not come about: ${words}`, hint: 'Where it asks for a certificate (http.tls.authority): --tls-cert and --tls-key, or --config with its own files' };
  }
  const ofCertificate = /CERT|SIGNATURE|ISSUER/.test(code) ? '--tls-ca names the authority that has signed its certificate; --config, the node\'s own files' : WHERE;
  return { reason: REASONS[code] ?? (message || String(error)), hint: HINTS[code] ?? ofCertificate };
}

/** The message of a JSON error, or what the other side says if it is no node of Lessor. */
async function errorOf(response: IncomingMessage): Promise<{ readonly isAnswer: boolean; readonly message: string }> {
  const text = (await textOf(response)).slice(0, 500);
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === 'string') return { isAnswer: true, message: error };
  } catch {
    // No JSON: something else listens there.
  }
  return { isAnswer: false, message: `${response.statusMessage}. Is this the HTTP port of a Lessor node?` };
}
