/**
 * The rules of what is made of other values: a value after its length, records, bit fields, sub-options and
 * what is kept by enterprise. They read and write their parts through the rules of everything (`inner`).
 */
import { formatHexPairs, parseHexPairs } from './address.ts';
import { formatRaw, isMap, RAW_SCHEMA, writeRaw } from './option-simple-types.ts';
import type { BitField, Field, JsonSchema, OptionDefinition, OptionJson, TypeRules, ValueRules, ValueShape } from './option-shape.ts';

export const sized: TypeRules = {
  write(value, { lengthBytes = 1, unitBytes = 1, of }, inner) {
    const content = inner.write(value, of!);
    if (content === undefined || content.length >= unitBytes * 2 ** (8 * lengthBytes)) return undefined;
    const length = Buffer.alloc(lengthBytes);
    length.writeUIntBE(content.length / unitBytes, 0, lengthBytes);
    return Buffer.concat([length, content]);
  },
  read(bytes, shape, inner) {
    if (sized.extent!(bytes, 0, shape, inner) !== bytes.length) return undefined;
    return inner.read(bytes.subarray(shape.lengthBytes ?? 1), shape.of!);
  },
  extent(bytes, at, { lengthBytes = 1, unitBytes = 1 }) {
    if (at + lengthBytes > bytes.length) return undefined;
    const size = lengthBytes + bytes.readUIntBE(at, lengthBytes) * unitBytes;
    return at + size <= bytes.length ? size : undefined;
  },
  describe: ({ of }, inner) => inner.describe(of!),
  schema: ({ of }, inner) => inner.schema(of!),
};

/** A record is a map where its fields have names, else a list in their order. */
export const record: TypeRules = {
  write(value, { fields = [] }, inner) {
    const given = fieldValues(value, fields);
    if (given === undefined) return undefined;
    const parts: Buffer[] = [];
    for (const [i, part] of given.entries()) {
      const written = inner.write(part, fields[i]!);
      if (written === undefined) return undefined;
      parts.push(written);
    }
    return Buffer.concat(parts);
  },
  read(bytes, { fields = [] }, inner) {
    const values: OptionJson[] = [];
    let at = 0;
    for (const [i, field] of fields.entries()) {
      if (field.optional && at === bytes.length) break;
      const size = i === fields.length - 1 ? bytes.length - at : inner.extent(bytes, at, field);
      const value = size === undefined ? undefined : inner.read(bytes.subarray(at, at + size), field);
      if (value === undefined) return undefined;
      values.push(value);
      at += size!;
    }
    return fields[0]?.name === undefined ? values : Object.fromEntries(values.map((value, i) => [fields[i]!.name!, value]));
  },
  extent(bytes, start, { fields = [] }, inner) {
    let at = start;
    for (const field of fields) {
      const size = field.optional ? undefined : inner.extent(bytes, at, field);
      if (size === undefined) return undefined;
      at += size;
    }
    return at - start;
  },
  describe({ fields = [] }, inner) {
    const parts = fields.map((field) =>
      (field.name === undefined ? '' : `${field.name}${field.optional ? ' (may be missing)' : ''}: `) + inner.describe(field));
    return `a ${fields[0]?.name === undefined ? 'list of:' : 'map of'} ${parts.join('; ')}`;
  },
  schema({ fields = [] }, inner) {
    const parts = fields.map((field) => inner.schema(field));
    const required = fields.filter(({ optional }) => !optional);
    if (fields[0]?.name === undefined) return { type: 'array', prefixItems: parts, items: false, minItems: required.length };
    return {
      type: 'object', properties: Object.fromEntries(parts.map((part, i) => [fields[i]!.name!, part])),
      required: required.map(({ name }) => name), additionalProperties: false,
    };
  },
};

/** In the order of the fields; undefined: one is missing, or there are others. */
function fieldValues(value: unknown, fields: readonly Field[]): unknown[] | undefined {
  const required = fields.filter(({ optional }) => !optional).length;
  if (fields[0]?.name === undefined) {
    return Array.isArray(value) && value.length >= required && value.length <= fields.length ? value : undefined;
  }
  if (!isMap(value)) return undefined;
  const count = Object.keys(value).length;
  const present = fields.slice(0, count);
  if (count < required || present.length < count || !present.every(({ name }) => Object.hasOwn(value, name!))) return undefined;
  return present.map(({ name }) => value[name!]);
}

/** Numbers of any width, some with bits after the point; each comes back as it was read, since none has more than 53 bits. */
export const bitFields: TypeRules = {
  write(value, { bits = [] }) {
    if (!isMap(value) || Object.keys(value).length !== namedBits(bits).length) return undefined;
    let all = 0n;
    for (const field of bits) {
      const number = field.name === undefined ? 0 : Object.hasOwn(value, field.name) ? value[field.name] : undefined;
      if (typeof number !== 'number' || !Number.isFinite(number)) return undefined;
      const raw = field.fraction === undefined ? number : Math.round(number * 2 ** field.fraction);
      const [least, most] = rawBounds(field);
      if (!Number.isInteger(raw) || raw < least || raw > most) return undefined;
      all = (all << BigInt(field.bits)) | BigInt.asUintN(field.bits, BigInt(raw));
    }
    return Buffer.from(all.toString(16).padStart(bitsOf(bits) / 4, '0'), 'hex');
  },
  read(bytes, { bits = [] }) {
    if (8 * bytes.length !== bitsOf(bits)) return undefined;
    let all = BigInt(`0x${bytes.toString('hex')}`);
    const values: [string, number][] = [];
    for (const { name, bits: width, signed, fraction = 0 } of bits.toReversed()) {
      const raw = signed ? BigInt.asIntN(width, all) : BigInt.asUintN(width, all);
      if (name !== undefined) values.unshift([name, Number(raw) / 2 ** fraction]);
      all >>= BigInt(width);
    }
    return Object.fromEntries(values);
  },
  extent: (bytes, at, { bits = [] }) => (8 * (bytes.length - at) >= bitsOf(bits) ? bitsOf(bits) / 8 : undefined),
  describe({ bits = [] }) {
    const parts = namedBits(bits).map((field) => `${field.name} (${bitBounds(field).map((bound) => Math.round(bound)).join(' to ')})`);
    return `a map of numbers: ${parts.join(', ')}`;
  },
  schema: ({ bits = [] }) => ({
    type: 'object', required: namedBits(bits).map(({ name }) => name), additionalProperties: false,
    properties: Object.fromEntries(namedBits(bits).map((field) => {
      const [minimum, maximum] = bitBounds(field);
      return [field.name, { type: field.fraction === undefined ? 'integer' : 'number', minimum, maximum }];
    })),
  }),
};

function namedBits(bits: readonly BitField[]): (BitField & { readonly name: string })[] {
  return bits.flatMap((field) => (field.name === undefined ? [] : [{ ...field, name: field.name }]));
}

function bitsOf(bits: readonly BitField[]): number {
  return bits.reduce((sum, field) => sum + field.bits, 0);
}

function rawBounds({ bits, signed }: BitField): [number, number] {
  return signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
}

function bitBounds(field: BitField): [number, number] {
  const [least, most] = rawBounds(field);
  const unit = 2 ** (field.fraction ?? 0);
  return [least / unit, most / unit];
}

/** A definition by name or by code in digits; a code without one is bytes. */
function findSuboption(definitions: readonly OptionDefinition[], key: string, shape: ValueShape): OptionDefinition | undefined {
  const named = definitions.find(({ name }) => name === key);
  if (named !== undefined) return named;
  const code = /^(?:0|[1-9][0-9]{0,4})$/.test(key) ? Number(key) : -1;
  const [first, last] = shape.padded ? [1, 254] : [0, shape.wide ? 65_535 : 255];
  if (code < first || code > last) return undefined;
  return definitions.find((definition) => definition.code === code) ?? unnamed(code);
}

function unnamed(code: number): OptionDefinition {
  return { code, name: String(code), type: 'bytes', minBytes: 0, origin: 'configuration', rfc: '' };
}

/**
 * A map by name, or by code. Whatever the definition says, `{hex: "01:0a"}` stands for all bytes of a
 * sub-option, and one that breaks its definition is shown as that.
 */
export const suboptions: TypeRules = {
  write(value, shape, inner) {
    if (typeof value === 'string' && shape.orBytes) return parseHexPairs(value);
    if (!isMap(value)) return undefined;
    let [entries, definitions] = [Object.entries(value), shape.suboptions ?? []];
    const [space, content] = entries.length === 1 ? entries[0]! : [''];
    if (shape.spaces !== undefined && Object.hasOwn(shape.spaces, space) && isMap(content)) {
      [entries, definitions] = [Object.entries(content), shape.spaces[space]!];
    }
    if (entries.length < (shape.minCount ?? 1)) return undefined;
    const pieces = new Map<number, Buffer>();
    for (const [key, given] of entries) {
      const definition = findSuboption(definitions, key, shape);
      if (definition === undefined || pieces.has(definition.code) || shape.excluded?.includes(definition.code)) return undefined;
      const written = writeRaw(given) ?? inner.write(given, definition);
      if (written === undefined || written.length > (shape.wide ? 65_535 : 255)) return undefined;
      pieces.set(definition.code, written);
    }
    const ordered = shape.wide ? [...pieces].toSorted(([a], [b]) => a - b) : [...pieces];
    return Buffer.concat(ordered.flatMap(([code, piece]) => [suboptionHead(code, piece.length, shape), piece]));
  },
  read(bytes, shape, inner) {
    const pieces = splitSuboptions(bytes, shape);
    if (pieces === undefined) return shape.orBytes && bytes.length > 0 ? formatHexPairs(bytes) : undefined;
    return Object.fromEntries(pieces.map(([code, piece]): [string, OptionJson] => {
      const definition = shape.suboptions?.find((definition) => definition.code === code) ?? unnamed(code);
      const value = inner.read(piece, definition);
      return [definition.name, value === undefined || writeRaw(value) !== undefined ? formatRaw(piece) : value];
    }));
  },
  describe(shape) {
    const names = (shape.suboptions ?? []).map(({ name }) => name);
    const map = `a map of sub-options by ${names.length > 0 ? `name (${names.join(', ')}) or ` : ''}code`;
    const spaces = Object.keys(shape.spaces ?? {});
    const orSpace = spaces.length > 0 ? `, or one of the space of a vendor (${spaces.join(', ')}) such as {${spaces[0]}: {...}}` : '';
    return map + orSpace + (shape.orBytes ? ', or bytes such as "01:0a:ff"' : '');
  },
  schema(shape, inner) {
    const map = suboptionsSchema(shape.suboptions ?? [], shape, inner);
    const spaces = Object.entries(shape.spaces ?? {}).map(([space, definitions]) => ({
      type: 'object', required: [space], additionalProperties: false,
      properties: { [space]: suboptionsSchema(definitions, shape, inner) },
    }));
    const choices = [map, ...spaces, ...(shape.orBytes ? [inner.schema({ type: 'bytes' })] : [])];
    return choices.length === 1 ? map : { anyOf: choices };
  },
};

function suboptionsSchema(definitions: readonly OptionDefinition[], { minCount = 1 }: ValueShape, inner: ValueRules): JsonSchema {
  const orRaw = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, RAW_SCHEMA] });
  return {
    type: 'object', minProperties: minCount, additionalProperties: false,
    properties: Object.fromEntries(definitions.map((definition) => [definition.name, orRaw(inner.schema(definition))])),
    patternProperties: { '^[0-9]+$': {} },
  };
}

function suboptionHead(code: number, length: number, { wide }: ValueShape): Buffer {
  if (!wide) return Buffer.from([code, length]);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(code, 0);
  head.writeUInt16BE(length, 2);
  return head;
}

/** Undefined: cut off, too few, twice the same code, or one that may not be there. */
function splitSuboptions(bytes: Buffer, { minCount = 1, wide, padded, excluded }: ValueShape): [number, Buffer][] | undefined {
  const width = wide ? 2 : 1;
  const pieces = new Map<number, Buffer>();
  let at = 0;
  let highest = -1;
  while (at < bytes.length) {
    if (padded && bytes[at] === 255) break;
    if (padded && bytes[at] === 0) {
      at++;
      continue;
    }
    if (at + 2 * width > bytes.length) return undefined;
    const code = bytes.readUIntBE(at, width);
    const from = at + 2 * width;
    const end = from + bytes.readUIntBE(at + width, width);
    if (end > bytes.length || pieces.has(code) || excluded?.includes(code) || (wide && code < highest)) return undefined;
    pieces.set(code, bytes.subarray(from, end));
    highest = code;
    at = end;
  }
  return pieces.size < minCount ? undefined : [...pieces];
}

const ENTERPRISE = /^(?:0|[1-9][0-9]{0,9})$/;

/** RFC 3925 §3 and §4: a map by enterprise number, each once ("behavior is undefined" for more). */
export const byEnterprise: TypeRules = {
  write(value, shape, inner) {
    if (!isMap(value)) return undefined;
    const parts: Buffer[] = [];
    for (const [key, given] of Object.entries(value)) {
      const head = Buffer.alloc(5);
      const content = ENTERPRISE.test(key) && Number(key) <= 0xffff_ffff ? inner.write(given, ofEnterprise(shape, key)) : undefined;
      if (content === undefined || content.length > 255) return undefined;
      head.writeUInt32BE(Number(key), 0);
      head[4] = content.length;
      parts.push(head, content);
    }
    return parts.length === 0 ? undefined : Buffer.concat(parts);
  },
  read(bytes, shape, inner) {
    const values = new Map<string, OptionJson>();
    let at = 0;
    while (at < bytes.length) {
      if (at + 5 > bytes.length) return undefined;
      const enterprise = String(bytes.readUInt32BE(at));
      const end = at + 5 + bytes[at + 4]!;
      if (end > bytes.length || values.has(enterprise)) return undefined;
      const value = inner.read(bytes.subarray(at + 5, end), ofEnterprise(shape, enterprise));
      if (value === undefined) return undefined;
      values.set(enterprise, value);
      at = end;
    }
    return values.size === 0 ? undefined : Object.fromEntries(values);
  },
  describe: ({ of }, inner) => `a map of enterprise numbers, each to ${inner.describe(of!)}`,
  schema(shape, inner) {
    const known = Object.keys(shape.spaces ?? {});
    return {
      type: 'object', minProperties: 1, additionalProperties: false,
      properties: Object.fromEntries(known.map((enterprise) => [enterprise, inner.schema(ofEnterprise(shape, enterprise))])),
      // A pattern holds for the known ones too, whose sub-options have names.
      patternProperties: { '^[0-9]+$': known.length === 0 ? inner.schema(shape.of!) : {} },
    };
  },
};

function ofEnterprise({ of, spaces }: ValueShape, enterprise: string): ValueShape {
  const known = spaces !== undefined && Object.hasOwn(spaces, enterprise) ? spaces[enterprise] : undefined;
  return known === undefined ? of! : { ...of!, suboptions: known };
}
