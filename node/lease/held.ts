/** How long clients keep their leases: what the lease times of a network are chosen by. */
import { BindingState, recordExpires, recordState, recordStateSince } from './record.ts';

/**
 * How long the lease was held that a change ends, seconds: from its grant, over all renewals, until it was released
 * or declined, or until it ran out, however late that was noticed. Undefined where the change ends no lease.
 */
export function heldSeconds(before: Buffer | undefined, after: Buffer): number | undefined {
  if (before === undefined || recordState(before) !== BindingState.ACTIVE || recordState(after) === BindingState.ACTIVE) return undefined;
  return Math.max(0, Math.min(recordStateSince(after), recordExpires(before)) - recordStateSince(before));
}
