/** What the kernel and the file system tell of this host and of a process on it. */
import { accessSync, closeSync, constants, existsSync, openSync, readdirSync, readFileSync, readlinkSync, statfsSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { machine, networkInterfaces, platform, release, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import koffi from 'koffi';
import { addressFromText } from '../../io/interfaces.ts';
import { InterfaceControl } from '../../io/libc.ts';
import type { KernelClock } from '../cluster-checks.ts';
import type { FolderFacts, InterfaceFacts, LimitFacts, PrivilegeFacts, RuntimeFacts } from '../host-checks.ts';
import { parseSockets } from '../proc-net.ts';
import type { PortOwner } from '../proc-net.ts';

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

export function runtimeFacts(): RuntimeFacts {
  return { node: process.versions.node, platform: platform(), machine: machine(), kernel: release() };
}

/** Of a process, or of this one. */
export function privilegeFacts(pid: number | undefined): PrivilegeFacts {
  const port = read('/proc/sys/net/ipv4/ip_unprivileged_port_start');
  return {
    permitted: BigInt(`0x${/^CapPrm:\s*(\S+)/m.exec(read(`/proc/${pid ?? 'self'}/status`) ?? '')?.[1] ?? '0'}`), ofNode: pid !== undefined,
    firstFreePort: port === undefined ? 1024 : Number(port),
  };
}

// ── ports ───────────────────────────────────────────────────────────────────────────────────────

/** All sockets of this network namespace that take something in, with who has them. */
export function portOwners(): PortOwner[] {
  const sockets = (['udp', 'tcp'] as const).flatMap((protocol) =>
    [protocol, `${protocol}6`].flatMap((file) => parseSockets(read(`/proc/self/net/${file}`) ?? '', protocol)));
  const processes = processesBySocket(new Set(sockets.map(({ inode }) => inode)));
  return sockets.map(({ inode, ...socket }) => ({ ...socket, holder: processes.get(inode) }));
}

function processesBySocket(inodes: ReadonlySet<string>): Map<string, { pid: number; name: string }> {
  const found = new Map<string, { pid: number; name: string }>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      for (const fd of readdirSync(`/proc/${entry}/fd`)) {
        const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${entry}/fd/${fd}`))?.[1];
        if (inode !== undefined && inodes.has(inode)) found.set(inode, { pid: Number(entry), name: nameOf(entry) });
      }
    } catch {
      // Another user's, or it has ended meanwhile.
    }
  }
  return found;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function nameOf(pid: string): string {
  return (read(`/proc/${pid}/comm`) ?? '?').trim();
}

/** Who listens at a socket of the file system; undefined: nobody, or it is not to be seen. 0: somebody who is not to be seen. */
export function unixSocketOwner(path: string): number | undefined {
  const inode = (read('/proc/self/net/unix') ?? '').split('\n').map((line) => line.trim().split(/\s+/)).find((fields) => fields[7] === path)?.[6];
  if (inode === undefined) return undefined;
  return processesBySocket(new Set([inode])).get(inode)?.pid ?? 0;
}

// ── interfaces ──────────────────────────────────────────────────────────────────────────────────

const FLAG_UP = 0x1;

export function interfaceFacts(names: readonly string[]): InterfaceFacts[] {
  const control = new InterfaceControl();
  try {
    return names.map((name) => {
      const flags = Number(read(`/sys/class/net/${name}/flags`) ?? 0);
      // Read while it is down, the carrier is an error.
      const up = (flags & FLAG_UP) !== 0 && read(`/sys/class/net/${name}/carrier`)?.trim() !== '0';
      return { name, exists: control.indexOf(name) !== undefined, up: up || addressesOf(name).length > 0, addresses: addressesOf(name) };
    });
  } finally {
    control.close();
  }
}

/** Node.js lists interfaces that are up and running, others are left out. */
function addressesOf(name: string): number[] {
  return Object.entries(networkInterfaces()).filter(([label]) => label.split(':', 1)[0] === name)
    .flatMap(([, entries]) => (entries ?? []).filter(({ family }) => family === 'IPv4').map(({ address }) => addressFromText(address)));
}

/** All addresses of this host, as text. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address));
}

// ── the data folder ─────────────────────────────────────────────────────────────────────────────

const FLUSHES = 40;
const FLUSH_BYTES = 4096;
const FLUSHES_MS_MAX = 3000;

/** `user`: whom node.yaml names. What does not exist yet is judged by the folder that it will be made in. */
export function folderFacts(path: string, user: string | undefined): FolderFacts {
  const exists = existsSync(path);
  let there = path;
  while (!existsSync(there)) there = dirname(there);
  const { type, bavail, blocks, bsize } = statfsSync(there);
  return {
    path, exists, writable: user === undefined ? mayWrite(there) : belongsTo(there, user), user: user ?? userName(), fileSystem: type >>> 0,
    freeBytes: bavail * bsize, sizeBytes: blocks * bsize,
  };
}

const OWNER_MAY_WRITE = 0o300;
const OTHERS_MAY_WRITE = 0o003;

/** Root may write anywhere; the node that it starts becomes that user, and may not. */
function belongsTo(path: string, user: string): boolean {
  const entry = (read('/etc/passwd') ?? '').split('\n').find((line) => line.startsWith(`${user}:`))?.split(':');
  const { mode, uid } = statSync(path);
  const wanted = Number(entry?.[2] ?? NaN) === uid ? OWNER_MAY_WRITE : OTHERS_MAY_WRITE;
  return (mode & wanted) === wanted;
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.geteuid?.() ?? '?');
  }
}

/** How long synchronous writes into the folder take, in milliseconds, as a commit does them; the file is removed. */
export function flushTimes(folder: string): number[] {
  const path = join(folder, `.doctor-${process.pid}`);
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_DSYNC, 0o600);
  try {
    const block = Buffer.alloc(FLUSH_BYTES, 0x5a);
    // Preallocated, as the journal is: what is measured is the write, not the growing of a file.
    for (let i = 0; i < FLUSHES; i++) writeSync(fd, block, 0, block.length, i * FLUSH_BYTES);
    const times: number[] = [];
    const began = performance.now();
    for (let i = 0; i < FLUSHES && performance.now() - began < FLUSHES_MS_MAX; i++) {
      const from = performance.now();
      writeSync(fd, block, 0, block.length, i * FLUSH_BYTES);
      times.push(performance.now() - from);
    }
    return times;
  } finally {
    closeSync(fd);
    unlinkSync(path);
  }
}

// ── limits ──────────────────────────────────────────────────────────────────────────────────────

const KIB = 1024;

export function limitFacts(pid: number | undefined): LimitFacts {
  const open = /^Max open files\s+(\S+)/m.exec(read(`/proc/${pid ?? 'self'}/limits`) ?? '')?.[1];
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(read('/proc/meminfo') ?? '')?.[1] ?? NaN) * KIB;
  const ofNode = pid === undefined ? 0 : Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? 0) * KIB;
  return {
    openFiles: open === undefined || open === 'unlimited' ? Infinity : Number(open),
    memoryAvailableBytes: Math.min(available, containerMemory() ?? Infinity), memoryOfNodeBytes: ofNode,
  };
}

/** What is left of a container's limit (cgroup v2, then v1). */
function containerMemory(): number | undefined {
  for (const [limit, used] of [['memory.max', 'memory.current'], ['memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes']] as const) {
    const [most, now] = [limit, used].map((file) => Number(read(`/sys/fs/cgroup/${file}`)?.trim() ?? NaN));
    if (most !== undefined && now !== undefined && Number.isFinite(most - now)) return Math.max(0, most - now);
  }
  return undefined;
}

// ── the clock ───────────────────────────────────────────────────────────────────────────────────

/** struct timex on 64-bit Linux: maxerror i64 @24 (microseconds), status i32 @40; 208 bytes. */
const TIMEX_BYTES = 256;
const STA_UNSYNC = 0x0040;
const TIME_ERROR = 5;

/** adjtimex(2) with nothing to set: anybody may ask. Undefined where it is kept from this process. */
export function kernelClock(): KernelClock | undefined {
  const adjtimex = koffi.load(null).func('int adjtimex(void *timex)');
  const timex = Buffer.alloc(TIMEX_BYTES);
  const state = adjtimex(timex) as number;
  if (state < 0) return undefined;
  const unsynchronised = state === TIME_ERROR || (timex.readInt32LE(40) & STA_UNSYNC) !== 0;
  return { synchronised: !unsynchronised, maxErrorMs: Number(timex.readBigInt64LE(24)) / 1000 };
}
