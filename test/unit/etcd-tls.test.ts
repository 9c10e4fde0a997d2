/** The adapter of etcd over mutual TLS, against a real etcd. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openEtcd } from '../../cluster/io/etcd-client.ts';
import type { TlsFiles } from '../../node/config/types.ts';
import { RenewedCredentials } from '../../node/tls/io/renewed.ts';
import { EtcdAsker, etcdMissing, startEtcd } from '../support/etcd-process.ts';
import { MadeAuthority } from '../support/made-certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'lessor-etcd-tls-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function held(files: TlsFiles): RenewedCredentials {
  const credentials = new RenewedCredentials(files);
  credentials.begin();
  return credentials;
}

describe('etcd over TLS', { skip: etcdMissing(), timeout: 30_000 }, () => {
  test('requests and watches, a renewed certificate from the next connection on, and what is told where it does not come about', async (context) => {
    const authority = await MadeAuthority.make(folder);
    const etcd = await startEtcd(await authority.issue('etcd', { addresses: ['127.0.0.1'] }));
    context.after(() => etcd.remove());
    const credentials = held(await authority.issue('a'));
    const asker = new EtcdAsker([etcd.endpoint], [''], '/lessor/test/', credentials);
    context.after(() => asker.close());
    await asker.ready();
    const hints = asker.hints();
    const put = await asker.ask({ kind: 'txn', compares: [], then: [{ op: 'put', key: 'k', value: Buffer.from('1') }], otherwise: [], deadlineMs: 2000 });
    assert.equal(put.outcome, 'txn');
    while (asker.hints() === hints) await asker.pass(5);

    // What is in use has become useless, and the renewed one is good: only new connections can tell.
    await authority.issue('a');
    assert.equal(credentials.look(Date.now())?.outcome, 'changed');
    await etcd.signal('SIGKILL');
    etcd.restart();
    await asker.ready();

    const other = await MadeAuthority.make(join(folder, 'other'));
    const asked = async (endpoint: string, tls: RenewedCredentials | undefined): Promise<string> => {
      const one = new EtcdAsker([endpoint], [''], '/lessor/test/', tls);
      const result = await one.read(2000);
      await one.close();
      assert.ok(result.outcome === 'unknown', result.outcome);
      return result.error;
    };
    assert.match(await asked(etcd.endpoint, held({ ...await authority.issue('b'), authority: other.file })), /its certificate is not taken: /);
    assert.match(await asked(etcd.endpoint, held({ ...await other.issue('c'), authority: authority.file })), /certificate/);
    assert.match(await asked(etcd.endpoint.replace('127.0.0.1', 'localhost'), credentials), /its certificate names DNS:etcd, IP Address:127\.0\.0\.1, not localhost/);
    assert.match(await asked(etcd.endpoint.replace('https', 'http'), undefined), /it ended the connection without a word: it may want TLS \(https:\/\/\)/);
    const plain = await startEtcd();
    context.after(() => plain.remove());
    const clear = new EtcdAsker([plain.endpoint]);
    await clear.ready();
    await clear.close();
    assert.match(await asked(plain.endpoint.replace('http', 'https'), credentials), /it ended the connection at the beginning of TLS: it may not speak it/);
  });

  test('https without credentials is refused at once', () => {
    assert.throws(() => openEtcd({ endpoints: ['https://127.0.0.1:1'], prefix: '/', watchPrefixes: [], handler: { onResult: () => undefined, onHint: () => undefined } }), /no certificate for https:/);
  });
});
