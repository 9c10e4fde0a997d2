import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whyNoNetwork } from '../../deploy/lab/netns.ts';
import { LabProcess, waitUntil } from '../../deploy/lab/processes.ts';
import { missingPrograms } from '../../deploy/lab/programs.ts';

const labFile = join(import.meta.dirname, '../../deploy/lab/lab.ts');
const CHECK_MS_MAX = 90_000;

const missing = missingPrograms(['ip', 'etcd', 'perfdhcp', 'udhcpc', 'dhclient']);
const why = whyNoNetwork() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh lab)` : undefined);
// Leaving out is for a person's own machine.
const needsLab = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };

/** A lab with a temporary folder of its own, so that what it leaves there can be told from other things. */
async function withLab(args: readonly string[], work: (lab: LabProcess, leftovers: () => string[]) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lab-check-'));
  const lab = new LabProcess('lab', [process.execPath, labFile, ...args], { env: { TMPDIR: folder } });
  try {
    await work(lab, () => [...namespacesOf(lab.pid), ...readdirSync(folder), ...processesThatName(folder, lab.pid)]);
  } finally {
    await lab.stop();
    rmSync(folder, { recursive: true });
  }
}

function namespacesOf(pid: number): string[] {
  return existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith(`lsr-${pid}-`)) : [];
}

/** By their command or the environment that they got from the lab. */
function processesThatName(folder: string, labPid: number): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== labPid).flatMap((pid) => {
    const [command = '', environment = ''] = ['cmdline', 'environ'].map((file) => {
      try {
        return readFileSync(`/proc/${pid}/${file}`, 'latin1');
      } catch {
        return '';
      }
    });
    return command.includes(folder) || environment.includes(folder) ? [`${pid}: ${command.replaceAll('\0', ' ')}`] : [];
  });
}

async function nothingRemains(leftovers: () => string[]): Promise<void> {
  await waitUntil('nothing left', 5000, () => (leftovers().length === 0 ? true : undefined))
    .catch((error: unknown) => assert.fail(`${(error as Error).message}: ${leftovers().join('; ')}`));
}

test('the check of the lab holds in every step and leaves nothing behind', needsLab, () =>
  withLab(['--check'], async (lab, leftovers) => {
    const timer = setTimeout(() => lab.signal('SIGTERM'), CHECK_MS_MAX);
    const code = await lab.exited;
    clearTimeout(timer);
    assert.equal(code, 0, lab.output);
    assert.match(lab.output, /^All steps held/m);
    assert.doesNotMatch(lab.output, /FAILED/);
    assert.deepEqual(leftovers(), []);
  }));

test('a check that is interrupted says so, and leaves nothing behind', needsLab, () =>
  withLab(['--check'], async (lab, leftovers) => {
    await lab.waitForLine(/udhcpc gets a lease/, 60_000);
    assert.notDeepEqual(leftovers(), []);
    lab.signal('SIGINT');
    assert.equal(await lab.exited, 130, lab.output);
    assert.match(lab.output, /Ended by SIGINT/);
    assert.doesNotMatch(lab.output, /FAILED|All steps held/);
    assert.deepEqual(leftovers(), []);
  }));

test('without a terminal the lab prints how it fares, and SIGTERM removes it', needsLab, () =>
  withLab([], async (lab, leftovers) => {
    await lab.waitForLine(/client udhcpc +10\.77\./, 60_000);
    lab.signal('SIGTERM');
    assert.equal(await lab.exited, 143, lab.output);
    assert.deepEqual(leftovers(), []);
  }));

test('a lab that is killed leaves nothing behind either', needsLab, () =>
  withLab(['--check'], async (lab, leftovers) => {
    await lab.waitForLine(/udhcpc gets a lease/, 60_000);
    await lab.kill();
    await nothingRemains(leftovers);
  }));

test('a wrong argument is refused before anything is made', () =>
  withLab(['--chek'], async (lab, leftovers) => {
    assert.equal(await lab.exited, 2);
    assert.match(lab.output, /Unknown option '--chek'[\s\S]*Usage: npm start/);
    assert.deepEqual(leftovers(), []);
  }));
