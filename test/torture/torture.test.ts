/** The short form of `npm run torture`: every kind of fault that fits into three minutes, with a new seed each time. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LabProcess, waitUntil } from '../../deploy/lab/processes.ts';
import { missingPrograms } from '../../deploy/lab/programs.ts';
import { whyNoClusterWorld } from '../support/cluster-world.ts';

const main = join(import.meta.dirname, 'main.ts');
/** Not in a temporary folder, which is gone after the tests: what went wrong is to be looked at. */
const kept = join(import.meta.dirname, '../../.cache/torture');
const MS_MAX = 420_000;

const missing = missingPrograms(['perfdhcp']);
const why = whyNoClusterWorld() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh test)` : undefined);
// Leaving out is for a person's own machine.
const needsTorture = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };

function namespacesOf(pid: number): string[] {
  return existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith(`lsr-${pid}-`)) : [];
}

async function withTorture(args: readonly string[], work: (torture: LabProcess, leftovers: () => string[]) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'torture-test-'));
  const torture = new LabProcess('torture', [process.execPath, main, ...args], { env: { TMPDIR: folder } });
  try {
    await work(torture, () => [...namespacesOf(torture.pid), ...readdirSync(folder).filter((name) => !name.startsWith('lessor-torture-'))]);
  } finally {
    await torture.stop();
    rmSync(folder, { recursive: true });
  }
}

test('three minutes of faults: no duplicate, no lost lease, everybody served, all nodes the same', { ...needsTorture, timeout: MS_MAX + 30_000 }, () => {
  mkdirSync(kept, { recursive: true });
  const out = mkdtempSync(join(kept, 'run-'));
  return withTorture(['--minutes', '3', '--nodes', '2', '--clients', '150', '--rate', '100', '--out', out], async (torture, leftovers) => {
    const timer = setTimeout(() => torture.signal('SIGTERM'), MS_MAX);
    const code = await torture.exited;
    clearTimeout(timer);
    assert.equal(code, 0, torture.output);
    assert.match(torture.output, /^LEASEQUERY: .*contradictions: 0$/m);
    assert.match(torture.output, /^duplicates: 0, lost leases: 0$/m);
    assert.match(torture.output, /^Clean\.$/m);
    const [, faults, leases] = /: (\d+) faults, (\d+) leases/.exec(torture.output)!;
    assert.ok(Number(faults) >= 5 && Number(leases) > 3000, torture.output);
    assert.deepEqual(leftovers(), []);
    console.log(torture.output.slice(torture.output.indexOf('FAULT')));
    rmSync(out, { recursive: true });
  });
});

test('a run that is interrupted, or killed, leaves nothing behind but its history', needsTorture, async () => {
  await withTorture(['--minutes', '3'], async (torture, leftovers) => {
    await torture.waitForLine(/leases/, 60_000);
    assert.notDeepEqual(leftovers(), []);
    torture.signal('SIGINT');
    assert.equal(await torture.exited, 130, torture.output);
    assert.deepEqual(leftovers(), []);
  });
  await withTorture(['--minutes', '3', '--only', 'pause-node'], async (torture, leftovers) => {
    await torture.waitForLine(/^seed/, 60_000);
    await torture.kill();
    await waitUntil('nothing left', 5000, () => (leftovers().length === 0 ? true : undefined))
      .catch((error: unknown) => assert.fail(`${(error as Error).message}: ${leftovers().join('; ')}`));
  });
});

test('a wrong argument is refused before anything is made', () =>
  withTorture(['--nodes', '9'], async (torture, leftovers) => {
    assert.equal(await torture.exited, 2);
    assert.match(torture.output, /--nodes: expected a number from 2 to 3, found 9[\s\S]*Usage: npm run torture/);
    assert.deepEqual(leftovers(), []);
  }));
