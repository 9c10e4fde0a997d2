/**
 * The failover core: one synchronous state machine for the cluster's side of a node. Inputs are link
 * events, etcd's answers, flushes and the passing of time; effects go to the outbox. It decides who
 * may change a binding and when a change is committed; what the bindings mean is not its business.
 */
import assert from 'node:assert/strict';
import { Beats } from '../recovery/beats.ts';
import { answerFetch } from '../recovery/fetch.ts';
import { Learner } from '../recovery/learner.ts';
import { Restart } from '../recovery/restart.ts';
import { Confirmations } from '../replication/confirm.ts';
import { Cursors } from '../replication/cursors.ts';
import { Inbox } from '../replication/inbox.ts';
import { Links } from '../replication/links.ts';
import { RecentLog } from '../replication/log.ts';
import { Replication } from '../replication/replication.ts';
import { Adoption } from '../view/adoption.ts';
import { Coordination } from '../view/coordination.ts';
import type { ClusterRead } from '../view/coordination.ts';
import { Leader } from '../view/leader.ts';
import { Session } from '../view/session.ts';
import { assignSlots, homeTable } from '../view/slots.ts';
import { SLOTS, memberOf, names, ownerOf } from '../view/view.ts';
import type { Member, View } from '../view/view.ts';
import { newIncarnation, PROTOCOL } from './context.ts';
import type { Context } from './context.ts';
import { nodeTransitionAllowed } from './node-state.ts';
import type { NodeState } from './node-state.ts';
import { Peer } from './peer.ts';
import type { EtcdResult, LinkEvent, PeerMessage } from './ports.ts';
import { etcdReachable, isMember, isNamed, linkUp, memberNamed, otherMembers, owns, selfMember } from './state.ts';
import type { ClusterState } from './state.ts';

/** Messages kept for an epoch that is not read yet; beyond it the stream is made anew. */
const DEFERRED_MAX = 1024;
/** A wall clock that moves by more than this against the monotonic one has stepped. */
const CLOCK_STEP_MS = 1000;

type RequestBody = Extract<NonNullable<PeerMessage['body']>, { $case: 'propose' | 'proposeResult' | 'allocate' | 'allocateResult' }>;

export interface CoreHooks {
  /** A forwarded request or its answer, for the engine. `incarnation` is the sender's. */
  readonly onRequest: (from: string, incarnation: number, body: RequestBody) => void;
  /** The node is no member any more: nothing that waits for a commit will be told. */
  readonly onOut: () => void;
  readonly onGained: (slots: number) => void;
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
  readonly #links: Links;
  readonly #beats: Beats;
  readonly #restart: Restart;
  readonly #hooks: CoreHooks;
  readonly home: readonly string[];
  /** Counts state transitions, for the simulator's coverage. */
  readonly transitions = new Map<string, number>();
  #nodeState: NodeState = 'STARTUP';
  #recovering = false;
  #wallOffset: number | undefined;
  #etcdAway = false;
  takeovers = 0;
  /** Where the other nodes' links are, as they said last; outlives their sessions. */
  readonly addresses = new Map<string, string>();

  constructor(context: Context, hooks: CoreHooks) {
    this.#hooks = hooks;
    const others = context.options.nodes.filter(({ id }) => id !== context.options.self);
    this.home = homeTable(context.options.nodes);
    this.state = {
      context, peers: new Map(others.map(({ id }) => [id, new Peer(id)])), cursors: new Cursors(context.store),
      phase: 'starting', draining: false, view: undefined, viewRevision: 0, finished: false, lastFinished: undefined, duties: [],
      continuous: new Uint8Array(SLOTS), log: new RecentLog(context.incarnation), received: new Map(),
      flushedSeq: 0, committedSeq: 0, acknowledged: new Map(), inboxed: new Map(), committedOf: new Map(), required: undefined,
      etcdAnsweredAt: -Infinity, clockSteppedAt: undefined, dhcpReady: true, serverIds: [],
    };
    const { state } = this;
    this.coordination = new Coordination(context, (read) => this.#onRead(read));
    this.replication = new Replication(state, () => this.coordination.read());
    this.inbox = new Inbox(state, this.replication, {
      onMessage: (from, incarnation, message) => this.#onInboxMessage(from, incarnation, message),
      onViewChanged: () => this.coordination.read(),
    });
    this.confirmations = new Confirmations(state, this.inbox);
    this.adoption = new Adoption(state, this.replication, this.inbox, {
      onAdopted: (previous, wasMember) => this.#onAdopted(previous, wasMember),
      onFinished: (gained) => this.#onFinished(gained),
    });
    this.adoption.restore();
    this.#beats = new Beats(context, state.view !== undefined || context.table.records(-1, 1).length > 0);
    this.session = new Session(context);
    this.leader = new Leader(state, this.coordination, this.session, {
      onWritten: (view, revision) => this.#adoptOrLeave(view, revision),
      onRequire: (learner, epoch) => this.#requireEverywhere(learner, epoch),
    });
    this.#restart = new Restart(state, this.#beats, this.leader, this.session);
    this.learner = new Learner(state, this.#beats, {
      onNewIncarnation: () => this.#beginIncarnation(),
      onFetched: (view, revision, cursors) => this.#onFetched(view, revision, cursors),
    });
    this.#links = new Links(state, this.replication, this.#beats, {
      onRolledBack: (peer) => this.#onRolledBack(peer),
      onLinkChange: (peer) => this.adoption.repeat(peer),
      onNewEpoch: () => this.coordination.read(),
      nodeState: () => this.#nodeState,
      isFit: () => this.state.phase === 'outside' && this.#restart.isFit(this.coordination.latest),
    });
    this.replication.flushedFromCursors();
    this.#beats.begin();
  }

  // ── questions ────────────────────────────────────────────────────────────────────────────────

  get nodeState(): NodeState {
    return this.#nodeState;
  }

  /** May answer clients: in the view, able to commit, its wall clock trusted, not on its way out. */
  serving(): boolean {
    const { draining, clockSteppedAt } = this.state;
    return isMember(this.state) && !draining && clockSteppedAt === undefined && this.#nodeState !== 'ISOLATED';
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

  isReachable(node: string): boolean {
    const member = memberNamed(this.state.view, node);
    return node === this.state.context.options.self || (member !== undefined && linkUp(this.state, member));
  }

  /** A change that is committed: durable on every member, and none can lose it. */
  isCommitted(incarnation: number, seq: number): boolean {
    const { context, committedSeq, committedOf, view, finished, duties } = this.state;
    if (incarnation === context.incarnation) return seq <= committedSeq;
    const named = view?.members.some((member) => member.incarnation === incarnation) === true;
    if (named) return seq <= (committedOf.get(incarnation) ?? 0);
    // Of a node that has left: what its heirs agreed on when they finished the view.
    return finished && !duties.some((duty) => duty.incarnation === incarnation);
  }

  // ── inputs ───────────────────────────────────────────────────────────────────────────────────

  append(address: number, record: Buffer): number {
    return this.replication.append(address, record);
  }

  onLink(event: LinkEvent): void {
    const peer = this.state.peers.get(event.peer);
    if (peer === undefined) return;
    if (event.kind !== 'link-message') {
      this.#links.onEvent(event);
      return;
    }
    if (!peer.streamOpen) return;
    peer.lastHeardAt = this.state.context.now.mono;
    const { body } = event.message;
    if (body === undefined) return;
    // A hello is said once on a stream: it is noted even while this incarnation is not announced yet.
    if (body.$case === 'hello') this.#links.onHello(peer, body.value);
    else if (peer.hello !== undefined && this.state.phase !== 'starting') this.#onPeerMessage(peer, body);
  }

  #onPeerMessage(peer: Peer, body: NonNullable<PeerMessage['body']>): void {
    if (peer.deferred.length > 0 || this.#isOfNewerEpoch(body)) {
      if (body.$case === 'status') this.#links.onStatus(peer, body.value);
      else if (peer.deferred.length < DEFERRED_MAX) peer.deferred.push({ body });
      else this.state.context.out.resets.push(peer.id);
      this.coordination.read();
      return;
    }
    this.#dispatch(peer, body);
  }

  /** Changes and questions of an epoch that is not adopted here wait until it is. */
  #isOfNewerEpoch(body: NonNullable<PeerMessage['body']>): boolean {
    const { phase, view } = this.state;
    if (phase !== 'member') return false;
    switch (body.$case) {
      case 'batch': case 'adopted': case 'tailRequest': case 'confirmRequest': case 'require':
        return body.value.epoch > (view?.epoch ?? 0);
      default:
        return false;
    }
  }

  #runDeferred(): void {
    for (const peer of this.state.peers.values()) {
      const waiting = peer.deferred;
      if (waiting.length === 0) continue;
      peer.deferred = [];
      for (const { body } of waiting) this.#onPeerMessage(peer, body!);
    }
  }

  #dispatch(peer: Peer, body: NonNullable<PeerMessage['body']>): void {
    switch (body.$case) {
      case 'hello': return;
      case 'batch': return this.replication.onBatch(peer, body.value);
      case 'ack':
        this.replication.onAck(peer, body.value);
        if (body.value.incarnation === this.state.context.incarnation) this.#beats.noteAck(peer.incarnation, body.value.seq);
        return this.replication.advanceCommit();
      case 'refuse': return this.replication.onRefuse(peer, body.value);
      case 'adopted': return this.adoption.onAdopted(peer, body.value);
      case 'tailRequest': return this.adoption.onTailRequest(peer, body.value);
      case 'tail': return this.adoption.onTail(peer, body.value);
      case 'confirmRequest': return this.confirmations.onRequest(peer, body.value);
      case 'confirmReply': return this.confirmations.onReply(peer, body.value);
      case 'propose': case 'proposeResult': case 'allocate': case 'allocateResult':
        return this.#hooks.onRequest(peer.id, peer.incarnation, body);
      case 'fetch': return answerFetch(this.state, peer, body.value);
      case 'fetchRecords': return this.learner.onRecords(peer, body.value);
      case 'joinReady': return this.leader.onJoinReady(peer, body.value);
      case 'require': return this.#onRequire({ node: body.value.node, incarnation: body.value.incarnation }, body.value.epoch);
      case 'vouch': return this.leader.onVouch(peer.id, body.value);
      case 'evict': return this.leader.onEvict(body.value);
      case 'status': return this.#links.onStatus(peer, body.value);
      default: body satisfies never;
    }
  }

  #onInboxMessage(from: string, incarnation: number, { body }: PeerMessage): void {
    const peer = this.state.peers.get(from);
    if (peer === undefined || body === undefined) return;
    switch (body.$case) {
      case 'adopted':
        if (body.value.incarnation === incarnation) this.adoption.onAdopted(peer, body.value);
        return;
      case 'tailRequest': return this.adoption.onTailRequest(peer, body.value);
      case 'tail': return this.adoption.onTail(peer, body.value);
      case 'propose': case 'proposeResult': case 'allocate': case 'allocateResult':
        return this.#hooks.onRequest(from, incarnation, body);
      default: return;
    }
  }

  onEtcd(result: EtcdResult): void {
    const { context } = this.state;
    if (result.outcome !== 'unknown') {
      if (this.#etcdAway) {
        this.#etcdAway = false;
        this.leader.etcdWasAway();
        context.out.event('etcd.reachable');
      }
      this.state.etcdAnsweredAt = context.now.mono;
    }
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
    const { context, cursors, view, duties } = this.state;
    const before = context.store.position;
    cursors.save((incarnation) => view?.members.some((member) => member.incarnation === incarnation) === true ||
      duties.some((duty) => duty.incarnation === incarnation) || incarnation === context.incarnation);
    this.#beats.save(context.store.position > before);
  }

  setDhcp(ready: boolean, serverIds: readonly number[]): void {
    this.state.dhcpReady = ready;
    this.state.serverIds = serverIds;
    this.#links.statusAll();
    this.session.hurry();
  }

  drain(): void {
    if (this.state.draining) return;
    this.state.draining = true;
    this.#links.statusAll();
    this.#updateNodeState();
  }

  /** Often, and at the end of each turn. */
  step(): void {
    const { state } = this;
    if (state.phase === 'starting') return;
    if (state.context.options.clustered) {
      this.#links.tick();
      this.#watchEtcd();
      this.session.tick(() => this.#describe());
      this.coordination.tick(isMember(state) && state.finished && this.coordination.latest?.leader !== undefined);
      this.#choosePath();
      this.leader.tick();
      this.inbox.tick();
    }
    this.adoption.step();
    if (isMember(state)) {
      if (state.context.options.clustered) this.#beats.tick();
      this.#vouch();
      this.#drainStep();
    }
    this.#updateNodeState();
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
      this.#goAlone();
      return;
    }
    this.#links.helloAll();
    this.coordination.read();
  }

  /** Without a cluster: a view of one, by the same rules. */
  #goAlone(): void {
    const { context, view: known } = this.state;
    const members = [selfMember(this.state)];
    const view: View = {
      epoch: (known?.epoch ?? 0) + 1, generation: known?.generation ?? 1, members,
      slots: assignSlots(context.options.nodes, members, () => true), protocol: PROTOCOL.max, configRevision: 0,
    };
    this.adoption.adopt(view, 0);
  }

  #choosePath(): void {
    const { phase } = this.state;
    const read = this.coordination.latest;
    if (read === undefined || (phase !== 'outside' && phase !== 'learner') || this.state.draining) return;
    this.#beats.startAbove(read.beats.get(this.state.context.options.self)?.beat ?? 0);
    if (phase === 'outside' && !this.#restart.step(read)) {
      this.#recovering = false;
      return;
    }
    this.#recovering = true;
    this.learner.step(read);
  }

  #onRead(read: ClusterRead): void {
    const { state } = this;
    if (state.phase === 'starting' || state.phase === 'stopped') return;
    for (const [node, address] of read.addresses) {
      if (address !== '' && state.peers.has(node)) this.addresses.set(node, address);
    }
    this.leader.onRead(read);
    if (read.view !== undefined) this.#adoptOrLeave(read.view, read.viewRevision);
    this.leader.adoptKey(read);
  }

  /** A view read from etcd, or written there by us. */
  #adoptOrLeave(view: View, revision: number): void {
    const { state } = this;
    const known = state.view;
    const newer = known === undefined || view.epoch > known.epoch || (view.epoch === known.epoch && state.phase !== 'member');
    if (isNamed(state, view)) {
      if (newer) {
        this.adoption.adopt(view, revision);
        this.#runDeferred();
      } else if (view.epoch === known.epoch) state.viewRevision = revision;
      return;
    }
    if (state.phase === 'member' && newer) this.#leave(view);
  }

  /** Evicted: paused too long, drained, or mistaken for dead. Back through RECOVER, or away. */
  #leave(view: View): void {
    const { context } = this.state;
    context.out.event('view.left', { epoch: view.epoch, members: view.members.map((member) => member.node).join(' ') });
    if (this.state.draining) {
      this.#stop('left the view');
      return;
    }
    this.#recovering = true;
    this.#beginIncarnation();
  }

  #beginIncarnation(): void {
    const { state } = this;
    const { context } = state;
    this.#hooks.onOut();
    this.#beats.newIncarnation();
    context.incarnation = newIncarnation(context.random);
    state.phase = 'starting';
    state.finished = false;
    state.required = undefined;
    state.continuous.fill(0);
    state.log = new RecentLog(context.incarnation);
    state.flushedSeq = 0;
    state.committedSeq = 0;
    state.acknowledged.clear();
    state.inboxed.clear();
    for (const peer of state.peers.values()) peer.forgetOurLog();
    this.adoption.abandon();
    this.inbox.reset();
    this.confirmations.reset();
    this.leader.reset();
    this.learner.reset();
    this.learner.allowIncarnation();
    this.#restart.reset();
    this.#beats.begin();
    this.session.hurry();
    this.#updateNodeState();
  }

  #onRolledBack(peer: Peer): void {
    this.state.context.out.event('cluster.rolled-back', { peer: peer.id });
    this.#recovering = true;
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
      this.learner.reset();
      this.#restart.reset();
      this.#links.helloAll();
    }
    this.#recovering = false;
    this.leader.onAdopted(view!);
    this.confirmations.reset();
    this.leader.clearInboxes(view!);
    // What the view names no more neither counts nor gets our log; it says hello again as a learner.
    for (const peer of state.peers.values()) {
      if (names(view!, peer.id, peer.incarnation)) continue;
      peer.up = false;
      if (peer.hello?.member === true) peer.follows = false;
    }
    this.#links.statusAll();
    this.session.hurry();
    const gone = previous?.members.filter((member) => memberOf(view!, member.node) === undefined) ?? [];
    if (wasMember && gone.length > 0) this.takeovers++;
  }

  #onFinished(gained: number): void {
    this.#links.statusAll();
    if (gained > 0) this.#hooks.onGained(gained);
    this.replication.advanceCommit();
  }

  // ── joins of others ──────────────────────────────────────────────────────────────────────────

  #vouchFrom: { readonly learner: Member; readonly epoch: number; readonly last: number; said: boolean } | undefined;

  #requireEverywhere(learner: Member, epoch: number): void {
    for (const member of otherMembers(this.state)) {
      this.state.context.out.send(member.node, { $case: 'require', value: { epoch, ...learner } });
    }
    this.#onRequire(learner, epoch);
  }

  /** From here on every commit needs the learner's acknowledgement too, until the next view. */
  #onRequire(learner: Member, epoch: number): void {
    const { state } = this;
    if (!isMember(state) || !state.finished || state.view?.epoch !== epoch) return;
    state.required = learner;
    this.#vouchFrom = { learner, epoch, last: state.log.last, said: false };
    this.#vouch();
  }

  #vouch(): void {
    const vouch = this.#vouchFrom;
    const { state } = this;
    if (vouch === undefined || vouch.said) return;
    if (state.view?.epoch !== vouch.epoch) {
      this.#vouchFrom = undefined;
      return;
    }
    const acked = state.acknowledged.get(vouch.learner.incarnation) ?? 0;
    if (acked < vouch.last || state.peers.get(vouch.learner.node)?.incarnation !== vouch.learner.incarnation) return;
    vouch.said = true;
    const value = { epoch: vouch.epoch, ...vouch.learner };
    if (this.leader.leads) this.leader.onVouch(state.context.options.self, value);
    else if (this.leader.leaderNode !== undefined) state.context.out.send(this.leader.leaderNode, { $case: 'vouch', value });
  }

  // ── drain ────────────────────────────────────────────────────────────────────────────────────

  #evictAskedAt = -Infinity;

  /** DESIGN, Drain: nothing new is proposed; once all is committed the leader writes a view without. */
  #drainStep(): void {
    const { state } = this;
    if (!state.draining || !isMember(state)) return;
    if (state.committedSeq < state.log.last) return;
    if (otherMembers(state).length === 0) {
      this.#stop('the only member');
      return;
    }
    if (state.context.now.mono - this.#evictAskedAt < 200) return;
    this.#evictAskedAt = state.context.now.mono;
    const evict = { ...selfMember(state), reason: `${state.context.options.self} drains` };
    if (this.leader.leads) this.leader.onEvict(evict);
    else for (const member of otherMembers(state)) state.context.out.send(member.node, { $case: 'evict', value: evict });
  }

  /** Nothing is held back any more: the process may end. Also where a drained node served nobody. */
  #stop(reason: string): void {
    if (this.state.phase === 'stopped') return;
    this.state.phase = 'stopped';
    this.session.end();
    this.state.context.out.exit = { code: 0, reason };
    this.#updateNodeState();
  }

  // ── time and state ───────────────────────────────────────────────────────────────────────────

  /** Before anything is decided by a new reading of the clocks. */
  watchClock(): void {
    const { context } = this.state;
    const offset = context.now.wall - context.now.mono;
    if (this.#wallOffset !== undefined && Math.abs(offset - this.#wallOffset) > CLOCK_STEP_MS) {
      context.out.event('clock.stepped', { stepMs: Math.round(offset - this.#wallOffset) });
      if (otherMembers(this.state).length > 0) this.state.clockSteppedAt = context.now.mono;
    }
    this.#wallOffset = offset;
  }

  #watchEtcd(): void {
    if (this.#etcdAway || etcdReachable(this.state) || this.state.etcdAnsweredAt === -Infinity) return;
    this.#etcdAway = true;
    this.state.context.out.event('etcd.unreachable');
  }

  /** What `nodes/<id>` shows. */
  #describe(): string {
    const { state } = this;
    const down = otherMembers(state).filter((member) => !linkUp(state, member)).map((member) => member.node);
    return JSON.stringify({
      incarnation: state.context.incarnation, address: state.context.options.address, software: state.context.options.software,
      protocol: [PROTOCOL.min, PROTOCOL.max], state: this.#nodeState, serverIds: state.serverIds, linksDown: down,
    });
  }

  #derivedState(): NodeState {
    const { state } = this;
    if (state.phase === 'stopped') return 'SHUTDOWN';
    if (state.draining) return 'DRAINING';
    if (!isMember(state)) return this.#recovering ? 'RECOVER' : 'STARTUP';
    if (state.context.options.clustered && this.#links.isolated()) return 'ISOLATED';
    if (otherMembers(state).some((member) => !linkUp(state, member))) return 'COMMUNICATIONS-INTERRUPTED';
    if (state.context.options.clustered && state.view!.members.length < state.context.options.nodes.length) return 'PARTNER-DOWN';
    return 'NORMAL';
  }

  #updateNodeState(): void {
    const next = this.#derivedState();
    const last = this.#nodeState;
    if (next === last) return;
    assert(nodeTransitionAllowed(last, next), `a node cannot go from ${last} to ${next}`);
    this.transitions.set(`${last} ${next}`, (this.transitions.get(`${last} ${next}`) ?? 0) + 1);
    this.#nodeState = next;
    this.state.context.out.event('node.state', { from: last, to: next });
    this.#links.statusAll();
    this.session.hurry();
  }

  /** For a drained node that no view names: there is nothing to wait for. */
  stopOutside(): void {
    if (this.state.draining && !isMember(this.state)) this.#stop('not in the view');
  }
}
