import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { mergeRanges, SubnetShare } from '../../node/allocation/share.ts';

const BASE = 0xffff_0000; // The upper end, where 32-bit arithmetic would turn negative.
const aRange = fc.tuple(fc.nat(1500), fc.nat(600)).map(([first, length]) => ({
  first: BASE + first, last: Math.min(BASE + first + length, 0xffff_ffff),
}));

test('a share counts and walks exactly the addresses of its pools, slot by slot', () => {
  fc.assert(fc.property(fc.array(aRange, { maxLength: 4 }), fc.array(fc.nat(1500), { maxLength: 20 }), (ranges, offsets) => {
    const reserved = offsets.map((offset) => BASE + offset);
    const share = new SubnetShare(ranges, reserved);
    const expected = new Set<number>();
    for (const { first, last } of ranges) for (let address = first; address <= last; address++) expected.add(address);
    for (let address = BASE; address < BASE + 2200; address++) assert.equal(share.inPool(address), expected.has(address));
    for (const address of reserved) expected.delete(address);
    assert.equal(share.freeTotal, expected.size);

    const taken = new Set<number>(reserved);
    for (let slot = 0; slot < 256; slot++) {
      const inSlot = [...expected].filter((address) => (address & 255) === slot).sort((a, b) => a - b);
      assert.equal(share.free[slot], inSlot.length);
      for (const address of inSlot) {
        assert.equal(share.neverUsed(slot, (a) => taken.has(a)), address);
        assert.equal(share.neverUsed(slot, (a) => taken.has(a)), address, 'asking alone takes nothing');
        taken.add(address);
      }
      assert.equal(share.neverUsed(slot, (a) => taken.has(a)), 0);
    }
  }), { numRuns: 25 });
});

test('ranges that touch or overlap are joined', () => {
  assert.deepEqual(mergeRanges([{ first: 5, last: 9 }, { first: 1, last: 4 }, { first: 20, last: 30 }, { first: 22, last: 24 }]), [
    { first: 1, last: 9 }, { first: 20, last: 30 },
  ]);
});
