import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { parseNodeConfig } from '../../node/config/load.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import { NodeCredentials } from '../../node/tls/io/node-credentials.ts';
import { MadeAuthority } from '../support/made-certificates.ts';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'lessor-node-credentials-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const authority = await MadeAuthority.make(folder);

const files = (name: string): string => `{ certificate: ${name}.pem, key: ${name}.key, authority: authority.pem }`;

/** Node a with this beside the usual in its node.yaml, and what it tells. */
function begin(context: TestContext, more: string): { readonly credentials: NodeCredentials; readonly told: Occurrence[] } {
  const config = parseNodeConfig(`node: a\ndhcp: { interfaces: [eth0] }\n${more}\n`, join(folder, 'node.yaml'));
  const told: Occurrence[] = [];
  const credentials = new NodeCredentials(config, (event) => told.push(event));
  context.after(() => credentials.close());
  return { credentials, told };
}

const cluster = (tls: string, etcd = 'http://10.0.0.21:2379'): string => `cluster: { name: x, listen: "10.0.0.11:7067", etcd: ["${etcd}"], ${tls} }`;

test('without files there are no certificates', (context) => {
  const { credentials, told } = begin(context, cluster('sessionTtl: 3s'));
  assert.deepEqual([credentials.links, credentials.etcd, credentials.http, credentials.status(), told], [undefined, undefined, undefined, [], []]);
});

test('etcd is shown the certificate of the links, or one of its own', async (context) => {
  const [a, e] = [await authority.issue('a'), await authority.issue('e')];
  assert.ok(a.certificate !== e.certificate);
  const one = begin(context, cluster(`tls: ${files('a')}`, 'https://10.0.0.21:2379')).credentials;
  assert.equal(one.etcd?.current.certificate.subject, 'CN=a');
  assert.deepEqual([one.links?.isOptional, one.status().map(({ use }) => use)], [false, ['cluster']]);
  const two = begin(context, cluster(`tls: ${files('a').replace('}', ', optional: true }')}, etcdTls: ${files('e')}`, 'https://10.0.0.21:2379')).credentials;
  assert.equal(two.etcd?.current.certificate.subject, 'CN=e');
  assert.deepEqual([two.links?.isOptional, two.status().map(({ use }) => use)], [true, ['cluster', 'etcd']]);
  const { expires } = two.status()[0]!;
  assert.ok(Math.abs(expires - Date.now() / 1000 - 30 * 86_400) < 60);
});

test('a node does not start without its files, except for those of LEASEQUERY', (context) => {
  for (const more of [cluster(`tls: ${files('none')}`), `http: { tls: ${files('none')} }`]) {
    assert.throws(() => begin(context, more), { code: 'tls-files', message: /none\.pem: cannot be read: ENOENT/ });
  }
  const { credentials, told } = begin(context, `leasequery: { tls: ${files('none')} }`);
  assert.deepEqual(told.map(({ id, fields: { use } }) => [id, use]), [['certificate.unusable', 'leasequery']]);
  assert.deepEqual(credentials.status(), []);
});

test('a node whose certificate has expired starts, says so, and takes the renewed one', async (context) => {
  await authority.issue('a', { as: 'ended', days: 1, now: Date.now() - 2 * DAY_MS });
  const { credentials, told } = begin(context, cluster(`tls: ${files('ended')}`));
  assert.deepEqual(told.map(({ id }) => id), ['certificate.unusable']);
  assert.match(String(told[0]!.fields['problem']), /ended\.pem: expired on/);
  await authority.issue('a', { as: 'ended' });
  credentials.look(Date.now());
  assert.deepEqual(told.map(({ id }) => id), ['certificate.unusable', 'certificate.changed']);
  const { serialNumber } = credentials.links!.source.current.certificate;
  assert.equal(told[1]!.fields['serial'], serialNumber);
  assert.deepEqual(credentials.status().map(({ serial }) => serial), [serialNumber]);
});

test('a key that others may use is told, at the start and when it is renewed', async (context) => {
  const { key } = await authority.issue('a', { as: 'open' });
  chmodSync(key, 0o644);
  const { credentials, told } = begin(context, cluster(`tls: ${files('open')}`));
  assert.deepEqual(told.map(({ id, fields }) => [id, fields['key']]), [['certificate.key-exposed', key]]);
  // The mode stays as it is.
  await authority.issue('a', { as: 'open' });
  credentials.look(Date.now());
  assert.deepEqual(told.map(({ id }) => id), ['certificate.key-exposed', 'certificate.changed', 'certificate.key-exposed']);
  assert.equal(JSON.stringify(told).includes('PRIVATE KEY'), false);
});
