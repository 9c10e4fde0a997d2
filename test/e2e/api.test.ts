/** The API with real nodes: tokens and roles over TLS from another host, and an audit log that outlives the node that was asked. */
import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClientGroup } from '../../deploy/lab/client-group.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import type { AuditEntry } from '../../node/admin/audit.ts';
import { needs } from '../support/served-network.ts';
import { NODES, TlsStage } from '../support/tls-stage.ts';
import type { NodeName } from '../support/tls-stage.ts';

const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const WAIT_MS = 30_000;

interface Ran {
  readonly code: number;
  readonly output: string;
}

test('from another host, with tokens and roles; the audit log outlives the node that was asked', { ...needs('etcd', 'etcdctl'), timeout: 90_000 }, async () => {
  await using stage = await TlsStage.start();
  const clients = new ClientGroup(stage.network.host('clients'));
  await clients.ready();
  await clients.getLeases('c', 8, 400, WAIT_MS);
  const [first, second, third] = clients.holders().values();

  const elsewhere = async (node: NodeName, token: string | undefined, ...words: string[]): Promise<Ran> => {
    const who = token === undefined ? [] : ['--token-file', join(stage.folder, `${token}.token`)];
    const files = ['--tls-ca', join(stage.folder, 'authority.pem'), '--tls-cert', join(stage.folder, 'tester.pem'), '--tls-key', join(stage.folder, 'tester.key'), '--tls-server-name', node];
    const command = stage.network.host('window').spawn([process.execPath, entry, ...words, '--url', `https://${stage.addressOf(node)}:9067`, ...files, ...who], { name: words.join(' ') });
    return { code: Number(await command.exited), output: command.output };
  };
  const audit = async (node: NodeName): Promise<AuditEntry[]> => (await stage.lessor(node, 'audit', '--json')).split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as AuditEntry);
  const released = async (node: NodeName, token: string | undefined, address: string): Promise<Ran> => elsewhere(node, token, 'release', address, '--reason', 'moved out');

  // ── nobody without credentials, and not with the certificate alone ──
  const nobody = await released('a', undefined, first!);
  assert.equal(nobody.code, 1);
  assert.match(nobody.output, /http\.roles in node\.yaml gives no role to this certificate \(tester\)/);
  assert.match((await elsewhere('b', undefined, 'leases')).output, /gives no role/);

  // ── tokens of both nodes' file, made while they run ──
  for (const role of ['viewer', 'operator']) {
    const { stdout } = await stage.network.host('a').exec([process.execPath, entry, 'token', 'create', '--name', role, '--role', role, '--expires', '1h', '--file', join(stage.folder, 'tokens')]);
    writeFileSync(join(stage.folder, `${role}.token`), stdout, { mode: 0o600 });
  }
  await waitUntil('the nodes know the tokens', WAIT_MS, async () => ((await elsewhere('a', 'viewer', 'leases')).code === 0 && (await elsewhere('b', 'viewer', 'leases')).code === 0 ? true : undefined));
  const forbidden = await released('a', 'viewer', first!);
  assert.equal(forbidden.code, 1);
  assert.match(forbidden.output, /release needs the role operator; viewer is viewer/);

  // ── leases of either node ──
  for (const address of [first!, second!, third!]) assert.match((await released('a', 'operator', address)).output, new RegExp(`^released ${address.replaceAll('.', '\\.')} of `));
  await stage.lessor('a', 'drain', 'b', '--reason', 'new disk', '--no-wait');
  await stage.lessor('a', 'undrain', 'b', '--no-wait');
  await waitUntil('what came through etcd is written', WAIT_MS, async () => ((await audit('a')).some(({ operation }) => operation === 'undrain') ? true : undefined));
  await stage.inOneView();

  // ── the node that was asked dies ──
  await stage.kill('a');
  const wanted = ['config done', 'drain done', 'release done', 'release done', 'release done', 'release refused', 'release refused', 'undrain done'];
  const told = await waitUntil('b serves, and has all of it', WAIT_MS, async () => {
    const entries = await audit('b');
    return entries.length >= wanted.length ? entries : undefined;
  });
  assert.deepEqual(told.map(({ operation, outcome }) => `${operation} ${outcome}`).toSorted(), wanted);
  const releases = told.filter(({ operation, outcome }) => operation === 'release' && outcome === 'done');
  assert.deepEqual(new Set(releases.map(({ target }) => target)), new Set([first, second, third]));
  for (const { after, before, by, from, node, reason, role, via } of releases) {
    assert.deepEqual({ after, by, from, node, reason, role, via }, { after: 'released', by: 'operator', from: stage.addressOf('window'), node: 'a', reason: 'moved out', role: 'operator', via: 'token' });
    assert.match(before, /ACTIVE of /);
  }
  const drain = told.find(({ operation }) => operation === 'drain')!;
  assert.deepEqual([drain.target, drain.reason, drain.via, drain.role], ['b', 'new disk', 'etcd', 'admin']);
  assert.match(drain.by, /^\S+@\S+$/);

  // ── a token that is taken back counts no more ──
  await stage.network.host('b').exec([process.execPath, entry, 'token', 'revoke', 'operator', '--file', join(stage.folder, 'tokens')]);
  await waitUntil('it is known no more', WAIT_MS, async () => ((await elsewhere('b', 'operator', 'leases')).output.includes('not known here') ? true : undefined));
  assert.equal((await elsewhere('b', 'viewer', 'leases')).code, 0);
  assert.doesNotMatch(readFileSync(join(stage.folder, 'tokens'), 'utf8'), /operator/);
  appendFileSync(join(stage.folder, 'tokens'), '');
  for (const name of NODES) assert.doesNotMatch(stage.lines[name].join('\n'), /lessor_[\w-]{43}|http\.failed/);
});
