/** Those who look on while a world runs, and must never see a promise broken. */
import type { SimNode } from '../node.ts';
import type { World } from '../world.ts';
import { Bounds } from './bounds.ts';
import { Commits } from './commits.ts';
import { Querier } from './querier.ts';

/** Bounds are looked at this often while something happens, and otherwise. */
const LIVELY_MS = 5000;
const CALM_MS = 30_000;

export class Watch {
  readonly #world: World;
  readonly #commits = new Commits();
  readonly #querier: Querier;
  readonly #bounds: Bounds;

  constructor(world: World) {
    this.#world = world;
    this.#querier = new Querier(world);
    this.#bounds = new Bounds(world);
  }

  begin(): void {
    this.#querier.begin();
    this.#checkBounds();
  }

  #checkBounds(): void {
    const { agenda, now, rhythm } = this.#world;
    this.#bounds.check();
    agenda.after(rhythm.isLively(now) ? LIVELY_MS : CALM_MS, () => this.#checkBounds());
  }

  /** After each turn of a node, before what it decided is carried out. */
  onTurn(node: SimNode): void {
    this.#commits.onTurn(node);
    this.#querier.onTurn(node);
  }

  /** Nothing has been broken for long. */
  atEnd(): void {
    this.#bounds.checkInboxes();
    this.#world.count('commits', this.#commits.count);
  }
}
