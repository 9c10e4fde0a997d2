/** Fills a store until there is no room, in a process of its own whose file size is limited; prints what it saw. */
import { openLmdbDisk } from '../../node/io/lmdb-disk.ts';
import type { StoreError } from '../../node/lease/store-error.ts';

let unhandled = 0;
process.on('unhandledRejection', () => unhandled++);
const disk = openLmdbDisk(process.argv[2]!);
let position = 0;
let committed = 0;
let refused = 0;
let code = '';
while (refused < 3) {
  const records = new Map<number, Buffer>();
  for (let i = 0; i < 64; i++) records.set(committed + i, Buffer.alloc(500, i));
  try {
    await disk.commit({ position: ++position, records, meta: new Map() });
    committed += records.size;
  } catch (error) {
    code = (error as StoreError).code;
    refused++;
  }
}
const records = disk.count();
await disk.commit({ position: ++position, records: new Map([[0, Buffer.from('smaller')]]), meta: new Map() });
const after = disk.read(0)!.toString();
await disk.close();
await new Promise((resolve) => setImmediate(resolve));
process.stdout.write(JSON.stringify({ code, refused, records, committed, after, unhandled }));
