/**
 * Measures the lease table and its disk: `node test/bench/lease-table.ts [records] [folder]`. Prints one
 * line a figure. The start of a node is measured in a process of its own, so that its memory is a node's.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AllocationMethod, ClusterConfig } from '../../node/config/types.ts';
import { openLmdbDisk } from '../../node/io/lmdb-disk.ts';
import { BindingState, encodeRecord } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { circuitKeyOf, LeaseTable } from '../../node/lease/table.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import { buildConfig, subnetConfig } from '../support/configs.ts';
import type { PoolSpec, ReservationSpec } from '../support/configs.ts';

const T = 1_800_000_000;
const NOW: Now = { wall: (T * 1000) as WallMs, mono: 0 as MonotonicMs };
const FIRST = 10 * 2 ** 24;
const RELAYED = Buffer.from('0104000a000b0206525400aabbcc', 'hex');

/** 10.0.0.0/8 with these pools, and whatever is reserved. */
function bigSubnet(pools: readonly PoolSpec[], reservations: readonly ReservationSpec[] = [], leasesPerCircuit = 0): ClusterConfig {
  const spec = subnetConfig({ name: '10.0.0.0/8', network: FIRST, prefixLength: 8, pools, reservations, leaseSeconds: 43_200 });
  return buildConfig({ nodes: ['a'], subnets: [spec], limits: { leasesPerCircuit } });
}

/** Its lower half in one pool, or in many. */
function halfOf(pools: number, allocation: AllocationMethod = 'iterative'): PoolSpec[] {
  const size = 2 ** 23 / pools;
  return Array.from({ length: pools }, (_, i) => ({ first: FIRST + i * size, last: FIRST + (i + 1) * size - 1, allocation }));
}

const ONE_POOL = bigSubnet(halfOf(1));
const ALL = { owns: (slot: number) => slot % 2 === 0, homeOf: () => 'a' };

function chaddrOf(i: number): Buffer {
  const chaddr = Buffer.from('525400000000', 'hex');
  chaddr.writeUInt32BE(i, 2);
  return chaddr;
}

const clientKeyOf = (i: number): Buffer => Buffer.concat([Buffer.of(1), chaddrOf(i)]);

function record(i: number, state: BindingState = BindingState.ACTIVE): Buffer {
  return encodeRecord({
    state, hasClientIdentifier: false, reserved: false, htype: 1, chaddr: chaddrOf(i),
    clientKey: clientKeyOf(i), stateSince: T, lastTransaction: T, expires: T + 1 + (i % 43_200), leaseSeconds: 43_200, xid: i,
    relayAgentInformation: RELAYED, hostname: Buffer.from(`host-${i}`),
  });
}

function say(what: string, value: number, unit: string): void {
  process.stdout.write(`${what.padEnd(64)} ${value.toFixed(value < 10 ? 3 : 0).padStart(10)} ${unit}\n`);
}

function megabytes(): { rss: number; heap: number; arrays: number } {
  globalThis.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return { rss: rss / 1e6, heap: heapUsed / 1e6, arrays: arrayBuffers / 1e6 };
}

async function measureDisk(folder: string, records: number): Promise<void> {
  const disk = openLmdbDisk(folder);
  let position = 0;
  const commit = async (from: number, count: number): Promise<void> => {
    const batch = new Map<number, Buffer>();
    for (let i = from; i < from + count; i++) batch.set(FIRST + i, record(i));
    await disk.commit({ position: ++position, records: batch, meta: new Map() });
  };
  for (let i = 0; i < records; i += 4096) await commit(i, Math.min(4096, records - i));
  const random = (n: number): number => Math.imul(n + 1, 2_654_435_761) >>> 0;
  for (const [size, rounds] of [[64, 1500], [1, 1500]] as const) {
    const times: number[] = [];
    const start = performance.now();
    for (let n = 0; n < rounds; n++) {
      const before = performance.now();
      await commit(random(n) % (records - size), size);
      times.push(performance.now() - before);
    }
    const total = performance.now() - start;
    times.sort((a, b) => a - b);
    say(`commits of ${size} into ${records} records`, (rounds * size * 1000) / total, 'puts/s');
    say(`  commit and flush, median`, times[rounds >> 1]!, 'ms');
    say(`  commit and flush, 99th percentile`, times[Math.floor(rounds * 0.99)]!, 'ms');
  }
  const start = performance.now();
  for (let n = 0; n < 200_000; n++) disk.read(FIRST + (random(n) % records));
  say('read of one record', (performance.now() - start) / 200, 'µs');
  await disk.close();
}

function timed(what: string, rounds: number, body: (i: number) => void): void {
  const start = performance.now();
  for (let i = 0; i < rounds; i++) body(i);
  say(what, ((performance.now() - start) * 1000) / rounds, 'µs');
}

async function measureTable(folder: string): Promise<void> {
  const before = megabytes();
  const start = performance.now();
  const disk = openLmdbDisk(folder);
  const store = new BindingStore(disk);
  const table = new LeaseTable(store, ONE_POOL);
  table.load(NOW);
  say(`start: open and load ${table.size} records`, performance.now() - start, 'ms');
  const peak = process.memoryUsage().rss / 1e6;
  const after = megabytes();
  say('  memory of the indexes (typed arrays)', ((after.arrays - before.arrays) * 1e6) / table.size, 'bytes/binding');
  say('  JavaScript heap', ((after.heap - before.heap) * 1e6) / table.size, 'bytes/binding');
  say('  resident, LMDB\'s map included', ((after.rss - before.rss) * 1e6) / table.size, 'bytes/binding');
  say('  resident at most', peak, 'MB');

  const records = table.size;
  const at = (i: number): number => (Math.imul(i + 1, 2_654_435_761) >>> 0) % records;
  const keys = Array.from({ length: 4096 }, (_, i) => clientKeyOf(at(i)));
  timed('findByClient', 200_000, (i) => table.findByClient(keys[i & 4095]!, 0));
  timed('findByClient, nothing known', 200_000, (i) => table.findByClient(keys[i & 4095]!.subarray(1), 0));
  timed('subnetOf, networkOf and poolOf', 200_000, (i) => {
    const address = FIRST + at(i);
    table.subnetOf(address);
    table.networkOf(address);
    table.poolOf(address);
  });
  timed('mayGive of a client\'s own', 200_000, (i) => table.mayGive(FIRST + at(i & 4095), keys[i & 4095]!, 0, NOW, false));
  timed('allocate and hold', 50_000, (i) => table.offers.hold(table.allocate([0], ALL, 'a', i, NOW), clientKeyOf(0x4000_0000 + i), NOW, i));
  const renewals = Array.from({ length: 4096 }, (_, i) => [FIRST + at(i), record(at(i))] as const);
  timed('put of a renewal', 200_000, (i) => table.put(renewals[i & 4095]![0], renewals[i & 4095]![1], NOW));
  timed('advance and ended, nothing due', 100_000, () => {
    table.advance(NOW, 64);
    table.ended(NOW, ALL, 64);
  });
  measureReconfiguring(table, ALL);
  await disk.close();
}

/** Each while all bindings are as they were loaded, then with half of them free again. */
function measureReconfiguring(table: LeaseTable, slots: typeof ALL): void {
  const to = (what: string, config: ClusterConfig, now = NOW): void => {
    const start = performance.now();
    table.reconfigure(config, now);
    say(`reconfigure ${what}`, performance.now() - start, 'ms');
  };
  to('(50,000 holds end)', ONE_POOL);
  to('to the same', ONE_POOL);
  const many = bigSubnet(halfOf(4096));
  to('to 4096 pools', many);
  to('back to one', ONE_POOL);
  to('to another clock skew', { ...ONE_POOL, maxClockSkewMs: 20_000 });
  to('to count relay ports, which reads every record', bigSubnet(halfOf(1), [], 1));
  const key = circuitKeyOf(RELAYED)!;
  timed('activeOnCircuit', 200_000, () => table.activeOnCircuit(key));
  timed('put of a renewal, relay ports counted', 100_000, (i) => table.put(FIRST + (i & 4095), record(i & 4095), NOW));
  to('to count them no more', ONE_POOL);
  // Half of the bindings end: what is free is in lists that have to be made anew.
  const later = { wall: NOW.wall + 100_000_000, mono: 0 } as Now;
  for (let i = 0; i < table.size; i += 2) table.put(FIRST + i, record(i, BindingState.EXPIRED), NOW);
  table.advance(later, Infinity);
  to('with half of the addresses free again', ONE_POOL, later);
  to('the same, to 4096 pools', many, later);
  to('the same, back to one', ONE_POOL, later);
  timed('allocate and hold, longest free', 50_000, (i) => {
    table.offers.hold(table.allocate([0], slots, 'a', i, later), clientKeyOf(0x5000_0000 + i), later, i);
  });
}

/** A table of its own for each, nothing on the disk. */
function measureMethods(): void {
  const empty = { read: () => undefined, readMeta: () => undefined, scan: () => [], metaRange: () => [] };
  const fills = [[0, 'empty'], [0.5, 'half full'], [0.95, 'nearly full']] as const;
  for (const method of ['iterative', 'random', 'hashed'] as const) {
    // The first one warms up the code.
    for (const [fill, prefix] of [[0.5, ''], ...fills] as const) {
      // 65,536 addresses, as many as can be held.
      const pools = [{ first: FIRST, last: FIRST + 2 ** 16 - 1, allocation: method }];
      const table = new LeaseTable(new BindingStore(empty), bigSubnet(pools), { hashSeed: 1 });
      table.load(NOW);
      const take = (i: number): number => table.allocate([0], { ...ALL, owns: () => true }, 'a', Math.imul(i, 0x9e37_79b9) >>> 0, NOW);
      let i = 0;
      for (; i < 65_536 * fill; i++) table.offers.hold(take(i), clientKeyOf(i), NOW, i);
      if (prefix === '') continue;
      timed(`allocate and hold, ${method}, ${prefix}`, 3000, (n) => table.offers.hold(take(i + n), clientKeyOf(i + n), NOW, n));
    }
  }
}

/** 1,000 subnets of 4 pools, 100,000 reservations of four kinds. */
function measureLargeConfig(): void {
  const reservations = 100_000;
  const spec = (i: number): ReservationSpec => {
    const hardware = { htype: 1, chaddr: chaddrOf(i) };
    const address = FIRST + Math.floor(i / 100) * 256 + (i % 100) + 100;
    if (i % 4 === 0) return { clientId: clientKeyOf(i), address };
    if (i % 4 === 1) return { hardware, circuitId: Buffer.of(0, i & 255), address };
    if (i % 4 === 2) return { circuitId: Buffer.of(i >>> 16, i >>> 8, i), remoteId: Buffer.from('525400aabbcc', 'hex'), address };
    return { hardware, address };
  };
  const subnets = Array.from({ length: 1000 }, (_, n) => subnetConfig({
    name: `10.${n >> 8}.${n & 255}.0/24`, network: FIRST + n * 256, prefixLength: 24,
    pools: [0, 1, 2, 3].map((quarter) => ({ first: FIRST + n * 256 + quarter * 64 + 1, last: FIRST + n * 256 + quarter * 64 + 62, allocation: 'iterative' })),
    reservations: Array.from({ length: reservations / 1000 }, (_, i) => spec(n * 100 + i)),
  }));
  const config = buildConfig({ nodes: ['a'], subnets });
  const before = megabytes();
  const start = performance.now();
  const table = new LeaseTable(new BindingStore({ read: () => undefined, readMeta: () => undefined, scan: () => [], metaRange: () => [] }), config);
  table.load(NOW);
  say('1,000 subnets, 4,000 pools, 100,000 reservations: table made', performance.now() - start, 'ms');
  const after = megabytes();
  say('  memory, typed arrays', after.arrays - before.arrays, 'MB');
  say('  memory, JavaScript heap', after.heap - before.heap, 'MB');
  const subjects = Array.from({ length: 8192 }, (_, n) => {
    const i = (Math.imul(n + 1, 2_654_435_761) >>> 0) % reservations;
    return { htype: 1, chaddr: chaddrOf(i), clientId: clientKeyOf(i), relayAgentInformation: Buffer.concat([Buffer.of(1, 2, 0, i & 255), RELAYED.subarray(6)]) };
  });
  timed('reservationFor, four kinds of reservations', 200_000, (i) => table.reservationFor(i % 1000, subjects[i & 8191]!, NOW));
  timed('isReserved', 1_000_000, (i) => table.isReserved(FIRST + (i % 256_000), NOW));
  for (let n = 0; n < 4000; n++) table.offers.hold(table.allocate([n], { ...ALL, owns: () => true }, 'a', 0, NOW), clientKeyOf(n), NOW, n);
  const used = megabytes();
  say('  memory, typed arrays, every pool used', used.arrays - before.arrays, 'MB');
  const again = performance.now();
  table.reconfigure(config, NOW);
  say('  reconfigure', performance.now() - again, 'ms');
}

const [what, ...args] = process.argv.slice(2);
if (what === '--table') {
  await measureTable(args[0]!);
} else if (what === '--config') {
  measureMethods();
  measureLargeConfig();
} else {
  const folder = mkdtempSync(join(args[0] ?? tmpdir(), 'lessor-bench-'));
  try {
    await measureDisk(folder, Number(what ?? 1_000_000));
    execFileSync(process.execPath, ['--expose-gc', import.meta.filename, '--table', folder], { stdio: 'inherit' });
    execFileSync(process.execPath, ['--expose-gc', import.meta.filename, '--config'], { stdio: 'inherit' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
