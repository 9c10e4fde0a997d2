/** No address is left for a client, anywhere. */
import { MessageType } from '../codec/message.ts';
import { exhaustedEvent } from './describe.ts';
import { drop, dropWith, poolsOf, termsOf } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';
import { AUTO_CONFIGURE } from './replies.ts';

export function exhausted(context: ServerContext, x: Exchange): Decision {
  const terms = termsOf(context, x, 0);
  // RFC 2563 §2: a client that asks may be told whether to give itself an address then.
  if (x.message.type === MessageType.DISCOVER && x.message.has(AUTO_CONFIGURE) && terms.options.some(({ code }) => code === AUTO_CONFIGURE)) {
    return { ...NOTHING, sendNow: [context.replies.offerNothing(x, terms, undefined)] };
  }
  // Where no pool lets the client in, none is too small.
  if (context.poolChoice.of(x.subnet, x.classes).length === 0) return drop(context, 'not-permitted');
  if (poolsOf(context, x).length === 0) return drop(context, 'bootp-refused');
  if (!context.allocations.reportExhausted(x.network.index, x.now)) return drop(context, 'pool-exhausted');
  return dropWith(context, 'pool-exhausted', exhaustedEvent(x));
}
