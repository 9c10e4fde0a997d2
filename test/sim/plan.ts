/** What kind of world a seed makes: how many nodes and machines, where the machines are, how fast time is looked at. */
import { ip } from '../support/client-packets.ts';
import type { Random } from './random.ts';

/** Where a machine can be plugged in. */
export interface Place {
  /** The addresses (giaddr) of the relays that hear its broadcasts; empty: on the servers' own segment. */
  readonly relays: readonly number[];
  /** 0: the site's shared network; an address from one place of a network is right in its others too. */
  readonly network: number;
}

export interface Plan {
  readonly nodes: number;
  readonly clustered: boolean;
  /** Machines that come and go faster than leases end. */
  readonly busy: boolean;
  /** Hundreds of machines: one world in a hundred. */
  readonly large: boolean;
  readonly clients: number;
  /** How often a client's own check finds an address in use. */
  readonly declines: number;
  /** Subnets behind relays, besides the site's. */
  readonly remoteSubnets: number;
  readonly places: readonly Place[];
  /** The nodes' timers while something happens; production's is 25 ms, and a timer may be late. */
  readonly tickMs: number;
}

const SITE_RELAYS = [ip('10.0.250.1'), ip('10.0.250.2')] as const;
const LARGE_CHANCE = 0.01;

/** 10.2.0.0/16, 10.3.0.0/16 and so on. */
export function remoteNetwork(i: number): number {
  return ip('10.2.0.0') + i * 65_536;
}

export function drawPlan(random: Random): Plan {
  const large = random.chance(LARGE_CHANCE);
  const nodes = large ? 5 : random.pick([1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 5]);
  const busy = !large && random.chance(0.2);
  const remoteSubnets = random.pick([0, 0, 0, 1, 2]);
  return {
    nodes, large, busy, remoteSubnets,
    clustered: nodes > 1 || random.chance(0.5),
    clients: large ? random.int(200, 500) : busy ? random.int(20, 45) : random.int(5, 20),
    declines: random.pick([0.01, 0.01, 0.01, 0.1]),
    places: placesOf(random, remoteSubnets),
    tickMs: random.pick([25, 50, 100, 150, 150]),
  };
}

function placesOf(random: Random, remoteSubnets: number): Place[] {
  const places: Place[] = [{ relays: [], network: 0 }];
  if (random.chance(0.7)) places.push({ relays: SITE_RELAYS, network: 0 }, { relays: [SITE_RELAYS[0]], network: 0 });
  for (let i = 0; i < remoteSubnets; i++) {
    const gateway = remoteNetwork(i) + 1;
    places.push({ relays: random.chance(0.4) ? [gateway, gateway + 1] : [gateway], network: 1 + i });
  }
  return places;
}
