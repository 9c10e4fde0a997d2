/**
 * Builds of one protocol version beside those of the next, in every mix; each node in turn replaced under
 * load, upwards and downwards; and mixes that are not allowed, which must be refused and serve nobody.
 */
import { PROTOCOL, rangeText } from '../../../node/protocol.ts';
import type { ProtocolRange } from '../../../node/protocol.ts';
import { PromiseBroken } from '../checker.ts';
import type { SimNode } from '../node.ts';
import type { World } from '../world.ts';
import type { FaultKind, Strike } from './strike.ts';

/** The build before this one, this one, and one after it that has forgotten the oldest version. */
const BEFORE: ProtocolRange = { min: PROTOCOL.min, max: PROTOCOL.max - 1 };
const AFTER: ProtocolRange = { min: PROTOCOL.max, max: PROTOCOL.max };
/** A node that does not come back into service is no reason to leave the others as they are. */
const PATIENCE_MS = 60_000;

/** What the nodes are at first. */
export function drawVersions({ nodes, random }: World): void {
  const mix = random.pick(['new', 'new', 'old', 'mixed', 'mixed'] as const);
  for (const node of nodes) if (mix === 'old' || (mix === 'mixed' && random.chance(0.5))) node.protocol = BEFORE;
}

/** Whoever answers a client speaks the version that the view names. */
export function checkSpeaks({ engine, id, speaks }: SimNode): void {
  const view = engine!.core.state.view;
  if (view !== undefined && engine!.core.serving() && (view.protocol < speaks.min || view.protocol > speaks.max)) {
    throw new PromiseBroken(`${id} speaks protocol ${rangeText(speaks)} and serves in a view of version ${view.protocol}`);
  }
}

/** The other build is started in its place. */
function replace(strike: Strike, node: SimNode, protocol: ProtocolRange): void {
  node.protocol = protocol;
  if (!node.alive) return;
  if (strike.random.chance(0.8)) node.drain();
  else strike.crash(node, strike.random.between(300, 4000));
}

function roll(strike: Strike, nodes: readonly SimNode[], protocol: ProtocolRange): void {
  const { random, world } = strike;
  const [node, ...rest] = nodes;
  if (node === undefined) {
    strike.count('upgrade-done');
    return;
  }
  replace(strike, node, protocol);
  const began = world.now;
  const next = (): void => {
    const back = node.alive && node.speaks === protocol && world.isInOrder();
    if (back || world.now - began > PATIENCE_MS) roll(strike, rest, protocol);
    else strike.later(1000, next);
  };
  strike.later(random.between(1000, 6000), next);
}

export const UPGRADES = {
  upgrade: { weight: 3, clustered: true, shows: ['upgrade-done', 'event:protocol.changed'], strike: (strike) => {
    const { random, world } = strike;
    const old = world.nodes.filter(({ speaks }) => speaks.max === BEFORE.max).length;
    const order = world.nodes.toSorted(() => random.unit() - 0.5);
    roll(strike, order, old * 2 >= world.nodes.length ? PROTOCOL : BEFORE);
    return true;
  } },
  // Neither drained first nor the others asked.
  'another-build': { weight: 2, clustered: true, strike: (strike) => {
    const { node } = strike;
    replace(strike, node, node.speaks.max === BEFORE.max ? PROTOCOL : BEFORE);
    return true;
  } },
  'unclean-mix': { weight: 2, nodes: 2, clustered: true, shows: ['event:protocol.peer-refused'], strike: (strike) => {
    const { node, random } = strike;
    replace(strike, node, AFTER);
    strike.lasts(strike.spell(5000, 60_000, 900_000), () => {
      node.protocol = PROTOCOL;
      if (node.alive && node.speaks === AFTER) strike.crash(node, random.between(300, 2000));
    });
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
