/**
 * Wall clocks that are wrong. Assumed is that those of nodes in service differ by no more than
 * `maxClockSkew`, also at two moments: each is wrong by half of it at most. A clock that leaves that bound so far
 * that another one sees it must be noticed before anything rests on it. A node
 * that is alone has nobody to compare with, so a clock goes wrong only where others are in service.
 */
import type { SimNode } from '../node.ts';
import type { FaultKind, Strike } from './strike.ts';

/** What a time service that slews, or a quartz without one, may do. */
const DRIFT_PPM = 500;
/** chrony's `maxslewrate`. */
const SLEW_PPM = 83_333;
/** How much of the bound two clocks that are soon beyond it differ by at first. */
const NEAR_THE_EDGE = 0.99;

function inService({ world }: Strike): SimNode[] {
  return world.nodes.filter((each) => each.engine?.core.nodeState === 'NORMAL' && !each.paused);
}

/** To a time that is within what is assumed, or at which the others see that it is not. */
function stepOf({ node, world: { nodes, operator } }: Strike, draw: () => number): number {
  const { maxClockSkewMs } = operator.first;
  for (;;) {
    const ms = draw();
    const error = node.clock.errorMs + ms;
    if (Math.abs(error) <= maxClockSkewMs / 2) return ms;
    if (nodes.every((other) => other === node || Math.abs(error - other.clock.errorMs) > maxClockSkewMs)) return ms;
  }
}

export const CLOCK_FAULTS = {
  'clock-step': { weight: 2, nodes: 2, clustered: true, shows: ['event:clock.stepped'], strike: (strike) => {
    const { node, random } = strike;
    const able = inService(strike);
    if (able.length < 2 || !able.includes(node)) return false;
    node.clock.stepMs = stepOf(strike, () => random.pick([-1, 1]) * (random.chance(0.3) ? random.between(1100, 12_000) : random.between(12_000, 300_000)));
    strike.lasts(strike.spell(3000, 20_000, 300_000), () => {
      node.clock.stepMs = 0;
    });
    return true;
  } },
  // Within what is promised to do no harm.
  'clock-drift': { weight: 1, strike: (strike) => {
    const { random, world } = strike;
    for (const each of world.nodes) if (random.chance(0.7)) each.clock.drift(random.between(-DRIFT_PPM, DRIFT_PPM));
    strike.lasts(strike.spell(20_000, 120_000, 3_000_000), () => {
      for (const each of world.nodes) each.clock.set();
    });
    return true;
  } },
  // It begins near the edge and creeps over it: the leader sees a difference that grows.
  'clock-drift-beyond': { weight: 2, nodes: 2, clustered: true, shows: ['clock-drift-beyond-done'], prepare: ({ nodes, operator }) => {
    const half = operator.first.maxClockSkewMs / 2;
    nodes[0]!.clock.offsetMs = NEAR_THE_EDGE * half;
    nodes[1]!.clock.offsetMs = -NEAR_THE_EDGE * half;
  }, strike: (strike) => {
    const { random, world: { nodes, operator } } = strike;
    const [ahead, behind] = [nodes[0]!, nodes[1]!];
    const able = inService(strike);
    if (!able.includes(ahead) || !able.includes(behind)) return false;
    ahead.clock.drift(DRIFT_PPM);
    strike.lasts(random.between(300_000, 900_000), () => {
      if (Math.abs(ahead.clock.errorMs - behind.clock.errorMs) > operator.first.maxClockSkewMs) strike.count('clock-drift-beyond-done');
      ahead.clock.set();
    });
    return true;
  } },
  // With nobody to compare with over a link: what it commits goes through inboxes.
  'clock-step-while-cut': { weight: 2, nodes: 2, clustered: true, shows: ['clock-step-while-cut-done'], strike: (strike) => {
    const { node, random, world } = strike;
    const able = inService(strike);
    if (able.length < 2 || !able.includes(node) || world.etcdPath.down) return false;
    const ms = random.between(6000, 15_000);
    for (const each of world.nodes) if (each !== node) strike.cut(node, each, true, ms);
    strike.later(random.between(400, 1500), () => {
      // The others may have died and left the view meanwhile.
      if (node.isOnlyMember) return;
      node.clock.stepMs = random.between(60_000, 400_000);
      strike.count('clock-step-while-cut-done');
      strike.repeats(800, ms - 2000, () => world.population.flicker(0.6));
    });
    strike.lasts(ms + random.between(0, 3000), () => {
      node.clock.stepMs = 0;
    });
    return true;
  } },
  // A time service that slews fast, as chrony may, while no view can be written: nobody is evicted for his clock.
  'clock-slews-without-etcd': { weight: 1, nodes: 2, clustered: true, shows: ['clock-slews-without-etcd-done'], strike: (strike) => {
    const { random, world } = strike;
    if (inService(strike).length < world.nodes.length || world.etcdPath.down) return false;
    // From the latest of them on: a clock that moves from one edge of what is allowed to the other moves by twice that.
    const node = world.nodes.reduce((latest, each) => (each.clock.errorMs > latest.clock.errorMs ? each : latest));
    const halfMs = random.between(250_000, 400_000);
    for (const each of world.nodes) strike.cutFromEtcd(each, 2 * halfMs + 20_000);
    node.clock.drift(SLEW_PPM);
    strike.repeats(20_000, 2 * halfMs, () => world.population.flicker(0.3));
    strike.later(halfMs, () => {
      // Its clock may have been set meanwhile.
      if (node.clock.driftPpm !== SLEW_PPM) return;
      strike.count('clock-slews-without-etcd-done');
      node.clock.drift(-SLEW_PPM);
    });
    strike.lasts(2 * halfMs, () => node.clock.set());
    return true;
  } },
  // Its battery is empty, and its time service not there yet. It is in no view any more when it comes up.
  'clock-off-at-boot': { weight: 2, nodes: 2, clustered: true, shows: ['clock-off-at-boot-done'], strike: (strike) => {
    const { node, random, world } = strike;
    const able = inService(strike);
    if (able.length < 2 || !able.includes(node)) return false;
    strike.crash(node, 60_000, true);
    const waits = (): void => {
      if (node.alive) return;
      if (world.viewInEtcd()?.members.some((member) => member.node === node.id) !== false) return strike.later(500, waits);
      node.clock.stepMs = stepOf(strike, () => random.pick([-1, 1]) * random.between(12_000, 600_000));
      strike.count('clock-off-at-boot-done');
      world.bootNode(node);
      strike.lasts(strike.spell(3000, 60_000, 600_000), () => {
        node.clock.stepMs = 0;
      });
      return undefined;
    };
    strike.later(500, waits);
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
