/**
 * Which bindings somebody asks for, and the answer in pages: each reads a bounded number of records,
 * so that listing a million of them never holds up a packet.
 */
import { lastAddress, parseIpv4, parsePrefix } from '../codec/address.ts';
import type { SubnetConfig } from '../config/types.ts';
import {
  BindingState, recordChaddr, recordClientKey, recordHtype, recordSection, recordState, SectionKind,
} from '../lease/record.ts';
import { SubnetFinder } from '../lease/subnet-finder.ts';
import { leaseView, type LeaseView } from './lease-view.ts';

/** Records read for one page, whether they match or not. */
export const LEASE_PAGE_RECORDS = 256;

export interface LeaseQuery {
  /** Inclusive; a single address or a subnet's. */
  readonly first: number;
  readonly last: number;
  readonly state?: BindingState;
  readonly client?: ClientMatch;
}

/** Any of them: a hardware address, a client key in hex, a host name. */
interface ClientMatch {
  readonly bytes?: Buffer;
  readonly htype?: number;
  readonly hostname: string;
}

export type LeaseQueryResult =
  | { readonly ok: true; readonly query: LeaseQuery }
  | { readonly ok: false; readonly message: string };

/** The lease table, or anything that lists records like it. */
export interface LeaseRecords {
  /** In order of address, those above `after` (-1: from the start), at most `limit`. */
  records(after: number, limit: number): readonly { readonly address: number; readonly record: Buffer }[];
}

export interface LeaseSource extends LeaseRecords {
  readonly subnets: readonly SubnetConfig[];
  /** The member that the view gives a slot to. */
  ownerOf(slot: number): string | undefined;
}

export interface LeasePage {
  readonly leases: readonly LeaseView[];
  /** Where the next page goes on; undefined at the end. */
  readonly next: number | undefined;
}

const PARAMETERS = ['client', 'address', 'subnet', 'state'];
const STATES = ['ACTIVE', 'EXPIRED', 'RELEASED', 'ABANDONED'] as const;

/** From the parameters of a URL; a mistake is a value with what was expected. */
export function parseLeaseQuery(
  parameters: Readonly<Record<string, unknown>>, subnets: readonly SubnetConfig[],
): LeaseQueryResult {
  for (const [name, value] of Object.entries(parameters)) {
    if (!PARAMETERS.includes(name)) return refuse(`unknown parameter "${name}": expected ${PARAMETERS.join(', ')}`);
    if (typeof value !== 'string' || value === '') return refuse(`${name}: expected one value`);
  }
  const { client, address, subnet, state } = parameters as Record<string, string | undefined>;
  let first = 0;
  let last = 0xffff_ffff;
  if (subnet !== undefined) {
    const prefix = parsePrefix(subnet);
    if (prefix === undefined || !subnets.some(({ name }) => name === subnet)) {
      return refuse(`subnet: expected one of ${subnets.map(({ name }) => name).join(', ')}, found "${subnet}"`);
    }
    first = prefix.network;
    last = lastAddress(prefix);
  }
  if (address !== undefined) {
    const parsed = parseIpv4(address);
    if (parsed === undefined) return refuse(`address: expected an IPv4 address like 10.0.0.1, found "${address}"`);
    // Outside the subnet that is asked for as well, the range is empty.
    first = Math.max(first, parsed);
    last = Math.min(last, parsed);
  }
  const name = STATES.find((known) => known === state?.toUpperCase());
  if (state !== undefined && name === undefined) return refuse(`state: expected one of ${STATES.join(', ')}, found "${state}"`);
  return {
    ok: true,
    query: {
      first, last,
      ...(name === undefined ? {} : { state: BindingState[name] }),
      ...(client === undefined ? {} : { client: clientMatch(client) }),
    },
  };
}

function refuse(message: string): LeaseQueryResult {
  return { ok: false, message };
}

function clientMatch(text: string): ClientMatch {
  const slash = /^([0-9]{1,3})\/(.+)$/.exec(text);
  const digits = (slash?.[2] ?? text).replaceAll(/[:.-]/g, '').toLowerCase();
  const hostname = text.toLowerCase();
  if (!/^(?:[0-9a-f]{2})+$/.test(digits)) return { hostname };
  return { hostname, bytes: Buffer.from(digits, 'hex'), ...(slash === null ? {} : { htype: Number(slash[1]) }) };
}

/** `after` is -1 for the first page, else the page before's `next`. */
export function leasePage(source: LeaseSource, query: LeaseQuery, after: number): LeasePage {
  const from = Math.max(after, query.first - 1);
  if (from >= query.last) return { leases: [], next: undefined };
  const limit = Math.min(LEASE_PAGE_RECORDS, query.last - from);
  const page = source.records(from, limit);
  const finder = new SubnetFinder(source.subnets);
  const leases: LeaseView[] = [];
  for (const { address, record } of page) {
    if (address > query.last) return { leases, next: undefined };
    if (!matches(query, record)) continue;
    const subnet = source.subnets[finder.find(address)]?.name ?? '';
    leases.push(leaseView(address, record, subnet, source.ownerOf(address & 255)));
  }
  const end = page.at(-1)?.address;
  return { leases, next: end === undefined || end >= query.last ? undefined : end };
}

function matches(query: LeaseQuery, record: Buffer): boolean {
  if (query.state !== undefined && recordState(record) !== query.state) return false;
  const { client } = query;
  if (client === undefined) return true;
  if (client.bytes !== undefined) {
    if (recordChaddr(record).equals(client.bytes) && (client.htype === undefined || client.htype === recordHtype(record))) return true;
    if (client.htype === undefined && recordClientKey(record).equals(client.bytes)) return true;
  }
  const hostname = recordSection(record, SectionKind.hostname);
  return hostname.length > 0 && hostname.toString('utf8').toLowerCase() === client.hostname;
}
