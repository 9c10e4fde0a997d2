/** Operations over HTTP: each at its path, what it is given checked by its schema, what it answers as JSON. */
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { apiText, DESCRIPTION_PATH } from '../openapi.ts';
import type { OperationRunner } from '../operation-runner.ts';
import { LIST_CHUNK_CHARACTERS } from '../limits.ts';
import { HTTP_STATUS, OperationError } from '../operation.ts';
import type { AnyOperation, Caller } from '../operation.ts';
import type { Identify } from './access.ts';

export interface ServedOperations {
  readonly operations: readonly AnyOperation[];
  readonly runner: OperationRunner;
  readonly identify: Identify;
  /** Told of what broke an answer off in the middle. */
  readonly onBroken: (path: string, error: unknown) => void;
}

const NOT_ALLOWED = 403;
const BROKEN = 500;

export function addOperations(server: FastifyInstance, served: ServedOperations): void {
  addDescription(server, served);
  for (const operation of served.operations) {
    server.route({
      method: operation.method, url: operation.path, exposeHeadRoute: false,
      // Also of what is refused before the handler is asked: a body that is no JSON, or too long.
      onResponse: (_request, reply, done) => {
        served.runner.counters.count(operation.id, reply.statusCode);
        done();
      },
      onRequest: async (request, reply) => {
        const answer = await letIn(served, operation, request);
        if ('status' in answer) return refuse(reply, answer.status, answer.error);
        callers.set(request, answer);
        return undefined;
      },
      handler: (request, reply) => answerTo(served, operation, callers.get(request)!, request, reply),
    });
  }
}

/** For whoever has any role. */
function addDescription(server: FastifyInstance, { identify, operations }: ServedOperations): void {
  let text: string | undefined;
  server.get(DESCRIPTION_PATH, { exposeHeadRoute: false }, (request, reply) => {
    const caller = identify(request);
    if ('status' in caller) return refuse(reply, caller.status, caller.error);
    text ??= apiText(operations);
    return reply.type('application/json').send(text);
  });
}

/** Nothing that a stranger sends is read before it is known who it is. */
const callers = new WeakMap<FastifyRequest, Caller>();

async function letIn({ identify, runner }: ServedOperations, operation: AnyOperation, request: FastifyRequest): Promise<Caller | { readonly status: number; readonly error: string }> {
  const found = identify(request);
  const caller = 'status' in found ? undefined : found;
  const refusal = await runner.refusal(operation, caller, caller === undefined ? (found as { error: string }).error : '', request.ip);
  if (refusal === undefined) return caller!;
  return { status: 'status' in found ? found.status : NOT_ALLOWED, error: refusal };
}

export function refuse(reply: FastifyReply, status: number, error: string): FastifyReply {
  if (status === 401) void reply.header('www-authenticate', 'Bearer realm="lessor"');
  if (status === 429) void reply.header('retry-after', '60');
  // What it was going to send is not read, so the connection is of no more use.
  return reply.code(status).header('connection', 'close').send({ error });
}

async function answerTo({ onBroken, runner }: ServedOperations, operation: AnyOperation, caller: Caller, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const given = operation.parameters.safeParse((operation.method === 'GET' ? request.query : request.body) ?? {});
  if (!given.success) return reply.code(HTTP_STATUS['bad-request']).send({ error: z.prettifyError(given.error) });
  try {
    if (operation.kind !== 'list') return await reply.send(await runner.run(operation, given.data, caller));
    const lines = runner.list(operation, given.data, caller)[Symbol.asyncIterator]();
    // Before the answer begins, so that a mistake can still be answered with an error.
    const first = await lines.next();
    return await reply.type('application/x-ndjson').send(Readable.from(endingBoth(asLines(first, lines, (error) => onBroken(operation.path, error)), lines), { objectMode: false }));
  } catch (error) {
    if (!(error instanceof OperationError)) throw error;
    return reply.code(HTTP_STATUS[error.code] ?? BROKEN).send({ error: error.message });
  }
}

/** What is read is ended with its reader, also where he has gone before the first line: a generator that was never begun ends nothing. */
function endingBoth(text: AsyncGenerator<string>, list: AsyncIterator<unknown>): AsyncIterable<string> {
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => text.next(),
      return: async () => {
        await text.return(undefined);
        await list.return?.();
        return { done: true, value: undefined };
      },
    }),
  };
}

/**
 * One entry a line; a list that fails in the middle is cut off, so that its reader knows. Lines that come in one turn of
 * the event loop leave together, and packets go first after so many characters.
 */
async function* asLines(first: IteratorResult<unknown>, rest: AsyncIterator<unknown>, onBroken: (error: unknown) => void): AsyncGenerator<string> {
  let text = '';
  let turn: Promise<undefined> | undefined;
  try {
    for (let line: IteratorResult<unknown> | undefined = first; line?.done !== true;) {
      if (line !== undefined) text += `${JSON.stringify(line.value)}\n`;
      turn ??= nextTurn(undefined);
      const next = text.length < LIST_CHUNK_CHARACTERS ? rest.next() : undefined;
      line = await (next === undefined ? turn : Promise.race([next, turn]));
      if (line !== undefined) continue;
      turn = undefined;
      if (text !== '') yield text;
      text = '';
      if (next !== undefined) line = await next;
    }
    if (text !== '') yield text;
  } catch (error) {
    onBroken(error);
    throw error;
  } finally {
    await rest.return?.();
  }
}
