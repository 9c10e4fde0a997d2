/** Disks that are slow, full, failing, new, or older than they were. */
import type { SimNode } from '../node.ts';
import type { World } from '../world.ts';
import type { FaultKind } from './strike.ts';

/**
 * Another node is in service, by the view that etcd has, with a disk that works: the loss of this disk is one fault, as the
 * promises suppose. The disk of a view's only member is not one that another one has.
 */
function anotherServes(world: World, node: SimNode): boolean {
  return world.nodes.some((each) => each !== node && !each.paused && world.now >= Math.max(each.diskFullUntil, each.diskTroubledUntil) &&
    each.engine?.core.state.finished === true && each.engine.core.state.view?.epoch === world.epochInEtcd() && each.engine.core.isMember(each.id));
}

export function beatOf(bytes: Buffer | undefined): number {
  if (bytes === undefined) return 0;
  const json = JSON.parse(bytes.toString()) as number | { beat: number };
  return typeof json === 'number' ? json : json.beat;
}

export const DISK_FAULTS = {
  'disk-slow': { weight: 2, strike: (strike) => {
    const { node, world } = strike;
    const ms = strike.spell(500, 8000, 120_000);
    node.diskSlowUntil = world.now + ms;
    strike.lasts(ms, () => {
      node.diskSlowUntil = 0;
    });
    return true;
  } },
  'disk-failing': { weight: 2, shows: ['commit-failed'], strike: (strike) => {
    const { node, random, world } = strike;
    const fails = random.int(1, 3);
    for (let i = 0; i < fails; i++) node.disk.failNext(new Error('input/output error'));
    // Time for as many attempts.
    strike.lasts(fails * 1000, () => world.log(`the disk of ${node.id} works`));
    return true;
  } },
  'disk-full': { weight: 2, strike: (strike) => {
    const { node, world } = strike;
    const ms = strike.spell(1000, 60_000, 600_000);
    node.diskFullUntil = world.now + ms;
    strike.lasts(ms, () => {
      node.diskFullUntil = 0;
    });
    return true;
  } },
  'disk-wiped': { weight: 1, nodes: 2, shows: ['disk-wiped-done'], strike: (strike) => {
    const { node, random, world } = strike;
    if (!anotherServes(world, node) || !node.alive) return false;
    strike.crash(node, random.between(500, 5000), true);
    node.disk.wipe();
    strike.count('disk-wiped-done');
    return true;
  } },
  // A backup that is brought back, or a virtual machine's snapshot. A copy that is younger than the last
  // beat that reached etcd cannot be told from the real disk: a stated limit of the design.
  'disk-restored': { weight: 2, nodes: 2, clustered: true, shows: ['disk-restored-done'], strike: (strike) => {
    const { node, random, world } = strike;
    if (!node.alive) return false;
    const copy = node.disk.copy();
    strike.later(strike.spell(5000, 90_000, 1_200_000), () => {
      const inEtcd = world.etcd.entries().find(({ key }) => key === `beats/${node.id}`);
      if (!node.alive || !anotherServes(world, node) || beatOf(inEtcd?.value) <= beatOf(copy.meta.get('beat'))) return;
      strike.crash(node, random.between(500, 5000), true);
      node.disk.restore(copy);
      strike.count('disk-restored-done');
    });
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
