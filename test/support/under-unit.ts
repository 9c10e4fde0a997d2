/**
 * Runs a command as a unit of systemd would, as far as the kernel alone can do that: with its user, capabilities, mask, and
 * its filter of system calls. A call that the filter does not allow kills the process instead of failing, so that none can
 * go unnoticed:
 *
 *     node under-unit.ts LIBRARY ALLOWED UNIT COMMAND...
 *
 * LIBRARY is libseccomp. ALLOWED is a file with the names of the calls, made outside, since systemd may be missing where the
 * command runs.
 */
import koffi from 'koffi';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readUnit } from './systemd-unit.ts';

const KILL_PROCESS = 0x8000_0000;
const ALLOW = 0x7fff_0000;
const EQUAL = 4;
const FAMILIES: Readonly<Record<string, bigint>> = { AF_UNIX: 1n, AF_INET: 2n, AF_INET6: 10n, AF_NETLINK: 16n, AF_PACKET: 17n };

const [library = '', allowedFile = '', unitFile = '', command = '', ...args] = process.argv.slice(2);
const unit = readUnit(unitFile);
const one = (key: string): string => {
  const value = unit.get(key)?.[0];
  if (value === undefined) throw new Error(`${unitFile}: no ${key}=`);
  return value;
};

if (process.env['UNDER_UNIT'] === undefined) asItsUser();
else confine();

/** Starts this anew with the user and the capabilities; what it does then needs no privilege. */
function asItsUser(): void {
  const lower = (list: string): string => list.toLowerCase().replaceAll('cap_', '').split(' ').map((name) => `+${name}`).join(',');
  const ambient = lower(one('AmbientCapabilities'));
  const setpriv = execFileSync('sh', ['-c', 'command -v setpriv'], { encoding: 'utf8' }).trim();
  process.execve!(setpriv, [
    setpriv, '--reuid', one('User'), '--regid', one('Group'), '--init-groups', '--bounding-set', `-all,${lower(one('CapabilityBoundingSet'))}`,
    '--inh-caps', `-all,${ambient}`, '--ambient-caps', `-all,${ambient}`, '--no-new-privs', process.execPath, ...process.argv.slice(1),
  ], { ...process.env, UNDER_UNIT: '1' });
}

function confine(): void {
  const seccomp = koffi.load(library);
  const init = seccomp.func('void *seccomp_init(uint32_t action)');
  const resolve = seccomp.func('int seccomp_syscall_resolve_name(const char *name)');
  const addRule = seccomp.func('int seccomp_rule_add_array(void *filter, uint32_t action, int call, unsigned int count, const void *comparisons)');
  const load = seccomp.func('int seccomp_load(void *filter)');
  const filter: unknown = init(KILL_PROCESS);
  const allow = (call: number, comparison?: Buffer): void => {
    const result = addRule(filter, ALLOW, call, comparison === undefined ? 0 : 1, comparison ?? null) as number;
    if (result !== 0) throw new Error(`call ${call}: ${result}`);
  };
  for (const name of readFileSync(allowedFile, 'utf8').split('\n')) {
    const call = resolve(name) as number;
    // Below 0: other machines have it, this one does not.
    if (call >= 0 && name !== 'socket') allow(call);
  }
  for (const family of one('RestrictAddressFamilies').split(' ')) {
    const number = FAMILIES[family];
    if (number === undefined) throw new Error(`unknown ${family}`);
    // struct scmp_arg_cmp: which argument u32, how u32, two values u64.
    const comparison = Buffer.alloc(128);
    comparison.writeUInt32LE(EQUAL, 4);
    comparison.writeBigUInt64LE(number, 8);
    allow(resolve('socket') as number, comparison);
  }
  process.umask(Number.parseInt(one('UMask'), 8));
  if ((load(filter) as number) !== 0) throw new Error('the filter was refused');
  process.execve!(command, [command, ...args], { PATH: '/usr/bin:/bin', ...Object.fromEntries(unit.get('Environment')!.map((set) => set.split('='))) });
}
