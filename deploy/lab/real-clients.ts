/**
 * Real DHCP clients on a host of a lab network: udhcpc, dhclient and dhcpcd, each with its own
 * configuration and files. What they got is read from the history that their scripts write, which knows
 * only what a client knows.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host, Segment } from './netns.ts';
import { waitUntil, type LabProcess } from './processes.ts';
import { requireProgram } from './programs.ts';

export type ClientKind = 'udhcpc' | 'dhclient' | 'dhcpcd';

/** A line of the history; scripts/history.sh says what each event means. */
export interface HistoryEntry {
  /** Wall time of the host, in nanoseconds since 1970. */
  readonly timeNs: bigint;
  /** The name given to the client. */
  readonly client: string;
  readonly event: 'bound' | 'renewed' | 'ended' | 'refused' | 'failed';
  /** The client's own word for it. */
  readonly reason: string;
  readonly interface: string;
  /** Empty where the event has none. */
  readonly address: string;
  readonly leaseSeconds: number;
  readonly serverId: string;
}

export interface RealClientOptions {
  readonly kind: ClientKind;
  readonly host: Host;
  /** Where to get a lease; the host's first interface if it is not given. */
  readonly segment?: Segment;
  /** For its files; made if it is not there. */
  readonly folder: string;
  /** Of its own in the history; by default the host's name. */
  readonly name?: string;
  /** A history that several clients share; by default one in `folder`. */
  readonly historyFile?: string;
  readonly hostname?: string;
  /** Option 61 as text; by default what the program sends by itself. */
  readonly clientId?: string;
  /** Option 60 as text; by default what the program sends by itself. */
  readonly vendorClass?: string;
  /** More options to send, by code, in hexadecimal (udhcpc). */
  readonly sends?: Readonly<Record<number, string>>;
  /** More options to ask for, by the names that the program has for them (dhclient). */
  readonly requests?: readonly string[];
  /** Takes a lease without an offer where the server gives it (RFC 4039; dhcpcd). */
  readonly rapidCommit?: boolean;
  /** Asks the server to broadcast (udhcpc and dhcpcd). */
  readonly broadcast?: boolean;
  /** Ask for this address first (udhcpc and dhcpcd). */
  readonly requestAddress?: string;
  /** dhclient only, which has no signal for it: renew by itself so long after each lease. */
  readonly renewAfterSeconds?: number;
  /** dhclient only: refuse what is offered, which sends a DHCPDECLINE. */
  readonly refuse?: boolean;
}

const scripts = join(import.meta.dirname, 'scripts');

/** Reads a history; a file that is not there yet is empty, a line that is being written is left out. */
export function readHistory(file: string): HistoryEntry[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').split('\n').slice(0, -1).map((line) => {
    const entry = JSON.parse(line) as Omit<HistoryEntry, 'timeNs'> & { timeNs: string };
    return { ...entry, timeNs: BigInt(entry.timeNs) };
  });
}

export class RealClient {
  readonly name: string;
  readonly kind: ClientKind;
  readonly historyFile: string;
  readonly #options: RealClientOptions;
  readonly #interface: string;
  #process: LabProcess;

  /** Starts the program. Throws ProgramMissing. */
  constructor(options: RealClientOptions) {
    this.#options = options;
    this.kind = options.kind;
    this.name = options.name ?? options.host.name;
    this.historyFile = options.historyFile ?? this.#file('history.jsonl');
    this.#interface = options.host.interfaceName(options.segment);
    mkdirSync(options.folder, { recursive: true });
    this.#process = this.#start();
  }

  /** What the program wrote last. */
  get output(): string {
    return this.#process.output;
  }

  get running(): boolean {
    return this.#process.running;
  }

  /** This client's part of the history, oldest first. */
  history(): HistoryEntry[] {
    return readHistory(this.historyFile).filter((entry) => entry.client === this.name);
  }

  /** The lease that it has as far as it knows: the last entry, if that says that it has one. */
  lease(): HistoryEntry | undefined {
    const last = this.history().findLast((entry) => entry.event !== 'failed' && entry.event !== 'refused');
    return last === undefined || last.event === 'ended' ? undefined : last;
  }

  /** Resolves with the lease, which it may have already, once the interface has the address too. */
  waitForLease(timeoutMs: number): Promise<HistoryEntry> {
    return this.#wait('a lease', timeoutMs, () => {
      const lease = this.lease();
      return lease !== undefined && this.#hasAddress(lease.address) ? lease : undefined;
    });
  }

  /**
   * Renews now and resolves with the renewed lease. dhclient cannot be told to: its next renewal is waited
   * for, see `renewAfterSeconds`.
   */
  renew(timeoutMs: number): Promise<HistoryEntry> {
    const before = this.#count('renewed') + this.#count('bound');
    if (this.kind !== 'dhclient') this.#process.signal('SIGUSR1');
    return this.waitForRenewal(timeoutMs, before);
  }

  /** Resolves with the next lease or renewal after the first `seen` ones (by default: after those until now). */
  waitForRenewal(timeoutMs: number, seen: number = this.#count('renewed') + this.#count('bound')): Promise<HistoryEntry> {
    return this.#wait('a renewal', timeoutMs, () =>
      this.history().filter((entry) => entry.event === 'renewed' || entry.event === 'bound')[seen]);
  }

  /** Gives the lease back with a DHCPRELEASE and resolves when the address is gone; the program ends. */
  async release(timeoutMs: number): Promise<void> {
    const before = this.#count('ended');
    if (this.kind === 'udhcpc') this.#process.signal('SIGUSR2');
    else if (this.kind === 'dhcpcd') this.#process.signal('SIGALRM');
    else {
      // The one that runs is found by the file that it writes last: after its script, which tells of the lease.
      await this.#wait('its process id', timeoutMs, () => (existsSync(this.#file('pid')) && readFileSync(this.#file('pid'), 'utf8') !== '' ? true : undefined));
      const { env } = requireProgram('dhclient');
      await this.#options.host.exec(this.#dhclientCommand(['-r']), { env, timeoutMs });
    }
    await this.#wait('the end of the lease', timeoutMs, () => (this.#count('ended') > before ? true : undefined));
    await this.stop();
  }

  /** Ends the program without a word to the server. */
  async stop(): Promise<void> {
    // dhcpcd and dhclient say goodbye to nobody on SIGTERM either; udhcpc only with its option -R.
    await this.#process.stop();
  }

  /** Starts it again with the files that it left: dhclient asks for its old address then (INIT-REBOOT). */
  async restart(): Promise<void> {
    await this.stop();
    this.#process = this.#start();
  }

  #file(suffix: string): string {
    return join(this.#options.folder, `${this.name}.${suffix}`);
  }

  #count(event: HistoryEntry['event']): number {
    return this.history().filter((entry) => entry.event === event).length;
  }

  #hasAddress(address: string): boolean {
    return this.#options.host.addresses().some((have) => have.startsWith(`${address}/`));
  }

  async #wait<T>(what: string, timeoutMs: number, probe: () => T | undefined): Promise<T> {
    try {
      return await waitUntil(`${this.kind} ${this.name}: ${what}`, timeoutMs, probe);
    } catch (error) {
      throw new Error(`${(error as Error).message}; its output:\n${this.output}`, { cause: error });
    }
  }

  #start(): LabProcess {
    const { env } = requireProgram(this.kind);
    const command = { udhcpc: () => this.#udhcpcCommand(), dhclient: () => this.#dhclientCommand([]), dhcpcd: () => this.#dhcpcdCommand() };
    return this.#options.host.spawn(command[this.kind](), {
      name: `${this.kind} ${this.name}`, logFile: this.#file('log'),
      env: { ...env, LEASE_HISTORY: this.historyFile, LEASE_CLIENT: this.name },
    });
  }

  #udhcpcCommand(): string[] {
    const { clientId, hostname, broadcast, requestAddress, sends, vendorClass } = this.#options;
    return [
      requireProgram('udhcpc').command, '-f', '-i', this.#interface, '-s', join(scripts, 'udhcpc.sh'), '-t', '5', '-T', '1', '-A', '1',
      // Option 61 in hexadecimal, with the type 0 of RFC 2132 §9.14 for what is no hardware address.
      ...(clientId === undefined ? [] : ['-C', '-x', `0x3d:00${Buffer.from(clientId).toString('hex')}`]),
      ...(hostname === undefined ? [] : ['-x', `hostname:${hostname}`]),
      ...(vendorClass === undefined ? [] : ['-V', vendorClass]),
      ...Object.entries(sends ?? {}).flatMap(([code, hex]) => ['-x', `0x${Number(code).toString(16)}:${hex}`]),
      ...(broadcast === true ? ['-B'] : []),
      ...(requestAddress === undefined ? [] : ['-r', requestAddress]),
    ];
  }

  #dhclientCommand(more: readonly string[]): string[] {
    const { clientId, hostname, renewAfterSeconds, refuse, requests, vendorClass } = this.#options;
    const configuration = this.#file('conf');
    writeFileSync(configuration, [
      // Options that dhclient itself has no names for.
      'option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;', 'option captive-portal code 114 = text;',
      'timeout 30;', 'retry 1;', 'initial-interval 1;', 'backoff-cutoff 2;', 'initial-delay 0;', 'reboot 2;',
      `request ${['subnet-mask', 'broadcast-address', 'routers', 'domain-name', 'domain-name-servers', 'host-name', ...requests ?? []].join(', ')};`,
      ...(vendorClass === undefined ? [] : [`send vendor-class-identifier "${vendorClass}";`]),
      ...(hostname === undefined ? [] : [`send host-name "${hostname}";`]),
      ...(clientId === undefined ? [] : [`send dhcp-client-identifier "${clientId}";`]),
      ...(renewAfterSeconds === undefined ? [] : [`supersede dhcp-renewal-time ${renewAfterSeconds};`]),
      '',
    ].join('\n'));
    return [
      requireProgram('dhclient').command, '-4', ...(more.length > 0 ? more : ['-d']), '-v', '-sf', join(scripts, 'dhclient.sh'),
      '-cf', configuration, '-lf', this.#file('leases'), '-pf', this.#file('pid'),
      '-e', `LEASE_HISTORY=${this.historyFile}`, '-e', `LEASE_CLIENT=${this.name}`,
      ...(refuse === true ? ['-e', 'LEASE_REFUSE=1'] : []),
      this.#interface,
    ];
  }

  /**
   * dhcpcd has its folders compiled in. They are covered in the mount namespace that `ip netns exec` makes,
   * and so is its user: with it dhcpcd would separate its privileges and lock itself into a folder.
   */
  #dhcpcdCommand(): string[] {
    const { clientId, hostname, broadcast, rapidCommit, requestAddress, vendorClass } = this.#options;
    const configuration = this.#file('conf');
    const users = this.#file('passwd');
    writeFileSync(users, 'root:x:0:0:root:/root:/bin/sh\n');
    writeFileSync(configuration, [
      'ipv4only', 'noarp', 'noipv4ll', 'option subnet_mask, routers, domain_name_servers, domain_name', 'require dhcp_server_identifier',
      clientId === undefined ? 'clientid' : `clientid ${clientId}`,
      ...(hostname === undefined ? ['nohook hostname'] : [`hostname ${hostname}`]),
      ...(vendorClass === undefined ? [] : [`vendorclassid ${vendorClass}`]),
      ...(rapidCommit === true ? ['option rapid_commit'] : []),
      ...(broadcast === true ? ['broadcast'] : []),
      ...(requestAddress === undefined ? [] : [`request ${requestAddress}`]),
      '',
    ].join('\n'));
    const cover = [
      'set -e', 'users=$1 folder=$2', 'shift 2',
      'mount -t tmpfs tmpfs /run',
      'mount --bind "$users" /etc/passwd',
      'if [ -d /var/lib/dhcpcd ]; then mount -t tmpfs tmpfs /var/lib/dhcpcd; else',
      // It would make the folder. Its own files, in case they lie below, stay writable.
      '  mount --bind /var/lib /var/lib', '  mount --bind "$folder" "$folder"', '  mount -o remount,bind,ro /var/lib',
      'fi',
      'exec "$@"',
    ].join('\n');
    return [
      'sh', '-c', cover, 'sh', users, this.#options.folder,
      requireProgram('dhcpcd').command, '-B', '-4', '-d', '-f', configuration, '-c', join(scripts, 'dhcpcd.sh'),
      '--env', `LEASE_HISTORY=${this.historyFile}`, '--env', `LEASE_CLIENT=${this.name}`, this.#interface,
    ];
  }
}
