/** Where a new generation begins, and how long it is careful for. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { firstEpochOf, nextGeneration } from '../../cluster/view/generation.ts';
import { decodeView, encodeView, isNewer, isSameView } from '../../cluster/view/view.ts';
import type { View } from '../../cluster/view/view.ts';
import { longestLeaseSeconds } from '../../node/config/longest-lease.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { chaddrOf } from '../support/client-packets.ts';
import { buildConfig, leaseTimes, subnetConfig } from '../support/configs.ts';

const start = fc.record({ generation: fc.integer({ min: 0, max: 1500 }), epoch: fc.integer({ min: 0, max: 2 ** 31 }) });
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('a generation begins far beyond every epoch that is known, and where its own records begin can be told from any of its epochs', () => {
  fc.assert(fc.property(fc.array(start), chance, fc.integer({ min: 0, max: 900_000 }), (known, random, later) => {
    const next = nextGeneration(known, random);
    for (const { epoch, generation } of known) {
      assert.ok(next.generation > generation);
      // As many views may have been written where nobody saw it.
      assert.ok(next.epoch - epoch >= 2 ** 19);
      assert.ok(firstEpochOf(next.epoch) > epoch);
    }
    assert.ok(next.epoch < 2 ** 32);
    assert.equal(firstEpochOf(next.epoch + later), firstEpochOf(next.epoch));
    assert.ok(firstEpochOf(next.epoch) <= next.epoch);
  }));
});

test('generations by the hundred fit into 32 bits', () => {
  let at = { generation: 1, epoch: 4 };
  for (let i = 0; i < 1000; i++) at = nextGeneration([at], 0.999);
  assert.equal(at.generation, 1001);
  assert.ok(at.epoch < 2 ** 31);
});

test('two that begin at once where they do not see each other get two epochs', () => {
  const known = [{ generation: 1, epoch: 9 }];
  assert.notEqual(nextGeneration(known, 0.25).epoch, nextGeneration(known, 0.26).epoch);
});

test('views: the generation goes before the epoch; one of an earlier version is probed for by nobody', () => {
  const view: View = {
    epoch: 7, generation: 1, members: [{ node: 'a', incarnation: 1 }], slots: Array.from({ length: 256 }, () => 0), protocol: 1, configRevision: 3, probeUntil: 9,
  };
  assert.ok(isNewer({ ...view, generation: 2, epoch: 1 }, view));
  assert.ok(isNewer({ ...view, epoch: 8 }, view));
  assert.ok(!isNewer(view, view));
  assert.ok(isSameView(decodeView(encodeView(view))!, view));
  for (const other of [{ slots: view.slots.map(() => 1) }, { members: [{ node: 'a', incarnation: 2 }] }, { configRevision: 4 }, { generation: 2 }]) {
    assert.ok(!isSameView({ ...view, ...other }, view));
  }
  const { probeUntil: _, ...old } = JSON.parse(encodeView(view).toString()) as Record<string, unknown>;
  assert.equal(decodeView(Buffer.from(JSON.stringify(old)))!.probeUntil, 0);
});

test('the longest lease is looked for in scopes, pools, classes and reservations', () => {
  const longest = (spec: Parameters<typeof subnetConfig>[0], more: object = {}): number =>
    longestLeaseSeconds(buildConfig({ nodes: ['a'], subnets: [subnetConfig(spec)], ...more }));
  const pool = { first: 0x0a00_0064, last: 0x0a00_0065 };
  assert.equal(longest({ leaseSeconds: 100 }), 100);
  assert.equal(longest({ scope: { lease: leaseTimes(100, { maxSeconds: 700 }) } }), 700);
  assert.equal(longest({ leaseSeconds: 100, pools: [{ ...pool, scope: { lease: leaseTimes(800) } }] }), 800);
  assert.equal(longest({ leaseSeconds: 100, pools: [{ ...pool, scope: { bootp: true } }] }), INFINITE_SECONDS);
  const condition = { kind: 'known' } as const;
  assert.equal(longest({ leaseSeconds: 100 }, { classes: [{ name: 'c', condition, overlay: { lease: leaseTimes(900) } }] }), 900);
  const hardware = { htype: 1, chaddr: chaddrOf(1) };
  assert.equal(longest({ leaseSeconds: 100, reservations: [{ hardware, overlay: { lease: leaseTimes(INFINITE_SECONDS) } }] }), INFINITE_SECONDS);
});
