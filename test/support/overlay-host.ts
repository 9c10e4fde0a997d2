/**
 * A host of a test network with a file system of its own: the machine's, with what the host changes laid over it in memory.
 * So a package is installed, /etc is edited and users are made as on any machine, and nothing of it is seen outside, or is
 * left when the keeper, whose mounts these are, has ended.
 */
import { join } from 'node:path';
import type { Host } from '../../deploy/lab/netns.ts';
import type { LabProcess, ProcessOptions } from '../../deploy/lab/processes.ts';

const project = join(import.meta.dirname, '../..');
const START_MS = 15_000;
/** An installed package brings a Node.js of its own. */
const SIZE = '1g';

export class OverlayHost {
  readonly host: Host;
  readonly #folder: string;
  readonly #environment: readonly string[];
  #keeper: LabProcess | undefined;

  /**
   * @param folder for its mount points; also seen inside, under the same path, and shared with the other hosts
   * @param environment added to that of a login, `NAME=value`
   */
  constructor(host: Host, folder: string, environment: readonly string[] = []) {
    this.host = host;
    this.#folder = folder;
    this.#environment = environment;
  }

  get name(): string {
    return this.host.name;
  }

  /** Once, before anything else. */
  async prepare(): Promise<void> {
    // Overlays refuse a lower layer that holds the upper one; one in memory lies on another file system.
    const script = `set -e
      base=${this.#folder}/${this.name}; mkdir -p $base; mount -t tmpfs -o size=${SIZE} root $base
      mkdir $base/changes $base/work $base/root
      mount -t overlay -o lowerdir=/,upperdir=$base/changes,workdir=$base/work root $base/root
      cd $base/root
      for folder in proc sys dev; do mount --rbind /$folder $folder; done
      for folder in run tmp var/log; do mount -t tmpfs $folder $folder; done
      chmod 1777 tmp; mkdir -p run/lock .${this.#folder}/shared
      mount --bind ${this.#folder}/shared .${this.#folder}/shared
      mkdir -p .${project}; mount --bind ${project} .${project}
      hostname ${this.name}
      exec chroot . sh -c 'echo ready; exec sleep infinity'`;
    this.#keeper = this.host.spawn(['unshare', '--uts', '--', 'sh', '-c', `mkdir -p ${this.#folder}/shared; ${script}`], { name: `keeper of ${this.name}` });
    await this.#keeper.waitForLine(/^ready/, START_MS);
  }

  /** The process whose mounts and root these are. */
  get keeperPid(): number {
    if (this.#keeper === undefined) throw new Error(`${this.name} is not prepared`);
    return this.#keeper.pid;
  }

  /** The folder that all hosts share, inside as outside. */
  get shared(): string {
    return join(this.#folder, 'shared');
  }

  /** `command` as it runs with this host's files, as root with the environment of a login. */
  commandHere(command: readonly string[]): string[] {
    return ['nsenter', `--target=${this.keeperPid}`, '--mount', '--uts', '--root', '--wdns=/', '--',
      'env', '-i', 'HOME=/root', 'LANG=C.UTF-8', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...this.#environment, ...command];
  }

  spawn(command: readonly string[], options: ProcessOptions & { name?: string } = {}): LabProcess {
    return this.host.spawn(this.commandHere(command), options);
  }

  /** Runs a command to its end; rejects if it exits with anything but 0. */
  async exec(command: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    return this.host.exec(this.commandHere(command));
  }

  /** As if the machine burnt down: every process ends at once, and nothing that was written is left. It may be prepared anew. */
  async destroy(): Promise<void> {
    await this.host.exec(['sh', '-c', `kill -9 $(ip netns pids ${this.host.namespace} | grep -vx $$) 2>/dev/null || true`]);
    await this.#keeper?.exited;
  }

  /** Puts a program of the project into its PATH, before those of the machine. */
  async addProgram(file: string): Promise<void> {
    await this.exec(['install', '--', file, '/usr/local/bin/']);
  }
}
