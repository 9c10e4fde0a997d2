/** When an ended binding's address may go to another client: what the clocks may be wrong by, counted in. */
import { INFINITE_SECONDS } from '../time.ts';
import type { WallSeconds } from '../time.ts';
import { BindingState, recordExpires, recordLastTransaction, recordLeaseSeconds, recordState, recordStateSince } from './record.ts';

/** A reply may leave so long after its packet was read: a client counts its lease from that much later. */
const MAX_REPLY_AGE_SECONDS = 5;
/** The client's clock may run slow by 200 ppm. */
const CLIENT_DRIFT = 1 / 5000;
/** A released address goes to nobody else for so long: a late RELEASE may free an address in use. */
const RELEASE_HOLD_SECONDS = 30;

/**
 * From when the address of an EXPIRED or RELEASED record may go to another client, UTC seconds: the
 * lease's end, or the release, and what the clocks of server and client may be wrong by.
 */
export function reuseSeconds(record: Buffer, maxClockSkewMs: number): WallSeconds {
  const skew = maxClockSkewMs / 1000;
  const since = recordStateSince(record);
  const expires = recordExpires(record);
  const leaseSeconds = recordLeaseSeconds(record);
  const drift = leaseSeconds === INFINITE_SECONDS ? 0 : leaseSeconds * CLIENT_DRIFT;
  const ended = (expires === INFINITE_SECONDS ? since : expires) + skew + drift + MAX_REPLY_AGE_SECONDS;
  let at = ended;
  if (recordState(record) === BindingState.RELEASED) {
    const held = since + RELEASE_HOLD_SECONDS + skew;
    // A release that comes soon after a grant may have been sent before it and been overtaken, and the
    // client uses the address: then it goes to somebody else only when that lease would have ended.
    const soon = since - recordLastTransaction(record) <= RELEASE_HOLD_SECONDS;
    at = soon ? Math.max(held, ended) : held;
  }
  return Math.min(Math.ceil(at), INFINITE_SECONDS) as WallSeconds;
}
