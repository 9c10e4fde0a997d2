/** What the metrics tell of the disk that the data folder lies on. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { DataFolderWatch } from '../../node/io/data-folder.ts';
import { openJournaledDisk } from '../../node/io/journaled-disk.ts';

const JOURNAL_BYTES = 256 * 1024;
const WAIT_MS = 5000;

test('the room on the disk is that of its file system, and the store takes at least its journal', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-data-folder-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const disk = openJournaledDisk(folder, JOURNAL_BYTES);
  await disk.close();
  const watch = new DataFolderWatch(folder, 10);
  context.after(() => watch.close());
  const told = await waitUntil('it is looked at', WAIT_MS, () => watch.seen);
  const { blocks, bsize } = statfsSync(folder);
  assert.equal(told.sizeBytes, blocks * bsize);
  assert.ok(told.freeBytes > 0 && told.freeBytes <= told.sizeBytes);
  assert.ok(told.storeBytes >= JOURNAL_BYTES && told.storeBytes < 100 * JOURNAL_BYTES, `${told.storeBytes} bytes`);
  // Old figures would say that all is well.
  rmSync(folder, { recursive: true });
  await waitUntil('nothing is told of what cannot be read', WAIT_MS, () => (watch.seen === undefined ? true : undefined));
});
