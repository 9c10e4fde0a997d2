import { strict as assert } from 'node:assert';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import type { CliOutput } from '../../node/cli/output.ts';
import { runCli } from '../../node/cli/program.ts';
import { DhcpMessage } from '../../node/codec/message.ts';
import { framed } from '../../node/leasequery/framing.ts';
import { QueryOption, QueryStatus, QueryType } from '../../node/leasequery/messages.ts';
import { runLessor } from '../support/run-lessor.ts';
import { answer, change, jsonLines, makeCertificates, readCertificate, startServer, status, temporaryFolder, u32 } from './leasequery-fixture.ts';

const BASE = 1_800_000_000;
const CIRCUIT = Buffer.concat([Buffer.of(1, 4), Buffer.from('eth1'), Buffer.of(2, 2, 0, 7)]);
const LOCALHOST = u32(0x7f00_0001);

const done = (xid: number): Buffer => answer({ type: QueryType.LEASEQUERYDONE, xid });
const binding = (xid: number, n: number, options: Readonly<Record<number, Buffer>> = {}): Buffer =>
  change(xid, { address: `10.0.${n >> 8}.${n & 255}`, base: BASE, since: BASE - 100, options });

/** A server on UDP; what `reply` returns goes back to where the query came from. */
async function startDatagramServer(context: TestContext, reply: (query: DhcpMessage, n: number) => readonly Buffer[]): Promise<string> {
  const socket = createSocket('udp4');
  let count = 0;
  socket.on('message', (bytes, { port, address }) => {
    const query = new DhcpMessage();
    assert.equal(query.parse(bytes), undefined);
    for (const message of reply(query, count++)) socket.send(message, port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  context.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

/** A port for answers that nobody has at the moment. */
async function freePort(): Promise<string> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return String(port);
}

async function single(server: string, ...args: string[]): ReturnType<typeof runLessor> {
  return runLessor(['leasequery', 'single', '--server', server, '--source-port', await freePort(), '--timeout', '50ms', ...args]);
}

test('wrong usage of each command is told and ends with 2', async () => {
  const [one, bulk, active] = [['single', '--server', 'x'], ['bulk', '--server', 'x'], ['active', '--server', 'x']];
  for (const args of [
    [], ['single'], one, [...one, '--address', '10'], [...one, '--address', '10.0.0.1', '--client-id', '0102'], [...one, '--hardware', 'x'],
    [...one, '--address', '10.0.0.1', '--options', 'no-such'], ['single', '--server', 'x:0', '--address', '10.0.0.1'],
    [...bulk, '--remote-id', 'a', '--relay-id', 'b'], [...bulk, '--start-time', 'soon'], [...bulk, '--start-time', '20', '--end-time', '10'],
    [...bulk, '--vpn', 'a', '--all-vpns'], [...bulk, '--remote-id', '0x1'], [...bulk, '--tls-cert', 'x'],
    ['active'], [...active, '--insecure', '--tls-ca', 'x'], [...active, '--start-time', '10', '--state-file', 'x'], [...active, '--tls-key', 'x'],
  ]) {
    const { code, out, err } = await runLessor(['leasequery', ...args]);
    assert.equal(code, 2, args.join(' '));
    assert.equal(out, '', args.join(' '));
    assert.notEqual(err, '', args.join(' '));
  }
});

test('one active address is shown with all that the server tells', async (context) => {
  const server = await startDatagramServer(context, (query) => [answer({
    type: QueryType.LEASEACTIVE, xid: query.xid, address: '10.0.0.5', hardware: '525400123456',
    options: {
      12: Buffer.from('printer'), 51: u32(7500), 54: u32(0x0a00_0001), 58: u32(60), 60: Buffer.from('MSFT 5.0'), 61: Buffer.of(1, 2, 3), 82: CIRCUIT,
      91: u32(67), 92: Buffer.concat([u32(0x0a00_0005), u32(0x0a00_0006)]),
    },
  })]);
  const text = await single(server, '--address', '10.0.0.5');
  assert.equal(text.code, 0, text.err);
  assert.match(text.out, /^10\.0\.0\.5 ACTIVE, says 10\.0\.0\.1\n/);
  for (const line of [
    /^ {2}hardware: +52:54:00:12:34:56$/m, /^ {2}client id: +010203$/m, /^ {2}host name: +printer$/m, /^ {2}lease: +2h 05m left, until 20/m,
    /^ {2}last transaction: +1m 07s ago, 20/m, /^ {2}relay: +circuit-id=eth1 remote-id=00:07$/m, /^ {2}associated: +10\.0\.0\.5 10\.0\.0\.6$/m,
    /^ {2}vendor class: +MSFT 5\.0$/m, /^ {2}dhcp-renewal-time: +60$/m,
  ]) assert.match(text.out, line);
  const [json] = jsonLines((await single(server, '--address', '10.0.0.5', '--json')).out);
  const { leaseEnds, lastTransaction, ...told } = json!;
  assert.ok(Math.abs(Date.parse(String(leaseEnds)) - Date.now() - 7_500_000) < 5000);
  assert.ok(Math.abs(Date.parse(String(lastTransaction)) - Date.now() + 67_000) < 5000);
  assert.deepEqual(told, {
    type: 'ACTIVE', address: '10.0.0.5', hardware: '52:54:00:12:34:56', clientId: '010203', leaseSeconds: 7500, relayAgentInformation: CIRCUIT.toString('hex'),
    relay: { 'circuit-id': 'eth1', 'remote-id': { hex: '00:07' } }, hostname: 'printer', vendorClass: 'MSFT 5.0', associated: ['10.0.0.5', '10.0.0.6'],
    server: '10.0.0.1', options: { 'dhcp-renewal-time': 60 },
  });
});

test('RFC 4388 §6.2: what is asked, and for which options', async (context) => {
  const queries: { readonly giaddr: number; readonly ciaddr: number; readonly chaddr: string; readonly identifier: string; readonly options: number[]; readonly relay: string }[] = [];
  const server = await startDatagramServer(context, (query) => {
    queries.push({
      giaddr: query.giaddr, ciaddr: query.ciaddr, chaddr: query.chaddr().toString('hex'), identifier: query.option(61)?.toString('hex') ?? '',
      options: [...query.option(55)!], relay: query.option(82)?.toString('hex') ?? '',
    });
    return [answer({ type: QueryType.LEASEUNASSIGNED, xid: query.xid, address: '10.0.0.5' })];
  });
  const unassigned = await single(server, '--address', '10.0.0.5');
  assert.deepEqual([unassigned.code, unassigned.out], [0, `10.0.0.5 UNASSIGNED, says ${server}\n`]);
  await single(server, '--hardware', '52:54:00:12:34:56', '--options', 'dhcp-lease-time,82');
  await single(server, '--client-id', '01:02:03', '--options', '+domain-name');
  const usual = [51, 61, 82, 91, 12, 60, 58, 59];
  assert.deepEqual(queries, [
    { giaddr: 0x7f00_0001, ciaddr: 0x0a00_0005, chaddr: '', identifier: '', options: usual, relay: '1300' },
    { giaddr: 0x7f00_0001, ciaddr: 0, chaddr: '525400123456', identifier: '', options: [51, 82], relay: '1300' },
    { giaddr: 0x7f00_0001, ciaddr: 0, chaddr: '', identifier: '010203', options: [...usual, 15], relay: '1300' },
  ]);
});

test('an unknown address ends with 1', async (context) => {
  const server = await startDatagramServer(context, (query) => [answer({ type: QueryType.LEASEUNKNOWN, xid: query.xid })]);
  const { code, out, err } = await single(server, '--address', '10.9.9.9', '--json');
  assert.equal(code, 1);
  assert.deepEqual(jsonLines(out), [{ type: 'UNKNOWN' }]);
  assert.match(err, /does not manage this address/);
});

test('RFC 4388 §6.6: a query is repeated with the same xid; garbage and answers to others are passed over; silence ends with 3', async (context) => {
  const xids: number[] = [];
  const server = await startDatagramServer(context, (query, n) => {
    xids.push(query.xid);
    const unassigned = (xid: number): Buffer => answer({ type: QueryType.LEASEUNASSIGNED, xid, address: '10.0.0.5' });
    return n < 2 ? [unassigned((query.xid ^ 1) >>> 0), Buffer.from('garbage'), answer({ type: 5, xid: query.xid })] : [unassigned(query.xid)];
  });
  assert.equal((await single(server, '--address', '10.0.0.5')).code, 0);
  assert.deepEqual([xids.length, new Set(xids).size], [3, 1]);
  const silent = await startDatagramServer(context, () => []);
  const { code, err } = await single(silent, '--address', '10.0.0.5', '--retries', '1');
  assert.equal(code, 3);
  assert.match(err, /did not answer 2 queries; it may not allow LEASEQUERY from 127\.0\.0\.1/);
});

test('an address that is not this host\'s, and a port that is taken, are told', async (context) => {
  const foreign = await single('127.0.0.1', '--address', '10.0.0.5', '--giaddr', '192.0.2.1');
  assert.deepEqual([foreign.code, /no address of this host/.test(foreign.err)], [3, true], foreign.err);
  const taken = createSocket('udp4').bind(0, '127.0.0.1');
  await once(taken, 'listening');
  context.after(() => taken.close());
  const { code, err } = await runLessor(['leasequery', 'single', '--server', '127.0.0.1', '--address', '10.0.0.5', '--source-port', String(taken.address().port)]);
  assert.equal(code, 3);
  assert.match(err, /is taken, by a DHCP server or relay on this host/);
});

test('RFC 6926 §7.3: bindings are lines as they come, with the server identifier of the first one', async (context) => {
  const server = await startServer(context, async (peer) => {
    const { xid, type } = await peer.query();
    assert.equal(type, QueryType.BULKLEASEQUERY);
    await peer.send(binding(xid, 5, { 54: LOCALHOST, 82: CIRCUIT, 157: Buffer.of(1), 12: Buffer.from('a\u001b[2J') }));
    // The rest in pieces: a message ends where it ends.
    const rest = Buffer.concat([change(xid, { address: '10.0.0.6', base: BASE, since: BASE - 5, state: 1 }), done(xid)].map(framed));
    for (const byte of rest.subarray(0, 300)) await peer.raw(Buffer.of(byte));
    await peer.raw(rest.subarray(300));
    await peer.closed();
  });
  const { code, out, err } = await runLessor(['leasequery', 'bulk', '--server', server, '--json']);
  assert.deepEqual([code, err], [0, '']);
  const [first, second] = jsonLines(out);
  assert.deepEqual(first, {
    type: 'ACTIVE', address: '10.0.0.5', state: 'ACTIVE', hardware: '52:54:00:12:34:56', leaseSeconds: 3500, leaseEnds: '2027-01-15T08:58:20Z',
    lastTransaction: '2027-01-15T07:58:20Z', stateSince: '2027-01-15T07:58:20Z', baseTime: '2027-01-15T08:00:00Z', remote: true,
    relayAgentInformation: CIRCUIT.toString('hex'), relay: { 'circuit-id': 'eth1', 'remote-id': { hex: '00:07' } }, hostname: 'a\u001b[2J', server: '127.0.0.1',
  });
  // RFC 6926 §6.2.8: what was asked for and does not appear is local.
  assert.deepEqual([second!['type'], second!['state'], second!['server'], second!['remote']], ['UNASSIGNED', 'AVAILABLE', '127.0.0.1', false]);
  const table = (await runLessor(['leasequery', 'bulk', '--server', server])).out.split('\n');
  assert.match(table[0]!, /^ADDRESS +STATE +HARDWARE +LEASE +ENDS /);
  assert.match(table[1]!, /^10\.0\.0\.5 +ACTIVE +52:54:00:12:34:56 +58m 20s +2027-01-15T08:58:20Z .* remote +- +a\?\[2J +circuit-id=eth1 remote-id=00:07$/);
});

test('RFC 6926 §7.2: each primary query and qualifier arrives', async (context) => {
  const queries: unknown[] = [];
  const server = await startServer(context, async (peer) => {
    const query = await peer.query();
    queries.push([query.hlen, query.option(61)?.toString('hex'), query.option(82)?.toString('hex'), query.optionU32(154), query.optionU32(155), query.option(221)?.toString('hex')]);
    await peer.send(done(query.xid));
    await peer.closed();
  });
  const time = '2027-01-15T08:00Z';
  for (const args of [
    ['--hardware', '52:54:00:12:34:56'], ['--client-id', '010203'], ['--remote-id', 'a', '--start-time', time], ['--relay-id', '0x0102', '--end-time', '20'],
    ['--all-vpns'], ['--vpn', 'red'],
  ]) {
    const { code, err } = await runLessor(['leasequery', 'bulk', '--server', server, ...args]);
    assert.deepEqual([code, err], [0, 'No bindings.\n']);
  }
  assert.deepEqual(queries, [
    [6, undefined, undefined, undefined, undefined, undefined], [0, '010203', undefined, undefined, undefined, undefined],
    [0, undefined, '020161', BASE, undefined, undefined], [0, undefined, '0c020102', undefined, 20, undefined],
    [0, undefined, undefined, undefined, undefined, 'fe'], [0, undefined, undefined, undefined, undefined, '00726564'],
  ]);
});

test('totals by state, and the rate', async (context) => {
  const server = await startServer(context, async (peer) => {
    const { xid } = await peer.query();
    for (let n = 0; n < 20; n++) {
      await peer.send(...Array.from({ length: 1000 }, (_, i) => binding(xid, n * 1000 + i)), change(xid, { address: '10.9.0.1', base: BASE, since: BASE, state: 4 }));
    }
    await peer.send(done(xid));
    await peer.closed();
  });
  const [totals] = jsonLines((await runLessor(['leasequery', 'bulk', '--server', server, '--count', '--json'])).out);
  assert.deepEqual([totals!['bindings'], totals!['states']], [20_020, { ACTIVE: 20_000, RELEASED: 20 }]);
  assert.match((await runLessor(['leasequery', 'bulk', '--server', server, '--count'])).out, /^ACTIVE +20000\nRELEASED +20\nall +20020, in [\d.]+ s: \d+\/s\n$/);
});

test('a query that the server ends with an error ends with 1 and its words', async (context) => {
  const server = await startServer(context, async (peer) => {
    const { xid } = await peer.query();
    await peer.send(binding(xid, 1), status(xid, QueryType.LEASEQUERYDONE, QueryStatus.QUERY_TERMINATED, 'going\u001bdown'));
    await peer.closed();
  });
  const { code, out, err } = await runLessor(['leasequery', 'bulk', '--server', server, '--json']);
  assert.deepEqual([code, jsonLines(out).length], [1, 1]);
  assert.match(err, /ended the query: QUERY_TERMINATED: going\?down; 1 binding came before\./);
});

test('what is no answer to the query closes the connection and ends with 3; what came before is printed (RFC 6926 §7.3, §7.8)', async (context) => {
  const cases: readonly (readonly [string, (xid: number) => readonly Buffer[], RegExp])[] = [
    ['another xid', (xid) => [framed(binding((xid ^ 1) >>> 0, 2))], /a query that was not made \(xid 0x/],
    ['garbage', () => [framed(Buffer.from('garbage'))], /what is no DHCP message \(too-short\)/],
    ['UNKNOWN', (xid) => [framed(answer({ type: QueryType.LEASEUNKNOWN, xid }))], /a message of type 12/],
    ['an early end', () => [], /closed the connection before the query was done/],
    ['half a message', (xid) => [framed(binding(xid, 2)).subarray(0, 100)], /in the middle of a message/],
  ];
  for (const [name, messages, reason] of cases) {
    const server = await startServer(context, async (peer) => {
      const { xid } = await peer.query();
      await peer.send(binding(xid, 1));
      await peer.raw(Buffer.concat(messages(xid)));
      peer.end();
      await peer.closed();
    });
    const { code, out, err } = await runLessor(['leasequery', 'bulk', '--server', server, '--json']);
    assert.deepEqual([code, jsonLines(out).length], [3, 1], name);
    assert.match(err, reason, name);
    assert.match(err, /; 1 binding came before\. (Is this the port of a LEASEQUERY server|Its log may say why).*\.\n$/, name);
  }
  const silent = await startServer(context, async (peer) => void await peer.query());
  assert.match((await runLessor(['leasequery', 'bulk', '--server', silent, '--timeout', '50ms'])).err, /sent nothing for 0\.05 s/);
  const nobody = await runLessor(['leasequery', 'bulk', '--server', '127.0.0.1:9']);
  assert.deepEqual([nobody.code, /connection refused/.test(nobody.err)], [3, true]);
});

test('the reader of the output sets the pace, and the server is not read beyond it', async (context) => {
  const batches = 100;
  let sent = 0;
  const server = await startServer(context, async (peer) => {
    const { xid } = await peer.query();
    const batch = Array.from({ length: 500 }, (_, i) => binding(xid, i));
    for (; sent < batches; sent++) {
      await peer.send(...batch);
      // It shares its process with who reads.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.send(done(xid));
    await peer.closed();
  });
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  const { promise: first, resolve: onFirst } = Promise.withResolvers<void>();
  const output: CliOutput = {
    out: () => {
      onFirst();
      return mayGoOn;
    },
    err: () => undefined,
  };
  // Its patience counts from when it reads: who is kept from reading has not lost its server.
  const running = runCli(['leasequery', 'bulk', '--server', server, '--timeout', '2s'], output);
  await Promise.race([first, running]);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.ok(sent < batches, 'the kernel has not room for all');
  goOn();
  assert.equal(await running, 0);
});

test('a bulk query may go over TLS', async (context) => {
  const folder = temporaryFolder(context);
  const { ca, server: identity, requestor } = makeCertificates(folder);
  const server = await startServer(context, async (peer) => {
    const { xid, type } = await peer.query();
    assert.equal(type, QueryType.TLS);
    await peer.send(answer({ type: QueryType.TLS, xid }));
    await peer.startTls(readCertificate(identity, ca));
    const query = await peer.query();
    await peer.send(binding(query.xid, 1, { [QueryOption.DATA_SOURCE]: Buffer.of(0) }), done(query.xid));
    await peer.closed();
  });
  const { code, out, err } = await runLessor(['leasequery', 'bulk', '--server', server, '--json', '--tls-ca', ca, '--tls-cert', requestor.cert, '--tls-key', requestor.key,
    '--tls-server-name', 'dhcp.test']);
  assert.deepEqual([code, err, jsonLines(out)[0]!['remote']], [0, '', false]);
});
