/**
 * Whether a client asked for a change: what is known of the packet comes from the reference reader, what is
 * known of the binding from before the packet. Every function returns what is wrong, or undefined.
 */
import type { Offer } from '../../node/allocation/offers.ts';
import {
  BindingState, isRecord, recordChaddr, recordClientKey, recordExpires, recordHasClientIdentifier, recordHtype,
  recordLeaseSeconds, recordSection, recordState, recordXid, SectionKind,
} from '../../node/lease/record.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import type { Now } from '../../node/time.ts';
import { addressIn } from './reference.ts';
import type { Reading } from './reference.ts';

/** A packet and what was known when it came. */
export interface Asked {
  readonly reading: Reading;
  readonly clientKey: Buffer;
  readonly byClientIdentifier: boolean;
  readonly sourceAddress: number;
  readonly now: Now;
}

/** An address before the change. */
export interface Before {
  readonly record: Buffer | undefined;
  readonly offer: Offer | undefined;
  readonly mayBeGiven: boolean;
}

const DISCOVER = 1;
const REQUEST = 3;
const DECLINE = 4;
const RELEASE = 7;
const BOOTP = 0;
const RAPID_COMMIT = 80;

/** An address of somebody else goes to another client only when that lease has ended by all clocks. */
const MAX_CLOCK_SKEW_SECONDS = 10;
const RELEASE_HOLD_SECONDS = 30;

export function whyUnasked(asked: Asked, address: number, record: Buffer, before: Before): string | undefined {
  if (!isRecord(record)) return 'no record';
  if (!recordClientKey(record).equals(asked.clientKey)) return 'in the name of another client';
  const holder = before.record !== undefined && recordState(before.record) === BindingState.ACTIVE ? recordClientKey(before.record) : undefined;
  if (holder !== undefined && !holder.equals(asked.clientKey)) return "another client's lease";
  switch (recordState(record)) {
    case BindingState.ACTIVE:
      return whyNotGranted(asked, address, before) ?? whatIsWrongWith(asked, record, before.record);
    case BindingState.RELEASED:
      return whyNotReleased(asked, address, holder, before);
    case BindingState.ABANDONED: {
      if (asked.reading.type !== DECLINE) return 'abandoned without a decline';
      if (address !== addressIn(asked.reading, 50)) return 'another address than the declined one';
      if (holder !== undefined) return undefined;
      return heldBy(before.offer) === keyText(asked.clientKey) ? undefined : 'declined by a client that neither has it nor was offered it';
    }
    default:
      return 'a state that no message asks for';
  }
}

function whyNotGranted(asked: Asked, address: number, { record, offer, mayBeGiven }: Before): string | undefined {
  const { reading, clientKey } = asked;
  if (!mayBeGiven) return 'an address that nobody is given';
  if (offer !== undefined && heldBy(offer) !== keyText(clientKey)) return 'an address held for another client';
  const state = record === undefined ? BindingState.FREE : recordState(record);
  if (state === BindingState.ABANDONED && offer === undefined) return 'an abandoned address that was not offered';
  if (record !== undefined && !recordClientKey(record).equals(clientKey) && asked.now.wall / 1000 < reusableFrom(record)) {
    return 'an address that its last client may still use';
  }
  if (reading.type === BOOTP || (reading.type === DISCOVER && reading.options.has(RAPID_COMMIT))) return undefined;
  if (reading.type !== REQUEST) return 'granted without a request';
  const requested = addressIn(reading, 50);
  const meant = reading.options.has(54) || reading.ciaddr === 0 ? requested ?? reading.ciaddr : reading.ciaddr;
  return address === meant ? undefined : 'another address than the requested one';
}

/** UTC seconds; less than what the server waits, as the model of the lease table has the exact time. */
function reusableFrom(record: Buffer): number {
  const since = record.readUInt32BE(24);
  switch (recordState(record)) {
    case BindingState.EXPIRED:
      return recordExpires(record) + MAX_CLOCK_SKEW_SECONDS;
    case BindingState.RELEASED:
      return since + RELEASE_HOLD_SECONDS + MAX_CLOCK_SKEW_SECONDS;
    default:
      return 0;
  }
}

/** What a lease says of its client and of its time. */
function whatIsWrongWith(asked: Asked, record: Buffer, before: Buffer | undefined): string | undefined {
  const { reading, now } = asked;
  if (recordHtype(record) !== reading.htype || !recordChaddr(record).equals(reading.chaddr)) return 'another hardware address';
  if (recordXid(record) !== reading.xid) return 'another xid';
  if (recordHasClientIdentifier(record) !== asked.byClientIdentifier) return 'another kind of client key';
  const leaseSeconds = recordLeaseSeconds(record);
  const expires = leaseSeconds === INFINITE_SECONDS ? INFINITE_SECONDS : Math.ceil(now.wall / 1000) + leaseSeconds;
  if (leaseSeconds === 0 || recordExpires(record) !== expires) return 'ends at another time than the lease time says';
  const information = recordSection(record, SectionKind.relayAgentInformation);
  const sent = reading.options.get(82);
  const kept = before === undefined ? undefined : recordSection(before, SectionKind.relayAgentInformation);
  if (!information.equals(sent ?? information.subarray(0, 0)) && (sent !== undefined || kept === undefined || !information.equals(kept))) {
    return 'relay agent information that nobody sent';
  }
  return undefined;
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
export function whyTooLate({ clientKey }: Asked, { record, offer }: Before): string | undefined {
  const leased = record !== undefined && recordState(record) === BindingState.ACTIVE;
  if (leased && !recordClientKey(record).equals(clientKey)) return "another client's lease";
  return offer === undefined || heldBy(offer) === keyText(clientKey) ? undefined : 'held for another client';
}

/** Time passes and nobody sends anything: only leases that have ended may change. */
export function whyNotDue(record: Buffer, before: Buffer | undefined, now: Now): string | undefined {
  if (before === undefined || recordState(before) !== BindingState.ACTIVE) return 'not a lease';
  if (recordState(record) !== BindingState.EXPIRED) return 'not an end of a lease';
  if (!recordClientKey(record).equals(recordClientKey(before))) return 'in the name of another client';
  return recordExpires(before) <= now.wall / 1000 ? undefined : 'before its end';
}

/** A reply: `told`, the address in it; `record`, what the address has after the decision's changes. */
export function whyNotAnswered(asked: Asked, reply: Reading, told: { readonly record: Buffer | undefined; readonly offer: Offer | undefined }): string | undefined {
  const { reading, clientKey } = asked;
  if (reply.xid !== reading.xid || !reply.chaddr.equals(reading.chaddr) || reply.giaddr !== reading.giaddr) return 'an answer to another packet';
  const yiaddr = reply.bytes.readUInt32BE(16);
  const client = told.record !== undefined && recordState(told.record) === BindingState.ACTIVE ? recordClientKey(told.record) : undefined;
  switch (reply.type) {
    case 2:
      if (reading.type !== DISCOVER) return 'an offer without a discover';
      if (client !== undefined && !client.equals(clientKey)) return "offers another client's lease";
      return heldBy(told.offer) === keyText(clientKey) ? undefined : 'offers what it does not hold';
    case 5:
      if (reading.type === 8) return yiaddr === 0 && !reply.options.has(51) ? undefined : 'an address or a lease for an inform';
      return client?.equals(clientKey) === true ? undefined : 'acknowledges what the client does not have';
    case 6:
      if (yiaddr !== 0 || reply.options.has(51)) return 'a refusal with an address';
      return reading.type === REQUEST ? undefined : 'refuses what was not requested';
    default:
      return reading.type === BOOTP && client?.equals(clientKey) === true ? undefined : 'no answer that a server gives';
  }
}

function heldBy(offer: Offer | undefined): string | undefined {
  return offer === undefined ? undefined : keyText(offer.clientKey);
}

function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}
