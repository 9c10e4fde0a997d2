/** Which zone a name is in, where an address's names go, and how long what is said of them may be kept. */
import { parseDomainName } from '../codec/domain-name.ts';
import type { ClusterConfig, Scope } from '../config/types.ts';
import { endsWithName } from './names.ts';
import type { DnsUpdates, DnsZone } from './types.ts';

const wireNames = new WeakMap<DnsZone, Buffer>();

export function wireNameOf(zone: DnsZone): Buffer {
  let name = wireNames.get(zone);
  if (name === undefined) {
    name = parseDomainName(zone.name)!;
    wireNames.set(zone, name);
  }
  return name;
}

/** The zone with the longest name that ends this one; undefined: none of them. `name` in wire form, lower case. */
export function zoneOf(name: Buffer, zones: readonly DnsZone[]): DnsZone | undefined {
  let found: DnsZone | undefined;
  for (const zone of zones) {
    if ((found === undefined || wireNameOf(zone).length > wireNameOf(found).length) && endsWithName(name, wireNameOf(zone))) found = zone;
  }
  return found;
}

/** How long resolvers may keep what is said of a lease: a part of its time, within bounds. */
export function ttlSecondsOf({ ttl }: DnsUpdates, leaseSeconds: number): number {
  return Math.max(ttl.minSeconds, Math.min(Math.floor(leaseSeconds * ttl.part), ttl.maxSeconds));
}

/** Every zone of the configuration, each name once: what is to be taken out may be in one that its scope has no more. */
export function allZones({ pools, subnets }: ClusterConfig): DnsZone[] {
  const zones = new Map<string, DnsZone>();
  const add = ({ dns }: Scope): void => {
    for (const zone of dns?.updates.zones ?? []) if (!zones.has(zone.name)) zones.set(zone.name, zone);
  };
  for (const { scope } of pools) add(scope);
  for (const { scope } of subnets) add(scope);
  return [...zones.values()];
}
