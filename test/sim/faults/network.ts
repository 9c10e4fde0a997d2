/** What goes wrong between the nodes, and between them and their clients. */
import type { FaultKind } from './strike.ts';

export const NETWORK_FAULTS = {
  'link-cut': { weight: 3, nodes: 2, strike: (strike) => {
    strike.cut(strike.node, strike.other, true, strike.spell(300, 30_000, 2_400_000));
    return true;
  } },
  'link-cut-one-way': { weight: 2, nodes: 2, strike: (strike) => {
    strike.cut(strike.node, strike.other, false, strike.spell(300, 15_000, 1_200_000));
    return true;
  } },
  'link-break': { weight: 2, nodes: 2, shows: ['link-messages-lost', 'link-resent'], strike: ({ node, other, world }) => {
    world.links.break(node, other);
    return true;
  } },
  'link-flaps': { weight: 1, nodes: 2, strike: (strike) => {
    const { node, other, random, world } = strike;
    strike.repeats(random.between(150, 1500), random.between(2000, 12_000), () => world.links.break(node, other));
    return true;
  } },
  'link-slow': { weight: 2, nodes: 2, strike: (strike) => {
    const { node, other, world: { links } } = strike;
    links.slow(node, other);
    strike.lasts(strike.spell(500, 10_000, 300_000), () => links.fast(node, other));
    return true;
  } },
  // It hears and reaches no other node; etcd and the clients it does.
  'links-cut': { weight: 1, nodes: 3, strike: (strike) => {
    const { node, random, world } = strike;
    const ms = random.between(500, 40_000);
    for (const each of world.nodes) if (each !== node) strike.cut(node, each, true, ms);
    return true;
  } },
  'client-lossy': { weight: 1, shows: ['client-loss'], strike: (strike) => {
    const { random, world: { clientPath } } = strike;
    clientPath.loss = random.between(0.1, 0.5);
    strike.lasts(random.between(2000, 20_000), () => clientPath.mendLoss());
    return true;
  } },
  'client-late': { weight: 2, shows: ['client-late', 'client-reordered'], strike: (strike) => {
    const { random, world: { clientPath } } = strike;
    clientPath.late = random.between(0.05, 0.3);
    strike.lasts(random.between(2000, 20_000), () => {
      clientPath.late = 0;
    });
    return true;
  } },
  'client-doubled': { weight: 1, shows: ['client-duplicate'], strike: (strike) => {
    const { random, world: { clientPath } } = strike;
    clientPath.doubled = random.between(0.1, 0.6);
    strike.lasts(random.between(2000, 20_000), () => clientPath.mendDoubled());
    return true;
  } },
  'client-cut': { weight: 1, strike: (strike) => {
    const { node, world: { clientPath } } = strike;
    clientPath.cut(node, 'both');
    strike.lasts(strike.spell(1000, 20_000, 900_000), () => clientPath.join(node));
    return true;
  } },
  'client-cut-one-way': { weight: 1, strike: (strike) => {
    const { node, random, world: { clientPath } } = strike;
    clientPath.cut(node, random.pick(['in', 'out']));
    strike.lasts(strike.spell(1000, 20_000, 900_000), () => clientPath.join(node));
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
