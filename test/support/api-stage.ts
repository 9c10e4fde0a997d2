/** The HTTP port of a node whose engine runs in a simulated cluster: real requests, and changes that are carried out. */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { RequestOptions } from 'node:https';
import { networkInterfaces } from 'node:os';
import { text } from 'node:stream/consumers';
import { startHttp } from '../../node/admin/io/http.ts';
import type { HttpOptions, HttpServer } from '../../node/admin/io/http.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import { OperatedCluster } from './operated-cluster.ts';

const STEP_MS = 20;

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** An address of this host that is none of loopback's, as from elsewhere; undefined where there is none. */
export function outerAddress(): string | undefined {
  return Object.values(networkInterfaces()).flat().find((each) => each?.family === 'IPv4' && !each.internal)?.address;
}

export class ApiStage {
  readonly cluster: OperatedCluster;
  readonly reported: Occurrence[];
  readonly #server: HttpServer;
  readonly #isSecure: boolean;
  readonly #timer: NodeJS.Timeout;

  private constructor(server: HttpServer, isSecure: boolean, cluster: OperatedCluster, reported: Occurrence[]) {
    this.#server = server;
    this.#isSecure = isSecure;
    this.cluster = cluster;
    this.reported = reported;
    // Time goes on by itself, as it does for a node.
    this.#timer = setInterval(() => cluster.run(STEP_MS), 1);
  }

  static async start(options: Partial<HttpOptions> = {}): Promise<ApiStage> {
    const cluster = OperatedCluster.of('a', 'b');
    const reported: Occurrence[] = [];
    const server = await startHttp({
      host: '0.0.0.0', port: 0, status: () => cluster.host('a').status(), metrics: () => Promise.resolve(''), ready: () => ({ ready: true, reason: 'NORMAL' }),
      operations: cluster.runner('a'), report: (occurrences) => reported.push(...occurrences), ...options,
    });
    return new ApiStage(server, options.tls !== undefined, cluster, reported);
  }

  get port(): number {
    return this.#server.port;
  }

  /** `host`: at which of this host's addresses the node is asked. */
  ask(method: string, path: string, { body, host = '127.0.0.1', ...more }: Omit<RequestOptions, 'headers'> & { readonly body?: string | undefined; readonly headers?: Readonly<Record<string, string>> } = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const send = this.#isSecure ? requestHttps : requestHttp;
      const headers = { ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }), ...more.headers };
      const call = send({ agent: false, timeout: 10_000, ...more, host, port: this.#server.port, method, path, headers }, (response) => {
        text(response).then((read) => resolve({ status: response.statusCode ?? 0, body: read, headers: response.headers }), reject);
      });
      call.on('timeout', () => call.destroy(new Error(`${method} ${path} is not answered`))).on('error', reject);
      call.end(body);
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#server.close();
  }
}
