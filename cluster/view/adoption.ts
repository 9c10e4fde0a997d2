/**
 * Adopting and finishing a view (ARCHITECTURE.md, Finishing a view).
 *
 * Adopting: the epoch is stored, and what the node loses it stops owning at once. Finishing: for
 * every incarnation that was evicted since the last finished view, read the whole own inbox, then
 * exchange the tail of its log with the other members; say `Adopted` with the last number of the own
 * log; and wait for the same, and for the log up to the number named, from every other member. Only
 * then does the node own what it gained.
 */
import type { Adopted, Tail, TailRequest } from '../../proto/gen/replication.ts';
import type { Peer } from '../core/peer.ts';
import { isMember, otherMembers, updateContinuous } from '../core/state.ts';
import type { ClusterState, Duty } from '../core/state.ts';
import type { Inbox } from '../replication/inbox.ts';
import type { Replication } from '../replication/replication.ts';
import { Tails } from './tails.ts';
import { decodeView, encodeView, slotsOf } from './view.ts';
import type { Member, View } from './view.ts';

export const META_ADOPTED = 'view-adopted';
const META_FINISHED = 'view-finished';
const META_DUTIES = 'view-duties';
const META_WAIVED = 'view-waived';
/** The epoch of a view that etcd does not hold. */
const META_UNWRITTEN = 'view-unwritten';
/** What is not answered by then is asked again: answers can be lost with a link. */
const ASK_AGAIN_MS = 500;
/** Questions about tails that cannot be answered yet; what is left out is asked again. */
const WAITING_TAILS_MAX = 256;

interface Finishing {
  readonly epoch: number;
  /** The store's position once the adopted view is queued: `Adopted` waits for its flush. */
  readonly position: number;
  readonly lastOldSeq: number;
  inboxRead: boolean;
  inboxAsked: boolean;
  /** Nothing in etcd counted when the inbox was to be read. */
  inboxWaived: boolean;
  /** "incarnation node": whose tail has come from whom. */
  readonly tails: Set<string>;
  tailsAskedAt: number;
  /** The store's position when the duties were done. */
  dutiesPosition: number | undefined;
  adoptedSent: boolean;
  adoptedSentAt: number;
}

export interface AdoptionHooks {
  readonly onAdopted: (previous: View | undefined, wasMember: boolean) => void;
  /** `evicted`: whom it was finished without. */
  readonly onFinished: (evicted: readonly Member[]) => void;
}

export class Adoption {
  readonly #state: ClusterState;
  readonly #tails: Tails;
  readonly #inbox: Inbox;
  readonly #hooks: AdoptionHooks;
  #finishing: Finishing | undefined;
  /** Tails asked for under an epoch that is not adopted yet, or before the own inbox is read. */
  #waitingTails: { readonly peer: string; readonly request: TailRequest }[] = [];

  constructor(state: ClusterState, replication: Replication, inbox: Inbox, hooks: AdoptionHooks) {
    this.#state = state;
    this.#tails = new Tails(state, replication);
    this.#inbox = inbox;
    this.#hooks = hooks;
  }

  /** From the disk at a start: what the last run had adopted, finished, and still to do. */
  restore(): void {
    const { store } = this.#state.context;
    const adopted = store.readMeta(META_ADOPTED);
    const finished = store.readMeta(META_FINISHED);
    const duties = store.readMeta(META_DUTIES);
    this.#state.view = adopted === undefined ? undefined : decodeView(adopted);
    this.#state.lastFinished = finished === undefined ? undefined : decodeView(finished);
    const waived = store.readMeta(META_WAIVED);
    this.#state.duties = duties === undefined ? [] : readDuties(duties);
    this.#state.waived = waived === undefined ? [] : readDuties(waived);
    this.#state.unwritten = adopted !== undefined && store.readMeta(META_UNWRITTEN)?.toString() === String(this.#state.view?.epoch);
  }

  /** A learner's records are those of this view: its first "last finished view". */
  standOn(view: View, revision: number): void {
    const { store } = this.#state.context;
    this.#state.view = view;
    this.#state.viewRevision = revision;
    this.#state.lastFinished = view;
    this.#state.duties = [];
    this.#state.waived = [];
    this.#state.unwritten = false;
    this.#state.finished = false;
    store.putMeta(META_ADOPTED, encodeView(view));
    store.putMeta(META_FINISHED, encodeView(view));
    this.#storeDuties();
  }

  #storeDuties(): void {
    const { context: { store }, duties, unwritten, view, waived } = this.#state;
    store.putMeta(META_DUTIES, Buffer.from(JSON.stringify(duties)));
    store.putMeta(META_WAIVED, waived.length > 0 ? Buffer.from(JSON.stringify(waived)) : null);
    store.putMeta(META_UNWRITTEN, unwritten ? Buffer.from(String(view!.epoch)) : null);
  }

  /** Members that an operator's word takes out of service without a view that this node has adopted: their inboxes too. */
  addDuties(members: readonly Member[], generation: number): void {
    const known = new Set(this.#state.duties.map(({ incarnation }) => incarnation));
    const own = this.#state.context.incarnation;
    const more = members.filter(({ incarnation }) => incarnation !== own && !known.has(incarnation));
    this.#state.duties = [...this.#state.duties, ...more.map(({ incarnation, node }) => ({ node, incarnation, generation }))];
    this.#storeDuties();
  }

  /** The view is newer than the adopted one and names this incarnation. `unwritten`: etcd does not hold it. */
  adopt(view: View, revision: number, unwritten = false): void {
    const { context, log } = this.#state;
    const previous = this.#state.view;
    const wasMember = isMember(this.#state);
    this.#state.view = view;
    this.#state.viewRevision = revision;
    this.#state.finished = false;
    this.#state.required = undefined;
    this.#state.phase = 'member';
    this.#state.unwritten = unwritten;
    this.#state.duties = this.#dutiesFor(view, previous);
    if (!unwritten) this.#state.waived = [];
    updateContinuous(this.#state, view, false);
    const position = context.store.putMeta(META_ADOPTED, encodeView(view));
    this.#storeDuties();
    this.#finishing = {
      epoch: view.epoch, position: context.store.position, lastOldSeq: log.last,
      inboxRead: false, inboxAsked: false, inboxWaived: false, tails: new Set(), tailsAskedAt: -Infinity,
      dutiesPosition: undefined, adoptedSent: false, adoptedSentAt: -Infinity,
    };
    this.#tails.forget();
    context.out.event('view.adopted', {
      epoch: view.epoch, members: view.members.map((member) => member.node).join(' '), slots: slotsOf(view, context.options.self), position,
    });
    this.#hooks.onAdopted(previous, wasMember);
    this.step();
  }

  /** Everyone of the last finished view, or of any adopted since, who is not in this one; and whose inbox was left unread. */
  #dutiesFor(view: View, previous: View | undefined): Duty[] {
    const { duties, lastFinished, unwritten, waived } = this.#state;
    const all = [...duties, ...(unwritten ? [] : waived), ...dutiesOf(lastFinished), ...dutiesOf(previous)];
    const inView = new Set(view.members.map((member) => member.incarnation));
    const seen = new Set<number>();
    return all.filter((member) => {
      if (inView.has(member.incarnation) || seen.has(member.incarnation)) return false;
      seen.add(member.incarnation);
      return true;
    });
  }

  /** A later view was adopted, or the node is out: what was being finished no longer matters. */
  abandon(): void {
    this.#finishing = undefined;
    this.#waitingTails = [];
    this.#tails.forget();
  }

  // ── finishing ────────────────────────────────────────────────────────────────────────────────

  /** Once a turn. */
  step(): void {
    const finishing = this.#finishing;
    if (finishing === undefined || this.#state.view?.epoch !== finishing.epoch) return;
    this.#readInbox(finishing);
    this.#askTails(finishing);
    this.#answerTails(finishing);
    this.#sendAdopted(finishing);
    this.#tryFinish(finishing);
  }

  #readInbox(finishing: Finishing): void {
    const { context, duties, unwritten } = this.#state;
    if (duties.length === 0 || !context.options.clustered) finishing.inboxRead = true;
    else if (unwritten && !finishing.inboxRead) {
      // Nothing in etcd counts as long as it does not hold the view: read under the next one, which it does hold.
      finishing.inboxRead = true;
      finishing.inboxWaived = true;
    }
    if (finishing.inboxRead || finishing.inboxAsked) return;
    finishing.inboxAsked = true;
    this.#inbox.read((read) => {
      if (this.#finishing !== finishing) return;
      finishing.inboxAsked = false;
      if (read !== undefined) finishing.inboxRead = true;
      this.step();
    });
  }

  #askTails(finishing: Finishing): void {
    const { context, duties, cursors } = this.#state;
    if (!finishing.inboxRead || finishing.dutiesPosition !== undefined) return;
    const missing = otherMembers(this.#state).flatMap((member) =>
      duties.filter((duty) => !finishing.tails.has(`${duty.incarnation} ${member.node}`)).map((duty) => ({ member, duty })));
    if (missing.length === 0) {
      finishing.dutiesPosition = cursors.safePosition;
      return;
    }
    if (context.now.mono - finishing.tailsAskedAt < ASK_AGAIN_MS) return;
    finishing.tailsAskedAt = context.now.mono;
    for (const { member, duty } of missing) {
      this.#inbox.tell(member, { $case: 'tailRequest', value: {
        epoch: finishing.epoch, incarnation: duty.incarnation, after: cursors.seq(duty.incarnation),
      } });
    }
  }

  onTailRequest(peer: Peer, request: TailRequest): void {
    // What is asked again takes the place of the earlier question.
    this.#waitingTails = this.#waitingTails.filter((one) => one.peer !== peer.id || one.request.incarnation !== request.incarnation);
    if (this.#waitingTails.length < WAITING_TAILS_MAX) this.#waitingTails.push({ peer: peer.id, request });
    this.step();
    if (this.#finishing === undefined) this.#answerTails(undefined);
  }

  /** One gives a tail only after its own inbox is read, under the epoch that it was asked for. */
  #answerTails(finishing: Finishing | undefined): void {
    const { view, finished } = this.#state;
    if (!isMember(this.#state) || view === undefined) return;
    if (!(finished || finishing?.inboxRead === true)) return;
    const waiting = this.#waitingTails;
    this.#waitingTails = waiting.filter(({ request }) => request.epoch > view.epoch);
    for (const { peer, request } of waiting) {
      const member = otherMembers(this.#state).find((other) => other.node === peer);
      if (request.epoch !== view.epoch || member === undefined) continue;
      for (const tail of this.#tails.answers(request)) this.#inbox.tell(member, { $case: 'tail', value: tail });
    }
  }

  onTail(peer: Peer, tail: Tail): void {
    const finishing = this.#finishing;
    if (finishing === undefined || tail.epoch !== finishing.epoch || !this.#state.duties.some(({ incarnation }) => incarnation === tail.incarnation)) return;
    const taken = this.#tails.take(peer.id, tail);
    if (taken === 'bad') this.#state.context.out.resets.push(peer.id);
    if (taken !== 'whole') return;
    finishing.tails.add(`${tail.incarnation} ${peer.id}`);
    this.step();
  }

  #sendAdopted(finishing: Finishing): void {
    const { context } = this.#state;
    const flushed = context.store.flushedPosition;
    if (finishing.dutiesPosition === undefined || finishing.adoptedSent) return;
    if (flushed < finishing.position || flushed < finishing.dutiesPosition) return;
    finishing.adoptedSent = true;
    for (const member of otherMembers(this.#state)) this.#postAdopted(member, finishing);
  }

  #postAdopted(member: Member, finishing: Finishing): void {
    this.#inbox.tell(member, { $case: 'adopted', value: {
      epoch: finishing.epoch, incarnation: this.#state.context.incarnation, last: finishing.lastOldSeq,
    } });
  }

  /** A link came up or went down: what was said over it may be lost. */
  repeat(peer: Peer): void {
    const finishing = this.#finishing ?? this.#lastFinishing;
    if (finishing === undefined || this.#state.view?.epoch !== finishing.epoch || !isMember(this.#state)) return;
    finishing.tailsAskedAt = -Infinity;
    const member = otherMembers(this.#state).find((other) => other.node === peer.id);
    if (finishing.adoptedSent && member !== undefined) this.#postAdopted(member, finishing);
  }

  onAdopted(peer: Peer, adopted: Adopted): void {
    if (peer.adopted !== undefined && peer.adopted.epoch >= adopted.epoch && peer.adopted.incarnation === adopted.incarnation) return;
    peer.adopted = adopted;
    this.step();
  }

  #tryFinish(finishing: Finishing): void {
    const { context, cursors, view, peers } = this.#state;
    if (!finishing.adoptedSent) return;
    for (const member of otherMembers(this.#state)) {
      const adopted = peers.get(member.node)?.adopted;
      if (adopted?.epoch !== finishing.epoch || adopted.incarnation !== member.incarnation) return;
      if (cursors.seq(member.incarnation) < adopted.last) return;
    }
    this.#lastFinishing = finishing;
    this.#finishing = undefined;
    this.#state.finished = true;
    this.#state.lastFinished = view;
    const evicted = this.#state.duties;
    if (finishing.inboxWaived) this.#state.waived = [...this.#state.waived, ...evicted];
    this.#state.duties = [];
    context.store.putMeta(META_FINISHED, encodeView(view!));
    this.#storeDuties();
    const gained = updateContinuous(this.#state, view!, true);
    context.out.event('view.finished', { epoch: view!.epoch, slots: slotsOf(view!, context.options.self), gained });
    this.#hooks.onFinished(evicted);
    this.#answerTails(undefined);
  }

  /** The view that was finished last: its `Adopted` is said again to who reconnects. */
  #lastFinishing: Finishing | undefined;

  /** Why the view is not finished, for an operator. */
  waitingFor(): string {
    const finishing = this.#finishing;
    if (finishing === undefined) return '';
    if (!finishing.inboxRead) return 'reading the inbox';
    if (!finishing.adoptedSent) return 'the tails of evicted nodes';
    const missing = otherMembers(this.#state).filter((member) => this.#state.peers.get(member.node)?.adopted?.epoch !== finishing.epoch);
    return `word from ${missing.map((member) => member.node).join(' ')}`;
  }
}

function dutiesOf(view: View | undefined): Duty[] {
  return view === undefined ? [] : view.members.map(({ incarnation, node }) => ({ node, incarnation, generation: view.generation }));
}

/** Of an earlier version: without the generation, since there was only one. */
function readDuties(bytes: Buffer): Duty[] {
  return (JSON.parse(bytes.toString()) as (Member & Partial<Duty>)[]).map(({ generation = 1, incarnation, node }) => ({ node, incarnation, generation }));
}
