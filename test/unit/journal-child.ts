/** Commits batch after batch and says when each is flushed, until it is killed: `journal-child.ts FOLDER FILE-BYTES`. */
import { writeSync } from 'node:fs';
import { openJournaledDisk } from '../../node/io/journaled-disk.ts';

const [folder = '', bytes] = process.argv.slice(2);
const disk = openJournaledDisk(folder, Number(bytes));
for (let i = 1; ; i++) {
  await disk.commit({
    position: i, records: new Map([[i, Buffer.from(`record ${i}`)], [1_000_000 + (i % 50), Buffer.from(`last ${i}`)]]),
    meta: new Map([['count', Buffer.from(String(i))]]),
  });
  writeSync(1, `${i}\n`);
}
