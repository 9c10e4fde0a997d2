/** Shared networks, subnets, pools: how they are numbered, what is cut out of them, who may pass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatIpv4, formatRange } from '../../node/codec/address.ts';
import { parseClusterConfig } from '../../node/config/load.ts';
import { subtractRanges } from '../../node/config/ranges.ts';
import type { PoolConfig } from '../../node/config/types.ts';
import { assertOne, clusterConfig, clusterMistakes } from '../support/config-mistakes.ts';

const written = ({ ranges }: PoolConfig): string[] => ranges.map(formatRange);

test('networks, subnets and pools are numbered through, shared networks first', () => {
  const { networks, subnets, pools } = clusterConfig(`
subnets:
  - { subnet: 10.9.0.0/16, pools: [10.9.2.0-10.9.2.9, { range: 10.9.1.0-10.9.1.9, bootp: true }] }
sharedNetworks:
  - { name: one, subnets: [{ subnet: 10.1.0.0/16, pools: [10.1.1.1-10.1.1.2] }, { subnet: 10.0.0.0/16 }] }
  - { name: two, subnets: [{ subnet: 10.2.0.0/16, pools: [10.2.1.1-10.2.1.2] }], identity: hardware, authoritative: true }
`);
  assert.deepEqual(networks.map(({ index, name, identity, authoritative }) => [index, name, identity, authoritative]), [
    [0, 'one', 'client-id', false], [1, 'two', 'hardware', true], [2, '10.9.0.0/16', 'client-id', false],
  ]);
  assert.deepEqual(subnets.map(({ index, networkIndex, name }) => [index, networkIndex, name]), [
    [0, 0, '10.1.0.0/16'], [1, 0, '10.0.0.0/16'], [2, 1, '10.2.0.0/16'], [3, 2, '10.9.0.0/16'],
  ]);
  assert.deepEqual(networks.flatMap((network) => network.subnets), subnets);
  assert.deepEqual(subnets.flatMap((subnet) => subnet.pools), pools);
  assert.deepEqual(pools.map(({ index, subnetIndex, id }) => [index, subnetIndex, formatIpv4(id)]), [
    [0, 0, '10.1.1.1'], [1, 2, '10.2.1.1'], [2, 3, '10.9.1.0'], [3, 3, '10.9.2.0'],
  ]);
});

test('pools of a subnet that say the same are one, wherever it is said', () => {
  const { pools } = clusterConfig(`
classes: [{ name: a, match: { class: ALL } }, { name: b, match: { class: ALL } }]
subnets:
  - subnet: 10.0.0.0/16
    leaseTime: 1h
    pools:
      - 10.0.9.0-10.0.9.9
      - 10.0.1.0-10.0.1.9
      - { range: 10.0.2.0-10.0.2.9 }
      - { range: 10.0.3.0-10.0.3.9, leaseTime: 60m }
      - { ranges: [10.0.8.0-10.0.8.9, 10.0.4.0-10.0.4.9], leaseTime: 2h, allow: [b, a] }
      - { range: 10.0.5.0-10.0.5.9, allow: [a, b, a], leaseTime: 120m }
      - { range: 10.0.6.0-10.0.6.9, allow: [a] }
      - { range: 10.0.7.0-10.0.7.9, deny: [a] }
      - { range: 10.0.10.0-10.0.10.9, allocation: hashed }
      - { range: 10.0.11.0-10.0.11.9, deny: [] }
  - { subnet: 10.1.0.0/16, pools: [10.1.0.1-10.1.0.2] }
`);
  assert.deepEqual(pools.map(written), [
    ['10.0.1.0-10.0.1.9', '10.0.2.0-10.0.2.9', '10.0.3.0-10.0.3.9', '10.0.9.0-10.0.9.9', '10.0.11.0-10.0.11.9'],
    ['10.0.4.0-10.0.4.9', '10.0.5.0-10.0.5.9', '10.0.8.0-10.0.8.9'],
    ['10.0.6.0-10.0.6.9'], ['10.0.7.0-10.0.7.9'], ['10.0.10.0-10.0.10.9'], ['10.1.0.1-10.1.0.2'],
  ]);
  assert.deepEqual(pools[1]?.guard, { allow: [0, 1], deny: [] });
});

test('excluded addresses are in no range', () => {
  const { pools } = clusterConfig(`
subnets:
  - subnet: 10.0.0.0/16
    exclude: [10.0.0.0-10.0.1.4, 10.0.200.0]
    pools:
      - 10.0.1.0-10.0.1.9
      - { range: 10.0.2.0-10.0.2.9, exclude: [10.0.2.9, 10.0.2.3-10.0.2.5, 10.0.2.4-10.0.2.6] }
      - { ranges: [10.0.3.0-10.0.3.9, 10.0.4.0-10.0.4.9], exclude: [10.0.3.0-10.0.3.9], bootp: true }
`);
  assert.deepEqual(pools.map(written), [
    ['10.0.1.5-10.0.1.9', '10.0.2.0-10.0.2.2', '10.0.2.7-10.0.2.8'], ['10.0.4.0-10.0.4.9'],
  ]);
  assert.deepEqual(pools.map(({ id }) => formatIpv4(id)), ['10.0.1.5', '10.0.4.0']);
});

test('what is left of ranges is what is in one of them and in none of the excluded', () => {
  const edges = fc.uniqueArray(fc.nat(60), { minLength: 0, maxLength: 10 }).map((points) => {
    const sorted = points.toSorted((a, b) => a - b);
    return Array.from({ length: sorted.length >> 1 }, (_, i) => ({ first: sorted[2 * i]!, last: sorted[2 * i + 1]! }));
  });
  const any = fc.array(fc.tuple(fc.nat(60), fc.nat(20)).map(([first, length]) => ({ first, last: first + length })), { maxLength: 6 });
  fc.assert(fc.property(edges, any, (ranges, excluded) => {
    const left = subtractRanges(ranges.toReversed(), excluded);
    const inside = (list: readonly { first: number; last: number }[], at: number): boolean => list.some(({ first, last }) => at >= first && at <= last);
    for (let at = 0; at < 100; at++) assert.equal(inside(left, at), inside(ranges, at) && !inside(excluded, at), String(at));
    for (const [i, { first, last }] of left.entries()) assert.ok(first <= last && (i === 0 || first > left[i - 1]!.last), 'in order, disjoint');
  }), { numRuns: 300 });
});

test('a built-in class that a subnet or pool names becomes a class after those of the file', () => {
  const { classes, subnets, pools } = clusterConfig(`
classes: [{ name: a, match: { class: KNOWN } }]
subnets:
  - { subnet: 10.0.0.0/16, allow: [UNKNOWN, a], pools: [{ range: 10.0.1.0-10.0.1.9, deny: [VENDOR_CLASS_PXEClient, UNKNOWN] }] }
`);
  assert.deepEqual(classes.map(({ index, name, condition, drop }) => ({ index, name, condition, drop })), [
    { index: 0, name: 'a', condition: { kind: 'known' }, drop: false },
    { index: 1, name: 'UNKNOWN', condition: { kind: 'not', of: { kind: 'known' } }, drop: false },
    {
      index: 2, name: 'VENDOR_CLASS_PXEClient', drop: false,
      condition: { kind: 'test', subject: { from: 'option', code: 60, path: [] }, test: { kind: 'equals', values: [Buffer.from('PXEClient')] } },
    },
  ]);
  assert.deepEqual(subnets[0]?.guard, { allow: [0, 1], deny: [] });
  assert.deepEqual(pools[0]?.guard, { allow: undefined, deny: [1, 2] });
});

test('a name in allow or deny is that of a class', () => {
  const subnet = (text: string): string[] => clusterMistakes(`classes: [{ name: guests, match: { class: ALL } }]\nsubnets: [{ subnet: 10.0.0.0/8, ${text} }]`);
  assert.deepEqual(subnet('allow: [guests, KNOWN, VENDOR_CLASS_a b], deny: [BOOTP]'), []);
  assertOne(subnet('allow: [guest]'), 'c.yaml:2:41: subnets[0].allow[0]: expected the name of a class; did you mean guests?, found "guest"');
  assertOne(subnet('deny: [Known]'), 'c.yaml:2:40: subnets[0].deny[0]: expected the name of a class; did you mean KNOWN?, found "Known"');
  assertOne(subnet('pools: [{ range: 10.0.0.1-10.0.0.2, allow: [guests, x] }]'), 'c.yaml:2:85: subnets[0].pools[0].allow[1]: expected the name of a class, found "x"');
  assertOne(subnet('allow: []'), 'c.yaml:2:40: subnets[0].allow: expected at least one class');
  assertOne(subnet('allow: guests'), 'c.yaml:2:40: subnets[0].allow: expected a list, each entry the name of a class, found "guests"');
  assertOne(subnet('deny: [7]'), 'c.yaml:2:40: subnets[0].deny[0]: expected the name of a class, found 7');
});

test('subnets may not overlap, in whatever network they are', () => {
  assertOne(clusterMistakes('sharedNetworks: [{ name: a, subnets: [{ subnet: 10.0.0.0/8 }] }]\nsubnets: [{ subnet: 10.1.0.0/16 }]'),
    'c.yaml:2:21: subnets[0].subnet: expected subnets that do not overlap: 10.1.0.0/16 overlaps 10.0.0.0/8 of sharedNetworks[0].subnets[0]');
  assertOne(clusterMistakes('sharedNetworks: [{ name: a, subnets: [{ subnet: 10.0.0.0/8 }, { subnet: 10.1.0.0/16 }] }]'),
    'c.yaml:1:73: sharedNetworks[0].subnets[1].subnet: expected subnets that do not overlap');
});

test('a shared network has a name of its own, subnets, and says itself what concerns the link', () => {
  assert.deepEqual(clusterMistakes('sharedNetworks: [{ name: a, subnets: [{ subnet: 10.0.0.0/8 }] }]'), [], 'no other subnets are needed');
  assertOne(clusterMistakes('sharedNetworks: []'), 'c.yaml:1:1: subnets: expected a list of subnets, but it is missing');
  assertOne(clusterMistakes('sharedNetworks: [{ name: a, subnets: [] }]'), 'c.yaml:1:38: sharedNetworks[0].subnets: expected at least one subnet');
  assertOne(clusterMistakes('sharedNetworks: [{ name: a }]'), 'c.yaml:1:18: sharedNetworks[0].subnets: expected a list of subnets, but it is missing');
  assertOne(clusterMistakes('sharedNetworks: [{ name: 10.0.0.0/8, subnets: [{ subnet: 10.0.0.0/8 }] }]'), 'c.yaml:1:26: sharedNetworks[0].name: expected a name');
  assertOne(clusterMistakes('sharedNetworks: [{ name: a, subnets: [{ subnet: 10.0.0.0/8 }] }, { name: a, subnets: [{ subnet: 11.0.0.0/8 }] }]'),
    'c.yaml:1:74: sharedNetworks[1].name: expected each name once; sharedNetworks[0] has a too');
  assertOne(clusterMistakes('sharedNetworks: [{ name: a, subnets: [{ subnet: 10.0.0.0/8, identity: hardware }] }]'),
    'c.yaml:1:61: sharedNetworks[0].subnets[0].identity: expected identity at the shared network');
  assertOne(clusterMistakes('sharedNetworks: [{ name: a, subnets: [{ subnet: 10.0.0.0/8, authoritative: true }] }]'),
    'c.yaml:1:61: sharedNetworks[0].subnets[0].authoritative: expected authoritative at the shared network');
});

test('a pool is a range, or a map with one', () => {
  const pools = (text: string): string[] => clusterMistakes(`subnets: [{ subnet: 10.0.0.0/8, pools: [${text}] }]`);
  assertOne(pools('{ leaseTime: 1h }'), 'c.yaml:1:41: subnets[0].pools[0]: expected exactly one of range and ranges, found none of them');
  assertOne(pools('{ range: 10.0.0.1-10.0.0.2, ranges: [10.0.0.5-10.0.0.6] }'), 'c.yaml:1:41: subnets[0].pools[0]: expected exactly one of range and ranges, found both');
  assertOne(pools('{ ranges: [] }'), 'c.yaml:1:51: subnets[0].pools[0].ranges: expected at least one range, found an empty list');
  assertOne(pools('{ rnge: 10.0.0.1-10.0.0.2 }').slice(1), 'c.yaml:1:43: subnets[0].pools[0].rnge: unknown key; did you mean range?');
  assertOne(pools('{ range: 10.0.0.1 }'), 'c.yaml:1:50: subnets[0].pools[0].range: expected a range of IPv4 addresses such as 10.1.0.0-10.1.255.255, found "10.0.0.1"');
  assertOne(pools('{ range: 10.0.0.1-10.0.0.9, leaseTime: 1x }'), 'c.yaml:1:80: subnets[0].pools[0].leaseTime: expected whole seconds');
  assertOne(pools('{ range: 10.0.0.1-10.0.0.9, options: { routr: 10.0.0.1 } }'), 'c.yaml:1:87: subnets[0].pools[0].options.routr: expected the name of a DHCP option');
  assertOne(pools('10.0.0.1-10.0.0.9, { ranges: [10.0.1.1-10.0.1.9, 10.0.0.9-10.0.0.11] }'),
    'c.yaml:1:90: subnets[0].pools[1].ranges[1]: expected pools that do not overlap: 10.0.0.9-10.0.0.11 overlaps 10.0.0.1-10.0.0.9');
  assertOne(pools('{ ranges: [10.0.0.1-10.0.0.9, 10.0.0.5-10.0.0.6] }'), 'c.yaml:1:71: subnets[0].pools[0].ranges[1]: expected pools that do not overlap');
});

test('what is excluded was in, and something is left', () => {
  const pools = (text: string, subnet = ''): string[] => clusterMistakes(`subnets: [{ subnet: 10.0.0.0/8, pools: [${text}], ${subnet} }]`);
  assertOne(pools('{ range: 10.0.0.1-10.0.0.9, exclude: [10.0.0.10] }'), 'c.yaml:1:79: subnets[0].pools[0].exclude[0]: expected addresses of this pool, found "10.0.0.10"');
  assertOne(pools('{ range: 10.0.0.1-10.0.0.9, exclude: [10.0.0.8-10.0.0.10] }'), 'c.yaml:1:79: subnets[0].pools[0].exclude[0]: expected addresses of this pool');
  assertOne(pools('{ range: 10.0.0.1-10.0.0.9, exclude: [10.0.0.5-10.0.0.2] }'), 'c.yaml:1:79: subnets[0].pools[0].exclude[0]: expected the lower address first: 10.0.0.2-10.0.0.5');
  assertOne(pools('{ range: 10.0.0.1-10.0.0.9, exclude: [10.0.0.1-10.0.0.4, 10.0.0.5-10.0.0.9] }'), 'c.yaml:1:41: subnets[0].pools[0]: expected a pool with an address that is not excluded');
  assertOne(pools('10.0.0.1-10.0.0.9', 'exclude: [10.0.0.0-10.0.0.255]'), 'c.yaml:1:41: subnets[0].pools[0]: expected a pool with an address that is not excluded');
  assertOne(pools('', 'exclude: [11.0.0.1]'), 'c.yaml:1:54: subnets[0].exclude[0]: expected addresses inside 10.0.0.0/8, found "11.0.0.1"');
  assertOne(pools('', 'exclude: [10.0.0]'), 'c.yaml:1:54: subnets[0].exclude[0]: expected an IPv4 address such as 10.1.0.7, or a range');
});

test('more subnets and pools than the lease table can number are a mistake', () => {
  const prefixes = Array.from({ length: 65_535 }, (_, n) => `10.${n >> 8}.${n & 255}.0/24`);
  const pools = (prefix: string): string => prefix.replace('0/24', '1') + '-' + prefix.replace('0/24', '9');
  const text = JSON.stringify({ subnets: prefixes.map((prefix) => ({ subnet: prefix, pools: [pools(prefix)] })) });
  assert.throws(() => parseClusterConfig(text, 'many.yaml'), /expected at most 65534 subnets, found 65535[\s\S]*expected at most 65534 pools, found 65535/);
});
