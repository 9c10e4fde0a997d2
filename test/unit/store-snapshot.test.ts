// oxlint-disable unicorn/require-post-message-target-origin -- a thread, no window
/** A snapshot shows the store as it was at its mark, however much is written meanwhile. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { open } from 'lmdb';
import { type JournaledDisk, openJournaledDisk } from '../../node/io/journaled-disk.ts';
import { closeStoreSnapshots, StoreSnapshot } from '../../node/io/store-snapshot.ts';
import { identifierOf } from '../../node/lease/identifiers.ts';
import type { WriteBatch } from '../../node/lease/store.ts';
import { contentsOf, dice, inFolder, PAGE, randomBatch, record, wronglyFound } from './store-fixture.ts';

interface Seen {
  readonly records: string[];
  readonly meta: string[];
  readonly metaScan: string[];
  readonly wrong: string[];
  readonly indexed: boolean;
}

for (const [name, journalPages, changesMax, until] of [
  ['checkpoints in one transaction', 8, 20, 30],
  ['checkpoints in several', 128, 400, 20],
] as const) {
  test(`another thread sees what was committed at the mark, while writing goes on: ${name}`, inFolder(async (folder) => {
    const roll = dice(journalPages);
    const disk = openJournaledDisk(folder, journalPages * PAGE);
    const worker = new Worker(join(import.meta.dirname, 'store-snapshot-worker.ts'), { workerData: folder });
    const stop = new AbortController();
    const writer = (async () => {
      while (!stop.signal.aborted) {
        // Some at once, so that marks are taken with others under way; some larger than the journal.
        const larger = roll(30) === 0;
        const batches = Array.from({ length: 1 + roll(3) }, () => randomBatch(roll, larger ? journalPages * 25 : 1 + roll(changesMax), 3000));
        await Promise.all(batches.map((batch) => disk.commit(batch)));
      }
    })();
    let seen = 0;
    let stale = 0;
    let byIndex = 0;
    try {
      while (seen < until) {
        for (let turns = roll(20); turns > 0; turns--) await setImmediate();
        const expected = contentsOf(disk);
        worker.postMessage({ mark: disk.mark() });
        const [first] = await once(worker, 'message') as [Seen | undefined];
        if (first === undefined) {
          stale++;
          continue;
        }
        for (let turns = roll(50); turns > 0; turns--) await setImmediate();
        worker.postMessage('again');
        const [second] = await once(worker, 'message') as [Seen];
        for (const { records, meta, metaScan, wrong, indexed } of [first, second]) {
          assert.deepEqual({ records, meta }, expected);
          assert.deepEqual(metaScan, expected.meta);
          assert.deepEqual(wrong, []);
          if (indexed) byIndex++;
        }
        seen++;
      }
      worker.postMessage('end');
      await once(worker, 'exit');
    } finally {
      await worker.terminate();
      stop.abort();
      await writer;
      await disk.close();
    }
    assert.ok(byIndex > until, `${byIndex} of ${2 * until} by the index`);
    assert.ok(stale < 10 * until, `${stale} marks were too old`);
  }));
}

const put = (address: number, client: number): WriteBatch =>
  ({ position: 0, records: new Map([[address, record({ client, relay: 1 })]]), meta: new Map() });

/** In this thread: what is asked is which marks hold. */
function snapshots(body: (disk: JournaledDisk, folder: string) => Promise<void>): () => Promise<void> {
  return inFolder(async (folder) => {
    const disk = openJournaledDisk(folder, 4 * PAGE);
    try {
      await body(disk, folder);
    } finally {
      await closeStoreSnapshots();
      await disk.close();
    }
  });
}

const opened = (folder: string, disk: JournaledDisk): StoreSnapshot => {
  const snapshot = StoreSnapshot.open(folder, disk.mark());
  assert.ok(snapshot !== undefined);
  return snapshot;
};

test('an empty store has a snapshot, and it stays empty', snapshots(async (disk, folder) => {
  const snapshot = opened(folder, disk);
  for (let i = 0; i < 10; i++) await disk.commit(put(i, i));
  assert.deepEqual(snapshot.scan(-1, 10), []);
  assert.deepEqual([...snapshot.find('hardware', Buffer.from([1, 2, 0, 0, 0, 0, 1]))], []);
  assert.equal(snapshot.read(1), undefined);
  assert.deepEqual([...snapshot.scanMeta('', 'z')].map(([key]) => key), ['index-generation', 'journal-seed']);
  snapshot.close();
}));

test('a mark holds until the journal turns over, and no longer', snapshots(async (disk, folder) => {
  for (let i = 0; i < 3; i++) await disk.commit(put(i, i));
  const mark = disk.mark();
  await disk.commit(put(3, 3));
  const snapshot = StoreSnapshot.open(folder, mark);
  assert.deepEqual(snapshot?.scan(-1, 9).map(({ address }) => address), [0, 1, 2]);
  snapshot?.close();
  await disk.commit(put(4, 4));
  assert.equal(StoreSnapshot.open(folder, mark), undefined);
  const next = opened(folder, disk);
  assert.deepEqual(next.scan(-1, 9).map(({ address }) => address), [0, 1, 2, 3, 4]);
  next.close();
}));

test('a batch that goes past the journal is not in a snapshot of before, and makes marks too old', snapshots(async (disk, folder) => {
  await disk.commit(put(1, 1));
  const large = { position: 0, records: new Map(Array.from({ length: 200 }, (_, i) => [i, record({ client: i, relay: 2 })])), meta: new Map() };
  const before = disk.mark();
  const snapshot = opened(folder, disk);
  const committing = disk.commit(large);
  const during = disk.mark();
  await committing;
  assert.equal(StoreSnapshot.open(folder, before), undefined);
  assert.equal(StoreSnapshot.open(folder, during), undefined);
  assert.equal(snapshot.scan(-1, 999).length, 1);
  const after = opened(folder, disk);
  assert.equal(after.scan(-1, 999).length, 200);
  assert.deepEqual(wronglyFound(after), []);
  after.close();
  snapshot.close();
}));

test('marks while a batch goes past the journal are none to go by', snapshots(async (disk, folder) => {
  const large = { position: 0, records: new Map(Array.from({ length: 2000 }, (_, i) => [i, record({ client: i, relay: 2 })])), meta: new Map() };
  let done = false;
  const committing = disk.commit(large).then(() => { done = true; });
  for (;;) {
    const snapshot = StoreSnapshot.open(folder, disk.mark());
    assert.ok([undefined, done ? 2000 : 0].includes(snapshot?.scan(-1, 9999).length));
    snapshot?.close();
    if (done) break;
    await setImmediate();
  }
  await committing;
}));

test('several snapshots are apart, and a closed one keeps no reader', snapshots(async (disk, folder) => {
  const readers = (): number => {
    const root = open({ path: join(folder, 'leases.mdb') });
    const count = root.readerList().split('\n').filter((line) => /^\s*\d+ \w+ \d+/.test(line)).length;
    void root.close();
    return count;
  };
  await disk.commit(put(1, 1));
  const before = readers();
  for (let i = 0; i < 300; i++) {
    const one = opened(folder, disk);
    await disk.commit(put(2, i));
    const other = opened(folder, disk);
    if (i > 0) assert.equal(identifierOf('client-id', one.read(2)!)?.toString(), `client ${i - 1}`);
    assert.equal(identifierOf('client-id', other.read(2)!)?.toString(), `client ${i}`);
    one.close();
    other.close();
  }
  assert.ok(readers() <= before + 1);
  const closed = opened(folder, disk);
  closed.close();
  assert.throws(() => closed.scan(-1, 1), /closed/);
}));

test('a page goes by unsigned address, with what the journal holds', snapshots(async (disk, folder) => {
  for (const address of [0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 0, 1, 2]) await disk.commit(put(address, 1));
  await disk.commit({ position: 0, records: new Map([[1, null]]), meta: new Map() });
  const snapshot = opened(folder, disk);
  const expected = [0, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
  assert.deepEqual(snapshot.scan(-1, 10).map(({ address }) => address), expected);
  for (let i = 0; i < 5; i++) assert.deepEqual(snapshot.scan(expected[i - 1] ?? -1, 1).map(({ address }) => address), [expected[i]]);
  assert.deepEqual(snapshot.scan(0xffff_ffff, 10), []);
  assert.deepEqual(snapshot.scan(-1, 0), []);
  assert.deepEqual([...snapshot.find('client-id', Buffer.from('client 1'))].map(({ address }) => address), expected);
  snapshot.close();
}));

test('a scan of meta values goes from one key to below another, with what the journal holds', snapshots(async (disk, folder) => {
  const meta = (entries: [string, string | null][]): WriteBatch =>
    ({ position: 0, records: new Map(), meta: new Map(entries.map(([key, value]) => [key, value === null ? null : Buffer.from(value)])) });
  const keys = Array.from({ length: 1200 }, (_, i) => `h/${String(i).padStart(4, '0')}`);
  await disk.commit(meta(keys.filter((_, i) => i % 2 === 0).map((key) => [key, 'old'])));
  await disk.commit(meta([['h/0002', null], ['h/0003', 'new'], ['h/0004', 'new'], ['h/1199', 'new'], ['i', 'not this']]));
  const snapshot = opened(folder, disk);
  const found = [...snapshot.scanMeta('h/', 'h0')];
  assert.deepEqual(found.map(([key]) => key), keys.filter((_, i) => (i % 2 === 0 && i !== 2) || i === 3 || i === 1199));
  assert.deepEqual(found.filter(([, value]) => value.toString() === 'new').map(([key]) => key), ['h/0003', 'h/0004', 'h/1199']);
  assert.deepEqual([...snapshot.scanMeta('h/0003', 'h/0006')].map(([key]) => key), ['h/0003', 'h/0004']);
  assert.equal(snapshot.readMeta('h/0002'), undefined);
  assert.equal(snapshot.readMeta('h/0004')?.toString(), 'new');
  assert.equal(snapshot.readMeta('h/0006')?.toString(), 'old');
  snapshot.close();
}));
