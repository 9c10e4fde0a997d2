/**
 * Measures the history of leases: `node test/bench/history.ts [millions] [folder]`. Prints one line a figure: bytes of a row on
 * the disk, and how long it takes to hear who held an address, and which addresses a client held.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LeaseHistory } from '../../node/history/lease-history.ts';
import { LEASE_HISTORY_ROW_OVERHEAD_BYTES } from '../../node/history/limits.ts';
import { clientKeysOf, DAY_SECONDS, encodeRow, hardwareKey } from '../../node/history/row.ts';
import type { HistoryRow } from '../../node/history/row.ts';
import { HistorySearch } from '../../node/history/search.ts';
import type { HistorySubject } from '../../node/history/search.ts';
import { openLmdbDisk, STORE_FILE_NAME } from '../../node/io/lmdb-disk.ts';
import { BindingState, encodeRecord } from '../../node/lease/record.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { buildConfig, subnetConfig } from '../support/configs.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';

const DAYS = 90;
const T = 1_800_014_400;
const START = T - DAYS * DAY_SECONDS;
const FIRST = 10 * 2 ** 24;
/** As many as change their client all the time. */
const ADDRESSES = 2 ** 20;
const BATCH_ROWS = 20_000;
const NOW: Now = { wall: (T * 1000) as WallMs, mono: 0 as MonotonicMs };
const RELAYED = Buffer.from('0104000a000b0206525400aabbcc', 'hex');
const EMPTY = Buffer.alloc(0);
const FOR_EVER = 0xffff_ffff;

const random = (n: number): number => Math.imul(n ^ (n >>> 15), 2_654_435_761) >>> 0;

/** The clients of a campus: each day another one of a million has the address. */
function rowAt(i: number, rows: number): HistoryRow {
  const noted = START + Math.floor((i / rows) * DAYS * DAY_SECONDS);
  const chaddr = Buffer.alloc(6, 0x52);
  chaddr.writeUInt32BE(random(i) % ADDRESSES, 2);
  return {
    address: FIRST + (random(i + 7) % ADDRESSES), noted, end: 1, exact: true, start: noted - 7200, lastTransaction: noted - 3600, expires: noted, htype: 1, chaddr,
    clientKey: hardwareKey(1, chaddr), hasClientIdentifier: false, reserved: false, relayAgentInformation: RELAYED, hostname: Buffer.from(`host-${i % 99_999}`), vendorClass: EMPTY,
  };
}

function say(what: string, value: number, unit: string): void {
  process.stdout.write(`${what.padEnd(64)} ${value.toFixed(value < 10 ? 3 : 0).padStart(10)} ${unit}\n`);
}

const [millions = '1', folder = mkdtempSync(join(tmpdir(), 'lessor-history-'))] = process.argv.slice(2);
const rows = Number(millions) * 1e6;
const disk = openLmdbDisk(folder);
let counted = 0;
const began = performance.now();
for (let i = 0; i < rows;) {
  const meta = new Map<string, Buffer | null>();
  for (const end = Math.min(rows, i + BATCH_ROWS); i < end; i++) {
    const row = rowAt(i, rows);
    const { key, value } = encodeRow(row);
    counted += key.length + value.length + LEASE_HISTORY_ROW_OVERHEAD_BYTES;
    meta.set(key, value);
    for (const byClient of clientKeysOf(row)) meta.set(byClient, EMPTY);
  }
  await disk.commit({ position: i, records: new Map(), meta });
}
say(`${millions} million rows made`, (performance.now() - began) / 1000, 's');
say('bytes of a row on the disk, key by client included', statSync(join(folder, STORE_FILE_NAME)).size / rows, 'bytes');
say('bytes of a row as they are counted', counted / rows, 'bytes');

const history = new LeaseHistory(new BindingStore(disk), { days: 3000, bytes: 1e15 }, NOW);
const bindings = { read: () => undefined, findAllByClient: () => [], findAllByHardware: () => [] };

function ask(subject: HistorySubject, from: number, to: number): { found: number; ms: number; longestStepMs: number } {
  const start = performance.now();
  const search = new HistorySearch(history, bindings, subject, { from, to }, T);
  let longestStepMs = 0;
  for (let more = true; more;) {
    const before = performance.now();
    more = search.step();
    longestStepMs = Math.max(longestStepMs, performance.now() - before);
  }
  const found = search.result()!.tenures.length;
  return { found, ms: performance.now() - start, longestStepMs };
}

function measure(what: string, questions: number, run: (i: number) => ReturnType<typeof ask>): void {
  const answers = Array.from({ length: questions }, (_, i) => run(i));
  const times = answers.map(({ ms }) => ms).sort((a, b) => a - b);
  say(`${what}: leases found`, answers.reduce((sum, { found }) => sum + found, 0) / questions, '');
  say(`${what}: median`, times[times.length >>> 1]!, 'ms');
  say(`${what}: longest of ${questions}`, times.at(-1)!, 'ms');
  say(`${what}: longest step`, Math.max(...answers.map(({ longestStepMs }) => longestStepMs)), 'ms');
}

/** What a change of the table costs, without a disk, with a history and without one. */
function measureChanges(): void {
  const changes = 200_000;
  const spec = subnetConfig({ name: '10.0.0.0/8', network: FIRST, prefixLength: 8, pools: [{ first: FIRST, last: FIRST + 2 ** 23 }] });
  const config = buildConfig({ nodes: ['a'], subnets: [spec] });
  const nothing = { read: () => undefined, readMeta: () => undefined, scan: () => [], metaRange: () => [] };
  const record = (i: number, state: BindingState, lastTransaction: number): Buffer => {
    const { chaddr, clientKey, hostname } = rowAt(i, rows);
    return encodeRecord({
      state, hasClientIdentifier: false, reserved: false, htype: 1, chaddr, clientKey, stateSince: state === BindingState.ACTIVE ? T : lastTransaction, lastTransaction: T,
      expires: lastTransaction + 3600, leaseSeconds: 3600, xid: i, relayAgentInformation: RELAYED, hostname,
    });
  };
  for (const kept of [undefined, undefined, true, true]) {
    const store = new BindingStore(nothing);
    const table = new LeaseTable(store, config);
    table.load(NOW);
    const tenures = kept === undefined ? undefined : new LeaseHistory(store, { days: 90, bytes: 1e15 }, NOW);
    if (tenures !== undefined) table.onChange = (address, after, now, before) => tenures.add(address, before, after, now);
    let before: (Buffer | undefined)[] = [];
    const timed = (what: string, make: (i: number) => Buffer): void => {
      const records = Array.from({ length: changes }, (_, i) => make(i));
      const start = performance.now();
      for (let i = 0; i < changes; i++) {
        table.put(FIRST + i, records[i]!, NOW, before[i]);
        if (i % 256 === 0) store.flushed(store.takeWrites()!.position);
      }
      say(`${what}, ${kept === undefined ? 'no history' : 'with a history'}`, ((performance.now() - start) * 1000) / changes, 'us');
      before = records;
    };
    timed('a new client on an address without a record', (i) => record(i, BindingState.ACTIVE, T));
    timed('a renewal', (i) => record(i, BindingState.ACTIVE, T + 10));
    timed('the end of a lease', (i) => record(i, BindingState.EXPIRED, T + 20));
  }
}

const addressOf = (i: number): number => FIRST + (random(i + 99) % ADDRESSES);
measure('address, all 90 days', 500, (i) => ask({ address: addressOf(i) }, 0, FOR_EVER));
measure('address, at one time', 500, (i) => {
  const at = START + random(i) % (DAYS * DAY_SECONDS);
  return ask({ address: addressOf(i) }, at, at);
});
measure('client, all 90 days', 500, (i) => {
  const chaddr = Buffer.alloc(6, 0x52);
  chaddr.writeUInt32BE(random(i + 5) % ADDRESSES, 2);
  return ask({ client: hardwareKey(1, chaddr), isHardware: true }, 0, FOR_EVER);
});
measureChanges();
await disk.close();
rmSync(folder, { recursive: true, force: true });
