/** The description of the API: well formed by what matters of OpenAPI 3.1, true of the code, and the source of a part of the fuzzing. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { apiText, DESCRIPTION_PATH } from '../../node/admin/openapi.ts';
import type { OpenApi } from '../../node/admin/openapi.ts';
import { OPEN_PATHS } from '../../node/admin/io/http.ts';
import { OPERATIONS } from '../../node/admin/operations/all.ts';
import { ROLES } from '../../node/admin/roles.ts';
import { fuzzApi } from '../fuzz/api.ts';
import { PROJECT } from '../support/documentation.ts';

type Json = Readonly<Record<string, unknown>>;

const api = JSON.parse(apiText(OPERATIONS)) as OpenApi;
const METHODS = ['get', 'post'];

function described(): { path: string; method: string; operation: Json }[] {
  return Object.entries(api.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })));
}

function* within(value: unknown): Generator<Json> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield value as Json;
  for (const each of Object.values(value)) yield* within(each);
}

test('every reference leads somewhere, and every operation has a name of its own', () => {
  assert.match(api.openapi, /^3\.1\.\d+$/);
  assert.ok(typeof api.info['title'] === 'string' && typeof api.info['version'] === 'string');
  const references = [...within(api)].flatMap(({ $ref }) => (typeof $ref === 'string' ? [$ref] : []));
  assert.ok(references.length > 10);
  for (const reference of references) {
    const parts = reference.replace(/^#\//, '').split('/');
    assert.ok(parts.reduce<unknown>((at, part) => (at as Json | undefined)?.[part], api) !== undefined, reference);
  }
  const ids = described().map(({ operation }) => operation['operationId']);
  assert.equal(new Set(ids).size, ids.length);
  const names = Object.keys(api.components['securitySchemes']!);
  for (const { operation } of described()) for (const need of operation['security'] as Json[]) for (const name of Object.keys(need)) assert.ok(names.includes(name));
});

test('each path, method, parameter and answer is as OpenAPI wants it', () => {
  for (const { method, operation, path } of described()) {
    assert.match(path, /^\/[\w./-]+$/);
    assert.ok(METHODS.includes(method), path);
    assert.ok(typeof operation['summary'] === 'string' && operation['summary'] !== '');
    for (const [status, answer] of Object.entries(operation['responses'] as Record<string, Json>)) {
      assert.match(status, /^[1-5]\d\d$/);
      assert.ok('$ref' in answer || typeof answer['description'] === 'string', `${path} ${status}`);
    }
    const names = ((operation['parameters'] ?? []) as Json[]).map(({ in: place, name, schema }) => {
      assert.equal(place, 'query');
      assert.ok(typeof schema === 'object' && schema !== null, `${path} ${String(name)}`);
      return name;
    });
    assert.equal(new Set(names).size, names.length);
    assert.equal('requestBody' in operation, method === 'post', path);
  }
});

test('what is described is what is served, and the other way round', () => {
  const served = [
    ...OPERATIONS.map(({ id, method, path, role }) => `${method.toLowerCase()} ${path} ${id} ${role}`), ...OPEN_PATHS.map((path) => `get ${path} ${path.split('/').at(-1)!} `),
    `get ${DESCRIPTION_PATH} openapi viewer`,
  ];
  assert.deepEqual(described().map(({ method, operation, path }) => `${method} ${path} ${String(operation['operationId'])} ${(operation['x-role'] as string | undefined) ?? ''}`).toSorted(), served.toSorted());
  for (const { id, method, path, summary, role } of OPERATIONS) {
    assert.ok(ROLES.includes(role));
    assert.ok(path.startsWith('/v1/') && /^[a-z]+(\.[a-z]+)?$/.test(id) && summary.endsWith('.'), `${id} ${method}`);
  }
  assert.equal(readFileSync(join(PROJECT, 'deploy/openapi.json'), 'utf8'), apiText(OPERATIONS));
});

test('requests made from the description, and mutated ones, never fail inside', async () => {
  const { answers } = await fuzzApi(20_261_127, 500);
  const of = (status: number): number => Object.entries(answers).reduce((sum, [kind, count]) => sum + (kind.endsWith(` ${status}`) ? count : 0), 0);
  assert.ok(of(200) > 50 && of(400) > 50, JSON.stringify(answers));
});
