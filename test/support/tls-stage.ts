/**
 * A pair of real nodes and an etcd that speak nothing but TLS, on a network of namespaces: etcd wants certificates and
 * lets in by their common names (RBAC), the nodes' HTTP wants them too.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { NodeStatus } from '../../node/admin/status.ts';
import type { TlsFiles } from '../../node/config/types.ts';
import { Network } from '../../deploy/lab/netns.ts';
import type { Segment } from '../../deploy/lab/netns.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import { MadeAuthority } from './made-certificates.ts';

const project = join(import.meta.dirname, '../..');
const START_MS = 30_000;
const ANSWER_MS = 3000;
const ADDRESSES = { a: '10.1.0.11', b: '10.1.0.12', etcd: '10.1.0.21', window: '10.1.0.2', intruder: '10.1.0.66' } as const;

export const NODES = ['a', 'b'] as const;
export type NodeName = (typeof NODES)[number];

/** What shows a certificate. */
export const PLACES = {
  'link a': [ADDRESSES.a, 7067], 'link b': [ADDRESSES.b, 7067], 'http a': [ADDRESSES.a, 9067], 'http b': [ADDRESSES.b, 9067], 'etcd': [ADDRESSES.etcd, 2379],
} as const;
export type Place = keyof typeof PLACES;

export class TlsStage {
  readonly folder = mkdtempSync(join(tmpdir(), 'lessor-tls-'));
  readonly network: Network;
  readonly lan: Segment;
  readonly lines: Record<NodeName, string[]> = { a: [], b: [] };
  readonly #nodes = new Map<NodeName, LabProcess>();
  #etcd: LabProcess | undefined;
  authority!: MadeAuthority;
  /** Of somebody who may ask. */
  tester!: TlsFiles;

  private constructor() {
    this.network = new Network();
    const host = (name: keyof typeof ADDRESSES): { name: string; addresses: string[] } => ({ name, addresses: [`${ADDRESSES[name]}/16`] });
    this.lan = this.network.createSegment('lan', { hosts: [host('a'), host('b'), host('etcd'), host('window'), host('intruder'), { name: 'clients' }] });
  }

  static async start(): Promise<TlsStage> {
    const stage = new TlsStage();
    try {
      await stage.#start();
    } catch (error) {
      await stage.remove();
      throw error;
    }
    return stage;
  }

  async #start(): Promise<void> {
    this.authority = await MadeAuthority.make(this.folder);
    await this.issueAll(this.authority);
    const window = this.network.host('window').spawn([
      process.execPath, join(project, 'deploy/lab/http-window.ts'),
      ...Object.entries(PLACES).map(([place, [address, port]]) => `${this.#socket(place)}=${address}:${port}`),
    ], { name: 'window' });
    this.startEtcd();
    writeFileSync(join(this.folder, 'cluster.yaml'), CLUSTER);
    writeFileSync(join(this.folder, 'tokens'), '', { mode: 0o600 });
    for (const name of NODES) writeFileSync(join(this.folder, `node-${name}.yaml`), nodeYaml(name));
    await Promise.all([window.waitForLine(/^ready/, START_MS), this.etcdReady()]);
    await this.#letIn();
    for (const name of NODES) this.#startNode(name);
    await this.inOneView();
  }

  /** For all who show one, over the files that there are. `root` is etcd's operator. */
  async issueAll(authority: MadeAuthority): Promise<void> {
    this.authority = authority;
    const into = (name: string, addresses: readonly string[] = []): Promise<TlsFiles> => authority.issue(name, { addresses });
    this.tester = await into('tester');
    await into('root');
    await into('etcd', [ADDRESSES.etcd]);
    for (const name of NODES) await into(name);
  }

  startEtcd(): void {
    const { command, env } = requireProgram('etcd');
    const url = `https://${ADDRESSES.etcd}:2379`;
    this.#etcd = this.network.host('etcd').spawn([
      command, '--name', 'test', '--data-dir', join(this.folder, 'etcd'), '--listen-client-urls', url, '--advertise-client-urls', url,
      '--client-cert-auth', '--trusted-ca-file', join(this.folder, 'authority.pem'), '--cert-file', join(this.folder, 'etcd.pem'),
      '--key-file', join(this.folder, 'etcd.key'), '--listen-peer-urls', 'http://127.0.0.1:2380',
      '--initial-advertise-peer-urls', 'http://127.0.0.1:2380', '--initial-cluster', 'test=http://127.0.0.1:2380', '--logger', 'zap',
    ], { env, name: 'etcd' });
  }

  async etcdReady(): Promise<void> {
    await this.#etcd!.waitForLine(/ready to serve client requests|serving client traffic/, START_MS);
  }

  async stopEtcd(): Promise<void> {
    await this.#etcd?.kill();
  }

  /** etcd's RBAC: each node may read and write the keys of its cluster, and is known by its certificate. */
  async #letIn(): Promise<void> {
    for (const words of [
      'user add root --no-password', 'user grant-role root root', 'role add lessor',
      'role grant-permission --prefix=true lessor readwrite /lessor/test/',
      ...NODES.flatMap((name) => [`user add ${name} --no-password`, `user grant-role ${name} lessor`]), 'auth enable',
    ]) await this.etcdctl('root', ...words.split(' '));
  }

  async etcdctl(as: string, ...words: string[]): Promise<string> {
    const { command, env } = requireProgram('etcdctl');
    const files = ['--cacert', join(this.folder, 'authority.pem'), '--cert', join(this.folder, `${as}.pem`), '--key', join(this.folder, `${as}.key`)];
    const { stdout } = await this.network.host('etcd').exec(
      [command, '--endpoints', `https://${ADDRESSES.etcd}:2379`, ...files, ...words], { env: { ...env, ETCDCTL_API: '3' } });
    return stdout;
  }

  #startNode(name: NodeName): void {
    this.#nodes.set(name, this.network.host(name).spawn(
      [process.execPath, join(project, 'node/cli/lessor.ts'), 'node', '--config', join(this.folder, `node-${name}.yaml`)],
      { name: `node ${name}`, cwd: this.folder, onLine: (line) => this.lines[name].push(line) },
    ));
  }

  async kill(name: NodeName): Promise<void> {
    await this.#nodes.get(name)!.kill();
  }

  addressOf(name: keyof typeof ADDRESSES): string {
    return ADDRESSES[name];
  }

  /** The command on the host of a node, with its configuration. */
  async lessor(name: NodeName, ...words: string[]): Promise<string> {
    const { stdout } = await this.network.host(name).exec([
      process.execPath, join(project, 'node/cli/lessor.ts'), ...words, '--config', join(this.folder, `node-${name}.yaml`),
    ]);
    return stdout;
  }

  /** A process that is nothing but links: it says that it is node a, and wants node b. */
  intrude(files: TlsFiles): LabProcess {
    return this.network.host('intruder').spawn(
      [process.execPath, join(project, 'test/support/link-node.ts'), 'a', '0', `b=${ADDRESSES.b}:7067`],
      { name: 'intruder', env: { LINK_NODE_TLS: JSON.stringify(files) } },
    );
  }

  async inOneView(): Promise<void> {
    try {
      await waitUntil('both nodes in one view, linked', START_MS, async () => {
        const statuses = await Promise.all(NODES.map((name) => this.status(name).catch(() => undefined)));
        const dead = NODES.find((name) => this.#nodes.get(name)?.running !== true);
        if (dead !== undefined) throw new Error(`node ${dead} ended`);
        return statuses.every((status) => status?.state === 'NORMAL' && status.view?.members.length === 2 && status.peers[0]?.link === 'up') ? true : undefined;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; their logs:\n${NODES.flatMap((name) => this.lines[name]).join('\n')}`, { cause: error });
    }
  }

  async status(name: NodeName): Promise<NodeStatus> {
    return JSON.parse(await this.fetch(name, '/v1/status')) as NodeStatus;
  }

  fetch(name: NodeName, path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = get({ socketPath: this.#socket(`http ${name}`), path, agent: false, timeout: ANSWER_MS, servername: name, ...this.#own() }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
        });
        response.on('end', () => resolve(text)).on('error', reject);
      });
      request.on('timeout', () => request.destroy(new Error(`node ${name} does not answer`))).on('error', reject);
    });
  }

  /** The serial number of the certificate that is shown there. */
  presented(place: Place): Promise<string> {
    return new Promise((resolve, reject) => {
      const stream = connect({ path: this.#socket(place), ...this.#own(), ALPNProtocols: ['h2', 'http/1.1'], rejectUnauthorized: false, timeout: ANSWER_MS }, () => {
        resolve(stream.getPeerX509Certificate()!.serialNumber);
        stream.destroy();
      });
      stream.on('error', reject);
      stream.on('timeout', () => stream.destroy(new Error(`${place} does not answer`)));
    });
  }

  #own(): { ca: Buffer; cert: Buffer; key: Buffer } {
    const { authority, certificate, key } = this.tester;
    return { ca: readFileSync(authority), cert: readFileSync(certificate), key: readFileSync(key) };
  }

  #socket(place: string): string {
    return join(this.folder, `${place.replace(' ', '-')}.sock`);
  }

  async remove(): Promise<void> {
    await this.network.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

function nodeYaml(name: NodeName): string {
  const tls = `{ certificate: ${name}.pem, key: ${name}.key, authority: authority.pem }`;
  return `node: ${name}
dataDir: ./data-${name}
dhcp: { interfaces: [eth0] }
http: { listen: "${ADDRESSES[name]}:9067", tls: ${tls}, tokens: tokens }
cluster:
  name: test
  listen: ${ADDRESSES[name]}:7067
  etcd: [https://${ADDRESSES.etcd}:2379]
  tls: ${tls}
config: ./cluster.yaml
`;
}

const CLUSTER = `nodes: { a: { weight: 1 }, b: { weight: 1 } }
leaseTime: 60s
authoritative: true
subnets: [{ subnet: 10.1.0.0/16, pools: [10.1.16.0-10.1.31.255] }]
`;
