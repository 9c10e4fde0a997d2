/**
 * What a node is allowed to do on its host, and what of that it gives up before it does anything: a node needs three
 * capabilities of root's forty, and no way to get more. Decided here, from what the kernel says of the process;
 * `node/io/privileges.ts` carries it out.
 */

/** By their numbers in the kernel, with what they are for. */
export const NEEDED_CAPABILITIES = [
  { name: 'CAP_NET_BIND_SERVICE', bit: 10n, use: 'port 67' },
  { name: 'CAP_NET_ADMIN', bit: 12n, use: 'unicast to clients that have no address yet, and large socket buffers' },
  { name: 'CAP_NET_RAW', bit: 13n, use: 'sockets of one interface, and asking whether an address is in use' },
] as const;

export const NEEDED_SET: bigint = NEEDED_CAPABILITIES.reduce((set, { bit }) => set | 1n << bit, 0n);

const CAP_SETGID = 6n;
const CAP_SETUID = 7n;
/** To take capabilities out of the bounding set. */
const CAP_SETPCAP = 8n;

/** Of one process. Sets have a bit for each capability. */
export interface Privileges {
  readonly uid: number;
  readonly gid: number;
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
  readonly ambient: bigint;
  /** What the process could get by starting a program that has it. */
  readonly bounding: bigint;
  /** Starting a program gives it nothing that it does not have already. */
  readonly noNewPrivileges: boolean;
}

/** A user of the host, with the group that it belongs to first of all. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** From the text of `/proc/PID/status`. */
export function parsePrivileges(status: string): Privileges {
  const field = (name: string): string => {
    const value = new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1];
    if (value === undefined) throw new Error(`the kernel does not tell ${name} of a process`);
    return value;
  };
  const set = (name: string): bigint => BigInt(`0x${field(name)}`);
  /** Real, effective, saved and file system's; the effective one counts. */
  const id = (name: string): number => Number(field(name).split('\t')[1]);
  return {
    uid: id('Uid'), gid: id('Gid'), effective: set('CapEff'), permitted: set('CapPrm'), inheritable: set('CapInh'), ambient: set('CapAmb'),
    bounding: set('CapBnd'), noNewPrivileges: field('NoNewPrivs') === '1',
  };
}

const has = (set: bigint, bit: bigint): boolean => (set & 1n << bit) !== 0n;

/** Whether the bounding set can be made smaller. */
export function canBound({ permitted }: Privileges): boolean {
  return has(permitted, CAP_SETPCAP);
}

/** Whether anything is left to give up that can be given up. `account`: who the process is to be. */
export function mustDrop(privileges: Privileges, account: Account | undefined): boolean {
  const { permitted, inheritable, ambient, bounding, noNewPrivileges, uid, gid } = privileges;
  if (account !== undefined && (uid !== account.uid || gid !== account.gid)) return true;
  return ((permitted | inheritable | ambient) & ~NEEDED_SET) !== 0n || !noNewPrivileges || (canBound(privileges) && (bounding & ~NEEDED_SET) !== 0n);
}

/** Those of the needed ones that the process does not have. */
export function lackedOf({ permitted }: Privileges): typeof NEEDED_CAPABILITIES[number][] {
  return NEEDED_CAPABILITIES.filter(({ bit }) => !has(permitted, bit));
}

/**
 * Why the node cannot run with these privileges, with what to do; undefined where it can. Without CAP_NET_ADMIN it can: what would be
 * unicast is broadcast then.
 * @param firstFreePort the lowest port that anybody may listen on
 * @param program the executable, for the command that gives it capabilities
 */
export function whyNotAllowed(privileges: Privileges, account: Account | undefined, firstFreePort: number, program: string): string | undefined {
  const { uid, gid, permitted } = privileges;
  if (account !== undefined) {
    const lacked = [...(uid === account.uid || has(permitted, CAP_SETUID) ? [] : ['CAP_SETUID']),
      ...(gid === account.gid || has(permitted, CAP_SETGID) ? [] : ['CAP_SETGID'])];
    if (lacked.length > 0) {
      return `this process cannot become user ${account.name} (${account.uid}:${account.gid}): it is ${uid}:${gid}, without ${lacked.join(' and ')}. ` +
        `Start it as root or as ${account.name}, or leave user: out of node.yaml`;
    }
  }
  const lacked = lackedOf(privileges).filter(({ name }) => name === 'CAP_NET_RAW' || (name === 'CAP_NET_BIND_SERVICE' && firstFreePort > 67));
  if (lacked.length === 0) return undefined;
  const names = NEEDED_CAPABILITIES.map(({ name }) => name);
  return [
    `this process lacks ${lacked.map(({ name, use }) => `${name} (${use})`).join(' and ')}. Start it as root, which gives up all that it does not need, or:`,
    `  systemd     AmbientCapabilities=${names.join(' ')}`,
    `  docker      ${names.map((name) => `--cap-add ${name.slice(4)}`).join(' ')}`,
    `  by hand     setcap ${names.join(',').toLowerCase()}=ep ${program}`,
  ].join('\n');
}

const PLAIN_USER = /^user:[ \t]+(["']?)([A-Za-z_][\w.-]*)\1[ \t]*(?:#.*)?\r?$/m;

/**
 * `user:` of a node.yaml, where it stands alone on a line with a plain name behind it, or nowhere: for that no YAML has to be
 * read. Undefined where it takes more to tell.
 */
export function userAtAGlance(text: string): { readonly user: string | undefined } | undefined {
  const user = PLAIN_USER.exec(text)?.[2];
  if (user === undefined) return /user/.test(text) ? undefined : { user };
  return !/\buser\b/.test(text.replace(PLAIN_USER, '')) ? { user } : undefined;
}

/** The names that `CapPrm` and the like of proc(5) have bits for; above these, by number. */
const NAMES = ('CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST ' +
  'NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE ' +
  'SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ ' +
  'PERFMON BPF CHECKPOINT_RESTORE').split(' ');

export function bitsOf(set: bigint): number[] {
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => has(set, BigInt(bit)));
}

/** `CAP_SYS_ADMIN CAP_SYS_BOOT`. */
export function capabilityNames(set: bigint): string {
  return bitsOf(set).map((bit) => (NAMES[bit] === undefined ? `capability ${bit}` : `CAP_${NAMES[bit]}`)).join(' ');
}

/** What the process still has or could get and does not need, in words; empty where there is nothing. */
export function keptOf(privileges: Privileges): string {
  const { permitted, bounding, noNewPrivileges } = privileges;
  const held = capabilityNames(permitted & ~NEEDED_SET);
  // With no_new_privs nothing can be got of the bounding set.
  const gettable = noNewPrivileges ? '' : capabilityNames(bounding & ~permitted & ~NEEDED_SET);
  return [held, gettable === '' ? '' : `by starting programs: ${gettable}`].filter((part) => part !== '').join('; ');
}
