/**
 * LEASEQUERY over UDP (RFC 4388): a query is read when it comes, and answered from the table once it is confirmed that
 * this node knows all that was committed before. Silence where it may not be answered, or cannot be.
 */
import type { DhcpMessage } from '../codec/message.ts';
import { OptionCode } from '../codec/message.ts';
import { REPLY_BYTES_MIN } from '../codec/reply.ts';
import type { ClusterConfig } from '../config/types.ts';
import { BindingState, recordHasClientIdentifier, recordLastTransaction, recordState } from '../lease/record.ts';
import type { LeaseTable } from '../lease/table.ts';
import type { ConfirmedReply, InterfaceInfo, ReceivedPacket } from '../server/ports.ts';
import type { Counters, DropReason } from '../telemetry/counters.ts';
import type { MonotonicMs, Now } from '../time.ts';
import { wallSeconds } from '../time.ts';
import { AnswerWriter } from './answer.ts';
import { QueryOption, QueryType } from './messages.ts';
import { readSingleQuery } from './query.ts';
import type { PrimaryQuery, Query } from './query.ts';
import { Requestors } from './requestors.ts';
import { Teller } from './told.ts';
import type { ToldAt } from './told.ts';

const IP_AND_UDP_BYTES = 28;

/** A query that waits for its confirmation, and where its answer goes. */
export interface Question {
  readonly query: Query;
  readonly iface: InterfaceInfo;
  readonly port: number;
  readonly receivedAt: MonotonicMs;
}

/** `address`: what the answer tells of; its record, if it has one, must be committed before the answer leaves. */
export interface Answer {
  readonly reply: ConfirmedReply;
  readonly address: number | undefined;
}

export class SingleQueries {
  readonly #table: LeaseTable;
  readonly #counters: Counters;
  readonly #requestors: Requestors;
  readonly #teller: Teller;
  /** By the most that the interface takes. */
  readonly #writers = new Map<number, AnswerWriter>();
  #now: Now | undefined;

  constructor(config: ClusterConfig, table: LeaseTable, counters: Counters) {
    this.#table = table;
    this.#counters = counters;
    this.#requestors = new Requestors(config.leaseQuery.requestors);
    this.#teller = new Teller(config, {
      subnetOf: (address) => table.subnetOf(address),
      poolOf: (address) => table.poolOf(address),
      reservationFor: (network, subject) => table.reservationFor(network, subject, this.#now!),
    });
  }

  /** The query that a DHCPLEASEQUERY is, or why it gets no answer. `port`: where its answer goes. */
  read(packet: ReceivedPacket, message: DhcpMessage, port: number): Question | DropReason {
    // RFC 4388 §6.4.3: without giaddr there is nowhere to answer to.
    if (message.giaddr === 0) return 'query-malformed';
    if (!this.#requestors.has(message.giaddr) || !this.#requestors.has(packet.sourceAddress)) return 'query-refused';
    if (packet.iface.addresses.length === 0) return 'no-subnet';
    const query = readSingleQuery(message);
    if (query === undefined) return 'query-malformed';
    return { query, iface: packet.iface, port, receivedAt: packet.receivedAt };
  }

  /** `incarnation`: this node's, where there are others. */
  answer(question: Question, now: Now, incarnation: number | undefined): Answer {
    this.#now = now;
    const { primary } = question.query;
    const at: ToldAt = { second: wallSeconds(now.wall), incarnation };
    if (primary.by === 'address') return this.#byAddress(question, primary.address, at, now);
    const leases = this.#leasesOf(primary);
    const latest = leases[0];
    if (latest === undefined) return this.#plain(question, QueryType.LEASEUNKNOWN, 0);
    return this.#lease(question, latest.address, latest.record, at, leases.map(({ address }) => address));
  }

  /** RFC 4388 §6.4.1: ACTIVE or UNASSIGNED if this server manages the address, else UNKNOWN. */
  #byAddress(question: Question, address: number, at: ToldAt, now: Now): Answer {
    const record = this.#table.read(address);
    if (record !== undefined && isLeased(record)) return this.#lease(question, address, record, at, []);
    const isManaged = this.#table.poolOf(address) >= 0 || (this.#table.networkOf(address) >= 0 && this.#table.isReserved(address, now));
    return this.#plain(question, isManaged ? QueryType.LEASEUNASSIGNED : QueryType.LEASEUNKNOWN, address);
  }

  /** The client's leases, the one of its most recent transaction first. */
  #leasesOf(primary: PrimaryQuery): { readonly address: number; readonly record: Buffer }[] {
    const addresses = primary.by === 'hardware' ? this.#table.findAllByHardware(primary.identifier)
      : primary.by === 'client-id' ? this.#table.findAllByClient(primary.identifier) : [];
    return addresses.map((address) => ({ address, record: this.#table.read(address)! }))
      // RFC 4388 §6.4.1: who has proffered the identifier, not who is known by a hardware address of the same bytes.
      .filter(({ record }) => isLeased(record) && (primary.by === 'hardware' || recordHasClientIdentifier(record)))
      .sort((a, b) => recordLastTransaction(b.record) - recordLastTransaction(a.record) || a.address - b.address);
  }

  #lease(question: Question, address: number, record: Buffer, at: ToldAt, leases: readonly number[]): Answer {
    const { query, iface } = question;
    const writer = this.#writerFor(iface);
    const wanted = this.#teller.wanted(query.requested);
    writer.begin(QueryType.LEASEACTIVE, query, address);
    writer.optionU32(OptionCode.SERVER_IDENTIFIER, iface.addresses[0]!.address);
    // RFC 4388 §6.4.2: whether or not it was asked for. Half of the room is for what is told of the one lease.
    if (leases.length > 1) writer.option(QueryOption.ASSOCIATED_IP, addressList(leases, Math.floor(writer.room / 2)));
    this.#teller.tellLease(writer, address, record, wanted, at);
    return this.#answer(question, QueryType.LEASEACTIVE, writer, address);
  }

  /** RFC 4388 §6.4, §6.4.2: without any other option. */
  #plain(question: Question, type: typeof QueryType.LEASEUNKNOWN | typeof QueryType.LEASEUNASSIGNED, address: number): Answer {
    const writer = this.#writerFor(question.iface);
    writer.begin(type, question.query, address);
    if (question.query.primary.by === 'hardware') {
      const { identifier } = question.query.primary;
      writer.hardware(identifier[0]!, identifier.subarray(1));
    }
    return this.#answer(question, type, writer, address === 0 ? undefined : address);
  }

  #answer({ query, iface, port, receivedAt }: Question, type: number, writer: AnswerWriter, address: number | undefined): Answer {
    this.#counters.queries.count('single', query.primary.by, OUTCOMES[type]!);
    const bytes = Buffer.from(writer.end(REPLY_BYTES_MIN));
    return { reply: { bytes, iface, address: query.giaddr, port, receivedAt } as ConfirmedReply, address };
  }

  #writerFor({ mtu }: InterfaceInfo): AnswerWriter {
    let writer = this.#writers.get(mtu);
    if (writer === undefined) this.#writers.set(mtu, writer = new AnswerWriter(Math.max(mtu - IP_AND_UDP_BYTES, REPLY_BYTES_MIN)));
    return writer;
  }
}

const OUTCOMES: Readonly<Record<number, 'active' | 'unassigned' | 'unknown'>> = {
  [QueryType.LEASEACTIVE]: 'active', [QueryType.LEASEUNASSIGNED]: 'unassigned', [QueryType.LEASEUNKNOWN]: 'unknown',
};

/** By its state alone: when a lease has ended is its owner's word. By this node's clock it may have, and its client hold it still. */
function isLeased(record: Buffer): boolean {
  return recordState(record) === BindingState.ACTIVE;
}

const PIECE_OVERHEAD = 2;
const PIECE_BYTES_MAX = 255;

/** As many as there is room for, the most recent first. */
function addressList(addresses: readonly number[], room: number): Buffer {
  const bytesMax = room - PIECE_OVERHEAD * Math.ceil(room / PIECE_BYTES_MAX);
  const count = Math.min(addresses.length, Math.floor(bytesMax / 4));
  const list = Buffer.alloc(count * 4);
  for (let i = 0; i < count; i++) list.writeUInt32BE(addresses[i]!, i * 4);
  return list;
}
