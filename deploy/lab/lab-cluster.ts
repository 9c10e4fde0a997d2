/**
 * The lab's world: a segment with two nodes, etcd and clients as hosts of their own, and everything that
 * runs on them. All files lie in one temporary folder, all hosts are network namespaces; `remove` leaves
 * nothing of either, and a guardian process does the same when this one is killed.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONTROL_SOCKET } from '../../node/admin/operator.ts';
import type { NodeStatus } from '../../node/admin/status.ts';
import { Guardian } from './guardian.ts';
import { Network, type Host, type Segment } from './netns.ts';
import { waitUntil, type LabProcess } from './processes.ts';
import { requireProgram } from './programs.ts';

export const NODE_NAMES = ['a', 'b'] as const;
export type NodeName = (typeof NODE_NAMES)[number];

const ADDRESSES = { a: '10.77.0.11', b: '10.77.0.12', etcd: '10.77.0.21', load: '10.77.0.31', viewer: '10.77.0.41' } as const;
const PREFIX_LENGTH = 16;
const HTTP_PORT = 9067;
const LINK_PORT = 7067;
const ETCD_PORT = 2379;
const HTTP_TIMEOUT_MS = 2000;
const START_MS = 15_000;
/** Longer than a node takes to drain. */
const STOP_NODE_MS = 12_000;
const LAST_LOG_LINES = 12;

const project = join(import.meta.dirname, '../..');

/** The server identifier that a node gives to its clients. */
export function serverIdOf(node: NodeName): string {
  return ADDRESSES[node];
}

export const LOAD_ADDRESS: string = ADDRESSES.load;

/** Seconds; short, so that renewals are seen. */
export const LEASE_SECONDS = 30;

/** One node's process, through its deaths and returns. */
export class LabNode {
  readonly name: NodeName;
  readonly host: Host;
  readonly socketPath: string;
  readonly configFile: string;
  readonly #folder: string;
  readonly #lines: string[] = [];
  #process: LabProcess | undefined;
  #starts = 0;

  constructor(name: NodeName, host: Host, folder: string) {
    this.name = name;
    this.host = host;
    this.#folder = folder;
    this.socketPath = join(folder, `${name}.sock`);
    this.configFile = join(folder, `node-${name}.yaml`);
    writeFileSync(this.configFile, nodeYaml(name));
  }

  get pid(): number | undefined {
    return this.#process?.running === true ? this.#process.pid : undefined;
  }

  /** The last lines of its log, over all its starts. */
  get lastLines(): string {
    return this.#lines.join('\n');
  }

  start(): void {
    if (this.pid !== undefined) return;
    this.#starts++;
    this.#process = this.host.spawn([process.execPath, join(project, 'node/cli/lessor.ts'), 'node', '--config', this.configFile], {
      name: `node ${this.name}`, cwd: this.#folder, env: compileCache(this.#folder), logFile: join(this.#folder, `node-${this.name}-${this.#starts}.log`),
      onLine: (line) => {
        this.#lines.push(line);
        if (this.#lines.length > LAST_LOG_LINES) this.#lines.shift();
      },
    });
  }

  /** As a crash would: no flush, no word to anybody. */
  kill(): Promise<void> {
    return this.#process?.kill() ?? Promise.resolve();
  }

  /** Drains it. Resolves with its exit code, or the signal that ended it. */
  stop(): Promise<number | NodeJS.Signals> {
    return this.#process?.stop(STOP_NODE_MS) ?? Promise.resolve(0);
  }

  /** Undefined while it does not answer. */
  async status(): Promise<NodeStatus | undefined> {
    const text = await this.fetch('/v1/status').catch(() => undefined);
    return text === undefined ? undefined : JSON.parse(text) as NodeStatus;
  }

  /** The body of a GET; rejects where the node does not answer with 200. */
  fetch(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      // What is not open to everybody: over the socket in its data folder.
      const socketPath = path.startsWith('/v1/') ? join(this.#folder, `data-${this.name}`, CONTROL_SOCKET) : this.socketPath;
      const request = get({ socketPath, path, agent: false, timeout: HTTP_TIMEOUT_MS }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString());
          else reject(new Error(`node ${this.name} answered ${path} with ${String(response.statusCode)}`));
        });
      });
      request.on('timeout', () => request.destroy(new Error(`node ${this.name} did not answer ${path} in time`)));
      request.on('error', reject);
    });
  }

  /** A command for another terminal. */
  metricsCommand(): string {
    return `sudo ip netns exec ${this.host.namespace} ${findOnPath('curl') ? 'curl -s' : 'wget -qO-'} http://${ADDRESSES[this.name]}:${HTTP_PORT}/metrics`;
  }
}

function compileCache(folder: string): Record<string, string> {
  return { NODE_COMPILE_CACHE: join(folder, 'compiled') };
}

function findOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, program)));
}

function nodeYaml(name: NodeName): string {
  return `node: ${name}
dataDir: ./data-${name}
dhcp:
  interfaces: [eth0]
http:
  listen: ${ADDRESSES[name]}:${HTTP_PORT}
cluster:
  name: lab
  listen: ${ADDRESSES[name]}:${LINK_PORT}
  etcd: [http://${ADDRESSES.etcd}:${ETCD_PORT}]
  sessionTtl: 3s
config: ./cluster.yaml
`;
}

const CLUSTER_YAML = `leaseTime: ${LEASE_SECONDS}s
authoritative: true
nodes: { a: { weight: 1 }, b: { weight: 1 } }
subnets:
  - subnet: 10.77.0.0/16
    pools: [10.77.16.0-10.77.255.254]
    options: { routers: [10.77.0.1], domain-name-servers: [10.77.0.53], domain-name: lab.example.net }
`;

export class LabCluster {
  readonly folder: string;
  readonly network: Network;
  readonly lan: Segment;
  readonly nodes: Readonly<Record<NodeName, LabNode>>;
  readonly #guardian: Guardian;
  #removed: Promise<void> | undefined;

  /** Makes the hosts; nothing runs yet. Throws where `whyNoNetwork` has a reason. */
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'lessor-lab-'));
    try {
      this.network = new Network({ handleSignals: false });
      this.#guardian = new Guardian(this.network.prefix, this.folder);
      const at = (name: keyof typeof ADDRESSES): { name: string; addresses: string[] } =>
        ({ name, addresses: [`${ADDRESSES[name]}/${PREFIX_LENGTH}`] });
      this.lan = this.network.createSegment('lan', { hosts: [
        at('a'), at('b'), at('etcd'), at('load'), at('viewer'), ...['udhcpc', 'dhclient', 'clients', 'newcomer'].map((name) => ({ name })),
      ] });
      writeFileSync(join(this.folder, 'cluster.yaml'), CLUSTER_YAML);
      this.nodes = { a: new LabNode('a', this.network.host('a'), this.folder), b: new LabNode('b', this.network.host('b'), this.folder) };
    } catch (error) {
      rmSync(this.folder, { recursive: true, force: true });
      throw error;
    }
    process.once('exit', () => rmSync(this.folder, { recursive: true, force: true }));
  }

  /** etcd, and the window through which the nodes' HTTP ports are seen from outside the namespaces. */
  async startEtcd(): Promise<void> {
    const { command, env } = requireProgram('etcd');
    const url = `http://${ADDRESSES.etcd}:${ETCD_PORT}`;
    const etcd = this.network.host('etcd').spawn([
      command, '--name', 'lab', '--data-dir', join(this.folder, 'etcd'), '--listen-client-urls', url, '--advertise-client-urls', url,
      '--listen-peer-urls', 'http://127.0.0.1:2380', '--initial-advertise-peer-urls', 'http://127.0.0.1:2380',
      '--initial-cluster', 'lab=http://127.0.0.1:2380', '--auto-compaction-mode', 'periodic', '--auto-compaction-retention', '5m',
      '--logger', 'zap',
    ], { env, name: 'etcd', logFile: join(this.folder, 'etcd.log') });
    const window = this.network.host('viewer').spawn([
      process.execPath, join(import.meta.dirname, 'http-window.ts'),
      ...NODE_NAMES.map((name) => `${this.nodes[name].socketPath}=${ADDRESSES[name]}:${HTTP_PORT}`),
    ], { name: 'window' });
    await Promise.all([
      etcd.waitForLine(/ready to serve client requests|serving client traffic/, START_MS), window.waitForLine(/^ready/, START_MS),
      this.#compile(),
    ]);
  }

  /** The sources are compiled once: a node that is started again takes a third of the processor time. */
  async #compile(): Promise<void> {
    const script = `await import(${JSON.stringify(join(project, 'node/main.ts'))}); process.exit();`;
    await this.network.host('viewer').spawn([process.execPath, '--input-type=module', '--eval', script], {
      name: 'compiler', env: compileCache(this.folder),
    }).exited;
  }

  async statuses(): Promise<(NodeStatus | undefined)[]> {
    return Promise.all(NODE_NAMES.map((name) => this.nodes[name].status()));
  }

  /** Resolves with the ms that it took until both nodes are NORMAL in one view, each with its home slots. */
  async waitForBothNormal(timeoutMs: number): Promise<number> {
    const began = performance.now();
    let seen = 'nothing';
    try {
      await waitUntil('both nodes NORMAL in one view', timeoutMs, async () => {
        const statuses = await this.statuses();
        seen = statuses.map((status, i) => describe(NODE_NAMES[i]!, status)).join('; ');
        const [a, b] = statuses;
        const normal = [a, b].every((status) => status?.state === 'NORMAL' && status.view?.members.length === 2 &&
          status.slotsOwned === status.homeSlots && status.peers.every(({ link }) => link === 'up'));
        if (!normal || a!.view!.epoch !== b!.view!.epoch) return undefined;
        // And each has finished that view: it serves all that the view gives it.
        return Promise.all(NODE_NAMES.map((name) => this.nodes[name].fetch('/readyz'))).then(() => true, () => undefined);
      });
    } catch (error) {
      throw new Error(`${(error as Error).message} (last seen: ${seen})`, { cause: error });
    }
    return performance.now() - began;
  }

  /** Ends and removes everything. May be called again, at any time. */
  remove(): Promise<void> {
    this.#removed ??= this.#remove();
    return this.#removed;
  }

  async #remove(): Promise<void> {
    // Nobody needs an orderly end here, and a node could not drain without etcd.
    this.network.removeAtOnce();
    await Promise.all(this.network.hosts.map((host) => host.stopProcesses()));
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
    await this.#guardian.dismiss();
  }
}

function describe(name: NodeName, status: NodeStatus | undefined): string {
  if (status === undefined) return `${name} does not answer`;
  return `${name} ${status.state} in view ${status.view?.epoch ?? '-'} with ${status.slotsOwned} of ${status.homeSlots} slots`;
}
