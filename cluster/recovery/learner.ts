/**
 * RECOVER, the learner's side (ARCHITECTURE.md, A node joins): fetch what changed from a member that has
 * finished its view, replace what the members do not have, follow every member's log, and ask to be
 * let in. Complete before it is a member.
 *
 * Invariants: nothing is fetched while the view names an incarnation of this node; each fetch begins
 * a new incarnation; the flush that replaces the first record strikes the earlier ones from the disk;
 * a fetch that was cut short is begun again with all records; after any other view it fetches again.
 */
import { isRecord, recordIncarnation, recordSeq } from '../../node/lease/record.ts';
import type { Cursor, Fetch, FetchRecords } from '../../proto/gen/replication.ts';
import type { Peer } from '../core/peer.ts';
import type { ClusterState } from '../core/state.ts';
import type { ClusterRead } from '../view/coordination.ts';
import { memberOf, names } from '../view/view.ts';
import type { View } from '../view/view.ts';
import { isCursor } from '../replication/cursors.ts';
import type { Beats } from './beats.ts';

const ANSWER_MS = 3000;
const ASK_EVERY_MS = 300;
/** Records of the own store looked at in one step of the search for suspects. */
const SCAN_RECORDS = 4096;
const SUSPECTS_PAGE = 512;
/** "Nearly level": what is missing is less than one turn of a busy node. */
const NEARLY_LEVEL_CHANGES = 1024;

interface FetchRun {
  readonly id: number;
  readonly source: string;
  readonly epoch: number;
  /** Sent with each page; empty: everything is wanted. */
  readonly wanted: readonly Cursor[];
  /** The source's cursors before its first record: what the whole fetch stands for. */
  cursors: readonly Cursor[] | undefined;
  stage: 'pages' | 'scan' | 'suspects';
  /** Addresses that came, where everything is wanted: all others go. */
  readonly came: Set<number> | undefined;
  /** The store may hold more of a log than its own cursors say. */
  readonly mayHoldMore: boolean;
  scanned: number;
  suspects: number[];
  /** A page of suspects was asked for and has not come. */
  suspectsAsked: boolean;
  answeredAt: number;
  started: boolean;
  /** Records that came. */
  records: number;
}

export interface LearnerHooks {
  /** That revision of the configuration is in force here, or ready to be. */
  readonly hasConfig: (revision: number) => boolean;
  /** Nothing speaks against this node in a view with these members: it would fetch for nothing. */
  readonly mayJoin: (view: View) => boolean;
  /** Another incarnation begins: everything said under the old one is void. */
  readonly onNewIncarnation: () => void;
  /** The records are those of this view: stand on it and follow everyone's log. */
  readonly onFetched: (view: View, revision: number, cursors: readonly Cursor[]) => void;
}

export class Learner {
  readonly #state: ClusterState;
  readonly #beats: Beats;
  readonly #hooks: LearnerHooks;
  #run: FetchRun | undefined;
  #nextId = 1;
  #askedAt = -Infinity;
  /** The first fetch of a start is done by the start's own incarnation. */
  #incarnationUsed = false;
  /** The epoch that was fetched under and is followed now. */
  #following: number | undefined;
  /** By all fetches of this start, for the simulator's coverage. */
  recordsFetched = 0;

  constructor(state: ClusterState, beats: Beats, hooks: LearnerHooks) {
    this.#state = state;
    this.#beats = beats;
    this.#hooks = hooks;
  }

  get following(): boolean {
    return this.#following !== undefined;
  }

  /** The node has become a member, or another incarnation. */
  reset(): void {
    this.#run = undefined;
    this.#following = undefined;
  }

  /** A new incarnation has begun for a fetch: it has not been used. */
  allowIncarnation(): void {
    this.#incarnationUsed = false;
  }

  /** Once a turn, with what etcd showed last: a view that does not name this incarnation. */
  step(read: ClusterRead): void {
    const { view } = read;
    if (view === undefined) return;
    const { options } = this.#state.context;
    const old = memberOf(view, options.self);
    if (old !== undefined) return this.#askEviction(view, old.incarnation);
    const epoch = this.#run?.epoch ?? this.#following;
    if (epoch !== undefined && epoch !== view.epoch) this.#restart();
    if (!this.#hooks.mayJoin(view)) return;
    if (this.#run !== undefined) return this.#continue(this.#run, view, read.viewRevision);
    if (this.#following === undefined) return this.#begin(view);
    this.#askToJoin(view);
  }

  #askEviction(view: View, incarnation: number): void {
    const { context } = this.#state;
    this.#run = undefined;
    if (context.now.mono - this.#askedAt < ASK_EVERY_MS) return;
    this.#askedAt = context.now.mono;
    for (const peer of this.#serving(view)) {
      context.out.send(peer.id, { $case: 'evict', value: { node: context.options.self, incarnation, reason: `${context.options.self} recovers` } });
    }
  }

  /** Connected members of the view, as themselves. */
  #serving(view: View): Peer[] {
    return [...this.#state.peers.values()].filter((peer) => peer.connected && names(view, peer.id, peer.incarnation));
  }

  /** What was fetched is of another view: again, as another incarnation. */
  #restart(): void {
    this.#run = undefined;
    this.#following = undefined;
    this.#hooks.onNewIncarnation();
  }


  /** A member no longer keeps what comes after our cursor: fetch again, by now it is little. */
  onGap(): void {
    if (this.#following !== undefined) this.#restart();
  }

  // ── fetching ─────────────────────────────────────────────────────────────────────────────────

  #begin(view: View): void {
    if (!this.#beats.announced()) return;
    if (this.#incarnationUsed) return this.#hooks.onNewIncarnation();
    const { context, cursors } = this.#state;
    const source = this.#serving(view).find((peer) => peer.status?.finished === true && peer.status.epoch === view.epoch);
    if (source === undefined) return;
    this.#incarnationUsed = true;
    const everything = this.#beats.fetchIncomplete();
    this.#run = {
      id: this.#nextId++, source: source.id, epoch: view.epoch, wanted: everything ? [] : cursors.list(), cursors: undefined,
      stage: 'pages', came: everything ? new Set() : undefined, mayHoldMore: this.#beats.mayHoldMore(), scanned: -1, suspects: [], suspectsAsked: false, answeredAt: context.now.mono, started: false, records: 0,
    };
    context.out.event('recover.fetch', { source: source.id, epoch: view.epoch, everything });
    this.#request(this.#run, { from: 0 });
  }

  #request(run: FetchRun, what: { from: number } | { addresses: number[] }): void {
    const fetch: Fetch = 'from' in what
      ? { id: run.id, cursors: [...run.wanted], from: what.from, byAddress: false, addresses: [] }
      : { id: run.id, cursors: [], from: 0, byAddress: true, addresses: what.addresses };
    this.#state.context.out.send(run.source, { $case: 'fetch', value: fetch });
  }

  onRecords(peer: Peer, answer: FetchRecords): void {
    const run = this.#run;
    if (run === undefined || answer.id !== run.id || peer.id !== run.source) return;
    if (answer.refused || answer.epoch !== run.epoch || !answer.cursors.every(isCursor) ||
        answer.changes.some(({ record }) => record.length > 0 && !isRecord(record))) {
      this.#restart();
      return;
    }
    const { context } = this.#state;
    run.answeredAt = context.now.mono;
    run.cursors ??= answer.cursors;
    if (!run.started) {
      run.started = true;
      this.#beats.strike();
      const theirs = new Map(run.cursors.map(({ incarnation, seq }) => [incarnation, seq]));
      context.history?.suspend((incarnation, seq) => seq <= (theirs.get(incarnation) ?? 0));
    }
    for (const { address, record } of answer.changes) {
      run.came?.add(address);
      this.recordsFetched++;
      run.records++;
      if (record.length === 0) context.table.remove(address, context.now);
      else context.table.put(address, record, context.now);
    }
    if (run.stage === 'pages' && !answer.done) this.#request(run, { from: answer.next });
    else if (run.stage === 'pages') run.stage = this.#mayHaveSuspects(run) ? 'scan' : 'suspects';
    else this.#askForSuspects(run);
  }

  /** Only records beyond what the members have of some log can be ones that they do not have: a member's own cursors tell. */
  #mayHaveSuspects(run: FetchRun): boolean {
    const theirs = new Map(run.cursors!.map((cursor) => [cursor.incarnation, cursor.seq]));
    return run.mayHoldMore || this.#state.cursors.list().some(({ incarnation, seq }) => seq > (theirs.get(incarnation) ?? 0));
  }

  #continue(run: FetchRun, view: View, revision: number): void {
    const { context } = this.#state;
    const peer = this.#state.peers.get(run.source);
    if (peer?.connected !== true || (run.stage !== 'scan' && context.now.mono - run.answeredAt > ANSWER_MS)) {
      this.#restart();
      return;
    }
    if (run.stage === 'scan') this.#scan(run);
    else if (run.stage === 'suspects' && !run.suspectsAsked) this.#complete(run, view, revision);
  }

  /** Own records whose change the source never had: they were never committed, its record counts. */
  #scan(run: FetchRun): void {
    const { context } = this.#state;
    const theirs = new Map(run.cursors!.map((cursor) => [cursor.incarnation, cursor.seq]));
    const page = context.table.records(run.scanned, SCAN_RECORDS);
    for (const { address, record } of page) {
      const beyond = run.came === undefined ? recordSeq(record) > (theirs.get(recordIncarnation(record)) ?? 0) : !run.came.has(address);
      if (beyond) run.suspects.push(address);
    }
    run.scanned = page.at(-1)?.address ?? run.scanned;
    run.answeredAt = context.now.mono;
    if (page.length === SCAN_RECORDS) return;
    run.stage = 'suspects';
    this.#askForSuspects(run);
  }

  #askForSuspects(run: FetchRun): void {
    const addresses = run.suspects.splice(0, SUSPECTS_PAGE);
    run.suspectsAsked = addresses.length > 0;
    if (run.suspectsAsked) this.#request(run, { addresses });
  }

  #complete(run: FetchRun, view: View, revision: number): void {
    this.#run = undefined;
    this.#following = view.epoch;
    this.#beats.fetchComplete();
    this.#state.context.out.event('recover.fetched', { epoch: view.epoch, records: run.records });
    this.#hooks.onFetched(view, revision, run.cursors!);
  }

  // ── joining ──────────────────────────────────────────────────────────────────────────────────

  #askToJoin(view: View): void {
    const { context, cursors, peers } = this.#state;
    this.#beats.tick();
    if (!this.#hooks.hasConfig(view.configRevision)) return;
    if (!this.#beats.beatOnEtcd || context.now.mono - this.#askedAt < ASK_EVERY_MS) return;
    const level = view.members.every((member) => {
      const peer = peers.get(member.node);
      return peer?.connected === true && peer.incarnation === member.incarnation && peer.status !== undefined &&
        cursors.seq(member.incarnation) + NEARLY_LEVEL_CHANGES >= peer.status.last;
    });
    if (!level) return;
    this.#askedAt = context.now.mono;
    const ready = { epoch: view.epoch, incarnation: context.incarnation, node: context.options.self };
    for (const peer of this.#serving(view)) context.out.send(peer.id, { $case: 'joinReady', value: ready });
  }
}
