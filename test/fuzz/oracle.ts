/**
 * Whether a client asked for a change: what is known of the packet comes from the reference reader, what is
 * known of the binding from before the packet. Every function returns what is wrong, or undefined.
 */
import type { Offer } from '../../node/allocation/offers.ts';
import {
  BindingState, isRecord, recordChaddr, recordClientKey, recordExpires, recordHasClientIdentifier, recordHtype, recordLastTransaction,
  recordLeaseSeconds, recordReserved, recordSection, recordState, recordStateSince, recordXid, SectionKind,
} from '../../node/lease/record.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import type { MonotonicMs, Now } from '../../node/time.ts';
import { addressIn } from './reference.ts';
import type { Reading } from './reference.ts';

/** A packet and what was known when it came. */
export interface Asked {
  readonly reading: Reading;
  readonly clientKey: Buffer;
  readonly byClientIdentifier: boolean;
  readonly sourceAddress: number;
  readonly sourcePort: number;
  /** Option 82, or what is known of it from the lease that is renewed past the relay; empty: nothing. */
  readonly relayAgentInformation: Buffer;
  readonly leaseSeconds: { readonly min: number; readonly max: number };
  readonly now: Now;
  /** When it came, which may be long before `now`. */
  readonly receivedAt: MonotonicMs;
}

/** An address before the change. */
export interface Before {
  readonly record: Buffer | undefined;
  readonly offer: Offer | undefined;
  readonly reserved: 'client' | 'another' | 'nobody';
  /** In a pool that the client's classes let it into, of a network that the packet is about. */
  readonly usable: boolean;
  /** The address's pool, or its subnet, gives at once to those who ask for it so (RFC 4039), or speak BOOTP. */
  readonly rapidCommit: boolean;
  readonly bootp: boolean;
}

const BOOTP = 0;
const DISCOVER = 1;
const REQUEST = 3;
const DECLINE = 4;
const RELEASE = 7;
const INFORM = 8;
const RAPID_COMMIT = 80;
const V6_ONLY_PREFERRED = 108;
const AUTO_CONFIGURE = 116;

/** An address of somebody else goes to another client only when that lease has ended by all clocks. */
const MAX_CLOCK_SKEW_SECONDS = 10;
const RELEASE_HOLD_SECONDS = 30;
/** A client's clock may be slow by one part in so many. */
const CLIENT_DRIFT = 5000;
const PROBATION_SECONDS = 600;

export function whyUnasked(asked: Asked, address: number, record: Buffer, before: Before): string | undefined {
  const { clientKey, reading } = asked;
  if (!isRecord(record)) return 'no record';
  if (!recordClientKey(record).equals(clientKey)) return 'in the name of another client';
  const holder = holderOf(before.record);
  if (holder !== undefined && !holder.equals(clientKey)) return "another client's lease";
  switch (recordState(record)) {
    case BindingState.ACTIVE:
      return whyNotGranted(asked, address, before) ?? whatIsWrongWith(asked, record, before);
    case BindingState.RELEASED:
      return whyNotReleased(asked, address, holder, before);
    case BindingState.ABANDONED:
      if (reading.type !== DECLINE) return 'abandoned without a decline';
      if (address !== addressIn(reading, 50)) return 'another address than the declined one';
      if (holder !== undefined || isFor(before.offer, clientKey)) return undefined;
      return 'declined by a client that neither has it nor was offered it';
    default:
      return 'a state that no message asks for';
  }
}

function whyNotGranted(asked: Asked, address: number, before: Before): string | undefined {
  const { reading, clientKey, now } = asked;
  const { record, offer, reserved, usable } = before;
  if (reserved === 'another') return 'an address reserved for another client';
  if (reserved === 'nobody' && !usable) return 'an address that the client may not have';
  if (offer !== undefined && !isFor(offer, clientKey)) return 'an address held for another client';
  // Whoever gets its address at once gets such a one when nothing else is left.
  if (record !== undefined && recordState(record) === BindingState.ABANDONED && offer === undefined && reading.type === REQUEST) {
    const tried = reserved === 'client' && now.wall / 1000 - recordStateSince(record) >= PROBATION_SECONDS;
    if (!tried) return 'an abandoned address that was not offered';
  }
  if (record !== undefined && !recordClientKey(record).equals(clientKey) && now.wall / 1000 < reusableFrom(record)) {
    return 'an address that its last client may still use';
  }
  if (reading.type === BOOTP) return before.bootp || reserved === 'client' ? undefined : 'granted to a BOOTP client';
  if (reading.type === DISCOVER) return before.rapidCommit && reading.options.has(RAPID_COMMIT) ? undefined : 'granted without a request';
  if (reading.type !== REQUEST) return 'granted without a request';
  const requested = addressIn(reading, 50);
  const meant = reading.options.has(54) || reading.ciaddr === 0 ? requested ?? reading.ciaddr : reading.ciaddr;
  return address === meant ? undefined : 'another address than the requested one';
}

/** UTC seconds; less than what the server waits, as the model of the lease table has the exact time. */
function reusableFrom(record: Buffer): number {
  switch (recordState(record)) {
    case BindingState.EXPIRED:
      return recordExpires(record) + MAX_CLOCK_SKEW_SECONDS;
    case BindingState.RELEASED:
      return recordStateSince(record) + RELEASE_HOLD_SECONDS + MAX_CLOCK_SKEW_SECONDS;
    default:
      return 0;
  }
}

/** What a lease says of its client and of its time. */
function whatIsWrongWith(asked: Asked, record: Buffer, { record: before, reserved }: Before): string | undefined {
  const { reading, now } = asked;
  if (recordHtype(record) !== reading.htype || !recordChaddr(record).equals(reading.chaddr)) return 'another hardware address';
  if (recordXid(record) !== reading.xid) return 'another xid';
  if (recordHasClientIdentifier(record) !== asked.byClientIdentifier) return 'another kind of client key';
  if (recordReserved(record) !== (reserved === 'client')) return 'another kind of address';
  const seconds = recordLeaseSeconds(record);
  const { min, max } = reading.type === BOOTP ? { min: INFINITE_SECONDS, max: INFINITE_SECONDS } : asked.leaseSeconds;
  if (seconds < min || seconds > max) return 'a lease time that is not configured';
  const expires = seconds === INFINITE_SECONDS ? INFINITE_SECONDS : Math.ceil(now.wall / 1000) + seconds;
  if (recordExpires(record) !== expires) {
    // A client that was told of a later end, and may not hear of this one, keeps its address until then.
    const own = before !== undefined && recordClientKey(before).equals(asked.clientKey) ? before : undefined;
    const told = own === undefined ? 0 : toldUntil(own, record);
    const isKept = own !== undefined && recordExpires(record) > expires && recordExpires(record) >= told &&
      recordExpires(record) <= told + 1 + Math.ceil(recordLeaseSeconds(own) / CLIENT_DRIFT);
    if (!isKept) return 'ends at another time than the lease time says';
  }
  const ended = before !== undefined && recordState(before) === BindingState.ACTIVE ? toldUntil(before, record) : INFINITE_SECONDS;
  if (ended !== INFINITE_SECONDS && recordExpires(record) < ended) return 'ends before what the client was told';
  if (!recordSection(record, SectionKind.relayAgentInformation).equals(asked.relayAgentInformation)) return 'relay agent information that nobody sent';
  return undefined;
}

/** A lease without an end: whoever was told of one since, and has learnt of it, goes by that. */
function toldUntil(before: Buffer, record: Buffer): number {
  const hasLearnt = recordExpires(before) === INFINITE_SECONDS && recordLeaseSeconds(before) !== INFINITE_SECONDS && recordExpires(record) !== INFINITE_SECONDS;
  // The second in which it was told has begun before.
  return hasLearnt ? recordLastTransaction(before) + recordLeaseSeconds(before) : recordExpires(before);
}

function whyNotReleased(asked: Asked, address: number, holder: Buffer | undefined, { record }: Before): string | undefined {
  const { reading } = asked;
  if (reading.type !== RELEASE) return 'released without a release';
  if (address !== reading.ciaddr) return 'another address than the released one';
  if (holder === undefined) return 'not a lease';
  if (reading.giaddr === 0 && asked.sourceAddress !== address) return 'a release from another address';
  return recordXid(record!) === reading.xid ? 'a release with the xid of the grant' : undefined;
}

/** A change that was asked for arrives at the node whose it is to make: who else has got the address meanwhile? */
export function whyTooLate(change: Buffer, { clientKey }: Asked, { record, offer }: Before): string | undefined {
  const holder = holderOf(record);
  if (holder !== undefined && !holder.equals(clientKey)) return "another client's lease";
  // Found in use: that it is offered to somebody makes it no freer.
  if (recordState(change) === BindingState.ABANDONED && recordClientKey(change).length === 0) return undefined;
  return offer === undefined || isFor(offer, clientKey) ? undefined : 'held for another client';
}

/** Time passes and nobody sends anything: only leases that have ended may change. */
export function whyNotDue(record: Buffer, before: Buffer | undefined, now: Now): string | undefined {
  if (before === undefined || recordState(before) !== BindingState.ACTIVE) return 'not a lease';
  if (recordState(record) !== BindingState.EXPIRED) return 'not an end of a lease';
  if (!recordClientKey(record).equals(recordClientKey(before))) return 'in the name of another client';
  return recordExpires(before) <= now.wall / 1000 ? undefined : 'before its end';
}

/** A reply: `told`, what is known of the address in it, after the decision's changes. */
export function whyNotAnswered({ reading, clientKey }: Asked, reply: Reading, told: Pick<Before, 'record' | 'offer'>): string | undefined {
  if (reply.xid !== reading.xid || !reply.chaddr.equals(reading.chaddr) || reply.giaddr !== reading.giaddr) return 'an answer to another packet';
  const yiaddr = reply.bytes.readUInt32BE(16);
  const holder = holderOf(told.record);
  const isClients = holder?.equals(clientKey) === true;
  switch (reply.type) {
    case 2:
      if (reading.type !== DISCOVER) return 'an offer without a discover';
      if (yiaddr === 0) return doesWithout(reading) ? undefined : 'an offer of nothing';
      if (holder !== undefined && !isClients) return "offers another client's lease";
      return isFor(told.offer, clientKey) ? undefined : 'offers what it does not hold';
    case 5:
      if (reading.type === INFORM) return yiaddr === 0 && !reply.options.has(51) ? undefined : 'an address or a lease for an inform';
      return isClients ? undefined : 'acknowledges what the client does not have';
    case 6:
      if (yiaddr !== 0 || reply.options.has(51)) return 'a refusal with an address';
      return reading.type === REQUEST ? undefined : 'refuses what was not requested';
    default:
      return reply.type === 0 && reading.type === BOOTP && isClients ? undefined : 'no answer that a server gives';
  }
}

/** RFC 8925 §3.3 and RFC 2563 §2: the client asks whether it needs an address at all. */
function doesWithout({ options }: Reading): boolean {
  return options.has(AUTO_CONFIGURE) || options.get(55)?.includes(V6_ONLY_PREFERRED) === true;
}

function holderOf(record: Buffer | undefined): Buffer | undefined {
  return record !== undefined && recordState(record) === BindingState.ACTIVE ? recordClientKey(record) : undefined;
}

function isFor(offer: Offer | undefined, clientKey: Buffer): boolean {
  return offer !== undefined && clientKey.equals(offer.clientKey);
}
