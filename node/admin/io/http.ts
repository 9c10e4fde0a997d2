/**
 * The node's HTTP port: health checks, metrics and status for who watches, and the operations for who shows that it may
 * (access.ts). Nothing asked here may hold up a packet: lists are read page by page, with the event loop free between two
 * pages, and only as fast as the reader takes them.
 */
import { setImmediate as yieldToPackets } from 'node:timers/promises';
import { fastify, type FastifyError, type FastifyInstance } from 'fastify';
import { HTTP_CONNECTIONS_MAX, HTTP_IDLE_MS_MAX, HTTP_REQUEST_MS_MAX, OPERATION_BODY_BYTES_MAX } from '../../limits.ts';
import { HTTP_HEADER_BYTES_MAX, REFUSALS_SUMMARY_MS } from '../limits.ts';
import type { Occurrence } from '../../telemetry/events.ts';
import { METRICS_CONTENT_TYPE, type MetricsText } from '../../telemetry/metrics.ts';
import type { TlsSource } from '../../tls/io/credentials.ts';
import { serveRenewed } from '../../tls/io/serve.ts';
import { HttpListenError } from '../http-error.ts';
import { DESCRIPTION_PATH } from '../openapi.ts';
import type { OperationRunner } from '../operation-runner.ts';
import { OPERATIONS } from '../operations/all.ts';
import { HttpAccess } from './access.ts';
import type { Identify } from './access.ts';
import { addOperations } from './operations.ts';
import type { Role } from '../roles.ts';
import type { NodeStatus } from '../status.ts';

export { HttpListenError } from '../http-error.ts';

export interface HttpOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** HTTPS; with an authority in it only for clients that show a certificate of it. */
  readonly tls?: TlsSource | undefined;
  readonly status: () => NodeStatus;
  readonly metrics: MetricsText;
  /** Whether clients should be sent here; `reason` names the state that forbids it. */
  readonly ready: () => { readonly ready: boolean; readonly reason: string };
  /** Who may do more than look on: the file of tokens, and roles by a name in a client's certificate. */
  readonly tokens?: string | undefined;
  readonly roles?: ReadonlyMap<string, Role> | undefined;
  readonly operations: OperationRunner;
  /** Told of requests that failed inside the node. */
  readonly report?: (occurrences: readonly Occurrence[]) => void;
}

/** Of an address that nothing answers so much is repeated. */
const SHOWN_URL_CHARACTERS = 200;

export interface HttpServer {
  readonly port: number;
  /** Stops listening and ends what is under way. */
  close(): Promise<void>;
}

/** Open to whoever reaches the port: what monitoring and load balancers need. */
export const OPEN_PATHS = ['/livez', '/readyz', '/metrics', '/v1/status'] as const;

/** @throws HttpListenError */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const server = createInstance(options.tls);
  server.server.maxConnections = HTTP_CONNECTIONS_MAX;
  const report = options.report ?? (() => undefined);
  const { operations: runner, roles = new Map(), tokens } = options;
  const access = new HttpAccess({ tokens, roles, counters: runner.counters, report });
  addFailures(server, options);
  addHealth(server, options);
  addReports(server, options, access.identify);
  addOperations(server, {
    operations: OPERATIONS, runner, identify: access.identify,
    onBroken: (path, error) => reportFailure(options, path, error),
  });
  try {
    await server.listen({ host: options.host, port: options.port });
  } catch (cause) {
    access.close();
    await server.close();
    throw new HttpListenError(options.host, options.port, cause);
  }
  const summaries = setInterval(() => runner.tellOfRefusals(), REFUSALS_SUMMARY_MS).unref();
  const address = server.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: async () => {
      clearInterval(summaries);
      access.close();
      await server.close();
    },
  };
}

function createInstance(tls: TlsSource | undefined): FastifyInstance {
  const settings = {
    logger: false,
    forceCloseConnections: true,
    connectionTimeout: HTTP_IDLE_MS_MAX,
    requestTimeout: HTTP_REQUEST_MS_MAX,
    bodyLimit: OPERATION_BODY_BYTES_MAX,
    http: { maxHeaderSize: HTTP_HEADER_BYTES_MAX },
  };
  if (tls === undefined) return fastify(settings);
  const asksForOne = tls.current.authorities.length > 0;
  const https = { requestCert: asksForOne, rejectUnauthorized: asksForOne, handshakeTimeout: HTTP_IDLE_MS_MAX, maxHeaderSize: HTTP_HEADER_BYTES_MAX };
  const { http: _clear, ...shared } = settings;
  const server = fastify({ ...shared, https });
  serveRenewed(server.server, tls);
  return server;
}

/** Errors are JSON with a message; what went wrong inside is for the log, not for the reader. */
function addFailures(server: FastifyInstance, options: HttpOptions): void {
  server.setNotFoundHandler((request, reply) =>
    reply.code(404).send({
      error: `nothing answers ${request.method} ${request.url.slice(0, SHOWN_URL_CHARACTERS)}: expected GET and one of ${OPEN_PATHS.join(', ')}, or an operation as ${DESCRIPTION_PATH} describes it`,
    }));
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) return reply.code(status).send({ error: error.message });
    reportFailure(options, request.url, error);
    return reply.code(500).send({ error: 'the node failed to answer: its log tells why (event http.failed)' });
  });
}

function addHealth(server: FastifyInstance, options: HttpOptions): void {
  server.get('/livez', () => ({ live: true }));
  server.get('/readyz', (_request, reply) => {
    const { ready, reason } = options.ready();
    return reply.code(ready ? 200 : 503).send({ ready, reason });
  });
}

function addReports(server: FastifyInstance, options: HttpOptions, identify: Identify): void {
  server.get('/metrics', async (_request, reply) => reply.type(METRICS_CONTENT_TYPE).send(await options.metrics(() => yieldToPackets())));
  // Events name clients: they are for who may look on.
  server.get('/v1/status', (request) => ('role' in identify(request) ? options.status() : { ...options.status(), recentEvents: [] }));
}

function reportFailure(options: HttpOptions, path: string, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  options.report?.([{ id: 'http.failed', fields: { path, error: text } }]);
}
