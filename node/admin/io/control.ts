/**
 * The node's control socket, `control.sock` in its data folder: the operator's last resorts, which change what the
 * cluster takes for the truth, backups, and every operation. Only who owns the folder can connect (mode 0600), and
 * that is role enough for anything. Each command becomes an event with who gave it.
 */
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fastify, type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import * as z from 'zod';
import { CONTROL_CALLER_CHARACTERS_MAX, HTTP_CONNECTIONS_MAX, HTTP_REQUEST_MS_MAX, OPERATION_BODY_BYTES_MAX } from '../../limits.ts';
import type { Occurrence } from '../../telemetry/events.ts';
import type { OwnWord } from '../audit.ts';
import { ControlListenError } from '../control-error.ts';
import { CALLER_HEADER, CONTROL_SOCKET } from '../operator.ts';
import type { OperationRunner } from '../operation-runner.ts';
import { OPERATIONS } from '../operations/all.ts';
import type { OperatorAnswer, OperatorCommand } from '../operator.ts';
import type { NodeStatus } from '../status.ts';
import { addOperations } from './operations.ts';

export { ControlListenError } from '../control-error.ts';

export interface ControlOptions {
  readonly dataDir: string;
  readonly operate: (command: OperatorCommand) => OperatorAnswer;
  readonly status: () => NodeStatus;
  readonly operations: OperationRunner;
  /** Has the audit log tell of what was asked for here and is no operation. */
  readonly audit?: (word: OwnWord) => void;
  /** The store as it is now. */
  readonly backup: () => Readable;
  readonly report: (occurrences: readonly Occurrence[]) => void;
}

export interface ControlServer {
  readonly path: string;
  /** Stops listening, and takes the socket away. */
  close(): Promise<void>;
}

/** Who gives the command, as the command line says. */
const by = z.string().max(CONTROL_CALLER_CHARACTERS_MAX);
const recover = z.strictObject({ by, force: z.boolean() });
const partnerDown = z.strictObject({ by, node: z.string().min(1).max(CONTROL_CALLER_CHARACTERS_MAX) });

/** As `startControl`; where it fails, clients are served all the same, and undefined is returned. */
export async function openControl(options: ControlOptions): Promise<ControlServer | undefined> {
  try {
    return await startControl(options);
  } catch (error) {
    options.report([{ id: 'control.unavailable', fields: { error: (error as Error).message } }]);
    return undefined;
  }
}

/** Nobody else has the data folder: what lies there of an earlier start is in nobody's use. @throws ControlListenError */
export async function startControl(options: ControlOptions): Promise<ControlServer> {
  const path = join(options.dataDir, CONTROL_SOCKET);
  const server = fastify({ logger: false, forceCloseConnections: true, requestTimeout: HTTP_REQUEST_MS_MAX, bodyLimit: OPERATION_BODY_BYTES_MAX });
  server.server.maxConnections = HTTP_CONNECTIONS_MAX;
  addFailures(server, options);
  addCommand(server, options, '/v1/recover', recover, ({ force }) => ({ kind: 'recover', force }));
  addCommand(server, options, '/v1/partner-down', partnerDown, ({ node }) => ({ kind: 'partner-down', node }));
  server.get('/v1/status', () => options.status());
  addOperations(server, {
    operations: OPERATIONS, runner: options.operations,
    identify: (request) => ({ name: callerName(request), role: 'admin', via: 'socket', from: '' }),
    onBroken: (path, error) => options.report([{ id: 'http.failed', fields: { path, error: (error as Error).stack ?? String(error) } }]),
  });
  addBackup(server, options);
  // A socket gets its mode from the process's mask when it is made: nobody may slip in before it is set.
  const before = process.umask(0o177);
  try {
    rmSync(path, { force: true });
    await server.listen({ path });
    chmodSync(path, 0o600);
  } catch (cause) {
    await server.close();
    throw new ControlListenError(path, cause);
  } finally {
    process.umask(before);
  }
  return { path, close: () => server.close() };
}

/** Whoever can open the socket may do everything; who it is it says itself. */
function callerName({ headers }: FastifyRequest): string {
  const name = headers[CALLER_HEADER];
  return typeof name === 'string' ? decoded(name).slice(0, CONTROL_CALLER_CHARACTERS_MAX) : '';
}

/** What is no encoding of anything is taken as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** One at a time: each holds a moment of the store, whose pages cannot be used again meanwhile. */
function addBackup(server: FastifyInstance, { backup }: ControlOptions): void {
  let underWay: Readable | undefined;
  server.get('/v1/backup', (_request, reply) => {
    if (underWay !== undefined) return reply.code(409).send({ error: 'another backup is being made' });
    const stream = backup();
    underWay = stream;
    stream.once('close', () => {
      underWay = undefined;
    });
    // Who has gone reads no more of it.
    reply.raw.once('close', () => stream.destroy());
    return reply.type('application/gzip').send(stream);
  });
}

function addCommand<T extends { readonly by: string }>(
  server: FastifyInstance, { audit, operate, report }: ControlOptions, path: string, schema: z.ZodType<T>, toCommand: (body: T) => OperatorCommand,
): void {
  server.post(path, (request, reply) => {
    const body = schema.safeParse(request.body);
    if (!body.success) return reply.code(400).send({ error: z.prettifyError(body.error) });
    const command = toCommand(body.data);
    const answer = operate(command);
    tellOf(command, answer, body.data.by, audit);
    const what = command.kind === 'recover' ? `recover${command.force ? ' --force' : ''}` : `partner-down ${command.node}`;
    report([{ id: 'operator.command', fields: { command: what, by: body.data.by, accepted: answer.ok, answer: answer.text } }]);
    return answer;
  });
}

/** What would only have been said is no change. */
function tellOf(command: OperatorCommand, { ok, text }: OperatorAnswer, by: string, audit: ControlOptions['audit']): void {
  if (command.kind === 'recover' && !command.force) return;
  const [target, operation] = command.kind === 'recover' ? ['', 'recover --force'] : [command.node, command.kind];
  audit?.({ by, role: 'admin', via: 'socket', from: '', operation, target, outcome: ok ? 'done' : 'refused', before: '', after: ok ? text : '', reason: '', answer: ok ? '' : text });
}

/** As the HTTP port does: JSON with a message; what went wrong inside is for the log. */
function addFailures(server: FastifyInstance, { report }: ControlOptions): void {
  server.setNotFoundHandler((request, reply) => reply.code(404).send({ error: `nothing answers ${request.method} ${request.url}` }));
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) return reply.code(status).send({ error: error.message });
    report([{ id: 'http.failed', fields: { path: request.url, error: error.stack ?? error.message } }]);
    return reply.code(500).send({ error: 'the node failed to answer: its log tells why (event http.failed)' });
  });
}
