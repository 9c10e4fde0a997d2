/**
 * Which classes a request is in. All conditions are made ready once; a request's values are then read
 * once each, and the classes decided in their order, since a class may refer to those before it.
 */
import assert from 'node:assert/strict';
import type { DhcpMessage } from '../codec/message.ts';
import { Candidates } from './candidates.ts';
import { ClassSets, NO_CLASSES } from './class-set.ts';
import type { ClassSet } from './class-set.ts';
import { compile } from './conditions.ts';
import type { Predicate } from './conditions.ts';
import { Facts } from './facts.ts';
import type { ClassConfig } from './types.ts';

export { isLetIn, mayPass, NO_CLASSES } from './class-set.ts';
export type { ClassSet } from './class-set.ts';

export interface ClassRequest {
  readonly message: DhcpMessage;
  /** What stands for option 82 where the message has none: what the relay said when the lease was granted. */
  readonly relayAgentInformation?: Buffer | undefined;
  /** The interface that it came in on. */
  readonly interfaceName: string;
  /** The client has a reservation. */
  readonly known: boolean;
}

export class ClassMatcher {
  readonly #facts = new Facts();
  readonly #predicates: readonly Predicate[];
  readonly #candidates: Candidates;
  /** By class index, for the request at hand: 1 where it is in the class. */
  readonly #truth: Uint8Array;
  /** The classes that it is in, the first `#count`. */
  readonly #matched: Uint32Array;
  #count = 0;
  readonly #sets: ClassSets;

  /** The classes in their order, each at its own index. */
  constructor(classes: readonly ClassConfig[]) {
    assert(classes.every(({ index }, at) => index === at), 'a class stands at its index');
    this.#truth = new Uint8Array(classes.length);
    this.#matched = new Uint32Array(classes.length);
    this.#predicates = classes.map(({ condition, index }) => compile(condition, this.#facts, this.#truth, index));
    this.#candidates = new Candidates(classes.map(({ condition }) => condition), this.#facts);
    this.#sets = new ClassSets(classes);
  }

  /** Allocates nothing unless an option that is looked at comes in several pieces, or the set is a new one. */
  match({ message, relayAgentInformation, interfaceName, known }: ClassRequest): ClassSet {
    if (this.#predicates.length === 0) return NO_CLASSES;
    for (let i = 0; i < this.#count; i++) this.#truth[this.#matched[i]!] = 0;
    this.#count = 0;
    this.#facts.load(message, relayAgentInformation, interfaceName, known);
    this.#candidates.collect(this.#facts);
    const { bits } = this.#candidates;
    for (let word = 0; word < bits.length; word++) {
      for (let rest = bits[word]!; rest !== 0; rest &= rest - 1) this.#decide((word << 5) + 31 - Math.clz32(rest & -rest));
    }
    return this.#sets.find(this.#matched, this.#count);
  }

  /** As `ClassSets.confinedTo`. */
  confinedTo(index: number): ClassSet {
    return this.#sets.confinedTo(index);
  }

  #decide(index: number): void {
    if (!this.#predicates[index]!()) return;
    this.#truth[index] = 1;
    this.#matched[this.#count++] = index;
  }
}
