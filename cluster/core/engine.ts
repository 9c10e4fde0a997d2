/**
 * A whole node without its edges: the DHCP server's decisions and the failover core, joined. The
 * driver (node/main.ts in production, the simulator in tests) hands in what arrives, takes out what
 * is to happen, and commits the writes; both run this very code.
 *
 * Invariants: a DHCPACK leaves only when its change is committed, a DHCPNAK only when what it rests
 * on is confirmed; no answer leaves more than 5 s after its packet was read; a node that is evicted
 * forgets every answer that still waits.
 */
import type { OfferBook } from '../../node/allocation/offers.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import { isRecord, recordIncarnation, recordSeq, recordStamp } from '../../node/lease/record.ts';
import type { BindingStore, WriteBatch } from '../../node/lease/store.ts';
import type { LeaseTable } from '../../node/lease/table.ts';
import { DhcpServer } from '../../node/server/server.ts';
import type { Decision, InterfaceInfo, OutgoingPacket, OwnChange, ReceivedPacket } from '../../node/server/ports.ts';
import type { Counters, DropReason } from '../../node/telemetry/counters.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import type { MonotonicMs, Now } from '../../node/time.ts';
import type { Allocate, AllocateResult, PeerMessage, Propose, ProposeResult } from '../../proto/gen/replication.ts';
import { EtcdCalls, newIncarnation, Outbox } from './context.ts';
import type { ClusterOptions, Context } from './context.ts';
import { ClusterCore } from './core.ts';
import type { EtcdRequest, EtcdResult, LinkEvent } from './ports.ts';
import { linkUp, memberNamed } from './state.ts';

/** A change that is not committed by then is dropped from the client's point of view. */
export const COMMIT_TIMEOUT_MS = 3000;
/** DESIGN: no reply leaves later than this after its packet was read. */
export const REPLY_AGE_MAX_MS = 5000;
/** A turn of the event loop that starts this long after the last: what waited is from before. */
export const STALL_MS = 1000;
const FORWARDED_MAX = 8192;

/** An answer that waits for a change to be committed, or for a confirmation, or both. */
interface Waiting {
  readonly incarnation: number;
  /** Zero: no change to wait for. */
  readonly seq: number;
  /** Zero: no confirmation to wait for. */
  readonly ticket: number;
  readonly packet: OutgoingPacket;
  readonly since: MonotonicMs;
}

interface Forwarded {
  readonly owner: string;
  readonly packets: readonly OutgoingPacket[];
  readonly since: MonotonicMs;
}

/** A change of an address that the view gives to this node, which has not finished the view yet. */
interface Postponed extends OwnChange {
  readonly expectedSeq: number;
  readonly expectedIncarnation: number;
  readonly packets: readonly OutgoingPacket[];
  readonly since: MonotonicMs;
}

/** A forwarded change that was made here for another node, which is told once it is committed. */
interface Promised {
  readonly seq: number;
  readonly to: string;
  readonly incarnation: number;
  readonly id: number;
}

export interface Outputs {
  readonly packets: readonly OutgoingPacket[];
  readonly messages: readonly { readonly peer: string; readonly message: PeerMessage }[];
  readonly resets: readonly string[];
  readonly etcd: readonly EtcdRequest[];
  readonly events: readonly Occurrence[];
  /** Read and discard what waits in the DHCP sockets. */
  readonly discardPackets: boolean;
  readonly exit: { readonly code: number; readonly reason: string } | undefined;
}

export interface EngineParts {
  readonly options: ClusterOptions;
  readonly config: ClusterConfig;
  readonly store: BindingStore;
  readonly table: LeaseTable;
  readonly counters: Counters;
  readonly random: () => number;
  readonly logLeases: boolean;
  readonly now: Now;
}

export class Engine {
  readonly core: ClusterCore;
  readonly server: DhcpServer;
  readonly offers: OfferBook;
  readonly #context: Context;
  readonly #counters: Counters;
  readonly #table: LeaseTable;
  readonly #config: ClusterConfig;

  /** Answers to changes of the own log, in order of number. */
  #ownWaiting: Waiting[] = [];
  #otherWaiting: Waiting[] = [];
  readonly #forwarded = new Map<number, Forwarded>();
  #postponed: Postponed[] = [];
  #promised: Promised[] = [];
  #nextForwardId = 1;
  #packets: OutgoingPacket[] = [];
  #lastTurnAt: MonotonicMs;
  #serverIds = new Map<number, string>();
  #madeAt: { readonly seq: number; readonly at: MonotonicMs }[] = [];

  constructor(parts: EngineParts) {
    const { options, config, store, table, counters, random, now } = parts;
    const out = new Outbox();
    this.#context = { options, store, table, out, etcd: new EtcdCalls(out), random, now, incarnation: newIncarnation(random) };
    this.#counters = counters;
    this.#table = table;
    this.#config = config;
    this.offers = table.offers;
    this.#lastTurnAt = now.mono;
    this.core = new ClusterCore(this.#context, {
      onRequest: (from, incarnation, body) => this.#onRequest(from, incarnation, body),
      onOut: () => this.#forgetWaiting(),
      onGained: () => undefined,
    });
    const { core } = this;
    const serverIds = (): ReadonlyMap<number, string> => this.#serverIds;
    this.server = new DhcpServer({
      config, table, counters, logLeases: parts.logLeases,
      cluster: {
        self: options.self,
        serving: () => core.serving(),
        owns: (slot) => core.owns(slot),
        ownerOf: (slot) => core.ownerOf(slot),
        homeOf: (slot) => core.home[slot]!,
        isMember: (node) => core.isMember(node),
        isReachable: (node) => core.isReachable(node),
        nodeOfServerId: (address) => serverIds().get(address),
      },
    });
  }

  get incarnation(): number {
    return this.#context.incarnation;
  }

  get waitingForCommit(): number {
    return this.#ownWaiting.length + this.#otherWaiting.length + this.#forwarded.size + this.#postponed.length;
  }

  // ── inputs ───────────────────────────────────────────────────────────────────────────────────

  /** Every input brings the time; a wall clock that stepped is noticed before it decides anything. */
  #enter(now: Now): void {
    this.#context.now = now;
    this.core.watchClock();
  }

  onPacket(packet: ReceivedPacket, now: Now): void {
    this.#enter(now);
    if (now.mono - this.#lastTurnAt > STALL_MS) {
      this.#counters.received[0]!++;
      this.#counters.drop('stalled');
      return;
    }
    this.#carryOut(this.server.onPacket(packet, now));
  }

  onLink(event: LinkEvent, now: Now): void {
    this.#enter(now);
    this.core.onLink(event);
  }

  onEtcd(result: EtcdResult, now: Now): void {
    this.#enter(now);
    this.core.onEtcd(result);
  }

  onHint(now: Now): void {
    this.#enter(now);
    this.core.onHint();
  }

  onFlushed(position: number, now: Now): void {
    this.#enter(now);
    this.core.onFlushed(position);
  }

  /** The DHCP interfaces as they are now; without an address there is nobody to serve. */
  setInterfaces(interfaces: readonly InterfaceInfo[], now: Now): void {
    this.#enter(now);
    const ids = interfaces.flatMap((iface) => iface.addresses.map(({ address }) => address));
    this.core.setDhcp(ids.length > 0, ids);
  }

  drain(now: Now): void {
    this.#enter(now);
    this.core.drain();
  }

  /** Time passes; several times a second. */
  tick(now: Now): void {
    this.#enter(now);
    const { peers, serverIds } = this.core.state;
    this.#serverIds = new Map(serverIds.map((id) => [id, this.#context.options.self]));
    for (const peer of peers.values()) for (const id of peer.status?.serverIds ?? []) this.#serverIds.set(id, peer.id);
    this.#carryOut(this.server.tick(now));
  }

  // ── outputs ──────────────────────────────────────────────────────────────────────────────────

  /** Ends a turn: lets the core take its step and hands over everything that is to happen. */
  takeOutputs(now: Now): Outputs {
    const stalled = now.mono - this.#lastTurnAt > STALL_MS;
    this.#lastTurnAt = now.mono;
    this.#enter(now);
    this.core.step();
    this.#retryPostponed();
    this.#release();
    this.core.replication.sendBatches();
    const { out } = this.#context;
    const outputs: Outputs = {
      packets: this.#packets, messages: out.messages, resets: out.resets, etcd: out.etcd, events: out.events,
      discardPackets: out.discardPackets || stalled, exit: out.exit,
    };
    this.#packets = [];
    out.messages = [];
    out.resets = [];
    out.etcd = [];
    out.events = [];
    out.discardPackets = false;
    return outputs;
  }

  /** All that is to be flushed next, cursors included; the driver has one batch under way at a time. */
  takeWrites(): WriteBatch | undefined {
    this.core.beforeWrites();
    return this.#context.store.takeWrites();
  }

  // ── decisions ────────────────────────────────────────────────────────────────────────────────

  #carryOut(decision: Decision): void {
    const { now, out } = this.#context;
    for (const occurrence of decision.events) out.events.push(occurrence);
    for (const packet of decision.sendNow) this.#packets.push(packet);
    for (const { address, record } of decision.changes) this.#make(address, record);
    for (const change of decision.forwarded) {
      this.#forward(change.owner, change, decision.sendOnCommit.filter(({ address }) => address === change.address).map(({ reply }) => reply));
    }
    for (const { address, reply, confirm } of decision.sendOnCommit) {
      if (decision.forwarded.some((change) => change.address === address)) continue;
      this.#waitForRecord(address, reply, confirm);
    }
    for (const packet of decision.sendOnConfirm) {
      this.#otherWaiting.push({ incarnation: 0, seq: 0, ticket: this.core.confirmations.ask(), packet, since: now.mono });
    }
    for (const request of decision.allocations) {
      const subnet = this.#config.subnets[request.subnetIndex]!;
      this.#post(request.owner, { $case: 'allocate', value: {
        id: request.id, subnet: subnet.network, client: request.clientKey, clientHash: 0,
      } });
    }
  }

  #make(address: number, record: Buffer): number {
    const seq = this.core.append(address, record);
    this.#madeAt.push({ seq, at: this.#context.now.mono });
    return seq;
  }

  #waitForRecord(address: number, packet: OutgoingPacket, confirm: boolean): void {
    const record = this.#table.read(address);
    if (record === undefined) {
      this.#counters.drop('forward-refused');
      return;
    }
    const waiting: Waiting = {
      incarnation: recordIncarnation(record), seq: recordSeq(record), ticket: confirm ? this.core.confirmations.ask() : 0,
      packet, since: this.#context.now.mono,
    };
    if (!confirm && waiting.incarnation === this.incarnation) this.#ownWaiting.push(waiting);
    else this.#otherWaiting.push(waiting);
  }

  /** Answers whose changes are committed, or whose ground is confirmed, leave now. */
  #release(): void {
    const { committedSeq } = this.core.state;
    const { now } = this.#context;
    let taken = 0;
    for (const waiting of this.#ownWaiting) {
      if (waiting.seq <= committedSeq) this.#sendIfFresh(waiting.packet);
      else if (now.mono - waiting.since > COMMIT_TIMEOUT_MS) this.#counters.drop('commit-timeout');
      else break;
      taken++;
    }
    if (taken > 0) this.#ownWaiting = this.#ownWaiting.slice(taken);
    if (this.#otherWaiting.length > 0) {
      this.#otherWaiting = this.#otherWaiting.filter((waiting) => !this.#releaseOther(waiting));
    }
    this.#tellPromised(committedSeq);
    this.#observeCommits(committedSeq);
    for (const [id, forwarded] of this.#forwarded) {
      if (now.mono - forwarded.since <= COMMIT_TIMEOUT_MS) break;
      this.#forwarded.delete(id);
      this.#countDrops(forwarded.packets, 'commit-timeout');
    }
  }

  #releaseOther(waiting: Waiting): boolean {
    const { now } = this.#context;
    const confirmed = waiting.ticket <= this.core.confirmations.confirmed;
    const committed = waiting.seq === 0 || this.core.isCommitted(waiting.incarnation, waiting.seq);
    if (confirmed && committed) {
      this.#sendIfFresh(waiting.packet);
      return true;
    }
    if (now.mono - waiting.since <= COMMIT_TIMEOUT_MS) return false;
    this.#counters.drop('commit-timeout');
    return true;
  }

  #sendIfFresh(packet: OutgoingPacket): void {
    if (this.#context.now.mono - packet.receivedAt > REPLY_AGE_MAX_MS) this.#counters.drop('stale');
    else this.#packets.push(packet);
  }

  #countDrops(packets: readonly OutgoingPacket[], reason: DropReason): void {
    for (let i = 0; i < packets.length; i++) this.#counters.drop(reason);
  }

  #observeCommits(committedSeq: number): void {
    let taken = 0;
    for (const made of this.#madeAt) {
      if (made.seq > committedSeq) break;
      this.#counters.commitTime.observe((this.#context.now.mono - made.at) / 1000);
      taken++;
    }
    if (taken > 0) this.#madeAt = this.#madeAt.slice(taken);
  }

  /** The node is out of the view: it can keep no promise, so it makes none. */
  #forgetWaiting(): void {
    const dropped = this.waitingForCommit;
    for (let i = 0; i < dropped; i++) this.#counters.drop('not-serving');
    this.#ownWaiting = [];
    this.#otherWaiting = [];
    this.#forwarded.clear();
    this.#postponed = [];
    this.#promised = [];
    this.#madeAt = [];
    this.#packets = [];
  }

  // ── between owners ───────────────────────────────────────────────────────────────────────────

  #post(node: string, body: NonNullable<PeerMessage['body']>): void {
    const member = memberNamed(this.core.state.view, node);
    if (member === undefined) return;
    if (linkUp(this.core.state, member)) this.#context.out.send(node, body);
    else this.core.inbox.post(node, { body });
  }

  #forward(owner: string, change: OwnChange, packets: readonly OutgoingPacket[]): void {
    const { now } = this.#context;
    const current = this.#table.read(change.address);
    const expected = current === undefined ? { epoch: 0, incarnation: 0, seq: 0 } : recordStamp(current);
    if (this.#forwarded.size + this.#postponed.length >= FORWARDED_MAX) {
      this.#countDrops(packets, 'overload');
      return;
    }
    if (owner === this.#context.options.self) {
      this.#postponed.push({
        ...change, expectedSeq: expected.seq, expectedIncarnation: expected.incarnation, packets, since: now.mono,
      });
      return;
    }
    const id = this.#nextForwardId++;
    this.#forwarded.set(id, { owner, packets, since: now.mono });
    this.#post(owner, { $case: 'propose', value: {
      id, address: change.address, record: change.record,
      expectedEpoch: expected.epoch, expectedIncarnation: expected.incarnation, expectedSeq: expected.seq,
    } });
  }

  /** What this node is to own once it has finished the view. */
  #retryPostponed(): void {
    if (this.#postponed.length === 0) return;
    const { now, options } = this.#context;
    this.#postponed = this.#postponed.filter((change) => {
      const slot = change.address & 0xff;
      if (this.core.owns(slot)) {
        this.#makePostponed(change);
        return false;
      }
      if (this.core.ownerOf(slot) === options.self && now.mono - change.since <= COMMIT_TIMEOUT_MS) return true;
      this.#countDrops(change.packets, 'commit-timeout');
      return false;
    });
  }

  #makePostponed(change: Postponed): void {
    if (!this.#isUnchanged(change.address, change.expectedIncarnation, change.expectedSeq) ||
        !this.server.mayApply(change.address, change.record, this.#context.now)) {
      this.#countDrops(change.packets, 'forward-refused');
      return;
    }
    this.#make(change.address, change.record);
    for (const packet of change.packets) this.#waitForRecord(change.address, packet, false);
  }

  #isUnchanged(address: number, incarnation: number, seq: number): boolean {
    const current = this.#table.read(address);
    if (current === undefined) return seq === 0;
    return recordSeq(current) === seq && recordIncarnation(current) === incarnation;
  }

  #onRequest(from: string, incarnation: number, body: NonNullable<PeerMessage['body']>): void {
    switch (body.$case) {
      case 'propose': return this.#onPropose(from, incarnation, body.value);
      case 'proposeResult': return this.#onProposeResult(from, body.value);
      case 'allocate': return this.#onAllocate(from, body.value);
      case 'allocateResult': return this.#onAllocateResult(body.value);
      default: return undefined;
    }
  }

  #onPropose(from: string, incarnation: number, propose: Propose): void {
    const { record } = propose;
    const may = this.core.serving() && this.core.owns(propose.address & 0xff) && isRecord(record) &&
      this.#isUnchanged(propose.address, propose.expectedIncarnation, propose.expectedSeq) &&
      this.server.mayApply(propose.address, record, this.#context.now);
    if (!may) {
      this.#post(from, { $case: 'proposeResult', value: { id: propose.id, committed: false } });
      return;
    }
    const seq = this.#make(propose.address, Buffer.from(record));
    this.#promised.push({ seq, to: from, incarnation, id: propose.id });
  }

  #tellPromised(committedSeq: number): void {
    let taken = 0;
    for (const promised of this.#promised) {
      if (promised.seq > committedSeq) break;
      this.#post(promised.to, { $case: 'proposeResult', value: { id: promised.id, committed: true } });
      taken++;
    }
    if (taken > 0) this.#promised = this.#promised.slice(taken);
  }

  #onProposeResult(from: string, result: ProposeResult): void {
    const forwarded = this.#forwarded.get(result.id);
    if (forwarded === undefined || forwarded.owner !== from) return;
    this.#forwarded.delete(result.id);
    if (!result.committed) {
      this.#countDrops(forwarded.packets, 'forward-refused');
      return;
    }
    for (const packet of forwarded.packets) this.#sendIfFresh(packet);
  }

  #onAllocate(from: string, allocate: Allocate): void {
    const subnetIndex = this.#config.subnets.findIndex((subnet) => subnet.network === allocate.subnet);
    const address = subnetIndex < 0 || !this.core.serving()
      ? 0 : this.server.allocateFor(subnetIndex, allocate.client, this.#context.now);
    this.#post(from, { $case: 'allocateResult', value: { id: allocate.id, address } });
  }

  #onAllocateResult(result: AllocateResult): void {
    this.#carryOut(this.server.onAllocated(result.id, result.address, this.#context.now));
  }
}
