/**
 * What a node has missed of the history of leases while it was away (node/history/lease-history.ts): a member copies it from
 * another one, page by page, once both have finished a view that this node came back in. Every member of such a view has
 * every change of earlier ones, so what the fetched records stand for is in its history; what came later is in this node's
 * own. Nothing waits for it, and a page that does not come is asked for again, of any member that can give it.
 */
import { HISTORY_COPY_ANSWER_MS, HISTORY_COPY_PAGE_ROWS, HISTORY_COPY_PAUSE_MS, HISTORY_COPY_RETRY_MS, HISTORY_COPY_WHOLE_MS } from '../../node/history/limits.ts';
import type { LeaseHistory } from '../../node/history/lease-history.ts';
import { isPlace } from '../../node/history/row.ts';
import { PROTOCOL_NAMES_AND_NOTES } from '../../node/protocol.ts';
import type { HistoryPage, HistoryRequest } from '../../proto/gen/replication.ts';
import type { Peer } from '../core/peer.ts';
import { isMember, protocolWith } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import { memberOf, names } from '../view/view.ts';

interface Asked {
  readonly id: number;
  readonly source: string;
  readonly epoch: number;
  readonly at: number;
}

export class HistoryCopy {
  readonly #state: ClusterState;
  readonly #history: LeaseHistory;
  #asked: Asked | undefined;
  #nextId = 1;
  #notBefore = -Infinity;
  /** Who has refused: others are asked first. */
  readonly #refusedBy = new Set<string>();
  #refusedSince = Infinity;
  #isReported = false;

  constructor(state: ClusterState, history: LeaseHistory) {
    this.#state = state;
    this.#history = history;
  }

  /** Once a turn. */
  step(): void {
    const { context, view } = this.#state;
    const { gap } = this.#history;
    if (gap === undefined) return;
    const { mono } = context.now;
    if (this.#asked !== undefined && (mono - this.#asked.at > HISTORY_COPY_ANSWER_MS || this.#asked.epoch !== view?.epoch)) this.#asked = undefined;
    if (this.#asked !== undefined || mono < this.#notBefore || !this.#mayGo()) return;
    const sources = [...this.#state.peers.values()].filter((peer) => this.#mayAsk(peer));
    const source = sources.find(({ id }) => !this.#refusedBy.has(id)) ?? sources[0];
    if (source === undefined) return;
    if (!this.#isReported) context.out.event('history.copying', { from: gap.from, to: gap.to, source: source.id });
    this.#isReported = true;
    this.#asked = { id: this.#nextId++, source: source.id, epoch: view!.epoch, at: mono };
    context.out.send(source.id, { $case: 'historyRequest', value: {
      id: this.#asked.id, epoch: view!.epoch, from: gap.from, to: gap.to, after: gap.copied, partial: this.#takesParts(),
    } });
  }

  /** No node that may have all of it is away, and for long none of those that are here has. */
  #takesParts(): boolean {
    const { context, view } = this.#state;
    const others = context.options.nodes.filter(({ id }) => id !== context.options.self);
    return context.now.mono - this.#refusedSince > HISTORY_COPY_WHOLE_MS && others.every(({ id }) => this.#refusedBy.has(id) && memberOf(view!, id) !== undefined);
  }

  #mayGo(): boolean {
    return isMember(this.#state) && this.#state.finished && this.#state.view !== undefined;
  }

  #mayAsk(peer: Peer): boolean {
    const { view } = this.#state;
    return peer.connected && names(view!, peer.id, peer.incarnation) && protocolWith(this.#state, peer) >= PROTOCOL_NAMES_AND_NOTES &&
      peer.status?.finished === true && peer.status.epoch === view!.epoch;
  }

  onRequest(from: string, { after, epoch, from: gapFrom, id, partial, to }: HistoryRequest): void {
    const since = this.#mayGo() && this.#state.view!.epoch === epoch && isPlace(after) ? this.#history.sinceFor({ from: gapFrom, to }, partial) : undefined;
    const page = since === undefined ? { rows: [], next: after, done: false } : this.#history.page(gapFrom, after, HISTORY_COPY_PAGE_ROWS);
    this.#state.context.out.send(from, { $case: 'historyPage', value: {
      id, refused: since === undefined, rows: page.rows, through: page.next, done: page.done, since: since ?? 0,
    } });
  }

  onPage(from: string, { done, id, refused, rows, since, through }: HistoryPage): void {
    const asked = this.#asked;
    const { context, view } = this.#state;
    if (asked === undefined || asked.id !== id || asked.source !== from) return;
    this.#asked = undefined;
    // The gap may be another one since.
    if (!this.#mayGo() || asked.epoch !== view!.epoch) return;
    const isTaken = !refused && this.#history.takeRows(rows, through);
    if (!isTaken) {
      this.#refusedBy.add(from);
      this.#refusedSince = Math.min(this.#refusedSince, context.now.mono);
    }
    this.#notBefore = context.now.mono + (isTaken ? HISTORY_COPY_PAUSE_MS : HISTORY_COPY_RETRY_MS);
    if (!isTaken) return;
    if (!done) return;
    this.#history.closeGap(since);
    this.#isReported = false;
    this.#refusedBy.clear();
    this.#refusedSince = Infinity;
    context.out.event('history.copied', { source: from, since: this.#history.since ?? 0 });
  }
}
