/**
 * Until when a lease may run of which this node does not know: what a forced recovery probes for. A configuration that
 * gave longer leases than the one in force has left some behind, so its longest is kept on the disk for as long as they
 * may last. A node that was away counts from when it learns of the shorter one, which is no earlier than it came.
 * Of a configuration that came and went while it was away it knows nothing: a stated limit.
 */
import { driftSeconds } from '../../node/lease/reuse.ts';
import type { BindingStore } from '../../node/lease/store.ts';
import { INFINITE_SECONDS, wallSecondsUp } from '../../node/time.ts';
import type { Now } from '../../node/time.ts';

const META_KEY = 'longest-lease';
/** A lease without an end is never heard of again by itself: addresses are probed for so long. */
const PROBE_FOR_EVER_SECONDS = 365 * 86_400;

interface Longest {
  /** Of the configuration in force when it was written. */
  readonly seconds: number;
  /** Of an earlier one: its longest lease, and the UTC second by which all of its leases have ended. */
  readonly earlier?: { readonly seconds: number; readonly end: number };
}

export class LongestLease {
  readonly #store: BindingStore;
  #longest: Longest;

  constructor(store: BindingStore, seconds: number, now: Now) {
    this.#store = store;
    const saved = store.readMeta(META_KEY);
    this.#longest = saved === undefined ? { seconds: 0 } : JSON.parse(saved.toString()) as Longest;
    this.note(seconds, now);
  }

  /** The longest lease of the configuration that is in force from now on. */
  note(seconds: number, now: Now): void {
    const before = this.#longest;
    if (seconds === before.seconds) return;
    const left = { seconds: before.seconds, end: endOf(before.seconds, now) };
    this.#longest = { seconds, earlier: before.earlier === undefined || left.end > before.earlier.end ? left : before.earlier };
    this.#store.putMeta(META_KEY, Buffer.from(JSON.stringify(this.#longest)));
  }

  /** UTC second by which every lease has ended that was given until now, by the clocks of its client and of the nodes that differ most. */
  end(now: Now, maxClockSkewMs: number): number {
    const { seconds, earlier } = this.#longest;
    const ends = [endOf(seconds, now) + Math.ceil(driftSeconds(seconds))];
    if (earlier !== undefined) ends.push(earlier.end + Math.ceil(driftSeconds(earlier.seconds)));
    return Math.max(...ends) + Math.ceil(maxClockSkewMs / 1000);
  }
}

function endOf(seconds: number, now: Now): number {
  return wallSecondsUp(now.wall) + (seconds === INFINITE_SECONDS ? PROBE_FOR_EVER_SECONDS : seconds);
}
