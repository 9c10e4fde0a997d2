/**
 * Faults aimed at the moment at which a node is let into the view: what it does not have by then, what is
 * committed while the view is written, and who hears of it late.
 */
import type { EtcdRequest } from '../../../cluster/core/ports.ts';
import { decodeView } from '../../../cluster/view/view.ts';
import type { SimNode } from '../node.ts';
import { inOrder, leaderOf } from './schemes.ts';
import { nameOf } from './strike.ts';
import type { FaultKind, Strike } from './strike.ts';

/** A learner's way back in takes no longer, where nothing else is broken. */
const JOIN_MS_MAX = 15_000;
/** Every other node is off for longer than a fit node waits for it. */
const LONG_OFF_MS = [26_000, 60_000] as const;

/** The transaction that lets this node in. */
function letsIn(request: EtcdRequest, node: SimNode): boolean {
  if (nameOf({ kind: 'etcd', request }) !== 'put-view' || request.kind !== 'txn') return false;
  const put = request.then.find((op) => op.op === 'put' && op.key === 'view');
  const view = put?.op === 'put' ? decodeView(put.value) : undefined;
  return view?.members.some((member) => member.node === node.id && member.incarnation === node.engine?.incarnation) === true;
}

/** Once the join's transaction is sent: how late it arrives. The scheme goes on with `then`. */
function atTheJoin(strike: Strike, learner: SimNode, delayMs: number, then: (leader: SimNode) => void): void {
  const { etcdPath } = strike.world;
  const meddle: typeof etcdPath.meddle = (from, request) => {
    if (!letsIn(request, learner)) return undefined;
    unset();
    then(from);
    return { delayMs };
  };
  const unset = (): void => {
    if (etcdPath.meddle === meddle) etcdPath.meddle = undefined;
  };
  etcdPath.meddle = meddle;
  strike.lasts(JOIN_MS_MAX, unset);
}

function crashAllBut({ random, world }: Strike, strike: Strike, survivor: SimNode): void {
  const dark = random.chance(0.3);
  for (const each of world.nodes) if (each !== survivor) strike.crash(each, random.between(...LONG_OFF_MS), dark);
}

/** A node goes and comes back; undefined: as things are it would show nothing. */
function newcomer(strike: Strike): SimNode | undefined {
  const { random, world } = strike;
  const leader = leaderOf(strike);
  if (leader === undefined || !inOrder(strike) || world.etcdPath.down) return undefined;
  const learner = random.pick(world.nodes.filter((each) => each !== leader));
  strike.crash(learner, random.between(300, 2500));
  return learner;
}

function another({ random, world }: Strike, ...than: readonly SimNode[]): SimNode | undefined {
  const others = world.nodes.filter((each) => !than.includes(each));
  return others.length === 0 ? undefined : random.pick(others);
}

export const JOIN_FAULTS = {
  // What is changed just before it asks to be let in does not reach it, and then it is alone.
  'join-behind': { weight: 2, nodes: 2, clustered: true, shows: ['join-behind-done'], strike: (strike) => {
    const { random, world } = strike;
    const learner = newcomer(strike);
    const deaf = learner === undefined ? undefined : another(strike, learner);
    if (learner === undefined || deaf === undefined) return false;
    // Its beat comes before its question; and what is not acknowledged for long goes through its inbox.
    const beatMs = random.between(100, 220);
    const { etcdPath } = world;
    etcdPath.meddle = (from, request) => {
      if (from !== learner || nameOf({ kind: 'etcd', request }) !== 'put-beats') return undefined;
      strike.count('join-behind-done');
      strike.cut(deaf, learner, false, random.between(400, 1500));
      world.population.flicker(1);
      atTheJoin(strike, learner, 0.2, () => strike.later(0.3, () => crashAllBut(strike, strike, learner)));
      return { delayMs: beatMs };
    };
    const first = etcdPath.meddle;
    strike.lasts(JOIN_MS_MAX, () => {
      if (etcdPath.meddle === first) etcdPath.meddle = undefined;
    });
    return true;
  } },
  // What is committed while the view that lets it in is on its way, for longer than its writer waits; then it is alone.
  'join-written-late': { weight: 3, nodes: 2, clustered: true, shows: ['join-written-late-done'], strike: (strike) => {
    const { random, world } = strike;
    const learner = newcomer(strike);
    if (learner === undefined) return false;
    const delayMs = random.chance(0.5) ? random.between(300, 1400) : random.between(1600, 3500);
    const bothWays = random.chance(0.5);
    atTheJoin(strike, learner, delayMs, () => {
      strike.count('join-written-late-done');
      for (const each of world.nodes) if (each !== learner) strike.cut(each, learner, bothWays, delayMs + 3000);
      world.population.flicker(0.7);
      strike.later(delayMs * random.between(0.2, 0.8), () => world.population.flicker(0.5));
      // Before they hear of it.
      strike.later(delayMs + (random.chance(0.7) ? 0.1 : random.between(0.1, 40)), () => crashAllBut(strike, strike, learner));
    });
    return true;
  } },
  // Somebody who goes on serving does not hear of the view that takes its slots away.
  'join-unnoticed': { weight: 3, nodes: 2, clustered: true, shows: ['join-unnoticed-done'], strike: (strike) => {
    const { random, world } = strike;
    const learner = newcomer(strike);
    const unaware = learner === undefined ? undefined : another(strike, learner);
    if (learner === undefined || unaware === undefined) return false;
    atTheJoin(strike, learner, random.between(5, 40), () => {
      strike.count('join-unnoticed-done');
      const ms = random.between(2000, 9000);
      strike.cutFromEtcd(unaware, ms);
      const third = another(strike, learner, unaware);
      if (third !== undefined && random.chance(0.6)) {
        world.links.slow(unaware, third);
        strike.lasts(ms, () => world.links.fast(unaware, third));
      }
      if (random.chance(0.3)) strike.pause(unaware, random.between(3500, 8000));
      // Each hears another half of what clients ask.
      const { clientPath } = world;
      clientPath.loss = random.between(0.2, 0.6);
      strike.lasts(ms, () => clientPath.mendLoss());
      strike.repeats(900, ms, () => world.population.flicker(0.6));
    });
    return true;
  } },
  // Its only member stands still right after letting another one in, is evicted, and hears nothing of it when it goes on.
  'join-then-pause': { weight: 2, nodes: 2, clustered: true, shows: ['join-then-pause-done'], strike: (strike) => {
    const { random, world } = strike;
    const learner = newcomer(strike);
    if (learner === undefined) return false;
    for (const each of world.nodes) if (each !== leaderOf(strike) && each !== learner) strike.crash(each, random.between(...LONG_OFF_MS));
    atTheJoin(strike, learner, random.between(1, 10), (leader) => {
      strike.count('join-then-pause-done');
      const pauseMs = random.between(4000, 9000);
      const ms = pauseMs + random.between(3000, 10_000);
      strike.pause(leader, pauseMs);
      strike.cutFromEtcd(leader, ms);
      strike.repeats(1000, ms, () => world.population.flicker(0.5));
    });
    return true;
  } },
  // While it fetches, what it fetches changes; and it had changes that nobody else has.
  'fetch-under-load': { weight: 2, nodes: 2, clustered: true, shows: ['fetch-under-load-done'], strike: (strike) => {
    const { node, random, world } = strike;
    if (!inOrder(strike) || world.etcdPath.down) return false;
    const others = world.nodes.filter((each) => each !== node);
    const cutMs = random.between(150, 245);
    for (const each of others) strike.cut(node, each, false, cutMs);
    world.population.flicker(0.7);
    const downMs = random.between(1000, 4000);
    strike.later(cutMs - 5, () => strike.crash(node, downMs));
    strike.later(cutMs + downMs, () => strike.trap([node], JOIN_MS_MAX, { before: true, matches: (step) => nameOf(step) === 'fetch' }, () => {
      strike.count('fetch-under-load-done');
      for (const each of others) world.links.slow(node, each);
      strike.lasts(random.between(1500, 4000), () => {
        for (const each of others) world.links.fast(node, each);
      });
      strike.repeats(700, 2500, () => world.population.flicker(0.5));
    }));
    return true;
  } },
  // Inboxes of those outside the view are cleared when one of them is on its way in, and needs what lies there.
  'inbox-cleared-late': { weight: 2, nodes: 2, clustered: true, shows: ['inbox-cleared-late-done'], strike: (strike) => {
    const { random, world } = strike;
    const learner = newcomer(strike);
    if (learner === undefined) return false;
    const { etcdPath } = world;
    let clearing: EtcdRequest | undefined;
    let joining = false;
    const delayMs = random.between(500, 1400);
    const meddle: typeof etcdPath.meddle = (_from, request) => {
      if (clearing === undefined && nameOf({ kind: 'etcd', request }) === 'delete-prefix-inbox') {
        clearing = request;
        return { lost: 'request' };
      }
      if (clearing === undefined || joining || !letsIn(request, learner)) return undefined;
      joining = true;
      strike.count('inbox-cleared-late-done');
      for (const each of world.nodes) if (each !== learner) strike.cut(each, learner, false, delayMs + 3000);
      strike.cutFromEtcd(learner, delayMs - 1);
      world.population.flicker(0.7);
      strike.later(delayMs - 3, () => world.etcd.apply(clearing!, world.now));
      strike.later(delayMs + 0.1, () => crashAllBut(strike, strike, learner));
      return { delayMs };
    };
    etcdPath.meddle = meddle;
    strike.lasts(JOIN_MS_MAX, () => {
      if (etcdPath.meddle === meddle) etcdPath.meddle = undefined;
    });
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
