/** etcd and the way to it: slow, lossy, late, cut, gone; and sessions that end at the wrong time. */
import type { FaultKind } from './strike.ts';

export const ETCD_FAULTS = {
  'etcd-cut': { weight: 3, clustered: true, strike: (strike) => {
    const { node, random, world } = strike;
    const from = random.chance(0.8) ? [node] : world.nodes.filter((each) => each === node || random.chance(0.5));
    const ms = strike.spell(500, 40_000, 1_200_000);
    for (const each of from) strike.cutFromEtcd(each, ms);
    return true;
  } },
  'etcd-down': { weight: 1, clustered: true, strike: (strike) => {
    const { etcdPath } = strike.world;
    if (etcdPath.down) return false;
    etcdPath.down = true;
    strike.lasts(strike.spell(500, 60_000, 3_000_000), () => {
      etcdPath.down = false;
    });
    return true;
  } },
  'etcd-lossy': { weight: 2, clustered: true, shows: ['etcd-answer-lost'], strike: (strike) => {
    const { random, world: { etcdPath } } = strike;
    etcdPath.requestsLost = random.between(0.05, 0.5);
    etcdPath.answersLost = etcdPath.requestsLost;
    strike.lasts(random.between(2000, 30_000), () => {
      etcdPath.requestsLost = 0;
      etcdPath.answersLost = 0;
    });
    return true;
  } },
  // Everything is applied, and hardly anybody is told.
  'etcd-answers-lost': { weight: 2, clustered: true, shows: ['etcd-answer-lost'], strike: (strike) => {
    const { random, world: { etcdPath } } = strike;
    etcdPath.answersLost = random.between(0.3, 0.9);
    strike.lasts(random.between(2000, 20_000), () => {
      etcdPath.answersLost = 0;
    });
    return true;
  } },
  'etcd-late': { weight: 2, clustered: true, shows: ['etcd-applied-late'], strike: (strike) => {
    const { random, world: { etcdPath } } = strike;
    etcdPath.late = random.between(0.05, 0.4);
    strike.lasts(random.between(2000, 30_000), () => {
      etcdPath.late = 0;
    });
    return true;
  } },
  'etcd-slow': { weight: 1, clustered: true, strike: (strike) => {
    const { etcdPath } = strike.world;
    etcdPath.slow = true;
    strike.lasts(strike.spell(2000, 20_000, 300_000), () => {
      etcdPath.slow = false;
    });
    return true;
  } },
  'etcd-hints-lost': { weight: 1, clustered: true, shows: ['etcd-hint-lost'], strike: (strike) => {
    const { random, world: { etcdPath } } = strike;
    etcdPath.hintsLost = random.pick([0.5, 1]);
    strike.lasts(strike.spell(5000, 60_000, 900_000), () => etcdPath.mendHints());
    return true;
  } },
  'etcd-hints-late': { weight: 1, clustered: true, shows: ['etcd-hint-late'], strike: (strike) => {
    const { random, world: { etcdPath } } = strike;
    etcdPath.hintsLateMs = random.between(1000, 30_000);
    strike.lasts(random.between(5000, 60_000), () => etcdPath.mendHints());
    return true;
  } },
  'etcd-leader-change': { weight: 1, clustered: true, strike: ({ world }) => {
    if (world.etcdPath.down) return false;
    world.etcd.grantAll(world.now);
    return true;
  } },
  'etcd-session-early': { weight: 2, clustered: true, shows: ['etcd-session-early-done'], strike: (strike) => {
    if (!strike.world.etcdPath.revokeSession(strike.node)) return false;
    strike.count('etcd-session-early-done');
    return true;
  } },
  // etcd changes its leader again and again: whoever dies meanwhile keeps its session.
  'etcd-session-late': { weight: 2, clustered: true, strike: (strike) => {
    const { node, random, world } = strike;
    strike.repeats(1000, strike.spell(5000, 40_000, 300_000), () => {
      if (!world.etcdPath.down) world.etcd.grantAll(world.now);
    });
    if (random.chance(0.7)) strike.later(random.between(500, 5000), () => strike.crash(node, random.between(3000, 20_000), random.chance(0.7)));
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
