/**
 * A server of LEASEQUERY over TCP with a store that tests fill, in this thread: the fixture plays the node, which
 * answers with moments of the store and hands over what is committed.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { ActiveQueryConfig, FloodLimits, LeaseQueryConfig, TlsFiles } from '../../node/config/types.ts';
import { openJournaledDisk } from '../../node/io/journaled-disk.ts';
import { BindingState, encodeRecord, writeStamp } from '../../node/lease/record.ts';
import type { BindingFields } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { ChangeHistory } from '../../node/leasequery/change-history.ts';
import type { HistoryLimits } from '../../node/leasequery/change-history.ts';
import { changeBytes, encodeChunk } from '../../node/leasequery/history-chunk.ts';
import { QUERY_LIMITS } from '../../node/leasequery/io/query-limits.ts';
import type { QueryLimits } from '../../node/leasequery/io/query-limits.ts';
import { QueryServer } from '../../node/leasequery/io/query-server.ts';
import type { FromThread, ToThread } from '../../node/leasequery/io/thread-messages.ts';
import type { QueryConfig } from '../../node/leasequery/stream-answers.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import { chaddrOf, ip } from './client-packets.ts';
import { buildConfig, NOBODY_ASKS, subnetConfig } from './configs.ts';
import type { SubnetSpec } from './configs.ts';
import { Requestor } from './query-requestor.ts';

export const ACTIVE: ActiveQueryConfig = { insecure: true, names: [], historySeconds: 86_400, historyBytes: 2 ** 30 };
/** Of this node, where there are others. */
export const OWN = 7;
export const OTHER = 8;
const JOURNAL_BYTES = 256 * 1024;
const WAIT_MS = 20_000;
const NOTHING = Buffer.alloc(0);

export const utcNow = (): number => Math.floor(Date.now() / 1000);

export interface LeaseFields extends Partial<BindingFields> {
  /** Whose hardware address it is. */
  readonly n?: number;
  readonly incarnation?: number;
}

/** A lease of an hour that began 100 s ago, to a client without an identifier, unless the fields say otherwise. */
export function leaseRecord({ incarnation = OWN, n = 1, ...fields }: LeaseFields = {}): Buffer {
  const chaddr = fields.chaddr ?? chaddrOf(n);
  const began = fields.lastTransaction ?? utcNow() - 100;
  const record = encodeRecord({
    state: BindingState.ACTIVE, hasClientIdentifier: false, reserved: false, htype: 1, chaddr, clientKey: Buffer.of(1, ...chaddr),
    stateSince: began, lastTransaction: began, expires: began + 3600, leaseSeconds: 3600, xid: 1, relayAgentInformation: NOTHING, hostname: NOTHING,
    ...fields,
  });
  writeStamp(record, { epoch: 1, incarnation, seq: 1 });
  return record;
}

/** With relay information of so many bytes: few of them fill what the kernel holds of a connection. */
export function largeRecord(n: number, bytes = 60_000): Buffer {
  return leaseRecord({ n, relayAgentInformation: Buffer.alloc(bytes, n) });
}

export interface QueryFixtureOptions {
  readonly subnets?: readonly SubnetSpec[];
  readonly leaseQuery?: Partial<LeaseQueryConfig>;
  readonly flood?: Partial<FloodLimits>;
  readonly limits?: Partial<QueryLimits>;
  readonly tls?: TlsFiles;
  readonly clustered?: boolean;
  /** Undefined: there is no other node. */
  readonly incarnation?: number;
  /** Slots, the last byte of an address, that another node gives out. */
  readonly foreignSlots?: readonly number[];
  /** Its history began so many seconds ago; undefined: none is kept. */
  readonly historySeconds?: number;
  readonly historyLimits?: HistoryLimits;
}

/** 10.0.0.100 up to and with 10.0.0.(99 + count). */
export function fewAddresses(count: number, fields: Partial<SubnetSpec> = {}): SubnetSpec {
  return subnetConfig({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.99') + count }], ...fields });
}

export class QueryFixture {
  readonly config: QueryConfig;
  readonly server: QueryServer;
  readonly history: ChangeHistory;
  readonly told: FromThread[] = [];
  /** What the node says to whoever asks for a moment; undefined: it gives one. */
  refusal: string | undefined;
  /** While true, moments that are asked for are not given yet. */
  holds = false;
  port = 0;
  /** UTC; of what is stored from now on. */
  second: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'lessor-query-'));
  readonly #disk = openJournaledDisk(this.#folder, JOURNAL_BYTES);
  readonly #store = new BindingStore(this.#disk);
  readonly #options: QueryFixtureOptions;
  readonly #requestors: Requestor[] = [];
  readonly #held: number[] = [];
  #asks = 0;
  #wake: (() => void) | undefined;

  static async start(t: TestContext, options: QueryFixtureOptions = {}): Promise<QueryFixture> {
    const fixture = new QueryFixture(options);
    t.after(() => fixture.close());
    await fixture.#flush();
    fixture.configure({});
    await fixture.until(() => fixture.port !== 0, 'it listens');
    return fixture;
  }

  constructor(options: QueryFixtureOptions) {
    this.#options = options;
    this.config = buildConfig({
      nodes: ['a'], subnets: options.subnets ?? [subnetConfig()], ...(options.flood === undefined ? {} : { limits: options.flood }),
      more: { leaseQuery: { ...NOBODY_ASKS, requestors: [{ network: ip('127.0.0.1'), prefixLength: 32 }], ...options.leaseQuery } },
    });
    this.second = utcNow() - (options.historySeconds ?? 0);
    const limits = options.historyLimits ?? { seconds: ACTIVE.historySeconds, bytes: ACTIVE.historyBytes };
    this.history = new ChangeHistory(this.#store, options.historySeconds === undefined ? undefined : limits, this.now);
    const thread = { dataDir: this.#folder, host: '127.0.0.1', port: 0, tls: options.tls, clustered: options.clustered ?? false };
    this.server = new QueryServer(thread, (message) => this.#onMessage(message), { ...QUERY_LIMITS, tickMs: 20, ...options.limits });
  }

  get now(): Now {
    return { wall: this.second * 1000 as WallMs, mono: performance.now() as MonotonicMs };
  }

  /** Another configuration of queries from now on; undefined: nobody may ask. */
  configure(leaseQuery: Partial<LeaseQueryConfig> | undefined): void {
    const { config } = this;
    this.say({ kind: 'config', config: leaseQuery && { ...config, leaseQuery: { ...config.leaseQuery, ...leaseQuery } } });
  }

  say(message: ToThread): void {
    this.server.onMessage(message);
  }

  async connect(): Promise<Requestor> {
    const requestor = await Requestor.connect(this.port);
    this.#requestors.push(requestor);
    return requestor;
  }

  /** Ends what was stored with one flush, and hands it to who listens. */
  async put(...records: readonly (readonly [address: string | number, record: Buffer | undefined])[]): Promise<void> {
    for (const [text, record] of records) {
      const address = typeof text === 'number' ? text : ip(text);
      this.#store.put(address, record ?? null);
      this.history.add(address, record, this.now);
    }
    await this.#flush();
    this.#tell();
  }

  async #flush(): Promise<void> {
    this.history.beforeWrites(this.now);
    const batch = this.#store.takeWrites();
    if (batch === undefined) return;
    await this.#disk.commit(batch);
    this.#store.flushed(batch.position);
  }

  #tell(): void {
    if (!this.history.listening) return;
    const taken = this.history.takeCommitted(() => true, Infinity);
    if (taken.lost) this.say({ kind: 'lost' });
    else if (taken.changes.length > 0) {
      const { changes } = taken;
      const chunk = encodeChunk(changes, changes.reduce((sum, change) => sum + changeBytes(change), 0));
      this.say({ kind: 'changes', first: changes[0]!.number, chunk });
    }
    this.sayBase();
  }

  sayBase(): void {
    this.say({ kind: 'base', second: this.history.baseSecond(this.now) });
  }

  /** So many moments were asked for. */
  get asks(): number {
    return this.#asks;
  }

  async asked(count: number): Promise<void> {
    await this.until(() => this.#asks >= count, `${count} moments are asked for`);
  }

  async followed(follows = true): Promise<void> {
    await this.until(() => this.history.listening === follows, `followed: ${follows}`);
  }

  /** Gives the moments that were held back, the oldest first. */
  release(count = Infinity): void {
    for (const id of this.#held.splice(0, count)) this.#answer(id);
  }

  #answer(id: number): void {
    const { foreignSlots = [], incarnation } = this.#options;
    if (this.refusal !== undefined) return this.say({ kind: 'refused', id, reason: this.refusal });
    const owned = Uint8Array.from({ length: 256 }, (_, slot) => (foreignSlots.includes(slot) ? 0 : 1));
    return this.say({ kind: 'snapshot', id, mark: this.#disk.mark(), owned, incarnation });
  }

  #onMessage(message: FromThread): void {
    this.told.push(message);
    switch (message.kind) {
      case 'listening':
        this.port = message.port;
        break;
      case 'ask':
        this.#asks++;
        if (this.holds) this.#held.push(message.id);
        else this.#answer(message.id);
        break;
      case 'follow':
        this.history.listening = message.follow;
        break;
      case 'counts': case 'failed': case 'ended': break;
      default: message satisfies never;
    }
    this.#wake?.();
  }

  /** Connections of the last report that said so. */
  async connections(count: number): Promise<void> {
    const reported = (): number | undefined => this.told.findLast((message) => message.kind === 'counts')?.connections;
    await this.until(() => reported() === count, `${count} connections`);
  }

  /** How queries have ended so far, as "bulk all done". */
  get outcomes(): string[] {
    return this.told.flatMap((message) => (message.kind === 'counts' ? message.queries.flatMap(({ protocol, kind, outcome, count }) =>
      Array.from({ length: count }, () => `${protocol} ${kind} ${outcome}`)) : []));
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const end = performance.now() + WAIT_MS;
    while (!condition()) {
      assert.ok(performance.now() < end, `in vain: ${what}`);
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, 50);
      });
      clearTimeout(timer);
    }
  }

  #closing: Promise<void> | undefined;

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.holds = false;
    for (const requestor of this.#requestors) requestor.destroy();
    this.release();
    this.say({ kind: 'end' });
    await this.until(() => this.told.some(({ kind }) => kind === 'ended'), 'it ends');
    await this.#disk.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
