/** The index finds every binding by what its record says, whatever wrote to the store and however that ended. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { open, type RootDatabase } from 'lmdb';
import { openJournaledDisk } from '../../node/io/journaled-disk.ts';
import { openLmdbDisk } from '../../node/io/lmdb-disk.ts';
import { type Databases, LmdbIndex } from '../../node/io/lmdb-index.ts';
import { closeStoreSnapshots, StoreSnapshot } from '../../node/io/store-snapshot.ts';
import { eachIndexKey, IDENTIFIER_KINDS, identifierOf, INDEX_KEY_BYTES, writeIndexKey } from '../../node/lease/identifiers.ts';
import { BindingState, withState } from '../../node/lease/record.ts';
import type { WriteBatch } from '../../node/lease/store.ts';
import { dice, inFolder, PAGE, randomBatch, randomRecord, record, wronglyFound } from './store-fixture.ts';

const BASE = 0x0a00_0000;
const put = (entries: [number, Buffer | null][]): WriteBatch => ({ position: 0, records: new Map(entries), meta: new Map() });

/** LMDB's file as it is, as a program of another version has it. */
async function raw<T>(folder: string, use: (databases: Databases, root: RootDatabase<unknown, string>) => T | Promise<T>): Promise<T> {
  const root = open<unknown, string>({ path: join(folder, 'leases.mdb'), mapSize: 2 ** 30, maxDbs: 4, overlappingSync: false });
  try {
    return await use({
      records: root.openDB({ name: 'records', keyEncoding: 'uint32', encoding: 'binary' }),
      meta: root.openDB({ name: 'meta', encoding: 'binary' }),
      index: root.openDB({ name: 'index', keyEncoding: 'binary', encoding: 'binary' }),
    }, root);
  } finally {
    await root.close();
  }
}

const keysIn = ({ index }: Databases): string[] => [...index.getKeys()].map((key) => key.toString('hex'));

/** The keys that the records want, in order. */
function keysWanted({ records }: Databases): string[] {
  const keys: string[] = [];
  for (const { key, value } of records.getRange()) eachIndexKey(key, value, (made) => keys.push(made.toString('hex')));
  return keys.sort();
}

const marker = ({ meta }: Databases): [string | undefined, string | undefined] =>
  [meta.get('index-generation')?.toString(), meta.get('journal-generation')?.toString()];

async function isRight(folder: string, staleMay: boolean): Promise<void> {
  await raw(folder, (databases) => {
    const found = new Set(keysIn(databases));
    const wanted = keysWanted(databases);
    assert.deepEqual(wanted.filter((key) => !found.has(key)), [], 'keys are missing');
    if (!staleMay) assert.equal(found.size, wanted.length, 'keys of no record');
    const [index, journal] = marker(databases);
    assert.equal(index, `1 ${journal ?? 0}`);
  });
}

/** `journalBytes` holds for later openings too: a journal keeps its size. */
async function filled(folder: string, count: number, journalBytes?: number): Promise<void> {
  const disk = openJournaledDisk(folder, journalBytes);
  const roll = dice(count);
  for (let from = 0; from < count; from += 2000) {
    await disk.commit(put(Array.from({ length: Math.min(2000, count - from) }, (_, i) => [BASE + from + i, randomRecord(roll)])));
  }
  await disk.close();
}

/** As if a version without an index had written the store. */
const forget = (folder: string): Promise<void> => raw(folder, async ({ meta, index }) => {
  await meta.remove('index-generation');
  await index.clearAsync();
});

test('what identifies a binding: htype and chaddr, option 61 as sent, and of option 82 sub-options 2 and 12', () => {
  const identifiers = (client: number, relay: number, identified = true): (string | undefined)[] =>
    IDENTIFIER_KINDS.map((kind) => identifierOf(kind, record({ client, relay, identified }))?.toString('hex'));
  const hex = (text: string): string => Buffer.from(text).toString('hex');
  assert.deepEqual(identifiers(1, 1), ['01020000000001', hex('client 1'), '09090901', '000201']);
  assert.deepEqual(identifiers(1, 1, false), ['01020000000001', undefined, '09090901', '000201']);
  assert.deepEqual(identifiers(6, 0), [undefined, hex('client 6'), undefined, undefined]);
  assert.deepEqual(identifiers(6, 4, false), [undefined, undefined, undefined, '000204']);
  assert.deepEqual(identifiers(1, 5), ['01020000000001', hex('client 1'), '09090905', undefined]);
  for (const bytes of [Buffer.alloc(0), Buffer.from('short'), Buffer.alloc(100, 'no record')]) {
    for (const kind of IDENTIFIER_KINDS) assert.equal(identifierOf(kind, bytes), undefined);
  }
});

test('the hash tells a million clients apart, whose addresses follow each other', () => {
  const seen = new Set<string>();
  const key = Buffer.alloc(INDEX_KEY_BYTES);
  const identifier = Buffer.from([1, 2, 0, 0, 0, 0, 0]);
  for (let client = 0; client < 1_000_000; client++) {
    identifier.writeUInt32BE(client, 3);
    writeIndexKey(key, 'hardware', identifier, 0);
    seen.add(key.toString('latin1'));
  }
  assert.equal(seen.size, 1_000_000);
});

test('the index has the keys of all records, and no others, through any changes', inFolder(async (folder) => {
  const roll = dice(1);
  for (let starts = 0; starts < 3; starts++) {
    const disk = openJournaledDisk(folder, 8 * PAGE);
    for (let i = 0; i < 60; i++) await disk.commit(randomBatch(roll, roll(20) === 0 ? 900 : 1 + roll(20), 200));
    await disk.close();
    await isRight(folder, false);
  }
}));

test('commits to LMDB that are begun together keep the index right', inFolder(async (folder) => {
  const roll = dice(2);
  const disk = openLmdbDisk(folder);
  await Promise.all(Array.from({ length: 100 }, () => disk.commit(randomBatch(roll, 10, 20))));
  await disk.close();
  await isRight(folder, false);
}));

test('a renewal writes nothing to the index, and bindings of all states are in it', inFolder(async (folder) => {
  const old = record({ client: 1, relay: 1, time: 1 });
  const first = openLmdbDisk(folder);
  await first.commit(put([[BASE, old]]));
  await first.close();
  assert.equal((await raw(folder, (databases) => keysIn(databases))).length, 4);
  await raw(folder, ({ index }) => index.clearAsync());
  const disk = openLmdbDisk(folder);
  await disk.commit(put([[BASE, record({ client: 1, relay: 1, time: 2 })]]));
  await disk.commit(put([[BASE, withState(old, BindingState.EXPIRED, 3)]]));
  await disk.close();
  assert.deepEqual(await raw(folder, (databases) => keysIn(databases)), []);
}));

test('an index that is missing is built while the node serves, and until then every record is looked at', inFolder(async (folder) => {
  // One checkpoint has too few new keys for the index to fall behind, as fast as the commits below follow each other.
  await filled(folder, 12_000, 32 * PAGE);
  await forget(folder);
  const roll = dice(3);
  const disk = openJournaledDisk(folder, 32 * PAGE);
  const built = new AbortController();
  void disk.indexed.then(() => built.abort());
  let commits = 0;
  let looksWithout = 0;
  while (!built.signal.aborted) {
    await disk.commit(randomBatch(roll, 1 + roll(60), 13_000));
    if (commits++ % 100 > 0) continue;
    const snapshot = StoreSnapshot.open(folder, disk.mark())!;
    // The last commit may be the one with which the index was whole, a moment before its promise tells.
    if (!snapshot.indexed) looksWithout++;
    const client = Buffer.from('client 5');
    const expected = snapshot.scan(-1, 1e6).filter(({ record }) => identifierOf('client-id', record)?.equals(client)).map(({ address }) => address);
    assert.deepEqual([...snapshot.find('client-id', client)].map(({ address }) => address), expected);
    snapshot.close();
  }
  assert.ok(looksWithout > 0);
  const snapshot = StoreSnapshot.open(folder, disk.mark())!;
  assert.ok(snapshot.indexed);
  assert.deepEqual(wronglyFound(snapshot), []);
  snapshot.close();
  await closeStoreSnapshots();
  await disk.close();
  await isRight(folder, true);
}));

test('what a version without an index wrote is found', inFolder(async (folder) => {
  await filled(folder, 300);
  await raw(folder, async ({ records, meta }) => {
    const roll = dice(4);
    for (let i = 0; i < 100; i++) await records.put(BASE + roll(400), randomRecord(roll));
    await meta.put('journal-generation', Buffer.from('77'));
  });
  const disk = openJournaledDisk(folder);
  await disk.indexed;
  await disk.close();
  await isRight(folder, true);
}));

test('what a version without an index left half written, with the rest in its journal, is found', inFolder(async (folder) => {
  const live = join(folder, 'live');
  const copy = join(folder, 'copy');
  await filled(live, 300);
  const disk = openJournaledDisk(live);
  const roll = dice(5);
  const batch = randomBatch(roll, 100, 400);
  await disk.commit(batch);
  cpSync(live, copy, { recursive: true });
  await disk.close();
  await raw(copy, async ({ records }) => {
    for (const [address, bytes] of [...batch.records].slice(0, 50)) await (bytes === null ? records.remove(address) : records.put(address, bytes));
  });
  await openJournaledDisk(copy).close();
  await isRight(copy, true);
}));

test('a process killed while it builds the index begins again, and so does one that was closed', inFolder(async (folder) => {
  await filled(folder, 12_000);
  await forget(folder);
  for (const ms of [10, 100, 250]) {
    try {
      execFileSync(process.execPath, [join(import.meta.dirname, 'index-child.ts'), folder, String(ms)], { encoding: 'utf8' });
      assert.fail('it was not killed');
    } catch (error) {
      assert.match((error as { stdout: string }).stdout, /building/);
    }
  }
  for (const commits of [0, 3]) {
    const disk = openJournaledDisk(folder);
    for (let i = 0; i < commits; i++) await disk.commit(randomBatch(dice(i), 10, 12_000));
    for (let turns = 0; turns < 50; turns++) await setImmediate();
    await disk.close();
    assert.equal((await raw(folder, marker))[0], '1 incomplete');
  }
  const disk = openJournaledDisk(folder);
  await disk.indexed;
  await disk.close();
  await isRight(folder, true);
}));

test('keys of another layout are removed before the index is built', inFolder(async (folder) => {
  await filled(folder, 100);
  await raw(folder, async ({ meta, index }) => {
    await index.put(Buffer.from('another key'), Buffer.alloc(0));
    await meta.put('index-generation', Buffer.from('0 1'));
  });
  const disk = openJournaledDisk(folder);
  await disk.indexed;
  await disk.close();
  await isRight(folder, false);
}));

test('an index of more keys than are kept in memory is built in several passes', inFolder(async (folder) => {
  await filled(folder, 5000);
  await forget(folder);
  await raw(folder, async (databases, root) => {
    let transactions = 0;
    const index = new LmdbIndex(databases, async (prepare) => {
      transactions++;
      await root.batch(prepare());
    }, { newKeysMax: 1e6, calmMs: 10, rebuildKeysMax: 3000 });
    assert.equal(index.complete, false);
    await index.built;
    assert.ok(index.complete);
    assert.ok(transactions > 10);
  });
  await isRight(folder, false);
}));

test('an index falls behind a stream of new bindings, and is built when that has calmed down', inFolder(async (folder) => {
  await filled(folder, 50);
  const roll = dice(6);
  let behind = 0;
  await raw(folder, async (databases, root) => {
    const index = new LmdbIndex(databases, (prepare) => transact(prepare), { newKeysMax: 300, calmMs: 20, rebuildKeysMax: 1e6 });
    let last = Promise.resolve();
    const transact = (prepare: () => () => void): Promise<void> => {
      const done = last.then(async () => { await root.batch(prepare()); });
      last = done.catch(() => undefined);
      return done;
    };
    let generation = 1000;
    for (let i = 0; i < 400; i++) {
      const { records, meta } = randomBatch(roll, roll(8) === 0 ? 300 : 5, 4000);
      if (roll(4) === 0) (meta as Map<string, Buffer>).set('journal-generation', Buffer.from(String(generation++)));
      await transact(() => {
        const changes = index.changesOf(records);
        return () => {
          for (const [address, bytes] of records) void (bytes === null ? databases.records.remove(address) : databases.records.put(address, bytes));
          for (const [key, value] of meta) void (value === null ? databases.meta.remove(key) : databases.meta.put(key, value));
          index.apply(changes, meta);
        };
      });
      const [indexed, journal] = marker(databases);
      assert.equal(indexed === `1 ${journal}`, index.complete);
      if (!index.complete) behind++;
      if (roll(40) === 0) await setTimeout(100);
      if (!index.complete) continue;
      const found = new Set(keysIn(databases));
      assert.ok(keysWanted(databases).every((key) => found.has(key)));
    }
    await index.built;
    assert.ok(index.complete);
  });
  assert.ok(behind > 10 && behind < 390, `behind after ${behind} of 400`);
  await isRight(folder, true);
}));

test('where the building fails it waits, and can be ended', { timeout: 10_000 }, inFolder(async (folder) => {
  await filled(folder, 10);
  await forget(folder);
  await raw(folder, async (databases) => {
    const { promise: tried, resolve } = Promise.withResolvers<void>();
    const index = new LmdbIndex(databases, () => {
      resolve();
      return Promise.reject(new Error('no room'));
    });
    await tried;
    await setImmediate();
    assert.equal(index.complete, false);
    await index.stop();
    assert.equal(index.complete, false);
  });
}));
