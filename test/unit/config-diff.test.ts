/** Two configurations compared by what things are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { diffConfigs, formatChange, same } from '../../node/config/diff.ts';
import { plainValue } from '../../node/config/plain-text.ts';

function lines(before: string, after: string): string[] {
  return diffConfigs(plainValue(before), plainValue(after)).map(formatChange);
}

const BASE = `leaseTime: 12h
nodes: { a: { weight: 1 }, b: { weight: 1 } }
subnets:
  - subnet: 10.1.0.0/16
    pools: [10.1.1.0-10.1.1.255, { range: 10.1.2.0-10.1.2.255, leaseTime: 1h }]
    options: { routers: [10.1.0.1] }
    reservations:
      - { hardware: "02:00:00:00:00:01", address: 10.1.9.1, hostname: printer }
      - { clientId: "01:02:00:00:00:00:02", address: 10.1.9.2 }
  - subnet: 10.2.0.0/16
classes: [{ name: x, match: { option: 60, equals: x } }, { name: y, match: { option: 60, equals: y } }]
`;

test('the same is no difference, however it is written', () => {
  assert.deepEqual(lines(BASE, BASE), []);
  const other = BASE.replace('leaseTime: 12h\n', '# a comment\n').replace('nodes: {', 'nodes: {\n ').concat('leaseTime: "12h"\n')
    .replace('"02:00:00:00:00:01"', '"02-00-00-00-00-01"');
  assert.deepEqual(lines(BASE, other), ['~ subnets[10.1.0.0/16].reservations[02:00:00:00:00:01].hardware: 02:00:00:00:00:01 → 02-00-00-00-00-01']);
});

test('subnets are known by their prefix, pools by their addresses, reservations by their client, options by name', () => {
  const after = BASE.replace('12h', '6h').replace('[10.1.0.1]', '[10.1.0.254]').replace('leaseTime: 1h', 'leaseTime: 2h')
    .replace('10.1.1.0-10.1.1.255, ', '').replace('10.1.9.1', '10.1.9.3').replace('      - { clientId: "01:02:00:00:00:00:02", address: 10.1.9.2 }\n', '')
    .replace('  - subnet: 10.2.0.0/16\n', '  - subnet: 10.3.0.0/16\n    pools: [10.3.0.1-10.3.0.9]\n').replace('b: { weight: 1 }', 'b: { weight: 0 }');
  assert.deepEqual(lines(BASE, after), [
    '~ leaseTime: 12h → 6h',
    '~ nodes.b.weight: 1 → 0',
    '- subnets[10.1.0.0/16].pools[10.1.1.0-10.1.1.255]: 10.1.1.0-10.1.1.255',
    '~ subnets[10.1.0.0/16].pools[10.1.2.0-10.1.2.255].leaseTime: 1h → 2h',
    '~ subnets[10.1.0.0/16].options.routers: [10.1.0.1] → [10.1.0.254]',
    '~ subnets[10.1.0.0/16].reservations[02:00:00:00:00:01].address: 10.1.9.1 → 10.1.9.3',
    '- subnets[10.1.0.0/16].reservations[clientId 01:02:00:00:00:00:02]: { clientId: 01:02:00:00:00:00:02, address: 10.1.9.2 }',
    '- subnets[10.2.0.0/16]: { subnet: 10.2.0.0/16 }',
    '+ subnets[10.3.0.0/16]: { subnet: 10.3.0.0/16, pools: [10.3.0.1-10.3.0.9] }',
  ]);
});

test('zones are known by their names, wherever they stand in the list', () => {
  const zones = (text: string): string => `dns: { zones: [${text}] }\n`;
  const [one, other] = ['{ zone: example.com, servers: [10.0.0.53] }', '{ zone: 10.in-addr.arpa, servers: [10.0.0.53] }'];
  assert.deepEqual(lines(zones(`${one}, ${other}`), zones(`${other}, ${one}`)), []);
  assert.deepEqual(lines(zones(`${one}, ${other}`), zones(`${other.replace('.53', '.54')}, ${one.replace('com,', 'com, key: k,')}`)), [
    '+ dns.zones[example.com].key: k', '~ dns.zones[10.in-addr.arpa].servers: [10.0.0.53] → [10.0.0.54]',
  ]);
});

test('a pool that becomes a map is the same pool', () => {
  assert.deepEqual(lines(BASE, BASE.replace('10.1.1.0-10.1.1.255', '{ range: 10.1.1.0-10.1.1.255, bootp: true }')),
    ['+ subnets[10.1.0.0/16].pools[10.1.1.0-10.1.1.255].bootp: true']);
});

test('the order of subnets says nothing, that of classes does', () => {
  const [head, first, second, tail] = /^([\s\S]*?)( {2}- subnet: 10\.1[\s\S]*?)( {2}- subnet: 10\.2[^\n]*\n)([\s\S]*)$/.exec(BASE)!.slice(1);
  assert.deepEqual(lines(BASE, `${head}${second}${first}${tail}`), []);
  const swapped = BASE.replace(/\[(\{ name: x.*?\}), (\{ name: y.*?\})\]$/m, '[$2, $1]');
  assert.deepEqual(lines(BASE, swapped), ['~ classes: in another order: y, x']);
});

test('a list with two entries of one name is compared as it stands', () => {
  const twice = 'subnets: [{ subnet: 10.0.0.0/8 }, { subnet: 10.0.0.0/8, leaseTime: 1h }]';
  assert.deepEqual(lines('subnets: [{ subnet: 10.0.0.0/8 }]', twice).length, 1);
});

test('long values are cut for people, and whole in the data', () => {
  const [change] = diffConfigs({}, { options: { x: 'y'.repeat(500) } });
  assert.ok(formatChange(change!).length < 200);
  assert.deepEqual(change, { kind: 'added', path: 'options', after: { x: 'y'.repeat(500) } });
});

test('there is a difference exactly where something differs', () => {
  const word = fc.constantFrom('a', 'b', 'c');
  const value = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, word, fc.integer({ min: 0, max: 2 }), fc.array(tie('value'), { maxLength: 3 }), tie('map')),
    map: fc.dictionary(fc.constantFrom('subnets', 'pools', 'classes', 'reservations', 'name', 'subnet', 'range', 'x'), tie('value'), { maxKeys: 4 }),
  })).value;
  fc.assert(fc.property(value, value, (before, after) => {
    assert.equal(diffConfigs(before, before).length, 0);
    // Where the entries of a list have names, their order counts for classes only.
    if (diffConfigs(before, after).length === 0) assert.deepEqual(sorted(before), sorted(after));
    else assert.ok(!same(before, after));
  }), { numRuns: 2000 });
});

/** As if order said nothing; a list of things that have names may be left out where it is empty, and a pool is its range. */
function sorted(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    return value.map((entry) => JSON.stringify(sorted(key === 'pools' && typeof entry === 'string' ? { range: entry } : entry))).toSorted();
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([name, entry]) => !(NAMED.has(name) && Array.isArray(entry) && entry.length === 0))
    .map(([name, entry]) => [name, sorted(entry, name)] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

const NAMED = new Set(['subnets', 'pools', 'classes', 'reservations', 'sharedNetworks']);
