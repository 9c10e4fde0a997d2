/**
 * How long it takes this machine to have 4 KiB on the disk that the nodes and etcd use, again and again, as a
 * process of its own. A takeover waits for several such writes one after the other, so no figure can be better.
 *
 * Argument: a folder. Each line of input is answered by the worst ms since the last one. Prints `ready` first.
 */
import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const EVERY_MS = 20;
const BYTES = 4096;
const PAGES = 256;

const path = join(process.argv[2] ?? '.', `noise-${process.pid}`);
const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC, 0o600);
const page = Buffer.alloc(BYTES);
let worstMs = 0;
let written = 0;

setInterval(() => {
  const began = performance.now();
  writeSync(file, page, 0, BYTES, (written++ % PAGES) * BYTES);
  worstMs = Math.max(worstMs, performance.now() - began);
}, EVERY_MS);

createInterface({ input: process.stdin }).on('line', () => {
  process.stdout.write(`${worstMs}\n`);
  worstMs = 0;
}).on('close', () => {
  closeSync(file);
  rmSync(path, { force: true });
  process.exit();
});
process.stdout.write('ready\n');
