/** Three etcd, three nodes of the project's image and clients, each in a container, on one network. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GenericContainer, Wait, type StartedTestContainer } from 'testcontainers';
import type { NodeStatus } from '../../node/admin/status.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { NETWORK, type Engine } from './container-engine.ts';
import { BUSYBOX_IMAGE, ETCD_IMAGE } from './container-images.ts';
import { LABELS, type Docker } from './container-leftovers.ts';

const project = join(import.meta.dirname, '../..');
export const NODES = ['a', 'b', 'c'] as const;
export type NodeName = (typeof NODES)[number];
const MEMBERS = ['etcd-1', 'etcd-2', 'etcd-3'] as const;
export type Member = (typeof MEMBERS)[number];

/** The last octets. */
const HOSTS: Readonly<Record<NodeName | Member | 'client' | 'asker', number>> = {
  'etcd-1': 11, 'etcd-2': 12, 'etcd-3': 13, a: 21, b: 22, c: 23, client: 31, asker: 32,
};
/** On a machine that has much else to do. */
const READY_MS = 60_000;
const HTTP_SECONDS = 2;
/** Longer than a node takes to drain. */
const STOP_SECONDS = 15;

/** With an address of its own on the only network that it is on. */
class HostContainer extends GenericContainer {
  constructor(image: string, network: string, address: string) {
    super(image);
    this.withNetworkMode(network).withLabels(LABELS);
    this.createOpts.NetworkingConfig = { EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: address } } } };
  }

  withReadOnlyRoot(): this {
    this.hostConfig.ReadonlyRootfs = true;
    return this;
  }
}

export interface ContainerLease {
  readonly client: string;
  readonly address: string;
}

export class ContainerCluster {
  readonly #docker: Docker;
  readonly #network: string;
  /** 10.231.67 */
  readonly #prefix: string;
  readonly #folder: string;
  readonly #containers = new Map<string, StartedTestContainer>();
  /** Of every client, in order. */
  readonly leases: ContainerLease[] = [];

  private constructor({ client, folder }: Engine, network: string, prefix: string) {
    this.#docker = client.container.dockerode;
    this.#folder = folder;
    this.#network = network;
    this.#prefix = prefix;
    writeFileSync(join(folder, 'cluster.yaml'), clusterYaml(prefix));
  }

  /** The network, etcd and the clients; what it makes is removed by its label. */
  static async start(engine: Engine): Promise<ContainerCluster> {
    const { name, prefix } = await makeNetwork(engine);
    const cluster = new ContainerCluster(engine, name, prefix);
    await Promise.all([...MEMBERS.map((member) => cluster.#startEtcd(member)), cluster.#startHost('client'), cluster.#startHost('asker')]);
    return cluster;
  }

  /** `image` may be another one than before: it finds the data of its predecessor. */
  async startNode(node: NodeName, image: string, protocolMax?: number): Promise<void> {
    const config = join(this.#folder, `${node}.yaml`);
    // What is connected again has another name then.
    const shipped = readFileSync(join(project, 'deploy/docker/node.yaml'), 'utf8').replace('["${DHCP_INTERFACE}"]', '["${DHCP_INTERFACE}", eth1]');
    writeFileSync(config, protocolMax === undefined ? shipped : `${shipped}  protocolMax: ${protocolMax}\n`);
    const container = new HostContainer(image, this.#network, this.addressOf(node)).withReadOnlyRoot()
      .withDroppedCapabilities('ALL').withAddedCapabilities('NET_BIND_SERVICE', 'NET_RAW', 'NET_ADMIN')
      .withEnvironment({ NODE_NAME: node, NODE_ADDRESS: this.addressOf(node), DHCP_INTERFACE: 'eth0' })
      .withExtraHosts(MEMBERS.map((host) => ({ host, ipAddress: this.addressOf(host) })))
      .withBindMounts([
        { source: config, target: '/etc/lessor/node.yaml', mode: 'ro' },
        { source: join(this.#folder, 'cluster.yaml'), target: '/etc/lessor/cluster.yaml', mode: 'ro' },
        { source: this.#volumeOf(node), target: '/var/lib/lessor', mode: 'rw' },
      ])
      // Not for its health: a drained node is not ready, and stays so.
      .withWaitStrategy(Wait.forLogMessage(/"event":"node.started"/));
    await this.#docker.createVolume({ Name: this.#volumeOf(node), Labels: LABELS });
    this.#containers.set(node, await container.start());
  }

  addressOf(host: keyof typeof HOSTS): string {
    return `${this.#prefix}.${HOSTS[host]}`;
  }

  async ready(node: NodeName): Promise<void> {
    await waitUntil(`node ${node} to be ready`, READY_MS, async () => (await this.#ask(node, '/readyz')) === undefined ? undefined : true).catch(async (error: unknown) => {
      throw new Error(`${(error as Error).message}; its log:\n${await this.logOf(node)}`, { cause: error });
    });
  }

  async status(node: NodeName): Promise<NodeStatus> {
    return JSON.parse(await this.fetch(node, '/v1/status')) as NodeStatus;
  }

  async fetch(node: NodeName, path: string): Promise<string> {
    const text = await this.#ask(node, path);
    if (text === undefined) throw new Error(`node ${node} does not answer ${path}`);
    return text;
  }

  /** A command in a node's container; throws if it fails. @returns its output */
  async run(node: NodeName, ...command: string[]): Promise<string> {
    const { output, exitCode } = await this.#container(node).exec(command);
    if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${exitCode}: ${output}`);
    return output;
  }

  /** What a container says by itself of its health, once it says something. */
  async health(node: NodeName): Promise<string> {
    return waitUntil(`the health of node ${node}`, READY_MS, async () => {
      const { State } = await this.#dockerContainer(node).inspect();
      const status = State.Health?.Status;
      return status === undefined || status === 'starting' ? undefined : status;
    });
  }

  /** Waits until `of` knows that `node` is in the view, or is not. */
  async inView(node: NodeName, of: NodeName, expected: boolean): Promise<void> {
    await waitUntil(`${node} to be ${expected ? 'in' : 'out of'} the view`, READY_MS, async () => {
      const { view } = await this.status(of);
      return view?.members.some((member) => member.node === node) === expected ? true : undefined;
    });
  }

  /** Of a client that has had none, or again of an earlier one. Throws if nobody answers. @returns ms */
  async lease(client = `${this.leases.length}`): Promise<number> {
    const identifier = Buffer.from(`client-${client}`, 'latin1').toString('hex');
    const begin = performance.now();
    const { output, exitCode } = await this.#container('client').exec([
      'udhcpc', '-i', 'eth0', '-f', '-n', '-q', '-t', '8', '-T', '1', '-s', '/lease.sh', '-x', `0x3d:00${identifier}`,
    ]);
    const address = /^got (\S+)$/m.exec(output)?.[1];
    if (exitCode !== 0 || address === undefined) throw new Error(`client ${client} got no lease: ${output}`);
    this.leases.push({ client, address });
    return performance.now() - begin;
  }

  async kill(host: NodeName | Member): Promise<void> {
    await this.#dockerContainer(host).kill();
  }

  async startAgain(host: NodeName | Member): Promise<void> {
    await this.#dockerContainer(host).start();
  }

  /** By SIGTERM, and then without the container; its data stays. @returns its exit code */
  async removeNode(node: NodeName): Promise<number> {
    const container = this.#dockerContainer(node);
    await container.stop({ t: STOP_SECONDS });
    const { State } = await container.inspect();
    await container.remove();
    this.#containers.delete(node);
    return State.ExitCode;
  }

  async pause(node: NodeName): Promise<void> {
    await this.#dockerContainer(node).pause();
  }

  async unpause(node: NodeName): Promise<void> {
    await this.#dockerContainer(node).unpause();
  }

  async disconnect(node: NodeName): Promise<void> {
    await this.#docker.getNetwork(this.#network).disconnect({ Container: this.#container(node).getId(), Force: false });
  }

  async reconnect(node: NodeName): Promise<void> {
    await this.#docker.getNetwork(this.#network).connect({
      Container: this.#container(node).getId(), EndpointConfig: { IPAMConfig: { IPv4Address: this.addressOf(node) } },
    });
  }

  async logOf(host: NodeName | Member): Promise<string> {
    const log = await this.#dockerContainer(host).logs({ stdout: true, stderr: true, tail: 20, follow: false });
    // Each piece begins with eight bytes of its own.
    return log.toString('latin1').replace(/^[^{]*\{/gm, '{');
  }

  /** Undefined: not now. Asked from the cluster's own network, so that it does not matter where the engine runs. */
  async #ask(node: NodeName, path: string): Promise<string | undefined> {
    // wget's own -T ends in a crash in Debian 12.
    const { stdout, exitCode } = await this.#container('asker').exec(['timeout', String(HTTP_SECONDS), 'wget', '-q', '-O', '-', `http://${this.addressOf(node)}:9067${path}`]);
    return exitCode === 0 ? stdout : undefined;
  }

  async #startEtcd(member: Member): Promise<void> {
    const address = this.addressOf(member);
    const container = new HostContainer(ETCD_IMAGE, this.#network, address)
      .withEnvironment({ ETCD_NAME: member, ETCD_DATA_DIR: '/var/lib/etcd' })
      .withCommand([
        '/usr/local/bin/etcd', '--listen-client-urls=http://0.0.0.0:2379', `--advertise-client-urls=http://${address}:2379`,
        '--listen-peer-urls=http://0.0.0.0:2380', `--initial-advertise-peer-urls=http://${address}:2380`,
        `--initial-cluster=${MEMBERS.map((name) => `${name}=http://${this.addressOf(name)}:2380`).join(',')}`, '--auto-compaction-retention=1',
      ])
      .withWaitStrategy(Wait.forLogMessage(/ready to serve client requests/));
    this.#containers.set(member, await container.start());
  }

  async #startHost(name: 'client' | 'asker'): Promise<void> {
    const container = new HostContainer(BUSYBOX_IMAGE, this.#network, this.addressOf(name)).withAddedCapabilities('NET_RAW')
      // Only the lease is of interest: the container keeps the address that the engine gave it.
      .withCopyContentToContainer([{ content: '#!/bin/sh\nif [ "$1" = bound ]; then echo "got $ip"; fi\n', target: '/lease.sh', mode: 0o755 }])
      .withCommand(['sleep', '3600']);
    this.#containers.set(name, await container.start());
  }

  #container(name: string): StartedTestContainer {
    const container = this.#containers.get(name);
    if (container === undefined) throw new Error(`${name} has no container`);
    return container;
  }

  #dockerContainer(name: string): ReturnType<Docker['getContainer']> {
    return this.#docker.getContainer(this.#container(name).getId());
  }

  #volumeOf(node: NodeName): string {
    return `${this.#network}-${node}`;
  }
}

function clusterYaml(prefix: string): string {
  return `nodes: { a: {}, b: {}, c: {} }
leaseTime: 1h
subnets:
  - subnet: ${prefix}.0/24
    pools: [${prefix}.100-${prefix}.250]
`;
}

/** Of addresses that nothing here uses. */
async function makeNetwork({ client, networkOptions }: Engine): Promise<{ readonly name: string; readonly prefix: string }> {
  const name = `lessor-test-${process.pid}`;
  let failure: unknown;
  for (let third = 67; third < 77; third++) {
    const prefix = `${NETWORK}.${third}`;
    try {
      await client.container.dockerode.createNetwork({ Name: name, Driver: 'bridge', Labels: LABELS, Options: networkOptions, IPAM: { Config: [{ Subnet: `${prefix}.0/24` }] } });
      return { name, prefix };
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
