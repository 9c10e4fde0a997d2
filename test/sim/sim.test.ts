/**
 * The simulator as a test: fresh worlds keep every promise, and each planted bug breaks one. Runs are
 * processes of their own, since a planted bug changes the sources as they are loaded.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SABOTAGES, sabotaged } from './sabotage.ts';

const FRESH_SEEDS = 40;
/** A planted bug is searched for over so many seeds, so that a change of the random stream does not hide it. */
const SABOTAGE_SEEDS = 300;
const RUN_MS_MAX = 300_000;

/** From here each planted bug is found soon; the seeds that find them are printed. */
const FIRST_SEED = 40_000;

/** `npm run sim -- ARGS`: what it printed, and its exit code. */
function sim(...args: readonly string[]): Promise<{ output: string; code: number }> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], { timeout: RUN_MS_MAX, maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(error);
      else resolve({ output: stdout + stderr, code: error === null ? 0 : Number(error.code) });
    });
  });
}

test(`${FRESH_SEEDS} fresh seeds keep every promise`, async (t) => {
  const first = Date.now() % 1_000_000_000;
  t.diagnostic(`seeds from ${first}; again with: npm run sim -- --first-seed ${first} --seeds ${FRESH_SEEDS}`);
  const { output, code } = await sim('--quiet', '--first-seed', String(first), '--seeds', String(FRESH_SEEDS));
  assert.equal(code, 0, output);
  assert.match(output, new RegExp(`^${FRESH_SEEDS} seeds from ${first}: 0 failed`, 'm'));
});

test('a seed is replayed exactly, to the last line of its log', async () => {
  const [once, again, other] = await Promise.all([sim('--seed', '11'), sim('--seed', '11'), sim('--seed', '12')]);
  assert.ok(once.output.split('\n').length > 100);
  assert.equal(once.output, again.output);
  assert.notEqual(once.output, other.output);
});

test('every planted bug has a line to change', () => {
  for (const sabotage of Object.values(SABOTAGES)) {
    const source = readFileSync(join(import.meta.dirname, '../..', sabotage.file), 'utf8');
    assert.notEqual(sabotaged(source, sabotage), source);
  }
});

for (const [name, { rule }] of Object.entries(SABOTAGES)) {
  test(`a planted bug is found: ${name} (${rule})`, async (t) => {
    const first = FIRST_SEED;
    const { output, code } = await sim('--quiet', '--sabotage', name, '--first-seed', String(first), '--seeds', String(SABOTAGE_SEEDS));
    assert.equal(code, 1, `not found in ${SABOTAGE_SEEDS} seeds from ${first}: ${output}`);
    const [, seed, failure = ''] = /^seed (\d+) \(\d+ nodes\): (.*)$/m.exec(output) ?? [];
    assert.ok(seed !== undefined, output);
    t.diagnostic(`seed ${seed}: ${failure}`);
    // A crash of the changed code would show that the change is clumsy, not that the simulator sees its consequences.
    assert.doesNotMatch(failure, /^\w*Error\b/, output);
    const clean = await sim('--quiet', '--first-seed', seed, '--seeds', '1');
    assert.equal(clean.code, 0, `the same seed without the planted bug: ${clean.output}`);
  });
}
