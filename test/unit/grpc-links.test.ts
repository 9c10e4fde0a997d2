import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { ChannelCredentials, Client, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import { describeNode } from '../../cluster/io/link-dial.ts';
import { LINK_METHOD } from '../../cluster/io/link-stream.ts';
import { parseAddress } from '../../cluster/io/probe.ts';
import type { PeerMessage } from '../../cluster/core/ports.ts';
import { LINK_BACKLOG_BYTES_MAX } from '../../node/limits.ts';
import { freePorts } from '../support/etcd-process.ts';
import { addresses, childFor, nodeFor, numbered, pairFor, pass, until } from '../support/links.ts';

describe('links', { timeout: 60_000 }, () => {
  test('come up on both sides, and carry messages in order both ways', async (context) => {
    const [a, b] = await pairFor(context);
    const count = 5000;
    for (let seq = 0; seq < count; seq++) {
      a.links.send('b', numbered(seq));
      b.links.send('a', numbered(count + seq));
    }
    await until(() => a.numbers().length === count && b.numbers().length === count);
    assert.deepEqual(b.numbers(), Array.from({ length: count }, (_, at) => at));
    assert.deepEqual(a.numbers(), Array.from({ length: count }, (_, at) => count + at));
    assert.equal(a.story(), 'up');
    assert.equal(b.story(), 'up');
    assert.equal(a.links.backlogBytes('b'), 0);
  });

  test('carry every field of a message, also one of some megabytes', async (context) => {
    const [a, b] = await pairFor(context);
    const changes = Array.from({ length: 40_000 }, (_, at) => ({ address: at, record: Buffer.alloc(100, at) }));
    const value = { epoch: 7, incarnation: 0xabcd_ef01_2345, changes, through: 2 ** 40, committed: 3, wallMs: 1.8e12 };
    const message: PeerMessage = { body: { $case: 'batch', value } };
    a.links.send('b', message);
    await until(() => b.events.some((event) => event.kind === 'link-message'));
    assert.deepEqual(b.events.at(-1), { kind: 'link-message', peer: 'a', message });
  });

  test('are dialled by the node whose id sorts first only', async (context) => {
    const [portA, portB] = await freePorts(2);
    assert.ok(portA !== undefined && portB !== undefined);
    const b = await nodeFor(context, 'b', { a: portA }, portB);
    await until(() => b.story() === 'refused');
    const a = await nodeFor(context, 'a', { b: portB }, portA);
    await until(() => b.story() === 'refused up' && a.story() === 'up');
  });

  for (const [survivor, victim] of [['a', 'b'], ['b', 'a']] as const) {
    test(`the death of ${victim}'s process is refused at ${survivor}, and its return a new link`, async (context) => {
      const [port] = await freePorts(1);
      assert.ok(port !== undefined);
      const own = await nodeFor(context, survivor, { [victim]: port });
      const first = await childFor(context, victim, port, { [survivor]: own.links.port });
      await until(() => own.story().endsWith('up'));
      const started = own.events.length;
      let refused: ((at: number) => void) | undefined;
      const known = new Promise<number>((resolve) => (refused = resolve));
      own.onEvent = (event) => {
        if (event.kind === 'link-down' && event.reason === 'refused') refused?.(performance.now());
      };
      const killedAt = performance.now();
      await first.stop('SIGKILL');
      context.diagnostic(`known after ${((await known) - killedAt).toFixed(1)} ms`);
      own.events.splice(0, started);
      assert.equal(own.story(), 'closed refused');
      own.links.send(victim, numbered(1));
      await childFor(context, victim, port, { [survivor]: own.links.port });
      await until(() => own.story() === 'closed refused up');
    });
  }

  test('a stream that is reset comes back, and what was sent in between is lost', async (context) => {
    const [a, b] = await pairFor(context);
    for (const [from, to, peer] of [[a, b, 'b'], [b, a, 'a']] as const) {
      to.events.length = 0;
      from.events.length = 0;
      from.links.reset(peer);
      assert.equal(from.story(), '', 'no event comes from within the call');
      from.links.send(peer, numbered(1));
      await until(() => from.story() === 'closed up' && to.story() === 'closed up');
      from.links.send(peer, numbered(2));
      await until(() => to.numbers().length > 0);
      assert.deepEqual(to.numbers(), [2]);
    }
  });

  test('a new stream of a peer replaces the old one', async (context) => {
    const b = await nodeFor(context, 'b', {});
    b.links.setPeers(addresses({ a: 1 }));
    const first = await nodeFor(context, 'a', { b: b.links.port });
    await until(() => b.story().endsWith('up'));
    b.events.length = 0;
    const second = rawStream(b.links.port, 'a', 'test');
    await until(() => b.story() === 'closed up');
    assert.deepEqual(b.events.map(({ kind }) => kind), ['link-down', 'link-up']);
    await first.links.close();
    second.client.close();
  });

  test('another cluster, an unknown node and one that should be dialled are refused with the reason', async (context) => {
    const b = await nodeFor(context, 'b', {});
    b.links.setPeers(addresses({ a: 1, c: 1 }));
    const cases = [
      ['a', 'other', /node b belongs to cluster test, not to other/],
      ['x', 'test', /node b knows no node x/],
      ['c', 'test', /node b dials node c/],
      ['', '', /does not say who it is/],
    ] as const;
    for (const [node, cluster, reason] of cases) {
      const { call, client } = rawStream(b.links.port, node, cluster);
      const [error] = (await once(call, 'failed')) as [ServiceError];
      assert.equal(error.code, status.PERMISSION_DENIED);
      assert.match(error.details, reason);
      client.close();
    }
    assert.equal(b.events.some(({ kind }) => kind === 'link-up'), false);
    assert.equal(b.rejections.length, cases.length);
  });

  test('a wrong cluster and a wrong node at the address are no link, and the operator hears of it', async (context) => {
    const other = await nodeFor(context, 'b', { a: 1 }, 0, 'other');
    const a = await nodeFor(context, 'a', { b: other.links.port, c: other.links.port });
    await until(() => a.rejections.length >= 2 && a.rejections.some((text) => text.startsWith('c: ')));
    assert.match(a.rejections.join('\n'), /b: node b belongs to cluster other, not to test/);
    assert.deepEqual([...new Set(a.events.map((event) => (event.kind === 'link-down' ? event.reason : event.kind)))], ['unreachable']);
  });

  test('a port that takes connections and says nothing is unreachable, and collects no connections', async (context) => {
    let open = 0;
    const silent = createServer((socket) => {
      open++;
      socket.on('close', () => open--);
      socket.on('error', () => socket.destroy()).resume();
    });
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    context.after(() => silent.close());
    const address = silent.address();
    assert.ok(typeof address === 'object' && address !== null);
    const a = await nodeFor(context, 'a', { b: address.port });
    await until(() => a.events.length >= 2);
    assert.equal(a.story(), 'unreachable');
    await a.links.close();
    await until(() => open === 0);
  });

  test('bytes that are no message, and a connection that is no HTTP/2, harm only themselves', async (context) => {
    const b = await nodeFor(context, 'b', { a: 1 });
    const { call, client } = rawStream(b.links.port, 'a', 'test');
    await until(() => b.story().endsWith('up'));
    call.write(Buffer.from([0x12, 0x7f, 0x01]));
    await until(() => b.story().includes('up closed'));
    assert.equal(b.rejections.length, 1);
    client.close();
    const noise = connect(b.links.port, '127.0.0.1');
    noise.on('error', () => noise.destroy());
    noise.end('GET / HTTP/1.1\r\n\r\n');
    await once(noise.resume(), 'close');
    const again = rawStream(b.links.port, 'a', 'test');
    await until(() => b.story().endsWith('up'));
    again.client.close();
  });

  test('a peer that stops reading costs at most the bound, then the link', async (context) => {
    const [port] = await freePorts(1);
    assert.ok(port !== undefined);
    const a = await nodeFor(context, 'a', { b: port });
    const child = await childFor(context, 'b', port, { a: a.links.port });
    await until(() => a.story().endsWith('up'));
    child.process.kill('SIGSTOP');
    const record = Buffer.alloc(4 * 1024 * 1024);
    const value = { epoch: 1, incarnation: 1, changes: [{ address: 1, record }], through: 1, committed: 1, wallMs: 1 };
    let highest = 0;
    for (let sent = 0; a.links.backlogBytes('b') >= highest && sent < 100; sent++) {
      highest = a.links.backlogBytes('b');
      a.links.send('b', { body: { $case: 'batch', value } });
    }
    assert.ok(highest > LINK_BACKLOG_BYTES_MAX / 2 && highest <= LINK_BACKLOG_BYTES_MAX);
    assert.equal(a.links.backlogBytes('b'), 0);
    await until(() => a.story().includes('up closed'));
    child.process.kill('SIGCONT');
    await until(() => a.story().endsWith('up'));
  });

  test('a half-open connection ends by itself on both sides', async (context) => {
    for (const own of ['a', 'b'] as const) {
      const peer = own === 'a' ? 'b' : 'a';
      const [port] = await freePorts(1);
      assert.ok(port !== undefined);
      const node = await nodeFor(context, own, { [peer]: port });
      const child = await childFor(context, peer, port, { [own]: node.links.port });
      await until(() => node.story().endsWith('up'));
      node.events.length = 0;
      child.process.kill('SIGSTOP');
      await until(() => node.story().startsWith('closed'));
      assert.equal(node.story().includes('refused'), false);
      child.process.kill('SIGCONT');
      await until(() => node.story().endsWith('up'));
      await child.stop('SIGKILL');
    }
  });

  test('peers may be taken away, given again, and move', async (context) => {
    const [a, b] = await pairFor(context);
    a.links.setPeers(new Map());
    await until(() => a.story() === 'up closed' && b.story().startsWith('up closed'));
    a.links.send('b', numbered(1));
    assert.equal(a.links.backlogBytes('b'), 0);
    const [elsewhere] = await freePorts(1);
    assert.ok(elsewhere !== undefined);
    a.links.setPeers(addresses({ b: elsewhere }));
    await until(() => a.story() === 'up closed refused');
    a.links.setPeers(addresses({ b: b.links.port }));
    await until(() => a.story() === 'up closed refused up');
    assert.equal(b.story().endsWith('up'), true);
  });

  test('closing lets the last messages arrive, and no event follows', async (context) => {
    for (const closer of [0, 1]) {
      const pair = await pairFor(context);
      const [from, to] = closer === 0 ? pair : [pair[1], pair[0]];
      for (let seq = 0; seq < 200; seq++) from.links.send(closer === 0 ? 'b' : 'a', numbered(seq));
      const before = from.events.length;
      await from.links.close();
      await until(() => to.story().startsWith('up closed'));
      assert.equal(to.numbers().length, 200);
      await pass(20);
      assert.equal(from.events.length, before);
    }
  });

  test('a process whose links are closed ends by itself', async (context) => {
    const a = await nodeFor(context, 'a', {});
    const child = await childFor(context, 'b', 0, { a: a.links.port, c: 1 });
    a.links.setPeers(addresses({ b: child.port }));
    await until(() => a.story().endsWith('up'));
    const exit = once(child.process, 'exit');
    child.process.kill('SIGTERM');
    assert.deepEqual(await exit, [0, null]);
  });

  test('a port that is taken is an error with its code', async (context) => {
    const a = await nodeFor(context, 'a', {});
    await assert.rejects(nodeFor(context, 'b', {}, a.links.port), { code: 'EADDRINUSE' });
  });
});

test('addresses are host:port, with IPv6 in brackets', () => {
  assert.deepEqual(parseAddress('10.0.0.1:7067'), { host: '10.0.0.1', port: 7067 });
  assert.deepEqual(parseAddress('[fd00::1]:7067'), { host: 'fd00::1', port: 7067 });
  for (const text of ['10.0.0.1', ':7067', 'fd00::1:7067', 'a:0', 'a:65536', '']) {
    assert.throws(() => parseAddress(text), TypeError, text);
  }
});

test('throughput of one link between two processes', { timeout: 120_000 }, async (context) => {
  const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, '../support/link-speed.ts')]);
  for (const line of stdout.trim().split('\n')) context.diagnostic(line);
  assert.match(stdout, /10000 batches/);
});

/** A stream as a stranger would open it; its error comes as the event `failed`. */
function rawStream(port: number, node: string, cluster: string): { call: ClientDuplexStream<Buffer, Buffer>; client: Client } {
  const options = { 'grpc.use_local_subchannel_pool': 1 };
  const client = new Client(`127.0.0.1:${port}`, ChannelCredentials.createInsecure(), options);
  const { path, requestSerialize, responseDeserialize } = LINK_METHOD;
  const metadata = describeNode(node, cluster);
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  call.on('error', (error) => call.emit('failed', error));
  call.resume();
  return { call, client };
}

