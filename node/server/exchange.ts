/** What the handlers of the message types share: the parts of the server, and the packet at hand. */
import type { OfferBook } from '../allocation/offers.ts';
import { rfc3074Hash } from '../allocation/rfc3074.ts';
import { isLetIn } from '../classes/matcher.ts';
import type { ClassMatcher, ClassSet } from '../classes/matcher.ts';
import type { DhcpMessage } from '../codec/message.ts';
import type { ClusterConfig, NetworkConfig, Reservation, SubnetConfig } from '../config/types.ts';
import type { SingleQueries } from '../leasequery/single.ts';
import type { LeaseTable } from '../lease/table.ts';
import { circuitKeyOf } from '../lease/circuits.ts';
import { BindingState, recordClientKey, recordSection, recordState, SectionKind } from '../lease/record.ts';
import { sameBytes } from '../lease/fingerprint.ts';
import type { QuarantineList } from '../notes/quarantine-list.ts';
import type { Quarantine } from '../notes/quarantine.ts';
import type { Counters, DropReason } from '../telemetry/counters.ts';
import type { Occurrence } from '../telemetry/events.ts';
import { POOL_CHOICES_CACHED_MAX } from '../limits.ts';
import type { Now } from '../time.ts';
import type { Allocations } from './allocations.ts';
import type { FloodGuard } from './flood.ts';
import { NOTHING } from './ports.ts';
import type { ClusterView, Decision, ReceivedPacket } from './ports.ts';
import type { Probes } from './probes.ts';
import type { Replies } from './replies.ts';
import type { Responsibility } from './responsibility.ts';
import type { RogueServers } from './rogue-servers.ts';
import type { Terms, TermsBook } from '../classes/terms.ts';
import type { Throttle } from './throttle.ts';
import type { Transactions } from './transactions.ts';

/** What stands for option 53 in a message without one (RFC 1534 §2). */
export const BOOTP = 0;

/** What follows from the configuration, and is made anew with another one. */
export interface Configured {
  readonly config: ClusterConfig;
  readonly matcher: ClassMatcher;
  readonly terms: TermsBook;
  readonly poolChoice: PoolChoice;
  readonly replies: Replies;
  readonly queries: SingleQueries;
  /** Grants, renewals and ends of leases are events too. */
  readonly logLeases: boolean;
}

export interface ServerContext extends Configured {
  readonly table: LeaseTable;
  readonly offers: OfferBook;
  readonly cluster: ClusterView;
  readonly counters: Counters;
  readonly responsibility: Responsibility;
  readonly transactions: Transactions;
  readonly allocations: Allocations;
  readonly flood: FloodGuard;
  readonly probes: Probes;
  /** Clients that share an identifier, as far as they were reported. */
  readonly clones: Throttle;
  readonly quarantines: QuarantineList;
  /** Clients in quarantine, as far as they were reported. */
  readonly quarantined: Throttle;
  readonly rogueServers: RogueServers;
}

/** One request. Nothing in it outlives the step: the packet's buffer is used again. */
export interface Exchange {
  readonly packet: ReceivedPacket;
  readonly message: DhcpMessage;
  readonly network: NetworkConfig;
  /** Where the request came from; the client's address may be in another subnet of the network. */
  readonly subnet: SubnetConfig;
  /** Of a client in quarantine that is served all the same: the quarantine's alone. */
  readonly classes: ClassSet;
  /** A client in quarantine has none. */
  readonly reservation: Reservation | undefined;
  readonly quarantine: Quarantine | undefined;
  /** Option 82 as received, or as the binding has it of a client that renews past its relay. */
  readonly relayAgentInformation: Buffer | undefined;
  /** Who the client is: see `identity` in the configuration. */
  readonly clientKey: Buffer;
  /** Option 61 made the key, not the hardware address. */
  readonly byClientIdentifier: boolean;
  /** Addresses that were found in use for this very packet. */
  readonly foundInUse: number;
  readonly now: Now;
}

/** What a message type does with the address that was chosen for it. */
export type Give = (context: ServerContext, x: Exchange, address: number) => Decision;

/** The slot that the client belongs to: RFC 3074 §5.1 hashes option 61 if sent, else chaddr. */
export function clientSlot(x: Exchange): number {
  return rfc3074Hash(x.byClientIdentifier ? x.clientKey : x.message.chaddr());
}

/** Whether the record names this very client. */
export function isClients(record: Buffer, clientKey: Uint8Array): boolean {
  return sameBytes(recordClientKey(record), clientKey);
}

export function isReservedFor(x: Exchange, address: number): boolean {
  return x.reservation !== undefined && x.reservation.address === address;
}

/** Whether the client may be given the address now: as the table knows it, and as its classes let it. */
export function mayGive(context: ServerContext, x: Exchange, address: number): boolean {
  const reserved = isReservedFor(x, address);
  return context.table.mayGive(address, x.clientKey, x.network.index, x.now, reserved) && (reserved || mayUse(context, x, address));
}

/**
 * Whether the client was offered this address although it is abandoned, since nothing else was free: it is held
 * for the client, and only so may it be given.
 */
export function mayGiveAbandoned(context: ServerContext, x: Exchange, address: number): boolean {
  const { table, offers } = context;
  const record = table.read(address);
  if (record === undefined || recordState(record) !== BindingState.ABANDONED || !offers.isHeldBy(address, x.clientKey)) return false;
  if (context.quarantines.isBlocked(address)) return false;
  return isReservedFor(x, address) || (!table.isReserved(address, x.now) && mayUse(context, x, address));
}

/** Whether its classes let the client have it. A reservation stands above what classes are let into. */
export function mayUse({ config, table }: ServerContext, x: Exchange, address: number): boolean {
  const subnet = config.subnets[table.subnetOf(address)]!.guard;
  const pool = table.poolOf(address);
  if (pool < 0) return isLetIn(x.classes, subnet, subnet);
  const { guard, scope } = config.pools[pool]!;
  return isLetIn(x.classes, subnet, guard) && (x.message.type !== BOOTP || scope.bootp);
}

/**
 * The pools that the client may be given an address from, by index, the preferred ones first. RFC 1534 §2: a
 * server MAY allocate addresses to BOOTP clients; it does where the pool says so.
 */
export function poolsOf({ config, poolChoice }: ServerContext, x: Exchange): readonly number[] {
  const pools = poolChoice.of(x.subnet, x.classes);
  return x.message.type === BOOTP ? pools.filter((index) => config.pools[index]!.scope.bootp) : pools;
}

/**
 * Whether a new lease would be one too many at the port of the relay that the client is plugged into. The one
 * that it has there already does not count: it moves. Counted in what is stored: what is being granted at this
 * moment may exceed it.
 */
export function isCircuitFull({ config, table }: ServerContext, x: Exchange, address: number): boolean {
  const most = config.limits.leasesPerCircuit;
  if (most === 0 || x.relayAgentInformation === undefined) return false;
  const circuit = circuitKeyOf(x.relayAgentInformation);
  if (circuit === undefined) return false;
  const active = table.activeOnCircuit(circuit);
  if (active < most || activeOf(table, x, address) !== undefined) return false;
  const own = activeOf(table, x, table.findByClient(x.clientKey, x.network.index));
  return own === undefined || active > most || circuitKeyOf(recordSection(own, SectionKind.relayAgentInformation)) !== circuit;
}

/** The client's lease of the address. */
function activeOf(table: LeaseTable, x: Exchange, address: number): Buffer | undefined {
  const record = table.read(address);
  return record !== undefined && recordState(record) === BindingState.ACTIVE && isClients(record, x.clientKey) ? record : undefined;
}

/** What the client is told with this address; with address 0, of where it is. */
export function termsOf({ config, table, terms }: ServerContext, x: Exchange, address: number): Terms {
  const subnet = config.subnets[table.subnetOf(address)] ?? x.subnet;
  const pool = table.poolOf(address);
  return terms.of(subnet, pool < 0 ? subnet.scope : config.pools[pool]!.scope, x.classes, x.reservation);
}

/** What a list takes besides its numbers, in numbers. */
const LIST_COST = 16;

/** Which pools a client may be given an address from, its own subnet's first. Kept by subnet and classes. */
export class PoolChoice {
  readonly #networks: readonly NetworkConfig[];
  /** By subnet index. */
  readonly #known: (Map<ClassSet, readonly number[]> | undefined)[] = [];
  #kept = 0;

  constructor({ networks }: ClusterConfig) {
    this.#networks = networks;
  }

  /** What is kept, in the unit of POOL_CHOICES_CACHED_MAX. */
  get kept(): number {
    return this.#kept;
  }

  /** Indexes into `ClusterConfig.pools`. */
  of(subnet: SubnetConfig, classes: ClassSet): readonly number[] {
    return this.#known[subnet.index]?.get(classes) ?? this.#make(subnet, classes);
  }

  #make({ index, networkIndex }: SubnetConfig, classes: ClassSet): readonly number[] {
    const { subnets } = this.#networks[networkIndex]!;
    const pools = subnets
      .toSorted((a, b) => Number(b.index === index) - Number(a.index === index))
      .flatMap((subnet) => subnet.pools.filter(({ guard }) => isLetIn(classes, subnet.guard, guard)).map((pool) => pool.index));
    const cost = LIST_COST + pools.length;
    if (this.#kept + cost > POOL_CHOICES_CACHED_MAX) {
      this.#known.length = 0;
      this.#kept = 0;
    }
    (this.#known[index] ??= new Map()).set(classes, pools);
    this.#kept += cost;
    return pools;
  }
}

/** Counts a packet that gets no answer; the one place where a handler ends without a reply. */
export function drop(context: ServerContext, reason: DropReason): Decision {
  context.counters.drop(reason);
  return NOTHING;
}

export function dropWith(context: ServerContext, reason: DropReason, event: Occurrence): Decision {
  context.counters.drop(reason);
  return { ...NOTHING, events: [event] };
}
