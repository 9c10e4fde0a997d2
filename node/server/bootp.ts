/**
 * BOOTP (RFC 951, RFC 1534): one request, one reply, an address for ever. Its reply tells of a binding
 * and waits for the commit as a DHCPACK does.
 */
import { choose } from './choice.ts';
import { drop, isCircuitFull } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { grantChosen } from './grant.ts';
import type { Decision } from './ports.ts';
import { isRefused, silent } from './quarantine.ts';

export function onBootp(context: ServerContext, x: Exchange): Decision {
  const silence = context.responsibility.balanced(x);
  if (silence !== undefined) return drop(context, silence);
  return isRefused(x) ? silent(context, x) : choose(context, x, giveForEver);
}

export function giveForEver(context: ServerContext, x: Exchange, address: number): Decision {
  return isCircuitFull(context, x, address) ? drop(context, 'circuit-full') : grantChosen(context, x, address);
}
