/**
 * Where the nodes must not go on by themselves, and a person's word lets them: a partner that is declared to be
 * off, and is; a store that is taken for the truth, because nothing else is left; an etcd that was restored.
 *
 * The person says nothing that is not true: who is declared to be off is off, and stays off until it is done.
 */
import { decodeView } from '../../../cluster/view/view.ts';
import type { OperatorAnswer } from '../../../node/admin/operator.ts';
import { PromiseBroken } from '../checker.ts';
import type { SimNode } from '../node.ts';
import type { World } from '../world.ts';
import { inOrder } from './schemes.ts';
import type { FaultKind, Strike } from './strike.ts';

/** A person who looks again. */
const LOOK_MS = [2000, 6000] as const;
/** What the network held back of a node that is off has come by then. */
const LATE_MS = 16_000;
/** How often it is looked whether etcd has what the members agreed on. */
const WRITTEN_LOOK_MS = 500;

function isMember(node: SimNode): boolean {
  return node.engine?.core.state.phase === 'member';
}

/** Some node waits for an operator, since its etcd went back. */
function hasGoneBack(world: World): boolean {
  return world.nodes.some(({ engine }) => engine !== undefined && engine.core.state.wentBack !== '');
}

function lockOff(world: World, node: SimNode): void {
  node.lockedOff = true;
  if (node.alive) world.stopNode(node, true);
}

/** Not before etcd has the generation that goes on without it: alone with the old view it would take itself for the heir. */
function letOn(world: World, node: SimNode): void {
  if (!node.lockedOff) return;
  if (isUnwritten(world)) {
    world.agenda.after(WRITTEN_LOOK_MS, () => letOn(world, node));
    return;
  }
  node.lockedOff = false;
  world.bootNode(node);
}

/** Some disk has a generation that etcd has not heard of. Without any view there nobody goes on by itself. */
function isUnwritten(world: World): boolean {
  const written = world.viewInEtcd()?.generation;
  return written !== undefined && world.nodes.some(({ disk }) => {
    const adopted = disk.readMeta('view-adopted');
    return adopted !== undefined && (decodeView(adopted)?.generation ?? 0) > written;
  });
}

function ask(world: World, node: SimNode, command: Parameters<SimNode['operate']>[0]): OperatorAnswer | undefined {
  const answer = node.operate(command);
  if (answer !== undefined) world.log(`${node.id} is told ${JSON.stringify(command)}: ${answer.ok ? '' : 'no: '}${answer.text.replaceAll('\n', ' / ')}`);
  return answer;
}

// ── a partner that is off ──────────────────────────────────────────────────────────────────────

/** Asked until the node goes by it, or etcd is back. */
function declareDown(strike: Strike, off: SimNode, done: () => void): void {
  const { random, world } = strike;
  const look = (): void => {
    if (!world.etcdPath.down || !off.lockedOff) return done();
    const survivors = world.nodes.filter((each) => isMember(each) && !each.paused);
    if (survivors.length > 0 && survivors.every((each) => !each.engine!.core.isMember(off.id))) {
      strike.count('partner-down-done');
      return done();
    }
    if (survivors.length > 0) ask(world, random.pick(survivors), { kind: 'partner-down', node: off.id });
    return strike.later(random.between(...LOOK_MS), look);
  };
  strike.later(random.between(3500, 10_000), look);
}

// ── an etcd that was restored ──────────────────────────────────────────────────────────────────

/**
 * Until every node trusts etcd again. Members hold everything that was committed, so one of them is told to
 * go on; who stands in their way is switched off for it. Goes on after all faults have stopped.
 */
function recoverFromEtcd(world: World, generation: number, done: () => void): void {
  const { agenda, random } = world;
  const off = new Set<SimNode>();
  const again = (): void => agenda.after(random.between(...LOOK_MS), look);
  const look = (): void => {
    if ((world.viewInEtcd()?.generation ?? 0) > generation) {
      world.count('fault:etcd-restored-recovered');
      for (const node of off) letOn(world, node);
      return done();
    }
    const members = world.nodes.filter((each) => isMember(each) && !each.paused);
    const answer = members.length > 0 ? askMember(world, random.pick(members), off) : askOutsider(world, off);
    // "If it is switched off as well, say so first."
    const [, inTheWay] = answer?.ok === false ? /\(lessor partner-down (\w+)\)/.exec(answer.text) ?? [] : [];
    const blocking = world.nodes.find(({ id }) => id === inTheWay);
    if (blocking !== undefined && !isMember(blocking) && !blocking.lockedOff) {
      lockOff(world, blocking);
      off.add(blocking);
    }
    return again();
  };
  again();
}

function askMember(world: World, member: SimNode, off: ReadonlySet<SimNode>): OperatorAnswer | undefined {
  const absent = [...off].filter((each) => member.engine!.core.isMember(each.id));
  if (absent.length === 0) return ask(world, member, { kind: 'recover', force: true });
  // All of them, one after the other: the node puts them together.
  return absent.map((each) => ask(world, member, { kind: 'partner-down', node: each.id })).at(-1);
}

/**
 * No member is left. All stores must have been asked, or the one that is taken is not the best; but who was declared to
 * be off stays off as long as etcd has not heard of what goes on without it.
 */
function askOutsider(world: World, off: Set<SimNode>): OperatorAnswer | undefined {
  const unwritten = isUnwritten(world);
  if (!unwritten) {
    for (const node of off) letOn(world, node);
    off.clear();
  }
  const counted = unwritten ? world.nodes.filter(({ lockedOff }) => !lockedOff) : world.nodes;
  const all = counted.every((node) => node.alive && !node.paused &&
    [...node.engine!.core.state.peers.values()].every(({ id, introduced }) => introduced !== undefined || !counted.some((each) => each.id === id)));
  return all && counted.length > 0 ? ask(world, world.random.pick(counted), { kind: 'recover', force: true }) : undefined;
}

// ── a store that is taken for the truth ────────────────────────────────────────────────────────

/** What all others have is gone, or is not to be waited for. Goes on after all faults have stopped. */
function recoverAlone(world: World, left: SimNode, done: () => void): void {
  const { agenda, random } = world;
  let lost: number | undefined;
  const look = (): void => {
    if (left.alive && isMember(left)) {
      world.log(`${left.id} has begun anew; ${lost} leases are lost`);
      world.count('fault:recover-force-done');
      world.names.onLost(left);
      return done();
    }
    const force = random.chance(0.8);
    // It may be stopped in the middle of its answer.
    const unknown = left.alive ? world.unknownTo(left) : [];
    const answer = ask(world, left, { kind: 'recover', force });
    if (force && answer?.ok === true && lost === undefined) {
      world.lose(unknown);
      lost = unknown.length;
      world.count('fault:leases-lost', lost);
    }
    agenda.after(random.between(...LOOK_MS), look);
    return undefined;
  };
  agenda.after(LATE_MS, look);
}

export const LAST_RESORTS = {
  'partner-down': { weight: 2, nodes: 2, clustered: true, shows: ['partner-down-done', 'event:cluster.generation-written'], strike: (strike) => {
    const { node, other, random, world } = strike;
    if (!inOrder(strike) || world.etcdPath.down) return false;
    const off = world.nodes.length > 2 && random.chance(0.2) ? [node, other] : [node];
    world.etcdPath.down = true;
    strike.lasts(random.between(20_000, 240_000), () => {
      world.etcdPath.down = false;
    });
    strike.later(random.between(3000, 8000), () => {
      for (const each of off) {
        lockOff(world, each);
        strike.lasts(300_000, () => letOn(world, each));
        declareDown(strike, each, () => strike.later(random.between(0, 40_000), () => letOn(world, each)));
      }
    });
    return true;
  } },
  'etcd-restored': { weight: 1, nodes: 2, clustered: true, shows: ['etcd-restored-done', 'etcd-restored-recovered', 'event:etcd.went-back'], strike: (strike) => {
    const { random, world } = strike;
    const { etcd } = world;
    if (!inOrder(strike) || world.etcdPath.down || hasGoneBack(world)) return false;
    // A backup from before the cluster was there is an empty etcd.
    const snapshot = random.chance(0.2) ? { revision: 1, keys: new Map(), leases: new Map() } : etcd.snapshot();
    // What is promised supposes that all nodes are members and linked, and that nothing else is broken.
    strike.later(strike.spell(2000, 300_000, 1_800_000), () => {
      if (!inOrder(strike) || !strike.isAlone() || world.etcdPath.down || hasGoneBack(world)) return;
      const generation = world.viewInEtcd()!.generation;
      world.log('etcd is restored');
      etcd.restore(snapshot, world.now, random.chance(0.5) ? String(random.u32()) : undefined);
      strike.count('etcd-restored-done');
      const done = strike.until();
      // Somebody is told of it, and comes.
      strike.lasts(random.between(2000, 240_000), () => recoverFromEtcd(world, generation, done));
    });
    return true;
  } },
  'recover-force': { weight: 1, nodes: 2, clustered: true, shows: ['recover-force-done', 'leases-lost'], strike: (strike) => {
    const { node: left, random, world } = strike;
    if (!inOrder(strike) || world.etcdPath.down || hasGoneBack(world)) return false;
    lockOff(world, left);
    const goneMs = random.between(5000, 120_000);
    strike.later(goneMs, () => {
      // Whoever is to go on must be able to start.
      if (hasGoneBack(world) || world.operator.atStart(left.id) === undefined) return;
      // What they have counts for nothing any more, also where it is still there.
      const others = world.nodes.filter((each) => each !== left);
      for (const each of others) {
        lockOff(world, each);
        if (random.chance(0.5)) each.disk.wipe();
      }
      const over = strike.until();
      recoverAlone(world, left, () => {
        for (const each of others) world.agenda.after(random.between(1000, 60_000), () => letOn(world, each));
        over();
      });
    });
    strike.lasts(goneMs + 1, () => letOn(world, left));
    return true;
  } },
  // Told to a node that needs no last resort: a live member is never recovered over.
  'recover-refused': { weight: 1, nodes: 2, clustered: true, shows: ['recover-refused-done'], strike: (strike) => {
    const { random, world } = strike;
    const outside = world.nodes.filter((each) => each.alive && !each.paused && !isMember(each) && each.engine!.core.state.wentBack === '' &&
      [...each.engine!.core.state.peers.values()].some(({ introduced, connected }) => connected && introduced?.member === true));
    const asked = outside.length > 0 ? random.pick(outside) : strike.node;
    if (!asked.alive || asked.paused || (outside.length === 0 && (!isMember(asked) || asked.engine!.core.state.wentBack !== ''))) return false;
    const answer = ask(world, asked, { kind: 'recover', force: true });
    if (answer?.ok === true) throw new PromiseBroken(`${asked.id} begins a new generation although others serve: ${answer.text}`);
    strike.count('recover-refused-done');
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
