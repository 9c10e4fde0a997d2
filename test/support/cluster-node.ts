/**
 * One node of a real cluster, through its deaths and returns: a process on a host of its own, whose disk
 * may be small, whose clock may step, and that may stand still.
 *
 * Disks and clocks need mounts and a library in front of libc. The mounts are a namespace's of their own,
 * which lives as long as the host's keeper, a process that outlives the node's; so no mount is left behind.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { CONTROL_SOCKET } from '../../node/admin/operator.ts';
import type { NodeStatus } from '../../node/admin/status.ts';
import type { Host } from '../../deploy/lab/netns.ts';
import { sleep, type LabProcess } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';

const project = join(import.meta.dirname, '../..');
const HTTP_PORT = 9067;
const HTTP_TIMEOUT_MS = 3000;
const START_MS = 15_000;
/** Longer than a node takes to drain. */
const STOP_MS = 12_000;
/** What takes the room on a full disk. */
const FILLER = 'filler';
const LINES_MAX = 4000;

export interface ClusterNodeOptions {
  readonly name: string;
  readonly host: Host;
  /** Of the world; the node's files are beside those of the others. */
  readonly folder: string;
  /** node.yaml. */
  readonly config: string;
  /** The data lies on a disk of this size, in memory; else beside the other files. */
  readonly diskMegabytes?: number;
  /** Whether `setClock` can be used. */
  readonly ownClock?: boolean;
  /** Added to its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

export class ClusterNode {
  readonly name: string;
  readonly host: Host;
  readonly dataFolder: string;
  readonly #options: ClusterNodeOptions;
  #config: string;
  readonly #lines: string[] = [];
  #keeper: LabProcess | undefined;
  #process: LabProcess | undefined;
  #reader: LabProcess | undefined;
  #starts = 0;
  #paused = false;

  constructor(options: ClusterNodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.host = options.host;
    this.dataFolder = join(options.folder, `data-${options.name}`);
    this.#config = options.config;
    writeFileSync(this.configFile, this.#config);
    if (options.ownClock === true) this.setClock(0);
  }

  /** Another node.yaml, for its next start. */
  configure(change: (config: string) => string): void {
    this.#config = change(this.#config);
    writeFileSync(this.configFile, this.#config);
  }

  get configFile(): string {
    return join(this.#options.folder, `node-${this.name}.yaml`);
  }

  get #clockFile(): string {
    return join(this.#options.folder, `clock-${this.name}`);
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  get paused(): boolean {
    return this.#paused;
  }

  get pid(): number {
    return this.#process?.pid ?? -1;
  }

  /** The last lines of its log, over all its starts. */
  get lastLines(): string {
    return this.#lines.join('\n');
  }

  /** Makes its mounts, and the window through which its HTTP port is seen from outside. Once, before `start`. */
  async prepare(): Promise<void> {
    const mounts = this.#options.diskMegabytes === undefined ? 'true'
      : `mkdir -p ${this.dataFolder} && mount -t tmpfs -o size=${this.#options.diskMegabytes}m data ${this.dataFolder}`;
    // The library for the clock keeps a file for each process in shared memory, which a killed one leaves there.
    const script = `mount -t tmpfs shm /dev/shm && ${mounts} && exec "$@"`;
    this.#keeper = this.host.spawn(['sh', '-c', script, 'keeper',
      process.execPath, join(project, 'deploy/lab/http-window.ts'), `${this.#socketPath}=127.0.0.1:${HTTP_PORT}`,
    ], { name: `keeper of ${this.name}`, cwd: this.#options.folder });
    await this.#keeper.waitForLine(/^ready/, START_MS);
  }

  start(): void {
    if (this.running) return;
    this.#starts++;
    this.#process = this.host.spawn([
      ...this.#whereMounted(), ...this.#clockWords(), process.execPath, join(project, 'node/cli/lessor.ts'), 'node', '--config', this.configFile,
    ], {
      name: `node ${this.name}`, cwd: this.#options.folder,
      env: { NODE_COMPILE_CACHE: join(this.#options.folder, 'compiled'), ...this.#options.env },
      logFile: join(this.#options.folder, `node-${this.name}-${String(this.#starts).padStart(3, '0')}.log`),
      onLine: (line) => {
        this.#lines.push(line);
        if (this.#lines.length > LINES_MAX) this.#lines.shift();
      },
    });
  }

  /** As a crash would: no flush, no word to anybody. */
  async kill(): Promise<void> {
    this.#paused = false;
    await this.#process?.kill();
  }

  /** SIGTERM: it drains. Resolves with its exit code, or the signal that ended it. */
  async stop(): Promise<number | NodeJS.Signals> {
    return this.#process?.stop(STOP_MS) ?? 0;
  }

  /** Resolves when all its threads stand still. */
  async pause(): Promise<void> {
    this.#paused = true;
    this.#process?.signal('SIGSTOP');
    while (this.running && !threadsOf(this.pid).every((state) => state === 'T')) await sleep(1);
  }

  resume(): void {
    this.#paused = false;
    this.#process?.signal('SIGCONT');
  }

  /** Its wall clock is off by so much from now on (within a second), whether it runs or not. */
  setClock(offsetSeconds: number): void {
    writeFileSync(this.#clockFile, `${offsetSeconds < 0 ? '' : '+'}${offsetSeconds}\n`);
  }

  /** Nothing more can be written to its disk, which must be a small one. Rejects if it does not get full. */
  async fillDisk(): Promise<void> {
    const filler = join(this.dataFolder, FILLER);
    // To the last byte: dd ends with an error when there is no more room.
    await this.#onDisk(`dd if=/dev/zero of=${filler} bs=64k 2>/dev/null; dd if=/dev/zero of=${filler}-2 bs=512 2>/dev/null; ` +
      `! dd if=/dev/zero of=${filler}-3 bs=4096 count=1 2>/dev/null`);
  }

  async emptyDisk(): Promise<void> {
    await this.#reader?.kill();
    this.#reader = undefined;
    await this.#onDisk(`rm -f ${join(this.dataFolder, FILLER)} ${join(this.dataFolder, FILLER)}-*`);
  }

  /**
   * Another program reads the store, as a backup would, until the disk is emptied: what is changed cannot take
   * the place of what it reads, so the file must grow. Without it a full disk may go unnoticed for long.
   */
  async holdSnapshot(): Promise<void> {
    const script = `
      const { open } = await import(${JSON.stringify(import.meta.resolve('lmdb'))});
      const store = open({ path: ${JSON.stringify(join(this.dataFolder, 'leases.mdb'))}, readOnly: true, maxDbs: 4 });
      store.useReadTransaction();
      setInterval(() => undefined, 1000);
      console.log('ready');`;
    this.#reader = this.host.spawn([...this.#whereMounted(), process.execPath, '--input-type=module', '--eval', script], { name: `reader of ${this.name}` });
    await this.#reader.waitForLine(/^ready/, START_MS);
  }

  /** A new disk in place of its own; it must not be running. */
  async wipe(): Promise<void> {
    if (this.running) throw new Error(`node ${this.name} runs`);
    if (this.#options.diskMegabytes === undefined) rmSync(this.dataFolder, { recursive: true, force: true });
    else await this.#onDisk(`find ${this.dataFolder} -mindepth 1 -delete`);
  }

  /** Undefined while it does not answer. */
  async status(): Promise<NodeStatus | undefined> {
    const text = await this.fetch('/v1/status').catch(() => undefined);
    return text === undefined ? undefined : JSON.parse(text) as NodeStatus;
  }

  async ready(): Promise<boolean> {
    return this.fetch('/readyz').then(() => true, () => false);
  }

  /** The body of a GET; rejects where the node does not answer with 200. */
  fetch(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      // Who is on no other host sees more; a disk of its own is mounted where nobody else sees it.
      const socketPath = path.startsWith('/v1/') && this.#options.diskMegabytes === undefined ? join(this.dataFolder, CONTROL_SOCKET) : this.#socketPath;
      const request = get({ socketPath, path, agent: false, timeout: HTTP_TIMEOUT_MS }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString());
          else reject(new Error(`node ${this.name} answered ${path} with ${String(response.statusCode)}`));
        });
      });
      request.on('timeout', () => request.destroy(new Error(`node ${this.name} did not answer ${path} in time`)));
      request.on('error', reject);
    });
  }

  get #socketPath(): string {
    return join(this.#options.folder, `${this.name}.sock`);
  }

  /** Runs a shell script where the node's disk is mounted. */
  async #onDisk(script: string): Promise<void> {
    await this.host.exec([...this.#whereMounted(), 'sh', '-c', script]);
  }

  #whereMounted(): string[] {
    if (this.#keeper === undefined) throw new Error(`node ${this.name} is not prepared`);
    return ['nsenter', `--mount=/proc/${this.#keeper.pid}/ns/mnt`, `--wd=${this.#options.folder}`, '--'];
  }

  #clockWords(): string[] {
    if (this.#options.ownClock !== true) return [];
    const { root } = requireProgram('faketime');
    const library = libraryFolders(root).map((folder) => join(folder, 'faketime/libfaketimeMT.so.1')).find((path) => existsSync(path));
    if (library === undefined) throw new Error('libfaketimeMT.so.1 is not where Debian puts it');
    // Only the wall clock is off; and it is asked for often, so the file is looked at once a second.
    return ['env', `LD_PRELOAD=${library}`, `FAKETIME_TIMESTAMP_FILE=${this.#clockFile}`, 'FAKETIME_CACHE_DURATION=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1'];
  }
}

function libraryFolders(root: string): string[] {
  const folder = join(root, 'usr/lib');
  return readdirSync(folder).filter((name) => name.includes('-linux-gnu')).map((name) => join(folder, name));
}

/** The state letter of each thread, from proc(5). */
function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((id) => {
      const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')') + 2)[0]!;
    });
  } catch {
    return [];
  }
}
