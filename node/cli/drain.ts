/** `lessor drain` and `undrain`: a node leaves service in good order and stays out, or comes back; from any host of the cluster. */
import { Option, type Command } from 'commander';
import type { ClusterKeys, ConfigStore } from '../../cluster/io/config-store.ts';
import type { DrainOrder } from '../../cluster/upgrade/drains.ts';
import { didYouMean } from '../config/nearest.ts';
import { plainValue } from '../config/plain-text.ts';
import { asMap } from '../config/plain-values.ts';
import type { NodeConfig } from '../config/types.ts';
import { DRAIN_REASON_CHARACTERS_MAX } from '../limits.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addClusterOptions, whoAmI, withCluster } from './cluster-store.ts';
import type { ClusterTarget } from './cluster-store.ts';
import { couldLeave, drainProgress, returnProgress, waitFor } from './drain-wait.ts';
import type { DrainProgress } from './drain-wait.ts';
import type { CliOutput } from './output.ts';
import { printable } from './table.ts';

const TIMEOUT_SECONDS = 60;

type DrainOptions = ClusterTarget & { readonly reason?: string; readonly force?: true; readonly wait: boolean; readonly timeout: string };

export function addDrainCommands(program: Command, output: CliOutput): void {
  addWaitOptions(addClusterOptions(program.command('drain')), 'it is out of service')
    .description('take a node out of service in good order; it keeps running and stays out, also over restarts, until undrain')
    .argument('<node>', 'its name in the configuration')
    .option('--reason <text>', 'why, for the others')
    .option('--force', 'also where no other node is in service: then no client is served')
    .action((node: string, options: DrainOptions) => withCluster(options, ({ drains, store }) => drain(store, drains, node, options, output), alone));
  addWaitOptions(addClusterOptions(program.command('undrain')), 'it is in service')
    .description('let a node come back into service')
    .argument('<node>', 'its name in the configuration')
    .action((node: string, options: DrainOptions) => withCluster(options, ({ drains, store }) => undrain(store, drains, node, options, output), alone));
}

function addWaitOptions(command: Command, until: string): Command {
  return command
    .option('--no-wait', `do not wait until ${until}`)
    .addOption(new Option('--timeout <seconds>', 'how long to wait').default(String(TIMEOUT_SECONDS)));
}

function alone({ node }: NodeConfig, config: string): string {
  return `${config} has no cluster: node ${node} is the only one, and nobody would serve in its place. SIGTERM stops it.`;
}

type Drains = Parameters<Parameters<typeof withCluster>[1]>[0]['drains'];

async function drain(store: ConfigStore, drains: Drains, node: string, options: DrainOptions, output: CliOutput): Promise<void> {
  const timeoutMs = timeoutOf(options);
  const force = options.force === true;
  const keys = await knownNode(store, node);
  if (!couldLeave(keys, node, force)) throw new CliError(ExitCode.no, whyKept(keys, node));
  if (force && !couldLeave(keys, node)) {
    output.err(`WARNING: ${node} is the only node in service. No client is served until another one is, or lessor undrain ${node}.\n`);
  }
  const order = { by: whoAmI(), at: new Date().toISOString(), reason: (options.reason ?? '').slice(0, DRAIN_REASON_CHARACTERS_MAX), force };
  const there = await drains.order(node, order);
  output.err(there === undefined ? `${node} is ordered out of service\n` : `${printable(describeOrder(node, there))} already\n`);
  if (!options.wait) return;
  const isOver = ({ state }: DrainProgress): boolean => state !== 'leaving' && state !== 'kept';
  const last = await waitFor(store, timeoutMs, (now) => drainProgress(now, node), isOver, (progress) => {
    if (progress.state === 'leaving') output.err(`waiting: ${node} ${progress.shows === '' ? 'says nothing (it has no session in etcd)' : `is ${progress.shows}`}\n`);
  });
  await output.out(endOf(last, node, options.timeout));
}

/** What the end of the waiting means. @throws CliError */
function endOf(progress: DrainProgress, node: string, timeout: string): string {
  switch (progress.state) {
    case 'out': {
      const stays = `It stays out, also over restarts, until: lessor undrain ${node}`;
      const now = progress.running ? 'It keeps running, in state DRAINING.' : 'Its process is not running.';
      return `${node} is out of service${progress.others.length > 0 ? `; ${progress.others.join(' ')} serve${progress.others.length === 1 ? 's' : ''}` : ''}. ${now} ${stays}\n`;
    }
    case 'silent': return `${node} serves nobody any more, and no other node is in service. It serves again after: lessor undrain ${node}\n`;
    case 'not-ordered': throw new CliError(ExitCode.no, `somebody has let ${node} back into service meanwhile`);
    case 'kept':
      throw new CliError(ExitCode.no, `${node} serves on: it is the only one that can. The order stands: ${node} leaves by itself once another node is in service. lessor undrain ${node} takes it back.`);
    default:
      throw new CliError(
        ExitCode.no,
        `${node} has not left within ${timeout} s${progress.shows === '' ? '' : `, it is ${progress.shows}`}. The order stands. lessor status says which links are down and what is not committed; ` +
          `lessor undrain ${node} takes the order back.`,
      );
  }
}

async function undrain(store: ConfigStore, drains: Drains, node: string, options: DrainOptions, output: CliOutput): Promise<void> {
  const timeoutMs = timeoutOf(options);
  await knownNode(store, node);
  const there = await drains.takeBack(node, { by: whoAmI(), at: new Date().toISOString() });
  output.err(there === undefined ? `${node} is not drained\n` : `${node} may come back\n`);
  if (!options.wait || there === undefined) return;
  const last = await waitFor(store, timeoutMs, (keys) => returnProgress(keys, node), ({ state }) => state !== 'returning', (progress) => {
    if (progress.state === 'returning') output.err(`waiting: ${node} is ${progress.shows || 'starting'}\n`);
  });
  if (last.state === 'in-service') await output.out(`${node} is in service again: ${last.shows}\n`);
  else if (last.state === 'not-running') await output.out(`${node} is not running: it comes into service when it is started\n`);
  else if (last.state === 'ordered-again') throw new CliError(ExitCode.no, `somebody has ordered ${node} out of service again: lessor status says who and why, lessor undrain ${node} takes it back`);
  else throw new CliError(ExitCode.no, `${node} is not in service within ${options.timeout} s: it is ${last.shows || 'starting'}. It goes on trying; lessor status on it and its log say what keeps it.`);
}

function timeoutOf({ timeout }: DrainOptions): number {
  const seconds = Number(timeout);
  if (!(seconds > 0 && seconds <= 86_400)) throw new CliError(ExitCode.usage, `--timeout: expected seconds, found "${timeout}"`);
  return seconds * 1000;
}

/** @throws CliError for a name that nobody has */
async function knownNode(store: ConfigStore, node: string): Promise<ClusterKeys> {
  const keys = await store.clusterKeys();
  const configured = keys.newest === undefined ? [] : Object.keys(asMap(asMap(plainValue(await store.text(keys.newest)))['nodes']));
  const known = [...new Set([...configured, ...(keys.view?.members ?? []).map((member) => member.node), ...keys.nodes.keys(), ...keys.drains.keys()])].toSorted();
  if (known.includes(node)) return keys;
  throw new CliError(ExitCode.no, `there is no node ${JSON.stringify(node)} in this cluster${didYouMean(node, known) || '.'} Its nodes: ${known.join(', ') || 'none'}`);
}

function whyKept(keys: ClusterKeys, node: string): string {
  const others = (keys.view?.members ?? []).map((member) => member.node).filter((other) => other !== node);
  const why = others.length === 0
    ? 'it is the only node in service'
    : `of the others in the view (${others.join(' ')}) none would go on serving: each is to be drained, has no session in etcd or no interface for clients`;
  return `nothing was changed: ${why}. Without ${node} no client would be served. Bring another node into service first (lessor status shows what keeps it), ` +
    `or say --force: then nobody serves until you undrain one.`;
}

/** "b is ordered out of service by root@host since 2026-…: a new disk" */
export function describeOrder(node: string, { at, by, force, reason }: Pick<DrainOrder, 'at' | 'by' | 'force' | 'reason'>): string {
  return `${node} is ordered out of service${force ? ' by force' : ''}${by === '' ? '' : ` by ${by}`}${at === '' ? '' : ` since ${at}`}${reason === '' ? '' : `: ${reason}`}`;
}
