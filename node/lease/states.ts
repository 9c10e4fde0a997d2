/**
 * The binding states' one table: what may become of a binding, and why. The log refuses any other
 * change; tests and the simulator visit every cell.
 */
import { BINDING_STATE_NAMES } from './record.ts';
import type { BindingState, BindingStateName } from './record.ts';

export const BINDING_TRANSITIONS = {
  FREE: { ACTIVE: 'granted to its first client', ABANDONED: 'declined before it was ever granted' },
  ACTIVE: {
    ACTIVE: 'renewed, or its names are in DNS',
    EXPIRED: 'the lease ended',
    RELEASED: 'the client released it',
    ABANDONED: 'the client found it in use',
  },
  EXPIRED: { ACTIVE: 'granted again', EXPIRED: 'its names are out of DNS', ABANDONED: 'declined by the client it was offered to' },
  RELEASED: { ACTIVE: 'granted again', RELEASED: 'its names are out of DNS', ABANDONED: 'declined by the client it was offered to' },
  ABANDONED: {
    ACTIVE: 'used again, since nothing else was free', RELEASED: 'an operator says that it is free',
    ABANDONED: 'found in use once more, or its names are out of DNS',
  },
} as const satisfies Record<BindingStateName, Partial<Record<BindingStateName, string>>>;

/** `undefined` is FREE: no record. */
export function bindingTransition(
  from: BindingState | undefined,
  to: BindingState,
): { from: BindingStateName; to: BindingStateName; allowed: boolean } {
  const fromName = from === undefined ? 'FREE' : BINDING_STATE_NAMES[from];
  const toName = BINDING_STATE_NAMES[to];
  return { from: fromName, to: toName, allowed: toName in BINDING_TRANSITIONS[fromName] };
}
