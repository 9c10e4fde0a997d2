/** `lessor backup` and `lessor restore`: a node's leases as one file, and a store made of it again. */
import { createWriteStream, existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { etcdFacts } from '../../cluster/io/etcd-witness.ts';
import { restoredMeta } from '../../cluster/recovery/beats.ts';
import { META_ADOPTED } from '../../cluster/view/adoption.ts';
import { decodeView } from '../../cluster/view/view.ts';
import { CONTROL_SOCKET } from '../admin/operator.ts';
import { BackupError } from '../backup/format.ts';
import type { BackupHeader } from '../backup/format.ts';
import { backupOf } from '../backup/io/node-backup.ts';
import { readBackup } from '../backup/io/read-backup.ts';
import { contentsInTheWay, giveToOwner, restoreStore } from '../backup/io/restore.ts';
import { loadClusterConfig, loadNodeConfig } from '../config/load.ts';
import type { NodeConfig } from '../config/types.ts';
import { bytesText } from '../doctor/finding.ts';
import { openJournaledDisk } from '../io/journaled-disk.ts';
import type { JournaledDisk } from '../io/journaled-disk.ts';
import { ADDRESSES_BEGIN } from '../lease/record.ts';
import { StoreError } from '../lease/store-error.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { DEFAULT_NODE_CONFIG } from './cluster-store.ts';
import { controlFailure } from './control-client.ts';
import { hasLeader, nodeKeys } from './node-keys.ts';
import type { CliOutput } from './output.ts';
import { Progress, rateText } from './progress.ts';
import { printable } from './table.ts';

const BEGIN_MS_MAX = 30_000;
const IN_SERVICE: readonly string[] = ['NORMAL', 'COMMUNICATIONS-INTERRUPTED', 'PARTNER-DOWN', 'DRAINING'];

interface Options {
  readonly config: string;
}

export function addBackupCommands(program: Command, output: CliOutput): void {
  const backup = withConfig(program.command('backup'))
    .description('write the leases of the node on this host to a file, while it serves or when it is stopped')
    .argument('<file>', 'where to; what is there is replaced once the backup is whole')
    .action((file: string, { config }: Options) => failingWell(file, () => back(file, loadNodeConfig(config), output)));
  backup.command('verify')
    .description('check a backup to its last line, and say what is in it')
    .argument('<file>', 'the backup')
    .action((file: string) => failingWell(file, async () => {
      const { header, bindings } = await verify(file);
      await output.out(`${file}: whole; ${describe(header, bindings)}\n`);
    }));
  backup.command('config')
    .description('print the cluster\'s configuration that a backup holds')
    .argument('<file>', 'the backup')
    .action((file: string) => failingWell(file, async () => {
      const { config } = await verify(file);
      if (config === undefined) throw new CliError(ExitCode.no, `${file} holds no configuration: write cluster.yaml anew, or take it from another backup`);
      await output.out(config);
    }));
  withConfig(program.command('restore'))
    .description('make the store of this host\'s node from a backup: the node must not run, and its data folder must be empty')
    .argument('<file>', 'the backup')
    .action((file: string, { config }: Options) => failingWell(file, () => restore(file, config, loadNodeConfig(config), output)));
}

function withConfig(command: Command): Command {
  return command.option('--config <file>', 'the configuration of the node on this host (node.yaml), which names its data folder', DEFAULT_NODE_CONFIG);
}

async function failingWell(file: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof BackupError) throw new CliError(ExitCode.no, `${file}: ${error.message}. Use another backup.`, { cause: error });
    if (error instanceof StoreError) throw new CliError(ExitCode.no, error.message, { cause: error });
    const { code, path, message } = error as NodeJS.ErrnoException;
    if (code === undefined || path === undefined) throw error;
    throw new CliError(ExitCode.no, `${message}. Look at the path, its owner and the room there.`, { cause: error });
  }
}

interface Verified {
  readonly header: BackupHeader;
  readonly config: string | undefined;
  readonly bindings: number;
}

async function verify(file: string): Promise<Verified> {
  const progress = new Progress();
  const began = performance.now();
  let header: BackupHeader | undefined;
  let config: string | undefined;
  let bindings = 0;
  try {
    for await (const item of readBackup(file)) {
      if (item.kind === 'header') header = item.header;
      else if (item.kind === 'config') config = item.text;
      else if (item.kind === 'binding' && item.address >= ADDRESSES_BEGIN) {
        bindings++;
        progress.show(() => `checking ${file}: ${bindings} bindings, ${rateText(bindings, began)}`);
      }
    }
  } finally {
    progress.clear();
  }
  return { header: header!, config, bindings };
}

function describe({ node, cluster, madeAt, state, epoch, generation, version }: BackupHeader, bindings: number): string {
  const whose = cluster === '' ? `node ${node}` : `node ${node} of cluster ${cluster}`;
  const view = epoch === 0 ? '' : `, epoch ${epoch}, generation ${generation}`;
  return printable(`${bindings} bindings of ${whose} as of ${madeAt} (${state}${view}, Lessor ${version})`);
}

// ── backup ──────────────────────────────────────────────────────────────────────────────────────

async function back(file: string, node: NodeConfig, output: CliOutput): Promise<void> {
  const part = `${file}.part`;
  const progress = new Progress();
  const began = performance.now();
  let bytes = 0;
  const source = await ofRunning(node) ?? ofStopped(node);
  try {
    source.stream.on('data', (piece: Buffer) => {
      bytes += piece.length;
      progress.show(() => `${file}: ${bytesText(bytes)}, ${bytesText(bytes / Math.max(0.001, (performance.now() - began) / 1000))}/s`);
    });
    // It holds who has which address: for its owner only.
    await pipeline(source.stream, createWriteStream(part, { mode: 0o600, flush: true }));
    progress.clear();
    const { header, bindings } = await verify(part);
    renameSync(part, file);
    await output.out(`${file}: ${bytesText(statSync(file).size)}, verified; ${describe(header, bindings)}\n`);
    if (header.state !== 'stopped' && !IN_SERVICE.includes(header.state)) {
      output.err(`WARNING: ${header.node} is ${header.state}: it may lack what other nodes have granted since. Make the backup on a node in service.\n`);
    }
  } finally {
    progress.clear();
    rmSync(part, { force: true });
    await source.close();
  }
}

interface Source {
  readonly stream: Readable;
  close(): Promise<void>;
}

/** Undefined: none runs with this data folder. @throws CliError */
async function ofRunning({ dataDir }: NodeConfig): Promise<Source | undefined> {
  const socketPath = join(dataDir, CONTROL_SOCKET);
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/v1/backup' }, (response) => {
      call.setTimeout(0);
      if (response.statusCode === 200) return resolve({ stream: response, close: async () => void call.destroy() });
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => {
        const why = response.statusCode === 409 ? 'another backup is being made: wait for it' : `the node answered ${response.statusCode}: ${text}`;
        reject(new CliError(ExitCode.no, why));
      });
      return undefined;
    });
    call.setTimeout(BEGIN_MS_MAX, () => call.destroy(new Error(`no answer within ${BEGIN_MS_MAX / 1000} s`)));
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(controlFailure(socketPath, dataDir, error));
    });
    call.end();
  });
}

function openStopped(dataDir: string): JournaledDisk {
  try {
    return openJournaledDisk(dataDir);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'unavailable') throw error;
    throw new CliError(ExitCode.no, `${error.message.split('. ')[0]!}. A node may be only starting there: try again in a moment. Else give the command as the node's user or as root.`, { cause: error });
  }
}

/** Takes the folder's lock, so that no node can start meanwhile. */
function ofStopped(node: NodeConfig): Source {
  const { dataDir } = node;
  if (!existsSync(join(dataDir, 'leases.mdb'))) {
    throw new CliError(ExitCode.no, `${dataDir} holds no leases, and no node runs there: --config names the node.yaml of another one`);
  }
  const disk = openStopped(dataDir);
  const adopted = disk.readMeta(META_ADOPTED);
  const view = adopted === undefined ? undefined : decodeView(adopted);
  const stream = backupOf({
    node, mark: () => disk.mark(), config: existsSync(node.clusterConfigPath) ? loadClusterConfig(node.clusterConfigPath) : undefined,
    state: { state: 'stopped', epoch: view?.epoch ?? 0, generation: view?.generation ?? 0, configRevision: 0 },
  });
  return {
    stream,
    close: async () => {
      await disk.close();
      giveToOwner(dataDir);
    },
  };
}

// ── restore ─────────────────────────────────────────────────────────────────────────────────────

async function restore(file: string, configPath: string, node: NodeConfig, output: CliOutput): Promise<void> {
  const { dataDir } = node;
  const inTheWay = contentsInTheWay(dataDir);
  if (inTheWay.length > 0) {
    throw new CliError(ExitCode.no, `${dataDir} is not empty (${inTheWay.slice(0, 5).join(', ')}): nothing was changed. A node that has its leases needs no restore; ` +
      'if they are damaged or too old, stop it and move the folder away first.');
  }
  const { header, config, bindings } = await verify(file);
  refuseOther(file, header, node);
  await refuseBesideOthers(configPath, node, output);
  const progress = new Progress();
  const began = performance.now();
  try {
    await restoreStore(file, dataDir, (backup) => restoredMeta(header.madeAt, backup), (count) =>
      progress.show(() => `restoring: ${count} of ${bindings} bindings, ${rateText(count, began)}`));
  } finally {
    progress.clear();
  }
  await output.out(`${dataDir} holds ${describe(header, bindings)}\n${placeConfig(config, node)}${nextSteps(configPath, node, header)}`);
}

function refuseOther(file: string, { node, cluster }: BackupHeader, target: NodeConfig): void {
  const own = target.cluster?.name ?? '';
  const named = (name: string): string => (name === '' ? 'a single node' : `cluster ${name}`);
  if (cluster !== own) throw new CliError(ExitCode.no, `${file} is of ${named(cluster)}, and node.yaml of ${named(own)}: nothing was changed. Use a backup of this one.`);
  if (node !== target.node) {
    throw new CliError(ExitCode.no, `${file} is of node ${node}, and node.yaml of ${target.node}: nothing was changed. Restore it on a host whose node.yaml says node: ${node}; the others fetch everything from that one.`);
  }
}

/** Where another node serves, it has all that the backup has, and what came since. */
async function refuseBesideOthers(configPath: string, { node, cluster }: NodeConfig, output: CliOutput): Promise<void> {
  if (cluster === undefined) return;
  const { facts } = await etcdFacts(cluster.etcd, `/lessor/${cluster.name}/`, cluster.etcdTls ?? cluster.tls);
  const keys = hasLeader(facts) ? await nodeKeys(configPath).catch(() => undefined) : undefined;
  if (keys === undefined) {
    output.err('etcd does not answer, so it cannot be seen whether another node serves. If one does, do not use this store: start the node with an empty data folder.\n');
    return;
  }
  const serving = keys.filter((key) => key.node !== node && IN_SERVICE.includes(key.state));
  if (serving.length === 0) return;
  throw new CliError(ExitCode.no, `${serving.map((key) => `${key.node} is ${key.state}`).join(', ')}: nothing was changed, and no restore is needed. ` +
    'Start this node with its empty data folder: it fetches everything from there.');
}

function placeConfig(config: string | undefined, { clusterConfigPath }: NodeConfig): string {
  if (config === undefined) return '';
  if (existsSync(clusterConfigPath)) return `${clusterConfigPath} was left as it is; lessor backup config prints the configuration of the backup\n`;
  try {
    writeFileSync(clusterConfigPath, config, { flag: 'wx' });
  } catch (error) {
    // The store is there by now, and what follows must be told all the same.
    return `${clusterConfigPath} could not be written (${(error as Error).message}): lessor backup config prints what belongs there\n`;
  }
  return `${clusterConfigPath} was not there, and has the configuration of the backup now\n`;
}

function nextSteps(configPath: string, node: NodeConfig, { madeAt }: BackupHeader): string {
  const lost = `Leases granted or renewed after ${madeAt} are not in it: such clients keep their addresses until they renew, and are then learnt again.`;
  if (node.cluster === undefined) {
    return `${lost}
Next: start the node. It begins a new generation and probes every address before it gives it out, until all such leases have ended (lessor status says when).
`;
  }
  return `${lost}
This node does not go on with it by itself. Next:
  1. Make sure that no other node of the cluster serves, and that the hosts that are given up stay off.
  2. Start it:  lessor node --config ${configPath}
     If another node turns out to serve, it fetches everything from that one: then you are done.
  3. When it says cluster.unfit or cluster.no-view-but-data:  lessor recover  says what may be lost,  lessor recover --force  does it.
     It serves then, and probes every address before it gives it out until all leases that it does not know of have ended.
  4. Start the other nodes with empty data folders: they fetch everything from this one.
`;
}
