/**
 * What every part of the failover core shares: who this node is, where records lie, where effects go.
 * Parts change nothing of the world themselves; they put what is to happen into the outbox, and the
 * driver carries it out after the step.
 */
import { longestLeaseSeconds } from '../../node/config/longest-lease.ts';
import type { ClusterConfig, NodeWeight } from '../../node/config/types.ts';
import type { IsKnown } from '../../node/history/lease-history.ts';
import type { BindingStore } from '../../node/lease/store.ts';
import { PROTOCOL } from '../../node/protocol.ts';
import type { ProtocolRange } from '../../node/protocol.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import type { Now } from '../../node/time.ts';
import type { EtcdCompare, EtcdOp, EtcdRequest, EtcdResult, PeerMessage } from './ports.ts';

export interface ClusterOptions {
  readonly self: string;
  /** False: a node without `cluster:`, its own view of one, no etcd and no links. */
  readonly clustered: boolean;
  readonly clusterName: string;
  /** Where the other nodes reach this one's links, host:port. */
  readonly address: string;
  readonly nodes: readonly NodeWeight[];
  readonly sessionTtlSeconds: number;
  readonly ackTimeoutMs: number;
  readonly evictAfterMs: number;
  readonly coldStartWaitMs: number;
  readonly maxClockSkewMs: number;
  readonly software: string;
  /** The replication protocol versions that this node speaks. */
  readonly protocol: ProtocolRange;
  /** The longest lease that the configuration lets anybody have; INFINITE_SECONDS: for ever. */
  readonly longestLeaseSeconds: number;
}

/** What a host's own configuration says. Without `protocol` it speaks whatever the build does. */
export type HostOptions = Pick<ClusterOptions, 'self' | 'clustered' | 'clusterName' | 'address' | 'sessionTtlSeconds' | 'software'> &
  Partial<Pick<ClusterOptions, 'protocol'>>;

/** With what the cluster's configuration says of the failover core. */
export function optionsOf(host: HostOptions, config: ClusterConfig): ClusterOptions {
  const { address, clustered, clusterName, protocol = PROTOCOL, self, sessionTtlSeconds, software } = host;
  const { ackTimeoutMs, coldStartWaitMs, evictAfterMs, maxClockSkewMs, nodes } = config;
  return {
    address, clustered, clusterName, protocol, self, sessionTtlSeconds, software, ackTimeoutMs, coldStartWaitMs, evictAfterMs, maxClockSkewMs,
    // Without a cluster the node is alone, whatever nodes its file names.
    nodes: clustered ? nodes : [{ id: self, weight: 1 }],
    longestLeaseSeconds: longestLeaseSeconds(config),
  };
}

/** The bindings, as far as the core needs them. */
export interface BindingTable {
  /** How many there are. */
  readonly size: number;
  read(address: number): Buffer | undefined;
  put(address: number, record: Buffer, now: Now, existing?: Buffer): number;
  remove(address: number, now: Now): number;
  records(after: number, limit: number): { address: number; record: Buffer }[];
}

/** The history of changes, as far as the core knows when it has holes. */
export interface HistoryOfChanges {
  /** What others changed is not known here from now on. In one flush with the first record fetched; `isKnown`: which changes the members have. */
  suspend(isKnown: IsKnown): void;
  /** The node is a member. */
  resume(now: Now): void;
}

/** The history of leases, as far as the core feeds it beside the table. */
export interface HistoryOfLeases {
  addLate(address: number, late: Buffer, current: Buffer, now: Now): void;
}

type MessageBody = NonNullable<PeerMessage['body']>;

/** Effects of one or more steps, in the order in which they were decided. */
export class Outbox {
  messages: { peer: string; message: PeerMessage }[] = [];
  resets: string[] = [];
  etcd: EtcdRequest[] = [];
  events: Occurrence[] = [];
  /** What waits in the DHCP sockets is from before this node was in the view: discard it. */
  discardPackets = false;
  /** A revision of the configuration to be read and checked beside the work; the answer comes as an input. */
  prepareConfig: number | undefined;
  /** The node has nothing left to do here; the process ends. */
  exit: { readonly code: number; readonly reason: string } | undefined;

  send(peer: string, body: MessageBody): void {
    this.messages.push({ peer, message: { body } });
  }

  event(id: Occurrence['id'], fields: Occurrence['fields'] = {}): void {
    this.events.push({ id, fields });
  }
}

export type TxnResult = Extract<EtcdResult, { outcome: 'txn' }>;

/** Judges whether what answers is the etcd that it was (`view/etcd-memory.ts`). */
export interface EtcdGuard {
  /** What an answer to a request that is sent now is measured by. */
  mark(): unknown;
  /** False: the answer proves nothing. */
  counts(result: TxnResult, mark: unknown): boolean;
}

interface TxnCall {
  readonly compares?: readonly EtcdCompare[];
  readonly then: readonly EtcdOp[];
  readonly otherwise?: readonly EtcdOp[];
  readonly deadlineMs?: number;
  /** Nothing rests on what it shows: handed over also where etcd's answers do not count. */
  readonly anyEtcd?: true;
}

/** Gives requests their numbers and their answers back to whoever asked. */
export class EtcdCalls {
  readonly #out: Outbox;
  readonly #waiting = new Map<number, (result: EtcdResult) => void>();
  #nextId = 1;
  guard: EtcdGuard | undefined;

  constructor(out: Outbox) {
    this.#out = out;
  }

  /** `done` gets undefined when nobody knows what became of it, or what answers cannot be trusted. */
  txn(request: TxnCall, done: (result: TxnResult | undefined) => void): void {
    const id = this.#nextId++;
    const mark = this.guard?.mark();
    this.#waiting.set(id, (result) => {
      const counts = result.outcome === 'txn' && ((this.guard?.counts(result, mark) ?? true) || request.anyEtcd === true);
      done(counts ? result : undefined);
    });
    this.#out.etcd.push({
      kind: 'txn', id, compares: request.compares ?? [], then: request.then,
      otherwise: request.otherwise ?? [], deadlineMs: request.deadlineMs ?? ETCD_DEADLINE_MS,
    });
  }

  lease(
    request: { kind: 'grant'; ttlSeconds: number } | { kind: 'keepalive' | 'revoke'; lease: string },
    done: (result: EtcdResult) => void,
  ): void {
    const id = this.#nextId++;
    this.#waiting.set(id, done);
    this.#out.etcd.push({ ...request, id, deadlineMs: ETCD_DEADLINE_MS });
  }

  settle(result: EtcdResult): void {
    const done = this.#waiting.get(result.id);
    this.#waiting.delete(result.id);
    done?.(result);
  }
}

/** Longer than an etcd election takes notice of a lost follower, shorter than the session TTL. */
export const ETCD_DEADLINE_MS = 1500;

/** A turn of the event loop that starts this long after the last: what waited is from before. */
export const STALL_MS = 1000;

/** An idle link is heard four times as often; one that is silent for longer is given up. */
export const SILENCE_MS = 1000;

export interface Context {
  /** Replaced when another revision of the configuration comes into force: not to be kept. */
  options: ClusterOptions;
  readonly store: BindingStore;
  readonly table: BindingTable;
  readonly history?: HistoryOfChanges | undefined;
  /** The engine's own to set. */
  tenures?: HistoryOfLeases | undefined;
  readonly out: Outbox;
  readonly etcd: EtcdCalls;
  /** Uniform in [0, 1): from the world in production, from the seed in the simulator. */
  readonly random: () => number;
  /** The clocks at this step. */
  now: Now;
  /** This start's name; a new one also begins with each fetch of a learner. */
  incarnation: number;
}

export function newIncarnation(random: () => number): number {
  return 1 + Math.floor(random() * 0xff_ffff) + Math.floor(random() * 0xff_ffff) * 0x100_0000;
}
