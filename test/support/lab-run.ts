/** Runs the lab as `npm start` does, and looks at what it leaves behind. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whyNoNetwork } from '../../deploy/lab/netns.ts';
import { LabProcess, waitUntil } from '../../deploy/lab/processes.ts';
import { missingPrograms } from '../../deploy/lab/programs.ts';

const labFile = join(import.meta.dirname, '../../deploy/lab/lab.ts');

const missing = missingPrograms(['ip', 'etcd', 'perfdhcp', 'udhcpc', 'dhclient']);
const why = whyNoNetwork() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh lab)` : undefined);
// Leaving out is for a person's own machine.
export const needsLab = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };

/** A lab with a temporary folder of its own, so that what it leaves there can be told from other things. */
export async function withLab(args: readonly string[], work: (lab: LabProcess, leftovers: () => string[]) => Promise<void>): Promise<void> {
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

export async function nothingRemains(leftovers: () => string[]): Promise<void> {
  await waitUntil('nothing left', 5000, () => (leftovers().length === 0 ? true : undefined))
    .catch((error: unknown) => assert.fail(`${(error as Error).message}: ${leftovers().join('; ')}`));
}
