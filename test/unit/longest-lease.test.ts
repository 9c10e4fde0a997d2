/** Until when a forced recovery probes, where the configuration has changed before it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LongestLease } from '../../cluster/recovery/longest-lease.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import { SimDisk } from '../sim/disk.ts';

const START = 1_800_000_000;
const SKEW_MS = 10_000;

function at(second: number): Now {
  return { mono: (second * 1000) as MonotonicMs, wall: ((START + second) * 1000) as WallMs };
}

/** Seconds from START until which is probed: what the clocks may be wrong by is on top. */
const end = (longest: LongestLease, second: number): number => longest.end(at(second), SKEW_MS) - START - SKEW_MS / 1000;

test('leases of a configuration that gave longer ones are waited for', () => {
  const longest = new LongestLease(new BindingStore(new SimDisk()), 5000, at(0));
  assert.equal(end(longest, 100), 5100 + 1, 'the client\'s clock may be late by 200 ppm');
  longest.note(20, at(1000));
  assert.equal(end(longest, 1001), 6001);
  assert.equal(end(longest, 6500), 6521, 'all of the longer ones have ended');
  longest.note(10_000, at(7000));
  assert.equal(end(longest, 7000), 17_002);
});

test('a change to shorter leases in between does not hide longer ones that still run', () => {
  const longest = new LongestLease(new BindingStore(new SimDisk()), 5000, at(0));
  longest.note(100, at(10));
  longest.note(20, at(20));
  assert.equal(end(longest, 30), 5011);
  const forEver = new LongestLease(new BindingStore(new SimDisk()), INFINITE_SECONDS, at(0));
  forEver.note(20, at(10));
  assert.equal(end(forEver, 20), 10 + 365 * 86_400);
});

test('a node that was away when leases became shorter counts from when it learns of it', () => {
  const disk = new SimDisk();
  const store = new BindingStore(disk);
  void new LongestLease(store, 300, at(0));
  disk.begin(store.takeWrites()!);
  disk.complete();
  const again = new LongestLease(new BindingStore(disk), 20, at(1000));
  assert.equal(end(again, 1040), 1301);
});
