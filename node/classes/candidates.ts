/**
 * Which classes are worth deciding for a request. A class that asks for one of several values of an
 * option is none for those who send another; with hundreds of such classes it is these that count.
 */
import type { Facts } from './facts.ts';
import type { Condition } from './types.ts';

/** A condition can only be met where the fact equals one of these values, by their numbers. */
interface Requirement {
  readonly fact: number;
  readonly numbers: readonly number[];
}

export class Candidates {
  /** The classes to decide, found by `collect`: a bit a class. */
  readonly bits: Uint32Array;
  /** Those that no single value rules out. */
  readonly #always: Uint32Array;
  /** The facts whose values rule classes out, and by number of the value the classes that ask for it. */
  readonly #facts: number[] = [];
  readonly #classes: number[][][] = [];

  constructor(conditions: readonly Condition[], facts: Facts) {
    this.bits = new Uint32Array((conditions.length + 31) >>> 5);
    this.#always = this.bits.slice();
    for (const [index, condition] of conditions.entries()) {
      const requirement = requirementOf(condition, facts);
      if (requirement === undefined) setBit(this.#always, index);
      else this.#require(requirement, index);
    }
  }

  #require({ fact, numbers }: Requirement, index: number): void {
    let at = this.#facts.indexOf(fact);
    if (at < 0) {
      at = this.#facts.push(fact) - 1;
      this.#classes.push([]);
    }
    for (const number of numbers) (this.#classes[at]![number] ??= []).push(index);
  }

  collect(facts: Facts): void {
    const { bits } = this;
    bits.set(this.#always);
    for (let at = 0; at < this.#facts.length; at++) {
      const indexes = this.#classes[at]![facts.value[this.#facts[at]!]!];
      if (indexes !== undefined) for (let i = 0; i < indexes.length; i++) setBit(bits, indexes[i]!);
    }
  }
}

function setBit(bits: Uint32Array, index: number): void {
  bits[index >>> 5]! |= 1 << (index & 31);
}

function requirementOf(condition: Condition, facts: Facts): Requirement | undefined {
  if (condition.kind === 'test') {
    const { subject, test } = condition;
    if (test.kind !== 'equals') return undefined;
    const fact = facts.add(subject);
    return { fact, numbers: test.values.map((value) => facts.numberOf(fact, value)) };
  }
  if (condition.kind !== 'all') return undefined;
  for (const part of condition.of) {
    const requirement = requirementOf(part, facts);
    if (requirement !== undefined) return requirement;
  }
  return undefined;
}
