/**
 * A real name server for tests, BIND or Knot, with zones that take updates (RFC 2136): on loopback, or on a host of a
 * test network. Its data lies in a temporary folder.
 *
 *     const server = await NameServer.start({
 *       kind: 'bind', zones: [{ name: 'example.test.', updates: TEST_KEY }, { name: '0.10.in-addr.arpa.', updates: TEST_KEY }],
 *     });
 *     // server.address and server.port go into cluster.yaml, writeKeyFile(TEST_KEY, path) into dnsKeys.
 *     await server.dump('example.test.');   // ['a.example.test. 600 A 10.0.0.1', ...] without SOA and NS, sorted
 *     await server.kill(); await server.restart();   // with the zones as they were: both keep a journal
 *     await server.remove();
 *
 * On a host of a test network (`host`) give its address; the port is 53 there.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Host } from '../../deploy/lab/netns.ts';
import { LabProcess, waitUntil } from '../../deploy/lab/processes.ts';
import { missingPrograms, requireProgram } from '../../deploy/lab/programs.ts';
import type { DnsServer } from '../../node/ddns/types.ts';
import { freePorts } from './etcd-process.ts';

const run = promisify(execFile);
const START_MS = 20_000;
const DUMP_MS = 10_000;

export type NameServerKind = 'bind' | 'knot';

export interface TestKey {
  readonly name: string;
  /** As tsig-keygen writes it: hmac-sha256. */
  readonly algorithm: string;
  /** In base64. */
  readonly secret: string;
}

/** 32 bytes that are no secret. */
export const TEST_KEY: TestKey = { name: 'lessor-test', algorithm: 'hmac-sha256', secret: Buffer.alloc(32, 'lessor').toString('base64') };

/** What `tsig-keygen` prints. */
export function keyFileText({ algorithm, name, secret }: TestKey): string {
  return `key "${name}" {\n\talgorithm ${algorithm};\n\tsecret "${secret}";\n};\n`;
}

/** A file for `dnsKeys` of node.yaml, readable by its owner only. */
export function writeKeyFile(key: TestKey, path: string): void {
  writeFileSync(path, keyFileText(key), { mode: 0o600 });
}

export interface TestZone {
  /** With the dot at its end. */
  readonly name: string;
  /** Who may change it: the holder of this key, anybody without a key, or nobody. */
  readonly updates: TestKey | 'anybody' | 'nobody';
  /** Records that are there from the start, as in a zone file: 'printer 3600 A 10.0.0.9'. */
  readonly records?: readonly string[];
  /** It is fetched from this server instead: a secondary. With `forwards` it passes updates on (BIND). */
  readonly primary?: DnsServer;
  readonly forwards?: boolean;
  /** BIND's `update-policy` instead: 'grant lessor-test zonesub A DHCID;'. */
  readonly policy?: string;
}

export interface NameServerOptions {
  readonly kind: NameServerKind;
  readonly zones: readonly TestZone[];
  /** Only who has this key may transfer the zones; `dump` uses it. */
  readonly transferKey?: TestKey;
  /** Where it runs; loopback of this machine if none is given. */
  readonly host?: Host;
  readonly address?: string;
  readonly port?: number;
}

/** For `test`: the reason to leave it out, if there is one. */
export function needsNameServers(...kinds: NameServerKind[]): { skip?: string } {
  const missing = missingPrograms([...kinds.map((kind) => (kind === 'bind' ? 'named' as const : 'knotd' as const)), 'dig']);
  return missing.length === 0 ? {} : { skip: `not there: ${missing.join(', ')} (deploy/lab/install.sh test)` };
}

export class NameServer {
  readonly kind: NameServerKind;
  readonly address: string;
  readonly port: number;
  readonly folder: string;
  readonly #options: NameServerOptions;
  readonly #output: string[] = [];
  #process: LabProcess | undefined;

  /** Resolves when it answers for all of its zones. */
  static async start(options: NameServerOptions): Promise<NameServer> {
    const [freePort = 53] = options.host === undefined && options.port === undefined ? await freePorts(1) : [options.port];
    const server = new NameServer(options, freePort);
    try {
      await server.restart();
    } catch (error) {
      await server.remove();
      throw error;
    }
    return server;
  }

  private constructor(options: NameServerOptions, port: number) {
    this.kind = options.kind;
    this.address = options.address ?? '127.0.0.1';
    this.port = port;
    this.#options = options;
    this.folder = mkdtempSync(join(tmpdir(), `lessor-${options.kind}-`));
    process.once('exit', this.#removeFolder);
    for (const zone of options.zones) if (zone.primary === undefined) writeFileSync(this.#zoneFile(zone.name), zoneText(zone));
    mkdirSync(join(this.folder, 'db'));
    writeFileSync(join(this.folder, 'server.conf'), options.kind === 'bind' ? this.#bindText() : this.#knotText());
  }

  /** As a zone of the configuration names it. */
  get server(): DnsServer {
    return { host: this.address, port: this.port };
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process?.running === true ? this.#process.pid : undefined;
  }

  /** What it has logged since the start. */
  get log(): string {
    return this.#output.join('\n');
  }

  /** Starts it anew after `kill` or `stop`, with the zones as it has them on its disk. */
  async restart(): Promise<void> {
    const config = join(this.folder, 'server.conf');
    const { command, env } = requireProgram(this.kind === 'bind' ? 'named' : 'knotd');
    const words = this.kind === 'bind' ? [command, '-g', '-n', '1', '-c', config] : [command, '-c', config];
    const onLine = (line: string): void => void this.#output.push(line);
    const settings = { name: this.kind, cwd: this.folder, env, onLine };
    this.#process = this.#options.host === undefined ? new LabProcess(this.kind, words, settings) : this.#options.host.spawn(words, settings);
    const started = this.#process;
    await waitUntil(`${this.kind} answers for its zones`, START_MS, async () => {
      if (!started.running) throw new Error(`${this.kind} ended; its output:\n${started.output}`);
      const soas = await Promise.all(this.#options.zones.map(({ name }) => this.#dig([name, 'SOA', '+short', '+norecurse', '+time=1', '+tries=1']).catch(() => '')));
      return soas.every((soa) => /^\S+ \S+ \d+ /.test(soa)) ? true : undefined;
    });
  }

  /** In good order. */
  async stop(): Promise<void> {
    await this.#process?.stop();
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** It goes on taking packets into its sockets and answers none of them. */
  pause(): void {
    this.#process?.signal('SIGSTOP');
  }

  resume(): void {
    this.#process?.signal('SIGCONT');
  }

  /** The records of a zone, 'name ttl type data', sorted, without SOA and NS. */
  async dump(zone: string): Promise<string[]> {
    const key = this.#options.transferKey;
    const signed = key === undefined ? [] : ['-y', `${key.algorithm}:${key.name}:${key.secret}`];
    const text = await this.#dig([...signed, zone, 'AXFR', '+noall', '+answer', '+onesoa', '+nosplit', '+time=5', '+tries=1']);
    if (!text.includes('SOA')) throw new Error(`no transfer of ${zone}: ${text}`);
    const records = text.split('\n').map((line) => line.split(/\s+/)).filter(([, , kind, type]) => kind === 'IN' && type !== 'SOA' && type !== 'NS');
    return records.map(([name, ttl, , type, ...data]) => `${name} ${ttl} ${type} ${data.join(' ')}`.trim()).toSorted();
  }

  /** Ends it and removes its data. */
  async remove(): Promise<void> {
    await this.kill();
    this.#removeFolder();
    process.off('exit', this.#removeFolder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  readonly #removeFolder = (): void => rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });

  /** The output of dig, which runs where the server runs. */
  async #dig(words: readonly string[]): Promise<string> {
    const { command, env } = requireProgram('dig');
    const all = [command, '-r', `@${this.address}`, '-p', String(this.port), ...words];
    const { host } = this.#options;
    const { stdout } = host === undefined
      ? await run(all[0]!, all.slice(1), { env: { ...process.env, ...env }, timeout: DUMP_MS })
      : await host.exec(all, { env, timeoutMs: DUMP_MS });
    return stdout;
  }

  #keys(): TestKey[] {
    const { transferKey, zones } = this.#options;
    return [...new Set([transferKey, ...zones.map(({ updates }) => updates)])].filter((key) => typeof key === 'object');
  }

  #zoneFile(zone: string): string {
    return join(this.folder, `${zone.replaceAll('/', '_')}zone`);
  }

  #bindText(): string {
    const { transferKey, zones } = this.#options;
    const v6 = this.address.includes(':');
    const listen = (mine: boolean, word: string): string => `\t${word} port ${this.port} { ${mine ? this.address : 'none'}; };`;
    return [
      'options {',
      `\tdirectory "${this.folder}";`, '\tpid-file none;', '\tlock-file none;', `\tsession-keyfile "${this.folder}/session.key";`,
      listen(!v6, 'listen-on'), listen(v6, 'listen-on-v6'),
      '\trecursion no;', '\tnotify no;', '\tdnssec-validation no;', '\tempty-zones-enable no;', '\tallow-query { any; };', '\ttcp-clients 100;',
      `\tallow-transfer { ${transferKey === undefined ? 'any' : `key "${transferKey.name}"`}; };`,
      '};', 'controls { };', 'logging { category update { default_stderr; }; category update-security { default_stderr; }; };',
      ...this.#keys().map(keyFileText),
      ...zones.map(({ forwards, name, policy, primary, updates }) => {
        const file = `file "${this.#zoneFile(name)}";`;
        if (primary !== undefined) return `zone "${name}" { type secondary; primaries { ${primary.host} port ${primary.port}; }; ${file}${forwards === true ? ' allow-update-forwarding { any; };' : ''} };`;
        const who = updates === 'anybody' ? 'any' : updates === 'nobody' ? 'none' : `key "${updates.name}"`;
        return `zone "${name}" { type primary; ${file} ${policy === undefined ? `allow-update { ${who}; }` : `update-policy { ${policy} }`}; };`;
      }),
    ].join('\n');
  }

  #knotText(): string {
    const { transferKey, zones } = this.#options;
    const keys = this.#keys();
    const updaters = new Set(zones.map(({ updates }) => updates));
    const idOf = (who: TestZone['updates']): string => `update-${typeof who === 'string' ? who : who.name}`;
    return [
      'server:', `    listen: ${this.address}@${this.port}`, `    rundir: ${this.folder}`, '    udp-workers: 1', '    tcp-workers: 1', '    background-workers: 1',
      'log:', '  - target: stderr', '    any: info',
      'database:', `    storage: ${this.folder}/db`, '    journal-db-max-size: 64M', '    kasp-db-max-size: 16M', '    timer-db-max-size: 16M',
      ...(keys.length === 0 ? [] : ['key:', ...keys.flatMap(({ algorithm, name, secret }) => [`  - id: ${name}`, `    algorithm: ${algorithm}`, `    secret: ${secret}`])]),
      'acl:', '  - id: transfer', '    action: transfer', ...(transferKey === undefined ? [] : [`    key: ${transferKey.name}`]),
      ...[...updaters].flatMap((who) => [`  - id: ${idOf(who)}`, '    action: update', ...(who === 'nobody' ? ['    deny: on'] : who === 'anybody' ? [] : [`    key: ${who.name}`])]),
      'zone:',
      ...zones.flatMap(({ name, updates }) => [`  - domain: ${name}`, `    file: ${this.#zoneFile(name)}`, `    acl: [transfer, ${idOf(updates)}]`]),
    ].join('\n') + '\n';
  }
}

function zoneText({ name, records = [] }: TestZone): string {
  return [`$ORIGIN ${name}`, '$TTL 3600', '@ SOA ns.name-server.test. admin.name-server.test. 1 3600 600 86400 60', '@ NS ns.name-server.test.', ...records, ''].join('\n');
}
