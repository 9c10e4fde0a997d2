/**
 * Election, and the writing of views (ARCHITECTURE.md, View changes). Only the holder of the election key
 * writes views, in a transaction that compares that key's create revision and the view's mod
 * revision; so whoever writes the next view is a member of the one before.
 *
 * A write whose answer was lost counts as neither done nor undone: the next write, whatever it is,
 * takes the next epoch from what a linearizable read shows, and by changing the view's revision makes
 * the lost one fail for good.
 */
import type { Evict, JoinReady, Vouch } from '../../proto/gen/replication.ts';
import { SILENCE_MS } from '../core/context.ts';
import type { Peer } from '../core/peer.ts';
import { etcdCounts, isKnownGone, isMember, memberNamed, otherMembers } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { Versions } from '../upgrade/versions.ts';
import type { Configuration } from './configuration.ts';
import type { ClusterRead, Coordination } from './coordination.ts';
import { assignSlots } from './slots.ts';
import { encodeView } from './view.ts';
import type { Member, View } from './view.ts';
import type { Session } from './session.ts';

/** A join that takes longer is given up, so that a learner that is gone holds up no commit. */
const JOIN_MS = 3000;
const RETRY_MS = 100;

interface Join {
  readonly learner: Member;
  readonly epoch: number;
  readonly since: number;
  readonly vouched: Set<string>;
}

export interface LeaderHooks {
  /** The view as etcd has it now is this one, written by us. */
  readonly onWritten: (view: View, revision: number) => void;
  /** Ask every member, this one too, to require the learner's acknowledgement. */
  readonly onRequire: (learner: Member, epoch: number) => void;
  /** An operator wants the node out of service. */
  readonly isDrained: (node: string) => boolean;
  /** Why the member is to leave although it does not ask for it; undefined: it is not. */
  readonly overdue: (member: Member) => string | undefined;
}

export class Leader {
  readonly #state: ClusterState;
  readonly #coordination: Coordination;
  readonly #session: Session;
  readonly #configuration: Configuration;
  readonly #versions: Versions;
  readonly #hooks: LeaderHooks;
  /** Create revision of our election key; undefined: we do not lead, as far as we know. */
  #key: number | undefined;
  #busy = false;
  #retryAt = -Infinity;
  /** Until then somebody else is to lead. */
  #standsDownUntil = -Infinity;
  /** The next write must come even if nothing else is to change. */
  #bump = false;
  /** Inboxes of nodes outside the view are being cleared: no join until that is over. */
  #clearing = false;
  #join: Join | undefined;
  /** Incarnations that asked to be evicted, and why. */
  readonly #evictions = new Map<number, string>();
  #compared: { readonly view?: View; readonly slots?: readonly number[]; readonly same: boolean } = { same: false };
  /** etcd was gone before this moment: sessions get one TTL of grace after it. */
  #sessionsTrustedFrom = 0;

  constructor(
    state: ClusterState, coordination: Coordination, session: Session, configuration: Configuration, versions: Versions, hooks: LeaderHooks,
  ) {
    this.#state = state;
    this.#coordination = coordination;
    this.#session = session;
    this.#configuration = configuration;
    this.#versions = versions;
    this.#hooks = hooks;
  }

  get leads(): boolean {
    return this.#key !== undefined;
  }

  get leaderNode(): string | undefined {
    return this.leads ? this.#state.context.options.self : this.#coordination.latest?.leader?.node;
  }

  /** Out of the view, or another incarnation: nothing of this holds any more. */
  reset(): void {
    this.#key = undefined;
    this.#join = undefined;
    this.#bump = false;
    this.#clearing = false;
    this.#evictions.clear();
  }

  /** A view was adopted: joins and evictions of the old one are done or void. */
  onAdopted(view: View): void {
    if (this.#join !== undefined && this.#join.epoch < view.epoch) this.#join = undefined;
    for (const incarnation of this.#evictions.keys()) {
      if (!view.members.some((member) => member.incarnation === incarnation)) this.#evictions.delete(incarnation);
    }
  }

  etcdWasAway(): void {
    this.#sessionsTrustedFrom = this.#state.context.now.mono + this.#session.ttlMs;
  }

  /** After each read of etcd: an election key that is not ours any more is lost. */
  onRead(read: ClusterRead): void {
    if (this.#key !== undefined && !this.#busy && read.leader?.createRevision !== this.#key) this.#key = undefined;
  }

  /** It wants to stay after all. */
  withdraw(incarnation: number): void {
    this.#evictions.delete(incarnation);
  }

  // ── election ─────────────────────────────────────────────────────────────────────────────────

  tick(): void {
    const { context } = this.#state;
    const read = this.#coordination.latest;
    if (this.#busy || read === undefined || context.now.mono < this.#retryAt || !isMember(this.#state) || !etcdCounts(this.#state)) return;
    // Its own clock has stepped: the others are not wrong because they differ from it. Let one of them judge.
    if (this.#state.clockSteppedAt !== undefined) return this.resign();
    if (this.#key !== undefined) this.#lead(read);
    else if (context.now.mono < this.#standsDownUntil) return;
    else if (read.leader === undefined) this.campaign(this.#state.viewRevision);
    else if (isKnownGone(this.#state, read.leader)) this.depose(read.leader.createRevision);
  }

  /** Members only; after a power cut also a fit restarted node, which compares the view it saw. */
  campaign(viewRevision: number): void {
    const { context } = this.#state;
    if (this.#session.lease === undefined || this.#busy || context.now.mono < this.#retryAt) return;
    const { incarnation, options } = context;
    const value = Buffer.from(JSON.stringify({ node: options.self, incarnation }));
    this.#busy = true;
    context.etcd.txn({
      compares: [{ key: 'leader', createRevision: 0 }, { key: 'view', modRevision: viewRevision }],
      then: [{ op: 'put', key: 'leader', value, lease: this.#session.lease }],
    }, (result) => {
      this.#busy = false;
      if (incarnation !== context.incarnation) return;
      if (result?.succeeded === true) {
        this.#key = result.revision;
        this.#bump = true;
        context.out.event('leader.elected', { epoch: this.#state.view?.epoch ?? 0 });
      } else {
        this.#retryAt = context.now.mono + RETRY_MS;
      }
      this.#coordination.read();
    });
  }

  resign(): void {
    if (this.#key === undefined) return;
    const key = this.#key;
    this.reset();
    this.depose(key);
  }

  /** An election key that a lost answer left us with, or that a dead node left behind. */
  depose(createRevision: number): void {
    const { context } = this.#state;
    if (this.#busy) return;
    this.#busy = true;
    context.etcd.txn({
      compares: [{ key: 'leader', createRevision }], then: [{ op: 'delete', key: 'leader' }],
    }, () => {
      this.#busy = false;
      this.#retryAt = context.now.mono;
      this.#coordination.read();
    });
    this.#retryAt = context.now.mono + RETRY_MS;
  }

  /** After a lost answer the read may show that we do lead: the key names this incarnation. */
  adoptKey(read: ClusterRead): void {
    const { context } = this.#state;
    if (this.#key !== undefined || this.#busy || !etcdCounts(this.#state) || read.leader?.node !== context.options.self) return;
    if (read.leader.incarnation !== context.incarnation) return;
    this.#key = read.leader.createRevision;
    this.#bump = true;
  }

  // ── leading ──────────────────────────────────────────────────────────────────────────────────

  #lead(read: ClusterRead): void {
    const { view, context } = this.#state;
    if (view === undefined) return;
    const { self } = context.options;
    const leaving = new Map<number, string>();
    for (const member of otherMembers(this.#state)) {
      const why = this.#whyEvict(member, read);
      if (why !== undefined) leaving.set(member.incarnation, why);
    }
    let members = leaving.size === 0 ? view.members : view.members.filter((member) => !leaving.has(member.incarnation));
    if (this.#evictions.has(context.incarnation) && members.some((member) => member.node !== self && this.#lives(member, read))) return this.#standDown();
    const joining = this.#joinReady(leaving.size > 0 || this.#bump);
    if (joining !== undefined) members = [...members, joining].toSorted((a, b) => (a.node < b.node ? -1 : 1));
    const slots = assignSlots(context.options.nodes, members, (node) => this.canServe(node));
    const same = leaving.size === 0 && joining === undefined && this.#areSlotsOf(view, slots);
    // By themselves, so that a view changes either who serves or what is served. A join under way would be void.
    const alone = same && !this.#bump && this.#join === undefined;
    const protocol = this.#versions.next(view, members) ?? view.protocol;
    const newProtocol = protocol !== view.protocol;
    const configRevision = alone && !newProtocol ? this.#configuration.nextFor(view, read) : view.configRevision;
    const newConfig = configRevision !== view.configRevision;
    if (same && !this.#bump && !newConfig && !(alone && newProtocol)) return;
    const reasons = [
      ...leaving.values(), ...(joining === undefined ? [] : [`join of ${joining.node}`]),
      ...(newConfig ? [`configuration revision ${configRevision}`] : []), ...(newProtocol ? [`protocol version ${protocol}`] : []),
    ];
    this.#write({ ...view, epoch: view.epoch + 1, members, slots, protocol, configRevision }, reasons.join(', ') || (this.#bump ? 'new epoch' : 'slots'));
  }

  /**
   * This node is to leave. Whoever stays leads, and writes the view without it: one that is left to a node which has just died,
   * with its disk perhaps, could be led by nobody, and the node that has everything would be outside of it.
   */
  #standDown(): void {
    this.resign();
    this.#standsDownUntil = this.#state.context.now.mono + this.#session.ttlMs;
  }

  /** Whether the view's members, all of whom stay, would own what they own. Asked in every turn, about what hardly ever changes. */
  #areSlotsOf(view: View, slots: readonly number[]): boolean {
    if (this.#compared.view !== view || this.#compared.slots !== slots) {
      this.#compared = { view, slots, same: slots.every((index, slot) => index === view.slots[slot]) };
    }
    return this.#compared.same;
  }

  /** It is heard at this moment, or has its session for longer than that outlives a node that is not. */
  #lives({ incarnation, node }: Member, { readAt, sessions }: ClusterRead): boolean {
    const { context, peers } = this.#state;
    const peer = peers.get(node);
    if (peer?.connected === true && peer.incarnation === incarnation && context.now.mono - peer.lastHeardAt <= SILENCE_MS) return true;
    return sessions.get(node) === incarnation && readAt - (peer?.lastHeardAt ?? -Infinity) > this.#session.ttlMs;
  }

  /** Has an interface on which clients are served, as far as it is known. */
  canServe(node: string): boolean {
    if (node === this.#state.context.options.self) return this.#state.dhcpReady;
    return this.#state.peers.get(node)?.status?.dhcpReady ?? true;
  }

  /** ARCHITECTURE.md, A member leaves. When to evict is a matter of taste, not of safety. */
  #whyEvict(member: Member, read: ClusterRead): string | undefined {
    const { acknowledged, context, inboxed, log, peers } = this.#state;
    const peer = peers.get(member.node);
    if (peer === undefined || !context.options.nodes.some(({ id }) => id === member.node)) return `${member.node} is not configured`;
    const asked = this.#evictions.get(member.incarnation);
    if (asked !== undefined) return asked;
    const leaving = read.leaving.get(member.node);
    if (leaving?.incarnation === member.incarnation) return leaving.reason;
    const overdue = this.#hooks.overdue(member);
    if (overdue !== undefined) return overdue;
    if (peer.refused) return `${member.node} is dead`;
    if (peer.introduced !== undefined && peer.introduced.incarnation !== member.incarnation) return `${member.node} has restarted`;
    const now = context.now.mono;
    const sessionStands = read.sessions.get(member.node) === member.incarnation;
    if (!sessionStands && now >= this.#sessionsTrustedFrom && now - peer.lastHeardAt > this.#session.ttlMs &&
        now - read.readAt < this.#session.ttlMs) return `${member.node} is silent and its session is gone`;
    // It is heard and yet cannot take part: it reaches neither etcd nor all members.
    if (!sessionStands && now >= this.#sessionsTrustedFrom && now - peer.standingAsideSince > this.#session.ttlMs) {
      return `${member.node} is isolated and its session is gone`;
    }
    // What lies in its inbox it takes from there, or it asks to be evicted itself: a cut link alone evicts nobody.
    const has = Math.max(acknowledged.get(member.incarnation) ?? 0, inboxed.get(member.incarnation) ?? 0);
    if (has + 1 < log.base) return `${member.node} lacks changes that are not kept any more`;
    const oldest = log.at(has + 1);
    if (oldest !== undefined && now - oldest.madeAt > context.options.evictAfterMs) return `${member.node} takes no changes`;
    if (peer.connected && Math.abs(peer.wallDifferenceMs) > context.options.maxClockSkewMs) {
      return `the clock of ${member.node} differs by ${Math.round(peer.wallDifferenceMs)} ms`;
    }
    const apart = this.#clockApartFrom(peer).find((other) => isFartherOff(peer, other));
    return apart === undefined ? undefined : `the clock of ${member.node} differs by ${Math.round(peer.wallDifferenceMs - apart.wallDifferenceMs)} ms from that of ${apart.id}`;
  }

  /** Other members whose clocks differ from this peer's by too much, although none of them differs so from this node's. */
  #clockApartFrom(peer: Peer): Peer[] {
    const { context, peers } = this.#state;
    if (!peer.connected) return [];
    return otherMembers(this.#state).flatMap(({ node }) => peers.get(node) ?? [])
      .filter((other) => other.connected && Math.abs(peer.wallDifferenceMs - other.wallDifferenceMs) > context.options.maxClockSkewMs);
  }

  onEvict(evict: Evict): void {
    const member = memberNamed(this.#state.view, evict.node);
    if (member?.incarnation === evict.incarnation) this.#evictions.set(evict.incarnation, evict.reason);
  }

  // ── joins ────────────────────────────────────────────────────────────────────────────────────

  onJoinReady(peer: Peer, ready: JoinReady): void {
    const { context, view, finished } = this.#state;
    if (!this.leads || !etcdCounts(this.#state) || this.#bump || this.#busy || this.#clearing || !finished || view?.epoch !== ready.epoch) return;
    if (this.#join !== undefined || memberNamed(view, ready.node) !== undefined || peer.incarnation !== ready.incarnation) return;
    if (!context.options.nodes.some((node) => node.id === ready.node) || this.#hooks.isDrained(ready.node)) return;
    if (Math.abs(peer.wallDifferenceMs) > context.options.maxClockSkewMs || this.#clockApartFrom(peer).length > 0) {
      context.out.event('cluster.clock-difference', { peer: peer.id, differenceMs: Math.round(peer.wallDifferenceMs) });
      return;
    }
    const learner = { node: ready.node, incarnation: ready.incarnation };
    if (!this.#versions.mayLetIn(view, peer, learner)) return;
    this.#join = { learner, epoch: view.epoch, since: context.now.mono, vouched: new Set() };
    this.#hooks.onRequire(learner, view.epoch);
  }

  onVouch(node: string, vouch: Vouch): void {
    if (this.#join?.epoch === vouch.epoch && this.#join.learner.incarnation === vouch.incarnation) this.#join.vouched.add(node);
  }

  /** The learner, once every member has vouched for it. A join that cannot be is ended by a bump. */
  #joinReady(otherChange: boolean): Member | undefined {
    const join = this.#join;
    const { context, view, peers } = this.#state;
    if (join === undefined) return undefined;
    const peer = peers.get(join.learner.node);
    const gone = peer?.refused === true || this.#hooks.isDrained(join.learner.node) || (peer?.connected === true && peer.incarnation !== join.learner.incarnation);
    if (otherChange || gone || join.epoch !== view?.epoch || context.now.mono - join.since > JOIN_MS) {
      this.#join = undefined;
      this.#bump = true;
      return undefined;
    }
    return view.members.every((member) => join.vouched.has(member.node)) ? join.learner : undefined;
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────

  #write(view: View, reason: string, viewRevision = this.#state.viewRevision): void {
    const { context } = this.#state;
    const { incarnation } = context;
    this.#busy = true;
    context.etcd.txn({
      compares: [{ key: 'leader', createRevision: this.#key! }, { key: 'view', modRevision: viewRevision }],
      then: [{ op: 'put', key: 'view', value: encodeView(view) }],
    }, (result) => {
      this.#busy = false;
      if (incarnation !== context.incarnation) return;
      if (result?.succeeded === true) {
        this.#bump = false;
        context.out.event('view.written', { epoch: view.epoch, members: view.members.map((member) => member.node).join(' '), reason });
        this.#hooks.onWritten(view, result.revision);
        return;
      }
      // Lost or refused: whatever comes next is decided on a fresh read and takes a new epoch.
      this.#bump = true;
      this.#retryAt = context.now.mono + RETRY_MS;
      this.#coordination.read();
    });
  }

  /** Where etcd has no view at all: creates it, and with it the election key. */
  create(view: View, done: () => void): void {
    const { context } = this.#state;
    const { incarnation, options } = context;
    const value = Buffer.from(JSON.stringify({ node: options.self, incarnation }));
    this.#busy = true;
    context.etcd.txn({
      compares: [{ key: 'view', createRevision: 0 }, { key: 'leader', createRevision: 0 }],
      then: [{ op: 'put', key: 'view', value: encodeView(view) }, { op: 'put', key: 'leader', value, lease: this.#session.lease! }],
    }, (result) => {
      this.#busy = false;
      done();
      if (result?.succeeded === true && incarnation === context.incarnation) {
        this.#key = result.revision;
        this.#hooks.onWritten(view, result.revision);
      } else this.#coordination.read();
    });
  }

  /** After a power cut: the first view of the restarted nodes. */
  writeFirst(view: View, viewRevision: number): void {
    this.#write(view, 'restarted nodes go on', viewRevision);
  }

  /** Something was written that another answer must show. */
  lookAgain(): void {
    this.#retryAt = this.#state.context.now.mono + RETRY_MS;
    this.#coordination.read();
  }

  /** A request is under way, or one failed and the read that follows it should come first. */
  get busy(): boolean {
    return this.#busy || this.#state.context.now.mono < this.#retryAt;
  }

  /** Items for nodes outside the view help nobody. Done before any learner is required. */
  clearInboxes(view: View): void {
    const { context } = this.#state;
    if (!this.leads || !etcdCounts(this.#state)) return;
    const inView = new Set(view.members.map((member) => member.node));
    const prefixes = context.options.nodes.filter(({ id }) => !inView.has(id)).map(({ id }) => `inbox/${id}/`);
    if (prefixes.length === 0) return;
    this.#clearing = true;
    context.etcd.txn({
      compares: [{ key: 'view', modRevision: this.#state.viewRevision }],
      then: prefixes.map((prefix) => ({ op: 'delete-prefix', prefix })),
    }, (result) => {
      this.#clearing = false;
      // It may still happen: not while a learner's inbox holds what it needs, so under another revision.
      if (result === undefined) this.#bump = true;
    });
  }
}

/** One of two is to go: whose clock differs more from the leader's. */
function isFartherOff(one: Peer, other: Peer): boolean {
  const [a, b] = [Math.abs(one.wallDifferenceMs), Math.abs(other.wallDifferenceMs)];
  return a === b ? one.id > other.id : a > b;
}
