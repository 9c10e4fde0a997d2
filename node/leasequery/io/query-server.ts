/**
 * LEASEQUERY over TCP, in a thread of its own: it accepts, reads, and answers from moments of the store. The node's own
 * thread is asked only for such moments and sends what is committed, so that no requestor holds up a DHCP client.
 */
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { addressFromText } from '../../io/interfaces.ts';
import { closeStoreSnapshots, StoreSnapshot } from '../../io/store-snapshot.ts';
import { FLOOD_RELAYS_MAX, SNAPSHOTS_MAX } from '../../limits.ts';
import type { MonotonicMs } from '../../time.ts';
import { bucketsFor, scattered } from '../../token-buckets.ts';
import type { Buckets } from '../../token-buckets.ts';
import { QueryCounters } from '../query-counters.ts';
import { QueryPlan } from '../stream-answers.ts';
import type { QueryConfig } from '../stream-answers.ts';
import type { Moment } from './bulk-run.ts';
import { Connection } from './connection.ts';
import type { QueryServices } from './connection.ts';
import { FollowedChanges } from './followed-changes.ts';
import type { Follower } from './follower.ts';
import { QUERY_LIMITS } from './query-limits.ts';
import type { QueryLimits } from './query-limits.ts';
import type { FromThread, ThreadOptions, ToThread } from './thread-messages.ts';

/** A mark that was too old this often: the store is written to faster than it can be read. */
const MARKS_MAX = 10;

const ENDING = 'this node ends';

type Marked = Extract<ToThread, { kind: 'snapshot' }>;

export class QueryServer {
  readonly #options: ThreadOptions;
  readonly #send: (message: FromThread) => void;
  readonly #connections = new Set<Connection>();
  readonly #followers = new Map<Follower, Connection>();
  readonly #limits: QueryLimits;
  readonly #changes: FollowedChanges;
  #counters = new QueryCounters();
  /** The last one, while there are connections. */
  #plan: QueryPlan | undefined;
  #buckets: Buckets | undefined;
  #server: Server | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #asked = new Map<number, (answer: Marked | string) => void>();
  #nextId = 1;
  #moments = 0;
  readonly #waiting: (() => void)[] = [];
  #base = 0;
  #isEnding = false;
  readonly #services: QueryServices;

  constructor(options: ThreadOptions, send: (message: FromThread) => void, limits: QueryLimits = QUERY_LIMITS) {
    this.#options = options;
    this.#send = send;
    this.#limits = limits;
    this.#changes = new FollowedChanges(limits.followedChanges);
    this.#services = {
      tls: options.tls, clustered: options.clustered, changes: this.#changes, limits,
      plan: () => this.#plan!,
      moment: () => this.#moment(),
      mayAsk: (requestor) => this.#mayAsk(requestor),
      setFollowing: (follower, connection, follows) => this.#setFollowing(follower, connection, follows),
      count: (protocol, kind, outcome) => this.#counters.count(protocol, kind, outcome),
      countRecords: (by) => {
        this.#counters.records += by;
      },
    };
  }

  onMessage(message: ToThread): void {
    switch (message.kind) {
      case 'config': return this.#configure(message.config);
      case 'snapshot': return this.#answerAsked(message.id, message);
      case 'refused': return this.#answerAsked(message.id, message.reason);
      case 'changes':
        this.#changes.push(message.first, Buffer.from(message.chunk.buffer, message.chunk.byteOffset, message.chunk.byteLength));
        for (const connection of this.#followers.values()) connection.pump();
        return undefined;
      case 'lost':
        this.#changes.clear();
        return this.#endFollowers('changes came faster than they could be told; come back with the last base-time');
      case 'base':
        if (message.second === undefined) return this.#endFollowers('this node is not in service any more');
        this.#base = message.second;
        return undefined;
      case 'end':
        void this.#end();
        return undefined;
      default: return message satisfies never;
    }
  }

  // ── configuration ────────────────────────────────────────────────────────────────────────────

  #configure(config: QueryConfig | undefined): void {
    if (config === undefined || config.leaseQuery.requestors.length === 0) {
      this.#close('nobody may ask any more');
      return;
    }
    const before = this.#plan?.config.leaseQuery.active;
    this.#plan = new QueryPlan(config, Math.floor(Date.now() / 1000));
    this.#buckets = bucketsFor(config.limits.queriesPerRequestor, this.#buckets, FLOOD_RELAYS_MAX);
    for (const connection of this.#connections) if (!this.#plan.requestors.has(connection.requestor)) connection.terminate('not allowed any more');
    for (const connection of this.#followers.values()) if (!connection.mayFollow) connection.terminate('following changes was switched off');
    // Whose certificates are taken is looked at when they come back.
    if (before !== undefined && before.names.join() !== config.leaseQuery.active?.names.join()) this.#endFollowers('who may follow changes was changed');
    if (this.#server === undefined) this.#listen();
  }

  #listen(): void {
    const { host, port } = this.#options;
    const server = createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: WRITE_BYTES }, (socket) => this.#accept(socket));
    server.on('error', (error) => {
      this.#send({ kind: 'failed', error: error.message });
      // An address that comes later, a port that is taken for a moment.
      if (server.listening || this.#server !== server) return;
      setTimeout(() => {
        if (this.#server === server) server.listen(port, host);
      }, RETRY_MS);
    });
    server.on('listening', () => {
      const address = server.address();
      this.#send({ kind: 'listening', port: typeof address === 'object' && address !== null ? address.port : port });
    });
    server.listen(port, host);
    this.#server = server;
    this.#timer = setInterval(() => this.#tick(), this.#limits.tickMs);
  }

  #close(text: string): void {
    clearInterval(this.#timer);
    this.#server?.close();
    this.#server = undefined;
    for (const connection of this.#connections) connection.terminate(text);
    this.#report();
  }

  async #end(): Promise<void> {
    this.#isEnding = true;
    this.#close(ENDING);
    for (const [id] of this.#asked) this.#answerAsked(id, ENDING);
    for (let waited = 0; this.#connections.size > 0 && waited < LAST_WORDS_MS; waited += LAST_WORDS_STEP_MS) {
      await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_STEP_MS));
    }
    for (const connection of this.#connections) connection.destroy();
    while (this.#moments > 0) await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_STEP_MS));
    await closeStoreSnapshots();
    this.#send({ kind: 'ended' });
  }

  // ── connections ──────────────────────────────────────────────────────────────────────────────

  #accept(socket: Socket): void {
    const plan = this.#server === undefined ? undefined : this.#plan;
    const allowed = plan?.requestors.has(addressFromText(socket.remoteAddress ?? '')) === true;
    if (!allowed || this.#connections.size >= plan.config.leaseQuery.connections) {
      // RFC 6926 §8.1: closed at once.
      this.#counters.refusedConnections++;
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, this.#services);
    this.#connections.add(connection);
    socket.on('close', () => this.#connections.delete(connection));
  }

  /** Within `queriesPerRequestor`: one token of its own for each query. */
  #mayAsk(requestor: number): boolean {
    const buckets = this.#buckets;
    if (buckets === undefined) return true;
    const at = performance.now() as MonotonicMs;
    const place = buckets.find(requestor, scattered(requestor), at);
    if (!buckets.hasToken(place, requestor, at)) return false;
    buckets.take(place, requestor, at);
    return true;
  }

  #setFollowing(follower: Follower, connection: Connection, follows: boolean): void {
    const had = this.#followers.size > 0;
    if (follows) this.#followers.set(follower, connection);
    else this.#followers.delete(follower);
    const has = this.#followers.size > 0;
    if (has === had) return;
    this.#changes.clear();
    this.#send({ kind: 'follow', follow: has });
  }

  #endFollowers(text: string): void {
    for (const connection of this.#followers.values()) connection.terminate(text);
  }

  #tick(): void {
    for (const connection of this.#connections) connection.tick(this.#base);
    this.#report();
  }

  /** What was counted since the last report. */
  #report(): void {
    const second = Math.floor(Date.now() / 1000);
    const { records, refusedConnections } = this.#counters;
    const active = [...this.#followers].map(([follower, { name }]) => ({ requestor: name, waiting: follower.waiting, lagSeconds: follower.lagSeconds(second) }));
    this.#send({ kind: 'counts', queries: [...this.#counters.all()], records, refusedConnections, connections: this.#connections.size, active });
    this.#counters = new QueryCounters();
  }

  // ── moments of the store ─────────────────────────────────────────────────────────────────────

  async #moment(): Promise<Moment | string> {
    while (this.#moments >= SNAPSHOTS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#moments++;
    const release = (): void => {
      this.#moments--;
      this.#waiting.shift()?.();
    };
    try {
      const opened = await this.#openMoment();
      if (typeof opened === 'string') {
        release();
        return opened;
      }
      const close = (): void => {
        opened.snapshot.close();
        release();
      };
      return { ...opened, close };
    } catch (error) {
      release();
      throw error;
    }
  }

  async #openMoment(): Promise<Omit<Moment, 'close'> | string> {
    for (let tries = 0; tries < MARKS_MAX; tries++) {
      const second = Math.floor(Date.now() / 1000);
      const marked = await this.#ask();
      if (typeof marked === 'string') return marked;
      const snapshot = StoreSnapshot.open(this.#options.dataDir, marked.mark);
      if (snapshot !== undefined) return { snapshot, second, owned: marked.owned, incarnation: marked.incarnation };
    }
    return 'the store changes faster than it can be read';
  }

  #ask(): Promise<Marked | string> {
    if (this.#isEnding) return Promise.resolve(ENDING);
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
      this.#send({ kind: 'ask', id });
    });
  }

  #answerAsked(id: number, answer: Marked | string): void {
    this.#asked.get(id)?.(answer);
    this.#asked.delete(id);
  }
}

/** What may wait in a connection before a query on it waits. */
const WRITE_BYTES = 128 * 1024;
const RETRY_MS = 5000;
/** At the end of the node: so long for requestors to take the last word. */
const LAST_WORDS_MS = 500;
const LAST_WORDS_STEP_MS = 20;
