/**
 * A node that starts (ARCHITECTURE.md, The first view, A node restarts): where others serve it joins them;
 * where etcd has no view and no store has data it makes the first one; only where no member is left
 * do fit restarted nodes go on by themselves.
 */
import type { ProtocolRange } from '../../node/protocol.ts';
import type { Peer } from '../core/peer.ts';
import type { ClusterState } from '../core/state.ts';
import { etcdReachable, isKnownGone, selfMember } from '../core/state.ts';
import { ETCD_DEADLINE_MS } from '../core/context.ts';
import { highestCommon } from '../upgrade/versions.ts';
import type { Configuration } from '../view/configuration.ts';
import type { ClusterRead } from '../view/coordination.ts';
import type { Leader } from '../view/leader.ts';
import type { Session } from '../view/session.ts';
import { viewOfMembers } from '../view/slots.ts';
import type { EtcdMemory } from '../view/etcd-memory.ts';
import { isNewer, memberOf, names } from '../view/view.ts';
import type { Member, View } from '../view/view.ts';
import type { Beats } from './beats.ts';
import type { LastResort } from './last-resort.ts';

/** Beyond a session TTL: by then the sessions of nodes that live are in etcd again, and their links are up. */
const ASK_FIRST_MS = 1000;
const REPORT_EVERY_MS = 30_000;

export interface RestartParts {
  readonly state: ClusterState;
  readonly beats: Beats;
  readonly leader: Leader;
  readonly session: Session;
  readonly configuration: Configuration;
  readonly memory: EtcdMemory;
  readonly lastResort: LastResort;
}

export class Restart {
  readonly #state: ClusterState;
  readonly #beats: Beats;
  readonly #leader: Leader;
  readonly #session: Session;
  readonly #configuration: Configuration;
  readonly #memory: EtcdMemory;
  readonly #lastResort: LastResort;
  #since: number | undefined;
  #reportedAt = -Infinity;
  #creating = false;
  #dataSeenAt: number | undefined;
  #writing = false;

  constructor(parts: RestartParts) {
    this.#state = parts.state;
    this.#beats = parts.beats;
    this.#leader = parts.leader;
    this.#session = parts.session;
    this.#configuration = parts.configuration;
    this.#memory = parts.memory;
    this.#lastResort = parts.lastResort;
  }

  reset(): void {
    this.#since = undefined;
    this.#dataSeenAt = undefined;
  }

  /** Once a turn while no view names this incarnation. True: others serve, so RECOVER. */
  step(read: ClusterRead): boolean {
    const { context, wentBack } = this.#state;
    this.#since ??= context.now.mono;
    if (read.view === undefined) {
      if (read.viewRevision === 0) this.#firstView(read);
      else this.#report('cluster.view-unreadable', {});
      return false;
    }
    // Which view counts is for the operator to say; or it follows, since another node has it already.
    if (wentBack !== '') return false;
    const view = this.#viewThatCounts(read)!;
    if (view.generation < this.#memory.newestGeneration) {
      this.#report('cluster.older-generation', { generation: view.generation, newest: this.#memory.newestGeneration });
      return false;
    }
    const own = memberOf(view, context.options.self);
    const live = this.#liveMembers(view);
    if (live.length > 0 || own === undefined) {
      if (this.#leader.leads && live.length > 0) this.#leader.depose(read.leader?.createRevision ?? 0);
      return true;
    }
    this.#goOnAlone(read, view, own);
    return false;
  }

  /** etcd's; or that on the disk, if an operator's word made it and etcd has only an older one. */
  #viewThatCounts(read: ClusterRead | undefined): View | undefined {
    const { unwritten, view } = this.#state;
    if (!unwritten || read?.view === undefined) return read?.view;
    return isNewer(view!, read.view) ? view : read.view;
  }

  #liveMembers(view: View): Peer[] {
    return [...this.#state.peers.values()].filter((peer) => peer.introduced?.member === true && names(view, peer.id, peer.introduced.incarnation));
  }

  #report(id: 'cluster.view-unreadable' | 'cluster.older-generation' | 'cluster.no-view-but-data' | 'cluster.unfit', fields: Record<string, string | number>): void {
    if (this.#state.context.now.mono - this.#reportedAt < REPORT_EVERY_MS) return;
    this.#reportedAt = this.#state.context.now.mono;
    this.#state.context.out.event(id, fields);
  }

  // ── the first view ───────────────────────────────────────────────────────────────────────────

  #firstView(read: ClusterRead): void {
    const { context, peers } = this.#state;
    const withData = [...peers.values()].find((peer) => peer.introduced?.hasData === true);
    if (this.#beats.hadData() || this.#state.view !== undefined || withData !== undefined || this.#state.wentBack !== '') {
      // A peer may have made the first view since this read began: the next one shows it.
      this.#dataSeenAt ??= context.now.mono;
      if (read.readAt - this.#dataSeenAt > ETCD_DEADLINE_MS) this.#report('cluster.no-view-but-data', { node: withData?.id ?? context.options.self });
      return;
    }
    const asked = [...peers.values()].every((peer) => peer.introduced !== undefined || peer.refused);
    if (!asked && context.now.mono - this.#since! < this.#session.ttlMs + ASK_FIRST_MS) return;
    if (this.#creating || this.#session.lease === undefined) return;
    this.#creating = true;
    const view = this.#viewOf([selfMember(this.#state)], [], { epoch: 0, generation: 1, configRevision: this.#configuration.loaded, probeUntil: 0 });
    this.#leader.create(view, () => {
      this.#creating = false;
    });
  }

  /**
   * Without a cluster: a view of one, by the same rules. With a store from a backup it begins a generation, as an
   * operator's word does in a cluster: leases may be held that were given after the backup.
   */
  loneView(): View {
    const { view } = this.#state;
    const start = this.#beats.restoredFrom() === '' ? { epoch: view?.epoch ?? 0, generation: view?.generation ?? 1, probeUntil: view?.probeUntil ?? 0 }
      : { ...this.#lastResort.next(), probeUntil: this.#lastResort.probeUntil() };
    return this.#viewOf([selfMember(this.#state)], [], { ...start, configRevision: 0 });
  }

  /** `others`: what they speak; a version is left for all. */
  #viewOf(members: readonly Member[], others: readonly ProtocolRange[], before: Omit<View, 'members' | 'slots' | 'protocol'>): View {
    const { nodes, protocol } = this.#state.context.options;
    return viewOfMembers(nodes, members, { ...before, epoch: before.epoch + 1, protocol: highestCommon([protocol, ...others])! });
  }

  // ── after a power cut ────────────────────────────────────────────────────────────────────────

  /** ARCHITECTURE.md, Fit: the disk holds what the view names, is not an older copy, and has lost nothing. */
  isFit(read: ClusterRead | undefined): boolean {
    const { context, peers, cursors } = this.#state;
    const view = this.#viewThatCounts(read);
    const own = view === undefined ? undefined : memberOf(view, context.options.self);
    if (this.#state.wentBack !== '' || (view?.generation ?? 0) < this.#memory.newestGeneration) return false;
    if (own === undefined || !this.#beats.holds(own.incarnation) || this.#beats.fetchIncomplete()) return false;
    if ((read!.beats.get(context.options.self)?.beat ?? 0) > this.#beats.diskBeat) return false;
    return [...peers.values()].every((peer) => (peer.introduced?.acksSeen ?? []).every(
      (ack) => !this.#beats.holds(ack.by) || ack.seq <= cursors.seq(ack.origin)));
  }

  /** The configuration that the first view is to name is here. */
  hasConfig(read: ClusterRead | undefined): boolean {
    return read !== undefined && this.#configuration.forFirstView(this.#viewThatCounts(read)?.configRevision ?? 0, read) !== undefined;
  }

  #goOnAlone(read: ClusterRead, view: View, own: Member): void {
    const { context, peers } = this.#state;
    if (!this.isFit(read)) {
      if (this.#leader.leads && !this.#leader.busy) this.#leader.resign();
      this.#report('cluster.unfit', { incarnation: own.incarnation.toString(16) });
      return;
    }
    if (!this.hasConfig(read)) return;
    const others = view.members.filter((member) => member.node !== context.options.self);
    const answered = others.every((member) => {
      const introduced = peers.get(member.node)?.introduced;
      return introduced !== undefined && introduced.incarnation !== member.incarnation;
    });
    const sessionStands = others.some((member) => read.sessions.get(member.node) === member.incarnation);
    const waited = context.now.mono - this.#since! >= this.#session.ttlMs + context.options.coldStartWaitMs;
    if (!answered && (sessionStands || !waited)) return;
    if (this.#leader.busy) return;
    if (view !== read.view) this.#replace(read, view);
    else if (this.#leader.leads) this.#writeFirst(read, view);
    else if (read.leader === undefined) this.#leader.campaign(read.viewRevision);
    else if (isKnownGone(this.#state, read.leader)) this.#leader.depose(read.leader.createRevision);
  }

  #writeFirst(read: ClusterRead, view: View): void {
    this.#leader.writeFirst(this.#firstOf(view, read), read.viewRevision);
  }

  /** etcd has only an older generation's view: no leader of that one is waited for. */
  #replace(read: ClusterRead, view: View): void {
    if (this.#writing || !etcdReachable(this.#state)) return;
    this.#writing = true;
    this.#lastResort.putView(this.#firstOf(view, read), read.viewRevision, () => {
      this.#writing = false;
      this.#leader.lookAgain();
    });
  }

  /** The fit nodes that answered, and this one. */
  #firstOf(view: View, read: ClusterRead): View {
    const { peers, context } = this.#state;
    const ranges: ProtocolRange[] = [];
    const fit = view.members.filter((member) => {
      const peer = peers.get(member.node);
      if (peer?.connected !== true || peer.status?.fit !== true || !peer.hello!.heldIncarnations.includes(member.incarnation)) return false;
      if (peer.hello!.generation !== view.generation) return false;
      // One that could not follow this view waits outside, as it would beside nodes in service.
      if (highestCommon([context.options.protocol, ...ranges, peer.said!.protocol]) === undefined) return false;
      ranges.push(peer.said!.protocol);
      return true;
    }).map((member) => ({ node: member.node, incarnation: peers.get(member.node)!.incarnation }));
    const members = [selfMember(this.#state), ...fit].toSorted((a, b) => (a.node < b.node ? -1 : 1));
    context.out.event('cluster.cold-start', { members: members.map((member) => member.node).join(' '), epoch: view.epoch + 1 });
    return this.#viewOf(members, ranges, { ...view, configRevision: this.#configuration.forFirstView(view.configRevision, read)! });
  }
}
