/** The thread behind config-loader.ts: reads one configuration and hands it over part by part. */
import { parentPort, workerData } from 'node:worker_threads';
import { ConfigError } from '../error.ts';
import type { Mistake } from '../error.ts';
import { loadClusterConfig, parseClusterConfig } from '../load.ts';
import type { LoadedClusterConfig } from '../load.ts';
import type { Reservation } from '../types.ts';

/** Without a text the file is read. */
export interface ConfigSource {
  readonly text?: string;
  readonly fileName: string;
}

export type FromConfigWorker =
  | { readonly kind: 'refused'; readonly code: ConfigError['code']; readonly mistakes: readonly Mistake[] }
  /** Without its reservations, which follow, as many at a time; none: those were all. */
  | { readonly kind: 'config'; readonly config: LoadedClusterConfig }
  | { readonly kind: 'reservations'; readonly reservations: readonly Reservation[] };

export type ToConfigWorker = 'more';

/** Taken over in a few milliseconds. */
const PART_RESERVATIONS = 1000;

function answer(message: FromConfigWorker): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort!.postMessage(message);
}

function run({ text, fileName }: ConfigSource): void {
  try {
    const config = text === undefined ? loadClusterConfig(fileName) : parseClusterConfig(text, fileName);
    const { reservations } = config;
    answer({ kind: 'config', config: { ...config, reservations: [] } });
    let at = 0;
    parentPort!.on('message', () => {
      answer({ kind: 'reservations', reservations: reservations.slice(at, at + PART_RESERVATIONS) });
      at += PART_RESERVATIONS;
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    answer({ kind: 'refused', code: error.code, mistakes: error.mistakes });
  }
}

run(workerData as ConfigSource);
