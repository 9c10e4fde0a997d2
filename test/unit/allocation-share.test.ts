import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { candidateHash } from '../../node/allocation/candidates.ts';
import { PoolShare } from '../../node/allocation/share.ts';
import type { AddressRange } from '../../node/config/types.ts';

const BASE = 0xffff_0000; // The upper end, where 32-bit arithmetic would turn negative.

/** In order and disjoint; the last may end where the addresses end. */
const someRanges = fc.array(fc.tuple(fc.nat(400), fc.nat(600)), { maxLength: 5 }).map((parts) => {
  const ranges: AddressRange[] = [];
  let next = 0xffff_ffff - parts.reduce((sum, [gap, length]) => sum + gap + length + 1, 0) + 1;
  for (const [gap, length] of parts) {
    ranges.push({ first: next + gap, last: next + gap + length });
    next += gap + length + 1;
  }
  return ranges;
});

test('a share counts and walks exactly the addresses of its pool, slot by slot', () => {
  fc.assert(fc.property(someRanges, fc.array(fc.nat(5000), { maxLength: 20 }), (ranges, offsets) => {
    const expected = new Set<number>();
    for (const { first, last } of ranges) for (let address = first; address <= last; address++) expected.add(address);
    const reserved = [...new Set(offsets.map((offset) => 0xffff_ffff - offset))].filter((address) => expected.has(address));
    const share = new PoolShare(ranges, reserved);
    assert.equal(share.size, expected.size);
    assert.deepEqual(Array.from({ length: share.size }, (_, i) => share.addressAt(i)), [...expected]);
    for (const address of reserved) expected.delete(address);
    assert.equal(share.freeTotal, expected.size);

    const taken = new Set<number>(reserved);
    for (let entry = 0; entry < share.width; entry++) {
      const slot = share.slotOf(entry);
      const inSlot = [...expected].filter((address) => (address & 255) === slot).sort((a, b) => a - b);
      assert.equal(share.free[entry], inSlot.length);
      for (const address of inSlot) {
        assert.equal(share.entryOf(address), entry);
        assert.equal(share.hasPassed(address), false);
        assert.equal(share.neverUsed(entry, (a) => taken.has(a)), address);
        assert.equal(share.neverUsed(entry, (a) => taken.has(a)), address, 'asking alone takes nothing');
        taken.add(address);
      }
      assert.equal(share.neverUsed(entry, (a) => taken.has(a)), 0);
      for (const address of inSlot) assert.equal(share.hasPassed(address), true);
    }
    assert.ok(taken.size === expected.size + reserved.length, 'every slot with an address has an entry');
  }), { numRuns: 25 });
});

test('a small pool has entries for its own slots only', () => {
  const share = new PoolShare([{ first: BASE + 250, last: BASE + 253 }, { first: BASE + 255, last: BASE + 258 }], []);
  assert.equal(share.width, 9);
  assert.deepEqual(Array.from({ length: 9 }, (_, entry) => share.slotOf(entry)), [250, 251, 252, 253, 254, 255, 0, 1, 2]);
  assert.deepEqual([...share.free], [1, 1, 1, 1, 0, 1, 1, 1, 1]);
});

test('candidates spread evenly and depend on nothing but where they start', () => {
  const buckets = new Uint32Array(64);
  for (let start = 0; start < 4096; start++) for (let i = 0; i < 4; i++) buckets[candidateHash(start, i) >>> 26]!++;
  for (const count of buckets) assert.ok(Math.abs(count - 256) < 100, `${count} of about 256`);
  assert.deepEqual([candidateHash(7, 0), candidateHash(7, 1)], [candidateHash(7, 0), candidateHash(7, 1)]);
  assert.equal(new Set(Array.from({ length: 64 }, (_, i) => candidateHash(12_345, i))).size, 64);
});
