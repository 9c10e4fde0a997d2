/**
 * What a requestor sends: DHCPLEASEQUERY (RFC 4388 §6.2), DHCPBULKLEASEQUERY (RFC 6926 §7.2),
 * DHCPACTIVELEASEQUERY (RFC 7724 §7.3) and DHCPTLS (RFC 7724 §7.2), as whole DHCP messages.
 *
 * Invariants: the message type is the first option, option 82 the last one (RFC 3046 §2.1); each message
 * has at least the 300 bytes that BOOTP asks for (RFC 1542 §2.1).
 */
import assert from 'node:assert/strict';
import type { HardwareAddress } from '../../codec/address.ts';
import { BOOTREQUEST, CHADDR_AT, COOKIE_AT, MAGIC_COOKIE, OPTIONS_AT, OptionCode } from '../../codec/message.ts';
import { QueryOption, QueryType, RelaySuboption } from '../messages.ts';

/** RFC 1542 §2.1. */
const QUERY_BYTES_MIN = 300;
const OPTION_BYTES_MAX = 255;
/** What option 82 has room for behind the code and the length of its only sub-option. */
export const SUBOPTION_BYTES_MAX = OPTION_BYTES_MAX - 2;
/** RFC 8357 §4.1: answers go to the port that the query came from. */
const RELAY_PORT_SUBOPTION = 19;

const HOST_NAME = 12;
const RENEWAL_TIME = 58;
const REBINDING_TIME = 59;
const VENDOR_CLASS = 60;

/** What one DHCPLEASEQUERY asks for unless told otherwise. Option 92 comes unasked (RFC 4388 §6.4.2). */
export const SINGLE_OPTIONS: readonly number[] = [
  OptionCode.LEASE_TIME, OptionCode.CLIENT_IDENTIFIER, OptionCode.RELAY_AGENT_INFORMATION, QueryOption.CLIENT_LAST_TRANSACTION_TIME,
  HOST_NAME, VENDOR_CLASS, RENEWAL_TIME, REBINDING_TIME,
];

/** The same for many bindings; RFC 6926 §7.2 names those that are about time. */
export const STREAM_OPTIONS: readonly number[] = [
  OptionCode.LEASE_TIME, OptionCode.CLIENT_IDENTIFIER, OptionCode.RELAY_AGENT_INFORMATION, QueryOption.CLIENT_LAST_TRANSACTION_TIME,
  QueryOption.BASE_TIME, QueryOption.START_TIME_OF_STATE, QueryOption.DHCP_STATE, QueryOption.DATA_SOURCE, HOST_NAME, VENDOR_CLASS,
];

/** What is asked about. The primary queries of RFC 6926 §7.2, and the one by address that only RFC 4388 has. */
export type QuerySubject =
  | { readonly by: 'address'; readonly address: number }
  | { readonly by: 'hardware'; readonly hardware: HardwareAddress }
  /** Option 61 as sent, its type included; at most 255 bytes. */
  | { readonly by: 'client-id'; readonly identifier: Buffer }
  /** At most `SUBOPTION_BYTES_MAX` bytes. */
  | { readonly by: 'remote-id' | 'relay-id'; readonly identifier: Buffer };

/** RFC 6926 §6.2.9, RFC 6607: the address spaces that are searched; without, the global one. */
export type VirtualSubnet = { readonly all: true } | { readonly name: string };

export interface SingleQuery {
  readonly xid: number;
  /** Where the answer goes; not zero (RFC 4388 §6.3). */
  readonly giaddr: number;
  readonly subject: QuerySubject;
  /** Option codes, in order of interest. */
  readonly options: readonly number[];
  /** The server is asked to answer to the port that the query comes from (RFC 8357). */
  readonly answerToSourcePort?: boolean;
}

/** DHCPLEASEQUERY. */
export function singleQuery({ xid, giaddr, subject, options, answerToSourcePort = false }: SingleQuery): Buffer {
  const query = new Query(QueryType.LEASEQUERY, xid);
  query.giaddr = giaddr;
  query.about(subject);
  query.request(options);
  if (answerToSourcePort) query.relay(RELAY_PORT_SUBOPTION, Buffer.alloc(0));
  return query.encode();
}

export interface BulkQuery {
  readonly xid: number;
  /** Undefined: every configured address. */
  readonly subject?: QuerySubject | undefined;
  readonly options: readonly number[];
  /** UTC seconds of the server's clock, both inclusive. */
  readonly startTime?: number | undefined;
  readonly endTime?: number | undefined;
  readonly virtualSubnet?: VirtualSubnet | undefined;
}

/** DHCPBULKLEASEQUERY. */
export function bulkQuery({ xid, subject, options, startTime, endTime, virtualSubnet }: BulkQuery): Buffer {
  assert(subject?.by !== 'address', 'no bulk query is about one address');
  const query = new Query(QueryType.BULKLEASEQUERY, xid);
  query.request(options);
  query.time(QueryOption.QUERY_START_TIME, startTime);
  query.time(QueryOption.QUERY_END_TIME, endTime);
  if (virtualSubnet !== undefined) query.option(QueryOption.VIRTUAL_SUBNET_SELECTION, virtualSubnetValue(virtualSubnet));
  if (subject !== undefined) query.about(subject);
  return query.encode();
}

export interface ActiveQuery {
  readonly xid: number;
  readonly options: readonly number[];
  /** What has changed since then comes first (RFC 7724 §7.3). */
  readonly startTime?: number | undefined;
}

/** DHCPACTIVELEASEQUERY. */
export function activeQuery({ xid, options, startTime }: ActiveQuery): Buffer {
  const query = new Query(QueryType.ACTIVELEASEQUERY, xid);
  query.request(options);
  query.time(QueryOption.QUERY_START_TIME, startTime);
  return query.encode();
}

/** DHCPTLS, which has no options (RFC 7724 §7.2). */
export function tlsRequest(xid: number): Buffer {
  return new Query(QueryType.TLS, xid).encode();
}

const VSS_NVT_ASCII = 0;
const VSS_ALL = 254;

function virtualSubnetValue(selection: VirtualSubnet): Buffer {
  return 'all' in selection ? Buffer.of(VSS_ALL) : Buffer.concat([Buffer.of(VSS_NVT_ASCII), Buffer.from(selection.name, 'latin1')]);
}

class Query {
  giaddr = 0;
  readonly #xid: number;
  #ciaddr = 0;
  #hardware: HardwareAddress | undefined;
  readonly #options: { readonly code: number; readonly value: Buffer }[] = [];
  #relay: Buffer | undefined;

  constructor(type: QueryType, xid: number) {
    this.#xid = xid;
    this.option(OptionCode.MESSAGE_TYPE, Buffer.of(type));
  }

  option(code: number, value: Buffer): void {
    assert(value.length <= OPTION_BYTES_MAX, `option ${code} has ${value.length} bytes`);
    this.#options.push({ code, value });
  }

  time(code: number, seconds: number | undefined): void {
    if (seconds === undefined) return;
    const value = Buffer.allocUnsafe(4);
    value.writeUInt32BE(seconds);
    this.option(code, value);
  }

  request(codes: readonly number[]): void {
    const list = new Set(codes);
    // RFC 2132 §9.8: at least one.
    if (list.size > 0) this.option(OptionCode.PARAMETER_REQUEST_LIST, Buffer.from([...list]));
  }

  relay(code: number, value: Buffer): void {
    assert(value.length <= SUBOPTION_BYTES_MAX, `sub-option ${code} has ${value.length} bytes`);
    this.#relay = Buffer.concat([Buffer.of(code, value.length), value]);
  }

  /** RFC 4388 §6.2 and RFC 6926 §7.2: the fields of every other kind of query stay zero. */
  about(subject: QuerySubject): void {
    switch (subject.by) {
      case 'address':
        this.#ciaddr = subject.address;
        break;
      case 'hardware':
        this.#hardware = subject.hardware;
        break;
      case 'client-id':
        this.option(OptionCode.CLIENT_IDENTIFIER, subject.identifier);
        break;
      case 'remote-id':
        this.relay(RelaySuboption.REMOTE_ID, subject.identifier);
        break;
      case 'relay-id':
        this.relay(RelaySuboption.RELAY_ID, subject.identifier);
        break;
    }
  }

  encode(): Buffer {
    const options = [...this.#options];
    if (this.#relay !== undefined) options.push({ code: OptionCode.RELAY_AGENT_INFORMATION, value: this.#relay });
    const parts = options.flatMap(({ code, value }) => [Buffer.of(code, value.length), value]);
    const header = Buffer.alloc(OPTIONS_AT);
    header[0] = BOOTREQUEST;
    if (this.#hardware !== undefined) {
      header[1] = this.#hardware.htype;
      header[2] = this.#hardware.chaddr.length;
      this.#hardware.chaddr.copy(header, CHADDR_AT);
    }
    header.writeUInt32BE(this.#xid, 4);
    header.writeUInt32BE(this.#ciaddr, 12);
    header.writeUInt32BE(this.giaddr, 24);
    header.writeUInt32BE(MAGIC_COOKIE, COOKIE_AT);
    const message = Buffer.concat([header, ...parts, Buffer.of(OptionCode.END)]);
    return message.length >= QUERY_BYTES_MIN ? message : Buffer.concat([message, Buffer.alloc(QUERY_BYTES_MIN - message.length)]);
  }
}
