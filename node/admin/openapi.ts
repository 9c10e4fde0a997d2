/**
 * The description of the API (OpenAPI 3.1), made from the operations and their schemas, with what else the HTTP port
 * answers. JSON Schema is its language since 3.1, so zod's own is taken as it is.
 */
import * as z from 'zod';
import { VERSION } from '../version.ts';
import { auditEntry } from './audit.ts';
import { HTTP_STATUS } from './operation.ts';
import type { AnyOperation, OperationError } from './operation.ts';

export const DESCRIPTION_PATH = '/v1/openapi.json';

type Json = Readonly<Record<string, unknown>>;

export interface OpenApi {
  readonly openapi: '3.1.0';
  readonly info: Json;
  readonly servers: readonly Json[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>;
  readonly components: Readonly<Record<string, Json>>;
}

const DESCRIPTION = `What a node of Lessor answers on its HTTP port (\`http.listen\`) and on the control socket in its data folder.

Off the node's host an operation needs a bearer token (\`lessor token create\`, over TLS only) or a client certificate that \`http.roles\` names; each may do
what its role allows: viewer, operator, admin, each with all that the ones before it may. On the host itself, over loopback and without credentials, what a viewer
may read is answered. Whoever can open the control socket may do everything. Every change, and every attempt at one that was refused, is in the audit log.

The last resorts (\`/v1/recover\`, \`/v1/partner-down\`) and \`/v1/backup\` are answered on the control socket alone, and are not described here: use the commands
\`lessor recover\`, \`lessor partner-down\` and \`lessor backup\`.`;

const STATUS_TEXT: Readonly<Record<OperationError['code'], string>> = {
  'bad-request': 'A parameter is not as described', 'not-found': 'It is not there', refused: 'It does not go; nothing was changed',
  unavailable: 'The node is not in service, or cannot make sure of what it knows; nothing was changed', unknown: 'It was begun and is not confirmed: look whether it was done',
};

export function describeApi(operations: readonly AnyOperation[]): OpenApi {
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of operations) {
    paths[operation.path] = { ...paths[operation.path], [operation.method.toLowerCase()]: describeOperation(operation) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Lessor', version: VERSION, description: DESCRIPTION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: 'https://{node}:9067', variables: { node: { default: 'localhost', description: 'any node of the cluster' } } }],
    paths: { ...openPaths(), ...paths },
    components: {
      schemas: { Error: { type: 'object', properties: { error: { type: 'string', description: 'what is wrong, and what to do' } }, required: ['error'] }, AuditEntry: schemaOf(auditEntry, 'output') },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'lessor_ and 43 characters, of lessor token create' },
        certificate: { type: 'mutualTLS', description: 'a client certificate of http.tls.authority, with a name in http.roles' },
      },
      responses: {
        Unauthenticated: errorResponse('It is not known who asks, or what was shown is no good'), Forbidden: errorResponse('The role of who asks does not allow it'),
        TooMany: errorResponse('Too many credentials that were no good came from there'),
        ...Object.fromEntries(Object.entries(STATUS_TEXT).map(([code, text]) => [nameOf(code), errorResponse(text)])),
      },
    },
  };
}

function describeOperation(operation: AnyOperation): Json {
  const { id, kind, method, parameters, result, role, summary } = operation;
  const input = schemaOf(parameters, 'input');
  const codes: readonly OperationError['code'][] = kind === 'change' ? ['bad-request', 'not-found', 'refused', 'unavailable', 'unknown'] : ['bad-request', 'not-found', 'unavailable'];
  const media = kind === 'list' ? 'application/x-ndjson' : 'application/json';
  return {
    operationId: id, summary, tags: [kind === 'change' ? 'changes' : 'questions'],
    description: `For the role ${role}.${kind === 'list' ? ' Each line of the answer is one entry; one that breaks off is not whole.' : ''}${kind === 'change' ? ' Answered once it is on the disk of every node in service.' : ''}`,
    security: [{ token: [] }, { certificate: [] }], 'x-role': role,
    ...(method === 'GET' ? { parameters: queryParameters(input) } : { requestBody: { required: true, content: { 'application/json': { schema: input } } } }),
    responses: {
      200: { description: kind === 'list' ? 'One entry a line' : 'Done', content: { [media]: { schema: schemaOf(result, 'output') } } },
      ...Object.fromEntries(codes.map((code) => [HTTP_STATUS[code], { $ref: `#/components/responses/${nameOf(code)}` }])),
      401: { $ref: '#/components/responses/Unauthenticated' }, 403: { $ref: '#/components/responses/Forbidden' }, 429: { $ref: '#/components/responses/TooMany' },
    },
  };
}

/** What follows the question mark: each property of the parameters by itself. */
function queryParameters(input: Json): Json[] {
  const { properties = {}, required = [] } = input as { readonly properties?: Readonly<Record<string, Json>>; readonly required?: readonly string[] };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name, in: 'query', required: required.includes(name), ...(description === undefined ? {} : { description }), schema,
  }));
}

/** What needs no role: for monitoring and load balancers. */
function openPaths(): Record<string, Record<string, Json>> {
  const get = (operationId: string, summary: string, media: string, schema: Json, more: Json = {}): Record<string, Json> => ({
    get: { operationId, summary, tags: ['monitoring'], security: [{}], responses: { 200: { description: 'The answer', content: { [media]: { schema } } }, ...more } },
  });
  const ready = { type: 'object', properties: { ready: { type: 'boolean' }, reason: { type: 'string', description: 'the state of the node' } }, required: ['ready', 'reason'] };
  return {
    '/livez': get('livez', 'Whether the process answers.', 'application/json', { type: 'object', properties: { live: { const: true } }, required: ['live'] }),
    '/readyz': get('readyz', 'Whether clients should be sent here.', 'application/json', ready, { 503: { description: 'They should not', content: { 'application/json': { schema: ready } } } }),
    '/metrics': get('metrics', 'Metrics in Prometheus\' text format.', 'text/plain', { type: 'string' }),
    '/v1/status': get('status', 'What the node knows of itself and the cluster. Fields are only added.', 'application/json', { type: 'object' }),
    [DESCRIPTION_PATH]: {
      get: {
        operationId: 'openapi', summary: 'This description.', tags: ['questions'], description: 'For the role viewer.', security: [{ token: [] }, { certificate: [] }], 'x-role': 'viewer',
        responses: { 200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } }, 401: { $ref: '#/components/responses/Unauthenticated' }, 403: { $ref: '#/components/responses/Forbidden' }, 429: { $ref: '#/components/responses/TooMany' } },
      },
    },
  };
}

function errorResponse(description: string): Json {
  return { description, content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } };
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json;
  return rest;
}

/** "bad-request" as "BadRequest". */
function nameOf(code: string): string {
  return code.split('-').map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
}

/** As a file. */
export function apiText(operations: readonly AnyOperation[]): string {
  return `${JSON.stringify(describeApi(operations), null, 2)}\n`;
}
