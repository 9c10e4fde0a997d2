/** The short form of `npm run takeover`: every promise of what clients notice when a part of the cluster fails. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LabProcess } from '../../deploy/lab/processes.ts';
import { missingPrograms } from '../../deploy/lab/programs.ts';
import { whyNoClusterWorld } from '../support/cluster-world.ts';
import { CASES } from './cases.ts';

const main = join(import.meta.dirname, 'main.ts');
/** Not in a temporary folder, which is gone after the tests: what went wrong is to be looked at. */
const kept = join(import.meta.dirname, '../../.cache/takeover');
const MS_MAX = 420_000;

const missing = missingPrograms(['perfdhcp']);
const why = whyNoClusterWorld() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh test)` : undefined);
// Leaving out is for a person's own machine.
const needsCluster = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };

async function withTakeover(args: readonly string[], work: (takeover: LabProcess, leftovers: () => string[]) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'takeover-test-'));
  const takeover = new LabProcess('takeover', [process.execPath, main, ...args], { env: { TMPDIR: folder } });
  const namespaces = (): string[] => (existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith(`lsr-${takeover.pid}-`)) : []);
  try {
    await work(takeover, () => [...namespaces(), ...readdirSync(folder)]);
  } finally {
    await takeover.stop();
    rmSync(folder, { recursive: true });
  }
}

test('whatever fails, everybody is served in the time that was promised, and nothing is lost', { ...needsCluster, timeout: MS_MAX + 30_000 }, () => {
  mkdirSync(kept, { recursive: true });
  const out = mkdtempSync(join(kept, 'run-'));
  return withTakeover(['--quick', '--out', out], async (takeover, leftovers) => {
    const timer = setTimeout(() => takeover.signal('SIGTERM'), MS_MAX);
    const code = await takeover.exited;
    clearTimeout(timer);
    assert.equal(code, 0, `${takeover.output}\nthe logs are in ${out}`);
    const rows = takeover.output.split('\n').filter((line) => line.endsWith(' yes'));
    assert.deepEqual(rows.map((row) => row.split(' ')[0]), CASES.map(({ name }) => name));
    assert.deepEqual(leftovers(), []);
    console.log([takeover.output.split('\n').find((line) => line.startsWith('case ')), ...rows].join('\n'));
    rmSync(out, { recursive: true });
  });
});

test('a run that is interrupted leaves nothing behind', needsCluster, () =>
  withTakeover(['--quick', '--case', 'quiet'], async (takeover, leftovers) => {
    await takeover.waitForLine(/^case/, 60_000);
    assert.notDeepEqual(leftovers(), []);
    takeover.signal('SIGINT');
    assert.equal(await takeover.exited, 130, takeover.output);
    assert.deepEqual(leftovers(), []);
  }));

test('a wrong argument is refused before anything is made', () =>
  withTakeover(['--case', 'nothing'], async (takeover, leftovers) => {
    assert.equal(await takeover.exited, 2);
    assert.match(takeover.output, /there is no case nothing[\s\S]*Usage: npm run takeover/);
    assert.deepEqual(leftovers(), []);
  }));
