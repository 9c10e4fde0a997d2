/**
 * What concerns several keys at once. It reads the file's plain values, not the converted ones, and
 * passes over what is malformed by itself, so that one run names every mistake of a file.
 */
import { formatIpv4, formatPrefix, formatRange, lastAddress, prefixContains } from '../codec/address.ts';
import type { Ipv4Prefix, Ipv4Range } from '../codec/address.ts';
import { NODES_MAX } from '../limits.ts';
import type { PathPart } from './error.ts';
import * as kinds from './kinds.ts';

export type Report = (path: readonly PathPart[], message: string, at?: 'value' | 'key') => void;

export function checkCluster(file: unknown, report: Report): void {
  const cluster = asMap(file);
  checkNodes(cluster['nodes'], report);
  checkTimes(cluster, report);
  checkSubnets(asList(cluster['subnets']), cluster['identity'], report);
}

export function checkNode(file: unknown, report: Report): void {
  checkRepeated(asList(asMap(asMap(file)['dhcp'])['interfaces']), ['dhcp', 'interfaces'], report);
  const cluster = asMap(asMap(file)['cluster']);
  checkRepeated(asList(cluster['etcd']), ['cluster', 'etcd'], report);
  // The other nodes are told this address.
  const listen = cluster['listen'];
  if (typeof listen === 'string' && /^(0\.0\.0\.0|\[::\]):/.test(listen)) {
    report(['cluster', 'listen'], 'expected the address at which the other nodes reach this one, not one that stands for all');
  }
}

function checkNodes(value: unknown, report: Report): void {
  const nodes = Object.entries(asMap(value));
  if (nodes.length === 0) return;
  for (const [id] of nodes) {
    if (!kinds.isId(id)) report(['nodes', id], `expected ${kinds.ID_EXPECTED} as a node's name`, 'key');
  }
  if (nodes.length > NODES_MAX) report(['nodes'], `expected at most ${NODES_MAX} nodes, found ${nodes.length}`);
  const weights = nodes.map(([, node]) => asMap(node)['weight'] ?? 1);
  if (weights.every((weight) => weight === 0)) report(['nodes'], 'expected at least one node with a weight above 0');
}

function checkTimes(cluster: Record<string, unknown>, report: Report): void {
  const ackTimeout = kinds.parseDurationMs(cluster['ackTimeout'] ?? '250ms');
  const evictAfter = kinds.parseDurationMs(cluster['evictAfter'] ?? '30s');
  if (ackTimeout !== undefined && evictAfter !== undefined && evictAfter <= ackTimeout) {
    report([cluster['evictAfter'] === undefined ? 'ackTimeout' : 'evictAfter'], 'expected evictAfter to be longer than ackTimeout');
  }
}

interface PlacedPrefix extends Ipv4Prefix {
  readonly index: number;
}

interface PlacedRange extends Ipv4Range {
  readonly index: number;
}

function checkSubnets(subnets: readonly unknown[], identity: unknown, report: Report): void {
  const placed: PlacedPrefix[] = [];
  for (const [index, value] of subnets.entries()) {
    const subnet = asMap(value);
    const prefix = checkPrefix(subnet['subnet'], ['subnets', index, 'subnet'], report);
    if (prefix === undefined) continue;
    placed.push({ ...prefix, index });
    checkPools(asList(subnet['pools']), prefix, ['subnets', index, 'pools'], report);
    checkReservations(asList(subnet['reservations']), prefix, ['subnets', index, 'reservations'], report);
    if ((subnet['identity'] ?? identity) === 'hardware') checkIdentity(asList(subnet['reservations']), ['subnets', index, 'reservations'], report);
  }
  placed.sort((a, b) => a.network - b.network || a.prefixLength - b.prefixLength);
  let widest: PlacedPrefix | undefined;
  for (const subnet of placed) {
    if (widest !== undefined && subnet.network <= lastAddress(widest)) {
      const [earlier, later] = widest.index < subnet.index ? [widest, subnet] : [subnet, widest];
      report(['subnets', later.index, 'subnet'],
        `expected subnets that do not overlap: ${formatPrefix(later)} overlaps ${formatPrefix(earlier)} of subnets[${earlier.index}]`);
    }
    if (widest === undefined || lastAddress(subnet) > lastAddress(widest)) widest = subnet;
  }
}

function checkPrefix(value: unknown, path: readonly PathPart[], report: Report): Ipv4Prefix | undefined {
  const prefix = kinds.prefix.read(value);
  if (prefix === undefined) return undefined;
  if (prefix.address !== prefix.network) {
    report(path, `expected the network's own address: ${formatPrefix(prefix)}, found ${JSON.stringify(value)}`);
  }
  const firstOctet = prefix.network >>> 24;
  if (prefix.prefixLength === 0 || firstOctet === 0 || firstOctet === 127 || firstOctet >= 224) {
    report(path, `expected a network that hosts can have, found ${formatPrefix(prefix)}`);
    return undefined;
  }
  return prefix;
}

function checkPools(pools: readonly unknown[], prefix: Ipv4Prefix, path: readonly PathPart[], report: Report): void {
  const placed: PlacedRange[] = [];
  for (const [index, value] of pools.entries()) {
    const range = kinds.range.read(value);
    if (range === undefined) continue;
    const problem = (message: string): void => report([...path, index], message);
    if (range.first > range.last) {
      problem(`expected the lower address first: ${formatRange({ first: range.last, last: range.first })}`);
      continue;
    }
    if (!prefixContains(prefix, range.first) || !prefixContains(prefix, range.last)) {
      problem(`expected a range inside ${formatPrefix(prefix)}, found ${formatRange(range)}`);
      continue;
    }
    const unusable = unusableAddress(prefix, (address) => address >= range.first && address <= range.last);
    if (unusable !== undefined) problem(`expected a range without ${unusable}, found ${formatRange(range)}`);
    placed.push({ ...range, index });
  }
  placed.sort((a, b) => a.first - b.first);
  let widest: PlacedRange | undefined;
  for (const range of placed) {
    if (widest !== undefined && range.first <= widest.last) {
      const [earlier, later] = widest.index < range.index ? [widest, range] : [range, widest];
      report([...path, later.index], `expected pools that do not overlap: ${formatRange(later)} overlaps ${formatRange(earlier)}`);
    }
    if (widest === undefined || range.last > widest.last) widest = range;
  }
}

/** The network's own address and its broadcast address are no host's (RFC 1122 §3.2.1.3), save in a /31 or /32. */
function unusableAddress(prefix: Ipv4Prefix, meets: (address: number) => boolean): string | undefined {
  if (prefix.prefixLength >= 31) return undefined;
  if (meets(prefix.network)) return `the network's own address ${formatIpv4(prefix.network)}`;
  const broadcast = lastAddress(prefix);
  return meets(broadcast) ? `the network's broadcast address ${formatIpv4(broadcast)}` : undefined;
}

/** Where clients are known by their hardware address alone, a client identifier says nothing of who they are. */
function checkIdentity(reservations: readonly unknown[], path: readonly PathPart[], report: Report): void {
  for (const [index, value] of reservations.entries()) {
    if (asMap(value)['clientId'] !== undefined) report([...path, index, 'clientId'], 'expected hardware instead, since identity is hardware here');
  }
}

function checkReservations(reservations: readonly unknown[], prefix: Ipv4Prefix, path: readonly PathPart[], report: Report): void {
  const addresses = new Map<number, number>();
  const clients = new Map<string, number>();
  for (const [index, value] of reservations.entries()) {
    if (!isMap(value)) continue;
    const { hardware, clientId, address } = value;
    if ((hardware === undefined) === (clientId === undefined)) {
      report([...path, index], 'expected exactly one of hardware and clientId');
    }
    const client = hardware === undefined ? kinds.clientIdentifier.read(clientId) : kinds.hardware.read(hardware);
    if (client !== undefined) {
      const word = kinds.clientWord(client);
      const earlier = clients.get(word);
      if (earlier === undefined) clients.set(word, index);
      else report([...path, index, hardware === undefined ? 'clientId' : 'hardware'], `expected each client once in a subnet; reservations[${earlier}] is for the same one`);
    }
    const parsed = kinds.address.read(address);
    if (parsed !== undefined) checkReservedAddress(parsed, index, prefix, addresses, (message) => report([...path, index, 'address'], message));
  }
}

function checkReservedAddress(
  address: number, index: number, prefix: Ipv4Prefix, addresses: Map<number, number>, problem: (message: string) => void,
): void {
  const unusable = unusableAddress(prefix, (other) => other === address);
  const earlier = addresses.get(address);
  if (!prefixContains(prefix, address)) problem(`expected an address inside ${formatPrefix(prefix)}, found ${formatIpv4(address)}`);
  else if (unusable !== undefined) problem(`expected a host's address, found ${unusable}`);
  else if (earlier !== undefined) problem(`expected each address once; reservations[${earlier}] has ${formatIpv4(address)} too`);
  else addresses.set(address, index);
}

function checkRepeated(values: readonly unknown[], path: readonly PathPart[], report: Report): void {
  for (const [index, value] of values.entries()) {
    const earlier = values.indexOf(value);
    if (earlier < index) report([...path, index], `expected each entry once; entry [${earlier}] is the same`);
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asMap(value: unknown): Record<string, unknown> {
  return isMap(value) ? value : {};
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
