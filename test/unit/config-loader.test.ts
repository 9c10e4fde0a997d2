/** A configuration read in a thread of its own is the one that would have been read here. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadFileInWorker, loadInWorker } from '../../node/config/io/config-loader.ts';
import { ConfigError, parseClusterConfig } from '../../node/config/load.ts';

/** They come over in several parts. */
const RESERVATIONS = 2500;

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
const reservations = Array.from({ length: RESERVATIONS }, (_, i) =>
  `          - { hardware: "02:00:00:00:${hex(i >> 8)}:${hex(i & 255)}", address: 10.9.${i >> 8}.${i & 255}, hostname: host-${i} }`);

const TEXT = `nodes: { a: { weight: 1 }, b: { weight: 2 } }
classes:
  - name: phones
    match: { option: vendor-class-identifier, prefix: phone }
    options: { domain-name: phones.example.net }
sharedNetworks:
  - name: office
    subnets:
      - subnet: 10.0.0.0/8
        pools: [10.1.0.0-10.1.255.255, { range: 10.2.0.0-10.2.0.255, allow: [phones], options: { routers: [10.0.0.1] } }]
        reservations:
${reservations.join('\n')}
`;

test('nothing is lost on the way: values, order, what is shared, bytes as Buffers', async () => {
  const here = parseClusterConfig(TEXT, 'cluster.yaml');
  assert.equal(here.reservations.length, RESERVATIONS);
  const there = await loadInWorker(TEXT, 'cluster.yaml');
  assert.deepEqual(there, here);
  assert.ok(Buffer.isBuffer(there.reservations[0]!.overlay.options[0]!.value));
  assert.ok(Buffer.isBuffer(there.pools[0]!.scope.boot.bootFileName));
  assert.equal(there.networks[0]!.subnets[0], there.subnets[0]);
  assert.equal(there.subnets[0]!.pools[0], there.pools[0]);
});

test('all mistakes come over with their places', async () => {
  const wrong = `leaseTime: soon\n${TEXT.replace('10.1.255.255', '10.1.255.256')}`;
  const caught = await loadInWorker(wrong, 'revision 7').catch((error: unknown) => error);
  assert.ok(caught instanceof ConfigError);
  assert.equal(caught.code, 'config-invalid');
  assert.match(caught.message, /^revision 7:1:12: leaseTime: .*\nrevision 7:\d+:\d+: sharedNetworks\[0\]\.subnets\[0\]\.pools\[0\]: /);
  assert.throws(() => parseClusterConfig(wrong, 'revision 7'), (error: unknown) => error instanceof ConfigError && error.message === caught.message);
});

test('a file is read by the thread; one that is not there is told', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-loader-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'cluster.yaml');
  await assert.rejects(loadFileInWorker(path), (error: unknown) => error instanceof ConfigError && error.code === 'config-unreadable');
  writeFileSync(path, TEXT);
  assert.equal((await loadFileInWorker(path)).text, TEXT);
});

test('several at once, and one after the other', async () => {
  const texts = [1, 2, 3].map((i) => TEXT.replace('host-7 ', `other-${i} `));
  const config = await Promise.all(texts.map((text) => loadInWorker(text, 'x')));
  for (const [i, loaded] of config.entries()) assert.equal(loaded.text, texts[i]);
  for (const text of texts) assert.deepEqual(await loadInWorker(text, 'x'), parseClusterConfig(text, 'x'));
  await assert.rejects(loadInWorker(': [', 'x'), ConfigError);
  assert.equal((await loadInWorker(TEXT, 'x')).reservations.length, RESERVATIONS);
});

test('it can be ended before it is done', async () => {
  const ending = new AbortController();
  const loading = loadInWorker(TEXT, 'cluster.yaml', ending.signal);
  ending.abort(new Error('the node stops'));
  await assert.rejects(loading, /the node stops/);
  assert.equal((await loadInWorker(TEXT, 'cluster.yaml')).text, TEXT, 'the next one is read by another thread');
});
