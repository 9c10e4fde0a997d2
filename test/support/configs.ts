/** Configurations for tests, made of the little that a test cares about. */
import type {
  AddressRange, ClassGuard, ClusterConfig, ConfiguredOption, FloodLimits, LeaseQueryConfig, NetworkConfig, OptionSend, Overlay, PoolConfig, Reservation, Scope,
  SubnetConfig,
} from '../../node/config/types.ts';
import { DEFAULT_QUERY_OPTIONS } from '../../node/leasequery/default-options.ts';
import type { ClassConfig, Condition } from '../../node/classes/types.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { ip } from './client-packets.ts';

export type PoolSpec = AddressRange & Partial<Pick<PoolConfig, 'guard' | 'allocation'>> & { readonly scope?: Partial<Scope> };

export interface ReservationSpec {
  readonly hardware?: { readonly htype: number; readonly chaddr: Buffer };
  readonly clientId?: Buffer;
  readonly duid?: Buffer;
  readonly circuitId?: Buffer;
  readonly remoteId?: Buffer;
  readonly relayId?: Buffer;
  readonly address?: number;
  readonly hostname?: string;
  readonly overlay?: Partial<Overlay>;
  readonly endsAt?: number;
}

export interface SubnetSpec {
  readonly name: string;
  readonly network: number;
  readonly prefixLength: number;
  /** Of one network with the subnets that name the same. */
  readonly sharedNetwork?: string;
  /** Those that say nothing but addresses are one pool. */
  readonly pools: readonly PoolSpec[];
  readonly guard?: ClassGuard;
  readonly leaseSeconds: number;
  readonly identity: 'client-id' | 'hardware';
  readonly authoritative: boolean;
  readonly options: readonly { readonly code: number; readonly value: Buffer; readonly send?: OptionSend }[];
  readonly scope?: Partial<Scope>;
  readonly reservations: readonly ReservationSpec[];
}

export interface ConfigSpec {
  readonly nodes: readonly string[];
  readonly subnets: readonly SubnetSpec[];
  readonly classes?: readonly ClassSpec[];
  readonly reservations?: readonly ReservationSpec[];
  readonly limits?: Partial<FloodLimits>;
  readonly more?: Partial<ClusterConfig>;
}

export interface ClassSpec {
  readonly name: string;
  readonly condition: Condition;
  readonly overlay?: Partial<Overlay>;
  readonly identity?: 'client-id' | 'hardware';
  readonly drop?: boolean;
}

export const NO_GUARD: ClassGuard = { allow: undefined, deny: [] };
/** As a file without `leasequery` has it. */
export const NOBODY_ASKS: LeaseQueryConfig = {
  requestors: [], options: DEFAULT_QUERY_OPTIONS, connections: 10, queriesPerConnection: 4, idleSeconds: 300, active: undefined,
};
const NO_LIMIT = { perSecond: 0, burst: 0 };

export function buildConfig({ nodes, subnets: specs, classes = [], reservations = [], limits, more }: ConfigSpec): ClusterConfig {
  const names = [...new Set(specs.map(networkName))];
  const pools: PoolConfig[] = [];
  const subnets = specs.map((spec, index): SubnetConfig => {
    const scope = scopeOf(spec);
    const own = poolsOf(spec, index, pools.length, scope);
    pools.push(...own);
    return {
      index, networkIndex: names.indexOf(networkName(spec)), name: spec.name, network: spec.network, prefixLength: spec.prefixLength,
      guard: spec.guard ?? NO_GUARD, pools: own, scope,
    };
  });
  const networks = names.map((name, index): NetworkConfig => {
    const { identity, authoritative } = specs.find((spec) => networkName(spec) === name)!;
    return { index, name, subnets: subnets.filter(({ networkIndex }) => networkIndex === index), identity, authoritative };
  });
  return {
    nodes: nodes.map((id) => ({ id, weight: 1 })), networks, subnets, pools,
    classes: classes.map((spec, index): ClassConfig => ({
      index, name: spec.name, condition: spec.condition, overlay: { options: [], ...spec.overlay }, drop: spec.drop ?? false,
      ...(spec.identity === undefined ? {} : { identity: spec.identity }),
    })),
    reservations: [
      ...specs.flatMap((spec) => spec.reservations.map((one) => reservationOf(one, names.indexOf(networkName(spec))))),
      ...reservations.map((one) => reservationOf(one, undefined)),
    ],
    limits: { packetsPerClient: NO_LIMIT, packetsPerRelay: NO_LIMIT, declinesPerClient: NO_LIMIT, queriesPerRequestor: NO_LIMIT, leasesPerCircuit: 0, ...limits },
    leaseQuery: NOBODY_ASKS,
    history: { days: 90, bytes: 2e9 },
    quarantine: { answer: 'nak', classIndex: undefined },
    subnetSelection: false, knownServers: [], maxClockSkewMs: 10_000, loadBalanceMaxSeconds: 3, ackTimeoutMs: 250, evictAfterMs: 30_000, coldStartWaitMs: 20_000, logLeases: false,
    ...more,
  };
}

function networkName({ name, sharedNetwork }: SubnetSpec): string {
  return sharedNetwork ?? name;
}

export function leaseTimes(seconds: number, more: Partial<Scope['lease']> = {}): Scope['lease'] {
  return { defaultSeconds: seconds, minSeconds: seconds, maxSeconds: seconds, renew: { fraction: 0.5 }, rebind: { fraction: 0.875 }, ...more };
}

function scopeOf({ leaseSeconds, options, scope }: SubnetSpec): Scope {
  return {
    lease: leaseTimes(leaseSeconds),
    boot: { nextServer: 0, serverHostname: Buffer.alloc(0), bootFileName: Buffer.alloc(0) },
    options: options.map((option): ConfiguredOption => ({ send: 'requested', ...option })),
    rapidCommit: false, bootp: false, leaseCache: 0, conflictCheck: { method: 'none', timeoutMs: 0, cacheSeconds: 0 },
    ...scope,
  };
}

function poolsOf({ pools }: SubnetSpec, subnetIndex: number, firstIndex: number, scope: Scope): PoolConfig[] {
  const plain = pools.filter((pool) => Object.keys(pool).length === 2).toSorted((a, b) => a.first - b.first);
  const special = pools.filter((pool) => !plain.includes(pool));
  const built = special.map(({ first, last, guard, allocation, scope: own }): PoolConfig => ({
    index: 0, subnetIndex, id: first, ranges: [{ first, last }], guard: guard ?? NO_GUARD, allocation: allocation ?? 'iterative', scope: { ...scope, ...own },
  }));
  if (plain.length > 0) {
    built.push({ index: 0, subnetIndex, id: plain[0]!.first, ranges: plain, guard: NO_GUARD, allocation: 'iterative', scope });
  }
  return built.toSorted((a, b) => a.id - b.id).map((pool, i) => ({ ...pool, index: firstIndex + i }));
}

function reservationOf({ hardware, address, hostname, overlay, endsAt, ...identifiers }: ReservationSpec, networkIndex: number | undefined): Reservation {
  const latin1 = Object.entries(identifiers).map(([key, value]) => [key, value.toString('latin1')]);
  const name: ConfiguredOption[] = hostname === undefined ? [] : [{ code: 12, value: Buffer.from(hostname), send: 'requested' }];
  return {
    networkIndex, address, description: '', endsAt: endsAt ?? INFINITE_SECONDS,
    client: {
      ...Object.fromEntries(latin1) as Record<string, string>,
      ...(hardware === undefined ? {} : { hardware: String.fromCharCode(hardware.htype) + hardware.chaddr.toString('latin1') }),
    },
    overlay: { ...overlay, options: [...name, ...overlay?.options ?? []] },
    ...(hostname === undefined ? {} : { hostname }),
  };
}

/** 10.0.0.0/24 with addresses 100 to 199. */
export function subnetConfig(fields: Partial<SubnetSpec> = {}): SubnetSpec {
  const address = (text: string): Buffer => Buffer.from(text.split('.').map(Number));
  return {
    name: '10.0.0.0/24', network: ip('10.0.0.0'), prefixLength: 24,
    pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.199') }],
    leaseSeconds: 3600, identity: 'client-id', authoritative: false,
    options: [
      { code: 3, value: address('10.0.0.1') },
      { code: 6, value: address('10.0.0.53') },
      { code: 15, value: Buffer.from('example.net') },
      { code: 42, value: address('10.0.0.123') },
    ],
    reservations: [],
    ...fields,
  };
}
