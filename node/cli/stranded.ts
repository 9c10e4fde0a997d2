/** Which active leases a new configuration would strand: their addresses are given out by it no more. */
import { formatIpv4, parseIpv4 } from '../codec/address.ts';
import { covered, inRanges, without } from '../config/coverage.ts';
import type { AddressRange, ClusterConfig } from '../config/types.ts';
import type { LeaseView } from '../admin/lease-view.ts';
import { CliError, ExitCode } from './cli-error.ts';
import type { NodeClient } from './node-client.ts';

export interface Stranded {
  readonly total: number;
  readonly subnets: readonly { readonly subnet: string; readonly count: number; readonly first: readonly string[] }[];
}

export const NOTHING_STRANDED: Stranded = { total: 0, subnets: [] };

/** A few addresses are asked for one by one. */
const ASKED_SINGLY_MAX = 16;
const SHOWN_ADDRESSES = 5;

type Config = Pick<ClusterConfig, 'pools' | 'reservations' | 'subnets'>;

/** The node is asked only where the new configuration gives out less. @throws CliError */
export async function strandedLeases(client: Pick<NodeClient, 'leases'>, before: Config, after: Config): Promise<Stranded> {
  const lost = without(covered(before), covered(after));
  if (lost.length === 0) return NOTHING_STRANDED;
  const found = new Map<string, { count: number; first: string[] }>();
  let total = 0;
  for await (const lease of leasesIn(client, before, lost)) {
    const entry = found.get(lease.subnet) ?? { count: 0, first: [] };
    found.set(lease.subnet, entry);
    entry.count++;
    total++;
    if (entry.first.length < SHOWN_ADDRESSES) entry.first.push(lease.address);
  }
  return { total, subnets: [...found].map(([subnet, entry]) => ({ subnet, ...entry })) };
}

async function* leasesIn(client: Pick<NodeClient, 'leases'>, before: Config, lost: readonly AddressRange[]): AsyncGenerator<LeaseView> {
  const isLost = ({ address }: LeaseView): boolean => inRanges(lost, parseIpv4(address)!);
  for (const query of queriesFor(before, lost)) {
    for await (const leases of client.leases({ state: 'ACTIVE', ...query })) yield* leases.filter(isLost);
  }
}

function queriesFor(before: Config, lost: readonly AddressRange[]): Record<string, string>[] {
  const count = lost.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  if (count <= ASKED_SINGLY_MAX) {
    return lost.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => ({ address: formatIpv4(first + i) })));
  }
  return before.subnets.filter(({ network, prefixLength }) => {
    const last = network + 2 ** (32 - prefixLength) - 1;
    return lost.some((range) => range.first <= last && range.last >= network);
  }).map(({ name }) => ({ subnet: name }));
}

/** Lines for the terminal; empty where nothing is stranded. */
export function formatStranded({ subnets, total }: Stranded): string {
  if (total === 0) return '';
  const lines = subnets.map(({ count, first, subnet }) => `  ${subnet}: ${count} (${first.join(', ')}${count > first.length ? ', …' : ''})\n`);
  const what = total === 1 ? '1 active lease: its address is' : `${total} active leases: their addresses are`;
  return `This strands ${what} in no pool and reserved for nobody. Such a client keeps its address until the lease ends and cannot renew it.\n${lines.join('')}`;
}

/** @throws CliError unless it is confirmed */
export function confirmStranded(stranded: Stranded, confirmed: boolean): void {
  if (stranded.total > 0 && !confirmed) throw new CliError(ExitCode.no, 'nothing was changed. Say --yes to go on all the same.');
}
