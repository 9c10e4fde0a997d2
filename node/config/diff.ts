/**
 * What differs between two configurations, by what things are rather than by where they stand: subnets by
 * their prefix, pools by their addresses, reservations by their client, classes by name. It compares the
 * plain values of the files, so that what a newer version may say is compared as well.
 */
import { clientName } from './client-name.ts';
import { formatPath } from './error.ts';

export interface ConfigChange {
  readonly kind: 'added' | 'removed' | 'changed' | 'moved';
  /** "subnets[10.0.0.0/8].reservations[52:54:00:12:34:56].hostname". */
  readonly path: string;
  /** As in the file; undefined where it is not in one of them. */
  readonly before?: unknown;
  readonly after?: unknown;
}

type Plain = Readonly<Record<string, unknown>>;

/** By the key of the list: what names an entry. */
const NAMES: Readonly<Record<string, (entry: unknown) => string | undefined>> = {
  subnets: (entry) => textOf(entry, 'subnet'),
  sharedNetworks: (entry) => textOf(entry, 'name'),
  classes: (entry) => textOf(entry, 'name'),
  zones: (entry) => textOf(entry, 'zone'),
  pools: poolName,
  reservations: clientName,
};

/** Lists in which what stands first goes first. */
const ORDERED: ReadonlySet<string> = new Set(['classes']);

export function diffConfigs(before: unknown, after: unknown): ConfigChange[] {
  const changes: ConfigChange[] = [];
  compare(before, after, [], changes);
  return changes;
}

function compare(before: unknown, after: unknown, path: readonly string[], changes: ConfigChange[]): void {
  if (isPlain(before) && isPlain(after)) return compareMaps(before, after, path, changes);
  if (same(before, after)) return undefined;
  const naming = NAMES[path.at(-1) ?? ''];
  if (naming !== undefined && isListOrNothing(before) && isListOrNothing(after)) {
    const [from, to] = different(before ?? [], after ?? []).map((list) => named(list, naming));
    if (from !== undefined && to !== undefined) return compareLists(from, to, path, changes);
  }
  if (before === undefined) changes.push({ kind: 'added', path: pathText(path), after });
  else if (after === undefined) changes.push({ kind: 'removed', path: pathText(path), before });
  else changes.push({ kind: 'changed', path: pathText(path), before, after });
  return undefined;
}

function compareMaps(before: Plain, after: Plain, path: readonly string[], changes: ConfigChange[]): void {
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) compare(before[key], after[key], [...path, key], changes);
}

function compareLists(
  before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>, path: readonly string[], changes: ConfigChange[],
): void {
  for (const [name, entry] of before) {
    if (after.has(name)) compareEntries(entry, after.get(name), [...path, `[${name}]`], changes);
    else changes.push({ kind: 'removed', path: pathText([...path, `[${name}]`]), before: entry });
  }
  for (const [name, entry] of after) if (!before.has(name)) changes.push({ kind: 'added', path: pathText([...path, `[${name}]`]), after: entry });
  const order = (from: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>): string[] => [...from.keys()].filter((name) => other.has(name));
  const [was, is] = [order(before, after), order(after, before)];
  if (ORDERED.has(path.at(-1)!) && was.join('\0') !== is.join('\0')) changes.push({ kind: 'moved', path: pathText(path), before: was, after: is });
}

/** A pool may be written as a range or as a map. */
function compareEntries(before: unknown, after: unknown, path: readonly string[], changes: ConfigChange[]): void {
  const asMap = (entry: unknown): unknown => (typeof entry === 'string' ? { range: entry } : entry);
  compare(asMap(before), asMap(after), path, changes);
}

/** Without what both begin and end with: of a long list a few entries have changed, as a rule. */
function different(before: readonly unknown[], after: readonly unknown[]): readonly [readonly unknown[], readonly unknown[]] {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && same(before[start], after[start])) start++;
  let end = 0;
  while (end < shorter - start && same(before.at(-1 - end), after.at(-1 - end))) end++;
  return [before.slice(start, before.length - end), after.slice(start, after.length - end)];
}

/** Undefined where an entry has no name or two have the same one: then the lists are compared as they are. */
function named(list: readonly unknown[], naming: (entry: unknown) => string | undefined): Map<string, unknown> | undefined {
  const found = new Map<string, unknown>();
  for (const entry of list) {
    const name = naming(entry);
    if (name === undefined || found.has(name)) return undefined;
    found.set(name, entry);
  }
  return found;
}

function poolName(entry: unknown): string | undefined {
  if (typeof entry === 'string') return entry;
  const ranges = isPlain(entry) ? entry['range'] ?? entry['ranges'] : undefined;
  return typeof ranges === 'string' ? ranges : Array.isArray(ranges) ? ranges.join(', ') : undefined;
}

function textOf(entry: unknown, key: string): string | undefined {
  const value = isPlain(entry) ? entry[key] : undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function isPlain(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isListOrNothing(value: unknown): value is readonly unknown[] | undefined {
  return value === undefined || Array.isArray(value);
}

/** Whatever the order of their keys. */
export function same(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other)) return one.length === other.length && one.every((entry, at) => same(entry, other[at]));
  if (!isPlain(one) || !isPlain(other)) return Object.is(one, other);
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => key in other && same(one[key], other[key]));
}

/** Names of list entries come in their brackets already. */
function pathText(path: readonly string[]): string {
  let text = '';
  for (const part of path) {
    if (part.startsWith('[')) text += part;
    else text += text === '' ? formatPath([part]) : `.${formatPath([part])}`.replace('.[', '[');
  }
  return text;
}

const SHOWN_CHARACTERS_MAX = 120;

/** One line for each change, for people. */
export function formatChange({ kind, path, before, after }: ConfigChange): string {
  switch (kind) {
    case 'added': return `+ ${path}: ${shown(after)}`;
    case 'removed': return `- ${path}: ${shown(before)}`;
    case 'changed': return `~ ${path}: ${shown(before)} → ${shown(after)}`;
    case 'moved': return `~ ${path}: in another order: ${(after as string[]).join(', ')}`;
    default: return kind satisfies never;
  }
}

/** As YAML would have it on one line. */
function shown(value: unknown): string {
  const text = flow(value);
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}

function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (isPlain(value)) return `{ ${Object.entries(value).map(([key, entry]) => `${key}: ${flow(entry)}`).join(', ')} }`;
  return typeof value === 'string' && /^[\w./:%-]+$/.test(value) ? value : JSON.stringify(value);
}
