/** The rules of every type, and the way to the right ones: how any value is read, written and described. */
import { bitFields, byEnterprise, record, sized, suboptions } from './option-composites.ts';
import { clientFqdn, namesOrAddresses, route, userClass } from './option-own-syntaxes.ts';
import {
  bool, bytes, domainList, flag, fqdn, integerRules, ip, ipv6, ipv6Prefix, prefix, text, textOrBytes, uri,
} from './option-simple-types.ts';
import type { OptionJson, OptionType, TypeRules, ValueRules, ValueShape } from './option-shape.ts';

const RULES: Readonly<Record<OptionType, TypeRules>> = {
  ip, ipv6, prefix, 'ipv6-prefix': ipv6Prefix,
  u8: integerRules(1), u16: integerRules(2), u32: integerRules(4),
  i8: integerRules(1, true), i16: integerRules(2, true), i32: integerRules(4, true),
  bool, flag, text, uri, bytes, 'text-or-bytes': textOrBytes, fqdn, 'domain-list': domainList,
  route, sized, record, 'bit-fields': bitFields, suboptions, 'by-enterprise': byEnterprise,
  'names-or-addresses': namesOrAddresses, 'user-class': userClass, 'client-fqdn': clientFqdn,
};

export const VALUES: ValueRules = {
  write(value, shape) {
    return shape.array ? writeArray(value, shape) : RULES[shape.type].write(value, shape, VALUES);
  },
  read(bytes, shape) {
    return shape.array ? readArray(bytes, shape) : RULES[shape.type].read(bytes, shape, VALUES);
  },
  extent(bytes, at, shape) {
    return shape.array ? undefined : RULES[shape.type].extent?.(bytes, at, shape, VALUES);
  },
  describe(shape) {
    const rules = RULES[shape.type];
    if (!shape.array) return rules.describe(shape, VALUES);
    return rules.describeList ?? `a list, each entry ${rules.describe(shape, VALUES)}`;
  },
  schema(shape) {
    const entry = RULES[shape.type].schema(shape, VALUES);
    if (!shape.array) return entry;
    const { minCount = 1, maxCount } = shape;
    const array = { type: 'array', items: entry, minItems: minCount, ...(maxCount === undefined ? {} : { maxItems: maxCount }) };
    return { anyOf: [array, entry] };
  },
};

/** A single value may stand for a list of one, unless it is a list itself. */
function writeArray(value: unknown, shape: ValueShape): Buffer | undefined {
  const entries: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!countIsRight(entries.length, shape)) return undefined;
  const parts: Buffer[] = [];
  for (const entry of entries) {
    const part = RULES[shape.type].write(entry, shape, VALUES);
    if (part === undefined) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function readArray(bytes: Buffer, shape: ValueShape): OptionJson[] | undefined {
  const rules = RULES[shape.type];
  const entries: OptionJson[] = [];
  let at = 0;
  while (at < bytes.length) {
    const size = rules.extent?.(bytes, at, shape, VALUES);
    const entry = size === undefined ? undefined : rules.read(bytes.subarray(at, at + size), shape, VALUES);
    if (entry === undefined) return undefined;
    entries.push(entry);
    at += size!;
  }
  return countIsRight(entries.length, shape) ? entries : undefined;
}

function countIsRight(count: number, { minCount = 1, maxCount = Number.POSITIVE_INFINITY }: ValueShape): boolean {
  return count >= minCount && count <= maxCount;
}
