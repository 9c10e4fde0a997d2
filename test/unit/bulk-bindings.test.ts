/** What a bulk query finds (RFC 6926 §8.2), against the same told address by address. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { AddressRange } from '../../node/config/types.ts';
import { hasIdentifier } from '../../node/lease/identifiers.ts';
import type { IdentifierKind } from '../../node/lease/identifiers.ts';
import type { RecordAt } from '../../node/lease/merged-records.ts';
import { BindingState, recordLastTransaction, recordState, recordStateSince } from '../../node/lease/record.ts';
import { BULK_PAGE_RECORDS } from '../../node/limits.ts';
import { findBindings } from '../../node/leasequery/bulk.ts';
import type { BindingsAt } from '../../node/leasequery/bulk.ts';
import type { BulkQuery, PrimaryQuery } from '../../node/leasequery/query.ts';
import { NOTE_KEYS_END } from '../../node/notes/note.ts';
import { leaseRecord } from '../support/query-server.ts';

const END_OF_TIME = 0xffff_ffff;

function storeOf(records: ReadonlyMap<number, Buffer>): BindingsAt {
  const all: RecordAt[] = [...records].map(([address, record]) => ({ address, record })).sort((a, b) => a.address - b.address);
  return {
    scan: (after, limit) => all.filter(({ address }) => address > after).slice(0, limit),
    find: (kind: IdentifierKind, identifier) => all.filter(({ record }) => hasIdentifier(kind, record, identifier)),
  };
}

function queryOf(primary: PrimaryQuery, startTime = 0, endTime = END_OF_TIME, elsewhere = false): BulkQuery {
  return { primary, startTime, endTime, elsewhere, xid: 1, flags: 0, giaddr: 0, requested: undefined };
}

/** Every address that there is, asked one by one. */
function naive({ elsewhere, endTime, primary, startTime }: BulkQuery, records: ReadonlyMap<number, Buffer>, configured: readonly AddressRange[], addresses: readonly number[]): number[] {
  const isWithin = (second: number): boolean => second >= startTime && second <= endTime;
  return addresses.filter((address) => {
    const record = records.get(address);
    const isConfigured = configured.some(({ first, last }) => address >= first && address <= last);
    if (elsewhere) return false;
    if (record === undefined) return primary.by === 'all' && isConfigured && startTime === 0;
    if (!isWithin(recordLastTransaction(record)) && !isWithin(recordStateSince(record))) return false;
    const isActive = recordState(record) === BindingState.ACTIVE;
    if (primary.by === 'all') return isConfigured || isActive;
    return isActive && primary.by !== 'address' && hasIdentifier(primary.by, record, primary.identifier);
  });
}

const RECORD = fc.record({
  n: fc.integer({ min: 1, max: 3 }), state: fc.constantFrom(BindingState.ACTIVE, BindingState.EXPIRED, BindingState.RELEASED, BindingState.ABANDONED),
  lastTransaction: fc.integer({ min: 0, max: 20 }), stateSince: fc.integer({ min: 0, max: 20 }),
}).map(leaseRecord);
/** Disjoint, in order, and not side by side: of gaps and lengths. */
const RANGES = fc.array(fc.record({ gap: fc.integer({ min: 1, max: 4 }), length: fc.integer({ min: 1, max: 8 }) }), { maxLength: 5 });
const PRIMARY: fc.Arbitrary<PrimaryQuery> = fc.constantFrom<PrimaryQuery>({ by: 'all' }, { by: 'all' }, { by: 'hardware', identifier: Buffer.from('01020000000001', 'hex') }, { by: 'remote-id', identifier: Buffer.of(1) });

for (const [name, base] of [['low', NOTE_KEYS_END], ['high', 0xffff_ffff - 59]] as const) {
  test(`each address once and in order, with every qualifier: ${name} addresses`, () => {
    const addresses = Array.from({ length: 60 }, (_, n) => base + n);
    fc.assert(fc.property(
      RANGES, fc.dictionary(fc.integer({ min: 0, max: 59 }).map(String), RECORD, { maxKeys: 25 }), PRIMARY,
      fc.constantFrom(0, 0, 1, 5, 10, 21), fc.constantFrom(END_OF_TIME, END_OF_TIME, 5, 10, 20), fc.boolean(),
      (shapes, drawn, primary, startTime, endTime, atEnd) => {
        const configured: AddressRange[] = [];
        let next = base - 1;
        for (const { gap, length } of shapes) {
          configured.push({ first: next + gap, last: Math.min(next + gap + length - 1, base + 59) });
          next = configured.at(-1)!.last + 1;
          if (next + 5 >= base + 59) break;
        }
        // Up to and with the last address that there is.
        if (atEnd && next < base + 58) configured.push({ first: base + 58, last: base + 59 });
        const records = new Map(Object.entries(drawn).map(([n, record]) => [base + Number(n), record]));
        const query = queryOf(primary, startTime, endTime);
        const found = [...findBindings(query, storeOf(records), configured)];
        assert.deepEqual(found.map(({ address }) => address), naive(query, records, configured, addresses));
        for (const { address, record } of found) assert.equal(record, records.get(address));
      },
    ), { numRuns: 1500 });
  });
}

test('more records than one page, and nothing of other networks', () => {
  for (const count of [BULK_PAGE_RECORDS - 1, BULK_PAGE_RECORDS, BULK_PAGE_RECORDS + 1, 2 * BULK_PAGE_RECORDS]) {
    const records = new Map(Array.from({ length: count }, (_, n) => [NOTE_KEYS_END + 1000 + 2 * n, leaseRecord()]));
    const configured = [{ first: NOTE_KEYS_END + 999, last: NOTE_KEYS_END + 1000 + 2 * count }];
    const found = [...findBindings(queryOf({ by: 'all' }), storeOf(records), configured)];
    assert.equal(found.length, 2 * count + 2);
    assert.equal(found.filter(({ record }) => record !== undefined).length, count);
    assert.deepEqual([...findBindings(queryOf({ by: 'all' }, 0, END_OF_TIME, true), storeOf(records), configured)], []);
  }
});

test('of millions of addresses that nobody has had, none is looked at where only changes are asked for', () => {
  const records = new Map([[0x0a00_0005, leaseRecord({ lastTransaction: 50 })], [0x0aff_0000, leaseRecord({ lastTransaction: 60 })], [0x0b00_0000, leaseRecord({ lastTransaction: 70 })]]);
  let steps = 0;
  const configured = new Proxy([{ first: 0x0a00_0000, last: 0x0aff_ffff }], {
    get: (target, key, receiver): unknown => {
      steps++;
      return Reflect.get(target, key, receiver);
    },
  });
  const found = [...findBindings(queryOf({ by: 'all' }, 40), storeOf(records), configured)];
  assert.deepEqual(found.map(({ address }) => address), [...records.keys()]);
  assert.ok(steps < 100, `${steps} steps`);
});

test('lazily: who stops taking them stops the reading', () => {
  let pages = 0;
  const store: BindingsAt = {
    scan: (after, limit) => {
      pages++;
      return Array.from({ length: limit }, (_, n) => ({ address: after + 1 + n, record: leaseRecord() }));
    },
    find: () => [],
  };
  let taken = 0;
  for (const _ of findBindings(queryOf({ by: 'all' }), store, [])) if (++taken > BULK_PAGE_RECORDS) break;
  assert.equal(pages, 2);
});

test('the cluster\'s own notes are nobody\'s leases', () => {
  const record = leaseRecord({ n: 1, state: BindingState.ACTIVE, lastTransaction: 1, stateSince: 1 });
  const found = [...findBindings(queryOf({ by: 'all' }), storeOf(new Map([[NOTE_KEYS_END - 1, record], [NOTE_KEYS_END, record]])), [])];
  assert.deepEqual(found.map(({ address }) => address), [NOTE_KEYS_END]);
});
