/**
 * Conditions made ready for many requests: each becomes a function over the facts of the request at hand.
 * A value that is not there, or not in the form that a test needs, passes no test.
 */
import { prefixContains } from '../codec/address.ts';
import { liesAt } from './facts.ts';
import type { Facts } from './facts.ts';
import type { Condition, Subject, Test } from './types.ts';

export type Predicate = () => boolean;

const NEVER: Predicate = () => false;
const ADDRESS_BYTES = 4;

/** `truth`: by class index, what was decided of the classes before this one (`index`) for the request at hand. */
export function compile(condition: Condition, facts: Facts, truth: Uint8Array, index: number): Predicate {
  switch (condition.kind) {
    case 'test':
      return compileTest(condition.subject, condition.test, facts);
    case 'class': {
      const other = condition.index;
      return other >= 0 && other < index ? () => truth[other] === 1 : NEVER;
    }
    case 'all': {
      const parts = condition.of.map((part) => compile(part, facts, truth, index));
      return parts.length === 1 ? parts[0]! : () => allPass(parts);
    }
    case 'any': {
      const parts = condition.of.map((part) => compile(part, facts, truth, index));
      return parts.length === 1 ? parts[0]! : () => anyPasses(parts);
    }
    case 'not': {
      const part = compile(condition.of, facts, truth, index);
      return () => !part();
    }
    default: {
      const { kind } = condition;
      return () => facts[kind];
    }
  }
}

function allPass(parts: readonly Predicate[]): boolean {
  for (let i = 0; i < parts.length; i++) if (!parts[i]!()) return false;
  return true;
}

function anyPasses(parts: readonly Predicate[]): boolean {
  for (let i = 0; i < parts.length; i++) if (parts[i]!()) return true;
  return false;
}

function compileTest(subject: Subject, test: Test, facts: Facts): Predicate {
  const fact = facts.add(subject);
  const { bytes, from, length } = facts;
  switch (test.kind) {
    case 'equals':
      return compileEquals(fact, test.values, facts);
    case 'prefix': {
      const { values } = test;
      return () => beginsWith(values, bytes[fact]!, from[fact]!, length[fact]!);
    }
    case 'contains': {
      const { values } = test;
      return () => containsOne(values, bytes[fact]!, from[fact]!, length[fact]!);
    }
    case 'network': {
      const { networks } = test;
      return () => {
        if (length[fact] !== ADDRESS_BYTES) return false;
        const address = bytes[fact]!.readUInt32BE(from[fact]);
        for (let i = 0; i < networks.length; i++) if (prefixContains(networks[i]!, address)) return true;
        return false;
      };
    }
    default:
      // The header has these two in any message; 0.0.0.0 says that there is no such address.
      if (subject.from === 'giaddr' || subject.from === 'ciaddr') return () => bytes[fact]!.readUInt32BE(from[fact]) !== 0;
      return () => length[fact]! >= 0;
  }
}

function compileEquals(fact: number, values: readonly Buffer[], facts: Facts): Predicate {
  const { value } = facts;
  const numbers = values.map((bytes) => facts.numberOf(fact, bytes));
  if (numbers.length === 1) {
    const number = numbers[0]!;
    return () => value[fact] === number;
  }
  const accepted = new Uint8Array(Math.max(0, ...numbers) + 1);
  for (const number of numbers) accepted[number] = 1;
  return () => accepted[value[fact]!] === 1;
}

function beginsWith(values: readonly Buffer[], bytes: Buffer, from: number, length: number): boolean {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value.length <= length && liesAt(value, bytes, from)) return true;
  }
  return false;
}

function containsOne(values: readonly Buffer[], bytes: Buffer, from: number, length: number): boolean {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const last = from + length - value.length;
    const first = value[0];
    for (let at = from; at <= last; at++) {
      if ((first === undefined || bytes[at] === first) && liesAt(value, bytes, at)) return true;
    }
  }
  return false;
}
