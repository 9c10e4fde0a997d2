/**
 * What one configuration says of each address: its subnet, its pool, and whether it is reserved. Nothing
 * in it changes but that reservations end; another configuration is another plan.
 */
import assert from 'node:assert/strict';
import type { ClusterConfig, PoolConfig } from '../config/types.ts';
import { POOLS_MAX, SUBNETS_MAX } from '../limits.ts';
import { NONE, SHARED } from './pages.ts';
import type { Page } from './pages.ts';
import { RangeFinder } from './range-finder.ts';
import { Reservations } from './reservations.ts';
import { SubnetFinder } from './subnet-finder.ts';

export type PlanConfig = Pick<ClusterConfig, 'subnets' | 'pools' | 'reservations'>;

export class AddressPlan {
  readonly pools: readonly PoolConfig[];
  readonly subnetCount: number;
  readonly reservations: Reservations;
  /** Addresses of each pool that are not reserved. */
  readonly unreserved: Float64Array;
  readonly #subnets: SubnetFinder;
  readonly #pools: RangeFinder;
  /** The network of each subnet. */
  readonly #networks: Uint16Array;

  /** Reservations that have ended at `second` are left out. */
  constructor({ pools, reservations, subnets }: PlanConfig, second: number) {
    assert(pools.length <= POOLS_MAX && subnets.length <= SUBNETS_MAX, 'the configuration has more subnets or pools than can be numbered');
    this.pools = pools;
    this.subnetCount = subnets.length;
    this.reservations = new Reservations(reservations, second);
    this.#subnets = new SubnetFinder(subnets);
    this.#pools = new RangeFinder(pools.flatMap(({ index, ranges }) => ranges.map(({ first, last }) => ({ first, last, index }))));
    this.#networks = Uint16Array.from(subnets, ({ networkIndex }) => networkIndex);
    this.unreserved = Float64Array.from(pools, ({ ranges }) => ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0));
    for (const address of this.reservations.within(0, 0xffff_ffff)) {
      const pool = this.#pools.find(address);
      if (pool >= 0) this.unreserved[pool]!--;
    }
  }

  /** Indexes; -1 for none. */
  subnetAt(address: number): number {
    return this.#subnets.find(address);
  }

  poolAt(address: number): number {
    return this.#pools.find(address);
  }

  networkAt(address: number): number {
    return this.networkOf(this.#subnets.find(address));
  }

  /** Of a subnet's index; -1 for one that there is not. */
  networkOf(subnetIndex: number): number {
    return this.#networks[subnetIndex] ?? -1;
  }

  isReserved(address: number): boolean {
    return this.reservations.at(address) !== undefined;
  }

  /** Reserved addresses inside the pool. */
  *reservedIn(pool: number): IterableIterator<number> {
    for (const { first, last } of this.pools[pool]!.ranges) yield* this.reservations.within(first, last);
  }

  /** Fills in what is said of the page's addresses; `base` is its first. */
  describe(page: Page, base: number): void {
    this.#subnets.fillPage(base, page.subnet);
    this.#pools.fillPage(base, page.pool);
    for (let s = 0; s < 256; s++) {
      if (page.pool[s] === NONE) page.flags[s]! &= ~SHARED;
      else page.flags[s]! |= SHARED;
    }
    for (const address of this.reservations.within(base, base + 255)) page.flags[address & 255]! &= ~SHARED;
  }
}
