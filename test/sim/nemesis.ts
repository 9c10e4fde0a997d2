/**
 * Breaks things, one or several at a time, each for a while; and mends them all at the end. What there
 * is to break stands in `faults`; here is when, and how much at once.
 *
 * A world has a theme and a pace: where everything breaks at once all the time, most rules are never
 * reached. Between bursts of faults it is quiet for minutes, as it is in life.
 */
import { CLOCK_FAULTS } from './faults/clock.ts';
import { CLIENT_FAULTS } from './faults/clients.ts';
import { DISK_FAULTS } from './faults/disk.ts';
import { ETCD_FAULTS } from './faults/etcd.ts';
import { JOIN_FAULTS } from './faults/joins.ts';
import { LAST_RESORTS } from './faults/last-resorts.ts';
import { NETWORK_FAULTS } from './faults/network.ts';
import { OPERATOR_FAULTS } from './faults/operator.ts';
import { PROCESS_FAULTS } from './faults/process.ts';
import { SCHEMES } from './faults/schemes.ts';
import { Strike } from './faults/strike.ts';
import type { FaultKind } from './faults/strike.ts';
import { TAKEOVER_FAULTS } from './faults/takeovers.ts';
import { drawVersions, UPGRADES } from './faults/upgrades.ts';
import type { World } from './world.ts';

const FAMILIES = [PROCESS_FAULTS, DISK_FAULTS, NETWORK_FAULTS, ETCD_FAULTS, CLOCK_FAULTS, OPERATOR_FAULTS, UPGRADES, LAST_RESORTS, CLIENT_FAULTS, SCHEMES, JOIN_FAULTS, TAKEOVER_FAULTS] as const;

/** Every kind of fault; a run over many seeds in which one never happened proves too little. */
export const FAULTS: Readonly<Record<string, FaultKind>> = Object.assign({}, ...FAMILIES) as Record<string, FaultKind>;

/** `one-by-one`: each strikes a cluster that is in order again. */
type Pace = 'one-by-one' | 'bursts' | 'storms';

/** A cluster that does not come into order again is struck all the same. */
const PATIENCE_MS = 120_000;

export class Nemesis {
  readonly #world: World;
  /** Drawn for this world, each as often as it weighs. */
  readonly #menu: string[] = [];
  readonly #pace: Pace;
  readonly mends = new Set<() => void>();
  active = true;
  #strikes: Strike[] = [];
  #only: Strike | undefined;

  constructor(world: World, theme?: readonly string[]) {
    this.#world = world;
    const { random } = world;
    for (const kind of theme ?? this.#theme()) {
      const { clustered, nodes = 1, prepare, weight } = FAULTS[kind]!;
      if (nodes > world.nodes.length || (clustered === true && !world.clustered)) continue;
      for (let i = 0; i < weight; i++) this.#menu.push(kind);
      prepare?.(world);
    }
    if (world.clustered) drawVersions(world);
    this.#pace = random.pick(['one-by-one', 'bursts', 'bursts', 'storms'] as const);
  }

  #theme(): string[] {
    const { random } = this.#world;
    const kinds = Object.keys(FAULTS);
    if (random.chance(0.2)) return kinds;
    if (random.chance(0.6)) return kinds.filter(() => random.chance(0.35));
    const families = FAMILIES.filter(() => random.chance(0.35));
    return families.flatMap((family) => Object.keys(family));
  }

  // ── what strikes now ─────────────────────────────────────────────────────────────────────────

  /** Strikes that are not over. */
  get strikes(): readonly Strike[] {
    this.#strikes = this.#strikes.filter(({ endedAt }) => endedAt === undefined);
    return this.#strikes;
  }

  /** The last strike, if it hit a cluster in order and nothing else has happened since, whether it is over or not. */
  get only(): Strike | undefined {
    return this.#only;
  }

  // ── when ─────────────────────────────────────────────────────────────────────────────────────

  begin(untilMs: number): void {
    if (this.#menu.length === 0) return;
    const { agenda, random } = this.#world;
    const soon = (ms: number, run: () => void): void => agenda.after(ms, () => {
      if (agenda.now <= untilMs && this.active) run();
    });
    const oneByOne = (since: number): void => {
      const inOrder = this.strikes.length === 0 && this.#world.isInOrder();
      if (!inOrder && agenda.now - since < PATIENCE_MS) return soon(1000, () => oneByOne(since));
      this.#strike();
      return soon(random.between(10_000, 150_000), () => oneByOne(agenda.now));
    };
    const burst = (left: number, everyMs: number): void => {
      this.#strike();
      if (left > 1) soon(random.between(0.2, 1.8) * everyMs, () => burst(left - 1, everyMs));
      else soon(random.between(100_000, this.#pace === 'bursts' ? 600_000 : 900_000), next);
    };
    const next = (): void => {
      if (this.#pace === 'one-by-one') oneByOne(agenda.now);
      else if (this.#pace === 'bursts') burst(random.int(2, 6), random.pick([1000, 4000, 8000, 15_000]));
      else burst(random.int(6, 24), random.pick([4000, 8000, 15_000]));
    };
    soon(random.between(4000, 30_000), next);
  }

  #strike(): void {
    const world = this.#world;
    const kind = world.random.pick(this.#menu);
    const inOrder = this.strikes.length === 0 && world.isInOrder();
    const strike = new Strike(kind, world, this);
    world.struck();
    world.log(`*** ${kind} ${strike.node.id}${strike.other === strike.node ? '' : ` ${strike.other.id}`}`);
    if (!FAULTS[kind]!.strike(strike)) return;
    strike.begun();
    world.count(`fault:${kind}`);
    this.#strikes.push(strike);
    this.#only = inOrder ? strike : undefined;
  }

  /** All is well again: what was cut is joined, what is down comes up. */
  end(): void {
    this.active = false;
    const world = this.#world;
    for (const mend of this.mends) mend();
    if (world.clustered) world.operator.settle();
    world.etcdPath.mend();
    world.clientPath.mend();
    world.links.mend();
    for (const node of world.nodes) {
      node.resume();
      node.clock.set();
      if (!node.alive) world.agenda.after(world.random.between(0, 3000), () => world.bootNode(node));
    }
  }
}
