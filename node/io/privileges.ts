/**
 * Gives up what a node does not need of its host, as `node/privileges.ts` decides, and becomes the user that node.yaml names.
 *
 * Capabilities and no_new_privs belong to threads, and Node.js has several before any script runs. So they are changed on
 * the main thread, and then the process starts itself anew in its own place (same process id): an exec ends all other
 * threads, and those that are made from then on have what the main thread has. It is to happen before a file is open.
 */
import koffi from 'koffi';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bitsOf, canBound, capabilityNames, keptOf, lackedOf, mustDrop, NEEDED_SET, parsePrivileges, whyNotAllowed } from '../privileges.ts';
import type { Account, Privileges } from '../privileges.ts';
import type { Occurrence } from '../telemetry/events.ts';
import { JOURNAL_NAMES } from './journal-file.ts';
import { SystemCallError } from './libc.ts';

const libc = koffi.load(null);
const prctl = libc.func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)');
const capset = libc.func('int capset(void *header, void *data)');
const initgroups = libc.func('int initgroups(const char *user, uint32_t group)');
const setresgid = libc.func('int setresgid(uint32_t real, uint32_t effective, uint32_t saved)');
const setresuid = libc.func('int setresuid(uint32_t real, uint32_t effective, uint32_t saved)');
/** struct passwd begins so, in glibc and in musl. */
const Passwd = koffi.struct('passwd', { name: 'char *', password: 'char *', uid: 'uint32_t', gid: 'uint32_t' });
const getpwnam = libc.func('void *getpwnam(const char *name)');

const PR_SET_KEEPCAPS = 8;
const PR_CAPBSET_DROP = 24;
const PR_SET_SECUREBITS = 28;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
/** User id 0 gives nothing and changing it takes nothing, for good: SECBIT_NOROOT, NO_SETUID_FIXUP and KEEP_CAPS off, each with its lock. */
const SECUREBITS = 0x01 | 0x02 | 0x04 | 0x08 | 0x20;
const CAPABILITY_VERSION = 0x2008_0522;

const STORE_FILES = ['lock', 'leases.mdb', 'leases.mdb-lock', ...JOURNAL_NAMES];

/** In the environment of the process that starts itself anew: its id, so that it happens once. */
const MARK = 'LESSOR_PRIVILEGES_DROPPED';

/** The message says what to do; `code` as for other failures of the environment. */
export class PrivilegeError extends Error {
  readonly code: 'user-unknown' | 'not-allowed' | 'data-not-writable';

  constructor(code: PrivilegeError['code'], message: string) {
    super(message);
    this.name = 'PrivilegeError';
    this.code = code;
  }
}

export interface PrivilegeOptions {
  /** Who to be, where it is not who the process is. */
  readonly user: string | undefined;
  readonly dataDir: string;
}

/**
 * Returns in a process that has dropped what it could: the events to report. Otherwise it does not return, but the process
 * begins again. Throws PrivilegeError.
 */
export function dropPrivileges({ user, dataDir }: PrivilegeOptions): Occurrence[] {
  const account = user === undefined ? undefined : findAccount(user);
  const before = readPrivileges();
  const why = whyNotAllowed(before, account, firstFreePort(), process.execPath);
  if (why !== undefined) throw new PrivilegeError('not-allowed', why);
  const dropped = hasBegunAnew();
  delete process.env[MARK];
  let error = '';
  if (!dropped && mustDrop(before, account)) {
    try {
      drop(before, account);
      startAnew();
    } catch (failure) {
      // Who cannot become the user that was asked for has no business here; the rest is better than nobody who serves.
      const as = readPrivileges();
      if (account !== undefined && (as.uid !== account.uid || as.gid !== account.gid)) throw failure;
      error = (failure as Error).message;
    }
  }
  const now = readPrivileges();
  // A program with capabilities of its own may have them without being able to use them.
  if ((now.permitted & NEEDED_SET & ~now.effective) !== 0n) setCapabilities(now.permitted, now.permitted, now.inheritable);
  checkDataFolder(dataDir, account);
  return eventsOf(now, error);
}

/**
 * The same, as early as can be: before the rest of the program is loaded, which would be loaded twice. Whatever stands in the
 * way is left for `dropPrivileges` to find and to tell.
 */
export function dropEarly(user: string | undefined): void {
  try {
    const account = user === undefined ? undefined : findAccount(user);
    const before = readPrivileges();
    if (hasBegunAnew() || !mustDrop(before, account) || whyNotAllowed(before, account, firstFreePort(), process.execPath) !== undefined) return;
    drop(before, account);
    startAnew();
  } catch {
    // Told later.
  }
}

function hasBegunAnew(): boolean {
  return process.env[MARK] === String(process.pid);
}

function eventsOf(now: Privileges, error: string): Occurrence[] {
  const kept = keptOf(now);
  const lacked = lackedOf(now);
  const missing = lacked.length === 0 ? '' : capabilityNames(lacked.reduce((set, { bit }) => set | 1n << bit, 0n));
  return [
    ...(kept === '' ? [] : [{ id: 'privileges.kept', fields: { kept, ...(error === '' ? {} : { error }) } } as const]),
    ...(missing === '' ? [] : [{ id: 'privileges.missing', fields: { missing } } as const]),
  ];
}

function readPrivileges(): Privileges {
  return parsePrivileges(readFileSync('/proc/self/status', 'latin1'));
}

/** Linux: net.ipv4.ip_unprivileged_port_start, which containers often set to 0. */
function firstFreePort(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'latin1'));
  } catch {
    return 1024;
  }
}

function findAccount(user: string): Account {
  const found = getpwnam(user) as unknown;
  if (found === null) throw new PrivilegeError('user-unknown', `user: there is no user ${user} on this host: useradd --system ${user}`);
  const { uid, gid } = koffi.decode(found, Passwd) as { uid: number; gid: number };
  return { name: user, uid, gid };
}

function check(result: unknown, call: string, about: string): void {
  if (result !== 0) throw new SystemCallError(call, about);
}

/** On this thread only, and for good. Throws SystemCallError. */
function drop(before: Privileges, account: Account | undefined): void {
  if (account !== undefined && (account.uid !== before.uid || account.gid !== before.gid)) {
    check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 'prctl', 'PR_SET_KEEPCAPS');
    check(initgroups(account.name, account.gid), 'initgroups', account.name);
    check(setresgid(account.gid, account.gid, account.gid), 'setresgid', String(account.gid));
    check(setresuid(account.uid, account.uid, account.uid), 'setresuid', String(account.uid));
    // What was kept is permitted, and not in effect any more.
    setCapabilities(before.permitted, before.permitted, before.inheritable);
  }
  if (canBound(before)) {
    for (const bit of bitsOf(before.bounding & ~NEEDED_SET)) check(prctl(PR_CAPBSET_DROP, bit, 0, 0, 0), 'prctl', 'PR_CAPBSET_DROP');
    check(prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0), 'prctl', 'PR_SET_SECUREBITS');
  }
  const needed = before.permitted & NEEDED_SET;
  setCapabilities(needed, needed, needed);
  // What is ambient outlives the exec, whoever the user is.
  check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 'prctl', 'PR_CAP_AMBIENT_CLEAR_ALL');
  for (const bit of bitsOf(needed)) check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0), 'prctl', 'PR_CAP_AMBIENT_RAISE');
  check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 'prctl', 'PR_SET_NO_NEW_PRIVS');
}

/** struct __user_cap_header_struct: version u32, pid i32 (0: this thread); twice effective, permitted and inheritable, 32 bits each. */
function setCapabilities(effective: bigint, permitted: bigint, inheritable: bigint): void {
  const header = Buffer.alloc(128);
  const data = Buffer.alloc(128);
  header.writeUInt32LE(CAPABILITY_VERSION, 0);
  [effective, permitted, inheritable].forEach((set, i) => {
    data.writeUInt32LE(Number(set & 0xffff_ffffn), i * 4);
    data.writeUInt32LE(Number(set >> 32n), 12 + i * 4);
  });
  check(capset(header, data), 'capset', capabilityNames(permitted));
}

function startAnew(): never {
  const argv = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  // Throws where the kernel refuses; else nothing of this process is left but its id and its standard streams.
  return process.execve!(process.execPath, argv, { ...process.env, [MARK]: String(process.pid) });
}

/** By whoever the process is now. What is missing will be made, so the folder that it goes into counts. Throws PrivilegeError. */
function checkDataFolder(dataDir: string, account: Account | undefined): void {
  const uid = process.geteuid!();
  const who = account?.name ?? (uid === 0 ? 'root' : String(uid));
  const check = (path: string, mode: number, command: string): void => {
    if (mayUse(path, mode)) return;
    throw new PrivilegeError('data-not-writable', `dataDir: ${path} belongs to user ${statSync(path).uid} and cannot be used by ${who}. ` +
      `Run the node as its owner (user: in node.yaml), or make ${who} the owner:  ${command}`);
  };
  const give = `chown -R ${who}: ${dataDir}`;
  const inFolder = constants.R_OK | constants.W_OK | constants.X_OK;
  if (!existsSync(dataDir)) {
    let parent = dirname(dataDir);
    while (!existsSync(parent)) parent = dirname(parent);
    check(parent, inFolder, `mkdir -p ${dataDir} && ${give}`);
    return;
  }
  check(dataDir, inFolder, give);
  // As they are after an earlier run by somebody else.
  for (const name of STORE_FILES) if (existsSync(join(dataDir, name))) check(join(dataDir, name), constants.R_OK | constants.W_OK, give);
}

function mayUse(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
