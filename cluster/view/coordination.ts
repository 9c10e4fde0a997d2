/**
 * What etcd says, read as one: the view, who leads, whose session stands. Reads are linearizable and
 * coalesced; a hint from a watch only asks for one.
 */
import type { Context } from '../core/context.ts';
import type { EtcdKeyValue } from '../core/ports.ts';
import { AUDIT_PREFIX, readAuditOrders } from '../core/audit-orders.ts';
import type { AuditOrder } from '../core/audit-orders.ts';
import { AUDIT_ORDERS_PER_READ_MAX } from '../../node/limits.ts';
import { DRAINS_PREFIX, readDrains } from '../upgrade/drains.ts';
import type { DrainOrders } from '../upgrade/drains.ts';
import type { NodeVersions } from '../upgrade/versions.ts';
import type { ConfigStanding } from './configuration.ts';
import { Derived } from './derived.ts';
import { decodeView } from './view.ts';
import type { View } from './view.ts';

/** Read this often even where no hint came: watches can lose events. */
const POLL_MS = 1000;
const POLL_UNSETTLED_MS = 200;

export interface LeaderKey {
  readonly node: string;
  readonly incarnation: number;
  readonly createRevision: number;
}

export interface ClusterRead {
  /** Undefined: etcd has none. */
  readonly view: View | undefined;
  readonly viewRevision: number;
  readonly leader: LeaderKey | undefined;
  /** Incarnation by node, of the sessions that stand. */
  readonly sessions: ReadonlyMap<string, number>;
  readonly beats: ReadonlyMap<string, { readonly incarnation: number; readonly beat: number }>;
  /** Where a node's links are reached, as its session says. */
  readonly addresses: ReadonlyMap<string, string>;
  /** The newest revision of the configuration; 0: etcd has none, or none that can be read. */
  readonly newestConfig: number;
  /** How far each node is with it, as its session says; a node of an earlier version says nothing. */
  readonly configs: ReadonlyMap<string, ConfigStanding>;
  /** What each node says that it is, as its session says. */
  readonly versions: ReadonlyMap<string, NodeVersions>;
  /** Incarnations that ask to be evicted, and why, by node. */
  readonly leaving: ReadonlyMap<string, { readonly incarnation: number; readonly reason: string }>;
  /** Nodes that an operator wants out of service. */
  readonly drains: DrainOrders;
  /** What is to go into the audit log. */
  readonly audit: readonly AuditOrder[];
  /** The state that each node shows, as its session says. */
  readonly states: ReadonlyMap<string, string>;
  /** The generation in which a node has found that this etcd went back. */
  readonly wentBack: ReadonlyMap<string, number>;
  readonly clusterId: string;
  readonly revision: number;
  readonly askedAt: number;
  readonly readAt: number;
  readonly expected: Expected;
}

/** What was known when a read was asked for, so that it must show no less. */
export interface Expected {
  /** The adopted view; undefined where there is none, or one that etcd does not hold. */
  readonly view: View | undefined;
  /** Which views the others have been in. */
  readonly peers: readonly { readonly node: string; readonly generation: number; readonly epoch: number }[];
}

export class Coordination {
  readonly #context: Context;
  readonly #expected: () => Expected;
  readonly #onRead: (read: ClusterRead) => void;
  #reading = false;
  #readAgain = false;
  #lastReadAt = -Infinity;
  readonly #leader = new Derived((leaders) => leaders.map(leaderOf));
  readonly #nodes = new Derived((pairs) => {
    const nodes = parseNodes(pairs, 'nodes/');
    return {
      sessions: byNode(nodes, (json) => json.incarnation),
      addresses: byNode(nodes, (json) => (typeof json.address === 'string' ? json.address : '')),
      configs: byNode(nodes, (json) => standingOf(json.config)),
      versions: byNode(nodes, versionsOf),
      states: byNode(nodes, ({ state }) => (typeof state === 'string' ? state : undefined)),
      wentBack: byNode(nodes, ({ wentBack }) => (typeof wentBack === 'number' ? wentBack : undefined)),
      leaving: byNode(nodes, ({ incarnation, leaves }) => (typeof leaves === 'string' ? { incarnation, reason: leaves } : undefined)),
    };
  });
  readonly #drains = new Derived(readDrains);
  readonly #audit = new Derived(readAuditOrders);
  readonly #beats = new Derived((beats) => byNode(parseNodes(beats, 'beats/'), ({ incarnation, beat }) => ({ incarnation, beat })));
  latest: ClusterRead | undefined;

  constructor(context: Context, expected: () => Expected, onRead: (read: ClusterRead) => void) {
    this.#context = context;
    this.#expected = expected;
    this.#onRead = onRead;
  }

  tick(settled: boolean): void {
    const due = this.#context.now.mono - this.#lastReadAt >= (settled ? POLL_MS : POLL_UNSETTLED_MS);
    if (due && !this.#reading) this.read();
  }

  /** A read that begins after this call. */
  read(): void {
    if (this.#reading) {
      this.#readAgain = true;
      return;
    }
    this.#reading = true;
    this.#readAgain = false;
    this.#lastReadAt = this.#context.now.mono;
    const expected = this.#expected();
    const askedAt = this.#lastReadAt;
    this.#context.etcd.txn({
      anyEtcd: true,
      then: [
        { op: 'get', key: 'view' },
        { op: 'get', key: 'leader' },
        { op: 'get-prefix', prefix: 'nodes/', limit: 0 },
        { op: 'get-prefix', prefix: 'beats/', limit: 0 },
        { op: 'get', key: 'config/revision' },
        { op: 'get-prefix', prefix: DRAINS_PREFIX, limit: 0 },
        { op: 'get-prefix', prefix: AUDIT_PREFIX, limit: AUDIT_ORDERS_PER_READ_MAX },
      ],
    }, (result) => {
      this.#reading = false;
      if (result !== undefined) {
        const [views, leaders, nodes, beats, configs, drains, audit] = result.reads as
          [EtcdKeyValue[], EtcdKeyValue[], EtcdKeyValue[], EtcdKeyValue[], EtcdKeyValue[], EtcdKeyValue[], EtcdKeyValue[]];
        this.latest = {
          view: views[0] === undefined ? undefined : decodeView(views[0].value),
          viewRevision: views[0]?.modRevision ?? 0,
          leader: this.#leader.of(leaders)[0],
          ...this.#nodes.of(nodes),
          beats: this.#beats.of(beats),
          newestConfig: revisionOf(configs[0]),
          drains: this.#drains.of(drains),
          audit: this.#audit.of(audit),
          clusterId: result.clusterId,
          revision: result.revision,
          askedAt,
          readAt: this.#context.now.mono,
          expected,
        };
        this.#onRead(this.latest);
      }
      if (this.#readAgain) this.read();
    });
  }
}

interface NodeJson {
  /** In the election key only. */
  node?: string;
  incarnation: number;
  beat: number;
  address?: unknown;
  software?: unknown;
  protocol?: unknown;
  config?: unknown;
  leaves?: unknown;
  state?: unknown;
  wentBack?: unknown;
}

function parse(value: Buffer): NodeJson | undefined {
  try {
    const json = JSON.parse(value.toString()) as NodeJson;
    return typeof json?.incarnation === 'number' ? json : undefined;
  } catch {
    return undefined;
  }
}

/** Only its number is of interest here: the rest is read by whoever loads it. */
function revisionOf(pair: EtcdKeyValue | undefined): number {
  if (pair === undefined) return 0;
  try {
    const { revision } = JSON.parse(pair.value.toString()) as { revision?: unknown };
    return typeof revision === 'number' && Number.isSafeInteger(revision) && revision > 0 ? revision : 0;
  } catch {
    return 0;
  }
}

function standingOf(json: unknown): ConfigStanding | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { loaded, prepared, refused } = json as Record<string, unknown>;
  if (typeof loaded !== 'number' || typeof prepared !== 'number') return undefined;
  const { revision, error } = (refused ?? {}) as Record<string, unknown>;
  const refusal = typeof revision === 'number' && typeof error === 'string' ? { refused: { revision, error } } : {};
  return { loaded, prepared, ...refusal };
}

function leaderOf(pair: EtcdKeyValue): LeaderKey {
  const json = parse(pair.value);
  return { node: json?.node ?? '', incarnation: json?.incarnation ?? 0, createRevision: pair.createRevision };
}

function versionsOf({ incarnation, protocol, software }: NodeJson): NodeVersions | undefined {
  const [min, max] = Array.isArray(protocol) ? (protocol as unknown[]) : [];
  if (typeof min !== 'number' || typeof max !== 'number') return undefined;
  return { incarnation, software: typeof software === 'string' ? software : '', protocol: { min, max } };
}

/** By node; without what cannot be read. */
function parseNodes(pairs: readonly EtcdKeyValue[], prefix: string): Map<string, NodeJson> {
  return new Map(pairs.flatMap(({ key, value }) => {
    const json = parse(value);
    return json === undefined ? [] : [[key.slice(prefix.length), json]];
  }));
}

/** Of the nodes that say it. */
function byNode<T>(nodes: ReadonlyMap<string, NodeJson>, pick: (json: NodeJson) => T | undefined): Map<string, T> {
  const found = new Map<string, T>();
  for (const [node, json] of nodes) {
    const picked = pick(json);
    if (picked !== undefined) found.set(node, picked);
  }
  return found;
}
