/** Those who look on while a world runs, and must never see a promise broken. */
import type { Outputs } from '../../../cluster/core/engine.ts';
import type { OutgoingPacket } from '../../../node/server/ports.ts';
import type { SimNode } from '../node.ts';
import type { World } from '../world.ts';
import { Bounds } from './bounds.ts';
import { BulkReader } from './bulk-reader.ts';
import { Commits } from './commits.ts';
import { Moments } from './moments.ts';
import { Promises } from './promises.ts';
import { Querier } from './querier.ts';
import { Subscriber } from './subscriber.ts';

/** Bounds are looked at this often while something happens, and otherwise. */
const LIVELY_MS = 5000;
const CALM_MS = 30_000;

export class Watch {
  readonly #world: World;
  readonly #commits = new Commits();
  readonly #moments = new Moments();
  readonly #promises: Promises;
  readonly #querier: Querier;
  readonly #bulkReader: BulkReader;
  readonly #subscriber: Subscriber;
  readonly #bounds: Bounds;

  constructor(world: World) {
    this.#world = world;
    this.#promises = new Promises(world.nodes);
    this.#querier = new Querier(world);
    this.#bulkReader = new BulkReader(world, this.#moments, this.#promises);
    this.#subscriber = new Subscriber(world, this.#moments, this.#promises);
    this.#bounds = new Bounds(world);
  }

  begin(): void {
    this.#querier.begin();
    this.#bulkReader.begin();
    this.#subscriber.begin();
    this.#checkBounds();
  }

  #checkBounds(): void {
    const { agenda, now, rhythm } = this.#world;
    this.#bounds.check();
    agenda.after(rhythm.isLively(now) ? LIVELY_MS : CALM_MS, () => this.#checkBounds());
  }

  /** After each turn of a node, before what it decided is carried out. */
  onTurn(node: SimNode, { snapshots }: Outputs): void {
    this.#commits.onTurn(node);
    if (snapshots.length > 0) this.#moments.onTurn(node, snapshots);
    this.#subscriber.onTurn(node);
  }

  /** To the requestor. */
  onAnswer(node: SimNode, packet: OutgoingPacket): void {
    this.#querier.onAnswer(node, packet);
  }

  /** What members have that have all that any of them has made. */
  onLevel(members: readonly SimNode[]): void {
    this.#promises.check(members[0]!);
  }

  /** By an operator's word a node's store is the truth from now on, and what others have is not. */
  onLost(): void {
    this.#promises.forget();
    this.#subscriber.forget();
    this.#world.tenures.lost();
  }

  /** Nothing has been broken for long. */
  atEnd(): void {
    this.#bounds.checkInboxes();
    this.#promises.check(this.#world.nodes[0]!);
    this.#world.tenures.atEnd(this.#world.nodes);
    const run = (ms: number): void => this.#world.agenda.run(this.#world.now + ms);
    this.#subscriber.checkAllTold(() => this.#world.now, run);
    this.#querier.checkAllAnswer(run);
    this.#world.count('commits', this.#commits.count);
  }
}
