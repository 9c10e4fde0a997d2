/** What people and their tools do to a cluster at a bad moment. */
import type { SimNode } from '../node.ts';
import type { FaultKind, Strike } from './strike.ts';

/** `lessor drain`, and after a while `lessor undrain`. */
function orderOut(strike: Strike, node: SimNode, ms: number, force: boolean): void {
  const { operator } = strike.world;
  operator.orderOut(node.id, force);
  strike.lasts(ms, () => operator.orderBack(node.id));
}

export const OPERATOR_FAULTS = {
  // SIGTERM, as an upgrade or a restart of the host sends it.
  drain: { weight: 2, shows: ['drained'], strike: ({ node }) => {
    if (!node.alive) return false;
    node.drain();
    return true;
  } },
  'drain-order': { weight: 2, clustered: true, shows: ['event:drain.begun', 'event:drain.ended'], strike: (strike) => {
    const { node, random, world } = strike;
    if (world.etcdPath.down) return false;
    orderOut(strike, node, strike.spell(2000, 60_000, 1_200_000), random.chance(0.1));
    // The one that is to take over goes.
    if (random.chance(0.3)) strike.later(random.between(10, 1500), () => strike.crash(strike.other, random.between(1000, 20_000)));
    return true;
  } },
  // More of them than can be spared.
  'drain-all': { weight: 1, clustered: true, shows: ['event:drain.not-obeyed'], strike: (strike) => {
    const { random, world } = strike;
    if (world.etcdPath.down) return false;
    for (const each of world.nodes) if (random.chance(0.8)) orderOut(strike, each, random.between(2000, 60_000), random.chance(0.05));
    return true;
  } },
  'config-change': { weight: 3, clustered: true, shows: ['config-refused-at-start', 'config-nodes-changed'], strike: ({ world }) => {
    world.operator.apply();
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
