/**
 * `npm run bench:leasequery`: what LEASEQUERY costs one node with a million leases: a bulk query for all of them, with
 * and without DHCP load, and queries over UDP. In network namespaces of its own; all is removed at the end.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Network, whyNoNetwork } from '../../deploy/lab/netns.ts';
import type { Host } from '../../deploy/lab/netns.ts';
import { sleep } from '../../deploy/lab/processes.ts';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import { openLmdbDisk } from '../../node/io/lmdb-disk.ts';
import { BindingState, encodeRecord, writeStamp } from '../../node/lease/record.ts';
import { testCommand, wholeNumber } from '../support/command.ts';
import type { ProberReport } from './prober.ts';

const { leases: LEASES } = testCommand('npm run bench:leasequery', 'What LEASEQUERY costs a node: bulk queries with and without DHCP load, and queries over UDP.')
  .option('--leases <n>', 'so many', wholeNumber(1), 1_000_000)
  .parse().opts<{ leases: number }>();
const FIRST = 0x0a01_0000;
const SERVER = '10.0.0.11';
const REQUESTOR = '10.0.0.31';
const RELAY = '10.0.0.32';
const DHCP_RATE = 500;
const SECONDS = 20;
const QUERIES_PER_SECOND = 10_000;
const CONNECTIONS = 100_000;
const FILL_AT_ONCE = 50_000;
const START_MS = 60_000;

function fill(dataDir: string): void {
  const disk = openLmdbDisk(dataDir);
  const second = Math.floor(Date.now() / 1000);
  for (let from = 0; from < LEASES; from += FILL_AT_ONCE) {
    const records = new Map<number, Buffer>();
    for (let n = from; n < Math.min(from + FILL_AT_ONCE, LEASES); n++) {
      const chaddr = Buffer.from('020000000000', 'hex');
      chaddr.writeUInt32BE(n, 2);
      const record = encodeRecord({
        state: BindingState.ACTIVE, hasClientIdentifier: false, reserved: false, htype: 1, chaddr, clientKey: Buffer.concat([Buffer.of(1), chaddr]),
        stateSince: second, lastTransaction: second, expires: second + 86_400, leaseSeconds: 86_400, xid: n,
        relayAgentInformation: Buffer.concat([Buffer.of(1, 8), Buffer.from(String(n).padStart(8)), Buffer.of(2, 6), chaddr]), hostname: Buffer.from(`host-${n}`),
      });
      writeStamp(record, { epoch: 1, incarnation: 1, seq: n + 1 });
      records.set(FIRST + n, record);
    }
    disk.commitNow({ records, meta: new Map() });
  }
  void disk.close();
}

/** Without what is mapped of the store's file, which is the kernel's to keep or not. */
const residentMb = (pid: number): number => Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1024;
const p99 = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? NaN;

async function jsonOf<T>(process: LabProcess): Promise<T> {
  await process.exited;
  const line = process.output.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`${process.name} made no report; its output:\n${process.output}`);
  return JSON.parse(line) as T;
}

const isRunning = (process: LabProcess): boolean => process.running;

const script = (host: Host, name: string, ...args: string[]): LabProcess =>
  host.spawn([process.execPath, join(import.meta.dirname, name), ...args], { name: `${name} ${args[0]}` });

interface Bulk {
  readonly types: Readonly<Record<string, number>>;
  readonly seconds: number;
}

async function measure(network: Network, folder: string): Promise<void> {
  fill(join(folder, 'data'));
  writeFileSync(join(folder, 'cluster.yaml'), `leasequery: { requestors: [${REQUESTOR}/32] }
authoritative: true
subnets:
  - subnet: 10.0.0.0/8
    pools: [10.1.0.0-10.${1 + Math.ceil(LEASES / 65_536)}.255.255]
`);
  writeFileSync(join(folder, 'a.yaml'), 'node: a\ndataDir: ./data\ndhcp: { interfaces: [eth0] }\nhttp: { listen: 127.0.0.1:9067 }\n');
  network.createSegment('lq', { hosts: [
    { name: 'server', addresses: [`${SERVER}/8`] }, { name: 'requestor', addresses: [`${REQUESTOR}/8`] }, { name: 'relay', addresses: [`${RELAY}/8`] },
  ] });
  const [server, requestor, relay] = ['server', 'requestor', 'relay'].map((name) => network.host(name)) as [Host, Host, Host];
  const node = server.spawn([process.execPath, join(import.meta.dirname, '../../node/cli/lessor.ts'), 'node', '--config', join(folder, 'a.yaml')], { name: 'node a', cwd: folder });
  await node.waitForLine(/"to":"NORMAL"/, START_MS);
  await sleep(3000);
  let clients = 1_500_000;
  const load = (): LabProcess => script(relay, 'prober.ts', RELAY, String(SECONDS), String(DHCP_RATE), String(clients += 100_000));
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const sayLoad = (what: string, { acks, offers, sent }: ProberReport): void =>
    say(`${what}: ${sent} clients, ${acks.length} served; p99 OFFER ${p99(offers).toFixed(1)} ms, ACK ${p99(acks).toFixed(1)} ms`);
  sayLoad(`DHCP at ${DHCP_RATE}/s, alone`, await jsonOf<ProberReport>(load()));
  const before = residentMb(node.pid);
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, residentMb(node.pid));
  }, 50);
  for (const loaded of [false, true]) {
    const dhcp = loaded ? load() : undefined;
    if (loaded) await sleep(2000);
    for (;;) {
      const { seconds, types } = await jsonOf<Bulk>(script(requestor, 'requestor.ts', 'bulk', SERVER));
      const count = (types['13'] ?? 0) + (types['11'] ?? 0);
      say(`bulk${loaded ? ' under load' : ''}: ${count} bindings (${types['13'] ?? 0} active) in ${seconds.toFixed(2)} s: ${Math.round(count / seconds)}/s`);
      if (dhcp === undefined || !isRunning(dhcp)) break;
    }
    if (dhcp !== undefined) sayLoad('DHCP meanwhile', await jsonOf<ProberReport>(dhcp));
  }
  clearInterval(watch);
  say(`memory of the process, without the mapped store: ${before.toFixed(0)} MB before, ${most.toFixed(0)} MB at most`);
  for (const loaded of [false, true]) {
    const dhcp = loaded ? load() : undefined;
    if (loaded) await sleep(2000);
    const args = [REQUESTOR, SERVER, String(QUERIES_PER_SECOND), '10', String(FIRST), String(LEASES)];
    const { sent, types } = await jsonOf<{ sent: number; types: Record<string, number> }>(script(requestor, 'requestor.ts', 'single', ...args));
    const answers = Object.values(types).reduce((sum, count) => sum + count, 0);
    say(`single${loaded ? ' under load' : ''}: ${sent} queries in 10 s, ${answers} answers (${types['13'] ?? 0} active)`);
    if (dhcp !== undefined) sayLoad('DHCP meanwhile', await jsonOf<ProberReport>(dhcp));
  }
  const idle = await jsonOf<ProberReport>(load());
  const abused = load();
  const stalls = [1, 2, 3].map(() => script(requestor, 'requestor.ts', 'stall', SERVER, String(SECONDS)));
  const abuses = script(requestor, 'requestor.ts', 'abuse', SERVER, String(CONNECTIONS));
  sayLoad('DHCP before the abuse', idle);
  sayLoad('DHCP during the abuse', await jsonOf<ProberReport>(abused));
  const { connections, refused, seconds } = await jsonOf<{ connections: number; refused: number; seconds: number }>(abuses);
  say(`abuse: ${connections} connections in ${seconds.toFixed(0)} s (${refused} refused), ${stalls.length} requestors that read nothing`);
  for (const one of stalls) await one.exited;
  say(`memory after it, without the mapped store: ${residentMb(node.pid).toFixed(0)} MB`);
  node.signal('SIGTERM');
  await node.exited;
}

const why = whyNoNetwork();
if (why !== undefined) {
  process.stderr.write(`${why}\n`);
  process.exit(3);
}
const folder = mkdtempSync(join(tmpdir(), 'lessor-leasequery-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const network = new Network();
try {
  await measure(network, folder);
} finally {
  await network.remove();
}
