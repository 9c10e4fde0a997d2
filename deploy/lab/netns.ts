/**
 * Networks of hosts in network namespaces: each host is one, each segment is one with a bridge in it.
 * Nothing outside of these namespaces is touched, and all are removed at the end, on an exception and on
 * SIGINT, SIGTERM and SIGHUP; what a killed run left behind is removed by the next one.
 *
 * Names: `lsr-<pid>-<start time of that process>-<number>-<host>`, which tells whether the owner lives.
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { LabProcess, sleep, waitUntil, type ProcessOptions } from './processes.ts';
import { findProgram } from './programs.ts';

const run = promisify(execFile);

const NAMESPACES = '/run/netns';
const OWN_NAME = /^lsr-(\d+)-(\d+)-/;
const BRIDGE = 'br0';
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

export interface HostOptions {
  readonly name: string;
  /** `address/prefixLength` for the new interface; none means that the host waits for DHCP. */
  readonly addresses?: readonly string[];
  /** The router for everything else. */
  readonly gateway?: string;
}

export interface CommandFailure extends Error {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | string;
}

/** Why no network can be made here, in words for a person; undefined where it can. */
export function whyNoNetwork(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root: run it with sudo';
  if (findProgram('ip') === undefined) return 'the program ip is missing (Debian: iproute2)';
  const probe = `lsr-${process.pid}-${startTime(process.pid) ?? '0'}-probe`;
  try {
    ip(['netns', 'add', probe]);
    ip(['netns', 'delete', probe]);
    return undefined;
  } catch (error) {
    return `this machine does not allow network namespaces: ${(error as Error).message.split('\n').at(-1)}`;
  }
}

function ip(args: readonly string[], input?: string): string {
  const program = findProgram('ip');
  if (program === undefined) throw new Error('the program ip is missing (Debian: iproute2)');
  return execFileSync(program.command, args, {
    encoding: 'utf8', stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'], ...(input === undefined ? {} : { input }),
  });
}

/** Field 22 of /proc/PID/stat: with it a process id names one process for ever (until the next boot). */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function processesIn(namespace: string): number[] {
  try {
    return ip(['netns', 'pids', namespace]).split('\n').filter((line) => line !== '').map(Number);
  } catch {
    return [];
  }
}

function endProcesses(namespaces: readonly string[], signal: NodeJS.Signals): number {
  const pids = namespaces.flatMap(processesIn);
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Ended meanwhile.
    }
  }
  return pids.length;
}

/** Without waiting for anything: for the last moments of a process, and for leftovers. */
function removeAtOnce(namespaces: readonly string[]): void {
  endProcesses(namespaces, 'SIGKILL');
  for (const namespace of namespaces) {
    try {
      ip(['netns', 'delete', namespace]);
    } catch {
      // Removed by another run that swept at the same time.
    }
  }
}

/** Removes the namespaces of runs whose process is gone, with the processes in them. Returns their names. */
export function sweepLeftovers(): string[] {
  if (!existsSync(NAMESPACES)) return [];
  const dead = readdirSync(NAMESPACES).filter((name) => {
    const [, pid, start] = OWN_NAME.exec(name) ?? [];
    return pid !== undefined && startTime(Number(pid)) !== start;
  });
  removeAtOnce(dead);
  return dead;
}

/** Networks that are to be removed when this process ends. */
const alive = new Set<Network>();
let made = 0;

function removeAllAtOnce(): void {
  for (const network of alive) network.removeAtOnce();
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function onSignal(signal: NodeJS.Signals): void {
  removeAllAtOnce();
  for (const name of SIGNALS) process.off(name, onSignal);
  process.kill(process.pid, signal);
}

/** One host's place on one segment. */
interface Port {
  readonly segment: Segment;
  readonly interfaceName: string;
  readonly hardware: string;
  /** The other end of its cable, in the segment's namespace. */
  readonly bridgePort: string;
}

export class Host {
  readonly name: string;
  readonly namespace: string;
  readonly ports: Port[] = [];
  readonly #processes = new Set<LabProcess>();

  constructor(name: string, namespace: string) {
    this.name = name;
    this.namespace = namespace;
  }

  /** The hardware address of its interface on the segment (its only one, if none is named). */
  hardware(segment?: Segment): string {
    return this.port(segment).hardware;
  }

  /** The name of its interface on the segment: `eth0`, `eth1` in the order in which it was plugged in. */
  interfaceName(segment?: Segment): string {
    return this.port(segment).interfaceName;
  }

  port(segment?: Segment): Port {
    const port = this.ports.find((port) => segment === undefined || port.segment === segment);
    if (port === undefined) throw new Error(`${this.name} is not on that segment`);
    return port;
  }

  /** `ip ARGS` on this host; words, or one string to be split at blanks. */
  ip(args: string | readonly string[]): string {
    return ip(['-n', this.namespace, ...(typeof args === 'string' ? args.split(' ') : args)]);
  }

  /** The IPv4 addresses that its interfaces have now, as `address/prefixLength`; loopback is left out. */
  addresses(): string[] {
    const found = JSON.parse(this.ip('-j -4 address show')) as { ifname?: string; addr_info?: { local: string; prefixlen: number }[] }[];
    return found.filter((entry) => entry.ifname !== 'lo')
      .flatMap((entry) => (entry.addr_info ?? []).map((info) => `${info.local}/${info.prefixlen}`));
  }

  /** What to run to have `command` run on this host. */
  commandHere(command: readonly string[]): string[] {
    return [findProgram('ip')?.command ?? 'ip', 'netns', 'exec', this.namespace, ...command];
  }

  /** Runs a command to its end. Rejects with a CommandFailure if it exits with anything but 0. */
  async exec(command: readonly string[], options: { env?: Readonly<Record<string, string>>; timeoutMs?: number } = {}): Promise<{ stdout: string; stderr: string }> {
    const [program = '', ...args] = this.commandHere(command);
    return run(program, args, {
      env: { ...process.env, ...options.env }, timeout: options.timeoutMs ?? 30_000, maxBuffer: OUTPUT_BYTES_MAX,
    });
  }

  /** Starts a command that runs until it is stopped, at the latest when the network is removed. */
  spawn(command: readonly string[], options: ProcessOptions & { name?: string } = {}): LabProcess {
    const started = new LabProcess(options.name ?? `${this.name}: ${command[0]}`, this.commandHere(command), options);
    this.#processes.add(started);
    const forget = (): unknown => this.#processes.delete(started);
    void started.exited.then(forget, forget);
    return started;
  }

  async stopProcesses(): Promise<void> {
    await Promise.allSettled([...this.#processes].map((started) => started.stop()));
  }
}

/** An Ethernet segment: a switch, and the cables to its hosts. */
export class Segment {
  readonly name: string;
  readonly namespace: string;

  constructor(name: string, namespace: string) {
    this.name = name;
    this.namespace = namespace;
  }

  /**
   * Cuts the host off. `silent`: somewhere behind the switch, so that nobody sees it; `unplugged`: the
   * host's interface loses its carrier.
   */
  cut(host: Host, how: 'silent' | 'unplugged' = 'silent'): void {
    const { bridgePort } = host.port(this);
    this.#ip(how === 'silent' ? ['link', 'set', bridgePort, 'nomaster'] : ['link', 'set', bridgePort, 'down']);
  }

  restore(host: Host): void {
    const { bridgePort } = host.port(this);
    this.#ip(['link', 'set', bridgePort, 'master', BRIDGE, 'up']);
  }

  /** Drops what two hosts send to each other, silently; broadcasts and all other traffic pass. Needs nft. */
  async cutBetween(one: Host, other: Host): Promise<void> {
    const rule = (from: Host, to: Host): string =>
      `add rule bridge lab forward ether saddr ${from.hardware(this)} ether daddr ${to.hardware(this)} drop`;
    await this.#nft(['add table bridge lab', 'add chain bridge lab forward { type filter hook forward priority 0; }',
      rule(one, other), rule(other, one)]);
  }

  /** Takes back every `cutBetween` of this segment. */
  async restoreBetween(): Promise<void> {
    await this.#nft(['add table bridge lab', 'delete table bridge lab']);
  }

  #ip(args: readonly string[]): void {
    ip(['-n', this.namespace, ...args]);
  }

  /** `command` as it runs on the switch itself. */
  commandHere(command: readonly string[]): string[] {
    return [findProgram('ip')?.command ?? 'ip', 'netns', 'exec', this.namespace, ...command];
  }

  async #nft(commands: readonly string[]): Promise<void> {
    const nft = findProgram('nft');
    if (nft === undefined) throw new Error('the program nft is missing: deploy/lab/install.sh test');
    await run(findProgram('ip')?.command ?? 'ip', ['netns', 'exec', this.namespace, nft.command, commands.join('; ')], {
      env: { ...process.env, ...nft.env },
    });
  }
}

export class Network {
  readonly prefix: string;
  readonly #hosts = new Map<string, Host>();
  readonly #segments: Segment[] = [];

  /**
   * Throws where `whyNoNetwork` has a reason.
   * @param options.handleSignals whether the signals that end this process remove the network first;
   *   a caller that handles them itself says false, and calls `remove`
   */
  constructor(options: { handleSignals?: boolean } = {}) {
    const why = whyNoNetwork();
    if (why !== undefined) throw new Error(why);
    sweepLeftovers();
    this.prefix = `lsr-${process.pid}-${startTime(process.pid) ?? '0'}-${++made}`;
    if (alive.size === 0) process.once('exit', removeAllAtOnce);
    alive.add(this);
    if (options.handleSignals ?? true) {
      for (const signal of SIGNALS) if (!process.listeners(signal).includes(onSignal)) process.on(signal, onSignal);
    }
  }

  get hosts(): readonly Host[] {
    return [...this.#hosts.values()];
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  /** A new segment with its hosts; one that exists already gets a further interface, as a router or relay has. */
  createSegment(name: string, options: { hosts: readonly HostOptions[] }): Segment {
    const number = this.#segments.length;
    const segment = new Segment(name, `${this.prefix}-segment-${name}`);
    this.#segments.push(segment);
    ip(['netns', 'add', segment.namespace]);
    this.#quiet(segment.namespace);
    ip(['-n', segment.namespace, '-batch', '-'], [
      `link add ${BRIDGE} type bridge forward_delay 0 stp_state 0 mcast_snooping 0`,
      `link set ${BRIDGE} up`,
    ].join('\n'));
    for (const [i, host] of options.hosts.entries()) this.#plugIn(segment, number, i, host);
    return segment;
  }

  /** Adds a host, or a further interface of one, to a segment. */
  addHost(segment: Segment, options: HostOptions): Host {
    const plugged = this.hosts.filter((host) => host.ports.some((port) => port.segment === segment)).length;
    return this.#plugIn(segment, this.#segments.indexOf(segment), plugged, options);
  }

  /** Lets the host pass packets on between its segments. */
  route(host: Host): void {
    this.#sysctl(host.namespace, ['net.ipv4.ip_forward=1']);
  }

  /** Ends every process of the network, SIGTERM first, and removes it. */
  async remove(): Promise<void> {
    if (!alive.has(this)) return;
    await Promise.all(this.hosts.map((host) => host.stopProcesses()));
    const namespaces = this.#namespaces();
    // Daemons that a program left behind.
    if (endProcesses(namespaces, 'SIGTERM') > 0) {
      const gone = (): true | undefined => (namespaces.every((name) => processesIn(name).length === 0) ? true : undefined);
      await waitUntil('the last processes', 1000, gone).catch(() => undefined);
      if (endProcesses(namespaces, 'SIGKILL') > 0) await sleep(50);
    }
    this.removeAtOnce();
    if (alive.size === 0) {
      for (const signal of SIGNALS) process.off(signal, onSignal);
      process.off('exit', removeAllAtOnce);
    }
  }

  /** The same at once, with SIGKILL: for the last moments of this process. */
  removeAtOnce(): void {
    alive.delete(this);
    removeAtOnce(this.#namespaces());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  #namespaces(): string[] {
    return [...this.#hosts.values(), ...this.#segments].map((owner) => owner.namespace).filter((name) => existsSync(`${NAMESPACES}/${name}`));
  }

  #plugIn(segment: Segment, segmentNumber: number, hostNumber: number, options: HostOptions): Host {
    const host = this.#hosts.get(options.name) ?? this.#addNamespace(options.name);
    const hex = (number: number): string => number.toString(16).padStart(2, '0');
    // Locally administered, and the same in every run.
    const hardware = `02:4c:53:${hex(segmentNumber)}:00:${hex(hostNumber + 1)}`;
    const port: Port = { segment, interfaceName: `eth${host.ports.length}`, hardware, bridgePort: `port${hostNumber}` };
    ip(['link', 'add', port.bridgePort, 'netns', segment.namespace, 'type', 'veth',
      'peer', 'name', port.interfaceName, 'netns', host.namespace, 'address', hardware]);
    ip(['-n', segment.namespace, 'link', 'set', port.bridgePort, 'master', BRIDGE, 'up']);
    ip(['-n', host.namespace, '-batch', '-'], [
      `link set ${port.interfaceName} up`,
      ...(options.addresses ?? []).map((address) => `address add ${address} brd + dev ${port.interfaceName}`),
      ...(options.gateway === undefined ? [] : [`route add default via ${options.gateway}`]),
    ].join('\n'));
    host.ports.push(port);
    return host;
  }

  #addNamespace(name: string): Host {
    const host = new Host(name, `${this.prefix}-${name}`);
    this.#hosts.set(name, host);
    ip(['netns', 'add', host.namespace]);
    this.#quiet(host.namespace);
    ip(['-n', host.namespace, 'link', 'set', 'lo', 'up']);
    return host;
  }

  /** IPv6 would only add noise of its own to every start. */
  #quiet(namespace: string): void {
    this.#sysctl(namespace, ['net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1']);
  }

  #sysctl(namespace: string, settings: readonly string[]): void {
    const script = settings.map((setting) => {
      const [key = '', value = ''] = setting.split('=');
      const file = `/proc/sys/${key.replaceAll('.', '/')}`;
      return `[ ! -e ${file} ] || echo ${value} >${file}`;
    }).join('\n');
    ip(['netns', 'exec', namespace, 'sh', '-c', script]);
  }
}
