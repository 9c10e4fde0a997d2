/**
 * Writes the store of a backup into a data folder. The folder shows nothing of it until all of it is flushed: then the one
 * file of the store is put into its place, so that a restore that is cut short leaves no store at all.
 */
import { closeSync, constants, existsSync, lchownSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { tryLockFile } from '../../io/libc.ts';
import { openLmdbDisk, STORE_FILE_NAME, syncFolder } from '../../io/lmdb-disk.ts';
import type { LmdbDisk } from '../../io/lmdb-disk.ts';
import { StoreError } from '../../lease/store-error.ts';
import { RESTORE_BATCH_RECORDS } from '../../limits.ts';
import { readBackup } from './read-backup.ts';

const LOCK = 'lock';
const UNFINISHED = '.restore';
/** They say nothing of leases: what an earlier start or restore left, and the top of a file system of its own. */
const HARMLESS: ReadonlySet<string> = new Set([LOCK, UNFINISHED, 'lost+found']);

/** What is in the folder that a restore would have to overwrite; empty: nothing is, or there is no folder. */
export function contentsInTheWay(dataDir: string): string[] {
  return existsSync(dataDir) ? readdirSync(dataDir).filter((name) => !HARMLESS.has(name)) : [];
}

type OwnMeta = (backup: ReadonlyMap<string, Buffer>) => ReadonlyMap<string, Buffer>;

/**
 * `own`: values that take the place of the backup's, which it is given. Nothing may be in the way, and `path` has been read to its end before.
 * `onBindings` is told how many are written. Throws StoreError, BackupError.
 */
export async function restoreStore(path: string, dataDir: string, own: OwnMeta, onBindings: (count: number) => void): Promise<void> {
  mkdirSync(dataDir, { recursive: true, mode: 0o750 });
  const lock = openSync(join(dataDir, LOCK), constants.O_RDWR | constants.O_CREAT, 0o640);
  const folder = join(dataDir, UNFINISHED);
  try {
    if (!tryLockFile(lock)) throw new StoreError('unavailable', `Another process uses ${dataDir}`, 'Stop the node that runs there');
    rmSync(folder, { recursive: true, force: true });
    const disk = openLmdbDisk(folder);
    try {
      await fill(disk, path, own, onBindings);
    } finally {
      await disk.close();
    }
    renameSync(join(folder, STORE_FILE_NAME), join(dataDir, STORE_FILE_NAME));
    syncFolder(dataDir);
    rmSync(folder, { recursive: true, force: true });
    giveToOwner(dataDir);
  } finally {
    closeSync(lock);
  }
}

/** What root has made there the node must be able to use, and it may be somebody else: whoever has the folder. */
export function giveToOwner(dataDir: string): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = statSync(dataDir);
  for (const name of readdirSync(dataDir)) {
    const path = join(dataDir, name);
    if (!HARMLESS.has(name) || name === LOCK) lchownSync(path, uid, gid);
  }
}

async function fill(disk: LmdbDisk, path: string, own: OwnMeta, onBindings: (count: number) => void): Promise<void> {
  let records = new Map<number, Buffer>();
  const meta = new Map<string, Buffer>();
  let count = 0;
  for await (const item of readBackup(path)) {
    if (item.kind === 'meta') meta.set(item.key, item.value);
    if (item.kind !== 'binding') continue;
    records.set(item.address, item.record);
    if (records.size < RESTORE_BATCH_RECORDS) continue;
    await disk.commit({ position: 0, records, meta: new Map() });
    count += records.size;
    onBindings(count);
    records = new Map();
  }
  await disk.commit({ position: 0, records, meta: new Map([...meta, ...own(meta)]) });
  onBindings(count + records.size);
}
