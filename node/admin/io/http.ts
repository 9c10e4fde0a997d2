/**
 * The node's HTTP port: health checks, metrics, status and leases. Read-only, and nothing asked here
 * may hold up a packet: lists are read page by page, with the event loop free between two pages, and
 * only as fast as the reader takes them.
 */
import { Readable } from 'node:stream';
import { setImmediate as yieldToPackets } from 'node:timers/promises';
import { fastify, type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { HTTP_CONNECTIONS_MAX, HTTP_IDLE_MS_MAX, HTTP_REQUEST_MS_MAX } from '../../limits.ts';
import type { Occurrence } from '../../telemetry/events.ts';
import { METRICS_CONTENT_TYPE, type MetricsText } from '../../telemetry/metrics.ts';
import type { TlsSource } from '../../tls/io/credentials.ts';
import { serveRenewed } from '../../tls/io/serve.ts';
import { HttpListenError } from '../http-error.ts';
import { leasePage, parseLeaseQuery, type LeasePage, type LeaseQuery, type LeaseSource } from '../lease-query.ts';
import type { NodeStatus } from '../status.ts';

export { HttpListenError } from '../http-error.ts';

export interface HttpOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** HTTPS; with an authority in it only for clients that show a certificate of it. */
  readonly tls?: TlsSource | undefined;
  readonly status: () => NodeStatus;
  readonly leases: LeaseSource;
  readonly metrics: MetricsText;
  /** Whether clients should be sent here; `reason` names the state that forbids it. */
  readonly ready: () => { readonly ready: boolean; readonly reason: string };
  /** Told of requests that failed inside the node. */
  readonly report?: (occurrences: readonly Occurrence[]) => void;
}

export interface HttpServer {
  readonly port: number;
  /** Stops listening and ends what is under way. */
  close(): Promise<void>;
}

const ENDPOINTS = ['/livez', '/readyz', '/metrics', '/v1/status', '/v1/leases'];

/** @throws HttpListenError */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const server = createInstance(options.tls);
  server.server.maxConnections = HTTP_CONNECTIONS_MAX;
  addFailures(server, options);
  addHealth(server, options);
  addReports(server, options);
  try {
    await server.listen({ host: options.host, port: options.port });
  } catch (cause) {
    await server.close();
    throw new HttpListenError(options.host, options.port, cause);
  }
  const address = server.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: () => server.close(),
  };
}

function createInstance(tls: TlsSource | undefined): FastifyInstance {
  const settings = {
    logger: false,
    forceCloseConnections: true,
    connectionTimeout: HTTP_IDLE_MS_MAX,
    requestTimeout: HTTP_REQUEST_MS_MAX,
    bodyLimit: 1024,
  };
  if (tls === undefined) return fastify(settings);
  const asksForOne = tls.current.authorities.length > 0;
  const https = { requestCert: asksForOne, rejectUnauthorized: asksForOne, handshakeTimeout: HTTP_IDLE_MS_MAX };
  const server = fastify({ ...settings, https });
  serveRenewed(server.server, tls);
  return server;
}

/** Errors are JSON with a message; what went wrong inside is for the log, not for the reader. */
function addFailures(server: FastifyInstance, options: HttpOptions): void {
  server.setNotFoundHandler((request, reply) =>
    reply.code(404).send({
      error: `nothing answers ${request.method} ${request.url}: expected GET and one of ${ENDPOINTS.join(', ')}`,
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

function addReports(server: FastifyInstance, options: HttpOptions): void {
  server.get('/metrics', async (_request, reply) => reply.type(METRICS_CONTENT_TYPE).send(await options.metrics(() => yieldToPackets())));
  server.get('/v1/status', () => options.status());
  server.get('/v1/leases', { exposeHeadRoute: false }, (request, reply) => sendLeases(
    request.query as Record<string, unknown>, reply, options,
  ));
}

function sendLeases(parameters: Record<string, unknown>, reply: FastifyReply, options: HttpOptions): FastifyReply {
  const parsed = parseLeaseQuery(parameters, options.leases.subnets);
  if (!parsed.ok) return reply.code(400).send({ error: parsed.message });
  // Read before the answer begins, so that a failure can still be answered with an error.
  const first = leasePage(options.leases, parsed.query, -1);
  const lines = Readable.from(leaseLines(first, parsed.query, options), { objectMode: false });
  return reply.type('application/x-ndjson').send(lines);
}

/** One binding a line; a stream that fails in the middle is cut off, so that its reader knows. */
async function* leaseLines(first: LeasePage, query: LeaseQuery, options: HttpOptions): AsyncGenerator<string> {
  let page = first;
  for (;;) {
    if (page.leases.length > 0) yield page.leases.map((lease) => `${JSON.stringify(lease)}\n`).join('');
    if (page.next === undefined) return;
    await yieldToPackets();
    try {
      page = leasePage(options.leases, query, page.next);
    } catch (error) {
      reportFailure(options, '/v1/leases', error);
      throw error;
    }
  }
}

function reportFailure(options: HttpOptions, path: string, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  options.report?.([{ id: 'http.failed', fields: { path, error: text } }]);
}
