/** Opens the store in the folder given, whose index is to be built, and is gone in the middle of that. */
import { setTimeout } from 'node:timers/promises';
import { openJournaledDisk } from '../../node/io/journaled-disk.ts';

const disk = openJournaledDisk(process.argv[2]!);
let complete = false;
void disk.indexed.then(() => { complete = true; });
await setTimeout(Number(process.argv[3]));
console.log(complete ? 'complete' : 'building');
process.kill(process.pid, 'SIGKILL');
