/**
 * No slot has two owners: in one epoch of one generation all committed changes of a slot are one
 * incarnation's. A node that was evicted without noticing it may still take itself for the owner; it
 * must not commit anything.
 */
import { recordEpoch } from '../../../node/lease/record.ts';
import { PromiseBroken } from '../checker.ts';
import type { SimNode } from '../node.ts';

/** Epochs are below, slots in the eight bits under them. */
const EPOCHS = 2 ** 32;
const SLOTS = 256;

export class Commits {
  /** How far a node's log has been looked at, and of which incarnation. */
  readonly #seen = new Map<SimNode, { readonly incarnation: number; seq: number }>();
  /** By generation, epoch and slot: the incarnation that committed a change. */
  readonly #maker = new Map<number, number>();
  count = 0;

  /** After each turn of a node. */
  onTurn(node: SimNode): void {
    const { core, incarnation } = node.engine!;
    const { committedSeq, log, view } = core.state;
    let seen = this.#seen.get(node);
    if (seen?.incarnation !== incarnation) {
      seen = { incarnation, seq: 0 };
      this.#seen.set(node, seen);
    }
    while (seen.seq < committedSeq) {
      const { address, record } = log.at(++seen.seq)!;
      this.#committed(node, incarnation, (view!.generation * EPOCHS + recordEpoch(record)) * SLOTS + (address & 255));
    }
  }

  #committed(node: SimNode, incarnation: number, key: number): void {
    this.count++;
    const before = this.#maker.get(key);
    if (before === undefined) this.#maker.set(key, incarnation);
    else if (before !== incarnation) {
      throw new PromiseBroken(`${node.id} committed a change of slot ${key % SLOTS} in epoch ${Math.floor(key / SLOTS) % EPOCHS}, and so did another node`);
    }
  }
}
