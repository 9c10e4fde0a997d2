/** The lease table beside a naive model, driven by the same random steps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { circuitKeyOf } from '../../node/lease/circuits.ts';
import { fingerprint } from '../../node/lease/fingerprint.ts';
import { BindingState } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import type { AddressCounts, SlotChoice } from '../../node/lease/table.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import type { Now } from '../../node/time.ts';
import { SimDisk } from '../sim/disk.ts';
import { at, ip, Model, recordOf, relayed, subnet, tableConfig } from './lease-model.ts';

const T = 1_800_000_000;
const id = (client: string): { clientId: Buffer } => ({ clientId: Buffer.from(client) });

// Small pools whose slots meet, pages shared by subnets and pools, networks of one and of two subnets,
// reservations inside and outside a pool, some with an end; the same addresses arranged in other ways.
const FIRST = tableConfig([
  subnet('10.0.0.0/22', [['10.0.0.253', '10.0.1.2'], ['10.0.2.254', '10.0.3.1']], [
    { ...id('c0'), address: ip('10.0.1.1') }, { ...id('c1'), address: ip('10.0.3.77') },
    { ...id('c2'), address: ip('10.0.0.254'), endsAt: T + 40 },
  ]),
  subnet('10.0.4.128/25', [['10.0.4.253', '10.0.4.255']], [], { sharedNetwork: 'link' }),
  subnet('10.0.4.0/25', [['10.0.4.0', '10.0.4.1', 'hashed']], [{ ...id('c3'), address: ip('10.0.4.9'), endsAt: T + 1000 }], { sharedNetwork: 'link' }),
]);
const OTHER_POOLS = tableConfig([
  subnet('10.0.4.0/24', [['10.0.4.0', '10.0.4.0', 'random'], ['10.0.4.1', '10.0.4.9', 'hashed'], ['10.0.4.254', '10.0.4.255', 'iterative']], [
    { ...id('c4'), address: ip('10.0.4.254'), endsAt: T + 90 },
  ]),
  subnet('10.0.0.0/22', [['10.0.0.252', '10.0.0.255', 'random'], ['10.0.1.0', '10.0.1.2', 'hashed'], ['10.0.3.0', '10.0.3.1', 'iterative']], [
    // One address for two, until the first of them has ended.
    { ...id('c2'), address: ip('10.0.0.254'), endsAt: T + 300 }, { ...id('c4'), address: ip('10.0.0.254'), endsAt: T + 200 },
    { ...id('c0'), address: ip('10.0.1.1'), endsAt: T + 300 },
  ], { sharedNetwork: 'link' }),
], { limits: { leasesPerCircuit: 2 }, reservations: [id('c3')], more: { maxClockSkewMs: 25_000 } });
const ONE_POOL = tableConfig([
  subnet('10.0.0.0/21', [['10.0.0.250', '10.0.4.0'], ['10.0.4.8', '10.0.4.10']]),
], { limits: { leasesPerCircuit: 1 }, reservations: [{ ...id('c0'), endsAt: T + 100 }] });
const NOTHING = tableConfig([subnet('10.0.0.0/24', [])], { more: { maxClockSkewMs: 3000 } });
const CONFIGS = [FIRST, OTHER_POOLS, ONE_POOL, NOTHING];

const ADDRESSES = [
  ...[FIRST, OTHER_POOLS].flatMap(({ pools }) => pools.flatMap(({ ranges }) =>
    ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i)))),
  ip('10.0.3.77'), ip('10.0.0.9'), ip('192.0.2.1'),
].filter((address, i, all) => all.indexOf(address) === i);
const CLIENTS = ['c0', 'c1', 'c2', 'c3', 'c4'];
const CIRCUITS = ['port 1', 'port 2'];
const NODES = ['a', 'b'];
const homeOf = (slot: number): string => NODES[slot % 2]!;

type Step =
  | { kind: 'put'; address: number; state: BindingState; client: string; lease: number; age: number; circuit: string | undefined }
  | { kind: 'remove' | 'release'; address: number }
  | { kind: 'offer'; network: number; client: string; home: string; abandoned: boolean; backwards: boolean }
  | { kind: 'hold'; address: number; client: string }
  | { kind: 'time'; wall: number; mono: number }
  | { kind: 'own'; mask: number }
  | { kind: 'reconfigure'; config: number }
  | { kind: 'expire' | 'flush' | 'reload' };

const anAddress = fc.constantFrom(...ADDRESSES);
const aClient = fc.constantFrom(...CLIENTS);
const aStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({
    kind: fc.constant('put' as const), address: anAddress, client: aClient, age: fc.integer({ min: 0, max: 200 }),
    state: fc.constantFrom(BindingState.ACTIVE, BindingState.ACTIVE, BindingState.EXPIRED, BindingState.RELEASED, BindingState.ABANDONED),
    lease: fc.constantFrom(20, 100, 3600, 100_000, INFINITE_SECONDS), circuit: fc.constantFrom(undefined, ...CIRCUITS),
  }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('remove' as const, 'release' as const), address: anAddress }) },
  { weight: 5, arbitrary: fc.record({
    kind: fc.constant('offer' as const), network: fc.nat(1), client: aClient,
    home: fc.constantFrom(...NODES), abandoned: fc.boolean(), backwards: fc.boolean(),
  }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('hold' as const), address: anAddress, client: aClient }) },
  { weight: 4, arbitrary: fc.record({
    kind: fc.constant('time' as const), mono: fc.integer({ min: 0, max: 40_000 }),
    wall: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constantFrom(-100, 1000, 70_000, 200_000, -200_000)),
  }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('own' as const), mask: fc.nat(15) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reconfigure' as const), config: fc.nat(CONFIGS.length - 1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('expire' as const, 'flush' as const, 'reload' as const) }) },
);

const ascending = (addresses: readonly number[]): number[] => [...addresses].sort((a, b) => a - b);

class Run {
  readonly disk = new SimDisk();
  readonly store = new BindingStore(this.disk);
  readonly model = new Model(FIRST);
  table = new LeaseTable(this.store, FIRST);
  wall = T;
  mono = 5000;
  /** The wall clock went back: what is free by the clock may have been let in before. */
  stepped = false;
  owned = new Set(Array.from({ length: 256 }, (_, slot) => slot));
  readonly slots: SlotChoice = { owns: (slot) => this.owned.has(slot), homeOf };

  constructor() {
    this.table.load(this.now);
  }

  get now(): Now {
    return at(this.wall, this.mono);
  }

  step(step: Step): void {
    switch (step.kind) {
      case 'put': {
        const start = this.wall - step.age;
        const expires = step.lease === INFINITE_SECONDS ? step.lease : start + step.lease;
        const binding = {
          state: step.state, client: step.client, since: start, lastTransaction: start, expires, leaseSeconds: step.lease,
          ...(step.circuit === undefined ? {} : { circuit: step.circuit }),
        };
        this.table.put(step.address, recordOf(binding), this.now);
        this.model.put(step.address, binding);
        break;
      }
      case 'remove':
        this.table.remove(step.address, this.now);
        this.model.bindings.delete(step.address);
        break;
      case 'release':
        this.table.offers.release(step.address);
        this.model.holds.delete(step.address);
        break;
      case 'offer':
        this.offer(step);
        break;
      case 'hold':
        if (this.table.mayGive(step.address, Buffer.from(step.client), this.model.networkOf(step.address), this.now, false)) {
          this.hold(step.address, step.client);
        }
        break;
      case 'time':
        this.wall += step.wall;
        this.mono += step.mono;
        if (step.wall < 0) this.stepped = true;
        break;
      case 'own':
        this.owned = new Set(Array.from({ length: 256 }, (_, slot) => slot).filter((slot) => (step.mask >> (slot & 3)) & 1));
        break;
      case 'expire':
        this.expire();
        break;
      case 'flush':
        this.flush();
        break;
      case 'reload':
        this.table = new LeaseTable(this.store, this.model.config, { hashSeed: this.wall });
        this.table.load(this.now);
        this.model.reconfigure(this.model.config, this.now);
        this.model.used.clear();
        for (const address of this.model.bindings.keys()) this.model.used.add(address);
        this.stepped = false;
        break;
      case 'reconfigure':
        this.table.reconfigure(CONFIGS[step.config]!, this.now);
        this.model.reconfigure(CONFIGS[step.config]!, this.now);
        this.stepped = false;
        break;
    }
    this.table.advance(this.now, Infinity);
    this.model.expireHolds(this.now);
    this.model.endReservations(this.now);
    this.check();
  }

  hold(address: number, client: string): void {
    assert.ok(this.table.offers.hold(address, Buffer.from(client), this.now, 7));
    this.model.hold(address, client, this.now);
  }

  /** The network's pools, in order or backwards, as a client's classes may have it. */
  pools(networkIndex: number, backwards: boolean): number[] {
    const pools = this.model.config.pools.filter(({ subnetIndex }) => this.model.config.subnets[subnetIndex]!.networkIndex === networkIndex);
    return backwards ? pools.map(({ index }) => index).toReversed() : pools.map(({ index }) => index);
  }

  offer({ abandoned, backwards, client, home, network }: Step & { kind: 'offer' }): void {
    const pools = this.pools(network, backwards);
    const free = pools.flatMap((pool) => this.model.free(pool, this.now)).filter((address) => this.owned.has(address & 255));
    const address = this.table.allocate(pools, this.slots, home, fingerprint(Buffer.from(client), 0), this.now);
    if (address !== 0) {
      assert.ok(free.includes(address), `${address} is not free`);
      this.checkChoice(address, free, pools, home);
      this.hold(address, client);
      return;
    }
    assert.deepEqual(free, []);
    if (!abandoned) return;
    const choices = [...this.model.bindings].filter(([a]) =>
      this.model.mayBeTriedAgain(a, this.now) && pools.includes(this.model.poolOf(a))
      && this.model.reservation(a) === undefined && !this.model.holds.has(a) && this.owned.has(a & 255));
    const taken = this.table.allocateAbandoned(pools, this.slots, this.now);
    if (choices.length === 0) assert.equal(taken, 0);
    else assert.ok(choices.some(([a]) => a === taken));
    if (taken !== 0) this.hold(taken, client);
  }

  checkChoice(address: number, free: readonly number[], pools: readonly number[], home: string): void {
    const atHome = free.filter((a) => homeOf(a & 255) === home);
    if (atHome.length > 0) assert.equal(homeOf(address & 255), home);
    const eligible = atHome.length > 0 ? atHome : free;
    const pool = this.model.poolOf(address);
    assert.equal(pool, pools.find((p) => eligible.some((a) => this.model.poolOf(a) === p)), 'the first pool that has one');
    const candidates = eligible.filter((a) => this.model.poolOf(a) === pool);
    if (!candidates.some((a) => !this.model.used.has(a))) return;
    if (this.model.config.pools[pool]!.allocation === 'iterative') assert.ok(!this.model.used.has(address), 'never used goes first');
    else assert.ok(!this.model.bindings.has(address), 'nobody\'s goes first');
  }

  expire(): void {
    const ended = this.table.ended(this.now, this.slots, 1000);
    assert.deepEqual(ascending(ended), ascending(this.model.ended(this.now, this.owned)));
    for (const address of ended) {
      const binding = { ...this.model.bindings.get(address)!, state: BindingState.EXPIRED, since: this.wall };
      this.table.put(address, recordOf(binding), this.now);
      this.model.put(address, binding);
    }
  }

  flush(): void {
    const batch = this.store.takeWrites();
    if (batch === undefined) return;
    this.disk.begin(batch);
    this.disk.complete();
    this.store.flushed(batch.position);
  }

  check(): void {
    const { config } = this.model;
    assert.equal(this.table.size, this.model.bindings.size);
    for (const { index, pools } of config.subnets) {
      const expected = this.model.counts((a) => this.model.subnetOf(a) === index, pools.map((pool) => pool.index), this.now);
      this.checkCounts(this.table.counts(index), expected);
    }
    for (const { index } of config.pools) {
      const counts = this.table.poolCounts(index);
      this.checkCounts(counts, this.model.counts((a) => this.model.poolOf(a) === index, [index], this.now));
      assert.equal(this.table.freeBySlot(index).reduce((sum, n) => sum + n), counts.free);
    }
    for (const circuit of CIRCUITS) assert.equal(this.table.activeOnCircuit(circuitKeyOf(relayed(circuit))!), this.model.activeOn(circuit));
    for (const address of ADDRESSES) {
      assert.equal(this.table.subnetOf(address), this.model.subnetOf(address));
      assert.equal(this.table.networkOf(address), this.model.networkOf(address));
      assert.equal(this.table.poolOf(address), this.model.poolOf(address));
      assert.equal(this.table.reservationAt(address), this.model.reservation(address));
      assert.equal(this.table.isReserved(address, this.now), this.model.isReserved(address, this.now));
    }
    for (const client of CLIENTS) this.checkClient(client);
  }

  checkCounts(counts: AddressCounts, expected: Record<string, number>): void {
    if (this.stepped) assert.ok(counts.free >= expected['free']!);
    assert.deepEqual({ ...counts }, this.stepped ? { ...expected, free: counts.free } : expected);
  }

  checkClient(client: string): void {
    const key = Buffer.from(client);
    for (const { index } of this.model.config.networks) {
      assert.ok(this.model.bestOf(client, index).includes(this.table.findByClient(key, index)));
      const held = [...this.model.holds].find(([a, h]) => h.client === client && this.model.networkOf(a) === index);
      assert.equal(this.table.offers.find(key, index), held?.[0] ?? 0);
    }
    const all = [...this.model.bindings].filter(([, b]) => b.client === client).map(([a]) => a);
    assert.deepEqual(ascending(this.table.findAllByClient(key)), ascending(all));
    for (const address of ADDRESSES) {
      const network = this.model.networkOf(address);
      const subject = { htype: 1, chaddr: Buffer.alloc(6), clientId: key, relayAgentInformation: undefined };
      const reservation = this.table.reservationFor(network, subject, this.now);
      assert.equal(reservation, this.model.reservationFor(network, { clientId: client }, this.now));
      const own = reservation?.address === address;
      assert.equal(
        this.table.mayGive(address, key, network, this.now, own), this.model.mayGive(address, client, network, this.now, own),
        `${address} for ${client}`,
      );
    }
  }

  /** Takes everything there is; each free address must come exactly once, and no other. */
  drain(): void {
    for (const { index } of this.model.config.pools) {
      const free = this.model.free(index, this.now).filter((address) => this.owned.has(address & 255));
      const taken: number[] = [];
      for (let n = 0; n <= free.length; n++) {
        const address = this.table.allocate([index], this.slots, NODES[n % 2]!, n, this.now);
        if (address === 0) break;
        taken.push(address);
        this.table.offers.hold(address, Buffer.from(`drain ${address}`), this.now, n);
      }
      assert.deepEqual(ascending(taken), ascending(free));
    }
  }

  /** The pages of the merged listing, whatever their size, are what the model holds. */
  list(limit: number): void {
    const listed: number[] = [];
    for (let after = -1; ;) {
      const page = this.table.records(after, limit);
      assert.ok(page.length <= limit);
      if (page.length === 0) break;
      for (const { address, record } of page) {
        assert.deepEqual(record, recordOf(this.model.bindings.get(address)!));
        listed.push(address);
      }
      after = page.at(-1)!.address;
    }
    assert.deepEqual(listed, ascending([...this.model.bindings.keys()]));
  }
}

test('the lease table does what a naive model does, whatever happens and however the clock steps', () => {
  fc.assert(fc.property(fc.array(aStep, { maxLength: 60, size: 'max' }), fc.integer({ min: 1, max: 9 }), (steps, limit) => {
    const run = new Run();
    for (const step of steps) run.step(step);
    run.list(limit);
    run.expire();
    run.table.advance(run.now, Infinity);
    run.drain();
  }), { numRuns: 200 });
});
