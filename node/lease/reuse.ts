/** When an ended binding's address may go to another client: what the clocks may be wrong by, counted in. */
import { INFINITE_SECONDS } from '../time.ts';
import type { WallSeconds } from '../time.ts';
import { BindingState, recordExpires, recordLastTransaction, recordLeaseSeconds, recordState, recordStateSince, recordTaken } from './record.ts';

/** A reply may leave so long after its packet was read: a client counts its lease from that much later. */
const MAX_REPLY_AGE_SECONDS = 5;
/** The client's clock may run slow by 200 ppm. */
const CLIENT_DRIFT = 1 / 5000;
/** A released address goes to nobody else for so long: a late RELEASE may free an address in use. */
const RELEASE_HOLD_SECONDS = 30;

/** By how much the client's clock may be late at the end of a lease of so many seconds. */
export function driftSeconds(leaseSeconds: number): number {
  return leaseSeconds === INFINITE_SECONDS ? 0 : leaseSeconds * CLIENT_DRIFT;
}

/**
 * The end of the lease that the client may still go by; INFINITE_SECONDS: none. A release or a decline ends
 * it, but one that comes soon after a grant may have been sent before it and been overtaken; and a client whose lease
 * was taken from it (`takenLease`) does not know.
 */
export function believedEnd(record: Buffer): number {
  const state = recordState(record);
  if (state === BindingState.ACTIVE || state === BindingState.EXPIRED) return recordExpires(record);
  const since = recordStateSince(record);
  if (recordTaken(record)) return Math.max(since, recordExpires(record));
  return since - recordLastTransaction(record) <= RELEASE_HOLD_SECONDS ? Math.max(since, recordExpires(record)) : since;
}

/**
 * From when the address of an EXPIRED or RELEASED record may go to another client, UTC seconds; that of an
 * ABANDONED one where nothing else is free. What the clocks of server and client may be wrong by counts.
 */
export function reuseSeconds(record: Buffer, maxClockSkewMs: number): WallSeconds {
  const skew = maxClockSkewMs / 1000;
  const since = recordStateSince(record);
  const believed = believedEnd(record);
  if (believed === INFINITE_SECONDS) return INFINITE_SECONDS as WallSeconds;
  let at = believed + skew + driftSeconds(recordLeaseSeconds(record)) + MAX_REPLY_AGE_SECONDS;
  if (recordState(record) === BindingState.RELEASED) {
    const held = since + RELEASE_HOLD_SECONDS + skew;
    at = believed > since ? Math.max(held, at) : held;
  }
  return Math.min(Math.ceil(at), INFINITE_SECONDS) as WallSeconds;
}
