/** Walking the schema: which keys are known at a path, and what the reference shows. */
import type { z } from 'zod';
import type { PathPart } from './error.ts';
import { mapForms } from './settings.ts';

type Shape = Readonly<Record<string, z.core.$ZodType>>;

/** The schema without what is wrapped around it (defaults, optional, conversions); of two forms the one that is told of. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (mapForms.has(schema)) return schema;
  const { def } = schema._zod as unknown as { def: { type: string; innerType?: z.core.$ZodType; in?: z.core.$ZodType } };
  if (def.innerType !== undefined) return unwrap(def.innerType);
  if (def.type === 'pipe' && def.in !== undefined) return unwrap(def.in);
  return schema;
}

/** What lies one step down: the keys of a map, or the schema that all entries of a list or a map share. */
export function stepDown(schema: z.core.$ZodType): { readonly shape?: Shape; readonly each?: z.core.$ZodType; readonly list?: boolean } {
  const whole = mapForms.get(unwrap(schema))?.map ?? schema;
  const { def } = unwrap(whole)._zod as unknown as {
    def: { type: string; shape?: Shape; element?: z.core.$ZodType; valueType?: z.core.$ZodType };
  };
  if (def.type === 'object') return { shape: def.shape! };
  if (def.type === 'array') return { each: def.element!, list: true };
  if (def.type === 'record') return { each: def.valueType!, list: false };
  return {};
}

/** The keys that a map at this path may have. */
export function shapeAt(schema: z.core.$ZodType, path: readonly PathPart[]): Shape | undefined {
  let at: z.core.$ZodType | undefined = schema;
  for (const part of path) {
    const { shape, each }: ReturnType<typeof stepDown> = stepDown(at);
    at = shape === undefined ? each : shape[part];
    if (at === undefined) return undefined;
  }
  return stepDown(at).shape;
}
