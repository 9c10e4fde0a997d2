/** What the journal in front of the store keeps through crashes, and what it does with damage. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { openJournaledDisk } from '../../node/io/journaled-disk.ts';
import { StoreError } from '../../node/lease/store-error.ts';
import type { Disk, WriteBatch } from '../../node/lease/store.ts';

const PAGE = 4096;

function inFolder(body: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lessor-journal-'));
    try {
      await body(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

const put = (address: number, text: string): WriteBatch =>
  ({ position: 0, records: new Map([[address, Buffer.from(text)]]), meta: new Map() });

/** As a crash would leave it: LMDB is at rest, and the journal holds what was committed since. */
async function crashedCopy(folder: string, bytes: number, commits: number): Promise<string> {
  const disk = openJournaledDisk(join(folder, 'live'), bytes);
  for (let i = 0; i < commits; i++) await disk.commit(put(i, `record ${i}`));
  const copy = join(folder, 'copy');
  cpSync(join(folder, 'live'), copy, { recursive: true });
  await disk.close();
  return copy;
}

const records = (disk: Disk): string[] => disk.scan(-1, 1e6).map(({ record }) => record.toString());
const expected = (count: number): string[] => Array.from({ length: count }, (_, i) => `record ${i}`);
const isCorrupt = (error: unknown): boolean => error instanceof StoreError && error.code === 'corrupt';

for (const fileBytes of [2 * PAGE, 32 * PAGE]) {
  test(`a process killed at any moment loses nothing that was committed, journals of ${fileBytes} bytes`, inFolder(async (folder) => {
    let flushed = 0;
    for (const until of [5, 40, 333]) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'journal-child.ts'), folder, String(fileBytes)], { stdio: ['ignore', 'pipe', 'inherit'] });
      let said = 0;
      createInterface({ input: child.stdout }).on('line', (line) => {
        said = Number(line);
        if (said === until) child.kill('SIGKILL');
      });
      await once(child, 'close');
      flushed = Math.max(flushed, said);
      const disk = openJournaledDisk(folder, fileBytes);
      const count = Number(disk.readMeta('count')!.toString());
      // One more may have been flushed than was said.
      assert.ok(count === said || count === said + 1, `said ${said}, found ${count}`);
      for (let i = 1; i <= flushed; i++) assert.equal(disk.read(i)?.toString(), `record ${i}`);
      assert.equal(disk.read(1_000_000 + (count % 50))?.toString(), `last ${count}`);
      await disk.close();
    }
  }));
}

test('what a crash left in the journal is there after the next start, and after the one that follows', inFolder(async (folder) => {
  const copy = await crashedCopy(folder, 64 * PAGE, 20);
  for (let i = 0; i < 2; i++) {
    const disk = openJournaledDisk(copy, 64 * PAGE);
    assert.deepEqual(records(disk), expected(20));
    await disk.close();
  }
}));

test('a frame that was being written when the power went counts for nothing', inFolder(async (folder) => {
  const copy = await crashedCopy(folder, 64 * PAGE, 20);
  const path = join(copy, 'journal-0');
  const bytes = readFileSync(path);
  bytes[19 * PAGE + 30]! ^= 1;
  writeFileSync(path, bytes);
  const disk = openJournaledDisk(copy, 64 * PAGE);
  assert.deepEqual(records(disk), expected(19));
  // And the place of the torn one is written again.
  await disk.commit(put(19, 'record 19'));
  assert.deepEqual(records(disk), expected(20));
  await disk.close();
}));

test('a damaged frame with good ones behind it stops the start', inFolder(async (folder) => {
  const copy = await crashedCopy(folder, 64 * PAGE, 20);
  const path = join(copy, 'journal-0');
  const bytes = readFileSync(path);
  bytes[7 * PAGE + 30]! ^= 1;
  writeFileSync(path, bytes);
  assert.throws(() => openJournaledDisk(copy, 64 * PAGE), isCorrupt);
}));

test('a journal whose store is another one stops the start', inFolder(async (folder) => {
  const copy = await crashedCopy(folder, 4 * PAGE, 30);
  rmSync(join(copy, 'leases.mdb'));
  assert.throws(() => openJournaledDisk(copy, 4 * PAGE), isCorrupt);
}));

test('a batch larger than a journal is committed all the same', inFolder(async (folder) => {
  const disk = openJournaledDisk(folder, 2 * PAGE);
  await disk.commit(put(1, 'before'));
  await disk.commit({ position: 0, records: new Map([[1, Buffer.from('after')], [2, Buffer.alloc(5 * PAGE, 'x')]]), meta: new Map() });
  await disk.commit(put(3, 'last'));
  assert.deepEqual(disk.scan(-1, 10).map(({ address, record }) => [address, record.length]), [[1, 5], [2, 5 * PAGE], [3, 4]]);
  await disk.close();
}));

test('damage of the first frame stops the start too, while anything behind it was flushed', inFolder(async (folder) => {
  const copy = await crashedCopy(folder, 64 * PAGE, 20);
  const path = join(copy, 'journal-0');
  const bytes = readFileSync(path);
  bytes[30]! ^= 1;
  writeFileSync(path, bytes);
  assert.throws(() => openJournaledDisk(copy, 64 * PAGE), isCorrupt);
}));

test('frames that the store has already cannot stop the start, whatever a torn write left of them', inFolder(async (folder) => {
  const copy = await crashedCopy(folder, 64 * PAGE, 20);
  await openJournaledDisk(copy, 64 * PAGE).close();
  const path = join(copy, 'journal-0');
  const bytes = readFileSync(path);
  bytes[PAGE + 30]! ^= 1;
  writeFileSync(path, bytes);
  const disk = openJournaledDisk(copy, 64 * PAGE);
  assert.deepEqual(records(disk), expected(20));
  await disk.close();
}));

test('a page of records is full as long as there are more, also where some were removed since', inFolder(async (folder) => {
  const first = openJournaledDisk(folder, 64 * PAGE);
  for (let i = 0; i < 10; i++) await first.commit(put(i, `record ${i}`));
  await first.close();
  const disk = openJournaledDisk(folder, 64 * PAGE);
  await disk.commit({ position: 0, records: new Map([[1, null], [3_000_000_000, Buffer.from('far')]]), meta: new Map() });
  assert.deepEqual(disk.scan(-1, 5).map(({ address }) => address), [0, 2, 3, 4, 5]);
  assert.deepEqual(disk.scan(5, 5).map(({ address }) => address), [6, 7, 8, 9, 3_000_000_000]);
  await disk.close();
}));

test('a second process that opens the store is refused, and told what to do', inFolder(async (folder) => {
  const disk = openJournaledDisk(folder, 64 * PAGE);
  await disk.commit(put(1, 'record'));
  assert.throws(() => openJournaledDisk(folder, 64 * PAGE), (error) => error instanceof StoreError && error.code === 'unavailable');
  await disk.close();
  await openJournaledDisk(folder, 64 * PAGE).close();
}));
