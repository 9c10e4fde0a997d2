/**
 * A requestor that follows the changes of all bindings (RFC 7724), at one node after the other: when its node ends, leaves
 * service or has lost what it was to tell, and sometimes for no reason, it goes to another one with the last base-time.
 * What it knows at the end is what the nodes have, and nothing that it was told is lost later.
 *
 * The node's side is QueryThread's and Follower's, without a thread and a connection: what is told arrives.
 */
import { tellsTheSame } from '../../../node/lease/record.ts';
import { formatIpv4 } from '../../../node/codec/address.ts';
import { goesBackSeconds } from '../../../node/leasequery/goes-back.ts';
import { changeBytes, encodeChunk } from '../../../node/leasequery/history-chunk.ts';
import type { BindingChange } from '../../../node/leasequery/history-chunk.ts';
import { changesSince, historyOf } from '../../../node/leasequery/history-reader.ts';
import { FollowedChanges } from '../../../node/leasequery/io/followed-changes.ts';
import { ACTIVE_IDLE_MS } from '../../../node/limits.ts';
import { NOTE_KEYS_END } from '../../../node/notes/note.ts';
import type { Agenda } from '../agenda.ts';
import { PromiseBroken } from '../checker.ts';
import { describeRecord } from '../convergence.ts';
import type { SimNode } from '../node.ts';
import type { Random } from '../random.ts';
import type { Moment, Moments } from './moments.ts';
import type { Promises } from './promises.ts';

const LOOK_MS = 1000;
/** Of a look: that it goes elsewhere for no reason. */
const LEAVES_CHANCE = 0.003;
/** Of a change that it catches up with: that its connection breaks behind it. */
const BREAKS_CHANCE = 0.01;
const STAYS_AWAY_CHANCE = 0.2;
const STAYS_AWAY_MS_MAX = 400_000;
/** Of a node that stands still nothing is heard. */
const SILENT_MS = 10_000;
const CHANGES_AT_ONCE = 1000;
const BASE_MS = 1000;

export interface SubscriberWorld {
  readonly agenda: Agenda;
  readonly chance: Random;
  readonly clustered: boolean;
  readonly nodes: readonly SimNode[];
  count(what: string, by?: number): void;
}

/** With one start of one node. */
interface Connection {
  readonly node: SimNode;
  readonly start: number;
  readonly changes: FollowedChanges;
  /** The number of the next change to tell of; 0 while it catches up. */
  next: number;
  base: number;
  saidServing: boolean;
  saidBaseAt: number;
  saidAt: number;
}

export class Subscriber {
  readonly #world: SubscriberWorld;
  readonly #moments: Moments;
  readonly #promises: Promises;
  #connection: Connection | undefined;
  #awayUntil = 0;
  /** It leaves nobody without a reason any more. */
  #settled = false;
  #silentSince: number | undefined;
  /** The base-time of the last message that has one. */
  #base: number | undefined;
  /** What it was told last of each address. */
  readonly #told = new Map<number, Buffer | undefined>();

  constructor(world: SubscriberWorld, moments: Moments, promises: Promises) {
    this.#world = world;
    this.#moments = moments;
    this.#promises = promises;
  }

  begin(): void {
    this.#world.agenda.after(LOOK_MS, () => {
      this.#look();
      this.begin();
    });
  }

  /** What others have may be lost, by an operator's word: it begins anew. */
  forget(): void {
    this.#world.count('follow:forgets');
    this.#base = undefined;
    this.#leave('forgets');
  }

  // ── connections ──────────────────────────────────────────────────────────────────────────────

  #look(): void {
    const { agenda, chance, nodes } = this.#world;
    const connection = this.#connection;
    if (connection === undefined) {
      const node = chance.pick(nodes);
      if (agenda.now >= this.#awayUntil && node.engine?.core.serving() === true && !node.paused && node.engine.config.leaseQuery.active !== undefined) this.#connect(node);
      return;
    }
    if (connection.start !== connection.node.start) return this.#leave('stopped');
    if (!connection.node.paused) this.#silentSince = undefined;
    else if (agenda.now - (this.#silentSince ??= agenda.now) > SILENT_MS) return this.#leave('silent');
    if (!this.#settled && chance.chance(LEAVES_CHANCE)) this.#leave('by-itself');
    return undefined;
  }

  #connect(node: SimNode): void {
    const { agenda } = this.#world;
    const connection: Connection = {
      node, start: node.start, changes: new FollowedChanges(), next: 0, base: 0, saidServing: false, saidBaseAt: -Infinity, saidAt: agenda.now,
    };
    this.#connection = connection;
    node.history!.listening = true;
    this.#moments.ask(node, (moment) => {
      if (this.#connection !== connection) return;
      if (moment === undefined) this.#leave('refused');
      else this.#begin(connection, moment);
    });
  }

  #leave(why: string): void {
    const { agenda, chance } = this.#world;
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#world.count(`follow-left:${why}`);
    this.#connection = undefined;
    this.#silentSince = undefined;
    if (connection.start === connection.node.start && connection.node.history !== undefined) connection.node.history.listening = false;
    if (!this.#settled && chance.chance(STAYS_AWAY_CHANCE)) this.#awayUntil = agenda.now + chance.between(0, STAYS_AWAY_MS_MAX);
  }

  /** From the history to where the changes of late go on. */
  #begin(connection: Connection, { second, store }: Moment): void {
    const { chance } = this.#world;
    const history = historyOf(store);
    if (history === undefined) return this.#leave('no-history');
    connection.base = second;
    const from = this.#base === undefined ? undefined : this.#base - this.#marginSeconds(connection.node);
    if (from === undefined || from < history.since || from > second) {
      this.#world.count(from === undefined ? 'follow:anew' : 'follow:data-missing');
      // All that there is, of the same moment.
      this.#told.clear();
      for (const { address, record } of store.scan(NOTE_KEYS_END - 1, Infinity)) this.#tell(connection, address, record);
    } else {
      this.#world.count('follow:catch-up');
      for (const { address, record, second: stored } of changesSince(store, from)) {
        this.#tell(connection, address, record);
        this.#base = stored;
        if (!this.#settled && chance.chance(BREAKS_CHANCE)) return this.#leave('broken');
      }
    }
    this.#base = connection.base;
    connection.next = history.next;
    return this.#pump(connection);
  }

  #marginSeconds({ engine }: SimNode): number {
    return this.#world.clustered ? goesBackSeconds(engine!.config) : 0;
  }

  // ── what is told ─────────────────────────────────────────────────────────────────────────────

  onTurn(node: SimNode): void {
    const connection = this.#connection;
    if (connection?.node !== node || connection.start !== node.start) return undefined;
    const { config, core } = node.engine!;
    if (config.leaseQuery.active === undefined) return this.#leave('switched-off');
    const serving = core.serving();
    if (serving && !this.#takeChanges(connection)) return this.#leave('lost');
    const { agenda } = this.#world;
    if (serving === connection.saidServing && agenda.now - connection.saidBaseAt < BASE_MS) return undefined;
    const wasServing = connection.saidServing;
    connection.saidServing = serving;
    connection.saidBaseAt = agenda.now;
    if (!serving) return wasServing ? this.#leave('out-of-service') : undefined;
    return this.#tick(connection, node.history!.baseSecond(node.now()));
  }

  #takeChanges(connection: Connection): boolean {
    for (let more = true; more;) {
      const taken = connection.node.engine!.takeCommittedChanges(CHANGES_AT_ONCE);
      if (taken.lost) return false;
      const { changes } = taken;
      more = changes.length === CHANGES_AT_ONCE;
      if (changes.length === 0) continue;
      connection.changes.push(changes[0]!.number, encodeChunk(changes, changes.reduce((sum, change) => sum + changeBytes(change), 0)));
      this.#pump(connection);
    }
    return true;
  }

  #pump(connection: Connection): void {
    while (connection.next !== 0 && this.#connection === connection) {
      const change = connection.changes.at(connection.next);
      if (change === undefined) return;
      // It keeps up: nothing of what comes is missing.
      if (change === 'gone') throw new PromiseBroken(`change ${connection.next} of ${connection.node.id} was never told to who followed it`);
      else this.#tellChange(connection, change);
    }
  }

  #tellChange(connection: Connection, { address, record, second }: BindingChange): void {
    connection.next++;
    connection.base = Math.max(connection.base, second);
    this.#tell(connection, address, record);
    this.#base = second;
    connection.saidAt = this.#world.agenda.now;
    this.#world.count('follow:changes');
  }

  #tick(connection: Connection, base: number): void {
    const { agenda } = this.#world;
    if (connection.next === 0 || (connection.changes.next ?? 0) > connection.next) return;
    connection.base = Math.max(connection.base, base);
    if (agenda.now - connection.saidAt < ACTIVE_IDLE_MS) return;
    connection.saidAt = agenda.now;
    this.#base = connection.base;
    this.#world.count('follow:idle');
  }

  #tell({ node }: Connection, address: number, record: Buffer | undefined): void {
    this.#told.set(address, record);
    if (record !== undefined) this.#promises.told(node, address, record, `${node.id}, whose changes are followed,`);
  }

  // ── at the end ───────────────────────────────────────────────────────────────────────────────

  /** Whether it follows somebody, or nobody may be followed. */
  get isThere(): boolean {
    const { nodes } = this.#world;
    return nodes[0]!.engine?.config.leaseQuery.active === undefined || (this.#connection?.next ?? 0) > 0;
  }

  /** The last that it was told of each address is what the node has. Returns in what it is not. */
  difference({ table }: SimNode): string | undefined {
    if (this.#connection === undefined) return undefined;
    const records = new Map(table!.records(NOTE_KEYS_END - 1, 1_000_000).map(({ address, record }) => [address, record]));
    for (const address of new Set([...records.keys(), ...this.#told.keys()])) {
      const [told, has] = [this.#told.get(address), records.get(address)];
      if (told === undefined ? has === undefined : has !== undefined && tellsTheSame(has, told)) continue;
      return `${this.#connection.node.id} told last of ${formatIpv4(address)} that it is ${describeRecord(told)}, and its record is ${describeRecord(has)}`;
    }
    return undefined;
  }

  /** Runs until nothing that was changed is still to be told. */
  checkAllTold(now: () => number, run: (ms: number) => void): void {
    const { nodes } = this.#world;
    this.#awayUntil = 0;
    this.#settled = true;
    for (let tries = 0; !this.isThere; tries++) {
      if (tries === THERE_TRIES_MAX) throw new PromiseBroken('nobody could be followed long after the last fault');
      run(LOOK_MS);
    }
    for (let tries = 0; ; tries++) {
      const difference = this.difference(nodes[0]!);
      if (difference === undefined) return;
      if (tries === TOLD_TRIES_MAX) throw new PromiseBroken(`at ${Math.round(now())} ms ${difference}`);
      run(TOLD_STEP_MS);
    }
  }
}

const THERE_TRIES_MAX = 60;
const TOLD_TRIES_MAX = 500;
const TOLD_STEP_MS = 7;
