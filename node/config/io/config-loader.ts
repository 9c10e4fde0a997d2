/**
 * Reads and checks a configuration in a thread of its own: one with 100,000 reservations takes seconds,
 * and the packets do not wait for it. The result comes over in parts, with the event loop free between
 * them, since taking it over costs time on this side. The thread rests for a while before it ends: one
 * that has read a configuration reads the next in half the time, and tools come back.
 */
import { once } from 'node:events';
import { extname } from 'node:path';
import { setImmediate as yieldToPackets } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { CONFIG_THREAD_REST_MS } from '../../limits.ts';
import { ConfigError } from '../error.ts';
import type { LoadedClusterConfig } from '../load.ts';
import type { Reservation } from '../types.ts';
import { withBuffers } from './buffers.ts';
import type { ConfigSource, ConfigTexts, FromConfigWorker, ToConfigWorker } from './config-worker.ts';

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

/** What differs between two texts that were found right, a line each. @throws as `loadInWorker` */
export async function differenceInWorker(before: string, after: string): Promise<readonly string[]> {
  const thread = ConfigThread.take();
  try {
    const lines = await thread.difference({ before, after });
    thread.rest();
    return lines;
  } catch (error) {
    await thread.end();
    throw error;
  }
}

async function load(source: ConfigSource, signal: AbortSignal | undefined): Promise<LoadedClusterConfig> {
  const thread = ConfigThread.take();
  try {
    const config = await thread.read(source, signal);
    thread.rest();
    return config;
  } catch (error) {
    // What is refused is an answer as well.
    if (error instanceof ConfigError) thread.rest();
    else await thread.end();
    throw error;
  }
}

class ConfigThread {
  static #resting: ConfigThread | undefined;
  readonly #worker: Worker;
  readonly #ended = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  /** One that rests, or a new one. */
  static take(): ConfigThread {
    const thread = ConfigThread.#resting ?? new ConfigThread();
    ConfigThread.#resting = undefined;
    clearTimeout(thread.#timer);
    thread.#worker.ref();
    return thread;
  }

  private constructor() {
    this.#worker = new Worker(new URL(`./config-worker${extname(import.meta.filename)}`, import.meta.url));
    this.#worker.on('error', (error) => this.#ended.abort(error));
    this.#worker.on('exit', (code) => {
      if (ConfigThread.#resting === this) ConfigThread.#resting = undefined;
      this.#ended.abort(new Error(`the thread that reads the configuration ended with code ${code}`));
    });
  }

  async read(source: ConfigSource, signal: AbortSignal | undefined): Promise<LoadedClusterConfig> {
    const ended = signal === undefined ? this.#ended.signal : AbortSignal.any([this.#ended.signal, signal]);
    const first = await this.#ask(source, ended);
    if (first.kind === 'refused') throw new ConfigError(first.code, first.mistakes);
    if (first.kind !== 'config') throw new Error('the thread that reads the configuration answered out of turn');
    const config = withBuffers(first.config);
    const reservations: Reservation[] = [];
    for (;;) {
      await yieldToPackets();
      const part = await this.#ask('more', ended);
      if (part.kind !== 'reservations') throw new Error('the thread that reads the configuration answered out of turn');
      if (part.reservations.length === 0) return { ...config, reservations };
      for (const reservation of withBuffers(part.reservations)) reservations.push(reservation);
    }
  }

  async difference(texts: ConfigTexts): Promise<readonly string[]> {
    const answer = await this.#ask(texts, this.#ended.signal);
    if (answer.kind !== 'difference') throw new Error('the thread that reads the configuration answered out of turn');
    return answer.lines;
  }

  async #ask(message: ToConfigWorker, signal: AbortSignal): Promise<FromConfigWorker> {
    try {
      const answer = once(this.#worker, 'message', { signal });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      this.#worker.postMessage(message);
      const [received] = await answer;
      return received as FromConfigWorker;
    } catch (error) {
      throw signal.aborted ? signal.reason as Error : error;
    }
  }

  /** Keeps no process from ending. */
  rest(): void {
    if (ConfigThread.#resting !== undefined || this.#ended.signal.aborted) {
      void this.end();
      return;
    }
    ConfigThread.#resting = this;
    this.#worker.unref();
    this.#timer = setTimeout(() => void this.end(), CONFIG_THREAD_REST_MS).unref();
  }

  async end(): Promise<void> {
    if (ConfigThread.#resting === this) ConfigThread.#resting = undefined;
    await this.#worker.terminate();
  }
}
