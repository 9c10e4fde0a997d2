/** Links over mutual TLS: whom a node talks to, and what its operator hears of everybody else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectPlain, createServer as createPlainServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect, createServer } from 'node:tls';
import type { TlsFiles } from '../../node/config/types.ts';
import { RenewedCredentials } from '../../node/tls/io/renewed.ts';
import type { TlsSource } from '../../node/tls/io/credentials.ts';
import { addresses, nodeFor, numbered, pass, until } from '../support/links.ts';
import type { NotedNode } from '../support/links.ts';
import { MadeAuthority } from '../support/made-certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'lessor-tls-links-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const authority = await MadeAuthority.make(folder);
const other = await MadeAuthority.make(join(folder, 'other'));
const [filesA, filesB] = [await authority.issue('a'), await authority.issue('b')];

function held(files: TlsFiles): RenewedCredentials {
  const credentials = new RenewedCredentials(files);
  credentials.begin();
  return credentials;
}

/** a dials b. */
async function pair(context: TestContext, tlsA: TlsSource | undefined, tlsB: TlsSource | undefined, isOptional = false): Promise<[a: NotedNode, b: NotedNode]> {
  const b = await nodeFor(context, 'b', {}, 0, 'test', tlsB && { source: tlsB, isOptional });
  const a = await nodeFor(context, 'a', { b: b.links.port }, 0, 'test', tlsA && { source: tlsA, isOptional });
  b.links.setPeers(addresses({ a: a.links.port }));
  return [a, b];
}

/** Neither gets a link, and the operators hear why; `atB` undefined: who is not talked to cannot know it. */
async function refused([a, b]: readonly [NotedNode, NotedNode], atA: RegExp, atB?: RegExp): Promise<void> {
  for (const [node, pattern] of [[a, atA], [b, atB]] as const) {
    if (pattern === undefined) continue;
    await until(() => node.counters.linksRefused > 2);
    assert.equal(node.rejections.length, 1, `the same is told once: ${node.rejections.join('; ')}`);
    assert.match(node.rejections[0]!, pattern);
  }
  assert.equal([...a.events, ...b.events].some(({ kind }) => kind === 'link-up'), false);
}

describe('links over TLS', { timeout: 30_000 }, () => {
  test('come up between nodes whose certificates name them, by TLS 1.3, and carry messages both ways', async (context) => {
    const [a, b] = await pair(context, held(filesA), held(filesB));
    await until(() => a.story() === 'up' && b.story() === 'up');
    for (let seq = 0; seq < 500; seq++) {
      a.links.send('b', numbered(seq));
      b.links.send('a', numbered(seq));
    }
    await until(() => a.numbers().length === 500 && b.numbers().length === 500);
    a.links.reset('b');
    await until(() => a.story() === 'up closed up' && b.story() === 'up closed up');
    assert.deepEqual([...a.rejections, ...b.rejections], []);
    const shown = await presented(b, filesA);
    assert.deepEqual([shown.protocol, shown.serial], ['TLSv1.3', held(filesB).current.certificate.serialNumber]);
  });

  test('a server whose certificate names another node is not talked to', async (context) => {
    await refused(await pair(context, held(filesA), held(await authority.issue('c'))), /^b: its certificate names DNS:c, not node b$/);
  });

  test('a node that says another name than its certificate is refused, and told so', async (context) => {
    const told = /node b is shown a certificate that names DNS:c, not node a$/;
    await refused(await pair(context, held(await authority.issue('c')), held(filesB)), told, told);
  });

  test('a server of another authority is not talked to', async (context) => {
    const b = { ...await other.issue('b'), authority: authority.file };
    await refused(await pair(context, held(filesA), held(b)), /^b: its certificate is not taken: unable to verify leaf signature$/);
  });

  test('a node of another authority is refused', async (context) => {
    const a = { ...await other.issue('a'), authority: authority.file };
    await refused(
      await pair(context, held(a), held(filesB)), /^b: it ended the connection when TLS had begun: it may not take the certificate of this side, its log says why$/,
      /^a: its certificate is not taken: unable to verify leaf signature$/,
    );
  });

  test('an expired certificate is refused', async (context) => {
    const old = await authority.issue('a', { as: 'old', days: 1, now: Date.now() - 2 * 86_400_000 });
    await refused(await pair(context, held(old), held(filesB)), /^b: it ended the connection/, /^a: its certificate is not taken: cert has expired$/);
  });

  test('TLS and clear do not come together, and each side says so', async (context) => {
    await refused(await pair(context, held(filesA), undefined), /^b: it does not speak TLS$/, /^a: it speaks TLS, and this side does not$/);
    await refused(await pair(context, undefined, held(filesB)), /^b: it speaks TLS, and this side does not$/, /^a: it does not speak TLS, and this side does$/);
  });

  test('where it is optional, a node in the clear is linked in the clear, one with TLS over TLS, and a wrong one not at all', async (context) => {
    for (const [tlsA, tlsB, unsecured] of [
      [held(filesA), undefined, [['b'], []]], [undefined, held(filesB), [[], ['a']]], [held(filesA), held(filesB), [[], []]],
    ] as const) {
      const [a, b] = await pair(context, tlsA, tlsB, true);
      await until(() => a.story().endsWith('up') && b.story().endsWith('up'));
      assert.deepEqual([a.unsecured, b.unsecured, ...a.rejections], unsecured);
      await Promise.all([a.links.close(), b.links.close()]);
    }
    const wrong = { ...await other.issue('a'), authority: authority.file };
    await refused(await pair(context, held(wrong), held(filesB), true), /^b: it ended the connection when TLS/, /^a: its certificate is not taken/);
  });

  test('who shows no certificate, an old version of TLS, or anything else harms only itself', async (context) => {
    const [a, b] = await pair(context, held(filesA), held(filesB));
    await until(() => a.story() === 'up');
    const target = { host: '127.0.0.1', port: b.links.port };
    const without = connect({ ...target, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    await closed(without);
    const old = connect({ ...target, ...own(filesA), rejectUnauthorized: false, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
    await closed(old);
    for (const bytes of [Buffer.from([22]), Buffer.from([22, 3, 1, 255, 255, 1, 2, 3]), Buffer.alloc(1000, 22), Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
      const garbage = connectPlain(target, () => garbage.end(bytes));
      await closed(garbage.resume());
    }
    b.links.send('a', numbered(7));
    await until(() => a.numbers().includes(7));
    assert.equal(a.story(), 'up');
    assert.ok(b.rejections.some((text) => text === 'a: it shows no certificate'), b.rejections.join('; '));
    assert.ok(b.rejections.some((text) => text.startsWith('a: TLS does not come about: ')), b.rejections.join('; '));
  });

  test('a server that stops in the middle of the handshake is unreachable, and collects no connections', async (context) => {
    let open = 0;
    const stuck = createPlainServer((socket) => {
      open++;
      socket.on('close', () => open--).on('error', () => undefined).resume();
      socket.write(Buffer.from([22, 3, 3]));
    }).listen(0, '127.0.0.1');
    await once(stuck, 'listening');
    context.after(() => stuck.close());
    const a = await nodeFor(context, 'a', { b: (stuck.address() as { port: number }).port }, 0, 'test', { source: held(filesA), isOptional: false });
    await until(() => a.events.length >= 2);
    assert.equal(a.story(), 'unreachable');
    await a.links.close();
    await until(() => open === 0);
  });

  test('a renewed certificate is shown on new connections, dialled and accepted; those that stand go on', async (context) => {
    const [ofA, ofB] = [held(await authority.issue('a', { as: 'a1' })), held(await authority.issue('b', { as: 'b1' }))];
    const serials: string[] = [];
    const tap = createServer({ ...own(filesB), requestCert: true, ALPNProtocols: ['h2'] }, (stream) => {
      serials.push(stream.getPeerX509Certificate()!.serialNumber);
      stream.on('error', () => undefined).destroy();
    }).listen(0, '127.0.0.1');
    await once(tap, 'listening');
    context.after(() => tap.close());
    const [a, b] = await pair(context, ofA, ofB);
    await until(() => a.story() === 'up' && b.story() === 'up');
    const before = [ofA, ofB].map(({ current }) => current.certificate.serialNumber);
    assert.equal((await presented(b, filesA)).serial, before[1]);

    await authority.issue('a', { as: 'a1' });
    await authority.issue('b', { as: 'b1' });
    assert.deepEqual([ofA.look(Date.now())?.outcome, ofB.look(Date.now())?.outcome], ['changed', 'changed']);
    const now = [ofA, ofB].map(({ current }) => current.certificate.serialNumber);
    assert.notDeepEqual(now, before);
    assert.equal((await presented(b, filesA)).serial, now[1]);
    await pass(20);
    a.links.send('b', numbered(1));
    await until(() => b.numbers().length === 1);
    assert.deepEqual([a.story(), b.story()], ['up', 'up'], 'the link is the one from before');

    a.links.setPeers(addresses({ b: (tap.address() as { port: number }).port }));
    a.links.reset('b');
    await until(() => serials.length > 0);
    assert.equal(serials[0], now[0]);
  });
});

/** With an error or without. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => undefined).on('close', () => resolve());
  });
}

function own({ authority: ca, certificate, key }: TlsFiles): { ca: Buffer; cert: Buffer; key: Buffer } {
  return { ca: readFileSync(ca), cert: readFileSync(certificate), key: readFileSync(key) };
}

/** What a node shows to another one. */
async function presented(node: NotedNode, files: TlsFiles): Promise<{ readonly serial: string; readonly protocol: string | null }> {
  const stream = connect({ host: '127.0.0.1', port: node.links.port, ...own(files), ALPNProtocols: ['h2'], checkServerIdentity: () => undefined });
  await once(stream, 'secureConnect');
  const shown = { serial: stream.getPeerX509Certificate()!.serialNumber, protocol: stream.getProtocol() };
  stream.on('error', () => undefined).destroy();
  return shown;
}
