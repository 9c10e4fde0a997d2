/**
 * The configuration after it was checked: addresses as 32-bit numbers, times as seconds or
 * milliseconds, options as wire bytes, names resolved to indexes. Nothing behind this type needs to
 * doubt a value.
 *
 * What may be set in several places is worked out here as far as it can be: a pool's scope holds what
 * the file says for it, its subnet, its shared network and globally, the nearest winning. What depends
 * on the client (its classes, its reservation) comes as overlays, which win over any scope; a
 * reservation's over a class's, an earlier class's over a later one's.
 *
 * Everything in here survives a structured clone (a worker makes it), but for Buffers, which arrive as
 * Uint8Arrays and are wrapped again.
 */
import type { Role } from '../admin/roles.ts';
import type { ClassConfig } from '../classes/types.ts';
import type { Ipv4Prefix } from '../codec/address.ts';
import type { DnsScope } from '../ddns/types.ts';
import type { ProtocolRange } from '../protocol.ts';

/** An option ready for the wire. `value` may exceed 255 bytes: the writer splits it (RFC 3396). */
export interface OptionValue {
  readonly code: number;
  readonly value: Buffer;
}

/** When a configured option goes into a reply: if the client's option 55 lists it, or always, or never. */
export type OptionSend = 'requested' | 'always' | 'never';

export interface ConfiguredOption extends OptionValue {
  readonly send: OptionSend;
}

export interface AddressRange {
  /** Inclusive, host byte order. */
  readonly first: number;
  readonly last: number;
}

/** Who a client is: option 61 if sent, or always the hardware address. */
export type Identity = 'client-id' | 'hardware';

/** `fraction` of the lease time (0 to 1), or `seconds` where they are fewer than the lease has. */
export type LeaseFraction = { readonly fraction: number } | { readonly seconds: number };

export interface LeaseTimes {
  /** What a client gets that asks for no time of its own (option 51); 0xffffffff for ever. */
  readonly defaultSeconds: number;
  /** What it may ask for; both equal to the default: its wish counts for nothing. */
  readonly minSeconds: number;
  readonly maxSeconds: number;
  /** T1 and T2 (RFC 2131 §4.4.5). */
  readonly renew: LeaseFraction;
  readonly rebind: LeaseFraction;
}

/** The fields of a reply that tell a client how to boot; empty or 0: not set. */
export interface BootFields {
  /** 'siaddr'. */
  readonly nextServer: number;
  /** 'sname', 0 to 63 bytes. */
  readonly serverHostname: Buffer;
  /** 'file', 0 to 127 bytes. */
  readonly bootFileName: Buffer;
}

/** What a pool, or a subnet where no pool is meant, tells its clients, wider scopes merged in. */
export interface Scope {
  readonly lease: LeaseTimes;
  readonly boot: BootFields;
  /** Each code once, in order of code; none that the server itself decides. */
  readonly options: readonly ConfiguredOption[];
  /** RFC 4039: a DHCPDISCOVER with option 80 is answered by a DHCPACK. */
  readonly rapidCommit: boolean;
  /** BOOTP clients (RFC 951) are given an address for ever. */
  readonly bootp: boolean;
  /** A renewal before this fraction of the lease has passed changes nothing; 0: every one is written. */
  readonly leaseCache: number;
  /** Whether somebody uses an address already is asked before it is offered. */
  readonly conflictCheck: ConflictCheck;
  /** Left out: names of clients are not put into DNS. */
  readonly dns?: DnsScope;
}

export interface ConflictCheck {
  readonly method: 'none' | 'icmp' | 'arp';
  /** How long an answer is waited for. */
  readonly timeoutMs: number;
  /** An address that was found free is not asked for again for so long. */
  readonly cacheSeconds: number;
}

/** What a class or a reservation sets over the scope; undefined: nothing of the kind. */
export interface Overlay {
  readonly lease?: Partial<LeaseTimes>;
  readonly boot?: Partial<BootFields>;
  readonly options: readonly ConfiguredOption[];
}

/** By class index. A client may pass if it is in none of `deny`, and in one of `allow` if that is set. */
export interface ClassGuard {
  readonly allow: readonly number[] | undefined;
  readonly deny: readonly number[];
}

/** How the next free address is chosen: in order, at random, or by the client's own hash. */
export type AllocationMethod = 'iterative' | 'random' | 'hashed';

export interface PoolConfig {
  /** In `ClusterConfig.pools`. */
  readonly index: number;
  readonly subnetIndex: number;
  /** What names the pool between nodes whose configurations differ for a moment: its lowest address. */
  readonly id: number;
  /** In order, disjoint; excluded addresses are left out. Pools of a subnet that say the same are one. */
  readonly ranges: readonly AddressRange[];
  readonly guard: ClassGuard;
  readonly allocation: AllocationMethod;
  readonly scope: Scope;
}

export interface SubnetConfig {
  /** In `ClusterConfig.subnets`. */
  readonly index: number;
  readonly networkIndex: number;
  /** "10.0.0.0/8", for people. */
  readonly name: string;
  readonly network: number;
  readonly prefixLength: number;
  readonly guard: ClassGuard;
  /** In order of their lowest address; none overlaps another. */
  readonly pools: readonly PoolConfig[];
  /** For addresses outside its pools (reservations), and for DHCPINFORM. */
  readonly scope: Scope;
}

/** Subnets on one link (a shared network), or a subnet of its own: within it a client has one address. */
export interface NetworkConfig {
  /** In `ClusterConfig.networks`. */
  readonly index: number;
  /** The name of the shared network, or the only subnet's. */
  readonly name: string;
  readonly subnets: readonly SubnetConfig[];
  readonly identity: Identity;
  readonly authoritative: boolean;
}

/**
 * The identifiers that a client or its relay must show; all that are set. Each as it lies on the wire, one
 * character a byte (latin1), so that they serve as keys of a map.
 */
export interface ReservedClient {
  /** htype, then chaddr. */
  readonly hardware?: string;
  /** Option 61. */
  readonly clientId?: string;
  /** The DUID inside an option 61 of RFC 4361 (type 255, after the 4 bytes of IAID). */
  readonly duid?: string;
  /** Sub-options 1, 2 and 12 of option 82. */
  readonly circuitId?: string;
  readonly remoteId?: string;
  readonly relayId?: string;
}

export interface Reservation {
  /** Undefined: global, for the client in any network. */
  readonly networkIndex: number | undefined;
  readonly client: ReservedClient;
  /** Undefined: only what the overlay says. A global one has none. */
  readonly address: number | undefined;
  /** With its host name as option 12, if it has one. */
  readonly overlay: Overlay;
  /** Its client's name in DNS; left out: what else makes one. */
  readonly hostname?: string;
  readonly description: string;
  /** UTC seconds from which it counts for nothing; 0xffffffff: never. */
  readonly endsAt: number;
}

/** Protection against floods and exhaustion; a rate of 0 or a count of 0 is no limit. */
export interface FloodLimits {
  readonly packetsPerClient: Rate;
  readonly packetsPerRelay: Rate;
  readonly declinesPerClient: Rate;
  /** LEASEQUERY of one requestor: `leasequery.queriesPerRequestor` of the file. */
  readonly queriesPerRequestor: Rate;
  /** ACTIVE bindings that one relay port (circuit-id of one relay) may have. */
  readonly leasesPerCircuit: number;
}

/** A token bucket. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Who may ask for leases, and what they are told. */
export interface LeaseQueryConfig {
  /** Empty: nobody, and nothing is answered. */
  readonly requestors: readonly Ipv4Prefix[];
  /** Codes that may be told, in order, beside a lease's times and state. */
  readonly options: readonly number[];
  readonly connections: number;
  readonly queriesPerConnection: number;
  readonly idleSeconds: number;
  /** Undefined: RFC 7724 is off. */
  readonly active: ActiveQueryConfig | undefined;
}

export interface ActiveQueryConfig {
  /** Also without TLS. */
  readonly insecure: boolean;
  /** Names in the certificates that are taken; empty: any that verifies. */
  readonly names: readonly string[];
  readonly historySeconds: number;
  readonly historyBytes: number;
}

/** The history of leases: what is older, or too much, goes, a day at a time. */
export interface LeaseHistoryLimits {
  readonly days: number;
  readonly bytes: number;
}

/** What becomes of clients that operators have put into quarantine. */
export interface QuarantineConfig {
  /** To who asks for the address that it had. */
  readonly answer: 'nak' | 'silence';
  /** In `ClusterConfig.classes`; undefined: there is none, and they get nothing. */
  readonly classIndex: number | undefined;
}

/** PEM files, absolute paths. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** Of the authority whose certificates the other side must show. */
  readonly authority: string;
}

/** Without an authority whoever connects need not show a certificate. */
export type ServerTlsFiles = Omit<TlsFiles, 'authority'> & { readonly authority?: string };

export interface NodeWeight {
  readonly id: string;
  readonly weight: number;
}

/** cluster.yaml: the same for all nodes, kept in etcd by revision. */
export interface ClusterConfig {
  /** In order of id. Empty for a single node whose file names none: then the list is the one node itself. */
  readonly nodes: readonly NodeWeight[];
  readonly networks: readonly NetworkConfig[];
  /** All subnets of all networks, by index. */
  readonly subnets: readonly SubnetConfig[];
  /** All pools of all subnets, by index. */
  readonly pools: readonly PoolConfig[];
  /** In the order of the file: an earlier one goes before a later one. */
  readonly classes: readonly ClassConfig[];
  readonly reservations: readonly Reservation[];
  readonly limits: FloodLimits;
  readonly leaseQuery: LeaseQueryConfig;
  /** Undefined: none is kept. */
  readonly history: LeaseHistoryLimits | undefined;
  readonly quarantine: QuarantineConfig;
  /** Clients may say which link they mean (option 118); off unless configured (RFC 3011 §6). */
  readonly subnetSelection: boolean;
  /** Servers outside this cluster that are no surprise where clients choose them. */
  readonly knownServers: readonly Ipv4Prefix[];
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
  /** Of the host: who the process is to be. */
  readonly user: string | undefined;
  readonly interfaces: readonly string[];
  /** Without `tls` in the clear. `tokens`: the file; `roles`: by a name in a client's certificate. */
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly tls: ServerTlsFiles | undefined;
    readonly tokens: string | undefined;
    readonly roles: ReadonlyMap<string, Role>;
  };
  /** Where LEASEQUERY over TCP is listened for, once somebody may ask; without `tls` none over TLS. */
  readonly leaseQuery: { readonly host: string; readonly port: number; readonly tls: TlsFiles | undefined };
  /** Files with TSIG keys. */
  readonly dnsKeys: readonly string[];
  readonly cluster?: {
    readonly name: string;
    readonly listen: { readonly host: string; readonly port: number };
    readonly etcd: readonly string[];
    /** Between the nodes; without it in the clear. `optional`: peers that do not speak TLS are talked to as well. */
    readonly tls: (TlsFiles & { readonly optional: boolean }) | undefined;
    /** Where etcd has other certificates than the nodes. */
    readonly etcdTls: TlsFiles | undefined;
    readonly sessionTtlSeconds: number;
    /** The protocol versions that the node speaks. */
    readonly protocol: ProtocolRange;
  };
  /** Absolute path of cluster.yaml: taken when etcd holds none yet, or without etcd. */
  readonly clusterConfigPath: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly logLeases: boolean;
}
