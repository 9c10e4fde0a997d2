/**
 * The checks of `lessor doctor`, in the order in which they are told: each gathers what it needs and hands it to a function
 * that decides. What one has found out the later ones use; what could not be found out they say they lack.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { addressesOfHost, etcdFacts, memberAddresses } from '../../cluster/io/etcd-witness.ts';
import { CONTROL_SOCKET } from '../admin/operator.ts';
import type { NodeStatus } from '../admin/status.ts';
import { checkTogether, ConfigError, loadClusterConfig, loadNodeConfig, parseClusterConfig } from '../config/load.ts';
import { summarizeCluster } from '../config/summary.ts';
import type { ClusterConfig, NodeConfig, ServerTlsFiles } from '../config/types.ts';
import { checkLinks, checkOtherClocks, checkOtherServers, checkOwnClock } from '../doctor/cluster-checks.ts';
import type { ClockInterval, LinkFacts } from '../doctor/cluster-checks.ts';
import { checkCompaction, checkEtcdDisks, checkMembers, checkPlacement } from '../doctor/etcd-checks.ts';
import type { EtcdFacts, NodeHost } from '../doctor/etcd-checks.ts';
import { ok, problem, skipped, warning } from '../doctor/finding.ts';
import type { Finding } from '../doctor/finding.ts';
import { checkFlushes, checkFolder, checkInterfaces, checkLimits, checkPorts, checkPrivileges, checkRuntime, wantedPorts } from '../doctor/host-checks.ts';
import { hearOffers } from '../doctor/io/discover.ts';
import { flushTimes, folderFacts, interfaceFacts, kernelClock, limitFacts, ownAddresses, portOwners, privilegeFacts, runtimeFacts, unixSocketOwner } from '../doctor/io/host-facts.ts';
import { linkFacts } from '../doctor/io/link-facts.ts';
import { checkTlsFiles } from '../tls/io/check-files.ts';
import { CliError } from './cli-error.ts';
import { withCluster } from './cluster-store.ts';
import { ControlClient } from './control-client.ts';
import { nameServers } from './doctor-dns.ts';
import { hasLeader, nodeKeys } from './node-keys.ts';
import type { NodeKey } from './node-keys.ts';

export interface Check {
  readonly name: string;
  run(): Promise<Finding[]>;
}

/** What counts where the cluster's configuration cannot be read: its default. */
const MAX_SKEW_MS = 10_000;

export class Examination {
  readonly #path: string;
  readonly #discover: boolean;
  #node: NodeConfig | undefined;
  #cluster: ClusterConfig | undefined;
  #status: NodeStatus | undefined;
  /** As `checkPorts` wants it. */
  #pid: number | undefined;
  #etcd: EtcdFacts | undefined;
  #clocks: readonly ClockInterval[] = [];
  /** Undefined: not known. */
  #keys: readonly NodeKey[] | undefined;

  /** `discover`: also asks the segments for other DHCP servers. */
  constructor(path: string, discover: boolean) {
    this.#path = path;
    this.#discover = discover;
  }

  get node(): string | undefined {
    return this.#node?.node;
  }

  /** The first one reads node.yaml: the others may be run only when `node` is known then. */
  checks(): Check[] {
    const of = (name: string, run: (node: NodeConfig) => Finding[] | Promise<Finding[]>): Check => ({
      name, run: async () => run(this.#node!),
    });
    const clustered = (name: string, run: (node: NodeConfig, cluster: NonNullable<NodeConfig['cluster']>) => Finding[] | Promise<Finding[]>): Check =>
      of(name, (node) => (node.cluster === undefined ? [skipped('a single node, without a cluster')] : run(node, node.cluster)));
    return [
      { name: 'configuration', run: async () => this.#configuration() },
      of('node', (node) => this.#running(node)),
      clustered('etcd', (node) => this.#members(node)),
      clustered('in force', () => this.#inForce()),
      of('certificates', (node) => certificates(node)),
      { name: 'runtime', run: async () => checkRuntime(runtimeFacts()) },
      of('privileges', () => checkPrivileges(privilegeFacts(this.#visiblePid()))),
      of('ports', (node) => checkPorts(wantedPorts(node, this.#cluster), portOwners(), this.#pid)),
      of('interfaces', (node) => checkInterfaces(interfaceFacts(node.interfaces), this.#cluster)),
      of('data folder', (node) => this.#dataFolder(node)),
      of('disk', (node) => disk(node)),
      of('limits', () => checkLimits(limitFacts(this.#visiblePid()), this.#cluster)),
      of('clock', (node) => checkOwnClock(kernelClock(), node.cluster !== undefined)),
      clustered('other clocks', (node) => this.#otherClocks(node)),
      clustered('etcd compaction', () => (this.#etcd === undefined ? [skipped('etcd was not asked')] : checkCompaction(this.#etcd, Date.now()))),
      clustered('etcd disks', () => (this.#etcd === undefined ? [skipped('etcd was not asked')] : checkEtcdDisks(this.#etcd))),
      clustered('etcd hosts', async (node) => this.#placement(node)),
      clustered('links', (node, { tls }) => this.#links(node, tls)),
      of('name servers', (node) => nameServers(node, this.#cluster)),
      of('other servers', (node) => this.#otherServers(node)),
    ];
  }

  #visiblePid(): number | undefined {
    return this.#pid === 0 ? undefined : this.#pid;
  }

  // ── the configuration, and whether the node runs ─────────────────────────────────────────────

  #configuration(): Finding[] {
    try {
      const node = loadNodeConfig(this.#path);
      this.#node = node;
      if (!existsSync(node.clusterConfigPath)) {
        return node.cluster === undefined ? [problem(`${node.clusterConfigPath} is not there`, 'A single node reads the configuration of its networks from there: write it.')]
          : [ok(`${this.#path} is valid: node ${node.node}; ${node.clusterConfigPath} is not there, and needs not once etcd has a configuration`)];
      }
      const cluster = loadClusterConfig(node.clusterConfigPath);
      this.#cluster = cluster;
      checkTogether(node, cluster);
      return [ok(`${this.#path} and ${node.clusterConfigPath} are valid: node ${node.node}; ${summarizeCluster(cluster)}`)];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.message.split('\n').map((line) => problem(line, 'Correct it; lessor config check shows all mistakes of a file.'));
    }
  }

  async #running(node: NodeConfig): Promise<Finding[]> {
    try {
      this.#status = await new ControlClient(node.dataDir).status();
      this.#pid = unixSocketOwner(join(node.dataDir, CONTROL_SOCKET)) ?? 0;
      const { state, version } = this.#status;
      const text = `runs${this.#pid === 0 ? '' : ` as process ${this.#pid}`}: ${state}, version ${version}`;
      return [['ISOLATED', 'RECOVER', 'STARTUP'].includes(state) ? warning(text, 'It serves nobody now: lessor status says what it waits for, deploy/runbooks what to do.') : ok(text)];
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ECONNREFUSED') return [ok('does not run on this host')];
      if (code === 'EACCES' || code === 'EPERM') {
        this.#pid = 0;
        return [skipped(`whether it runs: ${node.dataDir} belongs to another user (as that user or as root it can be seen)`)];
      }
      return [problem(error.message, 'Look at its log.')];
    }
  }

  /** A node that runs has shown that it can write there. */
  #dataFolder({ dataDir, user }: NodeConfig): Finding[] {
    const facts = folderFacts(dataDir, user);
    return checkFolder(this.#status === undefined ? facts : { ...facts, writable: true, user: 'the node' });
  }

  // ── etcd ─────────────────────────────────────────────────────────────────────────────────────

  async #members({ cluster }: NodeConfig): Promise<Finding[]> {
    const { facts, clocks } = await etcdFacts(cluster!.etcd, `/lessor/${cluster!.name}/`, cluster!.etcdTls ?? cluster!.tls);
    this.#etcd = facts;
    this.#clocks = clocks;
    if (hasLeader(facts)) this.#keys = await nodeKeys(this.#path).catch(() => undefined);
    return checkMembers(facts);
  }

  /** The file of this host counts only until etcd has a configuration. */
  async #inForce(): Promise<Finding[]> {
    if (this.#etcd === undefined || !hasLeader(this.#etcd)) return [skipped('etcd does not answer')];
    try {
      return await withCluster({ config: this.#path }, async ({ node, store }) => {
        const newest = await store.newest();
        if (newest === undefined) return [ok('etcd has no configuration yet: the first node that starts puts cluster.yaml there')];
        const text = await store.text(newest);
        const cluster = parseClusterConfig(text, `revision ${newest.revision}`);
        const differs = this.#cluster !== undefined && (this.#cluster as { text?: string }).text !== text;
        this.#cluster = cluster;
        checkTogether(node, cluster, `revision ${newest.revision}`);
        const view = this.#status?.config;
        if (view !== undefined && view.newest > view.loaded) {
          return [warning(`revision ${newest.revision} in etcd, revision ${view.loaded} in force on this node`, 'lessor status says which node it waits for.')];
        }
        return [ok(`revision ${newest.revision} in etcd${differs ? `; ${node.clusterConfigPath} differs from it, and counts for nothing` : ''}`)];
      });
    } catch (error) {
      if (error instanceof CliError || error instanceof ConfigError) return [problem(error.message, 'lessor config apply FILE writes a whole one; a node of an earlier version wants an upgrade first.')];
      throw error;
    }
  }

  async #placement(node: NodeConfig): Promise<Finding[]> {
    if (this.#etcd === undefined) return [skipped('etcd was not asked')];
    const own = ownAddresses();
    const others = await Promise.all((this.#keys ?? []).filter((key) => key.node !== node.node && key.address !== '')
      .map(async (key): Promise<NodeHost> => ({ node: key.node, addresses: await addressesOfHost(hostOf(key.address)) })));
    const hosts: NodeHost[] = [{ node: node.node, addresses: own }, ...others];
    return checkPlacement(this.#etcd, await memberAddresses(this.#etcd), hosts);
  }

  // ── the other nodes ──────────────────────────────────────────────────────────────────────────

  async #otherClocks({ cluster }: NodeConfig): Promise<Finding[]> {
    const peers = (this.#status?.peers ?? []).flatMap(({ node, clockDifferenceSeconds }) =>
      (clockDifferenceSeconds === null ? [] : [{ node, differenceMs: clockDifferenceSeconds * 1000 }]));
    const hosts = await Promise.all((this.#keys ?? []).map(({ address }) => addressesOfHost(hostOf(address))));
    const ofNodes = new Set([...hosts.flat(), hostOf(`${cluster!.listen.host}:0`)]);
    const intervals = await Promise.all(this.#clocks.map(async (clock) => {
      const addresses = await addressesOfHost(new URL(clock.from).hostname.replace(/^\[|\]$/g, ''));
      return { ...clock, ofNode: addresses.some((address) => ofNodes.has(address)) };
    }));
    return checkOtherClocks(intervals, peers, this.#cluster?.maxClockSkewMs ?? MAX_SKEW_MS);
  }

  async #links(node: NodeConfig, tls: NonNullable<NodeConfig['cluster']>['tls']): Promise<Finding[]> {
    if (this.#keys === undefined) return [skipped('etcd does not say where the other nodes are')];
    const named = this.#cluster?.nodes.map(({ id }) => id) ?? this.#keys.map((key) => key.node);
    const links = await Promise.all(named.filter((id) => id !== node.node).map(async (id): Promise<LinkFacts> => {
      const address = this.#keys!.find((key) => key.node === id)?.address ?? '';
      return address === '' ? { node: id, address: undefined, error: '', roundTripMs: 0 } : linkFacts(id, address, tls);
    }));
    return checkLinks(links);
  }

  async #otherServers(node: NodeConfig): Promise<Finding[]> {
    if (!this.#discover) return [skipped('not asked for (--no-discover)')];
    if (node.cluster !== undefined && this.#keys === undefined) return [skipped('etcd does not say which servers are this cluster\'s own')];
    const own = interfaceFacts(node.interfaces).filter(({ exists, up }) => exists && up);
    const ours = new Set([...own.flatMap(({ addresses }) => addresses), ...(this.#keys ?? []).flatMap(({ serverIds }) => serverIds)]);
    const heard = await hearOffers(own.map(({ name }) => name));
    return own.length === 0 ? [skipped('no interface is up')] : checkOtherServers(heard, ours, this.#cluster?.knownServers ?? []);
  }
}

function hostOf(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf(':'))).replace(/^\[|\]$/g, '');
}

function disk({ dataDir }: NodeConfig): Finding[] {
  if (!existsSync(dataDir)) return [skipped(`${dataDir} does not exist yet`)];
  try {
    return checkFlushes(flushTimes(dataDir));
  } catch (error) {
    return [skipped(`${(error as Error).message} (as the node's user or as root it can be measured)`)];
  }
}

/** Each set of files once, with the name that must be in its certificate. */
function certificates({ cluster, http, leaseQuery, node }: NodeConfig): Finding[] {
  const uses: { use: string; files: ServerTlsFiles; name: string | undefined }[] = [
    ...(cluster?.tls === undefined ? [] : [{ use: 'cluster', files: cluster.tls, name: node }]),
    ...(cluster?.etcdTls === undefined ? [] : [{ use: 'etcd', files: cluster.etcdTls, name: undefined }]),
    ...(http.tls === undefined ? [] : [{ use: 'http', files: http.tls, name: undefined }]),
    ...(leaseQuery.tls === undefined ? [] : [{ use: 'leasequery', files: leaseQuery.tls, name: undefined }]),
  ];
  if (uses.length === 0) return [skipped('none is configured: what the nodes and etcd say to each other is in the clear')];
  return uses.flatMap(({ use, files, name }) => {
    const found = checkTlsFiles(files, name);
    if (found.length === 0) return [ok(`${use}: ${files.certificate} is in order`)];
    return found.map(({ severity, file, message }) => (severity === 'error' ? problem : warning)(`${use}: ${file}: ${message}`, 'deploy/runbooks/certificates.md'));
  });
}
