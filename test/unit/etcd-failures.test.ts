/** What the adapter of etcd says when etcd dies, stands still, or was never there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { EtcdResult } from '../../cluster/core/ports.ts';
import { EtcdAsker, type EtcdProcess, etcdMissing, freePorts, startEtcd } from '../support/etcd-process.ts';

async function etcdFor(context: TestContext): Promise<EtcdProcess> {
  const etcd = await startEtcd();
  context.after(() => etcd.remove());
  return etcd;
}

function askerFor(context: TestContext, endpoints: string[]): EtcdAsker {
  const asker = new EtcdAsker(endpoints);
  context.after(() => asker.close());
  return asker;
}

/** An address where connections are taken and nothing is ever said. */
async function silentEndpoint(context: TestContext, sockets = new Set<Socket>()): Promise<string> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy()).resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}`;
}

function assertUnknown(result: EtcdResult, error: RegExp): void {
  assert.equal(result.outcome, 'unknown');
  assert.match(result.outcome === 'unknown' ? result.error : '', error);
}

async function untilHint(asker: EtcdAsker, before: number): Promise<void> {
  while (asker.hints() === before) await asker.pass(10);
}

describe('without etcd', { timeout: 60_000 }, () => {
  test('nobody listens: each request is unknown, none twice', async (context) => {
    const [port] = await freePorts(1);
    const asker = askerFor(context, [`http://127.0.0.1:${port}`]);
    const requests = [
      ...Array.from({ length: 20 }, () => asker.read(2000)),
      asker.ask({ kind: 'grant', ttlSeconds: 3, deadlineMs: 2000 }),
      asker.ask({ kind: 'keepalive', lease: '123', deadlineMs: 2000 }),
      asker.ask({ kind: 'revoke', lease: '123', deadlineMs: 2000 }),
    ];
    assert.equal(asker.client.inFlight, requests.length);
    for (const result of await Promise.all(requests)) assertUnknown(result, /refused/);
    await asker.pass(50);
    assert.equal(asker.surplus, 0);
    assert.equal(asker.client.inFlight, 0);
    assert.equal(asker.client.lastSuccess, undefined);
  });

  test('an endpoint that takes connections and says nothing is given up at the deadline', async (context) => {
    const sockets = new Set<Socket>();
    const asker = askerFor(context, [await silentEndpoint(context, sockets)]);
    for (let times = 0; times < 5; times++) {
      const requests = [asker.read(300), asker.ask({ kind: 'keepalive', lease: '123', deadlineMs: 300 })];
      for (const result of await Promise.all(requests)) assertUnknown(result, /within 300 ms|[Dd]eadline/);
    }
    assert.equal(asker.ends.length, 10);
    assert.ok(asker.ends.every(({ seconds, answered }) => !answered && seconds >= 0.29));
    assert.ok(sockets.size > 0);
    await asker.close();
    while (sockets.size > 0) await asker.pass(10);
    assert.equal(asker.surplus, 0);
  });

  test('more requests than the bound are unknown at once', async (context) => {
    const asker = askerFor(context, [await silentEndpoint(context)]);
    const results = await Promise.all(Array.from({ length: 1100 }, () => asker.read(500)));
    const refused = results.filter((result) => result.outcome === 'unknown' && result.error.includes('under way'));
    assert.equal(refused.length, 1100 - 1024);
  });

  test('closing ends all requests and the process can end', async (context) => {
    const [port] = await freePorts(1);
    const program = join(import.meta.dirname, '../support/etcd-closing.ts');
    for (const endpoint of [await silentEndpoint(context), `http://127.0.0.1:${port}`]) {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, endpoint], { timeout: 20_000 });
      assert.equal(stdout, 'unknown unknown unknown unknown\n');
      assert.equal(stderr, '');
    }
  });
});

describe('with a real etcd', { skip: etcdMissing() ?? false, timeout: 60_000 }, () => {
  test('a killed etcd makes requests unknown; restarted it answers again, and the watch goes on', async (context) => {
    const etcd = await etcdFor(context);
    const asker = askerFor(context, [etcd.endpoint]);
    await asker.ready();
    await untilHint(asker, 0);
    await etcd.signal('SIGKILL');
    for (const result of await Promise.all([asker.read(1000), asker.read(1000)])) assertUnknown(result, /./);
    const hints = asker.hints();
    etcd.restart();
    await asker.ready();
    await untilHint(asker, hints);
    const before = asker.hints();
    const put = { op: 'put', key: 'k', value: Buffer.from('v') } as const;
    const written = await asker.ask({ kind: 'txn', compares: [], then: [put], otherwise: [], deadlineMs: 1000 });
    assert.equal(written.outcome, 'txn');
    assert.equal(asker.ends.at(-1)?.answered, true);
    await untilHint(asker, before);
    assert.equal(asker.surplus, 0);
  });

  test('an etcd that stands still makes requests unknown, and is asked again when it goes on', async (context) => {
    const etcd = await etcdFor(context);
    const asker = askerFor(context, [etcd.endpoint]);
    await asker.ready();
    await etcd.signal('SIGSTOP');
    const { client } = asker;
    const success = client.lastSuccess;
    assert.ok(success !== undefined);
    for (const result of await Promise.all([asker.read(300), asker.read(300)])) assertUnknown(result, /within|eadline/);
    assert.equal(client.lastSuccess, success);
    await etcd.signal('SIGCONT');
    await asker.ready();
    assert.ok((client.lastSuccess ?? 0) > success);
  });

  test('a dead and a silent endpoint cost one request each, the ones after it are answered', async (context) => {
    const etcd = await etcdFor(context);
    const [port] = await freePorts(1);
    const dead = `http://127.0.0.1:${port}`;
    const asker = askerFor(context, [dead, await silentEndpoint(context), etcd.endpoint]);
    await askerFor(context, [etcd.endpoint]).ready();
    assertUnknown(await asker.read(1000), /refused/);
    assertUnknown(await asker.read(200), /within 200 ms|eadline/);
    for (let times = 0; times < 10; times++) assert.equal((await asker.read(5000)).outcome, 'txn');
    await untilHint(asker, 0);
  });

  test('no request waits behind one that gets no answer: the next endpoint is taken before its deadline', async (context) => {
    const etcd = await etcdFor(context);
    const asker = askerFor(context, [await silentEndpoint(context), etcd.endpoint]);
    await askerFor(context, [etcd.endpoint]).ready();
    let slow: EtcdResult | undefined;
    const asked = asker.read(30_000).then((result) => {
      slow = result;
    });
    while ((await asker.read(100)).outcome !== 'txn') assert.equal(slow, undefined);
    assert.equal(slow, undefined);
    await asker.close();
    await asked;
    assertUnknown(slow ?? assert.fail(), /closed/);
  });
});

if (etcdMissing() !== undefined && process.env['CI'] === 'true') {
  test('a real etcd is there', () => assert.fail(etcdMissing()));
}
