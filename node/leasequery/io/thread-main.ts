/** The thread behind thread.ts. */
import os from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { withBuffers } from '../../config/io/buffers.ts';
import { QueryServer } from './query-server.ts';
import type { ThreadOptions, ToThread } from './thread-messages.ts';

// Of this thread alone, in Linux: where processors are few, DHCP goes first.
os.setPriority(0, os.constants.priority.PRIORITY_LOW);

const server = new QueryServer(workerData as ThreadOptions, (message) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort!.postMessage(message);
});

parentPort!.on('message', (message: ToThread) => {
  server.onMessage(message.kind === 'config' ? withBuffers(message) : message);
  if (message.kind === 'end') parentPort!.unref();
});
