/**
 * The configuration after it was checked: addresses as 32-bit numbers, times as seconds or
 * milliseconds, options as wire bytes. Nothing behind this type needs to doubt a value.
 */

/** An option ready for the wire. `value` may exceed 255 bytes: the writer splits it (RFC 3396). */
export interface OptionValue {
  readonly code: number;
  readonly value: Buffer;
}

export interface AddressRange {
  /** Inclusive, host byte order. */
  readonly first: number;
  readonly last: number;
}

export interface Reservation {
  /** Exactly one of `hardware` and `clientId`. */
  readonly hardware?: { readonly htype: number; readonly chaddr: Buffer };
  readonly clientId?: Buffer;
  readonly address: number;
  readonly hostname?: string;
}

/** Who a client is: option 61 if sent, or always the hardware address. */
export type Identity = 'client-id' | 'hardware';

export interface SubnetConfig {
  /** "10.0.0.0/8", for people. */
  readonly name: string;
  readonly network: number;
  readonly prefixLength: number;
  /** In order of `first`; none overlaps another. */
  readonly pools: readonly AddressRange[];
  readonly leaseSeconds: number;
  readonly identity: Identity;
  readonly authoritative: boolean;
  /** Subnet options merged over the global ones, each code once, in order of code; none that the server itself decides. */
  readonly options: readonly OptionValue[];
  readonly reservations: readonly Reservation[];
}

export interface NodeWeight {
  readonly id: string;
  readonly weight: number;
}

/** cluster.yaml: the same for all nodes, kept in etcd by revision. */
export interface ClusterConfig {
  /** In order of id. Empty for a single node whose file names none: then the list is the one node itself. */
  readonly nodes: readonly NodeWeight[];
  readonly subnets: readonly SubnetConfig[];
  readonly authoritative: boolean;
  readonly maxClockSkewMs: number;
  readonly loadBalanceMaxSeconds: number;
  readonly ackTimeoutMs: number;
  readonly evictAfterMs: number;
  readonly coldStartWaitMs: number;
  readonly logLeases: boolean;
}

/** node.yaml: what one host needs to know. */
export interface NodeConfig {
  readonly node: string;
  readonly dataDir: string;
  readonly interfaces: readonly string[];
  readonly http: { readonly host: string; readonly port: number };
  readonly cluster?: {
    readonly name: string;
    readonly listen: { readonly host: string; readonly port: number };
    readonly etcd: readonly string[];
    readonly sessionTtlSeconds: number;
  };
  /** Absolute path of cluster.yaml: taken when etcd holds none yet, or without etcd. */
  readonly clusterConfigPath: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly logLeases: boolean;
}
