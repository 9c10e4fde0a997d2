/**
 * The commit rule's second half: while a link is down, etcd holds the changes on behalf of the
 * member that cannot be reached, `inbox/<to>/<from>/<incarnation>/<number>`.
 *
 * Invariants: an item is written in a transaction that succeeds only while etcd's view is the one
 * that the writer has adopted; it counts only when that success is known; the reader deletes it only
 * after it has flushed what it took from it. Writing an item twice is harmless: same key, same bytes.
 */
import { isRecord } from '../../node/lease/record.ts';
import { InboxItem, PeerMessage } from '../../proto/gen/replication.ts';
import { INBOX_ITEM_BYTES_MAX } from '../../node/limits.ts';
import { memberNamed, isMember, commitPeers, etcdCounts, linkUp, otherMembers } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { EtcdKeyValue } from '../core/ports.ts';
import { decodeView } from '../view/view.ts';
import type { Member, View } from '../view/view.ts';
import type { Replication } from './replication.ts';

/** Items of one read; more are read once these are stored and deleted. */
const READ_ITEMS_MAX = 64;
/** Requests waiting for an item, and parts of tails; beyond it they are lost, as they would be on a dying link. */
const REQUESTS_MAX = 1024;
const ITEM_REQUESTS_MAX = 64;
const RETRY_MS = 100;
/** Without a hint from etcd's watch the own inbox is still looked into this often. */
const POLL_MS = 250;
/** While all links are up: a peer may take its link to be down all the same, and a watch can lose events. */
const POLL_LINKED_MS = 2000;

type Body = NonNullable<PeerMessage['body']>;

interface Writer {
  /** Whom all of this is for: the next start of that node asks for itself. */
  to: number;
  /** What a view cannot be finished without, or a node let in: goes first, and is never left out for want of room. */
  ofView: PeerMessage[];
  requests: PeerMessage[];
  /** An item whose fate is not known yet; written again until it is. */
  pending: { readonly key: string; readonly value: Buffer; readonly through: number; readonly to: number } | undefined;
  inFlight: boolean;
  retryAt: number;
  nextNumber: number;
}

export interface InboxHooks {
  /** A message other than changes, from that incarnation of a configured node. */
  readonly onMessage: (from: string, incarnation: number, message: PeerMessage) => void;
  readonly onViewChanged: () => void;
}

/** What a complete read showed; undefined where etcd did not answer. */
export type InboxRead = { readonly epoch: number } | undefined;

export class Inbox {
  readonly #state: ClusterState;
  readonly #replication: Replication;
  readonly #hooks: InboxHooks;
  readonly #writers = new Map<string, Writer>();

  #reading = false;
  #readAgain = false;
  #readers: ((read: InboxRead) => void)[] = [];
  #nextReaders: ((read: InboxRead) => void)[] = [];
  /** Items taken and not yet deleted: key, and the store's position that must be flushed first. */
  readonly #taken = new Map<string, number>();
  #deleting = false;
  /** A read filled its page: the rest is read once what was taken is deleted. */
  #moreWaits = false;
  /** The page asked for last; answers to earlier ones are void. */
  #page = 0;
  #reportedGap = '';
  /** Since when what lies in the own inbox does not follow on what is stored here; Infinity: it does. */
  gapSince = Infinity;
  #lastReadAt = -Infinity;
  #hinted = false;
  /** A read was asked for while nothing in etcd counts: it ends, without an answer, with the next turn. */
  #refused = false;
  itemsWritten = 0;

  constructor(state: ClusterState, replication: Replication, hooks: InboxHooks) {
    this.#state = state;
    this.#replication = replication;
    this.#hooks = hooks;
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────

  #writer({ node, incarnation }: Member): Writer {
    let writer = this.#writers.get(node);
    if (writer === undefined) {
      writer = { to: incarnation, ofView: [], requests: [], pending: undefined, inFlight: false, retryAt: 0, nextNumber: 1 };
      this.#writers.set(node, writer);
    }
    if (writer.to !== incarnation) Object.assign(writer, { to: incarnation, ofView: [], requests: [], pending: undefined });
    return writer;
  }

  /** Over the link, or through the inbox where that is down; where it may be about to come up, both. */
  tell(member: Member, body: Body): void {
    const { context, peers } = this.#state;
    const isUp = linkUp(this.#state, member);
    if (isUp || peers.get(member.node)?.connected === true) context.out.send(member.node, body);
    if (!isUp) this.post(member, { body });
  }

  /** Queues a message for a member whose link is down. */
  post(member: Member, message: PeerMessage): void {
    const writer = this.#writer(member);
    const subject = subjectOf(message);
    if (subject === undefined) {
      if (writer.requests.length < REQUESTS_MAX) writer.requests.push(message);
      return;
    }
    // Said or asked again: once is enough.
    if (subject !== '') writer.ofView = writer.ofView.filter((queued) => subjectOf(queued) !== subject);
    if (subject !== '' || writer.ofView.length < REQUESTS_MAX) writer.ofView.push(message);
  }

  /** A new incarnation: what was queued and half read belongs to the old one. */
  reset(): void {
    this.#writers.clear();
    this.#taken.clear();
    this.#moreWaits = false;
    this.#refused = false;
    this.gapSince = Infinity;
    this.#page++;
    if (this.#reading) this.#endRead(undefined);
  }

  /** Once a turn. */
  write(): void {
    if (!isMember(this.#state)) return;
    for (const member of commitPeers(this.#state)) {
      const peer = this.#state.peers.get(member.node);
      if (peer?.refusesClock === true) continue;
      const writer = this.#writer(member);
      if (writer.inFlight || this.#state.context.now.mono < writer.retryAt) continue;
      if (writer.pending === undefined && linkUp(this.#state, member)) {
        // What was to take the inbox and is not in an item yet takes the link, which came up meanwhile.
        if (writer.ofView.length + writer.requests.length === 0) continue;
        for (const { body } of [...writer.ofView.splice(0), ...writer.requests.splice(0)]) if (body !== undefined) this.#state.context.out.send(member.node, body);
        continue;
      }
      if (!etcdCounts(this.#state)) continue;
      writer.pending ??= this.#nextItem(member.node, member.incarnation, writer);
      if (writer.pending !== undefined) this.#put(member.node, writer, writer.pending);
    }
  }

  #nextItem(node: string, to: number, writer: Writer): Writer['pending'] {
    const { acknowledged, inboxed, context } = this.#state;
    const has = Math.max(acknowledged.get(to) ?? 0, inboxed.get(to) ?? 0);
    const batch = this.#replication.batchForInbox(has);
    if (batch === undefined && writer.ofView.length === 0 && writer.requests.length === 0) return undefined;
    const messages: PeerMessage[] = batch === undefined ? [] : [{ body: { $case: 'batch', value: batch } }];
    let bytes = batch === undefined ? 0 : PeerMessage.encode(messages[0]!).finish().length;
    for (const queue of [writer.ofView, writer.requests]) {
      while (queue.length > 0) {
        bytes += PeerMessage.encode(queue[0]!).finish().length;
        if (messages.length > 0 && (bytes > INBOX_ITEM_BYTES_MAX || messages.length > ITEM_REQUESTS_MAX)) break;
        messages.push(queue.shift()!);
      }
    }
    const number = String(writer.nextNumber++).padStart(10, '0');
    return {
      key: `inbox/${node}/${context.options.self}/${context.incarnation}/${number}`,
      value: Buffer.from(InboxItem.encode({ messages, toIncarnation: to }).finish()),
      through: batch?.through ?? has,
      to,
    };
  }

  #put(node: string, writer: Writer, item: NonNullable<Writer['pending']>): void {
    const { context, inboxed, viewRevision } = this.#state;
    const { incarnation } = context;
    writer.inFlight = true;
    context.etcd.txn(
      { compares: [{ key: 'view', modRevision: viewRevision }], then: [{ op: 'put', key: item.key, value: item.value }] },
      (result) => {
        writer.inFlight = false;
        if (incarnation !== context.incarnation || this.#writers.get(node) !== writer) return;
        if (result?.succeeded === true) {
          writer.pending = undefined;
          this.itemsWritten++;
          inboxed.set(item.to, Math.max(item.through, inboxed.get(item.to) ?? 0));
          this.#replication.advanceCommit();
          return;
        }
        writer.retryAt = context.now.mono + RETRY_MS;
        if (result !== undefined) this.#hooks.onViewChanged();
      },
    );
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────

  /** etcd says that something came. */
  hint(): void {
    this.#hinted = true;
  }

  tick(): void {
    if (this.#refused) {
      this.#refused = false;
      this.#endRead(undefined);
    }
    if (this.#state.phase !== 'member' && this.#state.phase !== 'learner') return;
    if (this.#state.view === undefined || !etcdCounts(this.#state)) return;
    const someLinkDown = this.#state.view.members.some(
      (member) => member.node !== this.#state.context.options.self && !linkUp(this.#state, member),
    );
    const due = this.#state.context.now.mono - this.#lastReadAt >= (someLinkDown ? POLL_MS : POLL_LINKED_MS);
    if (this.#hinted || due) this.read(() => undefined);
  }

  /** Reads the whole inbox, beginning after this call; `done` once everything in it is taken. */
  read(done: (read: InboxRead) => void): void {
    this.#nextReaders.push(done);
    if (this.#reading) this.#readAgain = true;
    else this.#startRead();
  }

  #startRead(): void {
    this.#reading = true;
    this.#readAgain = false;
    this.#hinted = false;
    this.#lastReadAt = this.#state.context.now.mono;
    this.#readers.push(...this.#nextReaders.splice(0));
    if (etcdCounts(this.#state)) this.#readPage();
    else this.#refused = true;
  }

  #readPage(): void {
    const { context } = this.#state;
    const page = ++this.#page;
    context.etcd.txn({
      then: [
        { op: 'get', key: 'view' },
        { op: 'get-prefix', prefix: `inbox/${context.options.self}/`, limit: READ_ITEMS_MAX },
      ],
    }, (result) => {
      if (page !== this.#page) return undefined;
      if (result === undefined) return this.#endRead(undefined);
      const [views, items] = result.reads as [EtcdKeyValue[], EtcdKeyValue[]];
      const view = views[0] === undefined ? undefined : decodeView(views[0].value);
      if (view === undefined || this.#isNewer(view)) this.#hooks.onViewChanged();
      const before = this.#taken.size;
      const complete = items.filter((item) => !this.#take(item, view)).length === 0;
      this.gapSince = complete ? Infinity : Math.min(this.gapSince, context.now.mono);
      if (items.length < READ_ITEMS_MAX) return this.#endRead(view === undefined || !complete ? undefined : { epoch: view.epoch });
      // More lie behind this page: read once what was taken is deleted; where nothing was, this read shows nothing.
      if (this.#taken.size === before) return this.#endRead(undefined);
      this.#moreWaits = true;
      return undefined;
    });
  }

  #endRead(read: InboxRead): void {
    this.#reading = false;
    for (const done of this.#readers.splice(0)) done(read);
    if (this.#readAgain || this.#nextReaders.length > 0) this.#startRead();
  }

  #isNewer(view: View): boolean {
    return view.epoch > (this.#state.view?.epoch ?? 0);
  }

  /** False: the item stays, and what it holds is not here. */
  #take({ key, value }: EtcdKeyValue, view: View | undefined): boolean {
    if (this.#taken.has(key)) return true;
    const [, , from, incarnationText] = key.split('/');
    const incarnation = Number(incarnationText);
    let item: InboxItem;
    try {
      item = InboxItem.decode(value);
    } catch {
      this.#reportGap(from!, key);
      if (!this.#isOfOlderGeneration(incarnation)) return false;
      item = { messages: [], toIncarnation: 0 };
    }
    if (!this.#isFromKnownLog(from!, incarnation)) {
      // Of a node that the view names no more: what counted of it came with the snapshot. Under a view
      // that is not adopted here yet it may be of one that it names anew.
      if (this.#state.phase === 'member' && view !== undefined && !this.#isNewer(view)) this.#taken.set(key, 0);
      return true;
    }
    for (const message of item.messages) {
      if (message.body?.$case === 'batch') {
        if (message.body.value.incarnation === incarnation && this.#replication.applyFromInbox(message.body.value)) continue;
        this.#reportGap(from!, key);
        if (!this.#isOfOlderGeneration(incarnation)) return false;
        this.#replication.applyTail(message.body.value.changes.filter(({ record }) => isRecord(record)));
      } else if (item.toIncarnation === this.#state.context.incarnation) {
        this.#hooks.onMessage(from!, incarnation, message);
      }
    }
    this.#taken.set(key, this.#state.cursors.safePosition);
    return true;
  }

  #reportGap(from: string, key: string): void {
    if (this.#reportedGap !== key) this.#state.context.out.event('inbox.gap', { from, key });
    this.#reportedGap = key;
  }

  #isFromKnownLog(from: string, incarnation: number): boolean {
    const { view, duties, waived } = this.#state;
    if (memberNamed(view, from)?.incarnation === incarnation) return true;
    return [...duties, ...waived].some((member) => member.node === from && member.incarnation === incarnation);
  }

  /**
   * What an operator has begun a new generation without, on this node alone: what is missing before the item is
   * lost, and what it holds is better than nothing. Where others have to agree on the log, it has to be whole.
   */
  #isOfOlderGeneration(incarnation: number): boolean {
    const { view, duties } = this.#state;
    const duty = duties.find((member) => member.incarnation === incarnation);
    return duty !== undefined && duty.generation < view!.generation && otherMembers(this.#state).length === 0;
  }

  /** After a flush, and once a turn: what is stored need not lie in etcd any longer. */
  deleteStored(): void {
    if (this.#deleting || this.#taken.size === 0 || !etcdCounts(this.#state)) return;
    const { context } = this.#state;
    const keys: string[] = [];
    for (const [key, position] of this.#taken) {
      if (position <= context.store.flushedPosition) keys.push(key);
      if (keys.length === READ_ITEMS_MAX) break;
    }
    if (keys.length === 0) return;
    this.#deleting = true;
    context.etcd.txn({ then: keys.map((key) => ({ op: 'delete', key })) }, (result) => {
      this.#deleting = false;
      if (result !== undefined) for (const key of keys) this.#taken.delete(key);
      if (this.#moreWaits && this.#taken.size === 0) {
        this.#moreWaits = false;
        this.#readPage();
      }
    });
  }
}

/**
 * Of a message that a view waits for: what it is about, where a later one makes an earlier one needless, else
 * an empty text. Undefined: a client waits for it, and asks again.
 */
function subjectOf({ body }: PeerMessage): string | undefined {
  switch (body?.$case) {
    case 'adopted': case 'evict': case 'require': case 'vouch': return body.$case;
    case 'tailRequest': return `${body.$case} ${body.value.incarnation}`;
    case 'tail': return '';
    default: return undefined;
  }
}
