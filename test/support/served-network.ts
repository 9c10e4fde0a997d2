/**
 * Real nodes on a network of namespaces, for tests with real clients: one node alone, or a pair with
 * etcd. A router with a place in both joins the segment of the nodes and a second one, the office.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LeaseView } from '../../node/admin/lease-view.ts';
import { CONTROL_SOCKET } from '../../node/admin/operator.ts';
import { Network, whyNoNetwork, type Host, type Segment } from '../../deploy/lab/netns.ts';
import { waitUntil, type LabProcess } from '../../deploy/lab/processes.ts';
import { missingPrograms, requireProgram, type ProgramName } from '../../deploy/lab/programs.ts';
import { MadeAuthority } from './made-certificates.ts';

const project = join(import.meta.dirname, '../..');
const HTTP_PORT = 9067;
const START_MS = 30_000;
/** Longer than a node takes to drain. */
const STOP_MS = 12_000;
const HTTP_TIMEOUT_MS = 5000;
const CERTIFICATES = 'certificates';

export type NodeName = 'a' | 'b';
export const ADDRESSES: Readonly<Record<NodeName | 'etcd' | 'router', string>> = {
  a: '10.1.0.11', b: '10.1.0.12', etcd: '10.1.0.21', router: '10.1.0.2',
};

/** For `test`: the reason to leave it out, if there is one. */
export function needs(...programs: ProgramName[]): { skip?: string } {
  const missing = missingPrograms(programs);
  const why = whyNoNetwork() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh test)` : undefined);
  return why === undefined ? {} : { skip: why };
}

export interface ServedOptions {
  readonly nodes: readonly NodeName[];
  /** Hosts without an address, on the segment of the nodes. */
  readonly clients?: readonly string[];
  /** The same, behind the router. */
  readonly officeClients?: readonly string[];
  readonly interfaces?: readonly string[];
  readonly leaseTime?: string;
  /** cluster.yaml without `nodes:`, instead of the usual one. */
  readonly configuration?: string;
  /** The nodes show each other certificates, and know each other by them. */
  readonly secureLinks?: boolean;
  /** More of every node.yaml. */
  readonly nodeSettings?: string;
}

/** One node's process, through its deaths and returns. */
export class ServedNode {
  readonly name: NodeName;
  readonly host: Host;
  readonly #folder: string;
  readonly #output: string[] = [];
  #process: LabProcess | undefined;

  constructor(name: NodeName, host: Host, folder: string) {
    this.name = name;
    this.host = host;
    this.#folder = folder;
  }

  /** Its log so far, over all its starts. */
  get output(): string {
    return this.#output.join('\n');
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  get pid(): number {
    return this.#process?.pid ?? -1;
  }

  start(): void {
    this.#process = this.host.spawn(
      [process.execPath, join(project, 'node/cli/lessor.ts'), 'node', '--config', join(this.#folder, `node-${this.name}.yaml`)],
      { name: `node ${this.name}`, cwd: this.#folder, onLine: (line) => this.#output.push(line) },
    );
  }

  async ready(): Promise<void> {
    try {
      await waitUntil(`node ${this.name} ready`, START_MS, async () => {
        if (!this.running) throw new Error(`node ${this.name} ended`);
        return this.fetch('/readyz').then(() => true as const, () => undefined);
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; its log:\n${this.output}`, { cause: error });
    }
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** Resolves with its exit code, or the signal that ended it. */
  stop(): Promise<number | NodeJS.Signals> {
    return this.#process?.stop(STOP_MS) ?? Promise.resolve(0);
  }

  /** The body of a GET; rejects where the node does not answer with 200. */
  fetch(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      // What is not open to everybody: over the socket in its data folder.
      const socketPath = path.startsWith('/v1/leases') ? join(this.#folder, `data-${this.name}`, CONTROL_SOCKET) : join(this.#folder, `${this.name}.sock`);
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

  async leases(query = ''): Promise<LeaseView[]> {
    const text = await this.fetch(`/v1/leases${query}`);
    return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as LeaseView);
  }

  /** The values of one metric by its labels as written, such as `reason="bad-magic"`; `` where it has none. */
  async metric(name: string): Promise<Map<string, number>> {
    const text = await this.fetch('/metrics');
    return new Map([...text.matchAll(new RegExp(`^${name}(?:\\{([^}]*)\\})? (\\S+)$`, 'gm'))].map(([, labels = '', value]) => [labels, Number(value)]));
  }
}

export class ServedNetwork {
  readonly folder: string;
  readonly network: Network;
  readonly lan: Segment;
  readonly office: Segment;
  readonly router: Host;
  readonly nodes: readonly ServedNode[];

  /** Resolves when all nodes serve. */
  static async start(options: ServedOptions): Promise<ServedNetwork> {
    const served = new ServedNetwork(options);
    try {
      if (options.secureLinks === true) await served.#makeCertificates();
      await served.#start();
    } catch (error) {
      await served.remove();
      throw error;
    }
    return served;
  }

  private constructor(options: ServedOptions) {
    this.folder = mkdtempSync(join(tmpdir(), 'lessor-served-'));
    this.network = new Network();
    const at = (name: keyof typeof ADDRESSES): { name: string; addresses: string[]; gateway?: string } =>
      ({ name, addresses: [`${ADDRESSES[name]}/16`], ...(name === 'router' ? {} : { gateway: ADDRESSES.router }) });
    this.lan = this.network.createSegment('lan', { hosts: [
      at('router'), ...options.nodes.map(at), ...(options.nodes.length > 1 ? [at('etcd')] : []), ...(options.clients ?? []).map((name) => ({ name })),
    ] });
    this.office = this.network.createSegment('office', { hosts: [
      { name: 'router', addresses: ['10.2.0.1/16'] }, ...(options.officeClients ?? []).map((name) => ({ name })),
    ] });
    this.router = this.network.host('router');
    this.network.route(this.router);
    this.nodes = options.nodes.map((name) => new ServedNode(name, this.network.host(name), this.folder));
    for (const { name } of this.nodes) writeFileSync(join(this.folder, `node-${name}.yaml`), nodeYaml(name, options, join(this.folder, CERTIFICATES)));
    writeFileSync(join(this.folder, 'cluster.yaml'), clusterYaml(options));
  }

  host(name: string): Host {
    return this.network.host(name);
  }

  /** What every node has on record for the address, once they agree on it and it is in that state. */
  async agreed(address: string, state: LeaseView['state']): Promise<LeaseView> {
    let seen: unknown;
    try {
      return await waitUntil(`${address} ${state} on every node`, 5000, async () => {
        const views = await Promise.all(this.nodes.map(async (node) => (await node.leases(`?address=${address}`))[0]));
        seen = views;
        const [first] = views;
        return first?.state === state && views.every((view) => JSON.stringify(view) === JSON.stringify(first)) ? first : undefined;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; they have ${JSON.stringify(seen)}`, { cause: error });
    }
  }

  async remove(): Promise<void> {
    await this.network.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  async #makeCertificates(): Promise<void> {
    const authority = await MadeAuthority.make(join(this.folder, CERTIFICATES));
    for (const { name } of this.nodes) await authority.issue(name);
  }

  async #start(): Promise<void> {
    if (this.nodes.length > 1) await this.#startEtcd();
    const window = this.router.spawn([
      process.execPath, join(project, 'deploy/lab/http-window.ts'),
      ...this.nodes.map(({ name }) => `${join(this.folder, `${name}.sock`)}=${ADDRESSES[name]}:${HTTP_PORT}`),
    ], { name: 'window' });
    for (const node of this.nodes) node.start();
    await window.waitForLine(/^ready/, START_MS);
    await Promise.all(this.nodes.map((node) => node.ready()));
    if (this.nodes.length > 1) await this.inOneView();
  }

  /** Resolves when all nodes are in one view. */
  async inOneView(): Promise<void> {
    await waitUntil('all nodes in one view', START_MS, async () => {
      const statuses = await Promise.all(this.nodes.map(async (node) =>
        JSON.parse(await node.fetch('/v1/status')) as { state: string; view: { epoch: number; members: unknown[] } | null }));
      const [first] = statuses;
      return statuses.every(({ state, view }) =>
        state === 'NORMAL' && view?.members.length === this.nodes.length && view.epoch === first!.view?.epoch) ? true : undefined;
    });
  }

  async #startEtcd(): Promise<void> {
    const { command, env } = requireProgram('etcd');
    const url = `http://${ADDRESSES.etcd}:2379`;
    const etcd = this.host('etcd').spawn([
      command, '--name', 'test', '--data-dir', join(this.folder, 'etcd'), '--listen-client-urls', url, '--advertise-client-urls', url,
      '--listen-peer-urls', 'http://127.0.0.1:2380', '--initial-advertise-peer-urls', 'http://127.0.0.1:2380',
      '--initial-cluster', 'test=http://127.0.0.1:2380', '--logger', 'zap',
    ], { env, name: 'etcd' });
    await etcd.waitForLine(/ready to serve client requests|serving client traffic/, START_MS);
  }
}

function nodeYaml(name: NodeName, { nodes, interfaces, nodeSettings = '', secureLinks }: ServedOptions, certificates: string): string {
  const tls = `  tls: { certificate: ${certificates}/${name}.pem, key: ${certificates}/${name}.key, authority: ${certificates}/authority.pem }
`;
  const cluster = `cluster:
  name: test
  listen: ${ADDRESSES[name]}:7067
  etcd: [http://${ADDRESSES.etcd}:2379]
  sessionTtl: 3s
${secureLinks === true ? tls : ''}`;
  return `node: ${name}
dataDir: ./data-${name}
dhcp:
  interfaces: [${(interfaces ?? ['eth0']).join(', ')}]
http:
  listen: ${ADDRESSES[name]}:${HTTP_PORT}
${nodes.length > 1 ? cluster : ''}config: ./cluster.yaml
${nodeSettings}`;
}

function clusterYaml({ nodes, leaseTime, configuration }: ServedOptions): string {
  const named = `nodes: { ${nodes.map((name) => `${name}: { weight: 1 }`).join(', ')} }\n`;
  return configuration === undefined ? named + usualConfiguration(leaseTime ?? '60s') : named + configuration;
}

function usualConfiguration(leaseTime: string): string {
  return `leaseTime: ${leaseTime}
authoritative: true
subnets:
  - subnet: 10.1.0.0/16
    pools: [10.1.16.0-10.1.31.255]
    options: { routers: [10.1.0.2], domain-name-servers: [10.1.0.53], domain-name: lan.example.net }
  - subnet: 10.2.0.0/16
    pools: [10.2.16.0-10.2.17.255]
    options: { routers: [10.2.0.1], domain-name-servers: [10.1.0.53], domain-name: office.example.net }
  - subnet: 10.3.0.0/16
    pools: [10.3.16.0-10.3.17.255]
`;
}
