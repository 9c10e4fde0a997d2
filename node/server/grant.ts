/** Granting and renewing: the change of the binding, and the reply that waits for it. */
import { KEPT_OPTION_BYTES_MAX } from '../limits.ts';
import {
  BindingState, encodeRecord, recordChaddr, recordExpires, recordLastTransaction, recordLeaseSeconds, recordSection, recordState,
  recordStateSince, SectionKind,
} from '../lease/record.ts';
import { sameBytes } from '../lease/fingerprint.ts';
import { believedEnd, driftSeconds } from '../lease/reuse.ts';
import { INFINITE_SECONDS, wallSeconds, wallSecondsUp } from '../time.ts';
import type { Occurrence } from '../telemetry/events.ts';
import { exchangeEvent } from './describe.ts';
import { drop, isClients, isReservedFor, termsOf } from './exchange.ts';
import type { Exchange, ServerContext } from './exchange.ts';
import { dnsOf, wishFor } from './names.ts';
import { NOTHING } from './ports.ts';
import type { Decision, GrantReply } from './ports.ts';
import type { ClientState } from './request.ts';
import type { NameWish } from '../ddns/names.ts';
import { leaseSecondsFor } from '../classes/terms.ts';
import type { Terms } from '../classes/terms.ts';
import { isSameTransaction } from './transactions.ts';

const HOST_NAME = 12;
const VENDOR_CLASS = 60;
const LEASE_TIME = 51;
const EMPTY = Buffer.alloc(0);
const NO_EVENTS: readonly Occurrence[] = Object.freeze([]);

/** A message of these types is answered by a grant: a DHCPREQUEST, or one that gets its address at once. */
type GrantState = ClientState | 'RAPID-COMMIT' | 'BOOTP';

/**
 * Who makes a change of the address's binding: this node now, or the owner that the view names. That
 * may be this node itself, as long as it has not finished taking the slot over. Undefined: nobody.
 */
export function change(context: ServerContext, address: number, record: Buffer): Pick<Decision, 'changes' | 'forwarded'> | undefined {
  const { cluster } = context;
  const slot = address & 255;
  if (cluster.owns(slot)) return { changes: [{ address, record }], forwarded: NOTHING.forwarded };
  const owner = cluster.ownerOf(slot);
  return owner === undefined ? undefined : { changes: NOTHING.changes, forwarded: [{ owner, address, record }] };
}

/** How long the client's lease is to be: a BOOTP client's has no end. */
export function leaseSecondsOf({ message }: Exchange, terms: Terms): number {
  return message.type === 0 ? INFINITE_SECONDS : leaseSecondsFor(terms.lease, message.optionU32(LEASE_TIME));
}

/** The lease of a client that was not offered it: a DHCPDISCOVER with rapid commit, a BOOTP request. */
export function grantChosen(context: ServerContext, x: Exchange, address: number): Decision {
  const record = context.table.read(address);
  const own = record !== undefined && isClients(record, x.clientKey) ? record : undefined;
  if (own !== undefined && isSameTransaction(own, x.message.xid, x.now)) return answerAgain(context, x, address, own);
  if (context.transactions.isUnderWay(address, x.message.xid, x.now)) return drop(context, 'duplicate');
  return grant(context, x, address, record, x.message.type === 0 ? 'BOOTP' : 'RAPID-COMMIT');
}

/** `replaced`: the record of the address as it is, the client's own or another one's. */
export function grant(context: ServerContext, x: Exchange, address: number, replaced: Buffer | undefined, clientState: GrantState): Decision {
  const own = replaced !== undefined && isClients(replaced, x.clientKey) ? replaced : undefined;
  const terms = termsOf(context, x, address);
  const extending = clientState === 'RENEWING' || clientState === 'REBINDING';
  const leaseSeconds = Math.max(leaseSecondsOf(x, terms), own === undefined || extending ? 0 : secondsTold(own, x));
  const active = own !== undefined && recordState(own) === BindingState.ACTIVE ? own : undefined;
  const wish = wishFor(context, x, terms, address, own);
  const dns = dnsOf(context, x, wish, replaced, active, !extending);
  const fields = clientFields(x, extending ? active : undefined, dns);
  // Only a client that has its lease and holds on to it is answered without a word to the disk: one that begins
  // anew may have sent a release or a decline before, which is told from a new one by the time of this grant.
  const mayLeave = extending || x.message.type === 0;
  if (active !== undefined && mayLeave && isFresh(active, x, terms, leaseSeconds, fields)) return answerAgain(context, x, address, active);

  const end = Math.max(endOf(x, leaseSeconds), own === undefined ? 0 : endTold(own, leaseSeconds, extending));
  const made = change(context, address, bindingOf(x, address, leaseSeconds, Math.min(end, INFINITE_SECONDS), active, fields));
  if (made === undefined) return drop(context, 'not-serving');
  context.probes.forget(address);
  if (made.forwarded.length > 0) context.transactions.forwarded(address, x.message.xid, x.now);
  return {
    changes: made.changes, forwarded: made.forwarded, allocations: NOTHING.allocations, probes: NOTHING.probes, sendNow: NOTHING.sendNow,
    sendOnCommit: [{ address, reply: replyOf(context, x, terms, address, leaseSeconds, wish), confirm: false }], sendOnConfirm: NOTHING.sendOnConfirm, questions: NOTHING.questions,
    events: eventsOf(context, x, address, active, clientState, leaseSeconds),
  };
}

/** A request that changes nothing (a copy, or a renewal very soon): the reply waits for what is stored. */
export function answerAgain(context: ServerContext, x: Exchange, address: number, record: Buffer): Decision {
  const terms = termsOf(context, x, address);
  const reply = replyOf(context, x, terms, address, remainingSeconds(record, x), wishFor(context, x, terms, address, record));
  return { ...NOTHING, sendOnCommit: [{ address, reply, confirm: true }] };
}

function replyOf(context: ServerContext, x: Exchange, terms: Terms, address: number, leaseSeconds: number, wish: NameWish | undefined): GrantReply {
  return x.message.type === 0 ? context.replies.bootp(x, terms, address, wish) : context.replies.grant(x, terms, address, leaseSeconds, wish);
}

/** The client counts from when it sent this copy, which is later than when the lease was counted from. */
function remainingSeconds(record: Buffer, x: Exchange): number {
  const leaseSeconds = recordLeaseSeconds(record);
  if (leaseSeconds === INFINITE_SECONDS) return leaseSeconds;
  const end = recordExpires(record) === INFINITE_SECONDS ? lastToldEnd(record) : recordExpires(record);
  return Math.max(0, Math.min(end - wallSecondsUp(x.now.wall), leaseSeconds));
}

/** The end that the client was told of last, which may be earlier than one before. */
function lastToldEnd(record: Buffer): number {
  return recordLastTransaction(record) + 1 + recordLeaseSeconds(record);
}

/**
 * A lease without an end, whose client was told of an end since: the record keeps the last such end alone. So one that
 * begins anew, and may be told of a shorter lease without hearing it, is told of no earlier end. 0: any lease will do.
 */
function secondsTold(own: Buffer, { now }: Exchange): number {
  const toldSeconds = recordLeaseSeconds(own);
  if (believedEnd(own) !== INFINITE_SECONDS || toldSeconds === INFINITE_SECONDS) return 0;
  return Math.max(0, Math.min(lastToldEnd(own) + Math.ceil(driftSeconds(toldSeconds)) - wallSeconds(now.wall), toldSeconds));
}

/** What the client and its relay say of themselves, as it is kept with the binding, and what follows from it. */
interface ClientFields {
  readonly relayAgentInformation: Buffer;
  readonly hostname: Buffer;
  readonly vendorClass: Buffer;
  readonly dns: Buffer;
}

/** `extended`: the lease of a client that sent no more than it takes to extend it. */
function clientFields({ message, relayAgentInformation }: Exchange, extended: Buffer | undefined, dns: Buffer): ClientFields {
  const said = (code: number, kept: typeof SectionKind.hostname | typeof SectionKind.vendorClass): Buffer => {
    const value = message.option(code) ?? (extended === undefined ? EMPTY : recordSection(extended, kept));
    return value.length > KEPT_OPTION_BYTES_MAX ? value.subarray(0, KEPT_OPTION_BYTES_MAX) : value;
  };
  return {
    relayAgentInformation: relayAgentInformation ?? EMPTY,
    hostname: said(HOST_NAME, SectionKind.hostname),
    vendorClass: said(VENDOR_CLASS, SectionKind.vendorClass),
    dns,
  };
}

/** Whether the lease is so young, and nothing about it different, that it need not be written anew (`leaseCache`). */
function isFresh(active: Buffer, x: Exchange, { scope }: Terms, leaseSeconds: number, fields: ClientFields): boolean {
  if (recordLeaseSeconds(active) !== leaseSeconds) return false;
  if (leaseSeconds !== INFINITE_SECONDS) {
    if (scope.leaseCache === 0) return false;
    const age = wallSeconds(x.now.wall) - recordLastTransaction(active);
    if (age < 0 || age >= leaseSeconds * scope.leaseCache) return false;
  } else if (x.message.type !== 0) return false;
  return sameBytes(recordSection(active, SectionKind.relayAgentInformation), fields.relayAgentInformation) &&
    sameBytes(recordSection(active, SectionKind.hostname), fields.hostname) &&
    sameBytes(recordSection(active, SectionKind.vendorClass), fields.vendorClass) && sameBytes(recordSection(active, SectionKind.dns), fields.dns) &&
    sameBytes(recordChaddr(active), x.message.chaddr());
}

function endOf(x: Exchange, leaseSeconds: number): number {
  return leaseSeconds === INFINITE_SECONDS ? INFINITE_SECONDS : wallSecondsUp(x.now.wall) + leaseSeconds;
}

/**
 * Until when the client may go by its lease as it is: it does so if it never hears of a shorter one, so the
 * binding ends no earlier. What its clock may be slow by over the longer lease is put on top, since the record
 * tells of the shorter one from now on. `renews`: a client that renews a lease without an end has learnt of an
 * end, if it was told of one: of the last or of one before, which is no later (`secondsTold`).
 */
function endTold(own: Buffer, leaseSeconds: number, renews: boolean): number {
  const believed = believedEnd(own);
  const toldSeconds = recordLeaseSeconds(own);
  const hasLearnt = renews && toldSeconds !== INFINITE_SECONDS;
  if (believed === INFINITE_SECONDS && !hasLearnt) return believed;
  const end = believed === INFINITE_SECONDS ? lastToldEnd(own) : believed;
  if (toldSeconds <= leaseSeconds) return end;
  // What was put on top before is not put on top again.
  return Math.max(end, Math.min(end, lastToldEnd(own)) + Math.ceil(driftSeconds(toldSeconds)));
}

/** `active`: the lease that the client has. */
function bindingOf(x: Exchange, address: number, leaseSeconds: number, expires: number, active: Buffer | undefined, fields: ClientFields): Buffer {
  const { message, now } = x;
  const second = wallSeconds(now.wall);
  return encodeRecord({
    state: BindingState.ACTIVE,
    hasClientIdentifier: x.byClientIdentifier,
    reserved: isReservedFor(x, address),
    htype: message.htype,
    chaddr: message.chaddr(),
    clientKey: x.clientKey,
    stateSince: active === undefined ? second : recordStateSince(active),
    lastTransaction: second,
    expires,
    leaseSeconds,
    xid: message.xid,
    ...fields,
  });
}

function eventsOf(
  context: ServerContext, x: Exchange, address: number, active: Buffer | undefined, clientState: GrantState, leaseSeconds: number,
): readonly Occurrence[] {
  const cloned = active !== undefined && x.byClientIdentifier && !sameBytes(recordChaddr(active), x.message.chaddr());
  if (!cloned && !context.logLeases) return NO_EVENTS;
  const events: Occurrence[] = [];
  if (cloned) {
    context.counters.identifierConflicts++;
    const hardware = recordChaddr(active).toString('hex');
    if (context.clones.report(x.clientKey, x.now)) events.push(exchangeEvent('client.identifier-conflict', x, address, { otherHardware: hardware }));
  }
  if (context.logLeases) {
    events.push(exchangeEvent(active !== undefined ? 'lease.renewed' : 'lease.granted', x, address, { clientState, leaseSeconds }));
  }
  return events;
}
