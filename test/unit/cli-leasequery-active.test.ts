import { strict as assert } from 'node:assert';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { QueryStatus, QueryType } from '../../node/leasequery/messages.ts';
import { runLessor } from '../support/run-lessor.ts';
import { answer, change, jsonLines, makeCertificates, type Peer, readCertificate, startServer, status, temporaryFolder, type Change } from './leasequery-fixture.ts';

const ENTRY = fileURLToPath(new URL('../../node/cli/lessor.ts', import.meta.url));
const BASE = 1_800_000_000;
const BASE_TEXT = '2027-01-15T08:00:00Z';
const { LEASEQUERYSTATUS } = QueryType;

/** The n-th change, which came about n seconds after BASE. */
const nth = (n: number, base = BASE + n): Change => ({ address: `10.0.0.${n}`, base, since: BASE + n });

const active = (server: string, ...args: string[]): ReturnType<typeof runLessor> =>
  runLessor(['leasequery', 'active', '--insecure', '--json', '--server', server, ...args]);

/** What was printed, each line by its address or status. */
const printed = (out: string): unknown[] => jsonLines(out).map((line) => line['address'] ?? line['status']);

/** The command as a process, which ends by SIGTERM at the latest with the test. */
function startLessor(context: TestContext, ...args: string[]): { readonly child: ChildProcessByStdio<null, Readable, Readable>; readonly lines: () => unknown[]; readonly err: () => string } {
  const child = spawn(process.execPath, [ENTRY, 'leasequery', 'active', '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  context.after(() => child.kill('SIGKILL'));
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  return { child, lines: () => printed(out), err: () => err };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`waited in vain for ${what}`);
}

async function begun(peer: Peer): Promise<{ readonly xid: number; readonly startTime: number | undefined }> {
  const query = await peer.query();
  assert.equal(query.type, QueryType.ACTIVELEASEQUERY);
  return { xid: query.xid, startTime: query.optionU32(154) };
}

test('RFC 7724 §7.4: changes are printed as they come, and the end of the connection ends with 3', async (context) => {
  const server = await startServer(context, async (peer) => {
    const { xid, startTime } = await begun(peer);
    assert.equal(startTime, undefined);
    await peer.send(change(xid, nth(1)), status(xid, LEASEQUERYSTATUS, QueryStatus.CONNECTION_ACTIVE, '', BASE + 2), change(xid, { ...nth(3), state: 4 }));
    peer.end();
  });
  const { code, out, err } = await active(server);
  assert.equal(code, 3);
  assert.deepEqual(jsonLines(out).map(({ address, type, state }) => [address, type, state]), [['10.0.0.1', 'ACTIVE', 'ACTIVE'], ['10.0.0.3', 'UNASSIGNED', 'RELEASED']]);
  assert.match(err, /connected; changes from now on\.\n.*closed the connection before the query was done\. Its log may say why: .* Ask again, or ask another server \(--server\)\.\n$/);
  const table = (await runLessor(['leasequery', 'active', '--insecure', '--server', server])).out;
  assert.match(table, /^ADDRESS .*\n10\.0\.0\.1 +ACTIVE .*\n10\.0\.0\.3 +RELEASED /);
});

test('a server that ends the query is told with its reason, and ends with 1', async (context) => {
  for (const [type, code] of [[LEASEQUERYSTATUS, QueryStatus.NOT_ALLOWED], [QueryType.LEASEQUERYDONE, QueryStatus.QUERY_TERMINATED]] as const) {
    const server = await startServer(context, async (peer) => {
      const { xid } = await begun(peer);
      await peer.send(status(xid, type, code, 'not now'));
      await peer.closed();
    });
    const ended = await active(server);
    assert.equal(ended.code, 1);
    assert.match(ended.err, /ended the query: (NOT_ALLOWED|QUERY_TERMINATED): not now\. The server says so itself: its configuration or its log tells more\.\n$/);
  }
});

test('RFC 7724 §7.4: silence ends the connection', async (context) => {
  const server = await startServer(context, async (peer) => {
    await begun(peer);
    await peer.closed();
  });
  const { code, err } = await active(server, '--timeout', '50ms');
  assert.deepEqual([code, /sent nothing for 0\.05 s/.test(err)], [3, true]);
});

test('RFC 7724 §7.4.1: each change is printed once, whether the server repeats it or not, and where the catch-up ends is told', async (context) => {
  const server = await startServer(context, async (peer) => {
    const { xid, startTime } = await begun(peer);
    assert.equal(startTime, BASE);
    await peer.send(change(xid, nth(2)), change(xid, nth(1)), change(xid, nth(2, BASE + 50)), status(xid, LEASEQUERYSTATUS, QueryStatus.CATCH_UP_COMPLETE, '', BASE + 60));
    await peer.send(change(xid, nth(1, BASE + 70)), change(xid, { ...nth(1, BASE + 70), leaseEnds: BASE + 9000 }));
    peer.end();
  });
  const { out } = await active(server, '--start-time', String(BASE));
  assert.deepEqual(printed(out), ['10.0.0.2', '10.0.0.1', 'catch-up-complete', '10.0.0.1']);
  assert.deepEqual(jsonLines(out)[2], { status: 'catch-up-complete', baseTime: '2027-01-15T08:01:00Z' });
  const all = await active(server, '--start-time', BASE_TEXT, '--duplicates');
  assert.equal(printed(all.out).length, 6);
});

test('RFC 7724 §7.3: the place in the state file is the last complete one, and the next run begins there', async (context) => {
  const file = join(temporaryFolder(context), 'state.json');
  const starts: (number | undefined)[] = [];
  const server = await startServer(context, async (peer, n) => {
    const { xid, startTime } = await begun(peer);
    starts.push(startTime);
    await peer.send(change(xid, nth(10 + n)));
    // The second run is cut off while it catches up.
    if (n !== 1) await peer.send(status(xid, LEASEQUERYSTATUS, QueryStatus.CATCH_UP_COMPLETE, '', BASE + 20 + n), change(xid, nth(30 + n)));
    peer.end();
  });
  for (const place of [BASE + 30, BASE + 30, BASE + 32]) {
    await active(server, '--state-file', file);
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { server, baseTime: new Date(place * 1000).toISOString().replace('.000', '') });
    assert.equal(existsSync(`${file}.next`), false);
  }
  assert.deepEqual(starts, [undefined, BASE + 30, BASE + 30]);
  // Another server's clock may differ: that is said.
  writeFileSync(file, `{"server":"192.0.2.1:67","baseTime":"${BASE_TEXT}"}`);
  assert.match((await active(server, '--state-file', file)).err, /is about 192\.0\.2\.1:67; going on from there/);
  assert.equal(starts.at(-1), BASE);
  for (const text of ['', '{}', '{"server":"x","baseTime":"soon"}']) {
    writeFileSync(file, text);
    const { code, err } = await active(server, '--state-file', file);
    assert.deepEqual([code, /as this command writes it/.test(err)], [1, true], text);
  }
});

test('a place that cannot be kept ends the command', async (context) => {
  const server = await startServer(context, async (peer) => {
    const { xid } = await begun(peer);
    await peer.send(change(xid, nth(1)));
    peer.end();
  });
  const { code, err } = await active(server, '--state-file', join(temporaryFolder(context), 'no', 'such', 'folder'));
  assert.deepEqual([code, /cannot be written/.test(err)], [1, true], err);
});

test('RFC 7724 §7.4.1: what the server no longer has is got by a bulk query over the missing time, and the minute before it', async (context) => {
  const file = join(temporaryFolder(context), 'state.json');
  let filled = Promise.withResolvers<void>();
  const server = await startServer(context, async (peer) => {
    const query = await peer.query();
    const { xid } = query;
    if (query.type === QueryType.BULKLEASEQUERY) {
      assert.deepEqual([query.optionU32(154), query.optionU32(155)], [BASE - 60, BASE + 100]);
      await peer.send(change(xid, nth(1, BASE + 101)), change(xid, nth(110, BASE + 111)), answer({ type: QueryType.LEASEQUERYDONE, xid }));
      await peer.closed();
      filled.resolve();
      return;
    }
    await peer.send(status(xid, LEASEQUERYSTATUS, QueryStatus.DATA_MISSING, '', BASE + 100), change(xid, nth(110)));
    await filled.promise;
    peer.end();
  });
  const { out } = await active(server, '--start-time', String(BASE), '--bulk-fill');
  // The change that both tell of comes once.
  assert.equal(printed(out).length, 4);
  assert.deepEqual(new Set(printed(out)), new Set(['data-missing', '10.0.0.110', '10.0.0.1', 'bulk-fill-complete']));
  assert.deepEqual(jsonLines(out).find((line) => 'status' in line), { status: 'data-missing', baseTime: '2027-01-15T08:01:40Z' });
  filled = Promise.withResolvers();
  writeFileSync(file, JSON.stringify({ server, baseTime: BASE_TEXT }));
  await active(server, '--state-file', file, '--bulk-fill');
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { server, baseTime: '2027-01-15T08:01:50Z' });
});

test('a bulk query that fails ends the active one too, and the place is the old one', async (context) => {
  const file = join(temporaryFolder(context), 'state.json');
  const server = await startServer(context, async (peer) => {
    const query = await peer.query();
    if (query.type === QueryType.BULKLEASEQUERY) {
      await peer.send(status(query.xid, QueryType.LEASEQUERYDONE, QueryStatus.NOT_ALLOWED, 'too many'));
    } else {
      await peer.send(status(query.xid, LEASEQUERYSTATUS, QueryStatus.DATA_MISSING, '', BASE + 100), change(query.xid, nth(110)));
    }
    await peer.closed();
  });
  writeFileSync(file, JSON.stringify({ server, baseTime: BASE_TEXT }));
  const { code, err } = await active(server, '--state-file', file, '--bulk-fill');
  assert.deepEqual([code, /bulk query for what is missing: ended the query: NOT_ALLOWED: too many/.test(err)], [1, true], err);
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { server, baseTime: BASE_TEXT });
});

test('the first server that can be reached is followed', async (context) => {
  const server = await startServer(context, async (peer) => {
    await begun(peer);
    peer.end();
  });
  const { code, err } = await active('127.0.0.1:9', '--server', server);
  assert.equal(code, 3);
  assert.match(err, /^127\.0\.0\.1:9: connection refused\. Next: \S+, now\.\n\S+: connected/);
});

test('a second server takes up where the first has ended, at once, and SIGTERM ends it in good order', async (context) => {
  const file = join(temporaryFolder(context), 'state.json');
  const one = await startServer(context, async (peer) => {
    const { xid } = await begun(peer);
    await peer.send(change(xid, nth(1)), change(xid, nth(2)));
    peer.reset();
  });
  const starts: (number | undefined)[] = [];
  const other = await startServer(context, async (peer) => {
    const { xid, startTime } = await begun(peer);
    starts.push(startTime);
    await peer.send(change(xid, nth(2, BASE + 9)), change(xid, nth(3)), status(xid, LEASEQUERYSTATUS, QueryStatus.CATCH_UP_COMPLETE, '', BASE + 9), change(xid, nth(10)));
    await peer.closed();
  });
  const { child, lines, err } = startLessor(context, '--insecure', '--server', one, '--server', other, '--reconnect', '--state-file', file);
  await until('the second server\'s changes', () => lines().includes('10.0.0.10'));
  assert.deepEqual([lines(), starts], [['10.0.0.1', '10.0.0.2', '10.0.0.3', 'catch-up-complete', '10.0.0.10'], [BASE + 2]], err());
  assert.match(err(), /the connection was (?:reset|closed)\. Next: \S+, now\./);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { server: other, baseTime: '2027-01-15T08:00:10Z' });
});

test('RFC 7724 §7.1: one server is not tried more often than the interval says', async (context) => {
  const times: number[] = [];
  const server = await startServer(context, async (peer) => {
    times.push(performance.now());
    const { xid } = await begun(peer);
    await peer.send(status(xid, LEASEQUERYSTATUS, QueryStatus.QUERY_TERMINATED, 'restarting', BASE));
    await peer.closed();
  });
  const { child } = startLessor(context, '--insecure', '--server', server, '--reconnect', '--retry-interval', '300ms');
  await until('three attempts', () => times.length === 3);
  assert.ok(times[1]! - times[0]! > 250 && times[2]! - times[1]! > 250, String(times));
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('RFC 7724 §7.2: the query goes over TLS, with both certificates', async (context) => {
  const { ca, server: identity, requestor } = makeCertificates(temporaryFolder(context));
  const server = await startServer(context, async (peer) => {
    const { xid, type } = await peer.query();
    assert.equal(type, QueryType.TLS);
    await peer.send(answer({ type: QueryType.TLS, xid }));
    await peer.startTls(readCertificate(identity, ca));
    const query = await begun(peer);
    await peer.send(change(query.xid, nth(1)));
    peer.end();
  }, { mayFail: true });
  const own = ['--tls-cert', requestor.cert, '--tls-key', requestor.key];
  const over = (...args: string[]): ReturnType<typeof runLessor> => runLessor(['leasequery', 'active', '--json', '--server', server, ...args]);
  const good = await over('--tls-ca', ca, ...own, '--tls-server-name', 'dhcp.test');
  assert.deepEqual([good.code, printed(good.out)], [3, ['10.0.0.1']], good.err);
  for (const [args, reason] of [
    [[...own, '--tls-server-name', 'dhcp.test'], /self-signed|unable to/],
    [['--tls-ca', ca, ...own], /127\.0\.0\.1.* not in the cert|altnames/],
    [['--tls-ca', ca, ...own, '--tls-server-name', 'other.test'], /altnames/],
    [['--tls-ca', ca, '--tls-server-name', 'dhcp.test'], /certificate required|closed|reset|handshake/i],
  ] as const) {
    const { code, out, err } = await over(...args);
    assert.deepEqual([code, out], [3, ''], err);
    assert.match(err, reason);
  }
});

test('RFC 7724 §7.2: a server without TLS is left: it refuses, closes, keeps silent, or answers something else', async (context) => {
  const cases: readonly (readonly [(peer: Peer, xid: number) => Promise<void>, RegExp])[] = [
    [(peer, xid) => peer.send(status(xid, QueryType.TLS, QueryStatus.TLS_CONNECTION_REFUSED, 'plain only')), /refuses TLS \(TLS_CONNECTION_REFUSED: plain only\)/],
    [(peer) => Promise.resolve(peer.end()), /offers no TLS \(it closed the connection at DHCPTLS\)/],
    [(peer, xid) => peer.send(answer({ type: QueryType.LEASEACTIVE, xid })), /refuses TLS \(message type 13\)/],
    [(peer) => peer.send(Buffer.from('garbage')), /offers no TLS \(its answer to DHCPTLS is no DHCP message/],
    [(peer, xid) => peer.send(answer({ type: QueryType.TLS, xid }), change(xid, nth(1))), /sent more than its DHCPTLS before TLS/],
  ];
  for (const [reply, reason] of cases) {
    const server = await startServer(context, async (peer) => {
      const { xid } = await peer.query();
      await reply(peer, xid);
      await peer.closed();
    });
    const { code, out, err } = await runLessor(['leasequery', 'active', '--server', server]);
    assert.deepEqual([code, out, reason.test(err)], [3, '', true], err);
  }
});
