/** The thread behind config-loader.ts: reads one configuration after the other and hands each over part by part. */
import { parentPort } from 'node:worker_threads';
import { diffConfigs, formatChange } from '../diff.ts';
import { ConfigError } from '../error.ts';
import type { Mistake } from '../error.ts';
import { loadClusterConfig, parseClusterConfig } from '../load.ts';
import type { LoadedClusterConfig } from '../load.ts';
import { plainValue } from '../plain-text.ts';
import type { Reservation } from '../types.ts';

/** Without a text the file is read. */
export interface ConfigSource {
  readonly text?: string;
  readonly fileName: string;
}

/** What is to be read, and then, as long as some come, more of its reservations. */
export type ToConfigWorker = ConfigSource | ConfigTexts | 'more';

/** Two texts whose difference is asked for. */
export interface ConfigTexts {
  readonly before: string;
  readonly after: string;
}

export type FromConfigWorker =
  | { readonly kind: 'refused'; readonly code: ConfigError['code']; readonly mistakes: readonly Mistake[] }
  /** Without its reservations, which follow, as many at a time; none: those were all. */
  | { readonly kind: 'config'; readonly config: LoadedClusterConfig }
  | { readonly kind: 'reservations'; readonly reservations: readonly Reservation[] }
  /** A line for each change, for people. */
  | { readonly kind: 'difference'; readonly lines: readonly string[] };

/** Taken over in a few milliseconds. */
const PART_RESERVATIONS = 1000;

let reservations: readonly Reservation[] = [];
let given = 0;

function read({ text, fileName }: ConfigSource): FromConfigWorker {
  try {
    const config = text === undefined ? loadClusterConfig(fileName) : parseClusterConfig(text, fileName);
    ({ reservations } = config);
    given = 0;
    return { kind: 'config', config: { ...config, reservations: [] } };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { kind: 'refused', code: error.code, mistakes: error.mistakes };
  }
}

function more(): FromConfigWorker {
  const part = reservations.slice(given, given + PART_RESERVATIONS);
  given += part.length;
  // While it rests the thread keeps nothing of what it has read.
  if (part.length === 0) reservations = [];
  return { kind: 'reservations', reservations: part };
}

function difference({ after, before }: ConfigTexts): FromConfigWorker {
  return { kind: 'difference', lines: diffConfigs(plainValue(before), plainValue(after)).map(formatChange) };
}

function answerTo(message: ToConfigWorker): FromConfigWorker {
  if (message === 'more') return more();
  return 'before' in message ? difference(message) : read(message);
}

parentPort!.on('message', (message: ToConfigWorker) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort!.postMessage(answerTo(message));
});
