/**
 * Measures the lease table and its disk: `node test/bench/lease-table.ts [records] [folder]`. Prints one
 * line a figure. The start of a node is measured in a process of its own, so that its memory is a node's.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SubnetConfig } from '../../node/config/types.ts';
import { openLmdbDisk } from '../../node/io/lmdb-disk.ts';
import { BindingState, encodeRecord } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';

const T = 1_800_000_000;
const NOW: Now = { wall: (T * 1000) as WallMs, mono: 0 as MonotonicMs };
const FIRST = 10 * 2 ** 24;
const SUBNET: SubnetConfig = {
  name: '10.0.0.0/8', network: FIRST, prefixLength: 8, pools: [{ first: FIRST, last: FIRST + 2 ** 23 - 1 }],
  leaseSeconds: 43_200, identity: 'client-id', authoritative: true, options: [], reservations: [],
};
const ALL = { owns: (slot: number) => slot % 2 === 0, homeOf: () => 'a' };

function chaddrOf(i: number): Buffer {
  const chaddr = Buffer.from('525400000000', 'hex');
  chaddr.writeUInt32BE(i, 2);
  return chaddr;
}

const clientKeyOf = (i: number): Buffer => Buffer.concat([Buffer.of(1), chaddrOf(i)]);

function record(i: number): Buffer {
  return encodeRecord({
    state: BindingState.ACTIVE, hasClientIdentifier: false, reserved: false, htype: 1, chaddr: chaddrOf(i),
    clientKey: clientKeyOf(i), stateSince: T, lastTransaction: T, expires: T + 1 + (i % 43_200), leaseSeconds: 43_200, xid: i,
    relayAgentInformation: Buffer.from('0104000a000b0206525400aabbcc', 'hex'), hostname: Buffer.from(`host-${i}`),
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
  const table = new LeaseTable(store, [SUBNET], { maxClockSkewMs: 10_000 });
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
  timed('allocate and hold', 50_000, (i) => table.offers.hold(table.allocate(0, ALL, 'a', NOW), clientKeyOf(0x4000_0000 + i), NOW, i));
  const renewals = Array.from({ length: 4096 }, (_, i) => [FIRST + at(i), record(at(i))] as const);
  timed('put of a renewal', 200_000, (i) => table.put(renewals[i & 4095]![0], renewals[i & 4095]![1], NOW));
  timed('advance and ended, nothing due', 100_000, () => {
    table.advance(NOW, 64);
    table.ended(NOW, ALL, 64);
  });
  await disk.close();
}

const [what, ...args] = process.argv.slice(2);
if (what === '--table') {
  await measureTable(args[0]!);
} else {
  const folder = mkdtempSync(join(args[0] ?? tmpdir(), 'lessor-bench-'));
  try {
    await measureDisk(folder, Number(what ?? 1_000_000));
    execFileSync(process.execPath, ['--expose-gc', import.meta.filename, '--table', folder], { stdio: 'inherit' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
