/**
 * The planted bugs as a test: the seed that was kept for each shows it, and keeps every promise without
 * it. Each runs in a process of its own, since a planted bug changes the sources as they are loaded.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { huntEach, keptSeeds } from './hunters.ts';
import type { Hunted } from './hunt.ts';
import { SABOTAGES, sabotaged } from './sabotage.ts';
import { World } from './world.ts';

const HUNT_MS = 300_000;
const PLANTED_MIN = 12;
const AGAIN = 'search anew: npm run sim -- --sabotage all --write';

test('every planted bug has a line to change', () => {
  for (const sabotage of Object.values(SABOTAGES)) {
    const source = readFileSync(join(import.meta.dirname, '../..', sabotage.file), 'utf8');
    assert.notEqual(sabotaged(source, sabotage), source);
  }
});

test('each planted bug has a seed that finds it, and nothing else has', () => {
  assert.deepEqual(Object.keys(keptSeeds()).toSorted(), Object.keys(SABOTAGES).toSorted(), AGAIN);
  assert.ok(Object.keys(SABOTAGES).length >= PLANTED_MIN);
});

test('the seed kept for a planted bug finds it', async (t) => {
  const results = new Map<string, Hunted | Error>();
  const hunts = Object.entries(keptSeeds()).map(([name, firstSeed]) => ({ name, firstSeed, seeds: 1 }));
  await huntEach(hunts, { jobs: 2, ms: HUNT_MS }, (hunted, { name }) => results.set(name, hunted));
  for (const [name, hunted] of results) {
    await t.test(`${name}: ${SABOTAGES[name]?.rule}`, (u) => {
      assert.ok(!(hunted instanceof Error), hunted instanceof Error ? hunted.message : '');
      assert.ok(hunted.seed !== undefined, `seed ${keptSeeds()[name]} does not show it any more; ${AGAIN}`);
      u.diagnostic(`seed ${hunted.seed}: ${hunted.failure}`);
    });
  }
});

test('without a planted bug the same seeds keep every promise', async () => {
  for (const seed of new Set(Object.values(keptSeeds()))) assert.equal((await new World(seed).run()).failure, undefined, `seed ${seed}`);
});
