/** A naive model of the lease table: plain maps, everything computed anew from them. Slow and plainly right. */
import { BindingState, encodeRecord } from '../../node/lease/record.ts';
import type { AllocationMethod, ClusterConfig, Reservation } from '../../node/config/types.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import { buildConfig } from '../support/configs.ts';
import type { ConfigSpec, ReservationSpec, SubnetSpec } from '../support/configs.ts';

export const SKEW_MS = 10_000;

export function at(wallSeconds: number, monoMs: number = wallSeconds * 1000): Now {
  return { wall: (wallSeconds * 1000) as WallMs, mono: monoMs as MonotonicMs };
}

export function ip(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** First and last address; pools that name no method are one. */
export type PoolText = readonly [first: string, last: string, allocation?: AllocationMethod];

export function subnet(
  name: string, pools: readonly PoolText[], reservations: readonly ReservationSpec[] = [], more: Partial<SubnetSpec> = {},
): SubnetSpec {
  const [network, prefix] = name.split('/') as [string, string];
  return {
    name, network: ip(network), prefixLength: Number(prefix),
    pools: pools.map(([first, last, allocation]) =>
      ({ first: ip(first), last: ip(last), ...(allocation === undefined ? {} : { allocation }) })),
    leaseSeconds: 3600, identity: 'client-id', authoritative: true, options: [], reservations, ...more,
  };
}

export function tableConfig(subnets: readonly SubnetSpec[], more: Partial<ConfigSpec> = {}): ClusterConfig {
  return buildConfig({ nodes: ['a'], subnets, ...more });
}

/** Option 82 with a circuit-id and a remote-id. */
export function relayed(circuit: string, remote = 'relay'): Buffer {
  return Buffer.concat([Buffer.of(1, circuit.length), Buffer.from(circuit), Buffer.of(2, remote.length), Buffer.from(remote)]);
}

export interface Binding {
  readonly state: BindingState;
  readonly client: string;
  readonly since: number;
  readonly lastTransaction: number;
  readonly expires: number;
  readonly leaseSeconds: number;
  /** Circuit-id of the relay's port. */
  readonly circuit?: string;
}

export function recordOf(binding: Binding): Buffer {
  return encodeRecord({
    state: binding.state, hasClientIdentifier: true, reserved: false, htype: 1, chaddr: Buffer.alloc(6),
    clientKey: Buffer.from(binding.client), stateSince: binding.since, lastTransaction: binding.lastTransaction,
    expires: binding.expires, leaseSeconds: binding.leaseSeconds, xid: 1,
    relayAgentInformation: binding.circuit === undefined ? Buffer.alloc(0) : relayed(binding.circuit), hostname: Buffer.alloc(0),
  });
}

export class Model {
  config: ClusterConfig;
  readonly bindings = new Map<number, Binding>();
  /** Address to holder, oldest hold first. */
  readonly holds = new Map<number, { client: string; until: number }>();
  readonly used = new Set<number>();
  /** Reservations whose end was noticed. */
  readonly #ended = new Set<Reservation>();

  constructor(config: ClusterConfig) {
    this.config = config;
  }

  reconfigure(config: ClusterConfig, now: Now): void {
    this.config = config;
    this.holds.clear();
    this.#ended.clear();
    this.endReservations(now);
  }

  endReservations(now: Now): void {
    for (const reservation of this.config.reservations) if (hasEnded(reservation, now)) this.#ended.add(reservation);
  }

  subnetOf(address: number): number {
    return this.config.subnets.findIndex((s) => address >= s.network && address < s.network + 2 ** (32 - s.prefixLength));
  }

  networkOf(address: number): number {
    return this.config.subnets[this.subnetOf(address)]?.networkIndex ?? -1;
  }

  poolOf(address: number): number {
    return this.config.pools.findIndex(({ ranges }) => ranges.some((range) => address >= range.first && address <= range.last));
  }

  /** Of several the one that ends last. */
  reservation(address: number): Reservation | undefined {
    return this.#current().filter((r) => r.address === address).toSorted((a, b) => b.endsAt - a.endsAt)[0];
  }

  /** By one that has not ended, noticed or not. */
  isReserved(address: number, now: Now): boolean {
    const reservation = this.reservation(address);
    return reservation !== undefined && !hasEnded(reservation, now);
  }

  #current(): Reservation[] {
    return this.config.reservations.filter((r) => !this.#ended.has(r));
  }

  /** What is reserved for a client that shows this; keys as in `ReservedClient`. */
  reservationFor(networkIndex: number, shown: Readonly<Record<string, string>>, now: Now): Reservation | undefined {
    const rank = ({ client, networkIndex: own }: Reservation): string => {
      const keys = Object.keys(client);
      const order = ['clientId', 'duid', 'hardware', 'circuitId', 'remoteId', 'relayId'].map((key) => (keys.includes(key) ? 1 : 0));
      return `${own === undefined ? 0 : 1}${keys.length}${order.join('')}`;
    };
    return this.#current()
      .filter((r) => !hasEnded(r, now) && (r.networkIndex === undefined || r.networkIndex === networkIndex))
      .filter(({ client }) => Object.keys(client).length > 0 && Object.entries(client).every(([key, value]) => shown[key] === value))
      .toSorted((a, b) => (rank(a) === rank(b) ? b.endsAt - a.endsAt : rank(a) < rank(b) ? 1 : -1))[0];
  }

  *addressesOf(pool: number): Iterable<number> {
    for (const { first, last } of this.config.pools[pool]!.ranges) for (let a = first; a <= last; a++) yield a;
  }

  reuse(binding: Binding): number {
    const { since, expires, leaseSeconds } = binding;
    const skew = this.config.maxClockSkewMs / 1000;
    const drift = leaseSeconds === INFINITE_SECONDS ? 0 : leaseSeconds / 5000;
    const ended = Math.ceil((expires === INFINITE_SECONDS ? since : expires) + skew + drift + 5);
    if (binding.state !== BindingState.RELEASED) return ended;
    const held = Math.ceil(since + 30 + skew);
    return since - binding.lastTransaction > 30 ? held : Math.max(held, ended);
  }

  put(address: number, binding: Binding): void {
    this.bindings.set(address, binding);
    this.used.add(address);
    if (binding.state === BindingState.ACTIVE || binding.state === BindingState.ABANDONED) this.holds.delete(address);
  }

  hold(address: number, client: string, now: Now): void {
    for (const [other, hold] of this.holds) {
      if (hold.client === client && this.networkOf(other) === this.networkOf(address)) this.holds.delete(other);
    }
    this.holds.set(address, { client, until: now.mono + 30_000 });
  }

  expireHolds(now: Now): void {
    for (const [address, hold] of this.holds) if (hold.until <= now.mono) this.holds.delete(address);
  }

  /** May go to anybody. */
  isFree(address: number, now: Now): boolean {
    if (this.poolOf(address) < 0 || this.reservation(address) !== undefined || this.holds.has(address)) return false;
    const binding = this.bindings.get(address);
    if (binding === undefined) return true;
    const ended = binding.state === BindingState.EXPIRED || binding.state === BindingState.RELEASED;
    return ended && this.reuse(binding) <= now.wall / 1000;
  }

  free(pool: number, now: Now): number[] {
    return [...this.addressesOf(pool)].filter((address) => this.isFree(address, now));
  }

  mayGive(address: number, client: string, networkIndex: number, now: Now, reservedForClient: boolean): boolean {
    if (networkIndex < 0 || this.networkOf(address) !== networkIndex) return false;
    if (!reservedForClient && (this.poolOf(address) < 0 || this.isReserved(address, now))) return false;
    const hold = this.holds.get(address);
    if (hold !== undefined && hold.client !== client) return false;
    const binding = this.bindings.get(address);
    if (binding === undefined) return true;
    if (binding.state === BindingState.ABANDONED) {
      if (!reservedForClient || Math.floor(now.wall / 1000) - binding.since < 600) return false;
      return binding.client === client || this.reuse(binding) <= Math.floor(now.wall / 1000);
    }
    if (binding.client === client) return true;
    return binding.state !== BindingState.ACTIVE && this.reuse(binding) <= now.wall / 1000;
  }

  /** What `findByClient` may answer; several where transactions are of the same second. */
  bestOf(client: string, networkIndex: number): number[] {
    const rank = (b: Binding): number => b.lastTransaction + (b.state === BindingState.ACTIVE ? 1e12 : 0);
    const mine = [...this.bindings].filter(([address, b]) =>
      b.client === client && b.state !== BindingState.ABANDONED && this.networkOf(address) === networkIndex);
    const best = Math.max(...mine.map(([, b]) => rank(b)));
    return mine.length === 0 ? [0] : mine.filter(([, b]) => rank(b) === best).map(([address]) => address);
  }

  /** Of the records whose address passes, and the free addresses of these pools. */
  counts(passes: (address: number) => boolean, pools: readonly number[], now: Now): Record<string, number> {
    const inState = (state: BindingState): number =>
      [...this.bindings].filter(([address, b]) => b.state === state && passes(address)).length;
    return {
      active: inState(BindingState.ACTIVE), expired: inState(BindingState.EXPIRED),
      released: inState(BindingState.RELEASED), abandoned: inState(BindingState.ABANDONED),
      free: pools.reduce((sum, pool) => sum + this.free(pool, now).length, 0),
    };
  }

  activeOn(circuit: string): number {
    if (this.config.limits.leasesPerCircuit === 0) return 0;
    return [...this.bindings.values()].filter((b) => b.state === BindingState.ACTIVE && b.circuit === circuit).length;
  }

  ended(now: Now, owned: ReadonlySet<number>): number[] {
    return [...this.bindings]
      .filter(([address, b]) => b.state === BindingState.ACTIVE && b.expires !== INFINITE_SECONDS
        && b.expires <= now.wall / 1000 && owned.has(address & 255))
      .map(([address]) => address);
  }
}

function hasEnded({ endsAt }: Reservation, now: Now): boolean {
  return endsAt !== INFINITE_SECONDS && endsAt <= Math.floor(now.wall / 1000);
}
