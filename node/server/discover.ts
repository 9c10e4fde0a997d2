/**
 * DHCPDISCOVER (RFC 2131 §4.3.1): an address is offered, or given at once where both sides want it so
 * (RFC 4039). Nothing is stored for an offer; the address is held in memory for the client.
 */
import { choose, chooseAddress } from './choice.ts';
import { drop, isCircuitFull, termsOf } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { exhausted } from './exhausted.ts';
import { grantChosen, leaseSecondsOf } from './grant.ts';
import { wishFor } from './names.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';
import { isRefused, silent } from './quarantine.ts';
import { V6_ONLY_PREFERRED } from './replies.ts';

const PARAMETER_REQUEST_LIST = 55;
const RAPID_COMMIT = 80;

export function onDiscover(context: ServerContext, x: Exchange): Decision {
  const silence = context.responsibility.balanced(x);
  if (silence !== undefined) return drop(context, silence);
  if (isRefused(x)) return silent(context, x);
  if (x.message.option(PARAMETER_REQUEST_LIST)?.includes(V6_ONLY_PREFERRED) === true) {
    // RFC 8925 §3.3: the pool that an address would come from says whether the client does without one;
    // where it is exhausted, the subnet does.
    const terms = termsOf(context, x, chooseAddress(context, x));
    if (terms.options.some(({ code }) => code === V6_ONLY_PREFERRED)) {
      return { ...NOTHING, sendNow: [context.replies.offerNothing(x, terms, leaseSecondsOf(x, terms))] };
    }
  }
  return choose(context, x, offerOrGrant);
}

/** What a DHCPDISCOVER does with the address chosen for it. */
export function offerOrGrant(context: ServerContext, x: Exchange, address: number): Decision {
  if (isCircuitFull(context, x, address)) return drop(context, 'circuit-full');
  const terms = termsOf(context, x, address);
  if (terms.scope.rapidCommit && x.message.has(RAPID_COMMIT)) return grantChosen(context, x, address);
  if (!context.offers.hold(address, x.clientKey, x.now, x.message.xid)) return exhausted(context, x);
  const wish = wishFor(context, x, terms, address, undefined);
  return { ...NOTHING, sendNow: [context.replies.offer(x, terms, address, leaseSecondsOf(x, terms), wish)] };
}
