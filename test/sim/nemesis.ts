/** Breaks things, one or several at a time, each for a while; and mends them all at the end. */
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

/** Every kind of fault; a run over many seeds in which one never happened proves too little. */
export const FAULTS = {
  crash: 4, 'power-cut': 1, pause: 3, 'link-cut': 3, 'link-cut-one-way': 1, 'link-break': 2, 'link-slow': 2,
  'etcd-cut': 2, 'etcd-down': 1, 'etcd-lossy': 2, 'etcd-slow': 1, 'etcd-leader-change': 1, 'disk-slow': 2, 'disk-wiped': 1,
  'client-lossy': 1, 'client-late': 2, 'client-cut': 1, 'drain': 1, 'pause-then-etcd-cut': 2, 'link-cut-then-crash': 3,
  'power-cut-while-flushing': 2, 'unread-inbox': 3, 'late-batch': 3, 'clock-step': 1, 'config-change': 3,
} as const;
export type Fault = keyof typeof FAULTS;

const NEEDS_TWO: ReadonlySet<Fault> = new Set([
  'link-cut', 'link-cut-one-way', 'link-break', 'link-slow', 'link-cut-then-crash', 'disk-wiped', 'unread-inbox', 'late-batch', 'clock-step',
]);

export class Nemesis {
  readonly #world: World;
  /** Drawn for this world: a world in which everything breaks at once shows less than one with a theme. */
  readonly #menu: Fault[] = [];
  #active = true;
  #mend: (() => void)[] = [];

  constructor(world: World) {
    this.#world = world;
    const { random } = world;
    const kinds = Object.keys(FAULTS) as Fault[];
    const chosen = random.chance(0.3) ? kinds : kinds.filter(() => random.chance(0.4));
    for (const kind of chosen) for (let i = 0; i < FAULTS[kind]; i++) this.#menu.push(kind);
  }

  begin(untilMs: number): void {
    const { agenda, random } = this.#world;
    const next = (): void => {
      agenda.after(this.#world.rhythm.untilNext(), () => {
        if (agenda.now > untilMs || !this.#active) return;
        if (this.#menu.length > 0) this.#strike(random.pick(this.#menu));
        next();
      });
    };
    agenda.after(5000, next);
  }

  /** All is well again: what was cut is joined, what is down comes up. */
  end(): void {
    this.#active = false;
    for (const mend of this.#mend) mend();
    const world = this.#world;
    if (world.clustered) world.operator.settle();
    world.etcdDown = false;
    world.etcdLossy = 0;
    world.etcdSlow = false;
    world.clientLoss = 0;
    world.clientLate = 0;
    world.etcdCut.clear();
    world.clientCut.clear();
    world.links.cuts.clear();
    world.links.slow.clear();
    for (const node of world.nodes) {
      node.diskSlowUntil = 0;
      if (!node.alive) world.agenda.after(world.random.between(0, 3000), () => world.bootNode(node));
    }
  }

  #for(ms: number, mend: () => void): void {
    let mended = false;
    const once = (): void => {
      if (!mended) mend();
      mended = true;
    };
    this.#mend.push(once);
    this.#world.agenda.after(ms, once);
  }

  #strike(fault: Fault): void {
    const world = this.#world;
    const { random } = world;
    const node = random.pick(world.nodes);
    const others = world.nodes.filter((candidate) => candidate !== node);
    const other = others.length > 0 ? random.pick(others) : undefined;
    if (other === undefined && NEEDS_TWO.has(fault)) return;
    if (!world.clustered && (fault.startsWith('etcd') || fault === 'pause-then-etcd-cut')) return;
    world.struck();
    world.log(`*** ${fault} ${node.id}${other === undefined ? '' : ` ${other.id}`}`);
    world.count(`fault:${fault}`);
    this.#do(fault, node, other);
  }

  #do(fault: Fault, node: SimNode, other: SimNode | undefined): void {
    const world = this.#world;
    const { random, agenda } = world;
    switch (fault) {
      case 'crash': return this.#crash(node, random.between(200, 15_000));
      case 'power-cut':
        for (const each of world.nodes) this.#crash(each, random.between(200, 10_000));
        return undefined;
      case 'pause': return node.pause(random.chance(0.5) ? random.between(100, 3000) : random.between(3000, 60_000));
      case 'link-cut': return this.#cut(node, other!, true, random.between(300, 30_000));
      case 'link-cut-one-way': return this.#cut(node, other!, false, random.between(300, 15_000));
      case 'link-break': return world.links.break(node, other!);
      case 'link-slow': {
        const [a, b] = [node.id, other!.id].toSorted();
        world.links.slow.set(`${a} ${b}`, world.now + random.between(500, 10_000));
        return undefined;
      }
      case 'etcd-cut':
        world.etcdCut.add(node.id);
        return this.#for(random.between(500, 40_000), () => world.etcdCut.delete(node.id));
      case 'etcd-down':
        world.etcdDown = true;
        return this.#for(random.between(500, 60_000), () => {
          world.etcdDown = false;
          world.etcd.grantAll(world.now);
        });
      case 'etcd-lossy':
        world.etcdLossy = random.between(0.05, 0.5);
        return this.#for(random.between(2000, 30_000), () => {
          world.etcdLossy = 0;
        });
      case 'etcd-slow':
        world.etcdSlow = true;
        return this.#for(random.between(2000, 20_000), () => {
          world.etcdSlow = false;
        });
      case 'etcd-leader-change': return world.etcd.grantAll(world.now);
      case 'disk-slow':
        node.diskSlowUntil = world.now + random.between(500, 8000);
        return undefined;
      case 'disk-wiped': return this.#wipe(node);
      case 'client-lossy':
        world.clientLoss = random.between(0.1, 0.5);
        return this.#for(random.between(2000, 20_000), () => {
          world.clientLoss = 0.01;
        });
      case 'client-late':
        world.clientLate = random.between(0.05, 0.3);
        return this.#for(random.between(2000, 20_000), () => {
          world.clientLate = 0;
        });
      case 'client-cut':
        world.clientCut.add(node.id);
        return this.#for(random.between(1000, 20_000), () => world.clientCut.delete(node.id));
      case 'drain':
        node.drain();
        return undefined;
      case 'pause-then-etcd-cut': {
        const pauseMs = random.between(3500, 9000);
        node.pause(pauseMs);
        world.etcdCut.add(node.id);
        this.#later(pauseMs + 500, () => world.wakeClients(0.6));
        this.#later(pauseMs + 2500, () => world.wakeClients(1));
        return this.#for(random.between(12_000, 30_000), () => world.etcdCut.delete(node.id));
      }
      case 'link-cut-then-crash':
        this.#cut(node, other!, true, random.between(500, 20_000));
        agenda.after(random.between(300, 8000), () => {
          if (this.#active) this.#crash(node, random.between(200, 15_000));
        });
        return undefined;
      case 'power-cut-while-flushing':
        for (const each of world.nodes) each.diskSlowUntil = world.now + 4000;
        return this.#later(random.between(300, 4000), () => {
          for (const each of world.nodes) this.#crash(each, random.between(200, 10_000));
        });
      // The one that leads takes over fastest, and has the least time to read its inbox by chance.
      case 'unread-inbox': return other!.engine?.core.leader.leads === true ? this.#unreadInbox(node, other!) : this.#unreadInbox(other!, node);
      case 'late-batch': return this.#lateBatch(node, other!);
      case 'config-change':
        if (world.clustered) world.operator.apply();
        return undefined;
      case 'clock-step': return this.#stepClock(node);
      default: return fault satisfies never;
    }
  }

  #crash(node: SimNode, downMs: number): void {
    const world = this.#world;
    if (!node.alive) return;
    world.log(`${node.id} crashes`);
    world.stopNode(node);
    this.#for(downMs, () => world.bootNode(node));
  }

  #cut(a: SimNode, b: SimNode, bothWays: boolean, ms: number): void {
    const { links } = this.#world;
    const ways = bothWays ? [`${a.id}>${b.id}`, `${b.id}>${a.id}`] : [`${a.id}>${b.id}`];
    links.cut(ways, a, b);
    this.#for(ms, () => {
      for (const way of ways) links.cuts.delete(way);
    });
  }

  #later(ms: number, run: () => void): void {
    this.#world.agenda.after(ms, () => {
      if (this.#active) run();
    });
  }

  /**
   * Commits go through the inbox of one that cannot read it; then their owner dies, and the heir, which
   * has not lost its session, takes over at once and reaches etcd badly.
   */
  #unreadInbox(owner: SimNode, heir: SimNode): void {
    const world = this.#world;
    const { random } = world;
    const cutMs = random.between(900, 2400);
    this.#cut(owner, heir, true, cutMs);
    world.etcdCut.add(heir.id);
    world.wakeClients(0.5);
    this.#later(cutMs, () => {
      this.#crash(owner, random.between(5000, 15_000));
      world.etcdLossy = random.between(0.3, 0.6);
      world.wakeClients(1);
    });
    this.#for(cutMs, () => world.etcdCut.delete(heir.id));
    this.#for(cutMs + 4000, () => {
      world.etcdLossy = 0;
    });
  }

  /**
   * A change is held up in the network until its maker has been evicted, which has not heard of it and
   * still waits for the acknowledgement; meanwhile its heir gives addresses away.
   */
  #lateBatch(owner: SimNode, heir: SimNode): void {
    const world = this.#world;
    const { random } = world;
    world.etcdCut.add(owner.id);
    this.#for(random.between(12_000, 20_000), () => world.etcdCut.delete(owner.id));
    this.#later(random.between(900, 1300), () => {
      this.#cut(owner, heir, false, random.between(3300, 3950));
      this.#later(300, () => world.wakeClients(0.6));
      this.#later(2800, () => world.wakeClients(1));
    });
  }

  /** A wall clock that is wrong for a while, on a node that has others to compare it with. */
  #stepClock(node: SimNode): void {
    const world = this.#world;
    const inService = world.nodes.filter((each) => each.engine?.core.nodeState === 'NORMAL' && !each.paused);
    if (inService.length < 2 || !inService.includes(node)) return;
    const step = world.random.pick([-1, 1]) * world.random.between(20_000, 120_000);
    node.clockStepMs = step;
    this.#for(world.random.between(3000, 20_000), () => {
      node.clockStepMs = 0;
    });
  }

  /** A new disk in one machine, while another is in service: one fault, as the promises suppose. */
  #wipe(node: SimNode): void {
    const world = this.#world;
    // The view that counts is etcd's: the disk of its only member is not one that another one has.
    const serves = world.nodes.some((each) => each !== node && !each.paused && each.engine?.core.state.finished === true &&
      each.engine.core.state.view?.epoch === world.epochInEtcd() && each.engine.core.isMember(each.id));
    if (!serves || !node.alive) return;
    this.#crash(node, world.random.between(500, 5000));
    node.disk.wipe();
    world.count('fault:disk-wiped-done');
  }
}
