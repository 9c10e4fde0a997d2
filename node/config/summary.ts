/** A configuration in one line, for people: what `lessor config check` answers. */
import { poolSize } from '../allocation/pool-size.ts';
import type { ClusterConfig } from './types.ts';

/** So many names of a kind are told; of the others the number. */
const NAMES_MAX = 8;

export function summarizeCluster({ nodes, networks, pools, classes, reservations }: ClusterConfig): string {
  const shared = networks.filter(({ name, subnets }) => name !== subnets[0]?.name);
  const alone = networks.filter(({ name, subnets }) => name === subnets[0]?.name);
  const addresses = pools.reduce((sum, pool) => sum + poolSize(pool), 0);
  return [
    nodes.length === 0 ? 'no nodes named (a single node)' : `nodes ${nodes.map(({ id, weight }) => `${id} (weight ${weight})`).join(', ')}`,
    ...(shared.length === 0 ? [] : [`shared networks ${listed(shared.map(({ name, subnets }) => `${name} (${count(subnets.length, 'subnet')})`))}`]),
    ...(alone.length === 0 ? [] : [`subnets ${listed(alone.map(({ name }) => name))}`]),
    `${addresses} addresses in pools`,
    count(reservations.length, 'reservation'),
    `${count(networks.length, 'network')}, ${count(pools.length, 'pool')}, ${count(classes.length, 'class', 'classes')}`,
  ].join('; ');
}

function listed(names: readonly string[]): string {
  const more = names.length - NAMES_MAX;
  return more > 0 ? `${names.slice(0, NAMES_MAX).join(', ')} and ${more} more` : names.join(', ');
}

function count(number: number, one: string, several = `${one}s`): string {
  return `${number} ${number === 1 ? one : several}`;
}
