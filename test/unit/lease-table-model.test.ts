/** The lease table beside a naive model, driven by the same random steps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { BindingState } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import type { SlotChoice } from '../../node/lease/table.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import type { Now } from '../../node/time.ts';
import { SimDisk } from '../sim/disk.ts';
import { at, ip, Model, recordOf, SKEW_MS, subnet } from './lease-model.ts';

// Small pools whose slots meet, a page shared by two subnets, reservations inside and outside a pool.
const RESERVED_IN = { address: ip('10.0.1.1'), clientId: Buffer.from('c0') };
const RESERVED_OUT = { address: ip('10.0.3.77'), clientId: Buffer.from('c1') };
const SUBNETS = [
  subnet('10.0.0.0/22', [['10.0.0.253', '10.0.1.2'], ['10.0.2.254', '10.0.3.1']], [RESERVED_IN, RESERVED_OUT]),
  subnet('10.0.4.128/25', [['10.0.4.253', '10.0.4.255']]),
  subnet('10.0.4.0/25', [['10.0.4.0', '10.0.4.1']]),
];
const ADDRESSES = [
  ...SUBNETS.flatMap((s) => s.pools.flatMap((p) => Array.from({ length: p.last - p.first + 1 }, (_, i) => p.first + i))),
  RESERVED_OUT.address, ip('10.0.0.9'), ip('192.0.2.1'),
];
const CLIENTS = ['c0', 'c1', 'c2', 'c3', 'c4'];
const NODES = ['a', 'b'];
const homeOf = (slot: number): string => NODES[slot % 2]!;

type Step =
  | { kind: 'put'; address: number; state: BindingState; client: string; lease: number; age: number }
  | { kind: 'remove' | 'release'; address: number }
  | { kind: 'offer'; subnet: number; client: string; home: string; abandoned: boolean }
  | { kind: 'hold'; address: number; client: string }
  | { kind: 'time'; wall: number; mono: number }
  | { kind: 'own'; mask: number }
  | { kind: 'expire' | 'flush' | 'reload' };

const anAddress = fc.constantFrom(...ADDRESSES);
const aClient = fc.constantFrom(...CLIENTS);
const aStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({
    kind: fc.constant('put' as const), address: anAddress, client: aClient, age: fc.integer({ min: 0, max: 200 }),
    state: fc.constantFrom(BindingState.ACTIVE, BindingState.ACTIVE, BindingState.EXPIRED, BindingState.RELEASED, BindingState.ABANDONED),
    lease: fc.constantFrom(20, 100, 3600, 100_000, INFINITE_SECONDS),
  }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('remove' as const, 'release' as const), address: anAddress }) },
  { weight: 5, arbitrary: fc.record({
    kind: fc.constant('offer' as const), subnet: fc.nat(SUBNETS.length - 1), client: aClient,
    home: fc.constantFrom(...NODES), abandoned: fc.boolean(),
  }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('hold' as const), address: anAddress, client: aClient }) },
  { weight: 4, arbitrary: fc.record({
    kind: fc.constant('time' as const), mono: fc.integer({ min: 0, max: 40_000 }),
    wall: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constantFrom(-100, 1000, 70_000, 200_000, -200_000)),
  }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('own' as const), mask: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('expire' as const, 'flush' as const, 'reload' as const) }) },
);

const ascending = (addresses: readonly number[]): number[] => [...addresses].sort((a, b) => a - b);

class Run {
  readonly disk = new SimDisk();
  readonly store = new BindingStore(this.disk);
  readonly model = new Model(SUBNETS);
  table = new LeaseTable(this.store, SUBNETS, { maxClockSkewMs: SKEW_MS });
  wall = 1_800_000_000;
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
        this.offer(step.subnet, step.client, step.home, step.abandoned);
        break;
      case 'hold':
        if (this.table.mayGive(step.address, Buffer.from(step.client), this.model.subnetOf(step.address), this.now)) {
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
        this.table = new LeaseTable(this.store, SUBNETS, { maxClockSkewMs: SKEW_MS, hashSeed: this.wall });
        this.table.load(this.now);
        this.model.holds.clear();
        this.model.used.clear();
        for (const address of this.model.bindings.keys()) this.model.used.add(address);
        this.stepped = false;
        break;
    }
    this.table.advance(this.now, Infinity);
    this.model.expireHolds(this.now);
    this.check();
  }

  hold(address: number, client: string): void {
    assert.ok(this.table.offers.hold(address, Buffer.from(client), this.now, 7));
    this.model.hold(address, client, this.now);
  }

  offer(subnetIndex: number, client: string, home: string, abandoned: boolean): void {
    const free = [...this.model.free(subnetIndex, this.now)].filter((address) => this.owned.has(address & 255));
    const address = this.table.allocate(subnetIndex, this.slots, home, this.now);
    if (address !== 0) {
      assert.ok(free.includes(address), `${address} is not free`);
      const atHome = free.filter((a) => homeOf(a & 255) === home);
      if (atHome.length > 0) assert.equal(homeOf(address & 255), home);
      const candidates = atHome.length > 0 ? atHome : free;
      if (candidates.some((a) => !this.model.used.has(a))) assert.ok(!this.model.used.has(address), 'never used goes first');
      this.hold(address, client);
      return;
    }
    assert.deepEqual(free, []);
    if (!abandoned) return;
    const choices = [...this.model.bindings].filter(([a, b]) =>
      b.state === BindingState.ABANDONED && this.model.subnetOf(a) === subnetIndex && this.model.inPool(a)
      && this.model.reservation(a) === undefined && !this.model.holds.has(a) && this.owned.has(a & 255));
    const taken = this.table.allocateAbandoned(subnetIndex, this.slots, this.now);
    if (choices.length === 0) assert.equal(taken, 0);
    else assert.ok(choices.some(([a]) => a === taken));
    if (taken !== 0) this.hold(taken, client);
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
    assert.equal(this.table.size, this.model.bindings.size);
    for (let i = 0; i < SUBNETS.length; i++) {
      const counts = this.table.counts(i);
      const expected = this.model.counts(i, this.now);
      if (this.stepped) assert.ok(counts.free >= expected['free']!);
      assert.deepEqual({ ...counts }, this.stepped ? { ...expected, free: counts.free } : expected);
      assert.equal(this.table.freeBySlot(i).reduce((sum, n) => sum + n), counts.free);
      for (const client of CLIENTS) {
        assert.ok(this.model.bestOf(client, i).includes(this.table.findByClient(Buffer.from(client), i)));
        const held = [...this.model.holds].find(([a, h]) => h.client === client && this.model.subnetOf(a) === i);
        assert.equal(this.table.offers.find(Buffer.from(client), i), held?.[0] ?? 0);
      }
    }
    for (const client of CLIENTS) {
      const all = [...this.model.bindings].filter(([, b]) => b.client === client).map(([a]) => a);
      assert.deepEqual(ascending(this.table.findAllByClient(Buffer.from(client))), ascending(all));
      for (const address of ADDRESSES) {
        const subnetIndex = this.model.subnetOf(address);
        const reservation = subnetIndex < 0 ? undefined : this.table.reservedFor(subnetIndex, 1, Buffer.alloc(6), Buffer.from(client));
        assert.equal(
          this.table.mayGive(address, Buffer.from(client), subnetIndex, this.now, reservation),
          this.model.mayGive(address, client, subnetIndex, this.now, reservation), `${address} for ${client}`,
        );
      }
    }
  }

  /** Takes everything there is; each free address must come exactly once, and no other. */
  drain(): void {
    for (let i = 0; i < SUBNETS.length; i++) {
      const free = [...this.model.free(i, this.now)].filter((address) => this.owned.has(address & 255));
      const taken: number[] = [];
      for (let n = 0; n <= free.length; n++) {
        const address = this.table.allocate(i, this.slots, NODES[n % 2]!, this.now);
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
