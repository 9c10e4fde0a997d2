/**
 * What this node remembers of etcd, so that it notices one that was restored from a backup, emptied or
 * replaced (ARCHITECTURE.md, An etcd that went back): its cluster id, and its revision as of the last answer.
 *
 * Invariants: an answer that shows less than was known when the question was sent proves nothing, and from then
 * on no other answer of that etcd does; only a view of a newer generation in it, which an operator has asked for,
 * ends that, or, where it was another etcd, that the right one answers again. All this outlives the process. In an etcd that went back revisions come again, so that a transaction
 * which compares one may succeed, and what lay in an inbox is gone: that is why no view is written, nobody
 * campaigns, and neither an inbox nor a confirmation counts.
 */
import type { Context, EtcdGuard, TxnResult } from '../core/context.ts';
import type { ClusterState } from '../core/state.ts';
import type { ClusterRead, Expected } from './coordination.ts';
import { isNewer, isSameView } from './view.ts';

const META_KEY = 'etcd-seen';
/** As often as a member beats: what is younger can be lost with the process. */
const SAVE_EVERY_MS = 5000;
const REPORT_EVERY_MS = 60_000;

/** What lies on the disk. */
interface Remembered {
  readonly clusterId: string;
  readonly revision: number;
  /** Of the view for whose sake this etcd is trusted. */
  readonly generation: number;
  /** Why answers do not count; empty: they do. And of which etcd, by its cluster id. */
  readonly wentBack: string;
  readonly wentBackId: string;
  /** The highest generation that any node was heard of. */
  readonly newestGeneration: number;
  /** When this store was last in the view, UTC seconds; 0: never. */
  readonly memberAt: number;
}

const NOTHING: Remembered = { clusterId: '', revision: 0, generation: 0, wentBack: '', wentBackId: '', newestGeneration: 0, memberAt: 0 };

interface Mark {
  readonly era: number;
  readonly revision: number;
}

/** What a read that is asked for now must show at least: not a view that nobody has put there. */
export function expectedOf({ peers, unwritten, view }: ClusterState): Expected {
  const said = [...peers.values()].flatMap(({ id, introduced, status }) =>
    (introduced === undefined || introduced.forcedView.length > 0 ? [] : [{ node: id, generation: introduced.generation, epoch: Math.max(introduced.epoch, status?.epoch ?? 0) }]));
  return { view: unwritten ? undefined : view, peers: said };
}

export class EtcdMemory implements EtcdGuard {
  readonly #state: ClusterState;
  readonly #context: Context;
  #clusterId: string;
  #revision: number;
  #generation: number;
  #memberAt: number;
  #wentBackId: string;
  newestGeneration: number;
  /** Grows when an operator has had another etcd, or an older state of it, taken for the truth. */
  #era = 0;
  #savedAt = -Infinity;
  #reportedAt = -Infinity;

  constructor(state: ClusterState) {
    this.#state = state;
    this.#context = state.context;
    const saved = this.#context.store.readMeta(META_KEY);
    const remembered = saved === undefined ? NOTHING : { ...NOTHING, ...(JSON.parse(saved.toString()) as Partial<Remembered>) };
    this.#clusterId = remembered.clusterId;
    this.#revision = remembered.revision;
    this.#generation = remembered.generation;
    this.#memberAt = remembered.memberAt;
    this.#wentBackId = remembered.wentBackId;
    this.newestGeneration = remembered.newestGeneration;
    state.wentBack = remembered.wentBack;
  }

  /** When this store was last known to be in the view, UTC seconds; 0: never, or before that was noted. */
  get memberAt(): number {
    return this.#memberAt;
  }

  /** The generation in which etcd has been found to have gone back: for the others, who read the same etcd. */
  get wentBackIn(): number | undefined {
    return this.#state.wentBack === '' ? undefined : this.#generation;
  }

  // ── every answer ─────────────────────────────────────────────────────────────────────────────

  mark(): Mark {
    return { era: this.#era, revision: this.#revision };
  }

  counts({ clusterId, revision }: TxnResult, mark: unknown): boolean {
    const { era, revision: atLeast } = mark as Mark;
    if (era !== this.#era) return false;
    if (this.#clusterId === '') this.#clusterId = clusterId;
    if (clusterId !== this.#clusterId) this.#distrust(`it is another one: its cluster id is ${clusterId}, and was ${this.#clusterId}`, clusterId);
    else if (revision < atLeast) this.#distrust(`it is at revision ${revision}, and was at ${atLeast}`, clusterId);
    else if (this.#state.wentBack !== '' && this.#wentBackId !== clusterId) this.#believe();
    if (this.#state.wentBack !== '') return false;
    this.#revision = Math.max(this.#revision, revision);
    return true;
  }

  // ── what etcd shows as a whole ───────────────────────────────────────────────────────────────

  onRead(read: ClusterRead): void {
    const { view } = this.#state;
    if (read.view !== undefined && read.view.generation > this.#generation) this.#trust(read, read.view.generation);
    if (this.#state.unwritten && read.view !== undefined && !isNewer(view!, read.view)) {
      this.#state.unwritten = false;
      this.#context.out.event('cluster.generation-written', { generation: read.view.generation, epoch: read.view.epoch });
    }
    const why = this.#state.wentBack === '' ? this.#whyBack(read) : '';
    if (why !== '') this.#distrust(why, read.clusterId);
  }

  /** It was another etcd that answered for a while, by a wrong address; this one has never shown less than it did. */
  #believe(): void {
    this.#state.wentBack = '';
    this.#context.out.event('etcd.right-one');
    this.#save();
  }

  /** Either the first etcd that this node sees, or the one that an operator has begun a generation in. */
  #trust({ clusterId, revision }: ClusterRead, generation: number): void {
    // Of the first one every answer counts, also those that are under way.
    if (this.#generation > 0) this.#era++;
    this.#clusterId = clusterId;
    this.#revision = revision;
    this.#generation = generation;
    this.#state.wentBack = '';
    this.noteGeneration(generation);
    this.#save();
  }

  #whyBack({ expected, view, viewRevision, wentBack }: ClusterRead): string {
    const known = expected.view;
    if (known !== undefined) {
      if (view === undefined && viewRevision === 0) return `it has no view, and had that of epoch ${known.epoch}`;
      // Outside the view that is told by itself, and a person may overwrite it.
      if (view === undefined) return this.#state.phase === 'member' ? `its view cannot be read, and was of epoch ${known.epoch}` : '';
      if (isNewer(known, view)) return `its view is of epoch ${view.epoch}, and was of ${known.epoch}`;
      if (view.epoch === known.epoch && !isSameView(view, known)) return `its view of epoch ${view.epoch} is another than this node adopted`;
    }
    if (view === undefined) return '';
    const ahead = expected.peers.find((peer) => peer.generation === view.generation && peer.epoch > view.epoch);
    if (ahead !== undefined) return `its view is of epoch ${view.epoch}, and ${ahead.node} has been in ${ahead.epoch}`;
    const told = [...wentBack].find(([node, theirs]) => node !== this.#context.options.self && theirs >= view.generation);
    return told === undefined ? '' : `${told[0]} says so`;
  }

  #distrust(why: string, clusterId: string): void {
    // Of the right one what was found before outlasts that another one answers for a while.
    if (this.#state.wentBack !== '' && (this.#wentBackId === this.#clusterId || clusterId !== this.#clusterId)) return;
    this.#state.wentBack = why;
    this.#wentBackId = clusterId;
    this.#report();
    this.#save();
  }

  // ── what others say ──────────────────────────────────────────────────────────────────────────

  noteGeneration(generation: number): void {
    if (generation <= this.newestGeneration) return;
    this.newestGeneration = generation;
    this.#save();
  }

  /** This store is in a view now. */
  onAdopted(): void {
    this.#save();
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────

  /** Once a turn. */
  tick(): void {
    const { phase, wentBack } = this.#state;
    const { mono } = this.#context.now;
    if (wentBack !== '' && mono - this.#reportedAt >= REPORT_EVERY_MS) this.#report();
    if (phase === 'member' && this.#clusterId !== '' && mono - this.#savedAt >= SAVE_EVERY_MS) this.#save();
  }

  #report(): void {
    this.#reportedAt = this.#context.now.mono;
    this.#context.out.event('etcd.went-back', { reason: this.#state.wentBack });
  }

  /** With the next flush: nothing waits for it. */
  #save(): void {
    const { context, phase, wentBack } = this.#state;
    this.#savedAt = context.now.mono;
    if (phase === 'member') this.#memberAt = Math.floor(context.now.wall / 1000);
    const remembered: Remembered = {
      clusterId: this.#clusterId, revision: this.#revision, generation: this.#generation, wentBack, wentBackId: this.#wentBackId,
      newestGeneration: this.newestGeneration, memberAt: this.#memberAt,
    };
    context.store.putMeta(META_KEY, Buffer.from(JSON.stringify(remembered)));
  }
}
