// oxlint-disable unicorn/require-post-message-target-origin -- a thread, no window
/** Opens snapshots of the folder given, in a thread of its own; each is looked at again when it is told so. */
import { parentPort, workerData } from 'node:worker_threads';
import { closeStoreSnapshots, type SnapshotMark, StoreSnapshot } from '../../node/io/store-snapshot.ts';
import { contentsOf, wronglyFound } from './store-fixture.ts';

const port = parentPort!;
let snapshot: StoreSnapshot | undefined;

function look(): object {
  return {
    ...contentsOf(snapshot!), wrong: wronglyFound(snapshot!), indexed: snapshot!.indexed,
    metaScan: [...snapshot!.scanMeta('m', 'n')].map(([key, value]) => `${key} ${value.toString()}`),
  };
}

port.on('message', (message: { mark: SnapshotMark } | 'again' | 'end') => {
  if (message === 'end') {
    void closeStoreSnapshots().then(() => port.close());
  } else if (message === 'again') {
    port.postMessage(look());
    snapshot!.close();
  } else {
    snapshot = StoreSnapshot.open(workerData as string, message.mark);
    port.postMessage(snapshot === undefined ? undefined : look());
  }
});
