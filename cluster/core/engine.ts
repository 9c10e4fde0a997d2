/**
 * A whole node without its edges: the DHCP server's decisions and the failover core, joined. The
 * driver (node/main.ts in production, the simulator in tests) hands in what arrives, takes out what
 * is to happen, and commits the writes; both run this very code.
 *
 * Invariants: a DHCPACK leaves only when its change is committed, a DHCPNAK only when what it rests
 * on is confirmed; no answer leaves more than 5 s after its packet was read; a node that is evicted
 * forgets every answer that still waits.
 */
import assert from 'node:assert/strict';
import { AUDIT_KINDS } from '../../node/admin/audit.ts';
import type { OwnWord } from '../../node/admin/audit.ts';
import type { ChangeOutcome, Decide } from '../../node/admin/changes.ts';
import type { OperatorAnswer, OperatorCommand } from '../../node/admin/operator.ts';
import type { OfferBook } from '../../node/allocation/offers.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import { DnsRewrites } from '../../node/ddns/rewrites.ts';
import type { DnsOutbox } from '../../node/ddns/outbox.ts';
import type { DnsJob, DnsOutcome } from '../../node/ddns/types.ts';
import type { LeaseHistory } from '../../node/history/lease-history.ts';
import { heldSeconds } from '../../node/lease/held.ts';
import { BindingState, recordState } from '../../node/lease/record.ts';
import type { BindingStore, WriteBatch } from '../../node/lease/store.ts';
import type { LeaseTable } from '../../node/lease/table.ts';
import { historyLimits } from '../../node/leasequery/change-history.ts';
import type { ChangeHistory } from '../../node/leasequery/change-history.ts';
import type { TakenChanges } from '../../node/leasequery/committed-feed.ts';
import type { SnapshotStep } from '../../node/leasequery/snapshot-step.ts';
import { NoteBook } from '../../node/notes/book.ts';
import { NOTE_KEYS_END } from '../../node/notes/note.ts';
import { QuarantineList } from '../../node/notes/quarantine-list.ts';
import { PROTOCOL } from '../../node/protocol.ts';
import { DhcpServer } from '../../node/server/server.ts';
import type { Decision, InterfaceInfo, OutgoingPacket, ProbeRequest, ReceivedPacket } from '../../node/server/ports.ts';
import type { Counters } from '../../node/telemetry/counters.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import type { MonotonicMs, Now } from '../../node/time.ts';
import { EtcdCalls, newIncarnation, Outbox, STALL_MS } from './context.ts';
import type { ClusterOptions, Context } from './context.ts';
import { ClusterCore } from './core.ts';
import type { HistoryBody, RequestBody } from './dispatch.ts';
import { openOutbox } from './dns.ts';
import { Forwarding } from './forwarding.ts';
import { HistoryCopy } from '../recovery/history-copy.ts';
import { HeardUntil, inStep } from './histories.ts';
import type { EtcdRequest, EtcdResult, LinkEvent, PeerMessage } from './ports.ts';
import type { PreparedConfig } from '../view/configuration.ts';
import { isCommitted, isReachable, knowsAllServerIds, nodeOfServerId, probingSince } from './state.ts';
import { OperatorChanges } from './operator-changes.ts';
import { AuditDuties } from './audit-duties.ts';
import { Snapshots } from './snapshots.ts';
import { WaitingReplies } from './waiting.ts';

export interface Outputs {
  readonly packets: readonly OutgoingPacket[];
  readonly messages: readonly { readonly peer: string; readonly message: PeerMessage }[];
  readonly resets: readonly string[];
  readonly etcd: readonly EtcdRequest[];
  readonly events: readonly Occurrence[];
  readonly probes: readonly ProbeRequest[];
  /** What became of moments of the store that were asked for; the disk is marked in the turn that says so. */
  readonly snapshots: readonly SnapshotStep[];
  /** To be done in DNS, in any order; what becomes of each goes into `onDnsDone`. */
  readonly dns: readonly DnsJob[];
  /** Read and discard what waits in the DHCP sockets. */
  readonly discardPackets: boolean;
  /** Read this revision of the configuration from etcd and check it; the answer goes into `onConfigPrepared`. */
  readonly prepareConfig: number | undefined;
  readonly exit: { readonly code: number; readonly reason: string } | undefined;
}

export interface EngineParts {
  readonly options: ClusterOptions;
  readonly config: ClusterConfig;
  /** Of `config`, in etcd; 1 without a cluster. */
  readonly configRevision: number;
  readonly store: BindingStore;
  readonly table: LeaseTable;
  /** Of the same store; without one nothing is recorded. */
  readonly history?: ChangeHistory | undefined;
  /** Likewise. */
  readonly tenures?: LeaseHistory | undefined;
  readonly counters: Counters;
  readonly random: () => number;
  /** Also where the configuration does not ask for it. */
  readonly logLeases: boolean;
  readonly now: Now;
}

export class Engine {
  readonly core: ClusterCore;
  readonly server: DhcpServer;
  readonly offers: OfferBook;
  readonly notes: NoteBook;
  readonly quarantines: QuarantineList;
  readonly dns: DnsOutbox;
  readonly #context: Context;
  readonly #counters: Counters;
  readonly #table: LeaseTable;
  readonly #history: ChangeHistory | undefined;
  readonly tenures: LeaseHistory | undefined;
  readonly #historyCopy: HistoryCopy | undefined;
  readonly #heardUntil: HeardUntil;
  #config: ClusterConfig;

  readonly #waiting: WaitingReplies;
  readonly #forwarding: Forwarding;
  readonly #snapshots: Snapshots;
  readonly #operatorChanges: OperatorChanges;
  readonly #audit: AuditDuties;
  #packets: OutgoingPacket[] = [];
  #probes: ProbeRequest[] = [];
  #lastTurnAt: MonotonicMs;

  constructor(parts: EngineParts) {
    const { options, config, configRevision, store, table, counters, random, now, tenures } = parts;
    this.#config = config;
    this.#table = table;
    this.#history = parts.history;
    this.tenures = tenures;
    this.notes = new NoteBook(table);
    const quarantines = new QuarantineList(table);
    this.quarantines = quarantines;
    this.notes.listen('quarantine', (key, note) => {
      quarantines.onNote(key, note);
      counters.quarantines = quarantines.size;
    });
    table.onChange = (address, record, at, before) => {
      if (address < NOTE_KEYS_END) return this.notes.onRecord(address, record);
      parts.history?.add(address, record, at, before);
      return tenures?.add(address, before, record, at);
    };
    const history = inStep(parts.history, tenures);
    const out = new Outbox();
    this.#context = { options, store, table, history, out, etcd: new EtcdCalls(out), random, now, incarnation: newIncarnation(random) };
    this.#context.tenures = tenures;
    this.#counters = counters;
    this.offers = table.offers;
    this.#lastTurnAt = now.mono;
    this.core = new ClusterCore(this.#context, configRevision, {
      onRequest: (from, body) => this.#onRequest(from, body),
      offersIn: (slots, limit) => table.offers.newest((address) => slots(address & 0xff), limit)
        .map(({ address, clientKey, xid }) => ({ address, client: Buffer.from(clientKey), xid })),
      onOut: () => this.#forget(),
      onConfig: (next) => this.#configure(next),
      onGeneration: () => this.server.forgetWhatIsFree(),
    });
    const { core } = this;
    this.server = new DhcpServer({
      config, table, counters, quarantines, logLeases: parts.logLeases, hashSeed: Math.floor(random() * 2 ** 32),
      cluster: {
        self: options.self,
        incarnation: () => (options.clustered ? this.#context.incarnation : undefined),
        protocol: () => this.protocol,
        serving: () => core.serving(),
        leaving: () => core.leaving.leavesNewClients,
        owns: (slot) => core.owns(slot),
        ownerOf: (slot) => core.ownerOf(slot),
        homeOf: (slot) => core.home[slot]!,
        isMember: (node) => core.isMember(node),
        isReachable: (node) => isReachable(core.state, node),
        nodeOfServerId: (address) => nodeOfServerId(core.state, address),
        knowsAllServerIds: () => knowsAllServerIds(core.state),
        probingSince: () => probingSince(core.state),
      },
    });
    this.#waiting = new WaitingReplies(this.#context, core, counters, (question) => this.server.answer(question, this.#context.now));
    this.#snapshots = new Snapshots(this.#context, core);
    this.#heardUntil = new HeardUntil(this.#context, core.confirmations);
    this.#historyCopy = tenures === undefined ? undefined : new HistoryCopy(core.state, tenures);
    const rewrites = new DnsRewrites();
    this.dns = openOutbox({ config, context: this.#context, core, counters: counters.dns, table, rewrites, make: (address, record) => this.#make(address, record) });
    this.#forwarding = new Forwarding({
      context: this.#context, core, server: this.server, waiting: this.#waiting,
      make: (address, record) => this.#make(address, record), rewrites, carryOut: (decision) => this.#carryOut(decision),
    });
    this.#operatorChanges = new OperatorChanges({
      context: this.#context, core, forwarding: this.#forwarding, make: (address, record) => this.#make(address, record),
    });
    this.#audit = new AuditDuties({
      context: this.#context, core, notes: this.notes, protocol: () => this.protocol, make: (address, record) => this.#make(address, record),
      ask: (decide, done) => this.#operatorChanges.ask(decide, done),
    });
    for (const kind of AUDIT_KINDS) this.notes.listen(kind, (key, note) => this.#audit.onNote(key, note));
    this.notes.load();
  }

  /** The node is out of the view: it can keep no promise, so it makes none. */
  #forget(): void {
    this.#waiting.forget();
    this.#forwarding.forget();
    this.#snapshots.forget();
    this.dns.forget();
    this.#operatorChanges.forget();
    this.#packets = [];
  }

  /** The configuration in force. */
  get config(): ClusterConfig {
    return this.#config;
  }

  /** In place, between two decisions. */
  #configure(config: ClusterConfig): void {
    this.#config = config;
    this.#table.reconfigure(config, this.#context.now);
    this.server.configure(config);
    this.dns.configure(config);
    this.#history?.configure(historyLimits(config.leaseQuery), this.#context.now);
    this.tenures?.configure(config.history, this.#context.now);
    this.#counters.held.keep(new Set(config.subnets.map(({ name }) => name)));
  }

  /** The version in force; of a single node its own. */
  get protocol(): number {
    return this.core.state.view?.protocol ?? PROTOCOL.max;
  }

  get incarnation(): number {
    return this.#context.incarnation;
  }

  get waitingForCommit(): number {
    return this.#waiting.size + this.#forwarding.size;
  }

  // ── inputs ───────────────────────────────────────────────────────────────────────────────────

  /** Every input brings the time; a wall clock that stepped is noticed before it decides anything. */
  #enter(now: Now): void {
    this.#context.now = now;
    this.core.watches.watchClock();
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

  /** Whether somebody uses the address that a ProbeRequest asked for. */
  onProbed(id: number, inUse: boolean, answeredBy: Buffer | undefined, now: Now): void {
    this.#enter(now);
    this.#carryOut(this.server.onProbed(id, inUse, answeredBy, now));
  }

  /** What became of a DnsJob. */
  onDnsDone(id: number, outcome: DnsOutcome, now: Now): void {
    this.#enter(now);
    this.dns.onDone(id, outcome, now.mono);
  }

  #onRequest(from: string, body: RequestBody | HistoryBody): void {
    if (body.$case === 'historyRequest') this.#historyCopy?.onRequest(from, body.value);
    else if (body.$case === 'historyPage') this.#historyCopy?.onPage(from, body.value);
    else this.#forwarding.onRequest(from, body);
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

  /** What became of a revision that `prepareConfig` asked for. */
  onConfigPrepared(revision: number, result: PreparedConfig, now: Now): void {
    this.#enter(now);
    this.core.configuration.onPrepared(revision, result);
  }

  /** Without a cluster: another configuration comes into force at once. In a cluster the view says which does. */
  applyConfig(config: ClusterConfig, now: Now): void {
    this.#enter(now);
    this.core.configuration.replace(config);
  }

  /**
   * An operator's last resort; what cannot be done at once shows in the status. `partner-down` is a promise:
   * the node stays off until etcd's view is of the new generation, or it is linked with one of its members.
   */
  operate(command: OperatorCommand, now: Now): OperatorAnswer {
    this.#enter(now);
    return this.core.lastResort.operate(command);
  }

  /** Changes bindings or notes as an operator asks for it; `done` is called once, when it is known what became of it. */
  change(decide: Decide, done: (outcome: ChangeOutcome) => void, now: Now): void {
    this.#enter(now);
    this.#operatorChanges.ask(decide, done);
  }

  /** Has the audit log tell of something that was not an operation, once this node can write there. False: too much waits. */
  audit(word: OwnWord, now: Now): boolean {
    this.#enter(now);
    return this.#audit.say(word);
  }

  /** Asks for a moment of the store that may be told as a whole; `Outputs.snapshots` says under `id` what becomes of it. */
  askSnapshot(id: number, now: Now): void {
    this.#enter(now);
    this.#snapshots.ask(id);
  }

  drain(now: Now): void {
    this.#enter(now);
    this.core.drain();
  }

  /** Time passes; several times a second. */
  tick(now: Now): void {
    this.#enter(now);
    this.#carryOut(this.server.tick(now));
    this.#carryOut(this.server.endQuarantined(now));
  }

  // ── outputs ──────────────────────────────────────────────────────────────────────────────────

  /** Ends a turn: lets the core take its step and hands over everything that is to happen. */
  takeOutputs(now: Now): Outputs {
    const stalled = now.mono - this.#lastTurnAt > STALL_MS;
    this.#lastTurnAt = now.mono;
    this.#enter(now);
    this.core.step();
    this.#forwarding.step();
    this.#audit.step(this.core.coordination.latest?.audit ?? []);
    this.#operatorChanges.step();
    for (const packet of this.#waiting.take()) this.#packets.push(packet);
    const dns = this.dns.step(now.mono);
    this.#historyCopy?.step();
    this.core.replication.sendBatches();
    const { out } = this.#context;
    const outputs: Outputs = {
      packets: this.#packets, messages: out.messages, resets: out.resets, etcd: out.etcd, events: out.events, probes: this.#probes,
      snapshots: this.#snapshots.take(), dns,
      discardPackets: out.discardPackets || stalled, prepareConfig: out.prepareConfig, exit: out.exit,
    };
    this.#packets = [];
    this.#probes = [];
    out.messages = [];
    out.resets = [];
    out.etcd = [];
    out.events = [];
    out.discardPackets = false;
    out.prepareConfig = undefined;
    return outputs;
  }

  /** All that is to be flushed next, cursors included; the driver has one batch under way at a time. */
  takeWrites(): WriteBatch | undefined {
    this.core.beforeWrites();
    this.#history?.beforeWrites(this.#context.now);
    this.tenures?.beforeWrites(this.#context.now, this.tenures.isOn ? this.#heardUntil.take() : undefined);
    return this.#context.store.takeWrites();
  }

  /** For who listens to `history`: changes that are committed since, in order, at most `limit`. */
  takeCommittedChanges(limit: number): TakenChanges {
    assert(this.#history !== undefined, 'there is a history to listen to');
    return this.#history.takeCommitted((incarnation, seq) => isCommitted(this.core.state, incarnation, seq), limit);
  }

  // ── decisions ────────────────────────────────────────────────────────────────────────────────

  #carryOut(decision: Decision): void {
    const { allocations, changes, events, forwarded, probes, questions, sendNow, sendOnCommit, sendOnConfirm } = decision;
    for (const occurrence of events) this.#context.out.events.push(occurrence);
    for (const packet of sendNow) this.#packets.push(packet);
    for (const { address, record } of changes) this.#make(address, record);
    for (const change of forwarded) {
      this.#forwarding.forward(change, sendOnCommit.filter(({ address }) => address === change.address).map(({ reply }) => reply));
    }
    for (const { address, reply, confirm } of sendOnCommit) {
      if (!forwarded.some((change) => change.address === address)) this.#waiting.forRecord(address, reply, confirm);
    }
    for (const { address, reply } of sendOnConfirm) this.#waiting.forConfirmation(address, reply);
    for (const question of questions) this.#waiting.ask(question);
    for (const request of allocations) this.#forwarding.borrow(request);
    for (const request of probes) this.#probes.push(request);
  }

  #make(address: number, record: Buffer): number {
    if (recordState(record) !== BindingState.ACTIVE) this.#countHeld(address, record);
    const seq = this.core.replication.append(address, record);
    this.#waiting.made(seq);
    return seq;
  }

  /** Only its owner ends a lease, so that over all nodes each is counted once. */
  #countHeld(address: number, record: Buffer): void {
    const seconds = heldSeconds(this.#table.read(address), record);
    const subnet = this.#config.subnets[this.#table.subnetOf(address)];
    if (seconds !== undefined && subnet !== undefined) this.#counters.held.observe(subnet.name, seconds);
  }
}
