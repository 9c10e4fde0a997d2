/**
 * A real cluster for tests of failures: nodes, and etcd of three members, each on a host of its own on one
 * segment, with links that can be cut one way or both, processes that can be killed and paused, small
 * disks and clocks that step. All files lie in one temporary folder, all hosts are network namespaces;
 * `remove` leaves nothing of either, and a guardian does the same when this process is killed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeStatus } from '../../node/admin/status.ts';
import { Guardian } from '../../deploy/lab/guardian.ts';
import { Network, whyNoNetwork, type Host, type HostOptions, type Segment } from '../../deploy/lab/netns.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { missingPrograms } from '../../deploy/lab/programs.ts';
import { ClusterNode } from './cluster-node.ts';
import { ETCD_PORT, EtcdMember } from './etcd-member.ts';
import { LinkFaults } from './link-faults.ts';

const project = join(import.meta.dirname, '../..');
const PREFIX_LENGTH = 16;
const HTTP_PORT = 9067;
const LINK_PORT = 7067;
const COMPILE_MS = 60_000;

export interface ClusterWorldOptions {
  /** 1 to 5; named a, b, ... */
  readonly nodes: number;
  /** Further hosts on the segment, such as those of clients. 10.77.0.31 to 10.77.0.99 are theirs. */
  readonly hosts?: readonly HostOptions[];
  /** cluster.yaml without `nodes:`, instead of the usual one. */
  readonly configuration?: string;
  readonly leaseTime?: string;
  /** The data of each node lies on a disk of this size, in memory. */
  readonly diskMegabytes?: number;
  /** Whether the nodes' clocks can be set. */
  readonly ownClocks?: boolean;
  /** Environment of the nodes. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether this process's signals remove the network; else the caller handles them and calls `remove`. */
  readonly handleSignals?: boolean;
}

/** Why such a world cannot be made here; undefined where it can. */
export function whyNoClusterWorld(): string | undefined {
  const missing = missingPrograms(['ip', 'nft', 'etcd', 'etcdctl', 'faketime']);
  return whyNoNetwork() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh test)` : undefined);
}

/** The address of a node; it is also the server identifier that it gives to its clients. */
export function nodeAddress(name: string): string {
  return `10.77.0.${11 + name.charCodeAt(0) - 'a'.charCodeAt(0)}`;
}

export class ClusterWorld {
  readonly folder: string;
  readonly network: Network;
  readonly lan: Segment;
  readonly links: LinkFaults;
  readonly nodes: readonly ClusterNode[];
  readonly etcd: readonly EtcdMember[];
  readonly #guardian: Guardian;
  #removed: Promise<void> | undefined;

  /** Makes the hosts; nothing runs yet. Throws where `whyNoClusterWorld` has a reason. */
  constructor(options: ClusterWorldOptions) {
    const why = whyNoClusterWorld();
    if (why !== undefined) throw new Error(why);
    this.folder = mkdtempSync(join(tmpdir(), 'lessor-world-'));
    const removeFolder = (): void => rmSync(this.folder, { recursive: true, force: true });
    try {
      this.network = new Network(options.handleSignals === undefined ? {} : { handleSignals: options.handleSignals });
      this.#guardian = new Guardian(this.network.prefix, this.folder);
      const names = ['a', 'b', 'c', 'd', 'e'].slice(0, options.nodes);
      const members = ['e1', 'e2', 'e3'].map((name, i) => [name, `10.77.0.${21 + i}`] as const);
      const at = (name: string, address: string): HostOptions => ({ name, addresses: [`${address}/${PREFIX_LENGTH}`] });
      this.lan = this.network.createSegment('lan', { hosts: [
        ...names.map((name) => at(name, nodeAddress(name))), ...members.map(([name, address]) => at(name, address)), ...options.hosts ?? [],
      ] });
      this.links = new LinkFaults(this.lan, () => this.network.hosts);
      this.etcd = members.map(([name, address]) => new EtcdMember({ name, host: this.host(name), address, folder: this.folder, members }));
      writeFileSync(join(this.folder, 'cluster.yaml'), clusterYaml(names, options));
      const { diskMegabytes, env } = options;
      this.nodes = names.map((name) => new ClusterNode({
        name, host: this.host(name), folder: this.folder, config: nodeYaml(name, members.map(([, address]) => address)),
        ownClock: options.ownClocks === true,
        ...(diskMegabytes === undefined ? {} : { diskMegabytes }), ...(env === undefined ? {} : { env }),
      }));
    } catch (error) {
      removeFolder();
      throw error;
    }
    process.once('exit', removeFolder);
  }

  host(name: string): Host {
    return this.network.host(name);
  }

  node(name: string): ClusterNode {
    const node = this.nodes.find((node) => node.name === name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** etcd and the nodes; resolves when all are NORMAL in one view. */
  async start(timeoutMs: number = 30_000): Promise<void> {
    for (const member of this.etcd) member.start();
    await Promise.all([this.#compile(), ...this.etcd.map((member) => member.ready()), ...this.nodes.map((node) => node.prepare())]);
    for (const node of this.nodes) node.start();
    await this.waitForNormal(timeoutMs);
  }

  /** The sources are compiled once: a node that is started again takes a third of the processor time. */
  async #compile(): Promise<void> {
    const script = `await import(${JSON.stringify(join(project, 'node/main.ts'))}); process.exit();`;
    await this.nodes[0]!.host.exec([process.execPath, '--input-type=module', '--eval', script], {
      env: { NODE_COMPILE_CACHE: join(this.folder, 'compiled') }, timeoutMs: COMPILE_MS,
    });
  }

  /** The member of etcd that leads now, if one says so. */
  async etcdLeader(): Promise<EtcdMember | undefined> {
    const leads = await Promise.all(this.etcd.map((member) => member.leads()));
    return this.etcd[leads.indexOf(true)];
  }

  statuses(): Promise<(NodeStatus | undefined)[]> {
    return Promise.all(this.nodes.map((node) => node.status()));
  }

  /** Resolves with the ms that it took until all nodes are NORMAL in one view, each with its home slots. */
  async waitForNormal(timeoutMs: number): Promise<number> {
    const began = performance.now();
    let seen = 'nothing';
    try {
      await waitUntil('all nodes NORMAL in one view', timeoutMs, async () => {
        const statuses = await this.statuses();
        seen = statuses.map((status, i) => describe(this.nodes[i]!.name, status)).join('; ');
        const normal = statuses.every((status) => status?.state === 'NORMAL' && status.view?.members.length === this.nodes.length &&
          status.slotsOwned === status.homeSlots && status.peers.every(({ link }) => link === 'up'));
        if (!normal || new Set(statuses.map((status) => status!.view!.epoch)).size !== 1) return undefined;
        // And each has finished that view: it serves all that the view gives it.
        return (await Promise.all(this.nodes.map((node) => node.ready()))).every(Boolean) ? true : undefined;
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  async #remove(): Promise<void> {
    // Nobody needs an orderly end here, and a node could not drain without etcd.
    this.network.removeAtOnce();
    await Promise.all([this.links.close(), ...this.network.hosts.map((host) => host.stopProcesses())]);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
    await this.#guardian.dismiss();
  }
}

function describe(name: string, status: NodeStatus | undefined): string {
  if (status === undefined) return `${name} does not answer`;
  return `${name} ${status.state} in view ${status.view?.epoch ?? '-'} with ${status.slotsOwned} of ${status.homeSlots} slots`;
}

function nodeYaml(name: string, etcd: readonly string[]): string {
  return `node: ${name}
dataDir: ./data-${name}
dhcp:
  interfaces: [eth0]
http:
  listen: 127.0.0.1:${HTTP_PORT}
cluster:
  name: world
  listen: ${nodeAddress(name)}:${LINK_PORT}
  etcd: [${etcd.map((address) => `http://${address}:${ETCD_PORT}`).join(', ')}]
  sessionTtl: 3s
config: ./cluster.yaml
`;
}

function clusterYaml(names: readonly string[], { configuration, leaseTime }: ClusterWorldOptions): string {
  return `nodes: { ${names.map((name) => `${name}: { weight: 1 }`).join(', ')} }\n${configuration ?? usualConfiguration(leaseTime ?? '30s')}`;
}

function usualConfiguration(leaseTime: string): string {
  return `leaseTime: ${leaseTime}
authoritative: true
subnets:
  - subnet: 10.77.0.0/16
    pools: [10.77.16.0-10.77.255.254]
    options: { routers: [10.77.0.1], domain-name-servers: [10.77.0.53], domain-name: world.example.net }
`;
}
