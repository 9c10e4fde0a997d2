/** The configuration of a simulated world: what a site might have, drawn from the seed. */
import type { ClusterConfig } from '../../node/config/types.ts';
import { chaddrOf, ip } from '../support/client-packets.ts';
import { buildConfig } from '../support/configs.ts';
import type { ReservationSpec, SubnetSpec } from '../support/configs.ts';
import type { Random } from './random.ts';

/** `busy`: for many machines that come and go. */
export function worldConfig(random: Random, size: number, busy: boolean): ClusterConfig {
  const nodes = ['a', 'b', 'c', 'd', 'e'].slice(0, size).map((id) => ({ id, weight: random.chance(0.1) && id !== 'a' ? 0 : 1 }));
  const first = ip('10.0.1.0') + random.int(0, 200);
  const last = first + (busy ? random.int(20, 45) : random.int(3, 30));
  const subnet: SubnetSpec = {
    name: '10.0.0.0/16', network: ip('10.0.0.0'), prefixLength: 16, sharedNetwork: 'site',
    pools: [{ first, last, allocation: random.pick(['iterative', 'iterative', 'random', 'hashed']) }],
    leaseSeconds: random.pick([20, 40, 60, 120]), identity: 'client-id', authoritative: random.chance(0.7), options: [],
    scope: {
      leaseCache: random.pick([0, 0, 0, 0.25, 0.5]), rapidCommit: random.chance(0.3),
      conflictCheck: { method: random.chance(0.2) ? 'icmp' : 'none', timeoutMs: 500, cacheSeconds: 60 },
    },
    reservations: random.chance(0.3) ? reservations(random, first, last) : [],
  };
  const second = ip('10.1.0.10');
  const another: SubnetSpec = {
    ...subnet, name: '10.1.0.0/16', network: ip('10.1.0.0'), reservations: [], pools: [{ first: second, last: second + random.int(1, 10) }],
  };
  return buildConfig({ nodes: [], more: { nodes }, subnets: random.chance(0.3) ? [subnet, another] : [subnet] });
}

/** For some of the machines: an address in the pool, one outside it. */
function reservations(random: Random, first: number, last: number): ReservationSpec[] {
  return [
    { hardware: { htype: 1, chaddr: chaddrOf(random.int(1, 4)) }, address: random.int(first + 2, last) },
    { hardware: { htype: 1, chaddr: chaddrOf(random.int(5, 9)) }, address: ip('10.0.0.200') },
  ];
}
