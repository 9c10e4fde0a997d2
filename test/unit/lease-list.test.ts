/** Lists of bindings: each condition against a naive one, orders, pages, and what is dropped on the way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { countLeases, listLeases } from '../../node/admin/lease-list.ts';
import type { LeaseSource } from '../../node/admin/lease-list.ts';
import { leaseCursor, SORT_FIELDS } from '../../node/admin/lease-order.ts';
import type { SortField } from '../../node/admin/lease-order.ts';
import { LeaseQueryError, leaseParameters, parseLeaseFilter, parseLeaseQuery, poolName } from '../../node/admin/lease-parameters.ts';
import type { LeaseConditions, LeaseQueryContext } from '../../node/admin/lease-parameters.ts';
import { leaseView, type LeaseView } from '../../node/admin/lease-view.ts';
import { leaseCount, leaseEntry, leases } from '../../node/admin/operations/leases.ts';
import { release } from '../../node/admin/operations/release.ts';
import { SortedRuns } from '../../node/admin/sorted-runs.ts';
import { bytesTest, textTest } from '../../node/admin/text-pattern.ts';
import { formatIpv4, parseIpv4 } from '../../node/codec/address.ts';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import { encodeDnsEntries } from '../../node/ddns/entries.ts';
import { BindingState, recordExpires } from '../../node/lease/record.ts';
import { LEASE_PAGE_RECORDS, SORTED_LEASES_MAX } from '../../node/admin/limits.ts';
import { encodeNote } from '../../node/notes/note.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { ip } from '../support/client-packets.ts';
import { buildConfig, subnetConfig } from '../support/configs.ts';
import { OperatedCluster } from '../support/operated-cluster.ts';
import { binding, recordsIn } from './admin-fixture.ts';

const NOW = 1_700_000_000;
const config = buildConfig({ nodes: ['a', 'b'], subnets: [
  subnetConfig({
    name: '10.0.0.0/24', network: ip('10.0.0.0'), sharedNetwork: 'hall',
    pools: [{ first: ip('10.0.0.10'), last: ip('10.0.0.19') }, { first: ip('10.0.0.30'), last: ip('10.0.0.39') }],
  }),
  subnetConfig({ name: '10.0.1.0/24', network: ip('10.0.1.0'), sharedNetwork: 'hall', pools: [{ first: ip('10.0.1.10'), last: ip('10.0.1.99') }] }),
  subnetConfig({ name: '10.0.2.0/24', network: ip('10.0.2.0'), pools: [{ first: ip('10.0.2.10'), last: ip('10.0.2.99') }] }),
] });
const ownerOf = (slot: number): string => (slot % 2 === 0 ? 'a' : 'b');
const context: LeaseQueryContext = { config, ownerOf, nowSeconds: NOW };

interface Lease {
  readonly address: number;
  readonly record: Buffer;
}

function sourceOf(bindings: ReadonlyMap<number, Buffer>): LeaseSource {
  return { ...recordsIn(bindings), config, ownerOf, pause: () => Promise.resolve() };
}

async function all<T>(things: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const thing of things) found.push(thing);
  return found;
}

function ask(source: LeaseSource, parameters: object): Promise<LeaseView[]> {
  return all(listLeases(source, parseLeaseQuery(leaseParameters.parse(parameters), context)));
}

async function addresses(source: LeaseSource, parameters: Record<string, string>): Promise<string[]> {
  return (await ask(source, parameters)).map(({ address }) => address);
}

const circuit = (id: string, remote: string): Buffer =>
  Buffer.from([1, id.length, ...Buffer.from(id), ...(remote === '' ? [] : [2, remote.length, ...Buffer.from(remote)])]);
const NAMES = ['', 'printer', 'Printer-2', 'cafe', 'zebra'];
const ENTRY = { dhcid: Buffer.alloc(35), current: true, forward: true, reverse: false, forwardSettled: true, reverseSettled: false, refusal: 'none' } as const;
const dnsOf = (name: string): Buffer => encodeDnsEntries([{ ...ENTRY, name: parseDomainName(`${name}.example.net`)! }]);

const leaseArbitrary: fc.Arbitrary<Lease> = fc.record({
  address: fc.integer({ min: ip('10.0.0.0'), max: ip('10.0.3.255') }),
  state: fc.constantFrom(BindingState.ACTIVE, BindingState.EXPIRED, BindingState.RELEASED, BindingState.ABANDONED),
  chaddr: fc.integer({ min: 0, max: 20 }), identifier: fc.boolean(), name: fc.constantFrom(...NAMES), reserved: fc.boolean(),
  since: fc.integer({ min: NOW - 5000, max: NOW }), expires: fc.oneof(fc.integer({ min: NOW - 3000, max: NOW + 3000 }), fc.constant(INFINITE_SECONDS)),
  port: fc.constantFrom('', 'eth1', 'eth2', 'gpon 0/1'), remote: fc.constantFrom('', 'switch-7'), vendor: fc.constantFrom('', 'MSFT 5.0', 'udhcp 1.36'),
}).map(({ address, chaddr, expires, identifier, name, port, remote, reserved, since, state, vendor }) => {
  const hardware = Buffer.from([0x52, 0x54, 0, 0, 0, chaddr]);
  return { address, record: binding({
    state, chaddr: hardware, hasClientIdentifier: identifier, clientKey: identifier ? Buffer.from([0xff, chaddr]) : Buffer.from([1, ...hardware]),
    hostname: Buffer.from(name), reserved, stateSince: since, expires, relayAgentInformation: port === '' ? Buffer.alloc(0) : circuit(port, remote),
    vendorClass: Buffer.from(vendor), ...(name === '' ? {} : { dns: dnsOf(name.toLowerCase()) }),
  }) };
});

/** Each condition, and the same of what is shown of a lease. */
const CONDITIONS: readonly { readonly given: LeaseConditions; readonly holds: (lease: LeaseView) => boolean }[] = [
  { given: {}, holds: () => true },
  { given: { client: '52:54:00:00:00:07' }, holds: ({ hardware }) => hardware === '52:54:00:00:00:07' },
  { given: { client: '52-54-0*0a' }, holds: ({ client, hardware }) => hardware === '52:54:00:00:00:0a' || client === '0152540000000a' },
  { given: { client: 'ff0*' }, holds: ({ client }) => client.startsWith('ff0') },
  { given: { client: 'PRINTER*' }, holds: ({ hostname }) => hostname?.toLowerCase().startsWith('printer') ?? false },
  { given: { client: 'printer' }, holds: ({ hostname }) => hostname === 'printer' },
  { given: { address: '10.0.0.200-10.0.1.20' }, holds: ({ address }) => parseIpv4(address)! >= ip('10.0.0.200') && parseIpv4(address)! <= ip('10.0.1.20') },
  { given: { address: '10.0.1.64/26' }, holds: ({ address }) => /^10\.0\.1\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])$/.test(address) },
  { given: { subnet: '10.0.1.0/24' }, holds: ({ subnet }) => subnet === '10.0.1.0/24' },
  { given: { network: 'hall' }, holds: ({ subnet }) => subnet === '10.0.0.0/24' || subnet === '10.0.1.0/24' },
  { given: { pool: '10.0.0.33' }, holds: ({ address }) => /^10\.0\.0\.[13]\d$/.test(address) },
  { given: { state: 'active,Released' }, holds: ({ state }) => state === 'ACTIVE' || state === 'RELEASED' },
  { given: { owner: 'b' }, holds: ({ owner }) => owner === 'b' },
  { given: { expiresBefore: '10m' }, holds: ({ expires }) => expires !== 'never' && Date.parse(expires) / 1000 < NOW + 600 },
  { given: { expiresAfter: '10m' }, holds: ({ expires }) => expires === 'never' || Date.parse(expires) / 1000 > NOW + 600 },
  { given: { grantedSince: '1h' }, holds: ({ state, stateSince }) => state === 'ACTIVE' && Date.parse(stateSince) / 1000 >= NOW - 3600 },
  { given: { circuitId: 'ETH*' }, holds: ({ relay }) => relayText(relay, 'circuit-id').startsWith('eth') },
  { given: { circuitId: '65:74:68:31' }, holds: ({ relay }) => relayText(relay, 'circuit-id') === 'eth1' },
  { given: { remoteId: 'switch-7' }, holds: ({ relay }) => relayText(relay, 'remote-id') === 'switch-7' },
  { given: { reserved: 'yes' }, holds: ({ reserved }) => reserved },
  { given: { reserved: 'no' }, holds: ({ reserved }) => !reserved },
  { given: { dnsName: 'printer*.example.net.' }, holds: ({ dns }) => dns?.name.startsWith('printer') ?? false },
];

function relayText(relay: unknown, name: string): string {
  const value = (relay as Record<string, unknown> | undefined)?.[name];
  return typeof value === 'string' ? value : '';
}

test('what is found is what a reader of all bindings would pick, for each condition and for any two at once', async () => {
  await fc.assert(fc.asyncProperty(fc.array(leaseArbitrary, { maxLength: 60 }), fc.nat(), fc.nat(), async (leases, one, other) => {
    const source = sourceOf(new Map(leases.map(({ address, record }) => [address, record])));
    const everything = await ask(source, {});
    const [first, second] = [CONDITIONS[one % CONDITIONS.length]!, CONDITIONS[other % CONDITIONS.length]!];
    const given = { ...first.given, ...second.given };
    // Of the same condition twice the second one counts.
    const isSame = Object.keys(first.given).some((name) => name in second.given);
    const expected = everything.filter((lease) => (isSame || first.holds(lease)) && second.holds(lease));
    assert.deepEqual(await ask(source, given), expected, JSON.stringify(given));
    assert.equal(await countLeases(source, parseLeaseFilter(given, context)), expected.length);
  }), { numRuns: 120 });
});

test('each condition finds some and leaves out some of a thousand bindings', async () => {
  const leases = fc.sample(leaseArbitrary, { numRuns: 1000, seed: 1 });
  const source = sourceOf(new Map(leases.map(({ address, record }) => [address, record])));
  const everything = await ask(source, {});
  for (const { given, holds } of CONDITIONS.slice(1)) {
    const found = await ask(source, given);
    assert.ok(found.length > 0 && found.length < everything.length, `${JSON.stringify(given)} finds ${found.length} of ${everything.length}`);
    assert.deepEqual(found, everything.filter(holds), JSON.stringify(given));
  }
});

test('a vendor class is found by any part of it', async () => {
  const source = sourceOf(new Map([[ip('10.0.0.1'), binding({ vendorClass: Buffer.from('MSFT 5.0') })], [ip('10.0.0.2'), binding()]]));
  assert.deepEqual(await addresses(source, { vendorClass: 'msft' }), ['10.0.0.1']);
  assert.deepEqual(await addresses(source, { vendorClass: '5.1' }), []);
});

test('every entry is what the description of the operation says', async () => {
  const leases = fc.sample(leaseArbitrary, { numRuns: 100, seed: 2 });
  for (const { address, record } of leases) assert.deepEqual(leaseEntry.parse(leaseView(address, record, 'x', 'a')), leaseView(address, record, 'x', 'a'));
});

const SORT_KEYS: Readonly<Record<SortField, (lease: LeaseView) => string | number>> = {
  address: ({ address }) => parseIpv4(address)!,
  expires: ({ expires }) => (expires === 'never' ? Infinity : Date.parse(expires)),
  granted: ({ stateSince }) => Date.parse(stateSince),
  client: ({ client }) => client,
  hostname: ({ hostname }) => hostname?.toLowerCase() ?? '\uffff',
};

test('a sorted list is in its order, equal ones by address, and backwards just the other way round', async () => {
  await fc.assert(fc.asyncProperty(fc.array(leaseArbitrary, { maxLength: 80 }), fc.constantFrom(...SORT_FIELDS), async (leases, sort) => {
    const source = sourceOf(new Map(leases.map(({ address, record }) => [address, record])));
    const key = SORT_KEYS[sort];
    const expected = (await ask(source, {})).toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
    assert.deepEqual(await ask(source, { sort }), expected);
    assert.deepEqual(await ask(source, { sort, reverse: 'yes' }), expected.toReversed());
  }), { numRuns: 60 });
});

test('page by page each binding comes exactly once in every order, while others come, go and change', async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(leaseArbitrary, { minLength: 1, maxLength: 60 }), fc.array(leaseArbitrary, { maxLength: 20 }), fc.constantFrom(...SORT_FIELDS), fc.boolean(),
    fc.integer({ min: 1, max: 9 }),
    async (leases, changes, sort, isReverse, limit) => {
      const bindings = new Map(leases.map(({ address, record }) => [address, record]));
      const changing = new Set(changes.map(({ address }) => address));
      const steady = [...bindings.keys()].filter((address) => !changing.has(address)).map(formatIpv4).toSorted();
      const seen: string[] = [];
      let after: string | undefined;
      for (let page = 0; ; page++) {
        const found = await ask(sourceOf(bindings), { sort, ...(isReverse ? { reverse: 'yes' } : {}), limit: String(limit), ...(after === undefined ? {} : { after }) });
        seen.push(...found.map(({ address }) => address));
        const change = changes[page];
        if (change !== undefined) {
          if (page % 2 === 0) bindings.set(change.address, change.record);
          else bindings.delete(change.address);
        }
        if (found.length < limit) break;
        after = leaseCursor({ field: sort }, found.at(-1)!);
      }
      assert.deepEqual(seen.filter((address) => !changing.has(parseIpv4(address)!)).toSorted(), steady);
    }), { numRuns: 80 });
});

test('notes of the cluster are no bindings, and a list longer than a page comes whole, in pages of bounded work', async () => {
  const bindings = new Map<number, Buffer>([[0x80_0001, encodeNote({ at: 'x' }, NOW, NOW + 1)], [0x100, encodeNote({}, NOW, NOW + 1)]]);
  for (let n = 0; n < 2 * LEASE_PAGE_RECORDS + 10; n++) bindings.set(ip('10.0.0.0') + n, binding());
  const base = sourceOf(bindings);
  let pauses = 0;
  const limits: number[] = [];
  const source: LeaseSource = {
    ...base, config, ownerOf, records: (after, limit) => (limits.push(limit), base.records(after, limit)), pause: () => Promise.resolve(void pauses++),
  };
  for (const parameters of [{}, { sort: 'expires' }, { address: '0.0.0.0/0' }]) {
    limits.length = 0;
    pauses = 0;
    const found = await addresses(source, parameters);
    assert.equal(found.length, bindings.size - 2);
    assert.ok(limits.every((limit) => limit <= LEASE_PAGE_RECORDS));
    assert.ok(pauses >= 2, 'packets go first in between');
  }
  assert.deepEqual(await addresses(source, { address: '0.128.0.1' }), []);
});

test('more than can be held are not sorted, but the first of them are found', async () => {
  const records = Array.from({ length: 997 }, (_, n) => binding({ expires: NOW + ((n * 79) % 997) }));
  const sorted = Array.from({ length: SORTED_LEASES_MAX + 1 }, (_, n) => ({ address: ip('10.0.0.0') + n, record: records[n % 997]! }));
  const source: LeaseSource = {
    config, ownerOf, pause: () => Promise.resolve(),
    records: (after, limit) => sorted.slice(Math.max(0, after - ip('10.0.0.0') + 1), Math.max(0, after - ip('10.0.0.0') + 1) + limit),
  };
  await assert.rejects(ask(source, { sort: 'expires' }), (error) => error instanceof LeaseQueryError && /too many to sort/.test(error.message));
  const first = await ask(source, { sort: 'expires', limit: '300' });
  const naive = sorted.toSorted((a, b) => recordExpires(a.record) - recordExpires(b.record) || a.address - b.address).slice(0, 300);
  assert.deepEqual(first.map(({ address }) => address), naive.map(({ address }) => formatIpv4(address)));
});

test('no more lists are sorted at a time than there may be, and each that ends makes room', async () => {
  const source = sourceOf(new Map([[ip('10.0.0.1'), binding()]]));
  const query = parseLeaseQuery({ sort: 'client' }, context);
  const [one, two] = [listLeases(source, query), listLeases(source, query)];
  await one.next();
  await two.next();
  await assert.rejects(ask(source, { sort: 'client' }), /2 lists are being sorted already/);
  await one.return(undefined);
  assert.equal((await ask(source, { sort: 'client' })).length, 1);
  await two.return(undefined);
});

test('runs of things in order are the things in order, however many of them are wanted', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 400 }), fc.integer({ min: 1, max: 40 }), async (numbers, limit) => {
    const runs = new SortedRuns<number>((a, b) => a - b, 80, limit, () => Promise.resolve());
    for (const number of numbers) {
      if (runs.isFull) assert.ok(await runs.makeRoom());
      runs.add(number);
    }
    assert.deepEqual(await all(runs.inOrder()), numbers.toSorted((a, b) => a - b).slice(0, limit));
  }), { numRuns: 80 });
  const few = new SortedRuns<number>((a, b) => a - b, 3, Infinity, () => Promise.resolve());
  for (const number of [1, 2, 3]) few.add(number);
  assert.deepEqual([few.isFull, await few.makeRoom()], [true, false]);
});

test('every node lists the same bindings, each its owner\'s, and never the notes of the audit log', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const given = Array.from({ length: 6 }, (_, client) => cluster.lease(client + 1)!).toSorted();
  await cluster.operate('b', release, { address: given[0]!, reason: 'moved out' });
  assert.equal(cluster.audit('a').length, 1);
  const list = async (node: string, parameters: object): Promise<string[]> => (await cluster.list(node, leases, parameters)).map(({ address }) => address).toSorted();
  for (const node of ['a', 'b']) {
    assert.deepEqual(await list(node, {}), given);
    assert.deepEqual(await list(node, { sort: 'granted', reverse: 'yes' }), given);
    assert.deepEqual(await list(node, { state: 'RELEASED' }), [given[0]]);
    const [ofA, ofB] = [await list(node, { owner: 'a' }), await list(node, { owner: 'b' })];
    assert.ok(ofA.length > 0 && ofB.length > 0);
    assert.deepEqual([...ofA, ...ofB].toSorted(), given);
    assert.deepEqual(await cluster.operate(node, leaseCount, { state: 'ACTIVE' }), { count: given.length - 1 });
  }
  await assert.rejects(cluster.list('a', leases, { owner: 'z' }), { code: 'bad-request' });
});

test('a pattern is what a regular expression of it would be', () => {
  const piece = fc.constantFrom('a', 'b', 'ab', 'A', '*', '.', '');
  fc.assert(fc.property(fc.array(piece, { maxLength: 6 }), fc.array(fc.constantFrom('a', 'b', 'B', '.'), { maxLength: 8 }), (pattern, text) => {
    const expression = new RegExp(`^${pattern.map((part) => (part === '*' ? '[^]*' : part === '.' ? String.raw`\.` : part)).join('')}$`, 'i');
    assert.equal(textTest(pattern.join(''))(text.join('')), expression.test(text.join('')), `${pattern.join('')} ${text.join('')}`);
  }), { numRuns: 2000 });
  assert.ok(!bytesTest('*')(Buffer.alloc(0)), 'nothing is found where nothing is');
  assert.ok(bytesTest('*')(Buffer.from('x')));
});

test('a question that makes no sense says what was expected', () => {
  const refusal = (parameters: Record<string, string>): string => {
    try {
      parseLeaseQuery(leaseParameters.parse(parameters), context);
    } catch (error) {
      return (error as Error).message;
    }
    return assert.fail(`${JSON.stringify(parameters)} was understood`);
  };
  assert.match(refusal({ address: '10.0.0' }), /^address: expected an IPv4 address like 10\.0\.0\.1, a range/);
  assert.match(refusal({ address: '10.0.0.9-10.0.0.1' }), /^address: expected/);
  assert.match(refusal({ subnet: '10.0.0.0/9' }), /^subnet: expected one of 10\.0\.0\.0\/24, 10\.0\.1\.0\/24, 10\.0\.2\.0\/24, found/);
  assert.match(refusal({ network: 'cellar' }), /^network: expected one of hall, 10\.0\.2\.0\/24/);
  assert.match(refusal({ state: 'FREE' }), /^state: expected one of ACTIVE, EXPIRED, RELEASED, ABANDONED, found "FREE"/);
  assert.match(refusal({ pool: '10.0.0.20' }), /^pool: expected a pool of the configuration/);
  assert.match(refusal({ pool: '10.0.0.10-10.0.0.20' }), /^pool: expected a pool of the configuration/);
  assert.match(refusal({ owner: 'c' }), /^owner: expected one of a, b/);
  assert.match(refusal({ expiresBefore: 'soon' }), /^expiresBefore: expected a time such as/);
  assert.match(refusal({ after: '10.0.0.1', sort: 'client', limit: '3' }), /^after: expected what the page before ended with/);
  assert.match(refusal({ after: '52,10.0.0.1', sort: 'client' }), /^after: in this order it goes with limit/);
  assert.match(refusal({ adress: '10.0.0.1' }), /adress/);
  assert.match(refusal({ limit: '0' }), /expected a number from 1/);
  assert.match(refusal({ client: '' }), /client/);
  // As it is written in the configuration it is understood.
  assert.equal(parseLeaseQuery({ pool: poolName(config.pools[0]!) }, context).filter.first, ip('10.0.0.10'));
});
