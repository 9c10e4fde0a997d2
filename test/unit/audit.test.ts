/** .ci/audit against a registry that knows of nothing, of something, and one that cannot be asked. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readLockFile } from '../../deploy/sbom.ts';
import { PROJECT } from '../support/documentation.ts';

const FASTIFY = readLockFile()['node_modules/fastify']!.version;

interface Outcome { readonly code: number | null; readonly output: string }

/** Runs it with a registry that answers the question for weaknesses like this; a number is the status of a refusal. */
async function audit(answer: number | Readonly<Record<string, unknown>>): Promise<Outcome> {
  const registry = createServer((request, response) => {
    request.resume();
    const tell = (body: unknown): unknown => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (typeof answer === 'number') response.writeHead(answer).end('{}');
    // Which versions there are is asked of each package that has a weakness.
    else tell(request.method === 'POST' ? answer : { name: 'fastify', versions: { [FASTIFY]: { name: 'fastify', version: FASTIFY } } });
  });
  await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
  // npm keeps what it was told of a package: nothing of this may stay, and nothing of before may count.
  const cache = mkdtempSync(join(tmpdir(), 'lessor-audit-'));
  try {
    const url = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`;
    const child = spawn(join(PROJECT, '.ci/audit'), {
      env: { ...process.env, npm_config_registry: url, npm_config_cache: cache, npm_config_fetch_retries: '0', npm_config_update_notifier: 'false' },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    return await new Promise<Outcome>((resolve) => child.once('close', (code) => resolve({ code, output })));
  } finally {
    registry.close();
    registry.closeAllConnections();
    rmSync(cache, { recursive: true, force: true });
  }
}

const weakness = (severity: string): Record<string, unknown> => ({
  fastify: [{ id: 1, url: 'https://example.net/1', title: 'Requests are answered twice', severity, vulnerable_versions: '*', cwe: [], cvss: { score: 0, vectorString: null } }],
});

test('the audit passes where nothing is known, or nothing of weight', async () => {
  const [none, little] = await Promise.all([audit({}), audit(weakness('low'))]);
  for (const { code, output } of [none, little]) {
    assert.match(output, /^Audit: no known weakness/m);
    assert.equal(code, 0);
  }
});

test('the audit fails where a weakness of weight is known, and names it', async () => {
  const { code, output } = await audit(weakness('high'));
  assert.match(output, /Requests are answered twice/);
  assert.equal(code, 1);
});

test('a registry that cannot be asked is said in one line, and is no failure', async () => {
  const { code, output } = await audit(405);
  assert.match(output, /^Audit: NOT DONE, [^\n]+\n$/);
  assert.equal(code, 0);
});
