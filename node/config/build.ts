/** From the values of a file without a mistake to the types that everything behind them uses. */
import { resolve } from 'node:path';
import { ClassTable } from './build-classes.ts';
import { DEFAULT_QUERY_OPTIONS } from '../leasequery/default-options.ts';
import { PROTOCOL } from '../protocol.ts';
import { buildNetworks } from './build-networks.ts';
import { buildReservations } from './build-reservations.ts';
import { innerScope, outermostScope } from './build-scopes.ts';
import type { NodeFile } from './node-schema.ts';
import { readDefinitions } from './option-values.ts';
import type { ClusterFile } from './schema.ts';
import type { ClusterConfig, FloodLimits, LeaseQueryConfig, NodeConfig, Rate, ServerTlsFiles, TlsFiles } from './types.ts';

const NO_LIMIT: Rate = { perSecond: 0, burst: 0 };

export function buildNode(file: NodeFile, folder: string): NodeConfig {
  return {
    node: file.node,
    dataDir: resolve(folder, file.dataDir),
    user: file.user,
    interfaces: file.dhcp.interfaces,
    http: {
      ...file.http.listen, tls: file.http.tls && serverTlsFiles(file.http.tls, folder), roles: new Map(Object.entries(file.http.roles)),
      tokens: file.http.tokens === undefined ? undefined : resolve(folder, file.http.tokens),
    },
    leaseQuery: { ...file.leasequery.listen, tls: file.leasequery.tls && tlsFiles(file.leasequery.tls, folder) },
    dnsKeys: file.dnsKeys.map((path) => resolve(folder, path)),
    ...(file.cluster === undefined ? {} : {
      cluster: {
        name: file.cluster.name,
        listen: file.cluster.listen,
        etcd: file.cluster.etcd,
        tls: file.cluster.tls && { ...tlsFiles(file.cluster.tls, folder), optional: file.cluster.tls.optional },
        etcdTls: file.cluster.etcdTls && tlsFiles(file.cluster.etcdTls, folder),
        sessionTtlSeconds: file.cluster.sessionTtl,
        protocol: { min: file.cluster.protocolMin ?? PROTOCOL.min, max: file.cluster.protocolMax ?? PROTOCOL.max },
      },
    }),
    clusterConfigPath: resolve(folder, file.config),
    logLevel: file.log.level,
    logLeases: file.log.leases,
  };
}

export function buildCluster(file: ClusterFile): ClusterConfig {
  const catalogue = readDefinitions(file.optionDefinitions, [], (_, message) => {
    throw new Error(`a definition that was found right is not: ${message}`);
  });
  const classes = new ClassTable(file.classes, catalogue);
  const networks = buildNetworks(file, innerScope(file, outermostScope(), catalogue), classes, catalogue);
  const subnets = networks.flatMap((network) => network.subnets);
  return {
    nodes: Object.entries(file.nodes)
      .map(([id, { weight }]) => ({ id, weight }))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
    networks,
    subnets,
    pools: subnets.flatMap(({ pools }) => pools),
    classes: classes.classes,
    reservations: buildReservations(file, networks, catalogue),
    limits: buildLimits(file),
    leaseQuery: buildLeaseQuery(file.leasequery),
    history: file.history.days === 0 ? undefined : { days: file.history.days, bytes: file.history.size },
    quarantine: { answer: file.quarantine.answer, classIndex: file.quarantine.class === undefined ? undefined : classes.indexOf(file.quarantine.class) },
    subnetSelection: file.subnetSelection,
    maxClockSkewMs: file.maxClockSkew,
    knownServers: file.knownServers.map(({ network, prefixLength }) => ({ network, prefixLength })),
    loadBalanceMaxSeconds: file.loadBalance.maxSeconds,
    ackTimeoutMs: file.ackTimeout,
    evictAfterMs: file.evictAfter,
    coldStartWaitMs: file.coldStartWait,
    logLeases: file.log.leases,
  };
}

function tlsFiles(tls: TlsFiles, folder: string): TlsFiles {
  return { certificate: resolve(folder, tls.certificate), key: resolve(folder, tls.key), authority: resolve(folder, tls.authority) };
}

function serverTlsFiles(
  { authority, certificate, key }: Pick<TlsFiles, 'certificate' | 'key'> & { readonly authority?: string | undefined }, folder: string,
): ServerTlsFiles {
  return {
    certificate: resolve(folder, certificate), key: resolve(folder, key), ...(authority === undefined ? {} : { authority: resolve(folder, authority) }),
  };
}

const MEBIBYTE = 2 ** 20;

function buildLeaseQuery(file: ClusterFile['leasequery']): LeaseQueryConfig {
  const { active } = file;
  return {
    requestors: file.requestors.map(({ network, prefixLength }) => ({ network, prefixLength })),
    options: (file.options ?? DEFAULT_QUERY_OPTIONS).toSorted((a, b) => a - b),
    connections: file.connections,
    queriesPerConnection: file.queriesPerConnection,
    idleSeconds: file.idleTimeout,
    active: active.enabled ? {
      insecure: active.insecure, names: active.names, historySeconds: active.history, historyBytes: active.historySize * MEBIBYTE,
    } : undefined,
  };
}

function buildLimits({ limits, leasequery }: ClusterFile): FloodLimits {
  const { packetsPerClient = NO_LIMIT, packetsPerRelay = NO_LIMIT, declinesPerClient = NO_LIMIT, leasesPerCircuit } = limits;
  return { packetsPerClient, packetsPerRelay, declinesPerClient, queriesPerRequestor: leasequery.queriesPerRequestor ?? NO_LIMIT, leasesPerCircuit };
}
