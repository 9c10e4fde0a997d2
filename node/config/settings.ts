/**
 * What the schemas are made of: a setting is a value of some kind together with what the reference
 * and the editors' JSON Schema say about it.
 */
import { z } from 'zod';
import type { JsonSchema, Kind } from './kinds.ts';

export interface SettingDoc {
  readonly type: string;
  readonly unit?: string;
  /** As written in YAML; undefined: none. */
  readonly default?: string;
  readonly required: boolean;
  readonly help: string;
  /** Undefined: follows from the schema (a map, a list of maps). */
  readonly json?: JsonSchema;
}

/** What the reference says; keyed by the schema of the setting. */
export const settingDocs = z.registry<SettingDoc>();

/** Of a setting that is either a plain value or a map: the map. */
export const mapForms = new WeakMap<z.core.$ZodType, { readonly map: z.ZodType; readonly plain: Kind<unknown> }>();

/** A map with a table of its own in the reference, wherever it stands. */
export const blocks = new WeakMap<z.core.$ZodType, string>();

export function documented<S extends z.core.$ZodType>(schema: S, doc: SettingDoc): S {
  settingDocs.add(schema, doc);
  return schema;
}

export function leaf<T>(kind: Kind<T>) {
  return z.unknown().transform((value, context): T => {
    const read = kind.read(value);
    if (read !== undefined) return read;
    context.addIssue({ code: 'custom', message: kind.expected, input: value });
    return z.NEVER;
  });
}

function docOf(kind: Omit<Kind<unknown>, 'read'>, required: boolean, help: string, fallback?: string | number | boolean): SettingDoc {
  return {
    type: kind.type, required, help, json: kind.json,
    ...(kind.unit === undefined ? {} : { unit: kind.unit }),
    ...(fallback === undefined ? {} : { default: String(fallback) }),
  };
}

export function required<T>(kind: Kind<T>, help: string) {
  return documented(leaf(kind), docOf(kind, true, help));
}

/** `fallback`: what counts where it is set nowhere, as the file would have it; the reader of the file sees to it. */
export function optional<T>(kind: Kind<T>, help: string, fallback?: string | number | boolean) {
  return documented(leaf(kind).optional(), docOf(kind, false, help, fallback));
}

/** `fallback` is written as the file would have it. */
export function defaulted<T>(kind: Kind<T>, fallback: string | number | boolean, help: string) {
  return documented(leaf(kind).prefault(fallback), docOf(kind, false, help, fallback));
}

export function list<T>(kind: Kind<T>, help: string, least = 0) {
  const array = z.array(leaf(kind), `a list, each entry ${kind.expected}`).min(least, `at least ${least === 1 ? 'one entry' : `${least} entries`}`);
  const doc = { type: `list: ${kind.type}`, help, json: { type: 'array', items: kind.json, ...(least === 0 ? {} : { minItems: least }) } };
  return least > 0
    ? documented(array, { ...doc, required: true })
    : documented(array.prefault([]), { ...doc, required: false, default: '[]' });
}

export function optionalList<T>(kind: Kind<T>, help: string) {
  return documented(z.array(leaf(kind), `a list, each entry ${kind.expected}`).optional(), {
    type: `list: ${kind.type}`, required: false, help, json: { type: 'array', items: kind.json },
  });
}

export function map<S extends z.core.$ZodLooseShape>(shape: S) {
  // Unknown keys come as issues of their own, which say which keys there are.
  return z.strictObject(shape, 'a map');
}

export function group<S extends z.core.$ZodLooseShape>(shape: S, help: string) {
  return documented(map(shape).prefault({} as never), { type: 'map', required: false, help });
}

/** A list of maps that have a table of their own in the reference. */
export function listOf<S extends z.ZodType>(entry: S, block: string, plural: string, help: string) {
  blocks.set(entry, block);
  return documented(z.array(entry, `a list of ${plural}`).prefault([]), { type: `list of [${block}](#${block.replaceAll(' ', '-')})`, required: false, default: '[]', help });
}

/** A plain value of `kind`, or a map of `shape` that `fromMap` makes the same of. */
export function plainOrMap<T, S extends z.core.$ZodLooseShape>(kind: Kind<T>, shape: S, fromMap: (value: z.output<z.ZodObject<S>>) => T) {
  // The exact type of a generic shape is beyond the compiler.
  const whole: z.ZodType = map(shape);
  const schema = z.unknown().transform((value, context): T => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      const result = whole.safeParse(value);
      if (result.success) return fromMap(result.data as z.output<z.ZodObject<S>>);
      for (const issue of result.error.issues) context.issues.push({ ...issue, path: [...issue.path], input: value } as z.core.$ZodRawIssue);
      return z.NEVER;
    }
    const read = kind.read(value);
    if (read !== undefined) return read;
    context.addIssue({ code: 'custom', message: kind.expected, input: value });
    return z.NEVER;
  });
  mapForms.set(schema, { map: whole, plain: kind });
  return schema;
}

/** As `optional`, for a value in two forms. */
export function optionalPlainOrMap<T>(schema: z.ZodType<T>, help: string, fallback?: string) {
  const { plain } = mapForms.get(schema)!;
  return documented(schema.optional(), docOf({ ...plain, type: `${plain.type}; or a map` }, false, help, fallback));
}
