/**
 * Faults aimed at the moment at which others take over: what lies unread in an inbox, what only one of the
 * heirs has, what was not flushed when the power went, and who comes back first with which disk.
 */
import type { SimNode } from '../node.ts';
import { beatOf } from './disk.ts';
import { inOrder } from './schemes.ts';
import { nameOf } from './strike.ts';
import type { FaultKind, Strike } from './strike.ts';

/** Longer than a fit node waits for the others after a power cut. */
const LONG_OFF_MS = [26_000, 60_000] as const;

/** What this node reads of its inbox is lost for so long. */
function inboxUnread(strike: Strike, reader: SimNode, ms: number): void {
  const { etcdPath } = strike.world;
  const before = etcdPath.meddle;
  const meddle: typeof etcdPath.meddle = (from, request) =>
    (from === reader && nameOf({ kind: 'etcd', request }) === 'read-inbox' ? { lost: 'request' } : before?.(from, request));
  etcdPath.meddle = meddle;
  strike.lasts(ms, () => {
    if (etcdPath.meddle === meddle) etcdPath.meddle = before;
  });
}

/** All lose their power; this one has it back first, by long. */
function powerCut(strike: Strike, first: SimNode): void {
  const { random, world } = strike;
  for (const each of world.nodes) strike.crash(each, each === first ? random.between(100, 2000) : random.between(...LONG_OFF_MS), true);
}

function hasItems({ world }: Strike, reader: SimNode): boolean {
  return world.etcd.entries().some(({ key }) => key.startsWith(`inbox/${reader.id}/`));
}

export const TAKEOVER_FAULTS = {
  // A change that one heir has in its inbox, unread, and the other has not at all.
  'tail-in-an-inbox': { weight: 3, nodes: 3, clustered: true, shows: ['tail-in-an-inbox-done'], strike: (strike) => {
    const { node: owner, other: reader, random, world } = strike;
    if (!inOrder(strike) || world.etcdPath.down) return false;
    const linkDownMs = random.between(400, 700);
    const windowMs = random.between(120, 240);
    const endMs = linkDownMs + windowMs;
    strike.cut(owner, reader, true, endMs + 500);
    inboxUnread(strike, reader, endMs + random.between(800, 2500));
    strike.later(linkDownMs, () => {
      for (const each of world.nodes) if (each !== owner && each !== reader) strike.cut(owner, each, false, windowMs + 500);
      world.population.flicker(0.8);
    });
    strike.later(endMs, () => {
      if (hasItems(strike, reader)) strike.count('tail-in-an-inbox-done');
      strike.crash(owner, random.between(3000, 15_000));
    });
    return true;
  } },
  // Another view comes before the inbox is read.
  'inbox-unread-for-two-views': { weight: 3, nodes: 2, clustered: true, shows: ['inbox-unread-for-two-views-done'], strike: (strike) => {
    const { node: owner, other: heir, random, world } = strike;
    if (!inOrder(strike) || world.etcdPath.down) return false;
    const cutMs = random.between(900, 2400);
    let lost = 0;
    const { etcdPath } = world;
    etcdPath.meddle = (from, request) => {
      if (from !== heir || lost > 0 || owner.alive || nameOf({ kind: 'etcd', request }) !== 'put-view') return undefined;
      lost++;
      strike.count('inbox-unread-for-two-views-done');
      return { lost: 'answer' };
    };
    const first = etcdPath.meddle;
    strike.lasts(cutMs + 12_000, () => {
      if (etcdPath.meddle === first) etcdPath.meddle = undefined;
    });
    strike.cut(owner, heir, true, cutMs);
    inboxUnread(strike, heir, cutMs + random.between(3000, 6000));
    world.population.flicker(0.7);
    strike.later(cutMs * 0.6, () => world.population.flicker(0.5));
    strike.later(cutMs, () => {
      strike.crash(owner, random.between(8000, 20_000));
      world.population.flicker(0.5);
    });
    return true;
  } },
  // Power is lost while the last changes are on their way to one disk, and that disk is the first to come back.
  'power-cut-unflushed': { weight: 3, nodes: 2, clustered: true, shows: ['power-cut-unflushed-done'], strike: (strike) => {
    const { node: behind, random, world } = strike;
    if (!inOrder(strike) || world.etcdPath.down) return false;
    const ms = random.between(500, 2500);
    if (random.chance(0.5)) for (const each of world.nodes) if (each !== behind) strike.cut(each, behind, true, ms);
    strike.later(ms / 2, () => {
      behind.diskSlowUntil = world.now + ms;
      world.population.flicker(0.8);
    });
    strike.later(ms, () => {
      if (behind.disk.pending > 0) strike.count('power-cut-unflushed-done');
      powerCut(strike, behind);
    });
    return true;
  } },
  // One disk was replaced, or brought back from a copy, while the power was off; and it is the first to come back.
  'power-cut-other-disk': { weight: 2, nodes: 2, clustered: true, shows: ['power-cut-other-disk-wiped', 'power-cut-other-disk-older'], strike: (strike) => {
    const { node, random, world } = strike;
    if (!inOrder(strike) || world.etcdPath.down) return false;
    const copy = random.chance(0.5) ? node.disk.copy() : undefined;
    strike.later(copy === undefined ? 100 : random.between(8000, 60_000), () => {
      const inEtcd = world.etcd.entries().find(({ key }) => key === `beats/${node.id}`);
      // Limits that are stated: a copy that is younger than the last beat in etcd cannot be told, and where etcd has lost
      // everything as well, nothing is left that could tell a new disk from a new cluster.
      if (!inOrder(strike) || world.viewInEtcd() === undefined || (copy !== undefined && beatOf(inEtcd?.value) <= beatOf(copy.meta.get('beat')))) return;
      strike.count(`power-cut-other-disk-${copy === undefined ? 'wiped' : 'older'}`);
      powerCut(strike, random.chance(0.7) ? node : strike.other);
      if (copy === undefined) node.disk.wipe();
      else node.disk.restore(copy);
    });
    return true;
  } },
  // Everything stands still while answers wait for a commit, and goes on.
  'pause-under-answers': { weight: 2, shows: ['pause-under-answers-done'], strike: (strike) => {
    const { random, world } = strike;
    world.population.flicker(1);
    const ms = random.between(25_000, 58_000);
    strike.trap(world.nodes, 5000, { before: false, matches: ({ kind }) => kind === 'flush' }, () => {
      strike.count('pause-under-answers-done');
      for (const each of world.nodes) strike.pause(each, ms);
    });
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
