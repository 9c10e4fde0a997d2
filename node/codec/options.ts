/**
 * Option values between three forms: as configured (what YAML gives), on the wire, and as shown in
 * JSON. What is shown can be configured again: reading a written value is the identity.
 */
import { OPTION_VALUE_BYTES_MAX } from '../limits.ts';
import { VALUES } from './option-rules.ts';
import type { JsonSchema, OptionDefinition, OptionJson } from './option-shape.ts';
import { RELAY_SUBOPTIONS } from './suboption-tables.ts';

export { CUSTOM_TYPES, OptionCatalogue } from './option-catalogue.ts';
export type { CustomOption, CustomType, ExtendResult, OptionProblem } from './option-catalogue.ts';
export { describeCustomTypes, describeOptions } from './option-reference.ts';
export type { JsonSchema, OptionDefinition, OptionJson, OptionOrigin, OptionType, ValueShape } from './option-shape.ts';
export { RELAY_SUBOPTIONS } from './suboption-tables.ts';

export type ParsedOption =
  | { readonly ok: true; readonly value: Buffer }
  /** What would have been right, to be read after "expected". */
  | { readonly ok: false; readonly expected: string };

/** A value as configured, to the wire. Never throws. */
export function parseOptionValue(definition: OptionDefinition, value: unknown): ParsedOption {
  const bytes = VALUES.write(value, definition);
  if (bytes === undefined || bytes.length > OPTION_VALUE_BYTES_MAX) return { ok: false, expected: describeOptionType(definition) };
  return { ok: true, value: bytes };
}

/** A value from the wire, for JSON; undefined: malformed. Never throws. */
export function readOptionValue(definition: OptionDefinition, bytes: Buffer): OptionJson | undefined {
  return VALUES.read(bytes, definition);
}

/** What a value of this option looks like, for error messages and the reference. */
export function describeOptionType(definition: OptionDefinition): string {
  return VALUES.describe(definition);
}

/** The values that may be configured, for editors; it lets a few through that `parseOptionValue` refuses. */
export function jsonSchemaOf(definition: OptionDefinition): JsonSchema {
  return VALUES.schema(definition);
}

/** A sub-option of relay agent information (82) by name or code; a code from 0 to 255 without a definition is bytes. */
export function findSuboptionDefinition(nameOrCode: string | number): OptionDefinition | undefined {
  const text = String(nameOrCode);
  const known = RELAY_SUBOPTIONS.find(({ name, code }) => name === text || String(code) === text);
  if (known !== undefined || !/^(?:0|[1-9][0-9]{0,2})$/.test(text) || Number(text) > 255) return known;
  return { code: Number(text), name: text, type: 'bytes', minBytes: 0, origin: 'client', rfc: '' };
}
