/** The configuration of a simulated world: what a site might have, drawn from the seed. */
import type { ClusterConfig, LeaseQueryConfig } from '../../node/config/types.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { addressOption, chaddrOf, ip } from '../support/client-packets.ts';
import { buildConfig, leaseTimes, NO_GUARD, NOBODY_ASKS } from '../support/configs.ts';
import type { ClassSpec, PoolSpec, ReservationSpec, SubnetSpec } from '../support/configs.ts';
import { REQUESTOR } from './checks/questions.ts';
import { remoteNetwork } from './plan.ts';
import type { Plan } from './plan.ts';
import type { Random } from './random.ts';

/** Simulated worlds begin here: 2026-01-01. */
export const WALL_EPOCH_MS = 1_767_225_600_000;
/** Option 60 of the machines that classes and pools tell from the others. */
export const VENDOR = 'phone';

const RELAY_AGENT_INFORMATION = 82;
const CIRCUIT_ID = 1;

/** The nodes and networks are the plan's; all else is another choice each time. `chance`: for what concerns requestors only. */
export function worldConfig(random: Random, { busy, clients, large, nodes: size, remoteSubnets }: Plan, chance: Random): ClusterConfig {
  const nodes = ['a', 'b', 'c', 'd', 'e'].slice(0, size).map((id) => ({ id, weight: random.chance(0.1) && id !== 'a' ? 0 : 1 }));
  const first = ip('10.0.1.0') + random.int(0, 200);
  const last = first + (large ? random.int(clients >> 1, clients * 2) : busy ? random.int(20, 45) : random.int(3, 30));
  const leaseSeconds = large ? random.pick([300, 600, 1200]) : random.pick([20, 40, 60, 60, 120, 120, 300, 600]);
  const classes = random.chance(0.4) ? someClasses(random) : [];
  const subnet: SubnetSpec = {
    name: '10.0.0.0/16', network: ip('10.0.0.0'), prefixLength: 16, sharedNetwork: 'site',
    pools: poolsOf(random, first, last, classes.length > 0),
    leaseSeconds, identity: random.chance(0.85) ? 'client-id' : 'hardware', authoritative: random.chance(0.7), options: [],
    scope: {
      lease: random.chance(0.6) ? leaseTimes(leaseSeconds) : leaseTimes(leaseSeconds, { minSeconds: 20, maxSeconds: random.chance(0.1) ? INFINITE_SECONDS : Math.max(120, leaseSeconds) }),
      leaseCache: random.pick([0, 0, 0, 0.25, 0.5]), rapidCommit: random.chance(0.3), bootp: random.chance(0.5),
      conflictCheck: { method: random.chance(0.2) ? 'icmp' : 'none', timeoutMs: 500, cacheSeconds: random.pick([0, 60]) },
    },
    reservations: random.chance(0.3) ? reservations(random, first, last) : [],
  };
  const second = ip('10.1.0.10');
  const another: SubnetSpec = {
    ...subnet, name: '10.1.0.0/16', network: ip('10.1.0.0'), reservations: [], pools: [{ first: second, last: second + random.int(1, 10) }],
  };
  const remote = Array.from({ length: remoteSubnets }, (_, i): SubnetSpec => {
    const network = remoteNetwork(i);
    const { sharedNetwork: _site, ...rest } = subnet;
    return { ...rest, name: `remote-${i}`, network, reservations: [], pools: [{ first: network + 16, last: network + 16 + random.int(2, 20) }] };
  });
  return buildConfig({
    nodes: [], more: { nodes, leaseQuery: leaseQuery(chance) }, subnets: [subnet, ...(random.chance(0.3) ? [another] : []), ...remote], classes,
    limits: { leasesPerCircuit: random.chance(0.1) ? random.int(1, 2) : 0 },
  });
}

/** Histories that reach back for as long as a node may be away, and others that do not. */
function leaseQuery(chance: Random): LeaseQueryConfig {
  const active = { insecure: true, names: [], historySeconds: chance.pick([90, 300, 3600]), historyBytes: chance.pick([4000, 40_000, 1_000_000]) };
  return { ...NOBODY_ASKS, requestors: [{ network: REQUESTOR, prefixLength: 32 }], active: chance.chance(0.9) ? active : undefined };
}

/** The second half is for the class of `VENDOR`, or for everybody else, where there are classes. */
function poolsOf(random: Random, first: number, last: number, withClasses: boolean): PoolSpec[] {
  const allocation = random.pick(['iterative', 'iterative', 'random', 'hashed'] as const);
  if (!withClasses || last - first < 3 || random.chance(0.4)) return [{ first, last, allocation }];
  const middle = Math.floor((first + last) / 2);
  const guard = random.chance(0.5) ? { ...NO_GUARD, allow: [0] } : { ...NO_GUARD, deny: [0] };
  return [{ first, last: middle, allocation }, { first: middle + 1, last, allocation, guard }];
}

function someClasses(random: Random): ClassSpec[] {
  const option = (code: number, path: readonly number[], values: readonly Buffer[]): ClassSpec['condition'] =>
    ({ kind: 'test', subject: { from: 'option', code, path }, test: { kind: 'equals', values } });
  const lease = (seconds: number): Pick<ClassSpec, 'overlay'> => (random.chance(0.5) ? { overlay: { lease: leaseTimes(seconds) } } : {});
  return [
    {
      name: 'phones', condition: option(60, [], [Buffer.from(VENDOR)]), ...lease(random.pick([20, 90])),
      ...(random.chance(0.2) ? { identity: random.pick(['hardware', 'client-id']) } : {}),
    },
    { name: 'ports', condition: option(RELAY_AGENT_INFORMATION, [CIRCUIT_ID], [2, 3, 5, 7, 11].map((port) => addressOption(port))), ...lease(100) },
    { name: 'known', condition: { kind: 'known' }, ...lease(30) },
  ];
}

/** For some of the machines: an address in the pool, one outside it, and one for whoever is plugged into a port. */
function reservations(random: Random, first: number, last: number): ReservationSpec[] {
  const ends = (): Pick<ReservationSpec, 'endsAt'> => (random.chance(0.3) ? { endsAt: WALL_EPOCH_MS / 1000 + random.int(0, 400) } : {});
  return [
    { hardware: { htype: 1, chaddr: chaddrOf(random.int(1, 4)) }, address: random.int(first + 2, last), ...ends() },
    { hardware: { htype: 1, chaddr: chaddrOf(random.int(5, 9)) }, address: ip('10.0.0.200'), ...ends() },
    { circuitId: addressOption(random.int(0, 9)), address: random.chance(0.5) ? random.int(first + 2, last) : ip('10.0.0.201'), ...ends() },
  ];
}
