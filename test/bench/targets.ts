/**
 * What is measured: each configuration on a segment of its own, with a host for the load generator, one a
 * server, and one for etcd. All have the same addresses, the same pool and the same lease time, so that
 * nothing but the servers differs.
 */
import { globSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep, waitUntil, type LabProcess } from '../../deploy/lab/processes.ts';
import type { Host, HostOptions, Network } from '../../deploy/lab/netns.ts';
import { findProgram, missingPrograms, requireProgram } from '../../deploy/lab/programs.ts';
import { NameServer, TEST_KEY, writeKeyFile } from '../support/name-server.ts';
import { largeConfig } from './large-config.ts';

/** Those that are measured unless others are named. */
export const USUAL_TARGETS = ['lessor', 'lessor-pair', 'kea', 'kea-pair'] as const;
export const TARGET_NAMES = [
  ...USUAL_TARGETS, 'lessor-large', 'lessor-pair-large', 'lessor-dns', 'lessor-pair-dns', 'lessor-bare', 'lessor-pair-bare',
] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

export const TARGET_TITLES: Readonly<Record<TargetName, string>> = {
  lessor: 'Lessor, one node',
  'lessor-pair': 'Lessor, pair',
  'lessor-large': 'Lessor, one node, large configuration',
  'lessor-pair-large': 'Lessor, pair, large configuration',
  'lessor-dns': 'Lessor, one node, with DNS',
  'lessor-pair-dns': 'Lessor, pair, with DNS',
  'lessor-bare': 'Lessor, one node, no history',
  'lessor-pair-bare': 'Lessor, pair, no history',
  kea: 'Kea, one server',
  'kea-pair': 'Kea, pair',
};

const SERVERS = ['10.0.0.11', '10.0.0.12'] as const;
const ETCD = '10.0.0.21';
const NAME_SERVER = '10.0.0.22';
const CLIENT = '10.0.0.31';
export const PROBER_ADDRESS = '10.0.0.32';
const PREFIX_LENGTH = 8;
const SUBNET = '10.0.0.0/8';
const LEASE_SECONDS = 3600;
const START_MS = 30_000;
const LINK_PORT = 7067;
const KEA_HTTP_PORT = 8000;

const project = join(import.meta.dirname, '../..');

export interface Target {
  readonly name: TargetName;
  /** Where perfdhcp runs. */
  readonly client: Host;
  /** A second relay, whose clients' waiting times are taken one by one. */
  readonly prober: Host;
  /** Process ids of the DHCP servers. */
  readonly servers: readonly number[];
  /** Process ids of what they need besides, counted apart. */
  readonly helpers: readonly number[];
  /** Throws, with the last lines of its output, when one of the processes has ended. */
  checkAlive(): void;
}

/** Why a configuration cannot be measured here; undefined where it can. */
export function whyNotMeasured(name: TargetName): string | undefined {
  if (name.startsWith('lessor-pair') && findProgram('etcd') === undefined) return 'etcd is missing (deploy/lab/install.sh bench)';
  if (name.endsWith('-dns') && missingPrograms(['named', 'dig']).length > 0) return 'BIND is missing (deploy/lab/install.sh test)';
  if (name !== 'kea' && name !== 'kea-pair') return undefined;
  if (findProgram('kea-dhcp4') === undefined) return 'kea-dhcp4 is missing (deploy/lab/install.sh bench)';
  if (name === 'kea-pair' && keaHook('libdhcp_ha.so') === undefined) return "Kea's hook libdhcp_ha.so is missing";
  return undefined;
}

/** Makes the hosts, starts the servers and resolves when they serve. `nodeOptions` go to the Lessor nodes' Node.js. */
export async function startTarget(network: Network, folder: string, name: TargetName, nodeOptions: readonly string[]): Promise<Target> {
  const own = join(folder, name);
  mkdirSync(own);
  const count = name.includes('-pair') ? 2 : 1;
  return name.startsWith('lessor') ? startLessor(network, own, name, count, nodeOptions) : startKea(network, own, name, count);
}

interface Hosts {
  readonly client: Host;
  readonly prober: Host;
  readonly servers: readonly Host[];
  readonly etcd: Host | undefined;
  readonly names: Host | undefined;
}

function makeHosts(network: Network, name: TargetName, servers: number, etcd: boolean): Hosts {
  const options = (role: string, address: string): HostOptions => ({ name: `${name}-${role}`, addresses: [`${address}/${PREFIX_LENGTH}`] });
  const hosts = [options('client', CLIENT), options('prober', PROBER_ADDRESS), ...SERVERS.slice(0, servers).map((address, i) => options(`server${i}`, address))];
  const names = name.endsWith('-dns');
  if (etcd) hosts.push(options('etcd', ETCD));
  if (names) hosts.push(options('names', NAME_SERVER));
  network.createSegment(name, { hosts });
  return {
    client: network.host(`${name}-client`),
    prober: network.host(`${name}-prober`),
    servers: SERVERS.slice(0, servers).map((_, i) => network.host(`${name}-server${i}`)),
    etcd: etcd ? network.host(`${name}-etcd`) : undefined,
    names: names ? network.host(`${name}-names`) : undefined,
  };
}

function target(name: TargetName, { client, prober }: Hosts, servers: readonly LabProcess[], helpers: readonly LabProcess[], names?: NameServer): Target {
  return {
    name, client, prober, servers: servers.map(({ pid }) => pid),
    helpers: [...helpers.map(({ pid }) => pid), ...(names?.pid === undefined ? [] : [names.pid])],
    checkAlive() {
      for (const one of [...servers, ...helpers]) if (!one.running) throw new Error(`${one.name} has ended; its output:\n${one.output}`);
      if (names !== undefined && names.pid === undefined) throw new Error(`the name server has ended; its output:\n${names.log}`);
    },
  };
}

// ── Lessor ───────────────────────────────────────────────────────────────────────────────────────

async function startLessor(network: Network, folder: string, name: TargetName, count: 1 | 2, nodeOptions: readonly string[]): Promise<Target> {
  const hosts = makeHosts(network, name, count, count > 1);
  const helpers = hosts.etcd === undefined ? [] : [await startEtcd(hosts.etcd, folder)];
  const ids = ['a', 'b'].slice(0, count);
  const names = hosts.names === undefined ? undefined : await startNameServer(hosts.names, folder);
  const large = name.endsWith('-large') ? largeConfig() : undefined;
  writeFileSync(join(folder, 'cluster.yaml'), `leaseTime: ${LEASE_SECONDS}s
authoritative: true
nodes: { ${ids.map((id) => `${id}: { weight: 1 }`).join(', ')} }
${name.endsWith('-bare') ? 'history: { days: 0 }\n' : ''}${names === undefined ? '' : DNS}${large?.classes ?? ''}subnets:
  - subnet: ${SUBNET}
    pools: [10.1.0.0-10.200.255.255]
    options: { routers: [10.0.0.1], domain-name-servers: [10.0.0.53], domain-name: example.net }
${large?.subnets ?? ''}`);
  const nodes = ids.map((id, i) => {
    const address = SERVERS[i]!;
    const cluster = count === 1 ? '' : `cluster:
  name: bench
  listen: ${address}:${LINK_PORT}
  etcd: [http://${ETCD}:2379]
  sessionTtl: 3s
`;
    writeFileSync(join(folder, `${id}.yaml`), `node: ${id}
dataDir: ./data-${id}
dhcp:
  interfaces: [eth0]
http:
  listen: 127.0.0.1:9067
${cluster}${names === undefined ? '' : 'dnsKeys: [names.key]\n'}config: ./cluster.yaml
`);
    return hosts.servers[i]!.spawn(
      [process.execPath, ...nodeOptions, join(project, 'node/cli/lessor.ts'), 'node', '--config', join(folder, `${id}.yaml`)],
      { name: `node ${id} of ${name}`, cwd: folder },
    );
  });
  await Promise.all(nodes.map((node) => node.waitForLine(/"to":"NORMAL"/, START_MS)));
  return target(name, hosts, nodes, helpers, names);
}

/** Every client gets a name, in two zones. */
const DNS = `dns:
  updates: true
  suffix: example.net
  replaceName: always
  zones:
    - { zone: example.net, servers: [${NAME_SERVER}], key: ${TEST_KEY.name} }
    - { zone: 10.in-addr.arpa, servers: [${NAME_SERVER}], key: ${TEST_KEY.name} }
`;

function startNameServer(host: Host, folder: string): Promise<NameServer> {
  writeKeyFile(TEST_KEY, join(folder, 'names.key'));
  const zones = ['example.net.', '10.in-addr.arpa.'].map((name) => ({ name, updates: TEST_KEY }));
  return NameServer.start({ kind: 'bind', host, address: NAME_SERVER, zones });
}

async function startEtcd(host: Host, folder: string): Promise<LabProcess> {
  const { command, env } = requireProgram('etcd');
  const url = `http://${ETCD}:2379`;
  const etcd = host.spawn([
    command, '--name', 'bench', '--data-dir', join(folder, 'etcd'), '--listen-client-urls', url, '--advertise-client-urls', url,
    '--listen-peer-urls', 'http://127.0.0.1:2380', '--initial-advertise-peer-urls', 'http://127.0.0.1:2380',
    '--initial-cluster', 'bench=http://127.0.0.1:2380', '--logger', 'zap',
  ], { env, name: 'etcd' });
  await etcd.waitForLine(/ready to serve client requests|serving client traffic/, START_MS);
  return etcd;
}

// ── Kea ──────────────────────────────────────────────────────────────────────────────────────────

function keaHook(file: string): string | undefined {
  const { root } = requireProgram('kea-dhcp4');
  return globSync(join(root, 'usr/lib/*/kea/hooks', file))[0];
}

async function startKea(network: Network, folder: string, name: TargetName, count: 1 | 2): Promise<Target> {
  const hosts = makeHosts(network, name, count, false);
  const { command, env } = requireProgram('kea-dhcp4');
  const servers = hosts.servers.map((host, i) => {
    const own = join(folder, `server${i}`);
    mkdirSync(own);
    writeFileSync(join(own, 'kea.json'), JSON.stringify(keaConfig(own, i, count), undefined, 2));
    return host.spawn([command, '-c', join(own, 'kea.json')], {
      name: `${name} ${i}`, cwd: own, env: { ...env, KEA_PIDFILE_DIR: own, KEA_LOCKFILE_DIR: own },
    });
  });
  await waitUntil(`${name} to start`, START_MS, () => {
    const ended = servers.find(({ running }) => !running);
    if (ended !== undefined) throw new Error(`${ended.name} has ended; its output:\n${ended.output}`);
    return servers.every(({ output }) => (count === 1 ? /DHCP4_STARTED/ : /now LOAD-BALANCING|to LOAD-BALANCING/).test(output)) ? true : undefined;
  });
  // It says so shortly before it answers.
  await sleep(300);
  return target(name, hosts, servers, []);
}

function keaConfig(folder: string, index: number, count: 1 | 2): unknown {
  const names = ['server0', 'server1'];
  const hooks = count === 1 ? [] : [
    { library: keaHook('libdhcp_lease_cmds.so') },
    { library: keaHook('libdhcp_ha.so'), parameters: { 'high-availability': [{
      'this-server-name': names[index], mode: 'load-balancing', 'heartbeat-delay': 2000, 'max-response-delay': 60_000,
      'max-ack-delay': 10_000, 'max-unacked-clients': 0,
      'multi-threading': { 'enable-multi-threading': true, 'http-dedicated-listener': true, 'http-listener-threads': 0, 'http-client-threads': 0 },
      peers: names.map((peer, i) => ({
        name: peer, url: `http://${SERVERS[i]!}:${KEA_HTTP_PORT}/`, role: i === 0 ? 'primary' : 'secondary', 'auto-failover': true,
      })),
    }] } },
  ];
  // In load balancing each server allocates from a part of its own, as Kea's manual has it.
  const pools = count === 1 ? [{ pool: '10.1.0.0 - 10.200.255.255' }] : [
    { pool: '10.1.0.0 - 10.100.255.255', 'client-class': 'HA_server0' },
    { pool: '10.101.0.0 - 10.200.255.255', 'client-class': 'HA_server1' },
  ];
  return { Dhcp4: {
    'interfaces-config': { interfaces: ['eth0'] },
    'multi-threading': { 'enable-multi-threading': true },
    'lease-database': { type: 'memfile', persist: true, name: join(folder, 'leases.csv'), 'lfc-interval': 0 },
    'valid-lifetime': LEASE_SECONDS,
    authoritative: true,
    'hooks-libraries': hooks,
    subnet4: [{ id: 1, subnet: SUBNET, pools, 'option-data': [
      { name: 'routers', data: '10.0.0.1' }, { name: 'domain-name-servers', data: '10.0.0.53' }, { name: 'domain-name', data: 'example.net' },
    ] }],
    loggers: [
      { name: 'kea-dhcp4', output_options: [{ output: 'stdout', flush: true }], severity: 'WARN' },
      { name: 'kea-dhcp4.dhcp4', output_options: [{ output: 'stdout', flush: true }], severity: 'INFO' },
      { name: 'kea-dhcp4.ha-hooks', output_options: [{ output: 'stdout', flush: true }], severity: 'INFO' },
    ],
  } };
}
