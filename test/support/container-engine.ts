/**
 * A container engine for the tests: the one that runs on this machine, or one of the test's own, started by root from
 * Debian's unpacked programs and gone at the end with all that it ran, also if this process is killed.
 *
 * The own one lives in process and mount namespaces: whoever ends its first process ends every container. It leaves
 * the machine's firewall and forwarding alone, so its containers reach each other and nothing else; builds use the
 * machine's network. What it has built is kept in .cache, since npm packages are slow to come by.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { ContainerRuntimeClient } from 'testcontainers';
import { LabProcess, waitUntil } from '../../deploy/lab/processes.ts';
import { missingPrograms, requireProgram, type ProgramName } from '../../deploy/lab/programs.ts';
import { sweepLeftovers } from './container-leftovers.ts';

const project = join(import.meta.dirname, '../..');
const PROGRAMS: readonly ProgramName[] = ['dockerd', 'containerd', 'runc', 'unshare', 'setpriv', 'flock'];
const START_MS = 30_000;
const STOP_MS = 10_000;
/** Of `flock`, where another run has the kept images. */
const TAKEN = 75;
/** What is kept is begun anew from this size on; every run with changed sources adds to it. */
const KEPT_KILOBYTES_MAX = 3 * 2 ** 20;
/** Of the bridge, which may have 15 characters, and of the control groups. */
const NAME = `lsrc${process.pid}`;

/** Where the tests' networks are: its first two octets. */
export const NETWORK = '10.231';
const NETWORK_HEX = Buffer.from(NETWORK.split('.').map(Number)).toString('hex').replace(/^../, '$&:');

export interface Engine {
  readonly client: ContainerRuntimeClient;
  /** In a few words, for the output. */
  readonly kind: string;
  /** Whether stand-ins may stay in it: nobody else would take them for the real images. */
  readonly own: boolean;
  /** For files that containers mount; removed with the engine. */
  readonly folder: string;
  /** For a network of containers: options of its bridge, so that nothing of it is left. */
  readonly networkOptions: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** The engine, or in words for a person why there is none. */
export async function openEngine(): Promise<Engine | string> {
  // What Ryuk does, the engine's end and the removal by label do.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  if (process.env['DOCKER_HOST'] !== undefined || await anyListens()) {
    const client = await connect();
    if (client === undefined) return 'the container engine of this machine does not answer';
    await sweepLeftovers(client.container.dockerode);
    const folder = mkdtempSync(join(tmpdir(), 'lessor-engine-'));
    const close = (): Promise<void> => Promise.resolve(rmSync(folder, { recursive: true, force: true }));
    return { client, kind: 'the engine of this machine', own: false, folder, networkOptions: {}, close };
  }
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'no container engine is running, and only root on Linux may start one';
  const missing = missingPrograms(PROGRAMS);
  if (missing.length > 0) return `no container engine is running, and to start one there is no ${missing.join(', ')} (deploy/lab/install.sh test)`;
  try {
    return await OwnEngine.start();
  } catch (error) {
    return `no container engine is running, and this machine does not allow one to be started: ${(error as Error).message}`;
  }
}

/** The library looks at the environment once, so it is asked once: when it is known where an engine is. */
async function connect(): Promise<ContainerRuntimeClient | undefined> {
  const { getContainerRuntimeClient } = await import('testcontainers');
  return getContainerRuntimeClient().catch(() => undefined);
}

/** On one of the sockets where the library looks. */
async function anyListens(): Promise<boolean> {
  const home = join(homedir(), '.docker');
  const sockets = ['/var/run/docker.sock', join(process.env['XDG_RUNTIME_DIR'] ?? home, 'docker.sock'), join(home, 'run/docker.sock'), join(home, 'desktop/docker.sock')];
  for (const path of sockets) {
    const socket = connectSocket(path);
    const listens = await once(socket, 'connect').then(() => true, () => false);
    socket.destroy();
    if (listens) return true;
  }
  return false;
}

class OwnEngine implements Engine {
  readonly kind = 'an engine of its own';
  readonly own = true;
  readonly networkOptions = { 'com.docker.network.bridge.name': NAME };
  readonly client: ContainerRuntimeClient;
  readonly folder: string;
  readonly #process: LabProcess;
  readonly #guard: Guard;

  private constructor(client: ContainerRuntimeClient, folder: string, process: LabProcess, guard: Guard) {
    this.client = client;
    this.folder = folder;
    this.#process = process;
    this.#guard = guard;
  }

  static async start(): Promise<OwnEngine> {
    const folder = mkdtempSync(join(tmpdir(), 'lessor-engine-'));
    const guard = new Guard(folder);
    giveShare();
    let engine: LabProcess | undefined;
    try {
      const kept = keptFolder();
      engine = startEngine(folder, kept, join(kept, 'lock'));
      if (!await listens(engine) && await engine.exited === TAKEN) {
        engine = startEngine(folder, join(folder, 'data'));
        await listens(engine);
      }
      process.env['DOCKER_HOST'] = `unix://${socketIn(folder)}`;
      process.env['TESTCONTAINERS_HOST_OVERRIDE'] = '127.0.0.1';
      const client = engine.running ? await connect() : undefined;
      if (client === undefined) throw new Error(engine.output.split('\n').slice(-3).join('; '));
      // Kept with the images.
      await sweepLeftovers(client.container.dockerode);
      return new OwnEngine(client, folder, engine, guard);
    } catch (error) {
      await engine?.kill();
      await guard.dismiss();
      throw error;
    }
  }

  /** In good order, so that what it has built is kept as it should be. */
  async close(): Promise<void> {
    const first = readFileSync(`/proc/${this.#process.pid}/task/${this.#process.pid}/children`, 'latin1').trim();
    if (first !== '') process.kill(Number(first), 'SIGTERM');
    await Promise.race([this.#process.exited, new Promise((resolve) => setTimeout(resolve, STOP_MS).unref())]);
    await this.#process.kill();
    await this.#guard.dismiss();
  }
}

function keptFolder(): string {
  const folder = join(project, '.cache/containers');
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** All containers together would get as much of the processors as any single process outside of them. */
function giveShare(): void {
  const groups = '/sys/fs/cgroup';
  const [folder, file, share] = existsSync(join(groups, 'cgroup.controllers')) ? ['', 'cpu.weight', '1000'] : ['cpu', 'cpu.shares', '10240'];
  try {
    mkdirSync(join(groups, folder, NAME), { recursive: true });
    writeFileSync(join(groups, folder, NAME, file), share);
  } catch {
    // Control groups that cannot be changed are the machine's; then the tests take longer where others work.
  }
}

/** `lock`: ends with the code TAKEN where somebody has it; who has it may begin the folder anew. */
function startEngine(folder: string, data: string, lock?: string): LabProcess {
  const [dockerd, containerd, runc] = (['dockerd', 'containerd', 'runc'] as const).map(requireProgram);
  const config = join(folder, 'daemon.json');
  // Not the machine's own, which is for another engine.
  writeFileSync(config, '{}');
  const command = [
    dockerd!.command, '--config-file', config, '--data-root', data, '--exec-root', join(folder, 'exec'), '--pidfile', join(folder, 'pid'),
    '--host', `unix://${socketIn(folder)}`, '--cgroup-parent', `/${NAME}`, '--bridge', 'none', '--iptables=false', '--ip-forward=false',
    '--shutdown-timeout', '2',
  ];
  const script = `
    set -eu
    if [ "$(du -sk "$1" 2>/dev/null | cut -f 1)" -gt ${KEPT_KILOBYTES_MAX} ]; then rm -rf "$1"/[!l]* ; fi
    shift
    exec unshare --pid --mount --fork --kill-child=KILL --mount-proc "$@"`;
  const inNamespaces = ['sh', '-c', script, 'lessor-engine', data, ...command];
  mkdirSync(data, { recursive: true });
  return new LabProcess('dockerd', lock === undefined ? inNamespaces : ['flock', '--no-fork', '--nonblock', '--conflict-exit-code', String(TAKEN), lock, ...inNamespaces], {
    // It looks for containerd, runc and docker-proxy there.
    env: { PATH: [...new Set([dockerd, containerd, runc].map((program) => dirname(program!.command))), process.env['PATH']].join(delimiter), ...dockerd!.env },
    logFile: join(folder, 'log'),
  });
}

const socketIn = (folder: string): string => join(folder, 'socket');

/** False: it has ended. */
async function listens(engine: LabProcess): Promise<boolean> {
  return waitUntil('the container engine', START_MS, () => {
    if (!engine.running) return false;
    return engine.output.includes('API listen on') ? true : undefined;
  });
}

/** Removes what is left of an engine outside of its namespaces once this process has ended, however it ends. */
class Guard {
  readonly #child: ChildProcess;

  constructor(folder: string) {
    const script = `
      cat >/dev/null
      for _ in 1 2 3 4 5 6 7 8 9 10; do
        for interface in /sys/class/net/"$1"/brif/* /sys/class/net/veth*; do
          # Of a container that is not there any more: by the hardware address that Docker makes of its address.
          case $interface$(cat "$interface/address" 2>/dev/null) in
            */brif/* | *02:42:$3:*) ip link delete "\${interface##*/}" ;;
          esac
        done
        ip link delete "$1"
        find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} +
        rm -rf --one-file-system -- "$2"
        if [ ! -e "$2" ] && [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "$1")" ]; then break; fi
        sleep 0.3
      done 2>/dev/null
      rmdir /run/docker/plugins /run/docker 2>/dev/null
      if [ "$4" = new ]; then rm -f /etc/docker/key.json; rmdir /etc/docker; fi 2>/dev/null`;
    // Not in the environment of the run, whose end it outlives.
    this.#child = spawn('sh', ['-c', script, 'lessor-engine-guard', NAME, folder, NETWORK_HEX, existsSync('/etc/docker') ? 'kept' : 'new'], {
      stdio: ['pipe', 'ignore', 'ignore'], detached: true, env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
    });
    this.#child.stdin?.on('error', () => undefined);
  }

  async dismiss(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}
