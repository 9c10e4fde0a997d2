/**
 * What is reported once in a while and not again and again, by key: one entry a place, so that a key that
 * is taken for another is only reported later.
 */
import { fingerprint } from '../lease/fingerprint.ts';
import { REPORT_AGAIN_MS, REPORTED_ENTRIES } from '../limits.ts';
import type { Now } from '../time.ts';

export class Throttle {
  readonly #reportedAt = new Float64Array(REPORTED_ENTRIES).fill(-Infinity);

  /** Whether to report it now; notes that it was. */
  report(key: Uint8Array, now: Now): boolean {
    const at = fingerprint(key, 0) % REPORTED_ENTRIES;
    if (now.mono - this.#reportedAt[at]! < REPORT_AGAIN_MS) return false;
    this.#reportedAt[at] = now.mono;
    return true;
  }
}
