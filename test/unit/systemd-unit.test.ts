/** The unit of systemd: that systemd reads it as it is meant, how exposed it calls it, and that it fits the program. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findProgram, requireProgram } from '../../deploy/lab/programs.ts';
import { DRAIN_MS_MAX } from '../../node/limits.ts';
import { NEEDED_CAPABILITIES } from '../../node/privileges.ts';
import { allowedCalls, readUnit } from '../support/systemd-unit.ts';

const folder = join(import.meta.dirname, '../../deploy/systemd');
const file = join(folder, 'lessor.service');
const unit = readUnit(file);
const needsSystemd = findProgram('systemd-analyze') === undefined ? { skip: 'not there: systemd-analyze (deploy/lab/install.sh test)' } : {};
/** From 0 to 10, as `systemd-analyze security` counts. What is left: the network, three capabilities, and V8's need for executable memory. */
const EXPOSURE_MAX = 1.9;

function analyze(args: readonly string[]): { status: number | null; text: string } {
  const { command, env } = requireProgram('systemd-analyze');
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env, SYSTEMD_COLORS: '0' } });
  return { status, text: stdout + stderr };
}

test('systemd finds nothing wrong with the unit', needsSystemd, () => {
  const temporary = mkdtempSync(join(tmpdir(), 'lessor-unit-'));
  try {
    // The program need not be installed here.
    const copy = join(temporary, 'lessor.service');
    writeFileSync(copy, readFileSync(file, 'utf8').replace('/usr/bin/lessor', process.execPath));
    const { status, text } = analyze(['verify', '--man=no', copy]);
    assert.deepEqual([status, text.split('\n').filter((line) => line.includes('lessor'))], [0, []]);
  } finally {
    rmSync(temporary, { recursive: true });
  }
});

test(`the exposure of the unit is at most ${EXPOSURE_MAX}`, needsSystemd, () => {
  const { text } = analyze(['security', '--offline=true', '--no-pager', file]);
  const exposure = /Overall exposure level for lessor\.service: ([\d.]+) /.exec(text)?.[1];
  assert.ok(exposure !== undefined, text);
  assert.ok(Number(exposure) <= EXPOSURE_MAX, `${exposure}\n${text}`);
});

test('the filter of system calls leaves what Node.js starts with, and takes what changes users and files of others', needsSystemd, () => {
  const allowed = allowedCalls(unit.get('SystemCallFilter')!);
  for (const call of ['execve', 'mmap', 'mprotect', 'pipe2', 'recvmmsg', 'sendmmsg', 'fdatasync', 'io_uring_setup', 'setpriority']) assert.ok(allowed.has(call), call);
  for (const call of ['chown', 'setuid', 'setgroups', 'mount', 'ptrace', 'bpf', 'reboot', 'keyctl']) assert.ok(!allowed.has(call), call);
});

test('the unit gives the capabilities that a node needs, and no others', () => {
  const names = NEEDED_CAPABILITIES.map(({ name }) => name).join(' ');
  assert.deepEqual(unit.get('AmbientCapabilities'), [names]);
  assert.deepEqual(unit.get('CapabilityBoundingSet'), [names]);
});

test('a node has the time that it takes to drain', () => {
  const [seconds] = /^\d+/.exec(unit.get('TimeoutStopSec')![0]!)!;
  assert.ok(Number(seconds) * 1000 > DRAIN_MS_MAX + 5000);
});

test('the user and the folder of the unit are made by the files beside it', needsSystemd, () => {
  const [user] = unit.get('User')!;
  assert.deepEqual(unit.get('Group'), [user]);
  assert.match(readFileSync(join(folder, 'lessor.sysusers'), 'utf8'), new RegExp(`^u ${user} - ".*" /var/lib/lessor$`, 'm'));
  assert.match(readFileSync(join(folder, 'lessor.tmpfiles'), 'utf8'), new RegExp(`^d /var/lib/${unit.get('StateDirectory')![0]} ${unit.get('StateDirectoryMode')![0]} ${user} ${user} -$`, 'm'));
});

test('scripts of the package are ones that a shell can read', () => {
  for (const script of ['build.sh', 'postinst', 'prerm', 'postrm']) execFileSync('sh', ['-n', join(folder, '../debian', script)]);
});
