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
    // Taken back before it has left, or long after.
    const soon = random.chance(0.3);
    orderOut(strike, node, soon ? random.between(50, 1200) : strike.spell(2000, 60_000, 1_200_000), random.chance(0.1));
    if (random.chance(0.3)) strike.cut(node, strike.other, true, random.between(1000, 8000));
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
  // It is kept out while the view still names what it was before a restart; then the others, which cannot change that, go.
  'drained-heir': { weight: 1, nodes: 2, clustered: true, strike: (strike) => {
    const { node, random, world } = strike;
    if (world.etcdPath.down || !node.alive) return false;
    const others = world.nodes.filter((each) => each !== node);
    const cutMs = random.between(9000, 15_000);
    for (const other of others) strike.cutFromEtcd(other, cutMs);
    strike.crash(node, random.between(100, 1500));
    orderOut(strike, node, random.between(20_000, 90_000), false);
    strike.later(random.between(5000, cutMs), () => {
      for (const other of others) strike.crash(other, random.between(1000, 60_000));
    });
    return true;
  } },
  'config-change': { weight: 3, clustered: true, shows: ['config-refused-at-start', 'config-nodes-changed'], strike: ({ world }) => {
    world.operator.apply();
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
