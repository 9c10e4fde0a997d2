/**
 * BOOTP (RFC 951, RFC 1534): one request, one reply, an address for ever. Its reply tells of a binding
 * and waits for the commit as a DHCPACK does.
 */
import { choose } from './choice.ts';
import { drop, isCircuitFull, isReservedFor, termsOf } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { grantChosen } from './grant.ts';
import type { Decision } from './ports.ts';

export function onBootp(context: ServerContext, x: Exchange): Decision {
  const silence = context.responsibility.balanced(x);
  return silence === undefined ? choose(context, x, giveForEver) : drop(context, silence);
}

/** RFC 1534 §2: a server MAY allocate addresses to BOOTP clients; those reserved for them are theirs anyway. */
export function giveForEver(context: ServerContext, x: Exchange, address: number): Decision {
  const { scope } = termsOf(context, x, address);
  if (isCircuitFull(context, x, address)) return drop(context, 'circuit-full');
  return scope.bootp || isReservedFor(x, address) ? grantChosen(context, x, address) : drop(context, 'bootp-refused');
}
