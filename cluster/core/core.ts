/**
 * The failover core: one synchronous state machine for the cluster's side of a node. Inputs are link
 * events, etcd's answers, flushes and the passing of time; effects go to the outbox. It decides who
 * may change a binding and when a change is committed; what the bindings mean is not its business.
 */
import { Beats } from '../recovery/beats.ts';
import { answerFetch } from '../recovery/fetch.ts';
import { LastResort } from '../recovery/last-resort.ts';
import { Learner } from '../recovery/learner.ts';
import { Restart } from '../recovery/restart.ts';
import { Stuck } from '../recovery/stuck.ts';
import { Vouching } from '../recovery/vouching.ts';
import { Confirmations } from '../replication/confirm.ts';
import type { Cursors } from '../replication/cursors.ts';
import { Inbox } from '../replication/inbox.ts';
import { initialState } from '../replication/initial-state.ts';
import { Links } from '../replication/links.ts';
import { Replication } from '../replication/replication.ts';
import { Drain } from '../upgrade/drain.ts';
import type { OffersIn } from '../upgrade/handover.ts';
import { Versions } from '../upgrade/versions.ts';
import { Adoption } from '../view/adoption.ts';
import { Configuration } from '../view/configuration.ts';
import { Coordination } from '../view/coordination.ts';
import type { ClusterRead } from '../view/coordination.ts';
import { EtcdMemory, expectedOf } from '../view/etcd-memory.ts';
import { Leader } from '../view/leader.ts';
import { Session } from '../view/session.ts';
import { homeTable } from '../view/slots.ts';
import { isNewer, memberOf, ownerOf } from '../view/view.ts';
import type { Member, View } from '../view/view.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import { UNCOMMITTED_CHANGES_MAX } from '../../node/limits.ts';
import type { Hello } from '../../proto/gen/replication.ts';
import { newIncarnation, optionsOf } from './context.ts';
import type { Context } from './context.ts';
import type { NodeState } from './node-state.ts';
import { Dispatcher } from './dispatch.ts';
import type { HistoryBody, RequestBody } from './dispatch.ts';
import { meetPeers } from './peer.ts';
import type { Peer } from './peer.ts';
import type { EtcdResult, LinkEvent } from './ports.ts';
import { Roster } from './roster.ts';
import { Standing } from './standing.ts';
import { countsOn, forgetDeparted, isMember, isNamed, isPresent, memberNamed, owns } from './state.ts';
import type { ClusterState } from './state.ts';
import { Watches } from './watches.ts';

export interface CoreHooks {
  /** A forwarded request or its answer, for the engine. */
  readonly onRequest: (from: string, body: RequestBody | HistoryBody) => void;
  readonly offersIn: OffersIn;
  /** The node is no member any more: nothing that waits for a commit will be told. */
  readonly onOut: () => void;
  /** Another configuration is in force from now on. */
  readonly onConfig: (config: ClusterConfig) => void;
  /** An operator has begun a generation in which leases may be held that are not known here. */
  readonly onGeneration: () => void;
}

export class ClusterCore {
  readonly state: ClusterState;
  readonly replication: Replication;
  readonly inbox: Inbox;
  readonly confirmations: Confirmations;
  readonly leader: Leader;
  readonly session: Session;
  readonly coordination: Coordination;
  readonly adoption: Adoption;
  readonly learner: Learner;
  readonly configuration: Configuration;
  readonly versions: Versions;
  readonly memory: EtcdMemory;
  readonly lastResort: LastResort;
  readonly #roster: Roster;
  readonly #links: Links;
  readonly #beats: Beats;
  readonly #restart: Restart;
  readonly #hooks: CoreHooks;
  home: readonly string[];
  readonly #standing: Standing;
  readonly #vouching: Vouching;
  readonly #stuck: Stuck;
  readonly leaving: Drain;
  readonly #dispatcher: Dispatcher;
  readonly watches: Watches;
  takeovers = 0;

  /** `configRevision`: what was loaded before the node started; without a cluster 1. */
  constructor(context: Context, configRevision: number, hooks: CoreHooks) {
    this.#hooks = hooks;
    const { nodes, self } = context.options;
    this.home = homeTable(nodes);
    const peers = new Map<string, Peer>();
    meetPeers(peers, new Set(nodes.map(({ id }) => id).filter((id) => id !== self)));
    this.state = initialState(context, peers);
    const { state } = this;
    this.#roster = new Roster(state, peers);
    this.watches = new Watches(state);
    this.memory = new EtcdMemory(state);
    context.etcd.guard = this.memory;
    this.coordination = new Coordination(context, () => expectedOf(state), (read) => this.#onRead(read));
    this.versions = new Versions(state, () => this.coordination.latest);
    this.replication = new Replication(state, { readView: () => this.coordination.read(), onDiverged: (peer) => this.#onRolledBack(peer) });
    this.inbox = new Inbox(state, this.replication, {
      onMessage: (from, incarnation, message) => this.#dispatcher.onInboxMessage(from, incarnation, message),
      onViewChanged: () => this.coordination.read(),
    });
    this.confirmations = new Confirmations(state, this.inbox);
    this.adoption = new Adoption(state, this.replication, this.inbox, {
      onAdopted: (previous, wasMember) => this.#onAdopted(previous, wasMember),
      onFinished: (evicted) => this.#onFinished(evicted),
    });
    this.adoption.restore();
    this.#beats = new Beats(context, state.view !== undefined || context.table.records(-1, 1).length > 0);
    this.session = new Session(context);
    this.configuration = new Configuration(state, configRevision, {
      onApply: (config) => this.#onConfig(config),
      onChange: () => this.session.hurry(),
    });
    this.leader = new Leader(state, this.coordination, this.session, this.configuration, this.versions, {
      onWritten: (view, revision) => this.#adoptOrLeave(view, revision),
      onRequire: (learner, epoch) => this.#vouching.requireEverywhere(learner, epoch),
      isDrained: (node) => this.leaving.isOrdered(node), overdue: (member) => this.leaving.overdue(member),
    });
    this.#vouching = new Vouching(state, this.inbox);
    this.leaving = new Drain(state, this.leader, this.session, hooks.offersIn);
    this.#stuck = new Stuck(state, this.inbox, this.leader, this.session);
    this.lastResort = new LastResort({
      state, adoption: this.adoption, beats: this.#beats, configuration: this.configuration, coordination: this.coordination,
      memory: this.memory, versions: this.versions, isolated: () => this.#links.isolated(),
      onForced: () => this.#dispatcher.runDeferred(), onGeneration: hooks.onGeneration,
    });
    this.#restart = new Restart({
      state, beats: this.#beats, leader: this.leader, session: this.session, configuration: this.configuration,
      memory: this.memory, lastResort: this.lastResort,
    });
    this.learner = new Learner(state, this.#beats, {
      hasConfig: (revision) => this.configuration.has(revision), mayJoin: (view) => this.versions.mayJoin(view),
      onNewIncarnation: () => this.#beginIncarnation(),
      onFetched: (view, revision, cursors) => this.#onFetched(view, revision, cursors),
    });
    this.#links = new Links(state, this.replication, this.#beats, this.versions, {
      onRolledBack: (peer) => this.#onRolledBack(peer),
      onLinkChange: (peer) => this.adoption.repeat(peer),
      onNewEpoch: () => this.coordination.read(), onGeneration: (peer, hello) => this.#onGeneration(peer, hello),
      nodeState: () => this.nodeState,
      isFit: () => this.state.phase === 'outside' && this.#restart.isFit(this.coordination.latest) && this.#restart.hasConfig(this.coordination.latest),
    });
    this.#standing = new Standing(state, {
      isolated: () => this.#links.isolated(),
      onChange: () => {
        this.#links.statusAll();
        this.session.hurry();
      },
    });
    this.#dispatcher = new Dispatcher({
      state, adoption: this.adoption, beats: this.#beats, confirmations: this.confirmations, coordination: this.coordination,
      lastResort: this.lastResort, leader: this.leader, learner: this.learner, links: this.#links, replication: this.replication, vouching: this.#vouching,
      onFetch: (peer, fetch) => answerFetch(state, peer, fetch), onRequest: hooks.onRequest,
    });
    this.replication.flushedFromCursors();
    this.#beats.begin();
  }

  // ── questions ────────────────────────────────────────────────────────────────────────────────

  get nodeState(): NodeState {
    return this.#standing.nodeState;
  }

  get transitions(): ReadonlyMap<string, number> {
    return this.#standing.transitions;
  }

  /** May answer clients: in the view, able to commit, its wall clock trusted, not on its way out. */
  serving(): boolean {
    const { clockSteppedAt, committedSeq, draining, log, view } = this.state;
    return isMember(this.state) && !draining && clockSteppedAt === undefined && this.nodeState !== 'ISOLATED' &&
      this.configuration.inForce(view!) && log.last - committedSeq < UNCOMMITTED_CHANGES_MAX;
  }

  owns(slot: number): boolean {
    return owns(this.state, slot);
  }

  ownerOf(slot: number): string | undefined {
    return this.state.view === undefined ? undefined : ownerOf(this.state.view, slot);
  }

  isMember(node: string): boolean {
    return memberNamed(this.state.view, node) !== undefined;
  }

  get addresses(): ReadonlyMap<string, string> {
    return this.#roster.addresses;
  }

  // ── inputs ───────────────────────────────────────────────────────────────────────────────────

  onLink(event: LinkEvent): void {
    const peer = this.state.peers.get(event.peer);
    if (peer === undefined) return;
    if (event.kind !== 'link-message') {
      this.#links.onEvent(event);
      return;
    }
    if (!peer.streamOpen) return;
    peer.lastHeardAt = this.state.context.now.mono;
    this.#dispatcher.onMessage(peer, event.message);
  }

  onEtcd(result: EtcdResult): void {
    const { context } = this.state;
    if (result.outcome !== 'unknown' && this.watches.onEtcdAnswer()) this.leader.etcdWasAway();
    context.etcd.settle(result);
  }

  /** A watch saw something change. */
  onHint(): void {
    this.coordination.read();
    this.inbox.hint();
  }

  onFlushed(position: number): void {
    this.state.context.store.flushed(position);
    this.replication.onFlushed();
    if (this.state.phase === 'starting' && this.#beats.announced()) this.#announce();
    this.inbox.deleteStored();
  }

  /** Before the driver takes the writes: cursors go into the same flush as their records. */
  beforeWrites(): void {
    const { context, cursors } = this.state;
    const before = context.store.position;
    cursors.save((incarnation) => countsOn(this.state, incarnation));
    this.#beats.save(context.store.position > before);
  }

  setDhcp(ready: boolean, serverIds: readonly number[]): void {
    this.state.dhcpReady = ready;
    this.state.serverIds = serverIds;
    this.#links.statusAll();
    this.session.hurry();
  }

  /** The process is asked to stop. */
  drain(): void {
    if (this.leaving.stopping) return;
    this.leaving.begin();
    this.#links.statusAll();
    this.#standing.update();
  }

  /** Often, and at the end of each turn. */
  step(): void {
    const { state } = this;
    if (state.phase === 'stopped') this.#standing.update();
    if (state.phase === 'starting' || state.phase === 'stopped') return;
    if (state.context.options.clustered) {
      this.#links.tick();
      this.watches.watchEtcd();
      this.memory.tick();
      this.configuration.step(this.coordination.latest);
      this.session.tick(() => this.#standing.describe(this.configuration.standing(), { leaves: this.leaving.asking, wentBack: this.memory.wentBackIn }));
      this.coordination.tick(isMember(state) && state.finished && this.coordination.latest?.leader !== undefined);
      this.#choosePath();
      this.leader.tick();
      this.lastResort.step();
      this.inbox.tick();
    }
    this.adoption.step();
    if (isMember(state)) {
      if (state.context.options.clustered) this.#beats.tick();
      this.#vouching.step(this.leader);
      this.#stuck.step();
      this.leaving.step();
    }
    this.#standing.update();
    this.confirmations.step();
    this.replication.sendBatches();
    this.inbox.write();
    this.inbox.deleteStored();
    this.replication.advanceCommit();
  }

  // ── paths of a node ──────────────────────────────────────────────────────────────────────────

  /** The incarnation is on the disk: say who we are, and find out what we may be. */
  #announce(): void {
    this.state.phase = 'outside';
    if (!this.state.context.options.clustered) {
      this.adoption.adopt(this.#restart.loneView(), 0);
      return;
    }
    this.#links.helloAll();
    this.coordination.read();
  }

  #choosePath(): void {
    const { coordination: { latest: read }, state, state: { phase } } = this;
    if (read === undefined || (phase !== 'outside' && phase !== 'learner') || this.leaving.stopping) return;
    this.#beats.startAbove(read.beats.get(this.state.context.options.self)?.beat ?? 0);
    this.#standing.recovering = phase === 'learner' || this.#restart.step(read);
    this.leaving.decide(this.#standing.recovering);
    if (!this.#standing.recovering) return;
    // It neither follows nor keeps anybody waiting.
    if (state.leaving) {
      if (phase === 'learner') this.#beginIncarnation();
      return;
    }
    // Whoever serves is not the one that etcd shows: what follows a member goes on following it.
    if (state.wentBack === '' && (read.view?.generation ?? 0) >= this.memory.newestGeneration) this.learner.step(read);
  }

  #onRead(read: ClusterRead): void {
    const { state } = this;
    if (state.phase === 'stopped') this.#standing.update();
    if (state.phase === 'starting' || state.phase === 'stopped') return;
    this.#roster.onRead(read);
    this.memory.onRead(read);
    this.leader.onRead(read);
    // In one that went back there may be an order that was taken back since.
    if (state.wentBack === '') this.leaving.onRead(read);
    if (read.view !== undefined && state.wentBack === '') this.#adoptOrLeave(read.view, read.viewRevision);
    this.leader.adoptKey(read);
    this.lastResort.onRead(read);
    if (!isMember(state)) return;
    this.leaving.decide(true);
    // Shown at once: a moment later the node may be isolated, and no node goes from DRAINING to that.
    this.#standing.update();
  }

  /** A view read from etcd, or written there by us. */
  #adoptOrLeave(view: View, revision: number): void {
    const { state } = this;
    const known = state.view;
    const newer = known === undefined || isNewer(view, known) || (view.epoch === known.epoch && state.phase !== 'member');
    if (isNamed(state, view) && this.versions.speaks(view)) {
      if (newer) {
        this.adoption.adopt(view, revision);
        this.#dispatcher.runDeferred();
      } else if (view.epoch === known.epoch) state.viewRevision = revision;
      return;
    }
    if (state.phase === 'member' && newer) this.#leave(view);
  }

  /** False: this node has left what it was in. */
  #onGeneration(peer: Peer, hello: Hello): boolean {
    const mustLeave = this.lastResort.mustLeaveFor(peer, hello);
    if (mustLeave) this.#leave(undefined);
    return !mustLeave;
  }

  /** Evicted: paused too long, drained, mistaken for dead, or of an older generation. Back through RECOVER, or away. */
  #leave(view: View | undefined): void {
    const { context } = this.state;
    if (view !== undefined) context.out.event('view.left', { epoch: view.epoch, members: view.members.map((member) => member.node).join(' ') });
    if (this.leaving.stopping) {
      this.leaving.stop('left the view');
      return;
    }
    this.#standing.recovering = true;
    this.#beginIncarnation();
  }

  #beginIncarnation(): void {
    const { context } = this.state;
    this.#hooks.onOut();
    this.#beats.newIncarnation();
    context.incarnation = newIncarnation(context.random);
    this.state.phase = 'starting';
    this.replication.begin();
    this.adoption.abandon();
    this.inbox.reset();
    this.confirmations.reset();
    this.leader.reset();
    this.learner.reset();
    this.learner.allowIncarnation();
    this.#restart.reset();
    this.#beats.begin();
    this.session.hurry();
    this.#standing.update();
  }

  #onRolledBack(peer: Peer): void {
    this.state.context.out.event('cluster.rolled-back', { peer: peer.id });
    this.#standing.recovering = true;
    this.#beats.disown();
    this.#beginIncarnation();
  }

  #onFetched(view: View, revision: number, cursors: Parameters<Cursors['replaceAll']>[0]): void {
    const { state } = this;
    state.phase = 'learner';
    state.cursors.replaceAll(cursors);
    state.received.clear();
    this.adoption.standOn(view, revision);
    this.replication.flushAllCursors();
    this.#links.helloAll();
  }

  #onAdopted(previous: View | undefined, wasMember: boolean): void {
    const { state } = this;
    const { view, context } = state;
    if (!wasMember) {
      context.out.discardPackets = true;
      this.#beats.entered();
      context.history?.resume(context.now);
      this.learner.reset();
      this.#restart.reset();
    }
    if (wasMember && previous !== undefined) this.leaving.handover.onAdopted(previous, view!);
    if (!wasMember || previous?.generation !== view!.generation) this.#links.helloAll();
    this.#standing.recovering = false;
    this.lastResort.onAdopted(view!, previous, wasMember);
    this.versions.onAdopted(view!, previous);
    this.configuration.onAdopted(view!);
    this.#roster.meet();
    this.leader.onAdopted(view!);
    this.confirmations.reset();
    this.leader.clearInboxes(view!);
    if (!wasMember) this.#standing.update(true);
    this.#links.onAdopted(view!);
    this.#links.statusAll();
    this.session.hurry();
    if (wasMember && previous?.members.some((member) => memberOf(view!, member.node) === undefined) === true) this.takeovers++;
  }

  // ── configuration ────────────────────────────────────────────────────────────────────────────

  #onConfig(config: ClusterConfig): void {
    const { context } = this.state;
    context.options = optionsOf(context.options, config);
    this.lastResort.onConfig();
    this.home = homeTable(context.options.nodes);
    this.#roster.meet();
    this.#hooks.onConfig(config);
  }

  #onFinished(evicted: readonly Member[]): void {
    forgetDeparted(this.state, evicted);
    this.replication.forgetDeparted();
    this.#beats.forgetAcks((by) => isPresent(this.state, by));
    this.#links.statusAll();
    this.replication.advanceCommit();
  }
}
