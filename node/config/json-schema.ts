/**
 * JSON Schema (draft 7, which editors know) of the configuration files, for completion and hints while
 * they are written. It is made from the same settings as everything else and is a little wider than what
 * `lessor config check` takes: rules between keys, bounds of durations and overlaps cannot be said in it.
 */
import { parse } from 'yaml';
import type { z } from 'zod';
import { jsonSchemaOf, OptionCatalogue } from '../codec/options.ts';
import { dnsSettings } from './dns-schema.ts';
import { REFERENCE_PATTERN } from './environment.ts';
import type { JsonSchema } from './kinds.ts';
import { nodeSchema } from './node-schema.ts';
import { clusterSchema, condition, scopeSettings } from './schema.ts';
import { blocks, mapForms, settingDocs } from './settings.ts';
import { stepDown, unwrap } from './shape.ts';

const SHARED: ReadonlySet<z.core.$ZodType> = new Set([...Object.values(scopeSettings), ...Object.values(dnsSettings)]);
const DRAFT = 'http://json-schema.org/draft-07/schema#';

export function clusterJsonSchema(): JsonSchema {
  const definitions = new Map<string, JsonSchema>([['condition', {}], ['options', {}]]);
  const root = schemaOf(clusterSchema, definitions);
  definitions.set('condition', schemaOf(condition, definitions));
  definitions.set('options', optionsSchema(definitions));
  return { $schema: DRAFT, title: 'The configuration of a Lessor cluster', ...root, definitions: Object.fromEntries(definitions) };
}

export function nodeJsonSchema(): JsonSchema {
  const schema = orReference(schemaOf(nodeSchema, new Map())) as JsonSchema;
  return { $schema: DRAFT, title: 'The configuration of one node of Lessor', ...schema };
}

/** Where a text must look like something, it may name an environment variable instead. */
function orReference(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(orReference);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { pattern, enum: values, ...rest } = schema as Record<string, unknown>;
  const others = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, orReference(value)]));
  if (typeof pattern === 'string') return { ...others, pattern: `${pattern}|${REFERENCE_PATTERN}` };
  if (Array.isArray(values)) return { ...others, anyOf: [{ enum: values }, { type: 'string', pattern: REFERENCE_PATTERN }] };
  return others;
}

/** As the shipped files have it. */
export function formatJsonSchema(schema: JsonSchema): string {
  return `${JSON.stringify(schema, undefined, 1)}\n`;
}

/** `definitions`: what has a name, once each. */
function schemaOf(schema: z.core.$ZodType, definitions: Map<string, JsonSchema>): JsonSchema {
  const form = mapForms.get(unwrap(schema));
  const { shape, each, list } = stepDown(schema);
  if (shape !== undefined) {
    const map = mapSchema(shape, definitions);
    return form === undefined ? map : { anyOf: [form.plain.json, map] };
  }
  if (each === undefined) return settingDocs.get(schema)?.json ?? {};
  const entry = entrySchema(each, definitions);
  return list ? { type: 'array', items: entry } : { type: 'object', additionalProperties: entry };
}

function mapSchema(shape: Readonly<Record<string, z.core.$ZodType>>, definitions: Map<string, JsonSchema>): JsonSchema {
  const settings = Object.entries(shape);
  // What a scope further in does not set it takes from further out: its default is no default there.
  const withDefault = (setting: z.core.$ZodType): boolean => shape === clusterSchema.shape || !SHARED.has(setting);
  const required = settings.filter(([, setting]) => settingDocs.get(setting)?.required).map(([key]) => key);
  return {
    type: 'object',
    properties: Object.fromEntries(settings.map(([key, setting]) => [key, settingSchema(setting, definitions, withDefault(setting))])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  };
}

function settingSchema(setting: z.core.$ZodType, definitions: Map<string, JsonSchema>, withDefault: boolean): JsonSchema {
  const doc = settingDocs.get(setting)!;
  const schema = doc.json !== undefined && mapForms.get(unwrap(setting)) === undefined ? doc.json : schemaOf(setting, definitions);
  return {
    description: doc.help,
    ...(doc.default === undefined || !withDefault ? {} : { default: parse(doc.default) as unknown }),
    // Beside a reference nothing counts.
    ...('$ref' in schema ? { allOf: [schema] } : schema),
  };
}

function entrySchema(each: z.core.$ZodType, definitions: Map<string, JsonSchema>): JsonSchema {
  const name = blocks.get(each);
  if (name === undefined) return schemaOf(each, definitions);
  if (!definitions.has(name)) {
    definitions.set(name, {});
    definitions.set(name, schemaOf(each, definitions));
  }
  return { $ref: `#/definitions/${encodeURIComponent(name)}` };
}

/** By name what is known; by code, and under the names of the file's own definitions, anything. */
function optionsSchema(definitions: Map<string, JsonSchema>): JsonSchema {
  const options = OptionCatalogue.standard.options.filter(({ origin }) => origin === 'configuration');
  const send = { enum: ['requested', 'always', 'never'] };
  const properties = options.map((option): [string, JsonSchema] => {
    const known = toDraft7(jsonSchemaOf(option));
    // The file's own definitions may add spaces.
    definitions.set(`option ${option.name}`, option.spaces === undefined ? known as JsonSchema : { anyOf: [known, { type: 'object' }] });
    const value = { $ref: `#/definitions/${encodeURIComponent(`option ${option.name}`)}` };
    const wrapped = { type: 'object', properties: { value, send }, additionalProperties: false, minProperties: 1 };
    return [option.name, { description: `Option ${option.code} (${option.rfc}).`, anyOf: [value, wrapped] }];
  });
  return { type: 'object', properties: Object.fromEntries(properties) };
}

/** The one word of later drafts that the options' fragments use: a list whose entries differ. */
function toDraft7(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(toDraft7);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { prefixItems, items, ...rest } = schema as Record<string, unknown>;
  const others = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, toDraft7(value)]));
  if (prefixItems === undefined) return items === undefined ? others : { ...others, items: toDraft7(items) };
  return { ...others, items: toDraft7(prefixItems), ...(items === undefined ? {} : { additionalItems: toDraft7(items) }) };
}
