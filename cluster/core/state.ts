/**
 * The state that the parts of the failover core share, and the questions that all of them ask.
 * Each part changes only what its own file says; `view/adoption.ts` alone changes the view.
 */
import { wallSeconds } from '../../node/time.ts';
import type { Context } from './context.ts';
import type { Peer } from './peer.ts';
import type { Cursors } from '../replication/cursors.ts';
import type { RecentLog } from '../replication/log.ts';
import { firstEpochOf } from '../view/generation.ts';
import { memberOf, names, ownerOf, SLOTS } from '../view/view.ts';
import type { Member, View } from '../view/view.ts';

/**
 * `starting`: the incarnation is not on the disk yet. `outside`: no view names it. `learner`: it
 * fetches or follows. `member`: the adopted view names it. `stopped`: it has left for good.
 */
export type Phase = 'starting' | 'outside' | 'learner' | 'member' | 'stopped';

/** An evicted member. */
export interface Duty extends Member {
  /** Of the view that named it. */
  readonly generation: number;
}

export interface ClusterState {
  readonly context: Context;
  readonly peers: ReadonlyMap<string, Peer>;
  readonly cursors: Cursors;
  phase: Phase;
  /** On its way out, or kept out: new clients are the others' business. */
  leaving: boolean;
  /** And proposes nothing more. */
  draining: boolean;

  /** The view adopted last; kept on the disk. A learner's is the view that it fetched under. */
  view: View | undefined;
  /** The answer of `otherMembers`, asked for several times in every turn, and the view that it is about. */
  readonly others: { of: View | undefined; members: readonly Member[] };
  /** etcd's revision of `view`'s last change: what transactions compare. */
  viewRevision: number;
  finished: boolean;
  lastFinished: View | undefined;
  /** Evicted (node, incarnation)s whose inbox and log tail are still to be seen to. */
  duties: Duty[];
  /** Duties of a view that etcd does not hold: their inboxes could not be read, and are once it does. */
  waived: Duty[];
  /** An operator's word made the adopted view, and etcd does not hold it (yet). */
  unwritten: boolean;
  /** Why etcd's answers do not count: it was restored, emptied or replaced. Empty: they do. */
  wentBack: string;
  /** Slots owned in every view since the last finished one: 1 where so. */
  readonly continuous: Uint8Array;

  /** This incarnation's own log. */
  log: RecentLog;
  /** Recent changes of others' logs by incarnation. */
  readonly received: Map<number, RecentLog>;
  /** Numbers of the own log that are flushed here, and that are committed. */
  flushedSeq: number;
  committedSeq: number;
  /** How far each other incarnation has the own log: acknowledged, and stored in its inbox. */
  readonly acknowledged: Map<number, number>;
  readonly inboxed: Map<number, number>;
  /** What others said is committed of their logs. */
  readonly committedOf: Map<number, number>;
  /** The learner whose acknowledgement every commit needs as well. */
  required: Member | undefined;

  /** Monotonic time of the last answer from etcd. */
  etcdAnsweredAt: number;
  /** The wall clock stepped and has not been compared with every member since. */
  clockSteppedAt: number | undefined;
  dhcpReady: boolean;
  serverIds: readonly number[];
}

export function isMember(state: ClusterState): boolean {
  return state.phase === 'member';
}

/** The other members of the adopted view. */
export function otherMembers(state: ClusterState): readonly Member[] {
  const { view, others } = state;
  if (view === undefined) return NOBODY;
  if (others.of !== view) {
    others.of = view;
    others.members = view.members.filter((member) => member.node !== state.context.options.self);
  }
  return others.members;
}

const NOBODY: readonly Member[] = [];

/** Whose acknowledgement a commit needs besides the own flush. */
export function commitPeers(state: ClusterState): readonly Member[] {
  const others = otherMembers(state);
  return state.required === undefined ? others : [...others, state.required];
}

/** The peer is that very incarnation, on an open stream, and counts for the commit rule. */
export function linkUp(state: ClusterState, member: Member): boolean {
  const peer = state.peers.get(member.node);
  return peer !== undefined && peer.up && peer.incarnation === member.incarnation;
}

/**
 * For what a client asks: a member whose link is up, and that has said that it has the view and owns what this gives
 * it. One that is on its way out leaves new clients to the others.
 */
export function isReachable(state: ClusterState, node: string): boolean {
  if (node === state.context.options.self) return true;
  const member = memberNamed(state.view, node);
  if (member === undefined || !linkUp(state, member)) return false;
  const status = state.peers.get(node)?.status;
  return status?.draining === false && status.finished && status.epoch >= state.view!.epoch;
}

export function owns(state: ClusterState, slot: number): boolean {
  if (!isMember(state) || state.view === undefined) return false;
  return state.continuous[slot] === 1;
}

/** Called on adoption (slots lost are lost at once) and on finishing (slots gained are owned). */
export function updateContinuous(state: ClusterState, view: View, gained: boolean): number {
  let gainedSlots = 0;
  for (let slot = 0; slot < SLOTS; slot++) {
    const mine = ownerOf(view, slot) === state.context.options.self && names(view, state.context.options.self, state.context.incarnation);
    if (!mine) state.continuous[slot] = 0;
    else if (gained && state.continuous[slot] === 0) {
      state.continuous[slot] = 1;
      gainedSlots++;
    }
  }
  return gainedSlots;
}

/** May an incarnation still play a part: a member, one that is to become one, or one that is connected. */
export function isPresent(state: ClusterState, incarnation: number): boolean {
  const { context, peers, required, view } = state;
  return incarnation === context.incarnation || incarnation === required?.incarnation ||
    view?.members.some((member) => member.incarnation === incarnation) === true ||
    [...peers.values()].some((peer) => peer.incarnation === incarnation);
}

/** What is remembered of incarnations that are gone. `heirsAsk`: evicted ones whose logs other members may still ask for. */
export function forgetDeparted(state: ClusterState, heirsAsk: readonly Member[]): void {
  for (const known of [state.acknowledged, state.inboxed, state.committedOf]) {
    for (const incarnation of known.keys()) if (!isPresent(state, incarnation)) known.delete(incarnation);
  }
  for (const incarnation of state.received.keys()) {
    if (!isPresent(state, incarnation) && !heirsAsk.some((member) => member.incarnation === incarnation)) state.received.delete(incarnation);
  }
}

/** How far another node's log is committed, by its own word. */
export function noteCommitted({ committedOf }: ClusterState, incarnation: number, committed: number): void {
  if (committed > (committedOf.get(incarnation) ?? 0)) committedOf.set(incarnation, committed);
}

/** A change that is committed: durable on every member, and none can lose it. */
export function isCommitted({ context, committedSeq, committedOf, view, finished, duties }: ClusterState, incarnation: number, seq: number): boolean {
  if (incarnation === context.incarnation) return seq <= committedSeq;
  const named = view?.members.some((member) => member.incarnation === incarnation) === true;
  if (named) return seq <= (committedOf.get(incarnation) ?? 0);
  // Of a node that has left: what its heirs agreed on when they finished the view.
  return finished && !duties.some((duty) => duty.incarnation === incarnation);
}

/** The process of that incarnation has ended: its port refuses, or another incarnation answers. */
export function isKnownGone({ context, peers }: ClusterState, { node, incarnation }: Member): boolean {
  if (node === context.options.self) return incarnation !== context.incarnation;
  const peer = peers.get(node);
  return peer !== undefined && (peer.refused || (peer.introduced !== undefined && peer.introduced.incarnation !== incarnation));
}

/** In which version to speak to a peer: the one in force, or a lower one with a node that is not a member yet and speaks no more. */
export function protocolWith({ context, view }: ClusterState, peer: Peer): number {
  const { min, max } = context.options.protocol;
  return Math.min(view?.protocol ?? min, max, peer.hello?.protocolMax ?? min);
}

export function selfMember(state: ClusterState): Member {
  return { node: state.context.options.self, incarnation: state.context.incarnation };
}

export function isNamed(state: ClusterState, view: View): boolean {
  return names(view, state.context.options.self, state.context.incarnation);
}

export function memberNamed(view: View | undefined, node: string): Member | undefined {
  return view === undefined ? undefined : memberOf(view, node);
}

/** What etcd shows and takes counts: it is the one that it was, and holds the adopted view. */
export function etcdCounts({ unwritten, wentBack }: ClusterState): boolean {
  return !unwritten && wentBack === '';
}

/** etcd answered lately enough to be counted on. */
export function etcdReachable(state: ClusterState): boolean {
  return state.context.now.mono - state.etcdAnsweredAt <= ETCD_REACHABLE_MS;
}

export const ETCD_REACHABLE_MS = 2500;

/** How far that incarnation's log is stored here still matters: it is in the view, or has left work behind. */
export function countsOn({ context, duties, view, waived }: ClusterState, incarnation: number): boolean {
  if (incarnation === context.incarnation) return true;
  return [...view?.members ?? [], ...duties, ...waived].some((member) => member.incarnation === incarnation);
}

/** Whose address a client names as its server's, as far as the nodes have said. */
export function nodeOfServerId({ context, peers, serverIds }: ClusterState, address: number): string | undefined {
  for (const peer of peers.values()) if (peer.status?.serverIds.includes(address) === true) return peer.id;
  return serverIds.includes(address) ? context.options.self : undefined;
}

/** What a node says it says at once where it changes; one outside the view answers no clients. */
export function knowsAllServerIds(state: ClusterState): boolean {
  return otherMembers(state).every((member) => linkUp(state, member) && state.peers.get(member.node)?.status !== undefined);
}

/** Since which epoch, where addresses are probed before they are given out whatever the configuration says; 0: not now. */
export function probingSince({ context, view }: ClusterState): number {
  return view !== undefined && view.probeUntil > wallSeconds(context.now.wall) ? firstEpochOf(view.epoch) : 0;
}
