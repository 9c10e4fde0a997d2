/**
 * What a server sends to a requestor, read in place: one `Answer` is made once and reads message after
 * message. A getter is valid until the next `parse`.
 */
import type { HardwareAddress } from '../../codec/address.ts';
import { BOOTREPLY, DhcpMessage, OptionCode } from '../../codec/message.ts';
import type { DropReason } from '../../telemetry/counters.ts';
import { DhcpState, QueryOption, QueryStatus, QueryType } from '../messages.ts';

/** A name for each number, such as "QUERY_TERMINATED". */
function namesOf<T extends string>(numbers: Readonly<Record<T, number>>): ReadonlyMap<number, T> {
  return new Map((Object.entries(numbers) as [T, number][]).map(([name, number]) => [number, name]));
}

export type DhcpStateName = keyof typeof DhcpState;
export type QueryStatusName = keyof typeof QueryStatus;

const STATE_NAMES = namesOf<DhcpStateName>(DhcpState);
const STATUS_NAMES = namesOf<QueryStatusName>(QueryStatus);

/** "QUERY_TERMINATED"; "status 99" for one that is in no RFC. */
export function statusName(code: number): string {
  return STATUS_NAMES.get(code) ?? `status ${code}`;
}

/** Bit 0 of option 157 (RFC 6926 §6.2.8). */
const REMOTE = 1;

export class Answer {
  readonly #message = new DhcpMessage();

  /** Returns why it cannot be an answer, or undefined. */
  parse(bytes: Buffer): DropReason | undefined {
    return this.#message.parse(bytes, BOOTREPLY);
  }

  /** See `QueryType`; 0: none. */
  get type(): number { return this.#message.type; }
  get xid(): number { return this.#message.xid; }
  /** The address that the answer is about; 0: about none. */
  get address(): number { return this.#message.ciaddr; }

  /** The answer is about a binding, or an address without one. */
  get isBinding(): boolean {
    return this.type === QueryType.LEASEACTIVE || this.type === QueryType.LEASEUNASSIGNED;
  }

  /** Of the client; undefined where the server does not tell. */
  get hardware(): HardwareAddress | undefined {
    const { htype, hlen } = this.#message;
    return hlen === 0 ? undefined : { htype, chaddr: this.#message.chaddr() };
  }

  /** Absence is success (RFC 6926 §6.2.2). */
  get status(): number {
    return this.#message.option(QueryOption.STATUS_CODE)?.[0] ?? QueryStatus.SUCCESS;
  }

  /** What the server says about its status to a person. */
  get statusText(): string {
    return this.#message.option(QueryOption.STATUS_CODE)?.toString('utf8', 1) ?? '';
  }

  get server(): number | undefined { return this.#message.optionU32(OptionCode.SERVER_IDENTIFIER); }
  /** Remaining seconds; 4294967295: for ever. */
  get leaseSeconds(): number | undefined { return this.#message.optionU32(OptionCode.LEASE_TIME); }
  /** UTC seconds, of the server's clock. */
  get baseTime(): number | undefined { return this.#message.optionU32(QueryOption.BASE_TIME); }
  /** Seconds ago. */
  get lastTransaction(): number | undefined { return this.#message.optionU32(QueryOption.CLIENT_LAST_TRANSACTION_TIME); }
  /** Seconds before the base time. */
  get startOfState(): number | undefined { return this.#message.optionU32(QueryOption.START_TIME_OF_STATE); }

  /** Undefined where the server does not tell, or not in the words of RFC 6926 §6.2.7. */
  get state(): DhcpStateName | undefined {
    return STATE_NAMES.get(this.stateCode);
  }

  /** 0: the server does not tell. */
  get stateCode(): number {
    return this.#byte(QueryOption.DHCP_STATE) ?? 0;
  }

  /** Another server made the last change; undefined where the server does not tell. */
  get isRemote(): boolean | undefined {
    const flags = this.#byte(QueryOption.DATA_SOURCE);
    return flags === undefined ? undefined : (flags & REMOTE) !== 0;
  }

  /** Of a client that has several (RFC 4388 §6.4.2). */
  get associated(): number[] | undefined {
    const value = this.option(QueryOption.ASSOCIATED_IP);
    if (value === undefined) return undefined;
    return Array.from({ length: Math.floor(value.length / 4) }, (_, i) => value.readUInt32BE(i * 4));
  }

  option(code: number): Buffer | undefined {
    return this.#message.option(code);
  }

  /** The options that are present, in their order. */
  codes(): number[] {
    return this.#message.codes();
  }

  /** In place: the count of a million answers needs nothing else. */
  #byte(code: number): number | undefined {
    const at = this.#message.locate(code);
    return at > 0 && this.#message.bytes[at] === 1 ? this.#message.bytes[at + 1]! : undefined;
  }
}
