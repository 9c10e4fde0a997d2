/** What `lessor doctor` says of the host: pure, from facts that `io` has gathered. */
import { formatIpv4 } from '../codec/address.ts';
import type { ClusterConfig, NodeConfig } from '../config/types.ts';
import { NEEDED_CAPABILITIES } from '../privileges.ts';
import { bytesText, msText, ok, problem, quantile, skipped, warning } from './finding.ts';
import type { Finding } from './finding.ts';
import type { PortOwner } from './proc-net.ts';

const NODE_MAJOR_MIN = 24;

export interface RuntimeFacts {
  /** "24.21.0". */
  readonly node: string;
  readonly platform: string;
  readonly machine: string;
  /** "6.1.0-21-amd64". */
  readonly kernel: string;
}

export function checkRuntime({ node, platform, machine, kernel }: RuntimeFacts): Finding[] {
  const text = `Node.js ${node}, ${platform} ${kernel}, ${machine}`;
  if (platform !== 'linux') return [problem(text, 'Lessor runs on Linux only.')];
  if (Number(node.split('.')[0]) < NODE_MAJOR_MIN) return [problem(text, `Start Lessor with Node.js ${NODE_MAJOR_MIN} or newer.`)];
  if (!['x86_64', 'aarch64'].includes(machine)) return [warning(text, 'Lessor is tested on x86_64 only, and its system calls need a 64-bit little-endian machine.')];
  return [ok(text)];
}

export interface PrivilegeFacts {
  /** A bit for each capability that the process has (`CapPrm` of proc(5)). */
  readonly permitted: bigint;
  /** Of the node's process; else of this one, which an operator has started. */
  readonly ofNode: boolean;
  /** The lowest port that anybody may listen on. */
  readonly firstFreePort: number;
}

export function checkPrivileges({ permitted, ofNode, firstFreePort }: PrivilegeFacts): Finding[] {
  const lacked = NEEDED_CAPABILITIES.filter(({ bit, name }) => (permitted & 1n << bit) === 0n && !(name === 'CAP_NET_BIND_SERVICE' && firstFreePort <= 67));
  if (lacked.length === 0) return [ok(ofNode ? 'the node\'s process has what it needs' : 'a node that is started as this command was has what it needs')];
  const text = `${ofNode ? 'the node\'s process' : 'this command'} lacks ${lacked.map(({ name, use }) => `${name} (${use})`).join(', ')}`;
  const give = `AmbientCapabilities=${NEEDED_CAPABILITIES.map(({ name }) => name).join(' ')} in the unit, --cap-add in a container, or start the node as root.`;
  if (!ofNode) return [warning(text, `A node that is started so lacks it too. ${give}`)];
  // Without it the node can do: see `whyNotAllowed`.
  return [lacked.some(({ name }) => name !== 'CAP_NET_ADMIN') ? problem(text, give) : warning(text, `It serves all the same, by broadcast. ${give}`)];
}

/** A port that a node is to have. */
export interface WantedPort {
  readonly protocol: 'udp' | 'tcp';
  readonly host: string;
  readonly port: number;
  /** "clients and relays", for the message. */
  readonly use: string;
  /** The key in node.yaml that names another one; "": none. */
  readonly key: string;
}

export function wantedPorts(node: NodeConfig, cluster: ClusterConfig | undefined): WantedPort[] {
  const queries = cluster !== undefined && cluster.leaseQuery.requestors.length > 0;
  return [
    { protocol: 'udp', host: '0.0.0.0', port: 67, use: 'DHCP', key: '' },
    ...(queries ? [{ protocol: 'tcp', host: node.leaseQuery.host, port: node.leaseQuery.port, use: 'LEASEQUERY', key: 'leasequery.listen' } as const] : []),
    ...(node.cluster === undefined ? [] : [{ protocol: 'tcp', ...node.cluster.listen, use: 'the other nodes', key: 'cluster.listen' } as const]),
    ...(node.http.port === 0 ? [] : [{ protocol: 'tcp', host: node.http.host, port: node.http.port, use: 'metrics and health', key: 'http.listen' } as const]),
  ];
}

/** `nodePid`: of the node that runs with this configuration; undefined: none does; 0: it does, and its process cannot be told. */
export function checkPorts(wanted: readonly WantedPort[], owners: readonly PortOwner[], nodePid: number | undefined): Finding[] {
  return wanted.map((want) => {
    const name = `${want.port}/${want.protocol} (${want.use})`;
    const found = owners.filter((owner) => owner.protocol === want.protocol && owner.port === want.port && overlap(owner.address, want.host));
    const others = found.filter(({ holder }) => (holder === undefined ? nodePid === undefined : holder.pid !== nodePid && nodePid !== 0));
    if (others.length > 0) {
      const { address, holder } = others[0]!;
      const who = holder === undefined ? 'a process of another user' : `${holder.name} (process ${holder.pid})`;
      const other = want.key === '' ? 'Stop it: DHCP has no other port' : `Stop it, or name another port under ${want.key}`;
      return problem(`${name} is held by ${who} at ${address}`, `${other}.${holder === undefined ? ' As root this command says who it is.' : ''}`);
    }
    if (nodePid === undefined) return ok(`${name} is free`);
    if (found.length > 0) return ok(`${name} is held by the node`);
    return problem(`${name} is not held by the node that runs`, 'Look at its log: it could not open the port (dhcp.socket-failed, leasequery.failed), or no interface is in service.');
  });
}

function overlap(one: string, other: string): boolean {
  const all = ['0.0.0.0', '::'];
  return one === other || all.includes(one) || all.includes(other);
}

export interface InterfaceFacts {
  readonly name: string;
  readonly exists: boolean;
  /** Up, and with a carrier. */
  readonly up: boolean;
  readonly addresses: readonly number[];
}

/** `cluster` undefined: it is not known which subnets are served. */
export function checkInterfaces(interfaces: readonly InterfaceFacts[], cluster: ClusterConfig | undefined): Finding[] {
  return interfaces.map(({ name, exists, up, addresses }) => {
    if (!exists) return problem(`${name} does not exist`, 'Correct dhcp.interfaces in node.yaml, or make the interface; a node takes it up when it comes.');
    if (!up) return problem(`${name} is down or has no carrier`, `ip link set ${name} up, and look at the cable or the switch port.`);
    if (addresses.length === 0) return problem(`${name} has no IPv4 address`, 'Give it a fixed one: without it there is no server identifier to answer with.');
    const own = `${name} has ${addresses.map(formatIpv4).join(', ')}`;
    if (cluster === undefined) return ok(own);
    const subnets = addresses.flatMap((address) => cluster.subnets.filter(({ network, prefixLength }) => inSubnet(address, network, prefixLength)));
    if (subnets.length > 0) return ok(`${own}, in subnet ${[...new Set(subnets.map((subnet) => subnet.name))].join(', ')}`);
    return warning(`${own}, in no subnet of the configuration`, 'Clients on this segment get no answer, only those behind relays do. If they should, configure its subnet or correct the address.');
  });
}

function inSubnet(address: number, network: number, prefixLength: number): boolean {
  return Math.floor(address / 2 ** (32 - prefixLength)) === Math.floor(network / 2 ** (32 - prefixLength));
}

export interface FolderFacts {
  readonly path: string;
  readonly exists: boolean;
  /** By the user whom node.yaml names, or of this command. */
  readonly writable: boolean;
  readonly user: string;
  /** statfs(2), `f_type`. */
  readonly fileSystem: number;
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

const MEMORY_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([[0x0102_1994, 'tmpfs'], [0x8584_58f6, 'ramfs']]);
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'], [0xff53_4d42, 'CIFS'], [0xfe53_4d42, 'SMB'], [0x517b, 'SMB'], [0x00c3_6400, 'Ceph'], [0x6573_5546, 'FUSE'], [0x0102_1997, '9P'],
]);
const OVERLAY = 0x794c_7630;
/** With less a node may stop committing within minutes. */
const FREE_BYTES_MIN = 64 * 2 ** 20;
const FREE_BYTES_ENOUGH = 512 * 2 ** 20;

export function checkFolder(facts: FolderFacts): Finding[] {
  const { path, exists, writable, user, fileSystem, freeBytes, sizeBytes } = facts;
  const findings: Finding[] = [];
  if (!writable) findings.push(problem(`${path} ${exists ? 'cannot be written' : 'does not exist and cannot be made'} by ${user}`, `mkdir -p ${path} && chown -R ${user}: ${path}, with the user that the node runs as.`));
  const inMemory = MEMORY_FILE_SYSTEMS.get(fileSystem);
  const overNetwork = NETWORK_FILE_SYSTEMS.get(fileSystem);
  if (inMemory !== undefined) findings.push(problem(`${path} lies in memory (${inMemory}): all leases are lost with a restart of the host`, 'Put dataDir onto a disk.'));
  if (overNetwork !== undefined) findings.push(problem(`${path} lies on a file system of the network (${overNetwork}): neither locks nor flushes can be relied on`, 'Put dataDir onto a local disk.'));
  if (fileSystem === OVERLAY) findings.push(warning(`${path} lies in the container itself, and is lost with it`, 'Mount a volume there.'));
  const room = `${bytesText(freeBytes)} of ${bytesText(sizeBytes)} free`;
  if (freeBytes < FREE_BYTES_MIN) findings.push(problem(`${path}: ${room}`, 'Free space now: a node whose disk is full commits nothing. deploy/runbooks/full-disk.md'));
  else if (freeBytes < FREE_BYTES_ENOUGH) findings.push(warning(`${path}: ${room}`, `Keep ${bytesText(FREE_BYTES_ENOUGH)} free: a million leases take some 400 MiB, and the history of changes what historySize allows.`));
  return findings.length > 0 ? findings : [ok(`${path}${exists ? '' : ' is made when the node starts'}: ${room}, writable by ${user}`)];
}

const FLUSH_MS_GOOD = 10;
const FLUSH_MS_BAD = 100;

/** Flushed writes of the size of a commit, each as long as it took. */
export function checkFlushes(times: readonly number[]): Finding[] {
  const [median, slow] = [quantile(times, 0.5), quantile(times, 0.95)];
  const text = `a flushed write takes ${msText(median)}, one of twenty ${msText(slow)} or more (${times.length} written)`;
  const effect = 'Every DHCPACK waits for the slowest node\'s flush: use an SSD, not shared with a busy database.';
  if (median > FLUSH_MS_BAD) return [problem(text, effect)];
  return [median > FLUSH_MS_GOOD || slow > FLUSH_MS_BAD ? warning(text, effect) : ok(text)];
}

export interface LimitFacts {
  /** The soft limit of the node's process, or of this one. */
  readonly openFiles: number;
  /** Of the host, or the container's where that is less. */
  readonly memoryAvailableBytes: number;
  /** What the running node has already. */
  readonly memoryOfNodeBytes: number;
}

const OPEN_FILES_MIN = 1024;
/** Node.js, the code, connections and etcd's client. */
const MEMORY_BASE_BYTES = 160 * 2 ** 20;
/** Of the lease table; BASELINE: 30 and what finds clients. */
const MEMORY_PER_ADDRESS_BYTES = 45;

export function checkLimits({ openFiles, memoryAvailableBytes, memoryOfNodeBytes }: LimitFacts, cluster: ClusterConfig | undefined): Finding[] {
  const findings: Finding[] = [];
  if (openFiles < OPEN_FILES_MIN) findings.push(problem(`at most ${openFiles} files and connections may be open`, 'Raise it to 65536: LimitNOFILE= in the unit, or ulimit -n.'));
  if (cluster === undefined) return [...findings, skipped('memory: it is not known which pools there are')];
  const addresses = cluster.pools.reduce((sum, { ranges }) => sum + ranges.reduce((inPool, { first, last }) => inPool + last - first + 1, 0), 0);
  const needed = MEMORY_BASE_BYTES + addresses * MEMORY_PER_ADDRESS_BYTES;
  const room = memoryAvailableBytes + memoryOfNodeBytes;
  const text = `${bytesText(room)} of memory for this node; with every one of ${addresses} addresses leased it takes up to ${bytesText(needed)}`;
  if (needed <= room) return [...findings, ok(`${openFiles} files and connections may be open; ${text}`)];
  return [...findings, warning(text, 'Give the host or the container more memory before so many addresses are in use.')];
}
