/** What a node keeps of the past, as the failover core drives it: both histories have holes for the same reasons. */
import { LEASE_HISTORY_LEVEL_MS } from '../../node/history/limits.ts';
import { wallSeconds } from '../../node/time.ts';
import type { Confirmations } from '../replication/confirm.ts';
import type { Context, HistoryOfChanges } from './context.ts';

/** Told together when the node begins to fetch, and when it is a member again. */
export function inStep(...histories: readonly (HistoryOfChanges | undefined)[]): HistoryOfChanges | undefined {
  const kept = histories.filter((history) => history !== undefined);
  if (kept.length === 0) return undefined;
  return {
    suspend: (isKnown) => {
      for (const history of kept) history.suspend(isKnown);
    },
    resume: (now) => {
      for (const history of kept) history.resume(now);
    },
  };
}

/**
 * Up to when this node has heard of everything that the members changed. What it believes of itself is not enough: one that
 * was evicted while it reached nobody hears nothing any more, and does not know it. So it is the moment before the last
 * confirmation that has come.
 */
export class HeardUntil {
  readonly #context: Context;
  readonly #confirmations: Confirmations;
  #asked: { readonly ticket: number; readonly second: number } | undefined;
  #askedAt = -Infinity;

  constructor(context: Context, confirmations: Confirmations) {
    this.#context = context;
    this.#confirmations = confirmations;
  }

  /** UTC second by this node's clock, once for each confirmation; undefined: nothing new is known. */
  take(): number | undefined {
    const { mono, wall } = this.#context.now;
    const asked = this.#asked;
    if (asked !== undefined) {
      if (asked.ticket > this.#confirmations.confirmed) return undefined;
      this.#asked = undefined;
      return asked.second;
    }
    if (mono - this.#askedAt < LEASE_HISTORY_LEVEL_MS) return undefined;
    this.#askedAt = mono;
    this.#asked = { ticket: this.#confirmations.ask(), second: wallSeconds(wall) };
    return undefined;
  }
}
