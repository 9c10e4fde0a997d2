// oxlint-disable unicorn/require-post-message-target-origin -- a thread, no window
/**
 * Reads one moment of the store and makes the backup of it, in a thread of its own: piece by piece, each when it is asked
 * for, so that a slow reader costs neither memory nor the packets' time.
 */
import { createHash } from 'node:crypto';
import os from 'node:os';
import { Readable } from 'node:stream';
import { parentPort, workerData } from 'node:worker_threads';
import { createGzip } from 'node:zlib';
import { HISTORY_KEYS } from '../../history/row.ts';
import { SEED_KEY } from '../../io/journaled-disk.ts';
import { GENERATION_KEY, MARKER_KEY } from '../../io/lmdb-index.ts';
import { closeStoreSnapshots, type SnapshotMark, StoreSnapshot } from '../../io/store-snapshot.ts';
import { STATE_KEY } from '../../leasequery/change-history.ts';
import { historyNumber } from '../../leasequery/history-chunk.ts';
import { BACKUP_PIECE_BYTES, LOAD_PAGE_RECORDS } from '../../limits.ts';
import { bindingLine, endLine, metaLine } from '../format.ts';

export interface BackupTask {
  readonly dataDir: string;
  /** The lines that come first. */
  readonly head: string;
}

export type ToBackupThread = { readonly mark: SnapshotMark } | 'next' | 'end';
/** `retry`: the mark is too old, another one is wanted; null: there is no more. */
export type FromBackupThread = 'opened' | 'retry' | Uint8Array | null;

/** What belongs to this very disk: a restored one makes its own. */
const OF_THE_DISK: ReadonlySet<string> = new Set([SEED_KEY, GENERATION_KEY, MARKER_KEY, STATE_KEY]);
/** Above every key: no character of UTF-8 sorts behind it. */
const LAST_KEY = '\u{10ffff}';

// Of this thread alone, in Linux: where processors are few, DHCP goes first.
os.setPriority(0, os.constants.priority.PRIORITY_LOW);

const port = parentPort!;
const { dataDir, head } = workerData as BackupTask;
let snapshot: StoreSnapshot | undefined;
let pieces: AsyncIterator<Buffer> | undefined;

function* lines(store: StoreSnapshot): Generator<Buffer> {
  const hash = createHash('sha256');
  let counted = { bindings: 0, meta: 0 };
  let waiting = head;
  const take = (): Buffer => {
    const bytes = Buffer.from(waiting);
    hash.update(bytes);
    waiting = '';
    return bytes;
  };
  // The history of leases is passed over: it may be many times the rest, and a member copies it from another one.
  for (const [from, to] of [['\u0001', HISTORY_KEYS[0]], [HISTORY_KEYS[1], LAST_KEY]] as const) {
    for (const [key, value] of store.scanMeta(from, to)) {
      if (OF_THE_DISK.has(key) || historyNumber(key) !== undefined) continue;
      waiting += metaLine(key, value);
      counted = { ...counted, meta: counted.meta + 1 };
    }
  }
  for (let after = -1; ;) {
    const page = store.scan(after, LOAD_PAGE_RECORDS);
    for (const { address, record } of page) waiting += bindingLine(address, record);
    counted = { ...counted, bindings: counted.bindings + page.length };
    if (waiting.length >= BACKUP_PIECE_BYTES) yield take();
    if (page.length < LOAD_PAGE_RECORDS) break;
    after = page.at(-1)!.address;
  }
  yield take();
  yield Buffer.from(endLine({ ...counted, sha256: hash.digest('hex') }));
}

async function next(): Promise<void> {
  const piece = await pieces!.next();
  port.postMessage(piece.done === true ? null : piece.value satisfies FromBackupThread);
}

port.on('message', (message: ToBackupThread) => {
  if (message === 'next') void next();
  else if (message === 'end') {
    snapshot?.close();
    void closeStoreSnapshots().then(() => port.close());
  } else {
    snapshot = StoreSnapshot.open(dataDir, message.mark);
    if (snapshot === undefined) return port.postMessage('retry' satisfies FromBackupThread);
    pieces = Readable.from(lines(snapshot)).pipe(createGzip({ chunkSize: BACKUP_PIECE_BYTES })).iterator();
    port.postMessage('opened' satisfies FromBackupThread);
  }
  return undefined;
});
