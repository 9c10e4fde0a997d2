/** `lessor cert`, and what `lessor config check` and HTTPS make of its files. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startHttp } from '../../node/admin/io/http.ts';
import type { HttpOptions } from '../../node/admin/io/http.ts';
import { RenewedCredentials } from '../../node/tls/io/renewed.ts';
import { type Ended, runLessor } from '../support/run-lessor.ts';
import { leaseSource, operationsOver } from './admin-fixture.ts';
import { exampleStatus } from './telemetry-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'lessor-cert-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (...names: string[]): string => join(folder, ...names);

const lessor = (...args: string[]): Promise<Ended> => runLessor(args);

async function well(...args: string[]): Promise<string> {
  const { code, err, out } = await lessor(...args);
  assert.equal(code, 0, err);
  return out;
}

const read = (file: string): X509Certificate => new X509Certificate(readFileSync(file));

test('an authority and a certificate of it, with what to do next', async () => {
  assert.match(await well('cert', 'init', at('ca'), '--cluster', 'campus', '--years', '5'), /^authority CN=Lessor authority of campus\n[\s\S]*Next, for each node: lessor cert issue NAME --ca /);
  const out = await well('cert', 'issue', 'a', '--ca', at('ca'), '--address', '10.0.0.11', '2001:db8::1', '--dns', 'a.example.net', '--days', '90', '--out', at('a'));
  assert.match(out, /^certificate CN=a\n[\s\S]*authority: authority\.pem/);
  assert.deepEqual([at('ca', 'authority.key'), at('a', 'a.key')].map((file) => statSync(file).mode & 0o777), [0o600, 0o600]);

  const [authority, certificate] = [read(at('ca', 'authority.pem')), read(at('a', 'a.pem'))];
  assert.ok(authority.ca && !certificate.ca);
  assert.ok(certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
  assert.equal(certificate.subjectAltName, 'DNS:a, DNS:a.example.net, IP Address:10.0.0.11, IP Address:2001:DB8:0:0:0:0:0:1');
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  const days = (each: X509Certificate): number => Math.round((each.validToDate.getTime() - Date.now()) / 86_400_000);
  assert.deepEqual([days(authority), days(certificate)], [5 * 365 + 1, 90]);
});

test('show tells names, validity, serial, fingerprint and who signed, of each certificate in a file', async () => {
  writeFileSync(at('chain.pem'), readFileSync(at('a', 'a.pem'), 'utf8') + readFileSync(at('ca', 'authority.pem'), 'utf8'));
  const out = await well('cert', 'show', at('chain.pem'));
  assert.match(out, /^certificate CN=a\n {2}names +DNS:a, DNS:a\.example\.net, .*\n {2}valid +.* \((?:89|90) days left\)\n {2}signed by +CN=Lessor authority of campus\n/);
  assert.match(out, /\nauthority CN=Lessor authority of campus\n {2}valid .*\n {2}signed by +itself\n/);
  assert.ok(out.includes(read(at('a', 'a.pem')).fingerprint256));
  assert.match((await lessor('cert', 'show', at('a', 'a.key'))).err, /a\.key: holds no certificate/);
});

test('nothing is overwritten unless it is renewed, and never an authority', async () => {
  const key = readFileSync(at('ca', 'authority.key'));
  const again = await lessor('cert', 'init', at('ca'));
  assert.deepEqual([again.code, again.out], [1, '']);
  assert.match(again.err, /authority\.pem and .*authority\.key are there already/);
  assert.deepEqual(readFileSync(at('ca', 'authority.key')), key);

  const { serialNumber } = read(at('a', 'a.pem'));
  assert.equal((await lessor('cert', 'issue', 'a', '--ca', at('ca'), '--out', at('a'))).code, 1);
  assert.equal((await lessor('cert', 'issue', 'authority', '--ca', at('ca'), '--out', at('ca'), '--renew')).code, 2);
  assert.equal(read(at('a', 'a.pem')).serialNumber, serialNumber);
  await well('cert', 'issue', 'a', '--ca', at('ca'), '--out', at('a'), '--renew');
  assert.notEqual(read(at('a', 'a.pem')).serialNumber, serialNumber);
});

test('a certificate ends with its authority, and says so; a wrong authority is told', async () => {
  await well('cert', 'init', at('short'), '--years', '1');
  assert.match(await well('cert', 'issue', 'x', '--ca', at('short'), '--days', '3650', '--out', at('short')), /It ends on \d{4}-\d\d-\d\d \(with its authority\)/);
  assert.ok(read(at('short', 'x.pem')).checkIssued(read(at('short', 'authority.pem'))));
  writeFileSync(at('short', 'authority.key'), readFileSync(at('ca', 'authority.key')));
  assert.match((await lessor('cert', 'issue', 'y', '--ca', at('short'), '--out', at('short'))).err, /authority\.key is not the key of authority\.pem/);
  writeFileSync(at('short', 'authority.key'), 'x');
  assert.match((await lessor('cert', 'issue', 'y', '--ca', at('short'), '--out', at('short'))).err, /cannot sign: expected an authority as lessor cert init makes it/);
  assert.match((await lessor('cert', 'issue', 'y', '--ca', at('none'))).err, /Expected an authority there: lessor cert init/);
  for (const args of [['y z', '--ca', 'x'], ['y', '--ca', 'x', '--address', '10.1'], ['y', '--ca', 'x', '--days', '0'], ['y'.repeat(65), '--ca', 'x'], ['y']]) {
    assert.equal((await lessor('cert', 'issue', ...args)).code, 2, args.join(' '));
  }
});

test('config check names every file of TLS that does not fit, and warns of what soon will not', async () => {
  const tls = (name: string): string => `{ certificate: ${name}/${name}.pem, key: ${name}/${name}.key, authority: ca/authority.pem }`;
  const check = (more: string): Promise<{ code: number; err: string; out: string }> => {
    writeFileSync(at('node.yaml'), `node: a\ndhcp: { interfaces: [eth0] }\nconfig: none.yaml\n${more}\n`);
    return lessor('config', 'check', at('node.yaml'));
  };
  const cluster = (more: string, etcd = 'https://10.0.0.21:2379'): string => `cluster: { name: campus, listen: "10.0.0.11:7067", etcd: ["${etcd}"], ${more} }`;
  const good = await check(`${cluster(`tls: ${tls('a')}`)}\nhttp: { tls: { certificate: a/a.pem, key: a/a.key } }`);
  assert.deepEqual([good.code, good.err], [0, '']);
  assert.match(good.out, /HTTPS on 127\.0\.0\.1:9067; cluster campus, links over TLS, with etcd at https:/);

  await well('cert', 'issue', 'b', '--ca', at('ca'), '--out', at('b'));
  chmodSync(at('b', 'b.key'), 0o644);
  const bad = await check(`${cluster(`tls: ${tls('b')}, etcdTls: ${tls('none')}`)}\nhttp: { tls: { certificate: a/a.pem, key: b/b.key } }`);
  assert.equal(bad.code, 1);
  assert.match(bad.err, /cluster\.tls: \S+b\.pem names DNS:b, and not this node, a/);
  assert.match(bad.err, /cluster\.etcdTls: \S+none\.pem cannot be read: ENOENT/);
  assert.match(bad.err, /http\.tls: \S+b\.key is not the key of the certificate in /);
  assert.match(bad.err, /^warning: .*cluster\.tls: \S+b\.key may be used by every user of this host/m);
  assert.match((await check(cluster('sessionTtl: 3s'))).err, /cluster\.etcd\[0\]: expected cluster\.etcdTls or cluster\.tls to name the files for an https:\/\/ URL/);
  assert.match((await check(cluster(`etcdTls: ${tls('a')}`, 'http://10.0.0.21:2379'))).err, /cluster\.etcdTls: expected https:\/\/ URLs in cluster\.etcd/);
});

test('status over HTTPS: with the node\'s own files, or with those that are named', async (context) => {
  await well('cert', 'issue', 'web', '--ca', at('ca'), '--address', '127.0.0.1', '--out', at('web'));
  const held = new RenewedCredentials({ certificate: at('web', 'web.pem'), key: at('web', 'web.key'), authority: at('ca', 'authority.pem') });
  const options: HttpOptions = {
    host: '127.0.0.1', port: 0, tls: held, status: () => exampleStatus(), metrics: () => Promise.resolve(''),
    ready: () => ({ ready: true, reason: 'NORMAL' }), operations: operationsOver(leaseSource(new Map())),
  };
  const server = await startHttp(options);
  context.after(() => server.close());
  const url = `https://127.0.0.1:${server.port}`;
  const shown = ['--tls-cert', at('a', 'a.pem'), '--tls-key', at('a', 'a.key')];
  const ca = ['--tls-ca', at('ca', 'authority.pem')];
  assert.match(await well('status', '--url', url, ...ca, ...shown), /^node a: NORMAL/);
  assert.match(await well('ready', '--url', url, ...ca, ...shown), /^ready/);

  const refused = async (pattern: RegExp, ...args: string[]): Promise<void> => {
    const { code, err } = await lessor('status', ...args);
    assert.equal(code, 3);
    assert.match(err, pattern);
  };
  await refused(/self-signed certificate in certificate chain\. --tls-ca/, '--url', url, ...shown);
  await refused(/certificate required.*--tls-cert/, '--url', url, ...ca);
  await refused(/altnames.*--tls-server-name/, '--url', url, ...ca, ...shown, '--tls-server-name', 'other');
  await refused(/the connection was closed\. Does it want HTTPS/, '--url', url.replace('https', 'http'));

  writeFileSync(at('node.yaml'), `node: web\ndhcp: { interfaces: [eth0] }\nhttp: { listen: "127.0.0.1:${server.port}", tls: { certificate: web/web.pem, key: web/web.key, authority: ca/authority.pem } }\n`);
  assert.match(await well('leases', '--config', at('node.yaml')), /^$/);

  // Renewed, under a name of the node alone.
  await well('cert', 'issue', 'web', '--ca', at('ca'), '--out', at('web'), '--renew');
  assert.equal(held.look(Date.now())?.outcome, 'changed');
  assert.match(await well('status', '--config', at('node.yaml')), /^node a: NORMAL/);
  await refused(/altnames/, '--url', url, ...ca, ...shown);
});
