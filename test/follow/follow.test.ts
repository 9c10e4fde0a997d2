/** The short form of `npm run follow`: what follows all changes misses none and is told none twice while a node is killed. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LabProcess } from '../../deploy/lab/processes.ts';
import { needsOpenssl } from '../support/certificates.ts';
import { whyNoClusterWorld } from '../support/cluster-world.ts';

const main = join(import.meta.dirname, 'main.ts');
/** Not in a temporary folder, which is gone after the tests: what went wrong is to be looked at. */
const kept = join(import.meta.dirname, '../../.cache/follow');
const MS_MAX = 240_000;
const MINUTES = '0.2';

const why = whyNoClusterWorld() ?? needsOpenssl().skip;
// Leaving out is for a person's own machine.
const needsCluster = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };

async function withFollow(args: readonly string[], work: (follow: LabProcess, leftovers: () => string[]) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'follow-test-'));
  const follow = new LabProcess('follow', [process.execPath, main, ...args], { env: { TMPDIR: folder } });
  const namespaces = (): string[] => (existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith(`lsr-${follow.pid}-`)) : []);
  try {
    await work(follow, () => [...namespaces(), ...readdirSync(folder)]);
  } finally {
    await follow.stop();
    rmSync(folder, { recursive: true });
  }
}

test('RFC 7724 §7.4: through the death of the node that it follows a requestor is told every change once and in order', { ...needsCluster, timeout: MS_MAX + 30_000 }, () => {
  mkdirSync(kept, { recursive: true });
  const out = mkdtempSync(join(kept, 'run-'));
  return withFollow(['--minutes', MINUTES, '--out', out], async (follow, leftovers) => {
    const timer = setTimeout(() => follow.signal('SIGTERM'), MS_MAX);
    const code = await follow.exited;
    clearTimeout(timer);
    assert.equal(code, 0, `${follow.output}\nthe files are in ${out}`);
    assert.match(follow.output, /holes \(DataMissing\) +0\n/);
    assert.deepEqual(leftovers(), []);
    console.log(follow.output);
    rmSync(out, { recursive: true });
  });
});

test('a wrong argument is refused before anything is made', () =>
  withFollow(['--minutes', 'long'], async (follow, leftovers) => {
    assert.equal(await follow.exited, 2);
    assert.match(follow.output, /--minutes is a number[\s\S]*Usage: npm run follow/);
    assert.deepEqual(leftovers(), []);
  }));
