/**
 * What a class matches, from the map that the file has for it: one subject and one test, or conditions
 * put together. The reference of the keys is `condition` in schema.ts.
 */
import { builtInCondition } from '../classes/built-in.ts';
import type { Condition, Subject, Test } from '../classes/types.ts';
import { MATCH_DEPTH_MAX } from '../limits.ts';
import { found } from './error.ts';
import type { PathPart, Report } from './error.ts';
import * as kinds from './kinds.ts';
import { didYouMean } from './nearest.ts';
import { isMap } from './plain-values.ts';
import type { PlainMap } from './plain-values.ts';
import { condition as conditionSettings } from './schema.ts';
import { readSubject } from './subject.ts';
import type { ReadSubject } from './subject.ts';
import type { OptionCatalogue } from '../codec/options.ts';

const KEYS = Object.keys(conditionSettings.shape);
/** One of these says what kind of condition it is. */
const HEADS = ['option', 'relay', 'field', 'all', 'any', 'not', 'class'] as const;
const TESTS = ['equals', 'prefix', 'contains', 'network', 'exists'] as const;
/** What else may stand beside a head. */
const COMPANIONS: Readonly<Record<typeof HEADS[number], readonly string[]>> = {
  option: ['suboption', 'enterprise', ...TESTS], relay: TESTS, field: TESTS, all: [], any: [], not: [], class: [],
};

export interface ConditionContext {
  readonly catalogue: OptionCatalogue;
  /** By name, the classes that stand before this one. */
  readonly earlier: ReadonlyMap<string, number>;
  /** The classes of the file. */
  readonly names: readonly string[];
  readonly report: Report;
}

/** Undefined: there is a mistake in it, and it has been reported. */
export function readCondition(value: unknown, path: readonly PathPart[], context: ConditionContext, depth = 1): Condition | undefined {
  const { report } = context;
  if (!isMap(value)) {
    report(path, `expected a condition such as { option: vendor-class-identifier, prefix: PXEClient }, ${found(value)}`);
    return undefined;
  }
  if (depth > MATCH_DEPTH_MAX) {
    report(path, `expected at most ${MATCH_DEPTH_MAX} conditions inside each other`);
    return undefined;
  }
  const head = headOf(value, path, report);
  if (head === undefined) return undefined;
  switch (head) {
    case 'all': case 'any': return readList(head, value[head], [...path, head], context, depth);
    case 'not': {
      const of = readCondition(value[head], [...path, head], context, depth + 1);
      return of === undefined ? undefined : { kind: 'not', of };
    }
    case 'class': return readReference(value[head], [...path, head], context);
    default: {
      const subject = readSubject(head, value, path, context.catalogue, report);
      return subject === undefined ? undefined : readTest(subject, value, path, report);
    }
  }
}

function headOf(value: PlainMap, path: readonly PathPart[], report: Report): typeof HEADS[number] | undefined {
  const strangers = Object.keys(value).filter((key) => !KEYS.includes(key));
  for (const key of strangers) report([...path, key], `unknown key${didYouMean(key, KEYS) || `; expected one of ${KEYS.join(', ')}`}`, 'key');
  const heads = HEADS.filter((key) => key in value);
  if (heads.length !== 1) {
    // A head that is only misspelt has been told of.
    if (heads.length > 1 || strangers.length === 0) {
      report(path, `expected exactly one of ${HEADS.join(', ')}, found ${heads.length === 0 ? 'none of them' : heads.join(' and ')}`);
    }
    return undefined;
  }
  const head = heads[0]!;
  const tooMuch = Object.keys(value).filter((key) => KEYS.includes(key) && key !== head && !COMPANIONS[head].includes(key));
  for (const key of tooMuch) report([...path, key], `expected no ${key} beside ${head}`, 'key');
  return strangers.length + tooMuch.length > 0 ? undefined : head;
}

function readList(kind: 'all' | 'any', value: unknown, path: readonly PathPart[], context: ConditionContext, depth: number): Condition | undefined {
  if (!Array.isArray(value) || value.length === 0) {
    context.report(path, `expected a list of conditions, ${found(value)}`);
    return undefined;
  }
  const parts = value.map((part: unknown, index) => readCondition(part, [...path, index], context, depth + 1));
  const of = parts.filter((part) => part !== undefined);
  return of.length === parts.length ? { kind, of } : undefined;
}

function readReference(value: unknown, path: readonly PathPart[], { earlier, names, report }: ConditionContext): Condition | undefined {
  const name = kinds.classReference.read(value);
  const index = name === undefined ? undefined : earlier.get(name);
  if (index !== undefined) return { kind: 'class', index };
  const builtIn = name === undefined ? undefined : builtInCondition(name);
  if (builtIn !== undefined) return builtIn;
  if (name !== undefined && names.includes(name)) report(path, `expected a class that stands before this one, ${found(value)}`);
  else report(path, `expected the name of a class that stands before this one${didYouMean(String(value), [...earlier.keys()])}, ${found(value)}`);
  return undefined;
}

function readTest(subject: ReadSubject, value: PlainMap, path: readonly PathPart[], report: Report): Condition | undefined {
  const given = TESTS.filter((key) => key in value);
  const kind = given[0];
  if (kind === undefined || given.length > 1) {
    report(path, `expected exactly one of ${TESTS.join(', ')}, found ${kind === undefined ? 'none of them' : given.join(' and ')}`);
    return undefined;
  }
  const at = [...path, kind];
  if (kind === 'exists') {
    const exists = kinds.bool.read(value[kind]);
    if (exists === undefined) report(at, `expected ${kinds.bool.expected}, ${found(value[kind])}`);
    const test = testOf(subject.subject, { kind });
    return exists === undefined ? undefined : exists ? test : { kind: 'not', of: test };
  }
  if (!subject.tests.includes(kind)) {
    report(at, `expected ${subject.tests.join(', ')} or exists for ${subject.name}`, 'key');
    return undefined;
  }
  const entries: readonly unknown[] = Array.isArray(value[kind]) ? value[kind] : [value[kind]];
  if (entries.length === 0) {
    report(at, `expected at least one value, ${found(value[kind])}`);
    return undefined;
  }
  const entryPath = (index: number): readonly PathPart[] => (Array.isArray(value[kind]) ? [...at, index] : at);
  if (kind === 'network') {
    const networks = entries.map((entry, index) => readNetwork(entry, entryPath(index), report)).filter((network) => network !== undefined);
    return networks.length === entries.length ? testOf(subject.subject, { kind, networks }) : undefined;
  }
  const values = entries.map((entry, index) => {
    const read = subject.read(kind, entry);
    if (Buffer.isBuffer(read)) return read;
    report(entryPath(index), `expected ${read.expected}, ${found(entry)}`);
    return undefined;
  }).filter((bytes) => bytes !== undefined);
  return values.length === entries.length ? testOf(subject.subject, { kind, values }) : undefined;
}

function testOf(subject: Subject, test: Test): Condition {
  return { kind: 'test', subject, test };
}

function readNetwork(value: unknown, path: readonly PathPart[], report: Report): { network: number; prefixLength: number } | undefined {
  const prefix = kinds.prefix.read(value);
  if (prefix !== undefined && prefix.address === prefix.network) return { network: prefix.network, prefixLength: prefix.prefixLength };
  report(path, `expected ${kinds.prefix.expected}, ${found(value)}`);
  return undefined;
}
