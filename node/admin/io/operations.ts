/** Operations over HTTP: each at its path, what it is given checked by its schema, what it answers as JSON. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { OperationRunner } from '../operation-runner.ts';
import { HTTP_STATUS, OperationError } from '../operation.ts';
import type { AnyOperation, Caller } from '../operation.ts';

/** Who asks; a text: it is not known, and what to show. */
export type Identify = (request: FastifyRequest) => Caller | string;

const NOT_KNOWN = 401;
const NOT_ALLOWED = 403;

export function addOperations(server: FastifyInstance, operations: readonly AnyOperation[], runner: OperationRunner, identify: Identify): void {
  for (const operation of operations) {
    server.route({
      method: operation.method, url: operation.path, exposeHeadRoute: false,
      handler: async (request, reply) => {
        const found = identify(request);
        const caller = typeof found === 'string' ? undefined : found;
        const refusal = await runner.refusal(operation, caller, typeof found === 'string' ? found : '', request.ip);
        if (refusal !== undefined) return reply.code(caller === undefined ? NOT_KNOWN : NOT_ALLOWED).send({ error: refusal });
        return answer(operation, runner, caller!, request, reply);
      },
    });
  }
}

async function answer(operation: AnyOperation, runner: OperationRunner, caller: Caller, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const given = operation.parameters.safeParse((operation.method === 'GET' ? request.query : request.body) ?? {});
  if (!given.success) return reply.code(HTTP_STATUS['bad-request']).send({ error: z.prettifyError(given.error) });
  try {
    if (operation.kind !== 'list') return await reply.send(await runner.run(operation, given.data, caller));
    const lines = runner.list(operation, given.data, caller)[Symbol.asyncIterator]();
    // Before the answer begins, so that a mistake can still be answered with an error.
    const first = await lines.next();
    return await reply.type('application/x-ndjson').send(Readable.from(asLines(first, lines), { objectMode: false }));
  } catch (error) {
    if (!(error instanceof OperationError)) throw error;
    return reply.code(HTTP_STATUS[error.code]).send({ error: error.message });
  }
}

async function* asLines(first: IteratorResult<unknown>, rest: AsyncIterator<unknown>): AsyncGenerator<string> {
  for (let line = first; line.done !== true; line = await rest.next()) yield `${JSON.stringify(line.value)}\n`;
}
