/**
 * What a node's disk can say for itself after a restart (ARCHITECTURE.md, Fit): which incarnations' data it
 * holds whole, how often it has beaten, and which acknowledgements it has received.
 *
 * Invariants: an incarnation is flushed before it is announced; a beat is flushed before it goes to
 * etcd, and never goes down, so that a restored disk is behind.
 */
import type { BindingStore } from '../../node/lease/store.ts';
import type { AckSeen } from '../../proto/gen/replication.ts';
import type { Context } from '../core/context.ts';

const META_INCARNATIONS = 'incarnations';
const META_BEAT = 'beat';
const META_ACKS = 'acks-seen';
const META_FETCHING = 'fetching';
/** When the backup was made that the store was restored from, as text; gone once a view names the node. */
const META_RESTORED = 'restored-from';
export const BEAT_EVERY_MS = 5000;
/** A beat whose fate is not known is written again: a learner waits for it before it asks to be let in. */
const PUBLISH_AGAIN_MS = 250;
const HELD_MAX = 64;
/** Acknowledgements go to the disk with the next change, or at the latest after this. */
const ACKS_EVERY_MS = 1000;

interface BeatValue {
  incarnation: number;
  beat: number;
}

/**
 * What a store that is restored from a backup says of itself: that of another past, as `Beats.disown` has it. It vouches
 * for no incarnation, so the node never goes on by it without an operator's word, and fetches everything where another one serves.
 * `backup`: what the backup has; it may be that of a store that was restored itself, and is of then.
 */
export function restoredMeta(madeAt: string, backup: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
  return new Map([[META_INCARNATIONS, Buffer.from('[]')], [META_FETCHING, Buffer.from('true')], [META_RESTORED, backup.get(META_RESTORED) ?? Buffer.from(madeAt)]]);
}

export class Beats {
  readonly #context: Context;
  readonly #store: BindingStore;
  #held: number[];
  #beat: number;
  #acks: AckSeen[];
  /** Whose log `#acksNow` is about: this start's, until `begin` names another. */
  #origin: number;
  /** Acknowledgements of this incarnation's log, by whom. */
  #acksNow = new Map<number, number>();
  #acksDirtyAt: number | undefined;
  readonly #hadData: boolean;
  /** A beat queued to the disk: goes to etcd once flushed. */
  #pending: { beat: number; position: number } | undefined;
  #lastBeatAt = -Infinity;
  #publishAt = -Infinity;
  /** The last beat that etcd is known to have, of this incarnation. */
  #published = 0;
  #incarnationPosition = 0;

  constructor(context: Context, hadData: boolean) {
    this.#context = context;
    this.#origin = context.incarnation;
    this.#store = context.store;
    this.#held = (readJson(context.store, META_INCARNATIONS) ?? []) as number[];
    this.#beat = (readJson(context.store, META_BEAT) ?? 0) as number;
    this.diskBeat = this.#beat;
    this.#acks = (readJson(context.store, META_ACKS) ?? []) as AckSeen[];
    this.#hadData = hadData;
  }

  /** Names this start on the disk; announced once that is flushed. */
  begin(): void {
    this.#origin = this.#context.incarnation;
    const held = [...this.#held.filter((one) => one !== this.#context.incarnation), this.#context.incarnation];
    // The first was in the view last: the others are starts that have led to nothing since.
    this.#held = [...held.slice(0, 1), ...held.slice(1).slice(1 - HELD_MAX)];
    this.#incarnationPosition = this.#putJson(META_INCARNATIONS, this.#held);
  }

  announced(): boolean {
    return this.#store.flushedPosition >= this.#incarnationPosition;
  }

  /** A view names the present incarnation: it will never name an earlier one again. */
  entered(): void {
    if (this.mayHoldMore()) this.#store.putMeta(META_FETCHING, null);
    if (this.restoredFrom() !== '') this.#store.putMeta(META_RESTORED, null);
    if (this.#held.length === 1) return;
    this.#held = [this.#context.incarnation];
    this.#putJson(META_INCARNATIONS, this.#held);
  }

  /** Earlier incarnations whose data is whole here, and the present one. */
  held(): number[] {
    return this.#held;
  }

  holds(incarnation: number): boolean {
    return this.#held.includes(incarnation);
  }

  /**
   * Another past than the others know: this disk vouches for nothing that came before. Everything is fetched
   * anew, since a record of that past may carry the same number as the one that the others have.
   */
  disown(): void {
    this.#held = [];
    this.#putJson(META_FETCHING, true);
  }

  /** A learner's first record replaces one: the disk holds no earlier incarnation whole any more. */
  strike(): void {
    this.#held = [this.#context.incarnation];
    this.#putJson(META_INCARNATIONS, this.#held);
    this.#putJson(META_FETCHING, true);
    this.#acks = [];
    this.#acksNow.clear();
    this.#putJson(META_ACKS, []);
  }

  /** A fetch began and did not end: the records and the cursors do not belong together. */
  fetchIncomplete(): boolean {
    return readJson(this.#store, META_FETCHING) === true;
  }

  /** A fetch ended, and no view has named the node since: pages may have shown more of a log than its cursor says. */
  mayHoldMore(): boolean {
    return readJson(this.#store, META_FETCHING) !== undefined;
  }

  /** When the backup was made that this store is from; "": it is from none, or the node was in a view since. */
  restoredFrom(): string {
    return this.#store.readMeta(META_RESTORED)?.toString() ?? '';
  }

  fetchComplete(): void {
    this.#putJson(META_FETCHING, false);
  }

  /** The disk had a view or a binding when the node started; what it got since is asked of the state. */
  hadData(): boolean {
    return this.#hadData;
  }

  // ── beats ────────────────────────────────────────────────────────────────────────────────────

  /** What the disk had when this start began: behind etcd's, the disk is an older copy. */
  readonly diskBeat: number;

  get beatOnEtcd(): boolean {
    return this.#published > 0;
  }

  /** etcd has a beat of ours: start above it, whatever the disk says. */
  startAbove(beatInEtcd: number): void {
    if (beatInEtcd > this.#beat) this.#beat = beatInEtcd;
  }

  /** While a member, or a learner whose records are stored. */
  tick(): void {
    if (this.#pending === undefined && this.#context.now.mono - this.#lastBeatAt >= BEAT_EVERY_MS) {
      this.#lastBeatAt = this.#context.now.mono;
      this.#beat++;
      this.#pending = { beat: this.#beat, position: this.#putJson(META_BEAT, this.#beat) };
    }
    this.#publish();
  }

  #publish(): void {
    const pending = this.#pending;
    if (pending === undefined || pending.position > this.#store.flushedPosition || this.#context.now.mono < this.#publishAt) return;
    this.#pending = undefined;
    const { incarnation } = this.#context;
    const value = Buffer.from(JSON.stringify({ incarnation, beat: pending.beat } satisfies BeatValue));
    this.#context.etcd.txn({ then: [{ op: 'put', key: `beats/${this.#context.options.self}`, value }], anyEtcd: true }, (result) => {
      if (incarnation !== this.#context.incarnation) return;
      if (result !== undefined) this.#published = pending.beat;
      // The same one, so that it does no harm if the first write is carried out late.
      else if (this.#pending === undefined) {
        this.#pending = pending;
        this.#publishAt = this.#context.now.mono + PUBLISH_AGAIN_MS;
      }
    });
  }

  /** A learner is a new incarnation with each fetch and beats once more before it asks to be let in. */
  newIncarnation(): void {
    this.#acks = this.acksSeen().slice(-HELD_MAX);
    this.#acksNow.clear();
    this.#published = 0;
    this.#pending = undefined;
    this.#lastBeatAt = -Infinity;
  }

  // ── acknowledgements ─────────────────────────────────────────────────────────────────────────

  acksSeen(): AckSeen[] {
    return [...this.#acks, ...[...this.#acksNow].map(([by, seq]) => ({ by, origin: this.#origin, seq }))];
  }

  /** Whoever acknowledges goes to the end: those that are gone are forgotten first. */
  noteAck(by: number, seq: number): void {
    this.#acksNow.delete(by);
    this.#acksNow.set(by, seq);
    for (const oldest of this.#acksNow.keys()) {
      if (this.#acksNow.size <= HELD_MAX) break;
      this.#acksNow.delete(oldest);
    }
    this.#acksDirtyAt ??= this.#context.now.mono;
  }

  /** Of incarnations that no view will name any more. */
  forgetAcks(isKept: (by: number) => boolean): void {
    for (const by of this.#acksNow.keys()) if (!isKept(by)) this.#acksNow.delete(by);
  }

  /** Before the driver takes the writes: no flush of their own unless they are a second old. */
  save(othersWrite: boolean): void {
    if (this.#acksDirtyAt === undefined) return;
    if (!othersWrite && this.#context.now.mono - this.#acksDirtyAt < ACKS_EVERY_MS) return;
    this.#acksDirtyAt = undefined;
    this.#putJson(META_ACKS, this.acksSeen().slice(-HELD_MAX));
  }

  #putJson(key: string, value: unknown): number {
    return this.#store.putMeta(key, Buffer.from(JSON.stringify(value)));
  }
}

function readJson(store: BindingStore, key: string): unknown {
  const bytes = store.readMeta(key);
  return bytes === undefined ? undefined : JSON.parse(bytes.toString());
}
