/** Moments of a node's store that may be told as a whole: asked for, marked and handed out as by the thread that answers over TCP. */
import type { SnapshotStep } from '../../../node/leasequery/snapshot-step.ts';
import { wallSeconds } from '../../../node/time.ts';
import type { DiskMoment } from '../disk.ts';
import type { SimNode } from '../node.ts';

export interface Moment {
  readonly store: DiskMoment;
  /** By the node's clock, when it was asked for. */
  readonly second: number;
}

interface Asked {
  readonly start: number;
  readonly second: number;
  store?: DiskMoment | undefined;
  /** Undefined: there is none. */
  readonly done: (moment: Moment | undefined) => void;
}

export class Moments {
  readonly #asked = new Map<SimNode, Map<number, Asked>>();
  #id = 0;

  /** The answer never comes where the node stops before. */
  ask(node: SimNode, done: Asked['done']): void {
    const asked = this.#asked.get(node) ?? new Map<number, Asked>();
    this.#asked.set(node, asked);
    for (const [id, { start }] of asked) if (start !== node.start) asked.delete(id);
    const id = ++this.#id;
    asked.set(id, { start: node.start, second: wallSeconds(node.now().wall), done });
    node.askSnapshot(id);
  }

  /** In the turn that says it, as `QueryThread` does. */
  onTurn(node: SimNode, steps: readonly SnapshotStep[]): void {
    for (const { id, step } of steps) {
      const asked = this.#asked.get(node)?.get(id);
      if (asked === undefined) continue;
      if (step === 'mark') {
        asked.store = node.markDisk();
        continue;
      }
      this.#asked.get(node)!.delete(id);
      const { done, second, store } = asked;
      done(step === 'ready' && store !== undefined ? { store, second } : undefined);
    }
  }
}
