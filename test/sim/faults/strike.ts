/**
 * One fault that strikes a world: what it is, whom it hits, how long it lasts, and the tools that all
 * kinds of faults share. It is over when everything that it began has been mended.
 */
import type { SimNode } from '../node.ts';
import type { Step, Trap } from '../node-world.ts';
import type { Random } from '../random.ts';
import type { World } from '../world.ts';

export interface FaultKind {
  /** How often it is drawn, beside the others. */
  readonly weight: number;
  /** The fewest nodes that it takes. */
  readonly nodes?: 2 | 3;
  /** Needs etcd. */
  readonly clustered?: true;
  /** What must have been counted in a long run: that it not only struck, but bit. */
  readonly shows?: readonly string[];
  /** What a world needs in which it may strike. */
  readonly prepare?: (world: World) => void;
  /** False: as things are it would hit nothing. */
  readonly strike: (strike: Strike) => boolean;
}

/** What mends the world where a strike does not do it in time. */
export interface Mending {
  /** False once all faults have stopped. */
  readonly active: boolean;
  /** Those that are not over. */
  readonly strikes: readonly Strike[];
  readonly mends: Set<() => void>;
}

export class Strike {
  readonly kind: string;
  readonly world: World;
  readonly random: Random;
  readonly node: SimNode;
  /** Another one; the same where there is none. */
  readonly other: SimNode;
  readonly since: number;
  /** Undefined: it goes on. */
  endedAt: number | undefined;
  readonly #mending: Mending;
  /** Parts of it that are not over. */
  #open = 0;

  constructor(kind: string, world: World, mending: Mending) {
    this.kind = kind;
    this.world = world;
    this.random = world.random;
    this.node = this.random.pick(world.nodes);
    const others = world.nodes.filter((candidate) => candidate !== this.node);
    this.other = others.length > 0 ? this.random.pick(others) : this.node;
    this.since = world.now;
    this.#mending = mending;
  }

  /** Of a strike that began nothing which lasts. */
  begun(): void {
    if (this.#open === 0) this.endedAt = this.world.now;
  }

  /** Nothing else is broken at this moment. */
  isAlone(): boolean {
    return this.#mending.strikes.every((strike) => strike === this);
  }

  /** Something that ends when it says so, also after all faults have stopped. */
  until(): () => void {
    this.#open++;
    return () => this.#closed();
  }

  #closed(): void {
    if (--this.#open === 0) this.endedAt = this.world.now;
  }

  /** Evidence that it did what it is meant to do. */
  count(what: string): void {
    this.world.count(`fault:${what}`);
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────

  /** Mostly between the two, sometimes up to most of the world's time. */
  spell(low: number, high: number, longestMs: number): number {
    return this.random.chance(0.06) ? this.random.between(high, longestMs) : this.random.between(low, high);
  }

  /** Is mended after so long, or when all faults stop. */
  lasts(ms: number, mend: () => void): void {
    this.#open++;
    const { mends } = this.#mending;
    const once = (): void => {
      if (!mends.delete(once)) return;
      this.world.struck();
      mend();
      this.#closed();
    };
    mends.add(once);
    this.world.agenda.after(ms, once);
  }

  /** Goes on with this, unless all faults have stopped by then. */
  later(ms: number, run: () => void): void {
    this.#open++;
    this.world.agenda.after(ms, () => {
      if (this.#mending.active) {
        this.world.struck();
        run();
      }
      this.#closed();
    });
  }

  /** Again and again for so long. */
  repeats(everyMs: number, ms: number, run: () => void): void {
    for (let at = everyMs; at < ms; at += everyMs) this.later(at, run);
  }

  // ── what many of them do ─────────────────────────────────────────────────────────────────────

  /** `dark`: the whole host is off, and nothing refuses connections in its name. */
  crash(node: SimNode, downMs: number, dark = false): void {
    const { world } = this;
    if (!node.alive) return;
    world.log(`${node.id} ${dark ? 'loses power' : 'crashes'}`);
    world.stopNode(node, dark);
    this.lasts(downMs, () => world.bootNode(node));
  }

  pause(node: SimNode, ms: number): void {
    if (!node.alive || node.paused) return;
    const { start } = node;
    this.world.log(`${node.id} stands still for ${Math.round(ms)} ms`);
    node.pause();
    this.world.links.paused(node);
    this.lasts(ms, () => {
      if (node.start === start) node.resume();
    });
  }

  cut(from: SimNode, to: SimNode, bothWays: boolean, ms: number): void {
    const { links } = this.world;
    links.cut(from, to, bothWays);
    this.lasts(ms, () => links.join(from, to));
  }

  cutFromEtcd(node: SimNode, ms: number): void {
    const { etcdPath } = this.world;
    etcdPath.cut(node);
    this.lasts(ms, () => etcdPath.join(node));
  }

  /** Whoever of them comes to such a step first is stopped there; given up after a while. */
  trap(nodes: readonly SimNode[], ms: number, trap: Omit<Trap, 'spring'>, spring: (node: SimNode, step: Step) => void): void {
    const traps = nodes.map((node) => ({
      node, trap: { ...trap, spring: (step: Step): void => {
        unset();
        if (this.#mending.active) spring(node, step);
      } } satisfies Trap,
    }));
    const unset = (): void => {
      for (const each of traps) each.node.unset(each.trap);
    };
    for (const each of traps) each.node.set(each.trap);
    this.lasts(ms, unset);
  }
}

/** What a step is called, for those who stop a node there. */
export function nameOf(step: Step): string {
  if (step.kind === 'message') return step.message.body?.$case ?? '';
  if (step.kind !== 'etcd') return step.kind;
  const { request } = step;
  if (request.kind !== 'txn') return request.kind;
  for (const op of request.then) {
    const name = 'key' in op ? op.key : op.prefix;
    const [root] = name.split('/');
    if (op.op === 'put') return `put-${root}`;
    if (op.op === 'delete' || op.op === 'delete-prefix') return `${op.op}-${root}`;
    if (root === 'inbox') return 'read-inbox';
  }
  return 'read';
}
