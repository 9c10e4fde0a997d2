/**
 * Requests made from the API's own description, well formed and mutated, at the HTTP port of a node whose engine runs in a
 * simulated cluster. Whatever comes, the answer is one that the description has, what it tells is of its schema, and both
 * nodes go on in service.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { hashOf } from '../../node/admin/io/token-file.ts';
import { describeApi } from '../../node/admin/openapi.ts';
import type { AnyOperation } from '../../node/admin/operation.ts';
import { OPERATIONS } from '../../node/admin/operations/all.ts';
import { tokenLine } from '../../node/admin/tokens.ts';
import { ApiStage } from '../support/api-stage.ts';
import type { Answer } from '../support/api-stage.ts';

type Schema = Readonly<Record<string, unknown>>;

interface Asked {
  readonly operation: AnyOperation;
  readonly method: string;
  readonly path: string;
  readonly body: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ApiReport {
  readonly requests: number;
  /** By operation and status. */
  readonly answers: Readonly<Record<string, number>>;
}

const TOKEN = `lessor_${'f'.repeat(43)}`;
const LEASES = 12;
const AT_ONCE = 8;

/** Values that mean something in this cluster, beside those of the schema. */
function telling(addresses: readonly string[]): fc.Arbitrary<unknown> {
  return fc.constantFrom<unknown>(...addresses, '10.0.1.0', '10.0.0.0/16', '0.0.0.0', '255.255.255.255', '0.128.0.1', '020000000001', '02:00:00:00:00:01', '*', '', '-1', 'ACTIVE', '2026-01-01', '1h', '1e9', 'NaN', '\u0000', '😀'.repeat(99), '\ud800');
}

// Made once: what draws from all of Unicode takes long to make.
const ANY_TEXT = fc.string({ unit: 'binary', maxLength: 50 });
const SHORT_TEXT = fc.string({ maxLength: 20 });
const ADDRESS = fc.ipV4();

const ODD = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }), ANY_TEXT, fc.constant('x'.repeat(3000)), fc.constant('x'.repeat(20_000)), fc.constant(1e308), fc.constant(-0.5),
  fc.integer({ min: 1, max: 400 }).map((depth) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown),
);

function valueOf(schema: Schema, more: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const { anyOf, oneOf, const: constant, enum: values, items, maximum, minimum, properties, type } = schema as {
    anyOf?: Schema[]; oneOf?: Schema[]; const?: unknown; enum?: unknown[]; items?: Schema; maximum?: number; minimum?: number; properties?: Record<string, Schema>; type?: string;
  };
  const options = anyOf ?? oneOf;
  if (options !== undefined) return fc.oneof(...options.map((each) => valueOf(each, more)));
  if (constant !== undefined) return fc.constant(constant);
  if (values !== undefined) return fc.constantFrom(...values);
  switch (type) {
    case 'boolean': return fc.boolean();
    case 'integer':
    case 'number': return fc.integer({ min: Math.max(minimum ?? -10, -(2 ** 31)), max: Math.min(maximum ?? 1000, 2 ** 31 - 1) });
    case 'array': return fc.array(valueOf(items ?? {}, more), { maxLength: 4 });
    case 'object': return objectOf({ properties: properties ?? {} }, more);
    default: return fc.oneof(more, ADDRESS, SHORT_TEXT);
  }
}

/** Each property is there or not, so that of two that exclude each other one comes alone now and then. */
function objectOf({ properties }: { readonly properties: Readonly<Record<string, Schema>> }, more: fc.Arbitrary<unknown>): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, fc.oneof({ weight: 8, arbitrary: valueOf(schema, more) }, { weight: 1, arbitrary: ODD })])), { requiredKeys: [] });
}

/** One of them is enough for most operations. */
function parametersOf(schema: Schema, more: fc.Arbitrary<unknown>): fc.Arbitrary<Record<string, unknown>> {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>;
  const names = Object.keys(properties);
  const few = fc.subarray(names, { maxLength: Math.min(3, names.length) }).chain((chosen) => objectOf({ properties: Object.fromEntries(chosen.map((name) => [name, properties[name]!])) }, more));
  const strange = fc.dictionary(fc.oneof(fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', ''), SHORT_TEXT, fc.constantFrom(...(names.length === 0 ? ['x'] : names))), ODD, { maxKeys: 4, noNullPrototype: true });
  return fc.oneof({ weight: 5, arbitrary: few }, { weight: 2, arbitrary: objectOf({ properties }, more) }, { weight: 1, arbitrary: strange });
}

function queryOf(parameters: Readonly<Record<string, unknown>>): string {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((each): [string, string] => [name, typeof each === 'string' ? each : JSON.stringify(each) ?? 'undefined']));
  const text = new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, value.toWellFormed().slice(0, 2000)])).toString();
  return text === '' ? '' : `?${text}`.slice(0, 6000);
}

function requestsOf(more: fc.Arbitrary<unknown>): fc.Arbitrary<Asked> {
  const { paths } = describeApi(OPERATIONS);
  const each = OPERATIONS.map((operation) => {
    const { method, path } = operation;
    const described = paths[path]![method.toLowerCase()] as Schema;
    const schema = method === 'POST' ? ((described['requestBody'] as { content: Record<string, { schema: Schema }> }).content['application/json']!.schema)
      : { properties: Object.fromEntries((described['parameters'] as { name: string; schema: Schema }[]).map(({ name, schema: of }) => [name, of])) };
    const asked = (parameters: Record<string, unknown>): Asked => ({
      operation, method, path: method === 'GET' ? path + queryOf(parameters) : path, body: method === 'GET' ? undefined : JSON.stringify(parameters), headers: {},
    });
    const good = parametersOf(schema, more).map(asked);
    const broken = fc.tuple(parametersOf(schema, more), fc.nat(), ANY_TEXT).map(([parameters, at, piece]) => {
      const { body, ...rest } = asked(parameters);
      return { ...rest, body: body === undefined ? undefined : body.slice(0, at % (body.length + 1)) + piece + body.slice(at % (body.length + 1)) };
    });
    const otherwise = fc.tuple(good, fc.constantFrom('text/plain', 'application/xml', 'application/json; charset=utf-16', '')).map(([request, media]) => ({ ...request, headers: { 'content-type': media } }));
    const misplaced = fc.tuple(good, fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD')).map(([request, other]) => ({ ...request, method: other }));
    return fc.oneof({ weight: 12, arbitrary: good }, { weight: 2, arbitrary: broken }, { weight: 1, arbitrary: otherwise }, { weight: 1, arbitrary: misplaced });
  });
  return fc.oneof(...each);
}

/** @throws AssertionError with the request */
export async function fuzzApi(seed: number, requests: number): Promise<ApiReport> {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-api-fuzz-'));
  const tokens = join(folder, 'tokens');
  writeFileSync(tokens, `${tokenLine('fuzz', 'admin', hashOf(TOKEN), undefined)}\n`, { mode: 0o600 });
  const stage = await ApiStage.start({ tokens });
  const answers: Record<string, number> = {};
  try {
    const addresses = Array.from({ length: LEASES }, (_, client) => stage.cluster.lease(client + 1)!);
    const all = fc.sample(requestsOf(telling(addresses)), { seed, numRuns: requests });
    for (let at = 0; at < all.length; at += AT_ONCE) {
      await Promise.all(all.slice(at, at + AT_ONCE).map(async (asked) => {
        const answer = await stage.ask(asked.method, asked.path, { body: asked.body, headers: { ...asked.headers, authorization: `Bearer ${TOKEN}` } });
        judgeAnswer(asked, answer, seed);
        const kind = `${asked.operation.id} ${answer.status}`;
        answers[kind] = (answers[kind] ?? 0) + 1;
      }));
    }
    assert.deepEqual(stage.reported.filter(({ id }) => id === 'http.failed'), []);
    for (const node of ['a', 'b']) assert.equal(stage.cluster.state(node), 'NORMAL');
    return { requests, answers };
  } finally {
    await stage.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function judgeAnswer({ body: given, headers, method, path }: Asked, { body, status }: Answer, seed: number): void {
  const context = (): string => `seed ${seed}: ${method} ${path} ${JSON.stringify(headers)} ${given?.slice(0, 500) ?? ''}\nwas answered ${status}: ${body.slice(0, 500)}`;
  assert.ok(status < 500 || status === 503 || status === 504, context());
  if (method === 'HEAD') return;
  if (status !== 200) {
    assert.ok(body !== '', context());
    const { error } = JSON.parse(body) as { error?: unknown };
    assert.ok(typeof error === 'string' && error !== '', context());
    return;
  }
  // The method may be another one than was meant.
  const operation = OPERATIONS.find((each) => each.method === method && each.path === path.split('?')[0]);
  assert.ok(operation !== undefined, context());
  const told: unknown[] = operation.kind === 'list' ? body.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as unknown) : [JSON.parse(body)];
  for (const each of told) {
    const read = operation.result.safeParse(each);
    assert.ok(read.success, `${context()}\nwhich is not what is described: ${read.success ? '' : read.error.message}\n${JSON.stringify(each)}`);
  }
}
