/**
 * What a query asks for, and why it is refused where it asks for nothing that can be answered: RFC 4388 §6.3 for UDP,
 * RFC 6926 §8.2 and RFC 7724 §8.2 for TCP.
 */
import { OptionCode } from '../codec/message.ts';
import type { DhcpMessage } from '../codec/message.ts';
import { suboption } from '../codec/suboptions.ts';
import { QueryOption, QueryStatus, RelaySuboption } from './messages.ts';

/** The bytes are copies: a query outlives its packet. */
export type PrimaryQuery =
  | { readonly by: 'address'; readonly address: number }
  | { readonly by: 'hardware'; readonly identifier: Buffer }
  | { readonly by: 'client-id' | 'remote-id' | 'relay-id'; readonly identifier: Buffer }
  | { readonly by: 'all' };

/** What every answer to a query copies from it. */
export interface QueryHeader {
  readonly xid: number;
  readonly flags: number;
  readonly giaddr: number;
  /** Option 55; undefined: none was sent. */
  readonly requested: Buffer | undefined;
}

export interface Query extends QueryHeader {
  readonly primary: PrimaryQuery;
}

export interface BulkQuery extends Query {
  /** Only bindings that changed then or later, or then or earlier; UTC seconds. */
  readonly startTime: number;
  readonly endTime: number;
  /** It is about virtual networks that are not known here: nothing is found. */
  readonly elsewhere: boolean;
}

export interface ActiveQuery extends QueryHeader {
  /** Undefined: no catch-up. */
  readonly startTime: number | undefined;
}

export interface Refusal {
  readonly status: QueryStatus;
  readonly text: string;
}

const END_OF_TIME = 0xffff_ffff;
const ALL_NETWORKS = 254;
const GLOBAL_NETWORK = 255;

const refused = (status: QueryStatus, text: string): Refusal => ({ status, text });
export const malformed = (text: string): Refusal => refused(QueryStatus.MALFORMED_QUERY, text);
export const notAllowed = (text: string): Refusal => refused(QueryStatus.NOT_ALLOWED, text);

export function headerOf(message: DhcpMessage): QueryHeader {
  const requested = message.option(OptionCode.PARAMETER_REQUEST_LIST);
  return { xid: message.xid, flags: message.flags, giaddr: message.giaddr, requested: requested && Buffer.from(requested) };
}

/** RFC 4388 §6.3: exactly one of ciaddr, a hardware address, a client identifier; undefined where it is not so. */
export function readSingleQuery(message: DhcpMessage): Query | undefined {
  const found: PrimaryQuery[] = [];
  if (message.ciaddr !== 0) found.push({ by: 'address', address: message.ciaddr });
  if (namesHardware(message)) found.push({ by: 'hardware', identifier: message.clientKey('hardware') });
  const clientId = message.option(OptionCode.CLIENT_IDENTIFIER);
  if (clientId !== undefined) found.push({ by: 'client-id', identifier: Buffer.from(clientId) });
  const primary = found[0];
  return primary === undefined || found.length > 1 ? undefined : { ...headerOf(message), primary };
}

/** Requestors that fill in htype and hlen whatever they ask by name nobody with an address of zeros. */
function namesHardware(message: DhcpMessage): boolean {
  return message.chaddr().some((byte) => byte !== 0);
}

export function isRefusal(query: object): query is Refusal {
  return 'status' in query;
}

/** RFC 6926 §8.2: at most one primary query; none asks for all configured addresses. */
export function readBulkQuery(message: DhcpMessage): BulkQuery | Refusal {
  if (message.ciaddr !== 0 || message.yiaddr !== 0 || message.siaddr !== 0) return malformed('ciaddr, yiaddr and siaddr must be zero');
  const found: PrimaryQuery[] = [];
  if (namesHardware(message)) found.push({ by: 'hardware', identifier: message.clientKey('hardware') });
  const clientId = message.option(OptionCode.CLIENT_IDENTIFIER);
  if (clientId !== undefined) found.push({ by: 'client-id', identifier: Buffer.from(clientId) });
  const information = message.option(OptionCode.RELAY_AGENT_INFORMATION);
  for (const [by, code] of [['remote-id', RelaySuboption.REMOTE_ID], ['relay-id', RelaySuboption.RELAY_ID]] as const) {
    const value = information && suboption(information, code);
    if (value !== undefined) found.push({ by, identifier: Buffer.from(value) });
  }
  if (found.length > 1) return notAllowed(`one query may ask by one thing only, and this one does by ${found.map(({ by }) => by).join(' and ')}`);
  const times = [QueryOption.QUERY_START_TIME, QueryOption.QUERY_END_TIME].map((code) => message.optionU32(code));
  for (const [index, code] of [QueryOption.QUERY_START_TIME, QueryOption.QUERY_END_TIME].entries()) {
    if (message.has(code) && times[index] === undefined) return malformed(`option ${code} must have 4 bytes`);
  }
  const elsewhere = virtualNetworks(message);
  if (typeof elsewhere !== 'boolean') return elsewhere;
  return { ...headerOf(message), primary: found[0] ?? { by: 'all' }, startTime: times[0] ?? 0, endTime: times[1] ?? END_OF_TIME, elsewhere };
}

/** RFC 6926 §6.2.9: the global network, all of them, or one that there is not here. */
function virtualNetworks(message: DhcpMessage): boolean | Refusal {
  const named = message.option(QueryOption.VIRTUAL_SUBNET_SELECTION);
  if (named === undefined) return false;
  const type = named[0];
  if (type === undefined || ((type === ALL_NETWORKS || type === GLOBAL_NETWORK) && named.length > 1)) return malformed('a virtual network that cannot be read');
  return type !== ALL_NETWORKS && type !== GLOBAL_NETWORK;
}

/** RFC 7724 §7.3: about no client in particular, and without an end. */
export function readActiveQuery(message: DhcpMessage): ActiveQuery | Refusal {
  if (message.ciaddr !== 0 || message.yiaddr !== 0 || message.siaddr !== 0) return malformed('ciaddr, yiaddr and siaddr must be zero');
  if (namesHardware(message) || message.hasClientIdentifier) return malformed('an active query is about no client in particular');
  if (message.has(QueryOption.QUERY_END_TIME)) return malformed('an active query has no query-end-time');
  const startTime = message.optionU32(QueryOption.QUERY_START_TIME);
  if (message.has(QueryOption.QUERY_START_TIME) && startTime === undefined) return malformed('query-start-time must have 4 bytes');
  return { ...headerOf(message), startTime };
}
