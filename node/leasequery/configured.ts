/** Every address that this cluster may lease, in order: what a query for all configured addresses is about (RFC 6926 §8.2). */
import type { AddressRange, ClusterConfig } from '../config/types.ts';
import type { AddressPlan } from '../lease/address-plan.ts';

const ADDRESS_MAX = 0xffff_ffff;

/** Pools and reserved addresses outside of them, disjoint and in order. */
export function configuredRanges({ pools }: Pick<ClusterConfig, 'pools'>, plan: AddressPlan): AddressRange[] {
  const all = pools.flatMap(({ ranges }) => ranges.map(({ first, last }) => ({ first, last })));
  for (const address of plan.reservations.within(0, ADDRESS_MAX)) {
    if (plan.poolAt(address) < 0 && plan.subnetAt(address) >= 0) all.push({ first: address, last: address });
  }
  const merged: { first: number; last: number }[] = [];
  for (const range of all.sort((a, b) => a.first - b.first)) {
    const before = merged.at(-1);
    if (before !== undefined && range.first <= before.last + 1) before.last = Math.max(before.last, range.last);
    else merged.push({ ...range });
  }
  return merged;
}
