import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { fingerprint, FingerprintIndex } from '../../node/lease/fingerprint.ts';

function all(index: FingerprintIndex, print: number): number[] {
  const found: number[] = [];
  for (let at = index.find(print); at >= 0; at = index.find(print, at)) found.push(index.valueAt(at));
  return found.sort((a, b) => a - b);
}

test('the index holds what a multimap would, also where fingerprints crowd and wrap around', () => {
  // Few homes, some at the end of the smallest table, so that runs merge, wrap and close up again.
  const print = fc.constantFrom(1, 2, 3, 1022, 1023, 1024 + 1023, 2048 + 1, 0xffff_ffff);
  const change = fc.record({ add: fc.boolean(), print, value: fc.integer({ min: 1, max: 12 }) });
  fc.assert(fc.property(fc.array(change, { maxLength: 120, size: 'max' }), (changes) => {
    const index = new FingerprintIndex();
    const model = new Map<number, Set<number>>();
    for (const { add, print, value } of changes) {
      const values = model.get(print) ?? new Set();
      model.set(print, values);
      if (!add) assert.equal(index.delete(print, value), values.delete(value));
      else if (!values.has(value)) {
        index.add(print, value);
        values.add(value);
      }
      for (const [key, expected] of model) assert.deepEqual(all(index, key), [...expected].sort((a, b) => a - b));
    }
    assert.equal(index.size, [...model.values()].reduce((sum, values) => sum + values.size, 0));
  }), { numRuns: 100 });
});

test('the index grows and keeps every entry', () => {
  const index = new FingerprintIndex();
  const print = (value: number): number => fingerprint(Buffer.from(String(value)), 7);
  for (let value = 1; value <= 20_000; value++) index.add(print(value), value);
  for (let value = 1; value <= 20_000; value += 2) assert.ok(index.delete(print(value), value));
  for (let value = 1; value <= 20_000; value++) assert.equal(all(index, print(value)).includes(value), value % 2 === 0);
  assert.equal(index.size, 10_000);
});

test('fingerprints differ by length, order and seed, and are never 0', () => {
  const keys = ['', '\0', '\0\0', 'ab', 'ba', 'abc'];
  assert.equal(new Set(keys.map((key) => fingerprint(Buffer.from(key), 1))).size, keys.length);
  assert.notEqual(fingerprint(Buffer.from('ab'), 1), fingerprint(Buffer.from('ab'), 2));
  for (let seed = 0; seed < 1000; seed++) assert.ok(fingerprint(Buffer.from('ab'), seed) > 0);
});
