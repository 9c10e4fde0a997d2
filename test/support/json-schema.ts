/** Whether a value meets a JSON Schema: as much of draft 7 as the shipped schemas use; anything else in one throws. */

type Schema = Readonly<Record<string, unknown>>;

const ANNOTATIONS = new Set(['$schema', 'title', 'description', 'default', 'definitions', 'format']);

/** The first place where it does not, or undefined. */
export function schemaMistake(root: Schema, value: unknown): string | undefined {
  return new Validator(root).check(root, value, '');
}

class Validator {
  readonly #root: Schema;

  constructor(root: Schema) {
    this.#root = root;
  }

  check(schema: unknown, value: unknown, path: string): string | undefined {
    if (schema === true) return undefined;
    if (schema === false) return `${path}: nothing may be here`;
    for (const [word, rule] of Object.entries(schema as Schema)) {
      if (ANNOTATIONS.has(word)) continue;
      const test = WORDS[word];
      if (test === undefined) throw new Error(`a word that the shipped schemas may not use yet: ${word}`);
      const mistake = test({ rule, schema: schema as Schema, value, path, validator: this });
      if (mistake !== undefined) return mistake;
    }
    return undefined;
  }

  resolve(reference: string): Schema {
    const name = decodeURIComponent(reference.replace('#/definitions/', ''));
    const schema = (this.#root['definitions'] as Readonly<Record<string, Schema>>)[name];
    if (schema === undefined) throw new Error(`nothing is called ${reference}`);
    return schema;
  }
}

interface Question {
  readonly rule: unknown;
  readonly schema: Schema;
  readonly value: unknown;
  readonly path: string;
  readonly validator: Validator;
}

const typeOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);

/** What a word asks of a value of the kind that it concerns; of others nothing. */
const WORDS: Readonly<Record<string, (question: Question) => string | undefined>> = {
  $ref: ({ rule, value, path, validator }) => validator.check(validator.resolve(rule as string), value, path),
  type: ({ rule, value, path }) => {
    const kinds = (Array.isArray(rule) ? rule : [rule]) as readonly string[];
    const is = kinds.some((kind) => (kind === 'integer' ? Number.isInteger(value) : kind === typeOf(value)));
    return is ? undefined : `${path}: ${kinds.join(' or ')} expected`;
  },
  enum: ({ rule, value, path }) => ((rule as readonly unknown[]).includes(value) ? undefined : `${path}: not among ${JSON.stringify(rule)}`),
  const: ({ rule, value, path }) => (rule === value ? undefined : `${path}: not ${JSON.stringify(rule)}`),
  minimum: ({ rule, value, path }) => (typeof value === 'number' && value < (rule as number) ? `${path}: too small` : undefined),
  maximum: ({ rule, value, path }) => (typeof value === 'number' && value > (rule as number) ? `${path}: too large` : undefined),
  pattern: ({ rule, value, path }) => (typeof value === 'string' && !new RegExp(rule as string, 'u').test(value) ? `${path}: not of the form ${rule as string}` : undefined),
  minLength: ({ rule, value, path }) => (typeof value === 'string' && value.length < (rule as number) ? `${path}: too short` : undefined),
  maxLength: ({ rule, value, path }) => (typeof value === 'string' && value.length > (rule as number) ? `${path}: too long` : undefined),
  minItems: ({ rule, value, path }) => (Array.isArray(value) && value.length < (rule as number) ? `${path}: too few` : undefined),
  maxItems: ({ rule, value, path }) => (Array.isArray(value) && value.length > (rule as number) ? `${path}: too many` : undefined),
  minProperties: ({ rule, value, path }) => (typeOf(value) === 'object' && Object.keys(value as object).length < (rule as number) ? `${path}: too few keys` : undefined),
  required: ({ rule, value, path }) => {
    const missing = typeOf(value) === 'object' ? (rule as readonly string[]).find((key) => !(key in (value as object))) : undefined;
    return missing === undefined ? undefined : `${path}: ${missing} is missing`;
  },
  allOf: ({ rule, value, path, validator }) => (rule as readonly unknown[]).map((one) => validator.check(one, value, path)).find((mistake) => mistake !== undefined),
  anyOf: ({ rule, value, path, validator }) => {
    const mistakes = (rule as readonly unknown[]).map((one) => validator.check(one, value, path));
    return mistakes.includes(undefined) ? undefined : mistakes.join('; ');
  },
  items: ({ rule, schema, value, path, validator }) => {
    if (!Array.isArray(value)) return undefined;
    const rules = value.map((_, at) => (Array.isArray(rule) ? rule[at] ?? schema['additionalItems'] ?? true : rule) as unknown);
    return value.map((entry, at) => validator.check(rules[at], entry, `${path}[${at}]`)).find((mistake) => mistake !== undefined);
  },
  additionalItems: () => undefined,
  properties: (question) => ('additionalProperties' in question.schema ? undefined : WORDS['additionalProperties']!({ ...question, rule: true })),
  patternProperties: (question) => WORDS['additionalProperties']!({ ...question, rule: question.schema['additionalProperties'] ?? true }),
  additionalProperties: ({ rule, schema, value, path, validator }) => {
    if (typeOf(value) !== 'object') return undefined;
    const patterns = Object.entries((schema['patternProperties'] ?? {}) as Schema);
    return Object.entries(value as object).map(([key, entry]) => {
      const named = ((schema['properties'] ?? {}) as Schema)[key] ?? patterns.find(([pattern]) => new RegExp(pattern, 'u').test(key))?.[1];
      return validator.check(named ?? rule, entry, `${path}.${key}`);
    }).find((mistake) => mistake !== undefined);
  },
};
