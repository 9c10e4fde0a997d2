/**
 * Reads and checks a configuration in a thread of its own: one with 100,000 reservations takes seconds,
 * and the packets do not wait for it. The result comes over in parts, with the event loop free between
 * them, since taking it over costs time on this side.
 */
import { once } from 'node:events';
import { extname } from 'node:path';
import { setImmediate as yieldToPackets } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { ConfigError } from '../error.ts';
import type { LoadedClusterConfig } from '../load.ts';
import type { Reservation } from '../types.ts';
import { withBuffers } from './buffers.ts';
import type { ConfigSource, FromConfigWorker, ToConfigWorker } from './config-worker.ts';

/**
 * Like `parseClusterConfig`. @throws ConfigError; another Error where the thread ends without an answer
 * (out of memory), or `signal` ends it.
 */
export function loadInWorker(text: string, fileName: string, signal?: AbortSignal): Promise<LoadedClusterConfig> {
  return load({ text, fileName }, signal);
}

/** Like `loadClusterConfig`. @throws as `loadInWorker` */
export function loadFileInWorker(path: string, signal?: AbortSignal): Promise<LoadedClusterConfig> {
  return load({ fileName: path }, signal);
}

async function load(source: ConfigSource, signal: AbortSignal | undefined): Promise<LoadedClusterConfig> {
  const entry = new URL(`./config-worker${extname(import.meta.filename)}`, import.meta.url);
  const worker = new Worker(entry, { workerData: source });
  const ended = new AbortController();
  worker.on('error', (error) => ended.abort(error));
  worker.on('exit', (code) => ended.abort(new Error(`the thread that reads the configuration ended with code ${code}`)));
  try {
    return await receiveAll(worker, signal === undefined ? ended.signal : AbortSignal.any([ended.signal, signal]));
  } finally {
    await worker.terminate();
  }
}

async function receiveAll(worker: Worker, signal: AbortSignal): Promise<LoadedClusterConfig> {
  const first = await receive(worker, signal);
  if (first.kind === 'refused') throw new ConfigError(first.code, first.mistakes);
  if (first.kind !== 'config') throw new Error('the thread that reads the configuration answered out of turn');
  const config = withBuffers(first.config);
  const reservations: Reservation[] = [];
  for (;;) {
    await yieldToPackets();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage('more' satisfies ToConfigWorker);
    const part = await receive(worker, signal);
    if (part.kind !== 'reservations') throw new Error('the thread that reads the configuration answered out of turn');
    if (part.reservations.length === 0) return { ...config, reservations };
    for (const reservation of withBuffers(part.reservations)) reservations.push(reservation);
  }
}

async function receive(worker: Worker, signal: AbortSignal): Promise<FromConfigWorker> {
  try {
    const [message] = await once(worker, 'message', { signal });
    return message as FromConfigWorker;
  } catch (error) {
    throw signal.aborted ? signal.reason as Error : error;
  }
}
