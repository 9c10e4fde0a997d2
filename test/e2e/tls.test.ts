/** A cluster that speaks nothing but TLS, and the renewal of all its certificates while it serves. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClientGroup } from '../../deploy/lab/client-group.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { MadeAuthority } from '../support/made-certificates.ts';
import { needs } from '../support/served-network.ts';
import { NODES, PLACES, TlsStage } from '../support/tls-stage.ts';
import type { NodeName, Place } from '../support/tls-stage.ts';

const CLIENTS = 40;
const TAKEN_UP_MS = 8000;

/** Lines of a node's log with this event. */
function told(stage: TlsStage, name: NodeName, event: string): Record<string, unknown>[] {
  return stage.lines[name].filter((line) => line.includes(`"${event}"`)).map((line) => JSON.parse(line) as Record<string, unknown>);
}

const serialIn = (stage: TlsStage, name: string): string => new X509Certificate(readFileSync(join(stage.folder, `${name}.pem`))).serialNumber;

async function showsNew(stage: TlsStage): Promise<void> {
  const wanted: Record<Place, string> = { 'link a': 'a', 'link b': 'b', 'http a': 'a', 'http b': 'b', 'etcd': 'etcd' };
  for (const place of Object.keys(PLACES) as Place[]) {
    const serial = serialIn(stage, wanted[place]);
    await waitUntil(`${place} shows its new certificate`, TAKEN_UP_MS, async () => (await stage.presented(place) === serial ? true : undefined));
  }
}

test('a cluster over TLS', needs('etcd', 'etcdctl', 'nft'), async (t) => {
  await using stage = await TlsStage.start();
  const clients = new ClientGroup(stage.network.host('clients'));
  await clients.ready();
  /** Renewals go on all the time, each answered. */
  const renewed = async (): Promise<void> => {
    assert.equal((await clients.renewAll(5000)).length, CLIENTS);
    assert.deepEqual(clients.losses(), []);
  };

  await t.test('clients get leases, which both nodes have', async () => {
    await clients.getLeases('c', CLIENTS, 1000, 10_000);
    for (const name of NODES) await waitUntil(`leases on ${name}`, 5000, async () => ((await stage.status(name)).leases[0]?.active === CLIENTS ? true : undefined));
  });

  await t.test('status and configuration are to be had with the files of a node, and not without', async () => {
    const [status, history] = await Promise.all([stage.lessor('a', 'status'), stage.lessor('b', 'config', 'history')]);
    assert.match(status, /^node a: NORMAL/);
    assert.match(history, /^ *1 /m);
    const metrics = await stage.fetch('a', '/metrics');
    assert.match(metrics, /^lessor_certificate_expires_seconds\{use="cluster"\} \d{10}$/m);
    assert.match(metrics, /^lessor_certificate_expires_seconds\{use="http"\} \d{10}$/m);
    // etcd knows the user by the certificate, and keeps what is none of the cluster's from it.
    await assert.rejects(stage.etcdctl('a', 'put', 'other', 'x'), /permission denied/);
    await assert.rejects(stage.etcdctl('tester', 'get', '/lessor/test/view'), /permission denied|user not found|invalid auth/i);
  });

  await t.test('lessor doctor asks etcd and the other node by the same certificates', async () => {
    const said = await stage.lessor('a', 'doctor', '--no-discover');
    assert.match(said, /^ok {7}certificates {5}cluster: \S+a\.pem is in order$/m);
    assert.match(said, /^warning {2}etcd {13}etcd has one member$/m);
    assert.match(said, /^ok {7}in force {9}revision 1 in etcd$/m);
    assert.match(said, /^ok {7}links {12}node b at 10\.1\.0\.12:7067: /m);
  });

  await t.test('whoever is not the node that it says is no link, and both sides say why', async () => {
    const other = await MadeAuthority.make(join(stage.folder, 'other'));
    const cases = [
      [{ ...await other.issue('a'), authority: stage.authority.file }, '10.1.0.66', /^its certificate is not taken: /],
      [await stage.authority.issue('c'), 'a', /^node b is shown a certificate that names DNS:c, not node a$/],
    ] as const;
    const intruders = cases.map(([files]) => stage.intrude(files));
    for (const [index, [, peer, detail]] of cases.entries()) {
      await waitUntil(`refusal ${index}`, 5000, () => told(stage, 'b', 'link.rejected').find((line) => line['peer'] === peer && detail.test(String(line['detail']))));
      await intruders[index]!.waitForLine(/"rejected"/, 5000);
    }
    for (const intruder of intruders) {
      assert.doesNotMatch(intruder.output, /link-up/);
      await intruder.kill();
    }
    await stage.inOneView();
    assert.match(await stage.fetch('b', '/metrics'), /^lessor_links_refused_total [1-9]/m);
    await renewed();
  });

  await t.test('another authority takes the place of the first one, while clients renew', async () => {
    const ending = new AbortController();
    const renewals = (async () => {
      while (!ending.signal.aborted) await renewed();
    })();
    const changed = async (times: number): Promise<void> => {
      for (const name of NODES) {
        await waitUntil(`${name} has taken up its files`, TAKEN_UP_MS, () => {
          const uses = told(stage, name, 'certificate.changed').map(({ use }) => use);
          return ['cluster', 'http'].every((use) => uses.filter((each) => each === use).length >= times) ? true : undefined;
        });
      }
    };
    // Both are trusted, then all certificates are the new one's, then the old one is no longer trusted.
    const next = await MadeAuthority.make(join(stage.folder, 'next'));
    appendFileSync(stage.authority.file, next.made.certificate);
    await changed(1);
    await stage.stopEtcd();
    stage.startEtcd();
    await stage.etcdReady();
    await stage.issueAll(MadeAuthority.from(stage.folder, next.made));
    await showsNew(stage);
    await changed(2);
    ending.abort();
    await renewals;
  });

  await t.test('what connects anew does so with the new certificates', async () => {
    await stage.lan.cutBetween(stage.network.host('a'), stage.network.host('b'));
    await waitUntil('the link is down', 5000, async () => ((await stage.status('a')).peers[0]?.link === 'down' ? true : undefined));
    await stage.lan.restoreBetween();
    await stage.inOneView();
    await renewed();
  });

  await t.test('nothing of a key is in a log, in the status or in etcd', async () => {
    const keys = ['a', 'b'].map((name) => readFileSync(join(stage.folder, `${name}.key`), 'utf8').split('\n')[1]!);
    const texts = [...stage.lines.a, ...stage.lines.b, await stage.fetch('a', '/v1/status'), await stage.etcdctl('root', 'get', '', '--prefix')];
    assert.deepEqual(texts.filter((text) => text.includes('PRIVATE KEY') || keys.some((key) => text.includes(key))), []);
  });
});
