/**
 * Images under their public names for an engine that can reach no registry: stand-ins of the same contract, made
 * from this machine's own programs. Where a name can be pulled, the real image is used.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { requireProgram, type Program } from '../../deploy/lab/programs.ts';
import { LABELS, type Docker } from './container-leftovers.ts';

const run = promisify(execFile);

export const NODE_IMAGE = 'node:24-slim';
export const ETCD_IMAGE = 'quay.io/coreos/etcd:v3.5.21';
/** For the clients: a shell, ip and udhcpc. */
export const BUSYBOX_IMAGE = 'busybox:1.37-glibc';

/** Where no registry can be reached, that shows sooner. */
const PULL_MS = 60_000;
const OUTPUT_LINES = 30;
const project = join(import.meta.dirname, '../..');
const STAND_IN = 'lessor.test.stand-in';
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/** By name: fills the image's root folder, and says how the image is configured, as in a Dockerfile. */
const STAND_INS = {
  [NODE_IMAGE]: async (root) => {
    await root.addBusybox();
    await root.add({ command: realpathSync(process.execPath), env: {}, root: '/' }, '/usr/local/bin/node');
    // In Debian it comes with util-linux.
    await root.add(requireProgram('setpriv'), '/usr/bin/setpriv');
    const npm = '/usr/local/lib/node_modules/npm';
    root.copyFolder(await npmFolder(), npm);
    for (const name of ['npm', 'npx']) root.link(`${npm}/bin/${name}-cli.js`, `/usr/local/bin/${name}`);
    return [`ENV NODE_EXTRA_CA_CERTS=${CERTIFICATES}`, 'CMD ["node"]'];
  },
  // The real one has no shell either.
  [ETCD_IMAGE]: async (root) => {
    await root.add(requireProgram('etcd'), '/usr/local/bin/etcd');
    await root.add(requireProgram('etcdctl'), '/usr/local/bin/etcdctl');
    return ['EXPOSE 2379 2380', 'CMD ["/usr/local/bin/etcd"]'];
  },
  [BUSYBOX_IMAGE]: async (root) => {
    await root.addBusybox();
    return ['CMD ["sh"]'];
  },
} as const satisfies Record<string, (root: RootFolder) => Promise<string[]>>;

export interface Provided {
  readonly image: string;
  readonly standIn: boolean;
}

/** Makes sure that an image is there: it is already, can be pulled, or has a stand-in made. */
export async function provide(docker: Docker, image: keyof typeof STAND_INS): Promise<Provided> {
  const labels = await labelsOf(docker, image);
  // One of another Node.js has been kept from earlier.
  if (labels !== undefined && (labels[STAND_IN] ?? process.version) === process.version) return { image, standIn: STAND_IN in labels };
  if (await pull(docker, image)) return { image, standIn: false };
  const folder = mkdtempSync(join(tmpdir(), 'lessor-image-'));
  try {
    const changes = await STAND_INS[image](new RootFolder(folder));
    await importFolder(docker, folder, image, ['ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', `LABEL ${STAND_IN}=${process.version}`, ...changes]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return { image, standIn: true };
}

async function labelsOf(docker: Docker, image: string): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    const { Config } = await docker.getImage(image).inspect();
    return Config.Labels ?? {};
  } catch {
    return undefined;
  }
}

/** In an engine that others use too. */
export async function removeStandIns(docker: Docker): Promise<void> {
  for (const image of Object.keys(STAND_INS)) {
    if (STAND_IN in (await labelsOf(docker, image) ?? {})) await docker.getImage(image).remove({ force: true, noprune: true });
  }
}

/** Builds the project's Dockerfile, from what .dockerignore lets through, with the machine's network. */
export async function buildImage(docker: Docker, image: string): Promise<void> {
  const [everything, ...kept] = readFileSync(join(project, '.dockerignore'), 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (everything !== '*' || kept.some((line) => !/^![\w./-]+$/.test(line))) throw new Error('.dockerignore: expected * and then names of what the image is built from');
  const dockerfile = 'deploy/docker/Dockerfile';
  const tar = spawn('tar', ['-C', project, '-c', dockerfile, ...kept.map((line) => line.slice(1))], { stdio: ['ignore', 'pipe', 'inherit'] });
  await finished(docker, await docker.buildImage(tar.stdout, { dockerfile, t: image, networkmode: 'host', labels: LABELS }));
}

/** Another version of an image: the same but for the lines of a Dockerfile. */
export async function deriveImage(docker: Docker, image: string, from: string, lines: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-image-'));
  try {
    writeFileSync(join(folder, 'Dockerfile'), [`FROM ${from}`, ...lines, ''].join('\n'));
    const tar = spawn('tar', ['-C', folder, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await finished(docker, await docker.buildImage(tar.stdout, { t: image, networkmode: 'host', labels: LABELS }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Throws with the last lines of the output, if they say that it failed. */
async function finished(docker: Docker, output: NodeJS.ReadableStream): Promise<void> {
  const lines: string[] = [];
  let failure = '';
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(output, (error) => (error === null ? resolve() : reject(error)), ({ stream, error }: { stream?: string; error?: string }) => {
      if (stream !== undefined) lines.push(stream);
      if (error !== undefined) failure = error;
    });
  });
  if (failure !== '') throw new Error(`${failure}\n${lines.slice(-OUTPUT_LINES).join('')}`);
}

async function pull(docker: Docker, image: string): Promise<boolean> {
  const late = AbortSignal.timeout(PULL_MS);
  try {
    await finished(docker, await docker.pull(image, { abortSignal: late }));
    return true;
  } catch {
    return false;
  }
}

/** A folder that becomes an image's root. */
class RootFolder {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    for (const folder of ['bin', 'dev', 'etc/ssl/certs', 'home/node', 'proc', 'root', 'run', 'sys', 'tmp', 'usr/bin', 'usr/local/bin', 'var/tmp']) this.#folder(`/${folder}`);
    for (const folder of ['tmp', 'var/tmp']) chmodSync(join(path, folder), 0o1777);
    writeFileSync(join(path, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n');
    writeFileSync(join(path, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
    writeFileSync(join(path, 'etc/nsswitch.conf'), 'hosts: files dns\n');
    chownSync(join(path, 'home/node'), 1000, 1000);
    if (existsSync(CERTIFICATES)) copyFileSync(CERTIFICATES, join(path, CERTIFICATES));
  }

  /** With every library that it is linked with, each where the loader looks for it. */
  async add(program: Program, to: string): Promise<void> {
    this.#file(program.command, to);
    // Statically linked programs have none, which ldd calls a failure.
    const { stdout } = await run('ldd', [program.command], { env: { ...process.env, ...program.env } }).catch(() => ({ stdout: '' }));
    for (const [, name, path] of stdout.matchAll(/^\s*(?:(\S+) => )?(\/\S+)/gm)) {
      // Programs of this machine's folders look in theirs; what was unpacked goes to a folder of the system's.
      const place = program.root === '/' ? path! : path!.replace(program.root, '');
      if (!existsSync(join(this.#path, place))) this.#file(path!, place);
      if (name?.startsWith('/') === true && !existsSync(join(this.#path, name))) this.#file(path!, name);
    }
  }

  /** As a shell, and as all that it can be called by. */
  async addBusybox(): Promise<void> {
    const busybox = requireProgram('busybox');
    await this.add(busybox, '/bin/busybox');
    const { stdout } = await run(busybox.command, ['--list'], { env: { ...process.env, ...busybox.env } });
    for (const name of stdout.split('\n')) if (name !== '' && name !== 'busybox') this.link('/bin/busybox', `/bin/${name}`);
    this.link('/bin/busybox', '/usr/bin/env');
  }

  copyFolder(from: string, to: string): void {
    this.#folder(dirname(to));
    cpSync(from, join(this.#path, to), { recursive: true });
  }

  link(target: string, at: string): void {
    symlinkSync(target, join(this.#path, at));
  }

  #folder(path: string): void {
    mkdirSync(join(this.#path, path), { recursive: true });
  }

  #file(from: string, to: string): void {
    this.#folder(dirname(to));
    copyFileSync(from, join(this.#path, to));
    chmodSync(join(this.#path, to), 0o755);
  }
}

async function npmFolder(): Promise<string> {
  const { stdout } = await run('npm', ['root', '--global']);
  const global = join(stdout.trim(), 'npm');
  if (existsSync(global)) return global;
  // Debian's npm lies elsewhere.
  const { stdout: command } = await run('sh', ['-c', 'command -v npm']);
  return dirname(dirname(realpathSync(command.trim())));
}

async function importFolder(docker: Docker, folder: string, image: string, changes: readonly string[]): Promise<void> {
  const tar = spawn('tar', ['-C', folder, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(tar, 'exit');
  const [repo, tag] = image.split(/:(?=[^:]*$)/);
  await finished(docker, await docker.importImage(tar.stdout, { repo, tag, changes }));
  const [code] = await ended as [number | null];
  if (code !== 0) throw new Error(`${image}: tar ended with ${code}`);
}
