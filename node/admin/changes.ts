/** A change that an operator asks of the node: what it is decided by, and what becomes of it. */
import type { OwnChange } from '../server/ports.ts';
import type { Now } from '../time.ts';

/** What is to be changed, by what is known now (it is confirmed by then); a text: why nothing is. */
export type Decide = (now: Now) => readonly OwnChange[] | string;

export type ChangeOutcome =
  /** All of it is committed. */
  | { readonly kind: 'done' }
  /** Nothing was changed. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The node is not in service, or cannot make sure in time of what it knows: nothing was changed. */
  | { readonly kind: 'unavailable'; readonly reason: string }
  /** It was begun, and may be done or not. */
  | { readonly kind: 'unknown'; readonly reason: string };
