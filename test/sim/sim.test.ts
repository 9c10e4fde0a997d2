/**
 * The simulator as a test: a hundred fresh worlds keep every promise, and each is replayed exactly.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';

/** Fresh ones each time. */
const FIRST_SEED = Date.now() % 1_000_000_000;
const SEEDS = 100;
const RUN_MS_MAX = 300_000;

/** `npm run sim -- ARGS`: what it printed, and its exit code. */
function sim(...args: readonly string[]): Promise<{ output: string; code: number }> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], { timeout: RUN_MS_MAX, maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(error);
      else resolve({ output: stdout + stderr, code: error === null ? 0 : Number(error.code) });
    });
  });
}

test(`${SEEDS} fresh seeds keep every promise`, async (t) => {
  t.diagnostic(`seeds from ${FIRST_SEED}; again with: npm run sim -- --first-seed ${FIRST_SEED} --seeds ${SEEDS}`);
  const { output, code } = await sim('--quiet', '--first-seed', String(FIRST_SEED), '--seeds', String(SEEDS));
  assert.equal(code, 0, output);
  assert.match(output, new RegExp(`^${SEEDS} seeds from ${FIRST_SEED}: 0 failed`, 'm'));
  for (const line of output.trim().split('\n')) t.diagnostic(line);
});

test('a seed is replayed exactly, to the last line of its log', async () => {
  const [once, again, other] = await Promise.all([sim('--seed', '11'), sim('--seed', '11'), sim('--seed', '12')]);
  assert.ok(once.output.split('\n').length > 100);
  assert.equal(once.output, again.output);
  assert.notEqual(once.output, other.output);
});
