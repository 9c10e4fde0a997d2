/** What somebody asks of the bindings, from the parameters of a URL or the options of a command: which, in which order, how many. */
import * as z from 'zod';
import { formatIpv4, lastAddress, parseAddressWithPrefix, parseIpv4, parsePrefix } from '../codec/address.ts';
import type { AddressRange, ClusterConfig, PoolConfig } from '../config/types.ts';
import { BindingState } from '../lease/record.ts';
import { SORTED_LEASES_MAX } from './limits.ts';
import { NOTE_KEYS_END } from '../notes/note.ts';
import { INFINITE_SECONDS } from '../time.ts';
import {
  circuitTest, clientTest, dnsNameTest, expiresTest, grantedTest, rangesTest, remoteTest, reservedTest, stateTest, vendorClassTest,
} from './lease-filter.ts';
import type { LeaseFilter, LeaseTest } from './lease-filter.ts';
import { parseLeaseCursor, SORT_FIELDS } from './lease-order.ts';
import type { LeaseOrder, LeasePlace } from './lease-order.ts';
import { MOMENT_EXPECTED, parseMoment } from './moment.ts';

const TEXT_CHARACTERS_MAX = 600;
const text = (help: string): z.ZodOptional<z.ZodString> => z.string().min(1).max(TEXT_CHARACTERS_MAX).optional().describe(help);

/** What narrows a list of bindings down. */
export const leaseConditions = {
  client: text('a hardware address, a client identifier in hex, or a host name; * in it stands for anything'),
  address: text('one address, a range such as 10.0.0.10-10.0.0.20, or a prefix such as 10.0.0.0/24'),
  subnet: text('one subnet of the configuration, such as 10.0.0.0/8'),
  pool: text('one pool of the configuration: as it is written there, or any address in it'),
  network: text('one shared network of the configuration, by name'),
  state: text('ACTIVE, EXPIRED, RELEASED or ABANDONED; several with commas between them'),
  owner: text('the node that owns the address'),
  expiresBefore: text('the lease ends before this time, or within this duration'),
  expiresAfter: text('the lease ends after this time, or after this duration from now'),
  grantedSince: text('the client was given its lease at this time or later, or within this duration until now'),
  circuitId: text('the circuit-id of the relay, as text or in hex; * in it stands for anything'),
  remoteId: text('the remote-id of the relay, likewise'),
  vendorClass: text('somewhere in what the client says of its vendor (option 60)'),
  reserved: z.enum(['yes', 'no']).optional().describe('whether the address is the client\'s by a reservation'),
  dnsName: text('a name that the address has in DNS, or is to have; * in it stands for anything'),
} as const;

export const leaseParameters = z.strictObject({
  ...leaseConditions,
  sort: z.enum(SORT_FIELDS).optional().describe('in which order: of addresses (default), of ends, of grants, of client identifiers, of host names'),
  reverse: z.enum(['yes', 'no']).optional().describe('the other way round'),
  limit: z.string().regex(/^[1-9][0-9]{0,8}$/, 'expected a number from 1').optional().describe('at most so many'),
  after: text('go on behind the last entry of the page before: its address, or in another order what it is sorted by, a comma, its address'),
});
export const leaseConditionParameters = z.strictObject(leaseConditions);

export type LeaseParameters = z.output<typeof leaseParameters>;
export type LeaseConditions = z.output<typeof leaseConditionParameters>;

export interface LeaseQuery {
  readonly filter: LeaseFilter;
  readonly order: LeaseOrder;
  readonly limit: number;
  /** Only what stands behind it. */
  readonly after: LeasePlace | undefined;
}

/** What a question is understood by. */
export interface LeaseQueryContext {
  readonly config: Pick<ClusterConfig, 'networks' | 'nodes' | 'subnets'>;
  /** The member that the view gives a slot to. */
  ownerOf(slot: number): string | undefined;
  /** UTC. */
  readonly nowSeconds: number;
}

/** A question that makes no sense, with what was expected. */
export class LeaseQueryError extends Error {}

const STATES = ['ACTIVE', 'EXPIRED', 'RELEASED', 'ABANDONED'] as const;
const NOWHERE: AddressRange = { first: 1, last: 0 };

/** @throws LeaseQueryError */
export function parseLeaseQuery(parameters: LeaseParameters, context: LeaseQueryContext): LeaseQuery {
  const { after, limit, reverse, sort = 'address', ...conditions } = parameters;
  const order: LeaseOrder = { field: sort, isReverse: reverse === 'yes' };
  const most = limit === undefined ? Infinity : Number(limit);
  if (after !== undefined && limit === undefined && !isStreamed(order)) throw new LeaseQueryError('after: in this order it goes with limit');
  return { filter: parseLeaseFilter(conditions, context), order, limit: most, after: after === undefined ? undefined : placeAfter(after, order) };
}

/** The order of the store itself: such a list needs no memory, however long it is. */
export function isStreamed({ field, isReverse }: LeaseOrder): boolean {
  return field === 'address' && !isReverse;
}

function placeAfter(after: string, order: LeaseOrder): LeasePlace {
  const place = parseLeaseCursor(after, order);
  if (place === undefined) throw new LeaseQueryError(`after: expected what the page before ended with in this order, found "${after}"`);
  return place;
}

/** @throws LeaseQueryError */
export function parseLeaseFilter(conditions: LeaseConditions, context: LeaseQueryContext): LeaseFilter {
  const tests: LeaseTest[] = [];
  const wheres: AddressRange[] = [];
  const { address, client, circuitId, dnsName, network, owner, pool, remoteId, reserved, state, subnet, vendorClass } = conditions;
  if (address !== undefined) wheres.push(rangeOf(address));
  if (subnet !== undefined) wheres.push(subnetRange(subnet, context));
  for (const ranges of [pool === undefined ? undefined : poolNamed(pool, context).ranges, network === undefined ? undefined : networkRanges(network, context)]) {
    if (ranges === undefined) continue;
    wheres.push(extentOf(ranges));
    tests.push(rangesTest(ranges));
  }
  if (state !== undefined) tests.push(stateTest(new Set(state.split(',').map(stateNamed))));
  if (owner !== undefined) tests.push(ownerTest(owner, context));
  if (client !== undefined) tests.push(clientTest(client));
  if (circuitId !== undefined) tests.push(circuitTest(circuitId));
  if (remoteId !== undefined) tests.push(remoteTest(remoteId));
  if (vendorClass !== undefined) tests.push(vendorClassTest(vendorClass));
  if (reserved !== undefined) tests.push(reservedTest(reserved === 'yes'));
  if (dnsName !== undefined) tests.push(dnsNameTest(dnsName));
  tests.push(...timeTests(conditions, context.nowSeconds));
  // Keys below are those of notes.
  const { first, last } = [{ first: NOTE_KEYS_END, last: 0xffff_ffff }, ...wheres].reduce(overlap);
  return { ...(first > last ? NOWHERE : { first, last }), tests };
}

function timeTests({ expiresAfter, expiresBefore, grantedSince }: LeaseConditions, now: number): LeaseTest[] {
  const moment = (name: string, given: string | undefined, way: 'ago' | 'ahead', otherwise: number): number => {
    if (given === undefined) return otherwise;
    const seconds = parseMoment(given, now, way);
    if (seconds === undefined) throw new LeaseQueryError(`${name}: expected ${MOMENT_EXPECTED}, found "${given}"`);
    return seconds;
  };
  const tests: LeaseTest[] = [];
  if (expiresAfter !== undefined || expiresBefore !== undefined) {
    tests.push(expiresTest(moment('expiresAfter', expiresAfter, 'ahead', -1), moment('expiresBefore', expiresBefore, 'ahead', INFINITE_SECONDS + 1)));
  }
  if (grantedSince !== undefined) tests.push(grantedTest(moment('grantedSince', grantedSince, 'ago', 0)));
  return tests;
}

function overlap(one: AddressRange, other: AddressRange): AddressRange {
  return { first: Math.max(one.first, other.first), last: Math.min(one.last, other.last) };
}

function extentOf(ranges: readonly AddressRange[]): AddressRange {
  return ranges.reduce((all, { first, last }) => ({ first: Math.min(all.first, first), last: Math.max(all.last, last) }), { first: 0xffff_ffff, last: 0 });
}

function rangeOf(given: string): AddressRange {
  const single = parseIpv4(given);
  if (single !== undefined) return { first: single, last: single };
  const prefix = parseAddressWithPrefix(given);
  if (prefix !== undefined) return { first: prefix.network, last: lastAddress(prefix) };
  const [first, last] = given.split('-').map((part) => parseIpv4(part.trim()));
  if (first === undefined || last === undefined || given.split('-').length !== 2 || first > last) {
    throw new LeaseQueryError(`address: expected an IPv4 address like 10.0.0.1, a range like 10.0.0.10-10.0.0.20 or a prefix like 10.0.0.0/24, found "${given}"`);
  }
  return { first, last };
}

function subnetRange(given: string, { config: { subnets } }: LeaseQueryContext): AddressRange {
  const prefix = parsePrefix(given);
  if (prefix === undefined || !subnets.some(({ name }) => name === given)) throw notOneOf('subnet', subnets.map(({ name }) => name), given);
  return { first: prefix.network, last: lastAddress(prefix) };
}

function networkRanges(given: string, { config: { networks } }: LeaseQueryContext): AddressRange[] {
  const found = networks.find(({ name }) => name === given);
  if (found === undefined) throw notOneOf('network', networks.map(({ name }) => name), given);
  return found.subnets.map((subnet) => ({ first: subnet.network, last: lastAddress(subnet) }));
}

/** "10.1.0.0-10.1.0.255, 10.1.2.0": its ranges. */
export function poolName({ ranges }: PoolConfig): string {
  return ranges.map(({ first, last }) => (first === last ? formatIpv4(first) : `${formatIpv4(first)}-${formatIpv4(last)}`)).join(', ');
}

function poolNamed(given: string, { config: { subnets } }: LeaseQueryContext): PoolConfig {
  const address = parseIpv4(given.split(/[-,]/, 1)[0]!.trim());
  const found = address === undefined ? undefined
    : subnets.flatMap(({ pools }) => pools).find(({ ranges }) => ranges.some(({ first, last }) => first <= address && address <= last));
  const isMeant = found !== undefined && (parseIpv4(given) !== undefined || poolName(found).replaceAll(' ', '') === given.replaceAll(' ', ''));
  if (!isMeant) throw new LeaseQueryError(`pool: expected a pool of the configuration, as lessor pools names them, or an address in one, found "${given}"`);
  return found;
}

function stateNamed(given: string): BindingState {
  const found = STATES.find((known) => known === given.trim().toUpperCase());
  if (found === undefined) throw notOneOf('state', STATES, given);
  return BindingState[found];
}

function ownerTest(given: string, context: LeaseQueryContext): LeaseTest {
  const { nodes } = context.config;
  if (!nodes.some(({ id }) => id === given)) throw notOneOf('owner', nodes.map(({ id }) => id), given);
  return (address) => context.ownerOf(address & 0xff) === given;
}

const NAMES_SHOWN = 20;

function notOneOf(parameter: string, known: readonly string[], found: string): LeaseQueryError {
  const more = known.length > NAMES_SHOWN ? ` and ${known.length - NAMES_SHOWN} more` : '';
  return new LeaseQueryError(`${parameter}: expected one of ${known.slice(0, NAMES_SHOWN).join(', ')}${more}, found "${found}"`);
}

/** Why a list cannot be sorted, and what to do. */
export function tooManyToSort(): LeaseQueryError {
  return new LeaseQueryError(`more than ${SORTED_LEASES_MAX} bindings match, too many to sort: ask for fewer of them, for the first of them (limit), or in order of address`);
}
