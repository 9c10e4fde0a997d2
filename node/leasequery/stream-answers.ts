/** The messages that go over a connection (RFC 6926 §8.3, RFC 7724 §8.2), each ready for it, behind its length. */
import { OptionCode } from '../codec/message.ts';
import type { ClusterConfig, Reservation } from '../config/types.ts';
import { AddressPlan } from '../lease/address-plan.ts';
import { recordState } from '../lease/record.ts';
import type { ReservationSubject } from '../lease/reservations.ts';
import { AnswerWriter } from './answer.ts';
import type { Found } from './bulk.ts';
import { configuredRanges } from './configured.ts';
import { framed, LENGTH_BYTES } from './framing.ts';
import { QueryOption, QueryStatus, QueryType } from './messages.ts';
import type { QueryHeader } from './query.ts';
import { Requestors } from './requestors.ts';
import { Teller, typeFor } from './told.ts';
import type { ToldAt, Wanted } from './told.ts';

/** What a thread needs of the configuration. */
export type QueryConfig = Pick<ClusterConfig, 'subnets' | 'pools' | 'classes' | 'reservations' | 'leaseQuery' | 'limits' | 'maxClockSkewMs' | 'evictAfterMs'>;

/** What follows from one configuration. */
export class QueryPlan {
  readonly config: QueryConfig;
  readonly requestors: Requestors;
  readonly configured: ReturnType<typeof configuredRanges>;
  readonly #teller: Teller;
  readonly #writer = new AnswerWriter();

  /** Reservations that have ended at `second` count for nothing. */
  constructor(config: QueryConfig, second: number) {
    this.config = config;
    this.requestors = new Requestors(config.leaseQuery.requestors);
    const plan = new AddressPlan(config, second);
    this.configured = configuredRanges(config, plan);
    this.#teller = new Teller(config, {
      subnetOf: (address) => plan.subnetAt(address),
      poolOf: (address) => plan.poolAt(address),
      reservationFor: (network: number, subject: ReservationSubject): Reservation | undefined => plan.reservations.find(network, subject, second),
    });
  }

  wanted(query: QueryHeader): Wanted {
    return this.#teller.wanted(query.requested);
  }

  /**
   * About one binding, put into `into` at `at` behind its length; returns where it ends, or -1 where there is not
   * enough room. `serverIdentifier`: 0 but in the first one (RFC 6926 §8.3).
   */
  tell(into: Buffer, at: number, query: QueryHeader, found: Found, wanted: Wanted, told: ToldAt, isOwn: boolean, serverIdentifier: number): number {
    const { address, record } = found;
    const writer = this.#writer;
    writer.begin(record === undefined ? QueryType.LEASEUNASSIGNED : typeFor(recordState(record)), query, address);
    if (serverIdentifier !== 0) writer.optionU32(OptionCode.SERVER_IDENTIFIER, serverIdentifier);
    if (record === undefined) this.#teller.tellFree(writer, isOwn, wanted, told);
    else this.#teller.tellLease(writer, address, record, wanted, told);
    const message = writer.end(0);
    const end = at + LENGTH_BYTES + message.length;
    if (end > into.length) return -1;
    into.writeUInt16BE(message.length, at);
    message.copy(into, at + LENGTH_BYTES);
    return end;
  }
}

const writer = new AnswerWriter();

export interface StatusMessage {
  readonly type: typeof QueryType.LEASEQUERYDONE | typeof QueryType.LEASEQUERYSTATUS | typeof QueryType.TLS;
  /** Success is said by leaving the option out (RFC 6926 §6.2.2). */
  readonly status?: QueryStatus;
  readonly text?: string;
  /** UTC seconds. */
  readonly baseTime?: number;
  readonly serverIdentifier?: number;
}

export function statusMessage(query: QueryHeader, { type, status = QueryStatus.SUCCESS, text = '', baseTime, serverIdentifier = 0 }: StatusMessage): Buffer {
  writer.begin(type, query, 0);
  if (serverIdentifier !== 0) writer.optionU32(OptionCode.SERVER_IDENTIFIER, serverIdentifier);
  if (status !== QueryStatus.SUCCESS) writer.option(QueryOption.STATUS_CODE, Buffer.concat([Buffer.of(status), Buffer.from(text)]));
  if (baseTime !== undefined) writer.optionU32(QueryOption.BASE_TIME, baseTime);
  return framed(writer.end(0));
}
