/**
 * What is told of a binding: its state and times as they are at one second, and the options that a requestor asks for
 * and may have (RFC 4388 §6.4.2, RFC 6926 §8.3). The same for UDP, bulk and active queries.
 */
import { DhcpMessage, OptionCode } from '../codec/message.ts';
import type { ClusterConfig, OptionValue, Reservation } from '../config/types.ts';
import { ClassMatcher } from '../classes/matcher.ts';
import {
  BindingState, recordChaddr, recordClientKey, recordExpires, recordHasClientIdentifier, recordHtype, recordIncarnation, recordLastTransaction,
  recordLeaseSeconds, recordSection, recordState, recordStateSince, SectionKind,
} from '../lease/record.ts';
import type { ReservationSubject } from '../lease/reservations.ts';
import { renewalTimes, TermsBook } from '../classes/terms.ts';
import type { Terms } from '../classes/terms.ts';
import { INFINITE_SECONDS } from '../time.ts';
import type { AnswerWriter } from './answer.ts';
import { syntheticRequest } from './synthetic-request.ts';
import { DhcpState, QueryOption, QueryType } from './messages.ts';

const HOST_NAME = 12;
const VENDOR_CLASS = 60;
const RENEWAL_TIME = 58;
const REBINDING_TIME = 59;
const INFORMATION_OF_RELAYS = OptionCode.RELAY_AGENT_INFORMATION;

/** Where an address lies in the configuration, and whose it is by a reservation. */
export interface Places {
  subnetOf(address: number): number;
  poolOf(address: number): number;
  reservationFor(networkIndex: number, subject: ReservationSubject): Reservation | undefined;
}

export interface ToldAt {
  /** UTC: the base time. */
  readonly second: number;
  /** This node's, for the data source; undefined where there is no other node. */
  readonly incarnation: number | undefined;
}

/** Which of the options of a parameter request list concern the binding, and in which order the rest are told. */
export interface Wanted {
  readonly leaseTime: boolean;
  readonly renewal: boolean;
  readonly rebinding: boolean;
  readonly clientIdentifier: boolean;
  readonly relayAgentInformation: boolean;
  readonly lastTransaction: boolean;
  readonly baseTime: boolean;
  readonly stateTime: boolean;
  readonly state: boolean;
  readonly source: boolean;
  readonly hostname: boolean;
  readonly vendorClass: boolean;
  /** What the client was told by the configuration; undefined: all that may be told. */
  readonly configured: readonly number[] | undefined;
}

const OF_BINDING: ReadonlySet<number> = new Set<number>([
  OptionCode.LEASE_TIME, RENEWAL_TIME, REBINDING_TIME, OptionCode.CLIENT_IDENTIFIER, INFORMATION_OF_RELAYS, HOST_NAME, VENDOR_CLASS,
  QueryOption.CLIENT_LAST_TRANSACTION_TIME, QueryOption.ASSOCIATED_IP, QueryOption.BASE_TIME, QueryOption.START_TIME_OF_STATE,
  QueryOption.DHCP_STATE, QueryOption.DATA_SOURCE, OptionCode.MESSAGE_TYPE, OptionCode.SERVER_IDENTIFIER,
]);

export class Teller {
  readonly #config: Pick<ClusterConfig, 'subnets' | 'pools'>;
  readonly #places: Places;
  readonly #mayTell: ReadonlySet<number>;
  readonly #matcher: ClassMatcher;
  readonly #terms = new TermsBook();
  readonly #message = new DhcpMessage();
  /** By parameter request list. */
  readonly #wanted = new Map<string, Wanted>();

  constructor(config: Pick<ClusterConfig, 'subnets' | 'pools' | 'classes' | 'leaseQuery'>, places: Places) {
    this.#config = config;
    this.#places = places;
    this.#mayTell = new Set(config.leaseQuery.options);
    this.#matcher = new ClassMatcher(config.classes);
  }

  /** Without a list: what a DHCPACK would say (RFC 4388 §6.2). */
  wanted(requested: Buffer | undefined): Wanted {
    const key = requested?.toString('latin1') ?? '';
    let wanted = this.#wanted.get(key);
    if (wanted !== undefined) return wanted;
    if (this.#wanted.size >= WANTED_KEPT_MAX) this.#wanted.clear();
    const asks = (code: number): boolean => requested?.includes(code) === true;
    const mayHave = (code: number): boolean => this.#mayTell.has(code) && asks(code);
    const withoutList = requested === undefined;
    wanted = {
      leaseTime: withoutList || asks(OptionCode.LEASE_TIME),
      renewal: withoutList || asks(RENEWAL_TIME),
      rebinding: withoutList || asks(REBINDING_TIME),
      clientIdentifier: mayHave(OptionCode.CLIENT_IDENTIFIER),
      relayAgentInformation: mayHave(INFORMATION_OF_RELAYS),
      lastTransaction: asks(QueryOption.CLIENT_LAST_TRANSACTION_TIME),
      baseTime: asks(QueryOption.BASE_TIME),
      stateTime: asks(QueryOption.START_TIME_OF_STATE),
      state: asks(QueryOption.DHCP_STATE),
      source: asks(QueryOption.DATA_SOURCE),
      hostname: mayHave(HOST_NAME),
      vendorClass: mayHave(VENDOR_CLASS),
      configured: withoutList ? undefined : [...new Set(requested)].filter((code) => this.#mayTell.has(code) && !OF_BINDING.has(code)),
    };
    this.#wanted.set(key, wanted);
    return wanted;
  }

  /** The address and the client in the header, and every option that is told of a lease. */
  tellLease(writer: AnswerWriter, address: number, record: Buffer, wanted: Wanted, at: ToldAt): void {
    this.#tellClient(writer, record, wanted);
    this.#tellTimes(writer, recordState(record), record, wanted, at);
    const terms = this.#needsTerms(wanted) ? this.#termsOf(address, record) : undefined;
    if (recordState(record) === BindingState.ACTIVE) this.#tellRenewal(writer, address, record, wanted, terms, at.second);
    // What the client was told goes before what it said itself (RFC 4388 §6.4.2).
    const hostname = wanted.hostname ? configuredValue(terms, HOST_NAME) ?? recordSection(record, SectionKind.hostname) : undefined;
    if (hostname !== undefined && hostname.length > 0) writer.option(HOST_NAME, hostname);
    if (terms === undefined) return;
    for (const { code, value } of this.#configured(terms, wanted)) writer.option(code, value);
  }

  /** An address that has no record: nobody had it, or nothing is known of who did. */
  tellFree(writer: AnswerWriter, isOwn: boolean, wanted: Wanted, at: ToldAt): void {
    if (wanted.baseTime) writer.optionU32(QueryOption.BASE_TIME, at.second);
    if (wanted.state) writer.optionU8(QueryOption.DHCP_STATE, isOwn ? DhcpState.AVAILABLE : DhcpState.REMOTE);
  }

  #tellClient(writer: AnswerWriter, record: Buffer, wanted: Wanted): void {
    const chaddr = recordChaddr(record);
    if (chaddr.length > 0) writer.hardware(recordHtype(record), chaddr);
    if (wanted.clientIdentifier && recordHasClientIdentifier(record)) writer.option(OptionCode.CLIENT_IDENTIFIER, recordClientKey(record));
    if (wanted.relayAgentInformation) {
      const information = recordSection(record, SectionKind.relayAgentInformation);
      if (information.length > 0) writer.option(INFORMATION_OF_RELAYS, information);
    }
    if (wanted.vendorClass) {
      const vendorClass = recordSection(record, SectionKind.vendorClass);
      if (vendorClass.length > 0) writer.option(VENDOR_CLASS, vendorClass);
    }
  }

  #tellTimes(writer: AnswerWriter, state: BindingState, record: Buffer, wanted: Wanted, { second, incarnation }: ToldAt): void {
    if (wanted.lastTransaction) writer.optionU32(QueryOption.CLIENT_LAST_TRANSACTION_TIME, Math.max(0, second - recordLastTransaction(record)));
    if (wanted.baseTime) writer.optionU32(QueryOption.BASE_TIME, second);
    if (wanted.stateTime) writer.optionU32(QueryOption.START_TIME_OF_STATE, Math.max(0, second - recordStateSince(record)));
    if (wanted.state) writer.optionU8(QueryOption.DHCP_STATE, state);
    if (wanted.source && incarnation !== undefined && recordIncarnation(record) !== incarnation) writer.optionU8(QueryOption.DATA_SOURCE, REMOTE);
  }

  /** The rest of the lease and of its times; none of what is past (RFC 4388 §6.4.2). */
  #tellRenewal(writer: AnswerWriter, address: number, record: Buffer, wanted: Wanted, terms: Terms | undefined, second: number): void {
    const remaining = remainingSeconds(record, second);
    if (remaining <= 0) return;
    if (wanted.leaseTime) writer.optionU32(OptionCode.LEASE_TIME, remaining);
    if (!wanted.renewal && !wanted.rebinding) return;
    const lease = terms?.lease ?? this.#config.pools[this.#places.poolOf(address)]?.scope.lease;
    if (lease === undefined) return;
    const { t1, t2 } = renewalTimes(lease, recordLeaseSeconds(record));
    const tell = (code: number, time: number): void => {
      const left = time === INFINITE_SECONDS ? INFINITE_SECONDS : recordLastTransaction(record) + time - second;
      if (left > 0) writer.optionU32(code, left);
    };
    if (wanted.renewal) tell(RENEWAL_TIME, t1);
    if (wanted.rebinding) tell(REBINDING_TIME, t2);
  }

  #needsTerms(wanted: Wanted): boolean {
    return wanted.renewal || wanted.rebinding || wanted.hostname || wanted.configured === undefined || wanted.configured.length > 0;
  }

  #configured({ options }: Terms, { configured }: Wanted): readonly OptionValue[] {
    if (configured === undefined) return options.filter(({ code }) => this.#mayTell.has(code) && (code === HOST_NAME || !OF_BINDING.has(code)));
    return configured.flatMap((code) => options.find((option) => option.code === code) ?? []);
  }

  /** By what is kept of the client, and option 82 as its relay sent it (RFC 4388 §6.4.2). */
  #termsOf(address: number, record: Buffer): Terms | undefined {
    const subnet = this.#config.subnets[this.#places.subnetOf(address)];
    if (subnet === undefined) return undefined;
    const message = this.#message;
    if (message.parse(syntheticRequest(record)) !== undefined) return undefined;
    const information = recordSection(record, SectionKind.relayAgentInformation);
    const relayAgentInformation = information.length > 0 ? information : undefined;
    const reservation = this.#places.reservationFor(subnet.networkIndex, {
      htype: message.htype, chaddr: message.chaddr(), clientId: message.option(OptionCode.CLIENT_IDENTIFIER), relayAgentInformation,
    });
    const classes = this.#matcher.match({ message, relayAgentInformation, interfaceName: '', known: reservation !== undefined });
    const pool = this.#config.pools[this.#places.poolOf(address)];
    return this.#terms.of(subnet, pool?.scope ?? subnet.scope, classes, reservation);
  }
}

const REMOTE = 1;
const WANTED_KEPT_MAX = 1000;

function configuredValue(terms: Terms | undefined, code: number): Buffer | undefined {
  return terms?.options.find((option) => option.code === code)?.value;
}

/** What an address's state makes of the answer (RFC 6926 §8.3). */
export function typeFor(state: BindingState): typeof QueryType.LEASEACTIVE | typeof QueryType.LEASEUNASSIGNED {
  return state === BindingState.ACTIVE ? QueryType.LEASEACTIVE : QueryType.LEASEUNASSIGNED;
}

/**
 * Until the lease ends, as the client was told: its end does not depend on the second in which a node has stored it, so
 * that a requestor knows one change of two nodes again (RFC 7724 §7.4). Not more than was granted, unless the client was
 * told of a longer one before.
 */
function remainingSeconds(record: Buffer, second: number): number {
  const end = recordExpires(record);
  if (end === INFINITE_SECONDS) return end;
  const granted = recordLeaseSeconds(record);
  const endGranted = recordLastTransaction(record) + granted;
  // The end is of a second that was rounded up.
  if (end > endGranted + 1) return end - second;
  return Math.min(granted, Math.max(endGranted - second, Math.min(end - second, 1)));
}
