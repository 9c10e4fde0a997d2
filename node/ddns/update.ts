/**
 * What is said to a zone so that a name or a pointer gets into it or out of it: the procedures of RFC 4703 §5, as
 * updates of RFC 2136 §2 whose answers decide on what follows. How they look on the wire: wire.ts.
 *
 * Invariants: an update that may have been applied although its answer is lost can be sent again, and so can a whole
 * procedure. AAAA records are never touched. A name is deleted only where its DHCID record is the job's own.
 */
import { DNS_UPDATE_ROUNDS_MAX } from './limits.ts';
import type { DnsJob, DnsOutcome } from './types.ts';

/** Types of records that updates speak of. */
export type DnsType = 'A' | 'AAAA' | 'CNAME' | 'DHCID' | 'PTR';

/** What a zone must be like for an update to be made (RFC 2136 §2.4). Names are in wire form. */
export type Prerequisite =
  | { readonly kind: 'name-in-use'; readonly name: Buffer }
  | { readonly kind: 'name-not-in-use'; readonly name: Buffer }
  | { readonly kind: 'rrset-exists'; readonly name: Buffer; readonly type: DnsType }
  | { readonly kind: 'rrset-absent'; readonly name: Buffer; readonly type: DnsType }
  /** The records of the type are this one alone. */
  | { readonly kind: 'rrset-is'; readonly name: Buffer; readonly type: DnsType; readonly data: Buffer };

/** What an update does, in order (RFC 2136 §2.5). `data` is RDATA. */
export type Change =
  | { readonly kind: 'add'; readonly name: Buffer; readonly type: DnsType; readonly ttlSeconds: number; readonly data: Buffer }
  | { readonly kind: 'delete-record'; readonly name: Buffer; readonly type: DnsType; readonly data: Buffer }
  | { readonly kind: 'delete-rrset'; readonly name: Buffer; readonly type: DnsType }
  | { readonly kind: 'delete-name'; readonly name: Buffer };

/** All of it or nothing is done. */
export interface DnsUpdate {
  /** The name of the zone as text, with the dot at its end. */
  readonly zone: string;
  readonly prerequisites: readonly Prerequisite[];
  readonly changes: readonly Change[];
}

const RESPONSE_CODES = [
  'NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED', 'YXDOMAIN', 'YXRRSET', 'NXRRSET', 'NOTAUTH', 'NOTZONE',
] as const;

/** By name: those of RFC 2136 §2.2, those of TSIG (RFC 8945 §3), and RCODE11 and so on for others. */
export type ResponseCode = (typeof RESPONSE_CODES)[number] | 'BADSIG' | 'BADKEY' | 'BADTIME' | 'BADTRUNC' | `RCODE${number}`;

const TSIG_CODES: Readonly<Record<number, ResponseCode>> = { 16: 'BADSIG', 17: 'BADKEY', 18: 'BADTIME', 22: 'BADTRUNC' };

/** The name of a response code of the header or of a TSIG record. */
export function responseCode(number: number): ResponseCode {
  return RESPONSE_CODES[number] ?? TSIG_CODES[number] ?? `RCODE${number}`;
}

/** What an answer means that no step of a procedure expects. */
export function outcomeOf(code: ResponseCode): DnsOutcome {
  if (code === 'NOERROR') return { kind: 'done' };
  // The same question may be answered otherwise in a moment.
  return code === 'SERVFAIL' || code === 'BADTIME' ? { kind: 'unavailable', reason: code } : { kind: 'refused', code };
}

const DONE: DnsOutcome = { kind: 'done' };
const CONFLICT: DnsOutcome = { kind: 'conflict' };

/** One update of a procedure. `answers` says what follows on an answer; on any other one the procedure ends with `outcomeOf`. */
interface Step {
  update(job: DnsJob): Omit<DnsUpdate, 'zone'>;
  readonly answers: Partial<Record<ResponseCode, StepName | DnsOutcome>>;
}

type StepName =
  | 'add-new' | 'add-again' | 'take-over' | 'take-over-alias' | 'remove-address' | 'remove-name'
  | 'remove-address-unasked' | 'remove-mark' | 'add-pointer' | 'remove-pointer' | 'remove-one-pointer';

const STEPS: Readonly<Record<StepName, Step>> = {
  // RFC 4703 §5.3.1
  'add-new': {
    update: (job) => ({ prerequisites: [{ kind: 'name-not-in-use', name: job.name }], changes: [addressAdded(job), markAdded(job)] }),
    answers: { NOERROR: DONE, YXDOMAIN: 'add-again' },
  },
  // RFC 4703 §5.3.2. One address a name is wanted; AAAA records are another server's affair.
  'add-again': {
    update: (job) => ({
      prerequisites: [{ kind: 'name-in-use', name: job.name }, { kind: 'rrset-is', name: job.name, type: 'DHCID', data: job.dhcid }],
      changes: [{ kind: 'delete-rrset', name: job.name, type: 'A' }, addressAdded(job)],
    }),
    answers: { NOERROR: DONE, NXDOMAIN: 'add-new', NXRRSET: CONFLICT },
  },
  // Conflicts are not looked for. An alias would silently keep the address out (RFC 2136 §3.4.2.2).
  'take-over': {
    update: (job) => ({ prerequisites: [{ kind: 'rrset-absent', name: job.name, type: 'CNAME' }], changes: taken(job) }),
    answers: { NOERROR: DONE, YXRRSET: 'take-over-alias' },
  },
  'take-over-alias': {
    update: (job) => ({ prerequisites: [], changes: [{ kind: 'delete-rrset', name: job.name, type: 'CNAME' }, ...taken(job)] }),
    answers: { NOERROR: DONE },
  },
  // RFC 4703 §5.5. The address is named: one that took its place stays.
  'remove-address': {
    update: (job) => ({ prerequisites: [{ kind: 'rrset-is', name: job.name, type: 'DHCID', data: job.dhcid }], changes: [addressDeleted(job)] }),
    answers: { NOERROR: 'remove-name', NXRRSET: DONE, NXDOMAIN: DONE },
  },
  'remove-name': {
    update: (job) => ({
      prerequisites: [{ kind: 'rrset-is', name: job.name, type: 'DHCID', data: job.dhcid }, ...noAddressLeft(job)],
      changes: [{ kind: 'delete-name', name: job.name }],
    }),
    answers: { NOERROR: DONE, NXRRSET: DONE, YXRRSET: DONE, NXDOMAIN: DONE },
  },
  // A name that was taken over may have records of others: only what was added goes.
  'remove-address-unasked': {
    update: (job) => ({ prerequisites: [], changes: [addressDeleted(job)] }),
    answers: { NOERROR: 'remove-mark' },
  },
  'remove-mark': {
    update: (job) => ({ prerequisites: noAddressLeft(job), changes: [{ kind: 'delete-record', name: job.name, type: 'DHCID', data: job.dhcid }] }),
    answers: { NOERROR: DONE, YXRRSET: DONE },
  },
  // RFC 4703 §5.4. No DHCID record: an address has one client at a time, and one server that answers for it.
  'add-pointer': {
    update: (job) => {
      const name = reverseName(job.address);
      return {
        prerequisites: [],
        changes: [{ kind: 'delete-rrset', name, type: 'PTR' }, { kind: 'add', name, type: 'PTR', ttlSeconds: job.ttlSeconds, data: job.name }],
      };
    },
    answers: { NOERROR: DONE },
  },
  // RFC 4703 §5.5
  'remove-pointer': {
    update: (job) => {
      const name = reverseName(job.address);
      return { prerequisites: [{ kind: 'rrset-is', name, type: 'PTR', data: job.name }], changes: [{ kind: 'delete-name', name }] };
    },
    answers: { NOERROR: DONE, NXRRSET: 'remove-one-pointer', NXDOMAIN: DONE },
  },
  // Another pointer is there too, or instead: the assertion above fails for both.
  'remove-one-pointer': {
    update: (job) => ({ prerequisites: [], changes: [{ kind: 'delete-record', name: reverseName(job.address), type: 'PTR', data: job.name }] }),
    answers: { NOERROR: DONE },
  },
};

/** One job of the outbox as a sequence of updates: `next`, its answer to `onAnswer`, and again while that gives undefined. */
export class Procedure {
  readonly #job: DnsJob;
  #step: StepName;
  #rounds = 1;

  constructor(job: DnsJob) {
    this.#job = job;
    this.#step = firstStep(job);
  }

  /** The update to be sent; the same one again until it is answered. */
  next(): DnsUpdate {
    return { zone: this.#job.zone.name, ...STEPS[this.#step].update(this.#job) };
  }

  /** Undefined: there is another one to be sent. */
  onAnswer(code: ResponseCode): DnsOutcome | undefined {
    const follows = STEPS[this.#step].answers[code] ?? outcomeOf(code);
    if (typeof follows !== 'string') return follows;
    // RFC 4703 §5.3: a name that comes and goes would make an endless loop.
    if (follows === 'add-new' && ++this.#rounds > DNS_UPDATE_ROUNDS_MAX) return { kind: 'unavailable', reason: 'the name comes and goes' };
    this.#step = follows;
    return undefined;
  }
}

function firstStep({ action, conflicts }: DnsJob): StepName {
  if (action === 'add-reverse') return 'add-pointer';
  if (action === 'remove-reverse') return 'remove-pointer';
  if (action === 'add-forward') return conflicts === 'keep' ? 'add-new' : 'take-over';
  return conflicts === 'keep' ? 'remove-address' : 'remove-address-unasked';
}

/** Where the pointer of an address stands, in wire form: 4.3.2.1.in-addr.arpa (RFC 1035 §3.5). */
export function reverseName(address: number): Buffer {
  const labels = [address & 255, (address >>> 8) & 255, (address >>> 16) & 255, address >>> 24, 'in-addr', 'arpa'];
  return Buffer.from(`${labels.map((label) => String.fromCharCode(String(label).length) + label).join('')}\0`, 'latin1');
}

/** RDATA of an A record (RFC 1035 §3.4.1). */
export function addressData(address: number): Buffer {
  const data = Buffer.allocUnsafe(4);
  data.writeUInt32BE(address >>> 0);
  return data;
}

function addressAdded({ address, name, ttlSeconds }: DnsJob): Change {
  return { kind: 'add', name, type: 'A', ttlSeconds, data: addressData(address) };
}

function markAdded({ dhcid, name, ttlSeconds }: DnsJob): Change {
  return { kind: 'add', name, type: 'DHCID', ttlSeconds, data: dhcid };
}

function addressDeleted({ address, name }: DnsJob): Change {
  return { kind: 'delete-record', name, type: 'A', data: addressData(address) };
}

function noAddressLeft({ name }: DnsJob): Prerequisite[] {
  return [{ kind: 'rrset-absent', name, type: 'A' }, { kind: 'rrset-absent', name, type: 'AAAA' }];
}

function taken(job: DnsJob): Change[] {
  const { name } = job;
  return [{ kind: 'delete-rrset', name, type: 'A' }, { kind: 'delete-rrset', name, type: 'DHCID' }, addressAdded(job), markAdded(job)];
}
