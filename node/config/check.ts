/**
 * What concerns several keys at once. It reads the file's plain values, not the converted ones, and
 * passes over what is malformed by itself, so that one run names every mistake of a file.
 */
import { formatPrefix } from '../codec/address.ts';
import { NODES_MAX } from '../limits.ts';
import { checkClasses } from './check-classes.ts';
import { checkDns } from './check-dns.ts';
import { checkNetworks } from './check-networks.ts';
import { checkReservations } from './check-reservations.ts';
import { checkScopes } from './check-scopes.ts';
import { found } from './error.ts';
import type { PathPart, Report } from './error.ts';
import { goesBackSeconds } from '../leasequery/goes-back.ts';
import * as kinds from './kinds.ts';
import { readDefinitions } from './option-values.ts';
import { placeNetworks } from './placed-networks.ts';
import { asList, asMap, isMap } from './plain-values.ts';
import type { PlainMap } from './plain-values.ts';
import * as timeKinds from './time-kinds.ts';

export function checkCluster(file: unknown, report: Report): void {
  if (!isMap(file)) return;
  const networks = placeNetworks(file);
  const catalogue = readDefinitions(file['optionDefinitions'], ['optionDefinitions'], report);
  checkServed(file, report);
  checkNodes(file['nodes'], report);
  checkTimes(file, report);
  checkLimits(asMap(file['limits']), report);
  checkLeaseQuery(file, report);
  checkPrefixes(file['knownServers'], ['knownServers'], report);
  checkNetworks(networks, report);
  checkClasses(file, networks, catalogue, report);
  checkScopes(file, networks, catalogue, report);
  checkDns(file, networks, report);
  checkReservations(file, networks, report);
}

export function checkNode(file: unknown, report: Report): void {
  checkRepeated(asList(asMap(asMap(file)['dhcp'])['interfaces']), ['dhcp', 'interfaces'], report);
  const http = asMap(asMap(file)['http']);
  if (Object.keys(asMap(http['roles'])).length > 0 && asMap(http['tls'])['authority'] === undefined) {
    report(['http', 'roles'], 'expected http.tls.authority as well: without it nobody is asked for a certificate', 'key');
  }
  const cluster = asMap(asMap(file)['cluster']);
  checkRepeated(asList(cluster['etcd']), ['cluster', 'etcd'], report);
  // The other nodes are told this address.
  const listen = cluster['listen'];
  if (typeof listen === 'string' && /^(0\.0\.0\.0|\[::\]):/.test(listen)) {
    report(['cluster', 'listen'], 'expected the address at which the other nodes reach this one, not one that stands for all');
  }
  checkEtcdTls(cluster, report);
  const { protocolMax, protocolMin } = cluster;
  if (typeof protocolMin === 'number' && typeof protocolMax === 'number' && protocolMin > protocolMax) {
    report(['cluster', 'protocolMin'], `expected at most protocolMax, which is ${protocolMax}, found ${protocolMin}`);
  }
}

function checkEtcdTls(cluster: PlainMap, report: Report): void {
  const { etcdTls, tls } = cluster;
  const isSecure = (url: unknown): boolean => typeof url === 'string' && url.startsWith('https://');
  const urls = asList(cluster['etcd']);
  if (etcdTls !== undefined && urls.length > 0 && !urls.some(isSecure)) report(['cluster', 'etcdTls'], 'expected https:// URLs in cluster.etcd for these files', 'key');
  if (etcdTls !== undefined || tls !== undefined) return;
  for (const [index, url] of urls.entries()) {
    if (isSecure(url)) report(['cluster', 'etcd', index], 'expected cluster.etcdTls or cluster.tls to name the files for an https:// URL, but both are missing');
  }
}

function checkServed({ subnets, sharedNetworks }: PlainMap, report: Report): void {
  if (sharedNetworks !== undefined && asList(sharedNetworks).length > 0) return;
  if (subnets === undefined) report(['subnets'], 'expected a list of subnets, but it is missing');
  else if (Array.isArray(subnets) && subnets.length === 0) report(['subnets'], `expected at least one subnet, ${found(subnets)}`);
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

function checkTimes(cluster: PlainMap, report: Report): void {
  const ackTimeout = timeKinds.parseDurationMs(cluster['ackTimeout'] ?? '250ms');
  const evictAfter = timeKinds.parseDurationMs(cluster['evictAfter'] ?? '30s');
  if (ackTimeout !== undefined && evictAfter !== undefined && evictAfter <= ackTimeout) {
    report([cluster['evictAfter'] === undefined ? 'ackTimeout' : 'evictAfter'], 'expected evictAfter to be longer than ackTimeout');
  }
}

/** A client that gets a lease sends two packets one right after the other. */
const PACKETS_AT_ONCE_MIN = 2;

function checkLimits(limits: PlainMap, report: Report): void {
  for (const [key, value] of Object.entries(limits)) {
    const { rate, burst } = asMap(value);
    if (typeof rate !== 'number' || typeof burst !== 'number' || rate === 0) continue;
    const least = Math.max(Math.ceil(rate), key.startsWith('packets') ? PACKETS_AT_ONCE_MIN : 1);
    if (burst < least) report(['limits', key, 'burst'], `expected at least ${least}, as much as comes in a second at this rate, ${found(burst)}`);
  }
}

/** A requestor may be away for as long again. */
const HISTORY_OVER_MARGIN = 2;

function checkLeaseQuery(file: PlainMap, report: Report): void {
  const { requestors, active } = asMap(file['leasequery']);
  checkPrefixes(requestors, ['leasequery', 'requestors'], report);
  const { enabled, history, insecure } = asMap(active);
  if (insecure === true && enabled !== true) report(['leasequery', 'active', 'insecure'], 'expected active to be enabled as well');
  if (enabled === true && (!Array.isArray(requestors) || requestors.length === 0)) {
    report(['leasequery', 'active', 'enabled'], 'expected leasequery.requestors to say who may ask');
  }
  const [kept, skew, evictAfter] = [history ?? '1h', file['maxClockSkew'] ?? '10s', file['evictAfter'] ?? '30s'].map(timeKinds.parseDurationMs);
  const goneBack = skew === undefined || evictAfter === undefined ? undefined : goesBackSeconds({ maxClockSkewMs: skew, evictAfterMs: evictAfter });
  if (enabled === true && kept !== undefined && goneBack !== undefined && kept < HISTORY_OVER_MARGIN * goneBack * 1000) {
    report(['leasequery', 'active', history === undefined ? 'enabled' : 'history'],
      `expected a history of at least ${HISTORY_OVER_MARGIN * goneBack} s: requestors that come back are told what changed ${goneBack} s before (maxClockSkew, evictAfter and 5 s)`);
  }
}

function checkPrefixes(list: unknown, path: readonly PathPart[], report: Report): void {
  for (const [index, text] of (Array.isArray(list) ? list : []).entries()) {
    const prefix = kinds.prefix.read(text);
    if (prefix !== undefined && prefix.address !== prefix.network) {
      report([...path, index], `expected the network's own address: ${formatPrefix(prefix)}, ${found(text)}`);
    }
  }
}

function checkRepeated(values: readonly unknown[], path: readonly PathPart[], report: Report): void {
  for (const [index, value] of values.entries()) {
    const earlier = values.indexOf(value);
    if (earlier < index) report([...path, index], `expected each entry once; entry [${earlier}] is the same`);
  }
}
