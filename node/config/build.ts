/** From the values of a file without a mistake to the types that everything behind them uses. */
import { resolve } from 'node:path';
import { formatPrefix } from '../codec/address.ts';
import type { ClusterFile, NodeFile, SubnetFile } from './schema.ts';
import type {
  AddressRange, ClusterConfig, ClassGuard, ConfiguredOption, NetworkConfig, NodeConfig, OptionValue, PoolConfig, Reservation, Scope, SubnetConfig,
} from './types.ts';
import { INFINITE_SECONDS } from '../time.ts';

const NO_GUARD: ClassGuard = { allow: undefined, deny: [] };
const EMPTY: Buffer = Buffer.alloc(0);

export function buildNode(file: NodeFile, folder: string): NodeConfig {
  return {
    node: file.node,
    dataDir: resolve(folder, file.dataDir),
    interfaces: file.dhcp.interfaces,
    http: file.http.listen,
    ...(file.cluster === undefined ? {} : {
      cluster: {
        name: file.cluster.name,
        listen: file.cluster.listen,
        etcd: file.cluster.etcd,
        sessionTtlSeconds: file.cluster.sessionTtl,
      },
    }),
    clusterConfigPath: resolve(folder, file.config),
    logLevel: file.log.level,
    logLeases: file.log.leases,
  };
}

export function buildCluster(file: ClusterFile): ClusterConfig {
  const networks = file.subnets.map((subnet, index) => buildNetwork(subnet, index, file));
  const subnets = networks.flatMap((network) => network.subnets);
  return {
    nodes: Object.entries(file.nodes)
      .map(([id, { weight }]) => ({ id, weight }))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
    networks,
    subnets,
    pools: subnets.flatMap(({ pools }) => pools).map((pool, index) => Object.assign(pool, { index })),
    classes: [],
    reservations: file.subnets.flatMap((subnet, networkIndex) => subnet.reservations.map((entry) => buildReservation(entry, networkIndex))),
    subnetSelection: false,
    limits: {
      packetsPerClient: { perSecond: 0, burst: 0 }, packetsPerRelay: { perSecond: 0, burst: 0 },
      declinesPerClient: { perSecond: 0, burst: 0 }, leasesPerCircuit: 0,
    },
    maxClockSkewMs: file.maxClockSkew,
    loadBalanceMaxSeconds: file.loadBalance.maxSeconds,
    ackTimeoutMs: file.ackTimeout,
    evictAfterMs: file.evictAfter,
    coldStartWaitMs: file.coldStartWait,
    logLeases: file.log.leases,
  };
}

function buildNetwork(subnet: SubnetFile, index: number, file: ClusterFile): NetworkConfig {
  const built = buildSubnet(subnet, index, file);
  return {
    index, name: built.name, subnets: [built],
    identity: subnet.identity ?? file.identity,
    authoritative: subnet.authoritative ?? file.authoritative,
  };
}

function buildSubnet(subnet: SubnetFile, index: number, file: ClusterFile): SubnetConfig {
  const { network, prefixLength } = subnet.subnet;
  const scope = buildScope(subnet.leaseTime ?? file.leaseTime, mergeOptions(file.options, subnet.options));
  const ranges: AddressRange[] = subnet.pools.toSorted((a, b) => a.first - b.first);
  const pools: PoolConfig[] = ranges.length === 0 ? [] : [
    { index: -1, subnetIndex: index, id: ranges[0]!.first, ranges, guard: NO_GUARD, allocation: 'iterative', scope },
  ];
  return { index, networkIndex: index, name: formatPrefix({ network, prefixLength }), network, prefixLength, guard: NO_GUARD, pools, scope };
}

function buildScope(leaseSeconds: number, options: readonly ConfiguredOption[]): Scope {
  return {
    lease: { defaultSeconds: leaseSeconds, minSeconds: leaseSeconds, maxSeconds: leaseSeconds, renew: { fraction: 0.5 }, rebind: { fraction: 0.875 } },
    boot: { nextServer: 0, serverHostname: EMPTY, bootFileName: EMPTY },
    options, rapidCommit: false, bootp: false, leaseCache: 0,
    conflictCheck: { method: 'none', timeoutMs: 0, cacheSeconds: 0 },
  };
}

function buildReservation({ address, hardware, clientId, hostname }: SubnetFile['reservations'][number], networkIndex: number): Reservation {
  return {
    networkIndex,
    client: {
      ...(hardware === undefined ? {} : { hardware: String.fromCharCode(hardware.htype) + hardware.chaddr.toString('latin1') }),
      ...(clientId === undefined ? {} : { clientId: clientId.toString('latin1') }),
    },
    address,
    overlay: { options: hostname === undefined ? [] : [{ code: 12, value: Buffer.from(hostname), send: 'requested' }] },
    description: '',
    endsAt: INFINITE_SECONDS,
  };
}

/** In order of code. */
function mergeOptions(general: readonly OptionValue[], special: readonly OptionValue[]): ConfiguredOption[] {
  const merged = new Map([...general, ...special].map((option) => [option.code, { ...option, send: 'requested' as const }]));
  return [...merged.values()].sort((a, b) => a.code - b.code);
}
