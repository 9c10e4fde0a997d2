/**
 * The same request twice: through two relays, or sent again by the client. It makes one change; every
 * copy is answered by what that change stored.
 *
 * A change that this node owns is in the table before the next packet is read, so the record itself
 * tells a copy from a new request. A forwarded change is in the table only once its owner has made it:
 * until then, or until it is known that nothing comes of it, it is remembered here, and its copies are dropped.
 */
import { FORWARDED_UNDER_WAY_MAX, FORWARDED_UNDER_WAY_MS, SAME_TRANSACTION_SECONDS } from '../limits.ts';
import { BindingState, recordExpires, recordLastTransaction, recordLeaseSeconds, recordState, recordXid } from '../lease/record.ts';
import { monotonicPlus, wallSeconds, wallSecondsUp } from '../time.ts';
import type { MonotonicMs, Now } from '../time.ts';

interface UnderWay {
  readonly xid: number;
  readonly until: MonotonicMs;
}

export class Transactions {
  /** By address, oldest first. */
  readonly #forwarded = new Map<number, UnderWay>();

  forwarded(address: number, xid: number, now: Now): void {
    this.#forwarded.delete(address);
    if (this.#forwarded.size >= FORWARDED_UNDER_WAY_MAX) {
      for (const oldest of this.#forwarded.keys()) {
        this.#forwarded.delete(oldest);
        break;
      }
    }
    this.#forwarded.set(address, { xid, until: monotonicPlus(now.mono, FORWARDED_UNDER_WAY_MS) });
  }

  /** Nothing came of it: the next copy is a request like any other. */
  ended(address: number, xid: number): void {
    if (this.#forwarded.get(address)?.xid === xid) this.#forwarded.delete(address);
  }

  isUnderWay(address: number, xid: number, now: Now): boolean {
    if (this.#forwarded.size === 0) return false;
    const change = this.#forwarded.get(address);
    return change !== undefined && change.xid === xid && change.until > now.mono;
  }

  /** Forgets what is no longer under way. */
  expire(now: Now): void {
    for (const [address, { until }] of this.#forwarded) {
      if (until > now.mono) return;
      this.#forwarded.delete(address);
    }
  }
}

/** Whether the client's own record was written by a copy of the request with this xid. */
export function isSameTransaction(record: Buffer, xid: number, now: Now): boolean {
  if (recordState(record) !== BindingState.ACTIVE || recordXid(record) !== xid) return false;
  // A lease so short that it is half over by then is renewed instead.
  const leaseSeconds = recordLeaseSeconds(record);
  if ((recordExpires(record) - wallSecondsUp(now.wall)) * 2 < leaseSeconds) return false;
  // It may lie ahead: another node's clock may have written it.
  return Math.abs(wallSeconds(now.wall) - recordLastTransaction(record)) < SAME_TRANSACTION_SECONDS;
}
