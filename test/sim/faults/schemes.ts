/**
 * Faults staged one after the other, each aimed at a rule that chance alone hardly ever tries: what
 * would go wrong if the rule were not there is what the scheme waits for.
 */
import type { SimNode } from '../node.ts';
import { nameOf } from './strike.ts';
import type { FaultKind, Strike } from './strike.ts';

export function leaderOf({ world }: Strike): SimNode | undefined {
  return world.nodes.find((each) => !each.paused && each.engine?.core.leader.leads === true);
}

/** All are in one view and linked; the scheme begins from there. */
export function inOrder({ world }: Strike): boolean {
  return world.nodes.every((each) => !each.paused && each.engine?.core.nodeState === 'NORMAL');
}

/**
 * Commits go through the inbox of one that cannot read it; then their owner dies, and the heir, which
 * has not lost its session, takes over at once and reaches etcd badly.
 */
function unreadInbox(strike: Strike, owner: SimNode, heir: SimNode): void {
  const { random, world } = strike;
  const cutMs = random.between(900, 2400);
  strike.cut(owner, heir, true, cutMs);
  strike.cutFromEtcd(heir, cutMs);
  world.wakeClients(0.5);
  strike.later(cutMs, () => {
    strike.crash(owner, random.between(5000, 15_000));
    world.etcdPath.requestsLost = random.between(0.3, 0.6);
    world.etcdPath.answersLost = world.etcdPath.requestsLost;
    world.wakeClients(1);
  });
  strike.lasts(cutMs + 4000, () => {
    world.etcdPath.requestsLost = 0;
    world.etcdPath.answersLost = 0;
  });
}

/** The item that a cut link left for its reader is not read until many lie there. */
function deepInbox(strike: Strike, writer: SimNode, reader: SimNode): void {
  const { random, world } = strike;
  const ms = random.between(12_000, 22_000);
  strike.cut(writer, reader, true, ms + 500);
  strike.cutFromEtcd(reader, ms);
  // Its session does not end meanwhile, so nobody evicts it.
  strike.repeats(1000, ms, () => world.etcd.grantAll(world.now));
  strike.repeats(600, ms, () => world.wakeClients(0.7));
  strike.later(ms - 50, () => {
    const items = world.etcd.entries().filter(({ key }) => key.startsWith(`inbox/${reader.id}/`)).length;
    world.log(`${items} items wait for ${reader.id}`);
    if (items > 64) strike.count('deep-inbox-done');
    if (random.chance(0.6)) strike.crash(writer, random.between(5000, 20_000));
  });
}

export const SCHEMES = {
  'pause-then-etcd-cut': { weight: 2, clustered: true, strike: (strike) => {
    const { node, random, world } = strike;
    const pauseMs = random.between(3500, 9000);
    strike.pause(node, pauseMs);
    strike.cutFromEtcd(node, random.between(12_000, 30_000));
    strike.later(pauseMs + 500, () => world.wakeClients(0.6));
    strike.later(pauseMs + 2500, () => world.wakeClients(1));
    return true;
  } },
  'link-cut-then-crash': { weight: 3, nodes: 2, strike: (strike) => {
    const { node, other, random } = strike;
    strike.cut(node, other, true, random.between(500, 20_000));
    strike.later(random.between(300, 8000), () => strike.crash(node, random.between(200, 15_000), random.chance(0.3)));
    return true;
  } },
  // The one that leads takes over fastest, and has the least time to read its inbox by chance.
  'unread-inbox': { weight: 3, nodes: 2, clustered: true, shows: ['event:view.finished'], strike: (strike) => {
    const { node, other } = strike;
    const [owner, heir] = other.engine?.core.leader.leads === true ? [node, other] : [other, node];
    unreadInbox(strike, owner, heir);
    return true;
  } },
  'deep-inbox': { weight: 2, nodes: 2, clustered: true, shows: ['deep-inbox-done'], strike: (strike) => {
    if (!inOrder(strike) || strike.world.etcdPath.down) return false;
    deepInbox(strike, strike.node, strike.other);
    return true;
  } },
  // A change is held up in the network until its maker has been evicted, which has not heard of it and
  // still waits for the acknowledgement; meanwhile its heir gives addresses away.
  'late-batch': { weight: 3, nodes: 2, clustered: true, strike: (strike) => {
    const { node: owner, other: heir, random, world } = strike;
    strike.cutFromEtcd(owner, random.between(12_000, 20_000));
    strike.later(random.between(900, 1300), () => {
      strike.cut(owner, heir, false, random.between(3300, 3950));
      // What the heir gets too late the others never get.
      for (const each of world.nodes) if (each !== owner && each !== heir) strike.cut(owner, each, true, random.between(8000, 15_000));
      strike.later(300, () => world.wakeClients(0.6));
      strike.later(2800, () => world.wakeClients(1));
    });
    return true;
  } },
  // Whether its view was written nobody can say, and the one who wrote it is gone, or stands still and goes on later.
  'ambiguous-view': { weight: 3, nodes: 2, clustered: true, shows: ['ambiguous-view-done'], strike: (strike) => {
    const { random, world } = strike;
    const leader = leaderOf(strike);
    if (leader === undefined) return false;
    const victim = random.pick(world.nodes.filter((each) => each !== leader));
    const late = random.chance(0.5) ? random.between(1600, 6000) : undefined;
    world.etcdPath.meddle = (from, request) => {
      if (from !== leader || nameOf({ kind: 'etcd', request }) !== 'put-view') return undefined;
      world.etcdPath.meddle = undefined;
      strike.count('ambiguous-view-done');
      const { start } = leader;
      strike.later(random.between(1, 60), () => {
        if (leader.start !== start) return;
        switch (random.int(0, 3)) {
          case 0: return undefined;
          case 1: return strike.pause(leader, random.between(1000, 12_000));
          default: return strike.crash(leader, random.between(300, 12_000), random.chance(0.3));
        }
      });
      return late === undefined ? { lost: 'answer' } : { delayMs: late };
    };
    strike.lasts(20_000, () => {
      world.etcdPath.meddle = undefined;
    });
    if (random.chance(0.5)) victim.drain();
    else strike.crash(victim, random.between(300, 4000));
    return true;
  } },
  // A learner is required by some, and the one that asked for it is gone: it may have been let in, or not.
  'learner-required': { weight: 3, nodes: 2, clustered: true, shows: ['learner-required-done'], strike: (strike) => {
    const { random, world } = strike;
    const leader = leaderOf(strike);
    if (leader === undefined || !inOrder(strike)) return false;
    const learner = random.pick(world.nodes.filter((each) => each !== leader));
    const name = random.pick(['require', 'vouch', 'put-view']);
    const downMs = random.between(300, 3000);
    strike.crash(learner, downMs);
    strike.later(downMs, () => strike.trap(world.nodes, 15_000, { before: random.chance(0.5), matches: (step) => nameOf(step) === name }, () => {
      strike.count('learner-required-done');
      switch (random.int(0, 3)) {
        case 0: return strike.crash(leader, random.between(300, 12_000), random.chance(0.5));
        case 1: return strike.pause(leader, random.between(1500, 10_000));
        case 2: return strike.crash(learner, random.between(300, 6000), random.chance(0.5));
        default: return strike.cutFromEtcd(leader, random.between(3000, 12_000));
      }
    }));
    return true;
  } },
  // The last changes of one that dies reached one heir and not the other.
  'tail-with-one': { weight: 3, nodes: 3, clustered: true, shows: ['tail-with-one-done'], strike: (strike) => {
    const { node: owner, other: without, random, world } = strike;
    if (!inOrder(strike)) return false;
    const cutMs = random.between(120, 245);
    strike.cut(owner, without, false, cutMs);
    world.wakeClients(1);
    strike.later(cutMs - 5, () => {
      const { context, log } = owner.engine?.core.state ?? {};
      const seqs = world.nodes.filter((each) => each !== owner).map((each) => (context === undefined ? 0 : each.engine?.core.state.cursors.seq(context.incarnation) ?? 0));
      if (log !== undefined && new Set(seqs).size > 1) strike.count('tail-with-one-done');
      strike.crash(owner, random.between(2000, 15_000), random.chance(0.5));
      if (random.chance(0.4)) strike.cut(without, world.nodes.find((each) => each !== owner && each !== without)!, true, random.between(500, 6000));
    });
    return true;
  } },
  // All lose power while one has changes only in its inbox, or an older disk; it comes back first.
  'cold-start-behind': { weight: 3, nodes: 2, clustered: true, shows: ['cold-start-behind-done'], strike: (strike) => {
    const { node: behind, other: ahead, random, world } = strike;
    if (!inOrder(strike) || world.etcdPath.down) return false;
    const cutMs = random.between(500, 2500);
    strike.cut(ahead, behind, true, cutMs);
    if (random.chance(0.7)) strike.cutFromEtcd(behind, cutMs);
    strike.repeats(200, cutMs, () => world.wakeClients(0.7));
    strike.later(cutMs, () => {
      if (world.etcd.entries().some(({ key }) => key.startsWith(`inbox/${behind.id}/`))) strike.count('cold-start-behind-done');
      for (const each of world.nodes) strike.crash(each, each === behind ? random.between(100, 2000) : random.between(1000, 60_000), true);
    });
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
