/**
 * The node's side of LEASEQUERY over TCP: starts the thread once somebody may ask, hands it moments of the store and
 * committed changes, and takes over what it counts. A thread that fails is started again; DHCP goes on.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { SnapshotMark } from '../../io/store-snapshot.ts';
import type { ChangeHistory } from '../change-history.ts';
import type { TakenChanges } from '../committed-feed.ts';
import { changeBytes, encodeChunk } from '../history-chunk.ts';
import type { BindingChange } from '../history-chunk.ts';
import type { QueryCounters } from '../query-counters.ts';
import type { QueryConfig } from '../stream-answers.ts';
import type { Occurrence } from '../../telemetry/events.ts';
import type { Now } from '../../time.ts';
import type { SnapshotStep } from '../snapshot-step.ts';
import type { FromThread, ThreadOptions, ToThread } from './thread-messages.ts';

export interface QueryThreadParts {
  readonly options: ThreadOptions;
  readonly counters: QueryCounters;
  /** Asks for a moment of the store; `onSnapshotStep` answers. */
  readonly onAsk: (id: number) => void;
  /** Marks the disk as it is now. */
  readonly mark: () => SnapshotMark;
  readonly history: ChangeHistory;
  /** What of it is committed since the last time. */
  readonly takeCommitted: (limit: number) => TakenChanges;
  readonly onEvent: (event: Occurrence) => void;
}

const RESTART_MS = 1000;
const BASE_MS = 1000;
const FEED_CHANGES_AT_ONCE = 1000;
const END_MS = 2000;

export class QueryThread {
  readonly #parts: QueryThreadParts;
  #worker: Worker | undefined;
  /** The configuration that the thread has, or was given. */
  #inForce: QueryConfig | undefined;
  #isEnding = false;
  #ended: (() => void) | undefined;
  #port = 0;
  /** Moments that this thread has asked for and that are not ready, by the number that the engine knows them by. */
  readonly #moments = new Map<number, { readonly id: number; mark?: SnapshotMark }>();
  #lastMoment = 0;
  /** Said already, and not mended since. */
  #failure = '';
  #saidServing = false;
  #saidBaseAt = 0;

  constructor(parts: QueryThreadParts) {
    this.#parts = parts;
  }

  /** Where it listens; 0: nowhere. */
  get port(): number {
    return this.#port;
  }

  #configure(config: QueryConfig): void {
    this.#inForce = config;
    const { classes, evictAfterMs, leaseQuery, limits, maxClockSkewMs, pools, reservations, subnets } = config;
    const parts = { classes, evictAfterMs, leaseQuery, limits, maxClockSkewMs, pools, reservations, subnets };
    if (leaseQuery.requestors.length > 0 && this.#worker === undefined) this.#start();
    this.#send({ kind: 'config', config: leaseQuery.requestors.length > 0 ? parts : undefined });
  }

  /** What became of a moment of the store, in the turn that says so. */
  onSnapshotStep(step: SnapshotStep): void {
    const moment = this.#moments.get(step.id);
    // Of a thread that is gone.
    if (moment === undefined) return undefined;
    const { id } = moment;
    switch (step.step) {
      case 'mark':
        moment.mark = this.#parts.mark();
        return undefined;
      case 'ready':
        this.#send({ kind: 'snapshot', id, mark: moment.mark!, owned: step.owned, incarnation: step.incarnation });
        break;
      case 'refused':
        this.#send({ kind: 'refused', id, reason: step.reason });
        break;
      default: return step satisfies never;
    }
    this.#moments.delete(step.id);
    return undefined;
  }

  /** Once a turn: hands over what was committed, where somebody follows. `serving`: the node is in service. */
  turn(config: QueryConfig, serving: boolean, now: Now): void {
    if (config !== this.#inForce) this.#configure(config);
    const { history, takeCommitted } = this.#parts;
    if (!history.listening) return;
    if (serving) {
      for (let more = true; more;) {
        const taken = takeCommitted(FEED_CHANGES_AT_ONCE);
        if (taken.lost) this.#send({ kind: 'lost' });
        else this.#sendChanges(taken.changes);
        more = !taken.lost && taken.changes.length === FEED_CHANGES_AT_ONCE;
      }
    }
    if (serving === this.#saidServing && now.mono - this.#saidBaseAt < BASE_MS) return;
    this.#saidServing = serving;
    this.#saidBaseAt = now.mono;
    this.#send({ kind: 'base', second: serving ? history.baseSecond(now) : undefined });
  }

  #sendChanges(changes: readonly BindingChange[]): void {
    if (changes.length === 0) return;
    const chunk = encodeChunk(changes, changes.reduce((sum, change) => sum + changeBytes(change), 0));
    this.#send({ kind: 'changes', first: changes[0]!.number, chunk });
  }

  /** Requestors are told that it ends. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#isEnding = true;
    if (worker === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#ended = resolve;
      timer = setTimeout(resolve, END_MS);
      this.#send({ kind: 'end' });
    });
    clearTimeout(timer);
    await worker.terminate();
  }

  #start(): void {
    const worker = new Worker(new URL(`./thread-main${extname(import.meta.filename)}`, import.meta.url), {
      workerData: this.#parts.options, name: 'leasequery',
      // What it holds at a time is little; a heap that may grow does so before it is swept.
      resourceLimits: { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 256 },
    });
    this.#worker = worker;
    worker.on('message', (message: FromThread) => this.#onMessage(message));
    worker.on('error', (error: Error) => this.#failed(error.message));
    worker.on('exit', () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#port = 0;
      this.#moments.clear();
      this.#parts.history.listening = false;
      Object.assign(this.#parts.counters, { connections: 0, active: [] });
      this.#ended?.();
      if (this.#isEnding) return;
      setTimeout(() => {
        // The next turn starts it again.
        this.#inForce = undefined;
      }, RESTART_MS);
    });
  }

  /** It is tried again and again; that is said once. */
  #failed(error: string): void {
    if (error !== this.#failure) this.#parts.onEvent({ id: 'leasequery.failed', fields: { error } });
    this.#failure = error;
  }

  #send(message: ToThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker?.postMessage(message);
  }

  #onMessage(message: FromThread): void {
    const { counters, history, onAsk, onEvent } = this.#parts;
    switch (message.kind) {
      case 'ask':
        this.#moments.set(++this.#lastMoment, { id: message.id });
        return onAsk(this.#lastMoment);
      case 'follow':
        history.listening = message.follow;
        return undefined;
      case 'listening':
        this.#port = message.port;
        this.#failure = '';
        return onEvent({ id: 'leasequery.listening', fields: { port: message.port } });
      case 'failed': return this.#failed(message.error);
      case 'counts':
        for (const { protocol, kind, outcome, count } of message.queries) counters.count(protocol, kind, outcome, count);
        counters.records += message.records;
        counters.refusedConnections += message.refusedConnections;
        counters.connections = message.connections;
        counters.active = message.active;
        return undefined;
      case 'ended': return this.#ended?.();
      default: return message satisfies never;
    }
  }
}
