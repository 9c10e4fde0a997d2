/**
 * DHCPREQUEST (RFC 2131 §4.3.2) in the four states that RFC 2131 §4.3.6, Table 4 tells apart. A grant
 * is a change of the binding and its DHCPACK waits for the commit; a DHCPNAK waits for a confirmation.
 */
import type { DropReason } from '../telemetry/counters.ts';
import { recordEpoch } from '../lease/record.ts';
import { mayBeWhoAnswered, unlessInUse } from './conflict.ts';
import { exchangeEvent } from './describe.ts';
import { drop, dropWith, isCircuitFull, isClients, mayGive, mayGiveAbandoned } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { answerAgain, grant } from './grant.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';
import { isRefused, silent } from './quarantine.ts';
import { isSameTransaction } from './transactions.ts';

const REQUESTED_ADDRESS = 50;
const SERVER_IDENTIFIER = 54;

export type ClientState = 'SELECTING' | 'INIT-REBOOT' | 'RENEWING' | 'REBINDING';

/** RFC 2131 §4.3.6, Table 4. Undefined: the request names no address. */
export function clientState(x: Exchange): ClientState | undefined {
  const { message, packet } = x;
  if (message.has(SERVER_IDENTIFIER)) return message.has(REQUESTED_ADDRESS) || message.ciaddr !== 0 ? 'SELECTING' : undefined;
  if (message.ciaddr === 0) return message.has(REQUESTED_ADDRESS) ? 'INIT-REBOOT' : undefined;
  // A relayed one may be either, and every node has seen it: it is answered like REBINDING.
  return packet.unicast && message.giaddr === 0 ? 'RENEWING' : 'REBINDING';
}

export function onRequest(context: ServerContext, x: Exchange): Decision {
  const state = clientState(x);
  if (state === undefined) return drop(context, 'no-address');
  const silence = whySilent(context, x, state);
  if (silence !== undefined) {
    const rogue = silence === 'other-server' ? context.rogueServers.chosen(x, x.message.optionU32(SERVER_IDENTIFIER)!) : undefined;
    return rogue === undefined ? drop(context, silence) : dropWith(context, silence, rogue);
  }

  const { message } = x;
  const requested = state === 'SELECTING' || state === 'INIT-REBOOT' ? message.optionU32(REQUESTED_ADDRESS) : undefined;
  const address = requested ?? message.ciaddr;
  if (isRefused(x)) return context.config.quarantine.answer === 'silence' ? silent(context, x) : nak(context, x, state, address, 'client not served');
  if (context.table.networkOf(address) !== x.network.index) return onWrongNetwork(context, x, state, address);

  const record = context.table.read(address);
  const own = record !== undefined && isClients(record, x.clientKey);
  if (own && isSameTransaction(record, message.xid, x.now)) return answerAgain(context, x, address, record);
  if (context.transactions.isUnderWay(address, message.xid, x.now)) return drop(context, 'duplicate');

  // The client was offered it while there was room; a DHCPNAK would only make it ask again.
  if (isCircuitFull(context, x, address)) return drop(context, 'circuit-full');
  // A client that renews uses the address itself, and would answer for it.
  const asksFirst = context.cluster.probingSince() !== 0 && (state === 'SELECTING' || state === 'INIT-REBOOT');
  if (asksFirst && mayGrant(context, x, state, address, own)) return unlessInUse(context, x, address, giveRequested);
  return giveRequested(context, x, address);
}

/** The address that the request names, if its client may have it. */
export function giveRequested(context: ServerContext, x: Exchange, address: number): Decision {
  const state = clientState(x)!;
  const record = context.table.read(address);
  const own = record !== undefined && isClients(record, x.clientKey);
  return mayGrant(context, x, state, address, own) ? grant(context, x, address, record, state) : refuse(context, x, state, address);
}

/** What a request that waited names. */
export function requestedAddress({ message }: Exchange): number {
  return message.optionU32(REQUESTED_ADDRESS) ?? message.ciaddr;
}

function whySilent(context: ServerContext, x: Exchange, state: ClientState): DropReason | undefined {
  if (state === 'RENEWING') return undefined;
  if (state !== 'SELECTING') return context.responsibility.balanced(x);
  context.rogueServers.noteRelay(x);
  const silence = context.responsibility.selecting(x, x.message.optionU32(SERVER_IDENTIFIER)!);
  if (silence === 'other-server' || (silence === 'not-responsible' && choseAnotherMember(context, x))) {
    // RFC 2131 §3.1: servers not selected take the DHCPREQUEST as notification that the client declined.
    const held = context.offers.find(x.clientKey, x.network.index);
    if (held !== 0) context.offers.release(held);
  }
  return silence;
}

function choseAnotherMember(context: ServerContext, x: Exchange): boolean {
  const node = context.cluster.nodeOfServerId(x.message.optionU32(SERVER_IDENTIFIER)!);
  return node !== undefined && node !== context.cluster.self && context.cluster.isMember(node);
}

/**
 * A client that answers an offer may have any address that may be given to it, also when the offer was
 * forgotten at a restart. Without an offer it must be one that the client is known to have had.
 */
function mayGrant(context: ServerContext, x: Exchange, state: ClientState, address: number, own: boolean): boolean {
  const reserved = x.reservation?.address;
  const isItsOwn = own || reserved === address;
  if (!isItsOwn && !(state === 'SELECTING' ? mayHaveBeenOffered(context, x, address) : mayHaveBeenLost(context, x, address))) return false;
  if (mayGive(context, x, address)) {
    // A client whose reservation is another address moves when it starts anew.
    if (state !== 'INIT-REBOOT' || reserved === undefined || reserved === address) return true;
    return !mayGive(context, x, reserved);
  }
  if (state === 'SELECTING') return mayGiveAbandoned(context, x, address);
  return state !== 'INIT-REBOOT' && context.cluster.probingSince() !== 0 && mayBeWhoAnswered(context, x, address);
}

/**
 * No offer is ever of another address than the client's own earlier one, as long as that may be given to it
 * (RFC 2131 §4.3.1): or one client could ask for the addresses of a whole pool, one by one.
 */
function mayHaveBeenOffered(context: ServerContext, x: Exchange, address: number): boolean {
  if (context.offers.isHeldBy(address, x.clientKey)) return true;
  const earlier = context.table.findByClient(x.clientKey, x.network.index);
  return earlier === 0 || !mayGive(context, x, earlier);
}

/**
 * Whether the client's lease may be one that nobody who is left has a record of. RFC 2131 §4.3.2 has a server
 * without a record stay silent for the sake of servers that it does not know of. The pools are this cluster's own,
 * so it was this cluster that gave the lease, and lost the record: with it the lease would be extended. A client in
 * RENEWING is to be trusted with its 'ciaddr' by the same section, and one in REBINDING says as much to all. What it
 * is told otherwise would make it give up an address that it holds rightly. A client with a newer lease of another
 * address has no second one: or one could ask for the addresses of a whole pool, one by one.
 */
function mayHaveBeenLost({ cluster, table }: ServerContext, x: Exchange, address: number): boolean {
  const since = cluster.probingSince();
  if (since === 0 || table.poolOf(address) < 0) return false;
  return table.findAllByClient(x.clientKey)
    .every((known) => table.networkOf(known) !== x.network.index || recordEpoch(table.read(known)!) < since);
}

/** The address may not be given to the client: DHCPNAK where RFC 2131 §4.3.2 has one, else silence. */
function refuse(context: ServerContext, x: Exchange, state: ClientState, address: number): Decision {
  if (state === 'SELECTING') return nak(context, x, state, address, 'address not available');
  if (x.network.authoritative || isKnown(context, x)) return nak(context, x, state, address, 'address not leased to this client');
  // RFC 2131 §4.3.2: no record of this client, it MUST remain silent.
  return drop(context, 'unknown-client');
}

function onWrongNetwork(context: ServerContext, x: Exchange, state: ClientState, address: number): Decision {
  const isSure = x.network.authoritative || state === 'SELECTING' || (state === 'INIT-REBOOT' && isOfAnotherLink(context, x, address));
  return isSure ? nak(context, x, state, address, 'wrong network') : drop(context, 'unknown-client');
}

/**
 * RFC 2131 §4.3.2 asks for a DHCPNAK where the server detects that a client in INIT-REBOOT is on the wrong net.
 * An address of no subnet here may be right all the same, given out on this link by a server that this one does
 * not know of, to a client that this one does not know either. REBINDING has no such sentence: the client uses
 * the address, and it may be the other server that it looks for.
 */
function isOfAnotherLink(context: ServerContext, x: Exchange, address: number): boolean {
  return context.table.networkOf(address) >= 0 || isKnown(context, x);
}

/** There is a record of the client in this network. */
function isKnown(context: ServerContext, x: Exchange): boolean {
  return x.reservation?.address !== undefined || context.table.findByClient(x.clientKey, x.network.index) !== 0;
}

function nak(context: ServerContext, x: Exchange, state: ClientState, address: number, reason: string): Decision {
  const event = exchangeEvent('dhcp.nak', x, address, { reason, clientState: state, node: context.cluster.self });
  return { ...NOTHING, sendOnConfirm: [{ address, reply: context.replies.nak(x, reason) }], events: [event] };
}
