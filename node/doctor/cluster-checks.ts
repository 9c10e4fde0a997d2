/** What `lessor doctor` says of clocks, the links between nodes, and other DHCP servers: pure, from facts. */
import { formatIpv4, prefixMask } from '../codec/address.ts';
import type { Ipv4Prefix } from '../codec/address.ts';
import { msText, ok, problem, skipped, warning } from './finding.ts';
import type { Finding } from './finding.ts';

export interface KernelClock {
  /** By the kernel's own word (adjtimex). */
  readonly synchronised: boolean;
  readonly maxErrorMs: number;
}

const CLOCK_ACTION = 'Run a time service (chrony or the like): the nodes\' clocks may differ by maxClockSkew at most.';

export function checkOwnClock(clock: KernelClock | undefined, clustered: boolean): Finding[] {
  if (clock === undefined) return [skipped('the kernel does not say whether the clock is synchronised')];
  if (clock.synchronised) return [ok(`synchronised, to ${msText(clock.maxErrorMs)}`)];
  return [warning('the kernel says that the clock is not synchronised', clustered ? CLOCK_ACTION : 'Run a time service (chrony or the like): leases end by this clock.')];
}

/** How a clock stands against this host's: somewhere between the two, since the answer tells whole seconds and travels. */
export interface ClockInterval {
  readonly from: string;
  readonly leastMs: number;
  readonly mostMs: number;
  /** On the host of a node: there it counts. */
  readonly ofNode: boolean;
}

/** `date`: that of an HTTP answer (RFC 9110 §6.6.1: whole seconds), which was made between the two moments; all in milliseconds. */
export function clockInterval(from: string, date: number, askedAt: number, answeredAt: number, ofNode: boolean): ClockInterval {
  return { from, leastMs: date - answeredAt, mostMs: date + 1000 - askedAt, ofNode };
}

/** The difference that is certain: 0 where none is. */
function certainMs({ leastMs, mostMs }: ClockInterval): number {
  return leastMs > 0 ? leastMs : mostMs < 0 ? mostMs : 0;
}

export function checkOtherClocks(intervals: readonly ClockInterval[], nodes: readonly { readonly node: string; readonly differenceMs: number }[], maxSkewMs: number): Finding[] {
  const findings: Finding[] = [];
  const say = (who: string, ms: number, isNode: boolean, least: boolean): void => {
    const text = `the clock of ${who} is ${least ? 'at least ' : ''}${msText(Math.abs(ms))} ${ms > 0 ? 'ahead' : 'behind'}`;
    if (Math.abs(ms) > maxSkewMs && isNode) findings.push(problem(`${text}; maxClockSkew is ${msText(maxSkewMs)}`, `Repair the time service of the one that is wrong: such a node is not let in. deploy/runbooks/clock-difference.md`));
    else if (Math.abs(ms) > Math.min(1000, maxSkewMs / 2)) findings.push(warning(text, CLOCK_ACTION));
  };
  for (const { node, differenceMs } of nodes) say(`node ${node}`, differenceMs, true, false);
  for (const interval of intervals) say(interval.from, certainMs(interval), interval.ofNode, true);
  if (findings.length > 0) return findings;
  if (nodes.length + intervals.length === 0) return [skipped('nobody to compare with: no member of etcd answers, and no other node is linked with this one')];
  const largest = nodes.map(({ differenceMs }) => Math.abs(differenceMs));
  return [ok([
    ...(nodes.length === 0 ? [] : [`${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'} within ${msText(Math.max(1, ...largest))}`]),
    ...(intervals.length === 0 ? [] : [`${intervals.length} of etcd's clocks agree, as far as whole seconds tell`]),
  ].join('; '))];
}

export interface LinkFacts {
  readonly node: string;
  /** host:port, as it says in etcd; undefined: it has no session there, it does not run. */
  readonly address: string | undefined;
  readonly error: string;
  readonly roundTripMs: number;
}

const ROUND_TRIP_MS_MAX = 50;

export function checkLinks(links: readonly LinkFacts[]): Finding[] {
  if (links.length === 0) return [ok('there are no other nodes')];
  return links.map(({ node, address, error, roundTripMs }) => {
    if (address === undefined) return skipped(`node ${node} does not run, as far as etcd knows`);
    const where = `node ${node} at ${address}`;
    if (error !== '') return problem(`${where}: ${error}`, `Let TCP through between the nodes (firewall, route), or correct cluster.listen of ${node}. Until then every change goes through etcd.`);
    if (roundTripMs > ROUND_TRIP_MS_MAX) return warning(`${where}: ${msText(roundTripMs)} there and back`, `Every DHCPACK waits for it: Lessor is made for round trips below ${ROUND_TRIP_MS_MAX} ms.`);
    return ok(`${where}: ${msText(roundTripMs)} there and back`);
  });
}

/** An answer to a DHCPDISCOVER. */
export interface OfferSeen {
  readonly interfaceName: string;
  /** Option 54. */
  readonly server: number;
  /** Who sent it, on this segment: the server or a relay. */
  readonly hardware: string;
  readonly address: number;
}

export interface OffersHeard {
  readonly asked: readonly string[];
  /** Why an interface could not be asked on. */
  readonly failed: readonly { readonly interfaceName: string; readonly error: string }[];
  readonly offers: readonly OfferSeen[];
  readonly waitedMs: number;
}

/** `ours`: server identifiers of the nodes. */
export function checkOtherServers({ asked, failed, offers, waitedMs }: OffersHeard, ours: ReadonlySet<number>, known: readonly Ipv4Prefix[]): Finding[] {
  const isKnown = (server: number): boolean => known.some(({ network, prefixLength }) => ((server & prefixMask(prefixLength)) >>> 0) === network);
  const findings: Finding[] = failed.map(({ interfaceName, error }) => skipped(`${interfaceName}: ${error}`));
  const strangers = new Map(offers.filter(({ server }) => !ours.has(server) && !isKnown(server)).map((offer) => [`${offer.interfaceName} ${offer.server} ${offer.hardware}`, offer]));
  for (const { interfaceName, server, hardware, address } of strangers.values()) {
    findings.push(problem(`${formatIpv4(server)} (${hardware}) on ${interfaceName} offers ${formatIpv4(address)}`,
      'Find it by its hardware address in the switch, and switch it off or block it (DHCP snooping); one that is meant to be there goes into knownServers.'));
  }
  if (strangers.size > 0 || asked.length === 0) return findings;
  const own = new Set(offers.filter(({ server }) => ours.has(server)).map(({ server }) => formatIpv4(server)));
  const meant = new Set(offers.filter(({ server }) => !ours.has(server) && isKnown(server)).map(({ server }) => formatIpv4(server)));
  return [...findings, ok(`no other DHCP server answers on ${asked.join(', ')} within ${msText(waitedMs)}` +
    `${own.size === 0 ? '' : `; of this cluster ${[...own].join(', ')}`}${meant.size === 0 ? '' : `; known: ${[...meant].join(', ')}`}`)];
}
