import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { LeaseView } from '../../node/admin/lease-view.ts';
import { formatStatus } from '../../node/cli/status.ts';
import { formatDuration, printable, renderTable } from '../../node/cli/table.ts';
import { BindingState, encodeRecord } from '../../node/lease/record.ts';
import { VERSION } from '../../node/version.ts';
import { type Ended, runLessor } from '../support/run-lessor.ts';
import { binding, leaseSource, startNode } from './admin-fixture.ts';
import { exampleStatus } from './telemetry-fixture.ts';

const ENTRY = fileURLToPath(new URL('../../node/cli/lessor.ts', import.meta.url));
const A1 = 0x0a01_0001;

const lessor = (...args: string[]): Promise<Ended> => runLessor(args);

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-cli-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Something that listens and is no node. @returns its URL */
async function startOther(context: TestContext, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.closeAllConnections());
  context.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}`;
}

const leases = leaseSource(new Map([
  [A1, binding({ hostname: Buffer.from('printer'), reserved: true })],
  [A1 + 1, binding({ chaddr: Buffer.from('02000000beef', 'hex'), state: BindingState.RELEASED })],
]));

test('help and version are everywhere', async () => {
  for (const command of [[], ['node'], ['config'], ['config', 'check'], ['status'], ['leases']]) {
    const help = await lessor(...command, '--help');
    assert.equal(help.code, 0, command.join(' '));
    assert.match(help.out, new RegExp(`^Usage: ${['lessor', ...command].join(' ')}`));
    assert.deepEqual(await lessor(...command, '--version'), { code: 0, out: `${VERSION}\n`, err: '' }, command.join(' '));
  }
});

test('wrong usage is told and ends with 2', async () => {
  for (const args of [
    [], ['stauts'], ['status', '--jsn'], ['node'], ['config', 'check'], ['status', '--url', 'ftp://x'], ['status', 'surplus'],
    ['status', '--url', 'https://127.0.0.1', '--tls-cert', 'x'], ['config', 'check', 'x', '--kind', 'both'],
  ]) {
    const { code, out, err } = await lessor(...args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(out, '', args.join(' '));
    assert.notEqual(err, '', args.join(' '));
  }
});

test('a node that is not there ends with 3, its URL and what to try', async () => {
  for (const command of ['status', 'leases']) {
    const { code, err } = await lessor(command, '--url', 'http://127.0.0.1:9');
    assert.equal(code, 3);
    assert.match(err, /^lessor: cannot reach a node at http:\/\/127\.0\.0\.1:9: .*--url http:\/\/HOST:PORT.*--config/);
  }
});

test('what is no node is told from one', async (context) => {
  const page = await startOther(context, createServer((_, response) => void response.end('<html>')));
  for (const command of ['status', 'leases']) {
    const { code, err } = await lessor(command, '--url', page);
    assert.equal(code, 3);
    assert.match(err, /no Lessor node|broke off/);
  }
  const missing = await startOther(context, createServer((_, response) => void response.writeHead(404).end('nothing')));
  assert.match((await lessor('status', '--url', missing)).err, /answered 404: Not Found\. Is this the HTTP port of a Lessor node\?/);
});

test('an answer that breaks off ends with 3', async (context) => {
  const url = await startOther(context, createServer((_, response) => {
    response.write('{"address":"10.1.0.1","state":"ACTIVE"}\n', () => response.destroy());
  }));
  const { code, err } = await lessor('leases', '--json', '--url', url);
  assert.equal(code, 3);
  assert.match(err, /broke off/);
});

test('the status shows nodes, states, view, slots, lag and the leases of each pool', async (context) => {
  const { code, out } = await lessor('status', '--url', await startNode(context));
  assert.equal(code, 0);
  assert.match(out, /^node a: NORMAL, up 1h 02m, version 0\.1\.0$/m);
  assert.match(out, /^view: epoch 7, generation 1, members a b, leader a$/m);
  assert.match(out, /^etcd: reachable, last answer 1\.5 s ago$/m);
  assert.match(out, /^certificates: cluster until 2027-01-15T08:00:00Z$/m);
  assert.match(out, /^a \(this\) +NORMAL +leader +- +128 +- +- +0\.1\.0 +1 to 2$/m);
  assert.match(out, /^b +NORMAL +member +up +128 +3 changes, 4 ms +- +0\.0\.9 +1$/m);
  assert.match(out, /^10\.0\.0\.0\/8 +1000 +812 +4 +3 +2 +179 +a 90, b 89$/m);
});

test('a node without a view, etcd and peers has a status as well', () => {
  const text = formatStatus(exampleStatus({
    view: null, peers: [], leases: [], interfaces: [], slotsOwned: 0, state: 'STARTUP', role: 'outside',
    etcd: { configured: false, reachable: false, lastSuccessSecondsAgo: null, wentBack: '' },
  }));
  assert.match(text, /view: none/);
  assert.match(text, /etcd: not used, a single node/);
  assert.match(text, /^a \(this\) +STARTUP +outside +- +0 +- +- +0\.1\.0 +1 to 2$/m);
});

test('the status tells which protocol versions there are, and why a node is not let in', () => {
  assert.match(formatStatus(exampleStatus()), /^protocol: version 1 in force; this node speaks 1 to 2$/m);
  const refused = formatStatus(exampleStatus({ protocol: { min: 2, max: 2, inForce: 0, refused: 'speaks protocol 2, the members a 1, b 1' } }));
  assert.match(refused, /^protocol: none in force here; this node speaks 2; NOT LET IN: it speaks protocol 2, the members a 1, b 1; start a version/m);
});

test('the status tells who is drained, by whom and why', () => {
  assert.match(formatStatus(exampleStatus()), /^drained: c is ordered out of service by root@host since 2026-01-02T03:04:05Z: a new disk \(it is out\)$/m);
  const [drain] = exampleStatus().drains;
  assert.match(formatStatus(exampleStatus({ drains: [{ ...drain!, reason: '', force: true, standing: 'kept' }] })),
    /^drained: c is ordered out of service by force by root@host since \S+ \(NOT OBEYED: /m);
});

test('the status as JSON is the snapshot', async (context) => {
  const { out } = await lessor('status', '--json', '--url', await startNode(context));
  assert.deepEqual(JSON.parse(out), exampleStatus());
});

test('leases are a table, or lines of JSON', async (context) => {
  const url = await startNode(context, { leases });
  const table = (await lessor('leases', '--url', url)).out.split('\n');
  assert.match(table[0]!, /^ADDRESS +STATE +ENDS +HARDWARE +SUBNET +OWNER +CLIENT ID +HOST NAME$/);
  assert.match(table[1]!, /^10\.1\.0\.1 +ACTIVE +2023-11-14T23:13:20Z +52:54:00:12:34:56 +10\.0\.0\.0\/8 +b +- +printer \(reserved\)$/);
  assert.match(table[2]!, /^10\.1\.0\.2 +RELEASED /);
  const json = (await lessor('leases', '--json', '--url', url)).out.trimEnd().split('\n').map((line) => JSON.parse(line) as LeaseView);
  assert.deepEqual(json.map(({ address }) => address), ['10.1.0.1', '10.1.0.2']);
});

test('one client is found by hardware address, client id or host name; nobody ends with 1', async (context) => {
  const url = await startNode(context, { leases });
  for (const client of ['02:00:00:00:be:ef', '0102000000beef']) {
    assert.match((await lessor('leases', '--client', client, '--url', url)).out, /\n10\.1\.0\.2 /);
  }
  assert.match((await lessor('leases', '--client', 'printer', '--url', url)).out, /\n10\.1\.0\.1 /);
  const nobody = await lessor('leases', '--client', 'scanner', '--url', url);
  assert.deepEqual({ code: nobody.code, out: nobody.out }, { code: 1, out: '' });
  assert.match(nobody.err, /no binding for client scanner/);
  // An empty list is an answer, too.
  assert.equal((await lessor('leases', '--state', 'expired', '--url', url)).code, 0);
});

test('a wrong filter ends with 2 and what was expected', async (context) => {
  const { code, err } = await lessor('leases', '--address', '10.1', '--url', await startNode(context));
  assert.equal(code, 2);
  assert.match(err, /address: expected an IPv4 address/);
});

test('the node is found by the configuration that it runs with', async (context) => {
  const { port } = new URL(await startNode(context));
  const file = join(temporaryFolder(context), 'node.yaml');
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    writeFileSync(file, nodeYaml(`http: { listen: "${host}:${port}" }`));
    assert.equal((await lessor('status', '--config', file)).code, 0, host);
  }
});

test('what a client sent cannot steer the terminal', async (context) => {
  const evil = binding({ hostname: Buffer.from('\u001B[2Jx\r\ny\u202Ez') });
  const { out } = await lessor('leases', '--url', await startNode(context, { leases: leaseSource(new Map([[A1, evil]])) }));
  assert.match(out, /\?\[2Jx\?\?y\?z\n$/);
  assert.ok(!printable('\u009B31m\u0000').includes('\u009B'));
});

function nodeYaml(more = ''): string {
  return `node: a\ndataDir: ./data\ndhcp: { interfaces: [eth0] }\nconfig: ./cluster.yaml\n${more}\n`;
}

const CLUSTER_YAML = `
nodes: { a: { weight: 1 } }
subnets:
  - subnet: 10.0.0.0/8
    pools: [10.1.0.0-10.1.0.255]
    reservations: [{ hardware: 52:54:00:12:34:56, address: 10.0.5.5 }]
`;

test('a good configuration is OK, with what it says', async (context) => {
  const folder = temporaryFolder(context);
  const [node, cluster] = [join(folder, 'node.yaml'), join(folder, 'cluster.yaml')];
  writeFileSync(node, nodeYaml());
  const alone = await lessor('config', 'check', node);
  assert.equal(alone.code, 0, alone.err);
  assert.match(alone.out, /^OK: node a; serves eth0; HTTP on 127\.0\.0\.1:9067; a single node, without a cluster$/m);
  assert.match(alone.out, /cluster\.yaml is not there; the node needs it/);
  writeFileSync(cluster, CLUSTER_YAML);
  assert.match((await lessor('config', 'check', node)).out, /\nOK: nodes a \(weight 1\); subnets 10\.0\.0\.0\/8; 256 addresses in pools; 1 reservation/);
  assert.match((await lessor('config', 'check', cluster)).out, /^OK: nodes a/);
  assert.equal((await lessor('config', 'check', cluster, '--kind', 'cluster')).code, 0);
});

test('every mistake of a configuration is told with its place, and ends with 1', async (context) => {
  const folder = temporaryFolder(context);
  const file = join(folder, 'cluster.yaml');
  writeFileSync(file, 'leaseTime: soon\nsubnets:\n  - subnet: 10.0.0.1/8\n    pool: []\n');
  const { code, out, err } = await lessor('config', 'check', file);
  assert.equal(code, 1);
  assert.equal(out, '');
  assert.match(err, /cluster\.yaml:1:\d+: leaseTime: /);
  assert.match(err, /cluster\.yaml:3:\d+: subnets\[0\]\.subnet: /);
  assert.match(err, /cluster\.yaml:4:\d+: subnets\[0\]\.pool: unknown key/);
  // The two files must fit together as well.
  writeFileSync(join(folder, 'node.yaml'), nodeYaml());
  writeFileSync(file, CLUSTER_YAML.replace('{ a:', '{ x:'));
  assert.match((await lessor('config', 'check', join(folder, 'node.yaml'))).err, /expected this node's name "a"/);
});

test('a file of no kind and a file that is not there are told', async (context) => {
  const file = join(temporaryFolder(context), 'x.yaml');
  assert.equal((await lessor('config', 'check', file)).code, 1);
  writeFileSync(file, 'colour: green\n');
  const { code, err } = await lessor('config', 'check', file);
  assert.equal(code, 2);
  assert.match(err, /--kind node or --kind cluster/);
});

test('a reader that closes the pipe ends the command without a complaint', async (context) => {
  const bindings = new Map(Array.from({ length: 20_000 }, (_, n) => [A1 + n, binding()]));
  const url = await startNode(context, { leases: leaseSource(bindings) });
  const child = spawn('sh', ['-c', `"${process.execPath}" "${ENTRY}" leases --url ${url} | head -n 2; echo ended`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (err += chunk));
  await once(child, 'close');
  assert.equal(err, '');
  assert.match(out, /^ADDRESS .*\n10\.1\.0\.1 .*\nended\n$/);
});

test('the entry runs as a program, with the exit code of the command', async () => {
  const run = async (...args: string[]): Promise<unknown> => {
    const child = spawn(process.execPath, [ENTRY, ...args], { stdio: 'ignore' });
    return ((await once(child, 'exit')) as unknown[])[0];
  };
  assert.deepEqual(await Promise.all([run('--version'), run('nonsense'), run('status', '--url', 'http://127.0.0.1:9')]), [0, 2, 3]);
});

test('tables and durations are easy to read', () => {
  assert.equal(renderTable(['A', 'LONG'], [['abc', '1'], ['x', '']]), 'A    LONG\nabc  1\nx\n');
  const shown = [5, 67, 7_500, 270_000].map(formatDuration);
  assert.deepEqual(shown, ['5s', '1m 07s', '2h 05m', '3d 3h']);
});

test('a record without a client section is shown all the same', async (context) => {
  const bare = encodeRecord({
    state: BindingState.ABANDONED, hasClientIdentifier: false, reserved: false, htype: 0, chaddr: Buffer.alloc(0),
    clientKey: Buffer.alloc(0), stateSince: 1, lastTransaction: 1, expires: 1, leaseSeconds: 0, xid: 0,
    relayAgentInformation: Buffer.alloc(0), hostname: Buffer.alloc(0),
  });
  const url = await startNode(context, { leases: leaseSource(new Map([[A1, bare]])) });
  assert.match((await lessor('leases', '--url', url)).out, /\n10\.1\.0\.1 +ABANDONED /);
});

test('lessor ready says by its exit code whether a node answers clients', async (context) => {
  assert.deepEqual(await lessor('ready', '--url', await startNode(context)), { code: 0, out: 'ready\n', err: '' });
  const draining = await startNode(context, { ready: () => ({ ready: false, reason: 'DRAINING' }) });
  assert.deepEqual(await lessor('ready', '--url', draining), { code: 1, out: '', err: 'lessor: not ready: DRAINING\n' });
  const page = await startOther(context, createServer((_, response) => void response.writeHead(503).end('{}')));
  const { code, err } = await lessor('ready', '--url', page);
  assert.equal(code, 3);
  assert.match(err, /is no Lessor node/);
});
