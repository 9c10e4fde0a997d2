/**
 * Leaving in good order (ARCHITECTURE.md, Drain): new clients are left to the others, and those who have an offer
 * take it; then nothing new is proposed, what was proposed is committed, and the leader writes a view without this
 * node. Then the process ends, if it was asked to stop; or it stays outside,
 * if an operator wants the node out of service, until the order is taken back.
 */
import type { DrainStatus } from '../../node/admin/status.ts';
import { DRAIN_LAST_REQUESTS_MS, DRAIN_ORDER_MS_MAX } from '../../node/limits.ts';
import type { Status } from '../../proto/gen/replication.ts';
import { isMember, otherMembers, selfMember } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { ClusterRead } from '../view/coordination.ts';
import type { Leader } from '../view/leader.ts';
import type { Session } from '../view/session.ts';
import type { Member } from '../view/view.ts';
import { Handover } from './handover.ts';
import type { OffersIn } from './handover.ts';
import { mayLeave } from './drains.ts';
import type { DrainOrder, DrainOrders } from './drains.ts';

/** What is heard sooner may have been sent before. */
const LISTEN_AFTER_MS = 200;
/** The request can be lost with a link or a leader. */
const ASK_EVERY_MS = 200;
/** A message takes less, where links are up: for so long both answer new clients, rather than nobody. */
const TOLD_MS = 100;
const NONE: DrainOrders = new Map();

export class Drain {
  readonly #state: ClusterState;
  readonly #leader: Leader;
  readonly #session: Session;
  readonly handover: Handover;
  /** The offers are told to the others. */
  #handedOver = false;
  #askedAt = -Infinity;
  /** The process is to end. */
  stopping = false;
  #leavingSince = 0;
  /** What the others had said of themselves a moment later: whoever says another thing since then lives. */
  #statuses: Map<string, Status | undefined> | undefined;
  #read: ClusterRead | undefined;
  #orders = NONE;
  /** Since when each order is known here, by the revision that it was written in. */
  readonly #seenAt = new Map<number, number>();
  /** The order that was told of last, and whether it was obeyed then. */
  #told = '';

  constructor(state: ClusterState, leader: Leader, session: Session, offersIn: OffersIn) {
    this.#state = state;
    this.#leader = leader;
    this.#session = session;
    this.handover = new Handover(state, offersIn);
  }

  // ── what is wanted ───────────────────────────────────────────────────────────────────────────

  /** The process is asked to stop. */
  begin(): void {
    this.stopping = true;
    this.#setLeaving(true);
    if (!isMember(this.#state)) this.stop('not in the view');
  }

  onRead(read: ClusterRead): void {
    const { drains } = read;
    this.#read = read;
    this.#orders = drains;
    const known = new Set([...drains.values()].map(({ createRevision }) => createRevision));
    for (const revision of known) if (!this.#seenAt.has(revision)) this.#seenAt.set(revision, this.#state.context.now.mono);
    for (const revision of this.#seenAt.keys()) if (!known.has(revision)) this.#seenAt.delete(revision);
  }

  isOrdered(node: string): boolean {
    return this.#orders.has(node);
  }

  /** A member, by what is known here: it is to leave, and may. */
  #mustLeave(node: string): boolean {
    const { view } = this.#state;
    return view !== undefined && mayLeave(node, view.members.map((member) => member.node), this.#orders, (other) => this.#leader.canServe(other));
  }

  /**
   * Whether this node is on its way out, or kept out. `othersServe`, of a node outside the view: somebody is
   * in service; where nobody is, one that the view names may have to go on by itself, whoever wants it out.
   */
  decide(othersServe: boolean): void {
    const { context } = this.#state;
    const { self } = context.options;
    const order = this.#orders.get(self);
    const obeyed = order !== undefined && (isMember(this.#state) ? this.#mustLeave(self) : othersServe);
    this.#setLeaving(this.stopping || obeyed);
    this.#tell(order, obeyed);
  }

  /** The others have been told by now, and answer new clients. */
  get leavesNewClients(): boolean {
    return this.#state.leaving && this.#state.context.now.mono - this.#leavingSince >= TOLD_MS;
  }

  #setLeaving(leaving: boolean): void {
    const { context } = this.#state;
    if (leaving && !this.#state.leaving) {
      this.#leavingSince = context.now.mono;
      this.#handedOver = false;
      this.#statuses = undefined;
    }
    if (!leaving && this.#state.leaving) this.#leader.withdraw(context.incarnation);
    this.#state.leaving = leaving;
    this.#state.draining = leaving && (this.#state.draining || this.#lastRequestsAreOver());
  }

  /** Where nobody takes over, or nobody is served, there is nothing to wait for. */
  #lastRequestsAreOver(): boolean {
    if (!isMember(this.#state) || otherMembers(this.#state).length === 0) return true;
    const someoneLives = this.#someoneLives();
    return someoneLives && this.#state.context.now.mono - this.#leavingSince >= DRAIN_LAST_REQUESTS_MS;
  }

  /**
   * This node falls silent for no node that has just died, without anybody having noticed it yet: one of the others must have
   * been heard well after this node began to leave, or have a session in etcd for longer than that outlives a node.
   * That the view is left to one that lives is seen to by the leader.
   */
  #someoneLives(): boolean {
    const { context, peers } = this.#state;
    const since = context.now.mono - this.#leavingSince;
    if (since < LISTEN_AFTER_MS) return false;
    this.#statuses ??= new Map([...peers].map(([node, { status }]) => [node, status]));
    return otherMembers(this.#state).some(({ incarnation, node }) => {
      const peer = peers.get(node);
      if (peer?.connected === true && peer.incarnation === incarnation && peer.status !== this.#statuses!.get(node)) return true;
      return this.#read !== undefined && this.#read.readAt - this.#leavingSince > this.#session.ttlMs && this.#read.sessions.get(node) === incarnation;
    });
  }

  #tell(order: DrainOrder | undefined, obeyed: boolean): void {
    const { out } = this.#state.context;
    const telling = order === undefined ? '' : `${order.createRevision} ${obeyed ? 'obeyed' : 'kept'}`;
    if (telling === this.#told) return;
    this.#told = telling;
    if (order === undefined) out.event('drain.ended');
    else if (obeyed) out.event('drain.begun', { by: order.by, reason: order.reason });
    else if (isMember(this.#state)) out.event('drain.not-obeyed', { by: order.by, reason: order.reason });
    else this.#told = '';
  }

  // ── going ────────────────────────────────────────────────────────────────────────────────────

  /** What the leader is asked for in `nodes/<id>` as well, which it sees also where the link to it is down; undefined: nothing. */
  get asking(): string | undefined {
    const { committedSeq, context, draining, log } = this.#state;
    const ready = draining && isMember(this.#state) && committedSeq >= log.last && otherMembers(this.#state).length > 0;
    return ready ? `${context.options.self} drains` : undefined;
  }

  /** Once a turn, as a member. */
  step(): void {
    const { committedSeq, context, leaving, log } = this.#state;
    this.#setLeaving(leaving);
    if (!this.#state.draining || committedSeq < log.last) return;
    if (otherMembers(this.#state).length === 0) {
      if (this.stopping) this.stop('the only member');
      return;
    }
    if (!this.#handedOver) this.handover.beforeLeaving();
    this.#handedOver = true;
    if (context.now.mono - this.#askedAt < ASK_EVERY_MS) return;
    this.#askedAt = context.now.mono;
    this.#session.hurry();
    const evict = { ...selfMember(this.#state), reason: `${context.options.self} drains` };
    if (this.#leader.leads) this.#leader.onEvict(evict);
    else for (const member of otherMembers(this.#state)) context.out.send(member.node, { $case: 'evict', value: evict });
  }

  /** Nothing holds the process any more. */
  stop(reason: string): void {
    if (this.#state.phase === 'stopped') return;
    this.#state.phase = 'stopped';
    this.#session.end();
    this.#state.context.out.exit = { code: 0, reason };
  }

  /** What keeps a node that is to leave, for an operator; empty: it is out. */
  waitsFor(): string {
    const { committedSeq, draining, leaving, log } = this.#state;
    if (!leaving || !isMember(this.#state)) return '';
    if (!draining) return 'a sign of life of another member';
    if (committedSeq < log.last) return `${log.last - committedSeq} changes are not committed`;
    return `no view without it is written${this.#leader.leaderNode === undefined ? ': nobody leads' : `: ${this.#leader.leaderNode} leads`}`;
  }

  describe(): DrainStatus[] {
    const { view } = this.#state;
    return [...this.#orders].map(([node, { at, by, force, reason }]) => {
      const member = view?.members.some((each) => each.node === node) === true;
      return { node, by, at, reason, force, standing: !member ? 'out' : this.#mustLeave(node) ? 'leaving' : 'kept' };
    });
  }

  // ── the leader's question ────────────────────────────────────────────────────────────────────

  /** Why a member is to be evicted that has had the time to leave by itself; undefined: it is not. */
  overdue({ node }: Member): string | undefined {
    const order = this.#orders.get(node);
    if (order === undefined || !this.#mustLeave(node)) return undefined;
    const since = this.#seenAt.get(order.createRevision) ?? Infinity;
    return this.#state.context.now.mono - since > DRAIN_ORDER_MS_MAX ? `${node} is to be drained and does not leave` : undefined;
  }
}
