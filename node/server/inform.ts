/** DHCPINFORM (RFC 2131 §4.3.5): the parameters of the client's segment; nothing is allocated. */
import { exchangeEvent } from './describe.ts';
import { drop, dropWith, termsOf } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';
import { isRefused, silent } from './quarantine.ts';

export function onInform(context: ServerContext, x: Exchange): Decision {
  const { message, packet } = x;
  // One that was sent to this node alone is answered by it; all others every node has seen.
  if (!packet.unicast || message.giaddr !== 0) {
    const silence = context.responsibility.balanced(x);
    if (silence !== undefined) return drop(context, silence);
  }
  if (isRefused(x)) return silent(context, x);
  // A client that leaves 'ciaddr' empty is still reached at the address it sends from.
  const address = message.ciaddr !== 0 || message.giaddr !== 0 ? message.ciaddr : packet.sourceAddress;
  if (address === 0) return drop(context, 'no-address');
  // RFC 2131 §3.4: it SHOULD be consistent. The answer to an address of another link would go to somebody else.
  if (context.table.networkOf(address) !== x.network.index) return drop(context, 'no-subnet');
  if (!x.network.authoritative) {
    const event = exchangeEvent('dhcp.refused', x, address, { message: 'inform', reason: 'not-authoritative' });
    return dropWith(context, 'not-authoritative', event);
  }
  return { ...NOTHING, sendNow: [context.replies.inform(x, termsOf(context, x, address), address)], events: [exchangeEvent('dhcp.inform', x, address)] };
}
