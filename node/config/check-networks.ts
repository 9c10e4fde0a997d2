/** Subnets and pools: where their addresses lie, and that none of them is given out twice. */
import { formatIpv4, formatPrefix, formatRange, lastAddress, prefixContains } from '../codec/address.ts';
import type { Ipv4Prefix, Ipv4Range } from '../codec/address.ts';
import { POOLS_MAX, SUBNETS_MAX } from '../limits.ts';
import { formatPath } from './error.ts';
import type { PathPart, Report } from './error.ts';
import * as kinds from './kinds.ts';
import { canHaveHosts } from './placed-networks.ts';
import type { PlacedNetwork, PlacedSubnet } from './placed-networks.ts';
import { asList, isMap } from './plain-values.ts';
import { subtractRanges } from './ranges.ts';

type Path = readonly PathPart[];

export function checkNetworks(networks: readonly PlacedNetwork[], report: Report): void {
  checkNames(networks, report);
  const subnets = networks.flatMap((network) => network.subnets);
  const pools = subnets.reduce((sum, { value }) => sum + asList(value['pools']).length, 0);
  if (subnets.length > SUBNETS_MAX) report(['subnets'], `expected at most ${SUBNETS_MAX} subnets, found ${subnets.length}`);
  if (pools > POOLS_MAX) report(['subnets'], `expected at most ${POOLS_MAX} pools, found ${pools}`);
  for (const { shared, subnets: members } of networks) {
    for (const subnet of members) {
      if (shared) checkMember(subnet, report);
      checkSubnet(subnet, report);
    }
  }
  checkOverlap(subnets, report);
}

function checkNames(networks: readonly PlacedNetwork[], report: Report): void {
  const seen = new Map<unknown, Path>();
  for (const { shared, value: { name }, path } of networks) {
    if (!shared || typeof name !== 'string') continue;
    const earlier = seen.get(name);
    if (earlier === undefined) seen.set(name, path);
    else report([...path, 'name'], `expected each name once; ${formatPath(earlier)} has ${name} too`);
  }
}

/** Who a client is, and what the server knows, concerns a link as a whole. */
function checkMember({ value, path }: PlacedSubnet, report: Report): void {
  for (const key of ['identity', 'authoritative']) {
    if (value[key] !== undefined) report([...path, key], `expected ${key} at the shared network, since it is the same for all its subnets`, 'key');
  }
}

function checkSubnet({ value, path }: PlacedSubnet, report: Report): void {
  const prefix = kinds.prefix.read(value['subnet']);
  if (prefix === undefined) return;
  if (prefix.address !== prefix.network) {
    report([...path, 'subnet'], `expected the network's own address: ${formatPrefix(prefix)}, found ${JSON.stringify(value['subnet'])}`);
  }
  if (!canHaveHosts(prefix)) {
    report([...path, 'subnet'], `expected a network that hosts can have, found ${formatPrefix(prefix)}`);
    return;
  }
  const excluded = readExcluded(value['exclude'], [...path, 'exclude'], report,
    (range) => (prefixContains(prefix, range.first) && prefixContains(prefix, range.last) ? undefined : `inside ${formatPrefix(prefix)}`));
  checkPools(asList(value['pools']), prefix, excluded, [...path, 'pools'], report);
}

interface PlacedRange extends Ipv4Range {
  readonly path: Path;
}

function checkPools(pools: readonly unknown[], prefix: Ipv4Prefix, excludedInSubnet: readonly Ipv4Range[], path: Path, report: Report): void {
  const placed: PlacedRange[] = [];
  for (const [index, pool] of pools.entries()) {
    const at = [...path, index];
    const ranges = rangesOf(pool, at, report).filter((range) => isRangeOf(prefix, range, report));
    placed.push(...ranges);
    const excluded = readExcluded(isMap(pool) ? pool['exclude'] : undefined, [...at, 'exclude'], report,
      (range) => (ranges.some(({ first, last }) => range.first >= first && range.last <= last) ? undefined : 'of this pool'));
    if (ranges.length > 0 && subtractRanges(ranges, [...excluded, ...excludedInSubnet]).length === 0) {
      report(at, 'expected a pool with an address that is not excluded');
    }
  }
  placed.sort((a, b) => a.first - b.first);
  let widest: PlacedRange | undefined;
  for (const range of placed) {
    if (widest !== undefined && range.first <= widest.last) {
      const [earlier, later] = isEarlier(widest.path, range.path) ? [widest, range] : [range, widest];
      report(later.path, `expected pools that do not overlap: ${formatRange(later)} overlaps ${formatRange(earlier)}`);
    }
    if (widest === undefined || range.last > widest.last) widest = range;
  }
}

/** Of two places in lists of the same shape. */
function isEarlier(a: Path, b: Path): boolean {
  for (const [depth, part] of a.entries()) {
    const other = b[depth];
    if (typeof part === 'number' && typeof other === 'number' && part !== other) return part < other;
  }
  return true;
}

function rangesOf(pool: unknown, path: Path, report: Report): PlacedRange[] {
  if (!isMap(pool)) return placeRange(pool, path);
  const { range, ranges } = pool;
  if ((range === undefined) === (ranges === undefined)) {
    report(path, `expected exactly one of range and ranges, found ${range === undefined ? 'none of them' : 'both'}`);
  }
  if (Array.isArray(ranges) && ranges.length === 0) report([...path, 'ranges'], 'expected at least one range, found an empty list');
  return [...placeRange(range, [...path, 'range']), ...asList(ranges).flatMap((one, index) => placeRange(one, [...path, 'ranges', index]))];
}

function placeRange(value: unknown, path: Path): PlacedRange[] {
  const range = kinds.range.read(value);
  return range === undefined ? [] : [{ ...range, path }];
}

function isRangeOf(prefix: Ipv4Prefix, range: PlacedRange, report: Report): boolean {
  if (range.first > range.last) {
    report(range.path, `expected the lower address first: ${formatRange({ first: range.last, last: range.first })}`);
    return false;
  }
  if (!prefixContains(prefix, range.first) || !prefixContains(prefix, range.last)) {
    report(range.path, `expected a range inside ${formatPrefix(prefix)}, found ${formatRange(range)}`);
    return false;
  }
  const unusable = unusableAddress(prefix, (address) => address >= range.first && address <= range.last);
  if (unusable !== undefined) report(range.path, `expected a range without ${unusable}, found ${formatRange(range)}`);
  return true;
}

/** `problem`: where the addresses should be, if they are not there. */
function readExcluded(value: unknown, path: Path, report: Report, problem: (range: Ipv4Range) => string | undefined): Ipv4Range[] {
  const read: Ipv4Range[] = [];
  for (const [index, entry] of asList(value).entries()) {
    const range = kinds.addressOrRange.read(entry);
    if (range === undefined) continue;
    const missed = range.first > range.last ? undefined : problem(range);
    if (range.first > range.last) report([...path, index], `expected the lower address first: ${formatRange({ first: range.last, last: range.first })}`);
    else if (missed !== undefined) report([...path, index], `expected addresses ${missed}, found ${JSON.stringify(entry)}`);
    else read.push(range);
  }
  return read;
}

/** The network's own address and its broadcast address are no host's (RFC 1122 §3.2.1.3), save in a /31 or /32. */
export function unusableAddress(prefix: Ipv4Prefix, meets: (address: number) => boolean): string | undefined {
  if (prefix.prefixLength >= 31) return undefined;
  if (meets(prefix.network)) return `the network's own address ${formatIpv4(prefix.network)}`;
  const broadcast = lastAddress(prefix);
  return meets(broadcast) ? `the network's broadcast address ${formatIpv4(broadcast)}` : undefined;
}

function checkOverlap(subnets: readonly PlacedSubnet[], report: Report): void {
  const placed = subnets.flatMap(({ prefix, path }, order) => (prefix === undefined ? [] : [{ ...prefix, path, order }]));
  placed.sort((a, b) => a.network - b.network || a.prefixLength - b.prefixLength);
  let widest: typeof placed[number] | undefined;
  for (const subnet of placed) {
    if (widest !== undefined && subnet.network <= lastAddress(widest)) {
      const [earlier, later] = widest.order < subnet.order ? [widest, subnet] : [subnet, widest];
      report([...later.path, 'subnet'],
        `expected subnets that do not overlap: ${formatPrefix(later)} overlaps ${formatPrefix(earlier)} of ${formatPath(earlier.path)}`);
    }
    if (widest === undefined || lastAddress(subnet) > lastAddress(widest)) widest = subnet;
  }
}
