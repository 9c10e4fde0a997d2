/**
 * How often somebody may fail, and how much of it is told one by one: what floods is bounded by source and over all sources,
 * and what is left out is counted.
 */
import { fingerprint } from '../lease/fingerprint.ts';
import {
  API_FAILURES_BURST, API_FAILURES_PER_SECOND, API_SOURCES_MAX, REFUSALS_BURST, REFUSALS_OF_SOURCE_BURST,
  REFUSALS_OF_SOURCE_PER_SECOND, REFUSALS_PER_SECOND, REFUSALS_SUMMARY_MS,
} from './limits.ts';
import type { MonotonicMs } from '../time.ts';
import { Buckets, scattered } from '../token-buckets.ts';
import { networkOf } from './ip-text.ts';

/** A bucket for each source. */
class Sources {
  readonly #buckets = new Buckets(API_SOURCES_MAX);

  constructor(perSecond: number, burst: number) {
    this.#buckets.setRate({ perSecond, burst });
  }

  /** Whether one more goes; it is counted if so. */
  take(source: string, at: MonotonicMs): boolean {
    const key = fingerprint(Buffer.from(source), 0) || 1;
    const place = this.#buckets.find(key, scattered(key), at);
    if (!this.#buckets.hasToken(place, key, at)) return false;
    this.#buckets.take(place, key, at);
    return true;
  }
}

/** Credentials that are no good. */
export class CredentialFailures {
  readonly #sources = new Sources(API_FAILURES_PER_SECOND, API_FAILURES_BURST);

  /** False: that was one too many from there. */
  note(from: string, at: MonotonicMs): boolean {
    return this.#sources.take(networkOf(from), at);
  }
}

/** What was refused and is told of together. */
export interface Untold {
  readonly count: number;
  /** Whose the last of them was. */
  readonly last: string;
}

/** Refused attempts at changes, as the audit log has them. */
export class Refusals {
  readonly #sources = new Sources(REFUSALS_OF_SOURCE_PER_SECOND, REFUSALS_OF_SOURCE_BURST);
  readonly #all = new Sources(REFUSALS_PER_SECOND, REFUSALS_BURST);
  #untold = 0;
  #last = '';
  #toldAt: MonotonicMs | undefined;

  /** Whether this one is written down by itself. `source`: who and from where. */
  isTold(source: string, at: MonotonicMs): boolean {
    if (this.#sources.take(source, at) && this.#all.take('all', at)) return true;
    if (this.#untold === 0) this.#toldAt ??= at;
    this.#untold++;
    this.#last = source;
    return false;
  }

  /** Those that are to be told of together, if it is time for it. */
  takeUntold(at: MonotonicMs): Untold | undefined {
    if (this.#untold === 0 || at - this.#toldAt! < REFUSALS_SUMMARY_MS) return undefined;
    const untold = { count: this.#untold, last: this.#last };
    this.#untold = 0;
    this.#toldAt = at;
    return untold;
  }
}
