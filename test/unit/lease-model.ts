/** A naive model of the lease table: plain maps, everything computed anew from them. Slow and plainly right. */
import { BindingState, encodeRecord } from '../../node/lease/record.ts';
import type { Reservation, SubnetConfig } from '../../node/config/types.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';

export const SKEW_MS = 10_000;

export function at(wallSeconds: number, monoMs: number = wallSeconds * 1000): Now {
  return { wall: (wallSeconds * 1000) as WallMs, mono: monoMs as MonotonicMs };
}

export function ip(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function subnet(name: string, pools: [string, string][], reservations: Reservation[] = []): SubnetConfig {
  const [network, prefix] = name.split('/') as [string, string];
  return {
    name, network: ip(network), prefixLength: Number(prefix),
    pools: pools.map(([first, last]) => ({ first: ip(first), last: ip(last) })),
    leaseSeconds: 3600, identity: 'client-id', authoritative: true, options: [], reservations,
  };
}

export interface Binding {
  readonly state: BindingState;
  readonly client: string;
  readonly since: number;
  readonly lastTransaction: number;
  readonly expires: number;
  readonly leaseSeconds: number;
}

export function recordOf(binding: Binding): Buffer {
  return encodeRecord({
    state: binding.state, hasClientIdentifier: true, reserved: false, htype: 1, chaddr: Buffer.alloc(6),
    clientKey: Buffer.from(binding.client), stateSince: binding.since, lastTransaction: binding.lastTransaction,
    expires: binding.expires, leaseSeconds: binding.leaseSeconds, xid: 1,
    relayAgentInformation: Buffer.alloc(0), hostname: Buffer.alloc(0),
  });
}

export class Model {
  readonly subnets: readonly SubnetConfig[];
  readonly bindings = new Map<number, Binding>();
  /** Address to holder, oldest hold first. */
  readonly holds = new Map<number, { client: string; until: number }>();
  readonly used = new Set<number>();

  constructor(subnets: readonly SubnetConfig[]) {
    this.subnets = subnets;
  }

  subnetOf(address: number): number {
    return this.subnets.findIndex((s) => address >= s.network && address < s.network + 2 ** (32 - s.prefixLength));
  }

  reservation(address: number): Reservation | undefined {
    return this.subnets.flatMap((s) => s.reservations).find((r) => r.address === address);
  }

  inPool(address: number): boolean {
    return this.subnets[this.subnetOf(address)]?.pools.some((p) => address >= p.first && address <= p.last) ?? false;
  }

  *poolAddresses(subnetIndex: number): Iterable<number> {
    for (const pool of this.subnets[subnetIndex]!.pools) for (let a = pool.first; a <= pool.last; a++) yield a;
  }

  reuse(binding: Binding): number {
    const { since, expires, leaseSeconds } = binding;
    const drift = leaseSeconds === INFINITE_SECONDS ? 0 : leaseSeconds / 5000;
    const ended = Math.ceil((expires === INFINITE_SECONDS ? since : expires) + SKEW_MS / 1000 + drift + 5);
    if (binding.state !== BindingState.RELEASED) return ended;
    const held = Math.ceil(since + 30 + SKEW_MS / 1000);
    return since - binding.lastTransaction > 30 ? held : Math.max(held, ended);
  }

  put(address: number, binding: Binding): void {
    this.bindings.set(address, binding);
    this.used.add(address);
    if (binding.state === BindingState.ACTIVE || binding.state === BindingState.ABANDONED) this.holds.delete(address);
  }

  hold(address: number, client: string, now: Now): void {
    for (const [other, hold] of this.holds) {
      if (hold.client === client && this.subnetOf(other) === this.subnetOf(address)) this.holds.delete(other);
    }
    this.holds.set(address, { client, until: now.mono + 30_000 });
  }

  expireHolds(now: Now): void {
    for (const [address, hold] of this.holds) if (hold.until <= now.mono) this.holds.delete(address);
  }

  /** May go to anybody. */
  isFree(address: number, now: Now): boolean {
    if (!this.inPool(address) || this.reservation(address) !== undefined || this.holds.has(address)) return false;
    const binding = this.bindings.get(address);
    if (binding === undefined) return true;
    const ended = binding.state === BindingState.EXPIRED || binding.state === BindingState.RELEASED;
    return ended && this.reuse(binding) <= now.wall / 1000;
  }

  free(subnetIndex: number, now: Now): Set<number> {
    return new Set([...this.poolAddresses(subnetIndex)].filter((address) => this.isFree(address, now)));
  }

  mayGive(address: number, client: string, subnetIndex: number, now: Now, reserved?: Reservation): boolean {
    if (subnetIndex < 0 || this.subnetOf(address) !== subnetIndex) return false;
    const own = reserved?.address === address;
    if (!own && (!this.inPool(address) || this.reservation(address) !== undefined)) return false;
    const hold = this.holds.get(address);
    if (hold !== undefined && hold.client !== client) return false;
    const binding = this.bindings.get(address);
    if (binding === undefined) return true;
    if (binding.state === BindingState.ABANDONED) return own && Math.floor(now.wall / 1000) - binding.since >= 600;
    if (binding.client === client) return true;
    return binding.state !== BindingState.ACTIVE && this.reuse(binding) <= now.wall / 1000;
  }

  /** What `findByClient` may answer; several where transactions are of the same second. */
  bestOf(client: string, subnetIndex: number): number[] {
    const rank = (b: Binding): number => b.lastTransaction + (b.state === BindingState.ACTIVE ? 1e12 : 0);
    const mine = [...this.bindings].filter(([address, b]) =>
      b.client === client && b.state !== BindingState.ABANDONED && this.subnetOf(address) === subnetIndex);
    const best = Math.max(...mine.map(([, b]) => rank(b)));
    return mine.length === 0 ? [0] : mine.filter(([, b]) => rank(b) === best).map(([address]) => address);
  }

  counts(subnetIndex: number, now: Now): Record<string, number> {
    const inState = (state: BindingState): number =>
      [...this.bindings].filter(([address, b]) => b.state === state && this.subnetOf(address) === subnetIndex).length;
    return {
      active: inState(BindingState.ACTIVE), expired: inState(BindingState.EXPIRED),
      released: inState(BindingState.RELEASED), abandoned: inState(BindingState.ABANDONED),
      free: this.free(subnetIndex, now).size,
    };
  }

  ended(now: Now, owned: ReadonlySet<number>): number[] {
    return [...this.bindings]
      .filter(([address, b]) => b.state === BindingState.ACTIVE && b.expires !== INFINITE_SECONDS
        && b.expires <= now.wall / 1000 && owned.has(address & 255))
      .map(([address]) => address);
  }
}
