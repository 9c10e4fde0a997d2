/**
 * Following the changes of a server, and of the next one when its connection ends (RFC 7724 §7.1): each
 * takes up where the one before it has stopped.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { QueryStatus } from '../leasequery/messages.ts';
import type { Answer } from '../leasequery/requestor/answer.ts';
import type { KeptTime } from '../leasequery/requestor/kept-time.ts';
import { LeaseQueryConnection, QueryFailure, type QueryServer, type TlsTerms } from './leasequery-connection.ts';
import { type ActiveSink, type BindingSink, describeRefusal, runActiveQuery, runBulkQuery } from './leasequery-session.ts';

/** ACTIVE_LQ_IDLE_TIMEOUT: the least time between two attempts with one server (RFC 7724 §7.1). */
export const RETRY_MS = 60_000;

/**
 * What is missing may be older than the place from which it is: bulk queries go by when a change was made, by the clock
 * of the node that made it, and the place is of when another one had it. As much as nodes allow for when they catch up,
 * and some more; what was told before is known again, but for leases that are about to end.
 */
export const FILL_MARGIN_SECONDS = 60;

export interface FollowSink extends ActiveSink {
  onConnected(server: QueryServer, startTime: number | undefined): void;
  /** `next`: who is tried next, and in how many milliseconds. */
  onEnded(server: QueryServer, failure: QueryFailure, next: { readonly server: QueryServer; readonly inMs: number } | undefined): void;
  /** A binding that a bulk query had to get; valid only during the call. */
  onFound(answer: Answer, server: number | undefined): void;
  /** What a bulk query had to get is there. */
  onFilled(): void;
  /** Everything before `baseTime` has been taken by `onPause`. */
  onKept(server: QueryServer, baseTime: number): void;
}

export interface FollowOptions {
  /** At least one, in order of preference. */
  readonly servers: readonly QueryServer[];
  /** Undefined: plain TCP. */
  readonly tls: TlsTerms | undefined;
  readonly options: readonly number[];
  readonly timeoutMs: number;
  /** What a server cannot catch up with is got by a bulk query (RFC 7724 §7.4.1). */
  readonly isFilled: boolean;
  /** Undefined: the end of the first connection is the end. */
  readonly retryMs: number | undefined;
  readonly kept: KeptTime;
  readonly sink: FollowSink;
  /** Ends it in good order. */
  readonly signal: AbortSignal;
}

/** With whom it ended, and why. */
export class FollowEnded extends Error {
  readonly server: QueryServer;
  readonly failure: QueryFailure;

  constructor(server: QueryServer, failure: QueryFailure) {
    super(failure.message, { cause: failure });
    this.name = 'FollowEnded';
    this.server = server;
    this.failure = failure;
  }
}

/** Resolves when `signal` asks for the end; rejects with FollowEnded where nobody is to be tried any more. */
export async function follow(options: FollowOptions): Promise<void> {
  const { servers, retryMs, sink, signal } = options;
  const triedAt = new Map<QueryServer, number>();
  let at = 0;
  while (!signal.aborted) {
    const server = servers[at]!;
    triedAt.set(server, performance.now());
    const { failure, isConnected } = await followOne(server, options);
    if (signal.aborted) return;
    const next = retryMs === undefined ? firstConnection(servers, at, isConnected) : nextAttempt(servers, at, triedAt, retryMs);
    sink.onEnded(server, failure, next === undefined ? undefined : { server: servers[next.at]!, inMs: next.inMs });
    if (next === undefined) throw new FollowEnded(server, failure);
    if (next.inMs > 0) await sleep(next.inMs, undefined, { signal }).catch(() => undefined);
    at = next.at;
  }
}

interface Attempt {
  /** In the list of servers. */
  readonly at: number;
  readonly inMs: number;
}

/** Without retries each server is tried until one has been reached. */
function firstConnection(servers: readonly QueryServer[], at: number, isConnected: boolean): Attempt | undefined {
  return isConnected || at + 1 >= servers.length ? undefined : { at: at + 1, inMs: 0 };
}

/** The next in the list whose pause is over, the last one tried at the end; else the one whose pause ends first. */
function nextAttempt(servers: readonly QueryServer[], at: number, triedAt: ReadonlyMap<QueryServer, number>, retryMs: number): Attempt {
  const now = performance.now();
  const attempts = servers.map((_, i): Attempt => {
    const index = (at + 1 + i) % servers.length;
    const tried = triedAt.get(servers[index]!);
    return { at: index, inMs: tried === undefined ? 0 : Math.max(0, Math.ceil(tried + retryMs - now)) };
  });
  return attempts.reduce((best, attempt) => (attempt.inMs < best.inMs ? attempt : best));
}

/** One connection from its beginning to its end. Errors that are no QueryFailure, such as those of the sink, are thrown. */
async function followOne(server: QueryServer, options: FollowOptions): Promise<{ readonly failure: QueryFailure; readonly isConnected: boolean }> {
  const { kept, sink, tls } = options;
  const ending = new AbortController();
  const signal = AbortSignal.any([options.signal, ending.signal]);
  const fill = new Fill(server, options, signal, ending);
  let isConnected = false;
  try {
    const connection = await LeaseQueryConnection.open(server, { tls, signal });
    isConnected = true;
    try {
      sink.onConnected(server, kept.value);
      return await runActiveQuery(connection, kept, {
        onBinding: (answer, identifier) => sink.onBinding(answer, identifier),
        onStatus: (status, baseTime) => {
          sink.onStatus(status, baseTime);
          if (status === QueryStatus.DATA_MISSING && options.isFilled) fill.begin(kept.value, baseTime);
        },
        onPause: async () => {
          await sink.onPause();
          if (kept.value !== undefined) sink.onKept(server, kept.value);
        },
      }, options);
    } finally {
      connection.close();
    }
  } catch (error) {
    if (!(error instanceof QueryFailure)) throw error;
    return { failure: fill.failure ?? error, isConnected };
  } finally {
    ending.abort();
    await fill.ended;
  }
}

/** The bulk query beside an active one, on a connection of its own (RFC 7724 §7.4.1). */
class Fill {
  /** Why it failed: then the whole query does, and begins again from where nothing is missing. */
  failure: QueryFailure | undefined;
  /** Rejects only with errors that are no QueryFailure. */
  ended: Promise<void> = Promise.resolve();
  readonly #server: QueryServer;
  readonly #options: FollowOptions;
  readonly #signal: AbortSignal;
  readonly #active: AbortController;

  constructor(server: QueryServer, options: FollowOptions, signal: AbortSignal, active: AbortController) {
    this.#server = server;
    this.#options = options;
    this.#signal = signal;
    this.#active = active;
  }

  begin(startTime: number | undefined, endTime: number | undefined): void {
    this.ended = Promise.all([this.ended, this.#run(startTime, endTime)]).then(() => undefined);
    // Whoever waits for the end gets the error; nobody may wait yet.
    this.ended.catch(() => this.#active.abort());
  }

  async #run(startTime: number | undefined, endTime: number | undefined): Promise<void> {
    const { kept, options, sink, tls } = this.#options;
    const bindings: BindingSink = { onBinding: (answer, identifier) => sink.onFound(answer, identifier), onPause: () => sink.onPause() };
    try {
      const connection = await LeaseQueryConnection.open(this.#server, { tls, signal: this.#signal });
      try {
        const end = await runBulkQuery(connection, { options, startTime: marginBefore(startTime), endTime }, bindings);
        if (end.status !== QueryStatus.SUCCESS) throw new QueryFailure('refused', describeRefusal(end.status, end.statusText));
        sink.onFilled();
        await sink.onPause();
        kept.onFilled();
        if (kept.value !== undefined) sink.onKept(this.#server, kept.value);
      } finally {
        connection.close();
      }
    } catch (error) {
      if (!(error instanceof QueryFailure)) throw error;
      if (error.code !== 'stopped') this.failure ??= new QueryFailure(error.code, `bulk query for what is missing: ${error.message}`, { cause: error });
      this.#active.abort();
    }
  }
}

function marginBefore(startTime: number | undefined): number | undefined {
  return startTime === undefined ? undefined : Math.max(0, startTime - FILL_MARGIN_SECONDS);
}
