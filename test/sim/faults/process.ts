/** Processes and hosts that end, stand still, or do so at the worst of moments. */
import { nameOf } from './strike.ts';
import type { FaultKind, Strike } from './strike.ts';

/** What nodes do all the time. */
const EVERYDAY_STEPS = [
  'packet', 'flush', 'flushed', 'batch', 'ack', 'status', 'confirmRequest', 'confirmReply', 'propose', 'proposeResult', 'allocate', 'allocateResult',
  'read', 'keepalive', 'put-beats', 'put-nodes',
] as const;
/** What they do when a node leaves or comes back. */
const CHANGE_STEPS = [
  'hello', 'refuse', 'adopted', 'tailRequest', 'tail', 'fetch', 'fetchRecords', 'joinReady', 'require', 'vouch', 'evict',
  'put-view', 'put-leader', 'delete-leader', 'put-inbox', 'read-inbox', 'delete-inbox', 'delete-prefix-inbox', 'grant', 'revoke',
] as const;

/** Something that makes nodes take the steps of a change. */
function provoke(strike: Strike): void {
  const { node, other, random } = strike;
  if (node === other) return strike.crash(node, random.between(200, 3000));
  switch (random.int(0, 3)) {
    case 0: return strike.crash(other, random.between(200, 5000));
    case 1: return strike.cut(node, other, random.chance(0.7), random.between(500, 8000));
    case 2:
      other.drain();
      return undefined;
    default: return strike.pause(other, random.between(3500, 10_000));
  }
}

/** Stops whoever takes a certain step next, before or after it. */
function atStep(strike: Strike, what: string, stop: (strike: Strike, node: Strike['node']) => void): boolean {
  const { random, world } = strike;
  const change = world.clustered && random.chance(0.6);
  const name = random.pick<string>(change ? CHANGE_STEPS : EVERYDAY_STEPS);
  strike.trap(world.nodes, 30_000, { before: random.chance(0.5), matches: (step) => nameOf(step) === name }, (node) => {
    world.log(`${node.id} is caught at ${name}`);
    strike.count(`${what}:${name}`);
    stop(strike, node);
  });
  if (change) provoke(strike);
  return true;
}

function powerCut({ random, world }: Strike, strike: Strike): void {
  for (const each of world.nodes) strike.crash(each, random.between(200, 10_000), true);
}

export const PROCESS_FAULTS = {
  crash: { weight: 3, strike: (strike) => {
    const { node, random } = strike;
    if (!node.alive) return false;
    strike.crash(node, strike.spell(200, random.chance(0.5) ? 4000 : 30_000, 1_800_000));
    return true;
  } },
  'host-dead': { weight: 2, strike: (strike) => {
    if (!strike.node.alive) return false;
    strike.crash(strike.node, strike.spell(1000, 30_000, 1_800_000), true);
    return true;
  } },
  'crash-at-step': {
    weight: 5, shows: ['flush', 'flushed', 'batch', 'ack', 'fetch', 'fetchRecords', 'evict', 'adopted', 'joinReady', 'require', 'vouch', 'put-view', 'put-inbox', 'delete-inbox']
      .map((name) => `crash-at-step:${name}`),
    strike: (strike) => atStep(strike, 'crash-at-step', ({ random }, node) => strike.crash(node, random.between(100, 15_000), random.chance(0.3))),
  },
  // A node that has just come back goes down again, at any step of its way.
  'crash-again': { weight: 3, shows: ['crash-again-done'], strike: (strike) => {
    const { node, random } = strike;
    if (!node.alive) return false;
    const downMs = random.between(100, 4000);
    strike.crash(node, downMs, random.chance(0.3));
    let steps = random.int(1, random.chance(0.5) ? 20 : 300);
    strike.trap([node], downMs + 20_000, { before: random.chance(0.5), matches: () => --steps < 0 }, () => {
      strike.count('crash-again-done');
      strike.crash(node, random.between(100, 10_000));
    });
    return true;
  } },
  'power-cut': { weight: 1, strike: (strike) => {
    powerCut(strike, strike);
    return true;
  } },
  'power-cut-while-flushing': { weight: 2, shows: ['flushed-unheard'], strike: (strike) => {
    const { random, world } = strike;
    for (const each of world.nodes) each.diskSlowUntil = world.now + 4000;
    strike.later(random.between(300, 4000), () => powerCut(strike, strike));
    return true;
  } },
  pause: { weight: 3, strike: (strike) => {
    const { node, random } = strike;
    if (!node.alive || node.paused) return false;
    strike.pause(node, random.chance(0.5) ? random.between(100, 3000) : strike.spell(3000, 60_000, 3_000_000));
    return true;
  } },
  'pause-at-step': {
    weight: 3, shows: ['packet', 'flush', 'batch', 'ack', 'put-view', 'put-inbox'].map((name) => `pause-at-step:${name}`),
    strike: (strike) => atStep(strike, 'pause-at-step', ({ random }, node) => strike.pause(node, random.chance(0.3) ? random.between(50, 3000) : random.between(3000, 40_000))),
  },
  // A slow garbage collection, a busy hypervisor: again and again, each too short for anybody to be taken for dead.
  stalls: { weight: 1, strike: (strike) => {
    const { node, random } = strike;
    if (!node.alive) return false;
    strike.repeats(random.between(1500, 4000), random.between(5000, 30_000), () => strike.pause(node, random.between(50, 1400)));
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
