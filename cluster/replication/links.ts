/**
 * The links: who is at the other end, whether it keeps up, and what each side shows of itself.
 *
 * A link is up, for the commit rule, when the peer has caught up with our log; it is down when its
 * acknowledgements stay out for `ackTimeout`, when nothing is heard for a second, when it refuses
 * a change because of a newer view, or when the stream ends (the transport gives up a dead one by itself). Down costs only
 * speed: changes then take the inbox.
 */
import type { Hello, Status } from '../../proto/gen/replication.ts';
import type { Beats } from '../recovery/beats.ts';
import { SILENCE_MS } from '../core/context.ts';
import type { NodeState } from '../core/node-state.ts';
import type { Peer } from '../core/peer.ts';
import type { LinkEvent } from '../core/ports.ts';
import { commitPeers, etcdCounts, etcdReachable, isMember, isNamed, noteCommitted, otherMembers } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { Versions } from '../upgrade/versions.ts';
import { encodeView, names } from '../view/view.ts';
import type { View } from '../view/view.ts';
import { isCursor, isIncarnation } from './cursors.ts';
import type { Replication } from './replication.ts';

export const STATUS_EVERY_MS = 250;

export interface LinkHooks {
  /** The peer's process holds this node's own log further than it was written, or another one. */
  readonly onRolledBack: (peer: Peer) => void;
  /** A link came up or went down: what must reach everyone is said again. */
  readonly onLinkChange: (peer: Peer) => void;
  readonly onNewEpoch: () => void;
  /** The peer may be in a newer generation; false: this node has left its own, and is another incarnation now. */
  readonly onGeneration: (peer: Peer, hello: Hello) => boolean;
  readonly nodeState: () => NodeState;
  readonly isFit: () => boolean;
}

export class Links {
  readonly #state: ClusterState;
  readonly #replication: Replication;
  readonly #beats: Beats;
  readonly #versions: Versions;
  readonly #hooks: LinkHooks;
  #lastStep = -Infinity;

  constructor(state: ClusterState, replication: Replication, beats: Beats, versions: Versions, hooks: LinkHooks) {
    this.#state = state;
    this.#replication = replication;
    this.#beats = beats;
    this.#versions = versions;
    this.#hooks = hooks;
  }

  onEvent(event: LinkEvent): void {
    const peer = this.#state.peers.get(event.peer);
    if (peer === undefined || event.kind === 'link-message') return;
    if (event.kind === 'link-up') {
      peer.streamClosed();
      peer.streamOpen = true;
      peer.refused = false;
      peer.lastHeardAt = this.#state.context.now.mono;
      if (this.#state.phase !== 'starting') this.sendHello(peer);
      return;
    }
    const wasUp = peer.up;
    if (event.reason === 'refused') peer.refused = true;
    peer.streamClosed();
    if (wasUp) this.#changed(peer, event.reason);
  }

  #changed(peer: Peer, reason: string): void {
    this.#state.context.out.event(peer.up ? 'link.up' : 'link.down', { peer: peer.id, reason });
    this.#hooks.onLinkChange(peer);
  }

  // ── hello ────────────────────────────────────────────────────────────────────────────────────

  /** First on each stream, and again when this node becomes another incarnation or a follower. */
  sendHello(peer: Peer): void {
    const { context, view, cursors, phase } = this.#state;
    const hello: Hello = {
      cluster: context.options.clusterName,
      node: context.options.self,
      incarnation: context.incarnation,
      protocolMin: context.options.protocol.min,
      protocolMax: context.options.protocol.max,
      software: context.options.software,
      generation: view?.generation ?? 0,
      epoch: view?.epoch ?? 0,
      member: isMember(this.#state),
      follows: isMember(this.#state) || phase === 'learner' && this.#state.lastFinished === view,
      fit: this.#hooks.isFit(),
      wallMs: Math.round(context.now.wall),
      heldIncarnations: this.#beats.held(),
      cursors: cursors.list(),
      acksSeen: this.#beats.acksSeen(),
      hasData: this.#beats.hadData() || view !== undefined,
      forcedView: this.#state.unwritten && isMember(this.#state) ? encodeView(view!) : Buffer.alloc(0),
    };
    context.out.send(peer.id, { $case: 'hello', value: hello });
    peer.lastStatusSentAt = -Infinity;
  }

  helloAll(): void {
    for (const peer of this.#state.peers.values()) if (peer.streamOpen) this.sendHello(peer);
  }

  onHello(peer: Peer, hello: Hello): void {
    const { context, acknowledged, cursors, log, view } = this.#state;
    if (hello.cluster !== context.options.clusterName || hello.node !== peer.id ||
        !isIncarnation(hello.incarnation) || !hello.cursors.every(isCursor)) {
      context.out.event('link.refused-hello', { peer: peer.id, cluster: hello.cluster, node: hello.node });
      context.out.resets.push(peer.id);
      return;
    }
    const { min, max } = context.options.protocol;
    peer.said = { incarnation: hello.incarnation, software: hello.software, protocol: { min: hello.protocolMin, max: hello.protocolMax } };
    if (hello.protocolMax < min || hello.protocolMin > max) {
      this.#onForeignHello(peer, hello);
      return;
    }
    if (peer.lastIncarnation !== hello.incarnation) {
      if (peer.adopted?.incarnation !== hello.incarnation) peer.adopted = undefined;
      peer.lastIncarnation = hello.incarnation;
      peer.status = undefined;
      peer.refusesClock = false;
      // What its earlier incarnation said is void, its acknowledgements above all.
      peer.deferred = [];
    }
    const wasUp = peer.up;
    // The same incarnation says hello again when its standing changes; it has not lost what it had.
    peer.up = wasUp && peer.hello?.incarnation === hello.incarnation;
    peer.hello = hello;
    peer.follows = hello.follows;
    this.#compareWall(peer, hello.wallMs);
    const own = hello.cursors.find((cursor) => cursor.incarnation === context.incarnation);
    // ARCHITECTURE.md, Fit: a peer that has a number never sent, or another checksum for it: our past is another.
    if (own !== undefined && !log.agrees(own.seq, own.checksum)) {
      this.#hooks.onRolledBack(peer);
      return;
    }
    // The same the other way round: it has had our word for more of its log than we have.
    if (hello.acksSeen.some(({ by, origin, seq }) => by === context.incarnation && origin === hello.incarnation && seq > cursors.seq(origin))) {
      this.#hooks.onRolledBack(peer);
      return;
    }
    peer.nextSeq = (own?.seq ?? 0) + 1;
    peer.catchUpTarget = log.last;
    peer.progressAt = context.now.mono;
    if (!acknowledged.has(hello.incarnation)) acknowledged.set(hello.incarnation, 0);
    if (view === undefined || hello.epoch > view.epoch) this.#hooks.onNewEpoch();
    if (!this.#hooks.onGeneration(peer, hello)) return;
    this.#replication.sendAck(peer);
    this.sendStatus(peer);
    if (wasUp && !peer.up) this.#changed(peer, 'another incarnation');
    else this.#hooks.onLinkChange(peer);
  }

  /** The stream stays: making it anew would change nothing, and the next start of that node may speak another version. */
  #onForeignHello(peer: Peer, hello: Hello): void {
    peer.foreign = hello;
    this.#versions.onForeign(peer);
    if (!this.#hooks.onGeneration(peer, hello)) return;
    if (this.#state.view === undefined || hello.epoch > this.#state.view.epoch) this.#hooks.onNewEpoch();
  }

  /** What the view names no more neither counts nor gets our log; it says hello again as a learner. */
  onAdopted(view: View): void {
    for (const peer of this.#state.peers.values()) {
      if (names(view, peer.id, peer.incarnation)) continue;
      peer.up = false;
      if (peer.hello?.member === true) peer.follows = false;
    }
  }

  // ── status ───────────────────────────────────────────────────────────────────────────────────

  sendStatus(peer: Peer): void {
    const { context, view, finished, log, committedSeq } = this.#state;
    if (!peer.connected || this.#state.phase === 'starting') return;
    peer.lastStatusSentAt = context.now.mono;
    const status: Status = {
      state: this.#hooks.nodeState(),
      epoch: view?.epoch ?? 0,
      finished: isMember(this.#state) && finished,
      dhcpReady: this.#state.dhcpReady,
      serverIds: [...this.#state.serverIds],
      last: log.last,
      committed: committedSeq,
      draining: this.#state.leaving,
      wallMs: Math.round(context.now.wall),
      fit: this.#hooks.isFit(),
    };
    context.out.send(peer.id, { $case: 'status', value: status });
  }

  statusAll(): void {
    for (const peer of this.#state.peers.values()) this.sendStatus(peer);
  }

  onStatus(peer: Peer, status: Status): void {
    peer.status = status;
    const aside = status.state === 'ISOLATED' || status.epoch < (this.#state.view?.epoch ?? 0);
    peer.standingAsideSince = aside ? Math.min(peer.standingAsideSince, this.#state.context.now.mono) : Infinity;
    this.#compareWall(peer, status.wallMs);
    noteCommitted(this.#state, peer.incarnation, status.committed);
    if (status.epoch > (this.#state.view?.epoch ?? 0)) this.#hooks.onNewEpoch();
  }

  #compareWall(peer: Peer, wallMs: number): void {
    peer.wallDifferenceMs = wallMs - this.#state.context.now.wall;
    peer.wallComparedAt = this.#state.context.now.mono;
    if (Math.abs(peer.wallDifferenceMs) <= this.#state.context.options.maxClockSkewMs) peer.refusesClock = false;
    this.#settleClockStep();
  }

  /**
   * After a step of the wall clock nothing is committed until it agrees with every member's. Where they have
   * left the view meanwhile, one of the nodes that it has to do with must agree: alone it has nobody's word.
   */
  #settleClockStep(): void {
    const { clockSteppedAt, context, peers } = this.#state;
    if (clockSteppedAt === undefined) return;
    const limit = context.options.maxClockSkewMs;
    const agrees = (peer: Peer | undefined): boolean =>
      peer !== undefined && peer.wallComparedAt > clockSteppedAt && Math.abs(peer.wallDifferenceMs) <= limit;
    const others = otherMembers(this.#state);
    const all = others.length > 0 ? others.every(({ node }) => agrees(peers.get(node))) : [...peers.values()].some(agrees);
    if (all) this.#state.clockSteppedAt = undefined;
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────

  tick(): void {
    const { context } = this.#state;
    // After a stall of our own, what the peers sent in time still waits to be read: not their fault.
    const stall = Math.max(0, context.now.mono - this.#lastStep - 100);
    if (stall > 0 && this.#lastStep !== -Infinity) {
      for (const peer of this.#state.peers.values()) {
        peer.lastHeardAt += stall;
        peer.progressAt += stall;
      }
    }
    this.#lastStep = context.now.mono;
    for (const peer of this.#state.peers.values()) {
      if (!peer.streamOpen) continue;
      this.#watch(peer);
      if (peer.connected && context.now.mono - peer.lastStatusSentAt >= STATUS_EVERY_MS) this.sendStatus(peer);
    }
    if (this.#state.clockSteppedAt !== undefined) this.#settleClockStep();
  }

  #watch(peer: Peer): void {
    const { context, acknowledged, log, view } = this.#state;
    const now = context.now.mono;
    if (!peer.connected) return;
    const acked = acknowledged.get(peer.incarnation) ?? 0;
    const waiting = peer.follows && peer.nextSeq - 1 > acked;
    const late = waiting && now - peer.progressAt > context.options.ackTimeoutMs;
    const outdated = peer.refusedInEpoch > (view?.epoch ?? 0);
    if (peer.up && (late || outdated || now - peer.lastHeardAt > SILENCE_MS)) {
      peer.up = false;
      peer.catchUpTarget = log.last;
      this.#changed(peer, outdated ? 'it refused an older epoch' : late ? 'acknowledgements stay out' : 'silent');
    } else if (!peer.up && !outdated && acked >= peer.catchUpTarget && peer.nextSeq - 1 >= peer.catchUpTarget && !late &&
        now - peer.lastHeardAt <= SILENCE_MS && view !== undefined && isNamed(this.#state, view) &&
        (names(view, peer.id, peer.incarnation) || this.#state.required?.incarnation === peer.incarnation)) {
      peer.up = true;
      this.#changed(peer, 'caught up');
    }
  }

  /** Members, or a learner that counts as one, that are reachable neither over their link nor through etcd: nothing can be committed. */
  isolated(): boolean {
    if (etcdReachable(this.#state) && etcdCounts(this.#state)) return false;
    return commitPeers(this.#state).some((member) => this.#state.peers.get(member.node)?.up !== true);
  }
}
