/** Counts what clients asked for and how they fared, by the step under which they began to ask. */

export type Kind = 'exchange' | 'renewal';

export interface KindReport {
  readonly ended: number;
  /** Ended, but only after one message was sent again. */
  readonly secondTry: number;
  /** Not answered by the second try. */
  readonly failed: number;
  /** From the first message to the last answer, ms; of those that ended. */
  readonly maxMs: number;
  /** The slowest of all but one in a hundred. */
  readonly p99Ms: number;
}

export interface BucketReport {
  readonly name: string;
  /** Of what began under it, how much is still under way. */
  readonly open: number;
  readonly exchange: KindReport;
  readonly renewal: KindReport;
  /** Leases that ended or were refused under their clients, by how. */
  readonly lost: Readonly<Record<string, number>>;
}

/** Of each hundredth of a second so many; what took longer counts in the last. */
const SLOTS = 3000;
const SLOT_MS = 10;

class KindCount {
  ended = 0;
  secondTry = 0;
  failed = 0;
  maxMs = 0;
  readonly #times = new Uint32Array(SLOTS);

  took(ms: number): void {
    this.ended++;
    this.maxMs = Math.max(this.maxMs, ms);
    this.#times[Math.min(SLOTS - 1, Math.floor(ms / SLOT_MS))]!++;
  }

  report(): KindReport {
    let left = Math.floor(this.ended / 100);
    let slot = SLOTS - 1;
    for (; slot > 0 && left >= this.#times[slot]!; slot--) left -= this.#times[slot]!;
    const { ended, failed, maxMs, secondTry } = this;
    return { ended, secondTry, failed, maxMs: Math.round(maxMs), p99Ms: ended === 0 ? 0 : (slot + 1) * SLOT_MS };
  }
}

interface Bucket {
  readonly name: string;
  readonly exchange: KindCount;
  readonly renewal: KindCount;
  readonly lost: Record<string, number>;
}

interface UnderWay {
  readonly bucket: Bucket;
  readonly kind: Kind;
  readonly beganAt: number;
  sentAgain: number;
  /** What happened to it, each with its ms from the beginning. */
  readonly story: string[];
}

/** Stories of failures that are kept. */
const STORIES_MAX = 20;

export class Tally {
  readonly #buckets: Bucket[] = [];
  readonly #underWay = new Map<object, UnderWay>();
  /** Of exchanges that failed, as their clients saw it. */
  readonly stories: string[] = [];

  constructor() {
    this.begin('start');
  }

  begin(name: string): void {
    this.#buckets.push({ name, exchange: new KindCount(), renewal: new KindCount(), lost: {} });
  }

  /** One that begins anew before it ended counts once, from its first message. */
  began(client: object, kind: Kind, now: number): void {
    if (!this.#underWay.has(client)) this.#underWay.set(client, { bucket: this.#buckets.at(-1)!, kind, beganAt: now, sentAgain: 0, story: [] });
  }

  note(client: object, what: string, now: number): void {
    const one = this.#underWay.get(client);
    one?.story.push(`${Math.round(now - one.beganAt)} ${what}`);
  }

  beganAt(client: object): number {
    return this.#underWay.get(client)?.beganAt ?? 0;
  }

  /** A message that was not answered is sent again: the first such is what any client does, the next is a failure. */
  sentAgain(client: object): void {
    const one = this.#underWay.get(client);
    if (one === undefined) return;
    one.sentAgain++;
    if (one.sentAgain === 2) one.bucket[one.kind].failed++;
  }

  /** A new client is told to begin anew: as bad as a second message that is not answered. */
  refused(client: object): void {
    const one = this.#underWay.get(client);
    if (one === undefined) return;
    if (one.sentAgain < 2) one.bucket[one.kind].failed++;
    one.sentAgain = 2;
  }

  ended(client: object, now: number): void {
    const one = this.#underWay.get(client);
    if (one === undefined) return;
    this.#underWay.delete(client);
    one.bucket[one.kind].took(now - one.beganAt);
    if (one.sentAgain === 1) one.bucket[one.kind].secondTry++;
    if (one.sentAgain > 1 && this.stories.length < STORIES_MAX) this.stories.push(`${one.bucket.name}: ${one.story.join(', ')}`);
  }

  /** It was refused, or had its lease end under it. */
  lost(client: object, how: string): void {
    const bucket = this.#underWay.get(client)?.bucket ?? this.#buckets.at(-1)!;
    bucket.lost[how] = (bucket.lost[how] ?? 0) + 1;
  }

  report(): BucketReport[] {
    const open = new Map<Bucket, number>();
    for (const { bucket } of this.#underWay.values()) open.set(bucket, (open.get(bucket) ?? 0) + 1);
    return this.#buckets.map((bucket) => ({
      name: bucket.name, open: open.get(bucket) ?? 0, exchange: bucket.exchange.report(), renewal: bucket.renewal.report(), lost: bucket.lost,
    }));
  }
}
