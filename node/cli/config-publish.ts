/**
 * What `config apply`, `config rollback` and `reservation` have in common: a new text beside the newest
 * one, what that changes and strands, its writing, and the waiting until it is in force.
 */
import { Option, type Command } from 'commander';
import type { ConfigRevision } from '../../cluster/io/config-revisions.ts';
import type { ConfigStore, Publication, PublishOptions, StoredConfig } from '../../cluster/io/config-store.ts';
import { diffConfigs, formatChange } from '../config/diff.ts';
import type { ConfigChange } from '../config/diff.ts';
import { ConfigError, parseClusterConfig } from '../config/load.ts';
import { plainValue } from '../config/plain-text.ts';
import type { ClusterConfig } from '../config/types.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { whoAmI } from './cluster-store.ts';
import type { ClusterTarget } from './cluster-store.ts';
import { waitInForce } from './config-wait.ts';
import type { Progress } from './config-wait.ts';
import { NodeClient } from './node-client.ts';
import type { CliOutput } from './output.ts';
import { confirmStranded, formatStranded, NOTHING_STRANDED, strandedLeases } from './stranded.ts';
import type { Stranded } from './stranded.ts';
import { printable } from './table.ts';
import { nodeTarget } from './target-options.ts';

/** Somebody else has written a revision meanwhile: nothing was changed. */
export class Overtaken extends CliError {
  constructor(newest: ConfigRevision | undefined) {
    const what = newest === undefined ? 'etcd holds no configuration any more' : `${newest.by || 'somebody'} has written revision ${newest.revision} meanwhile (${newest.at})`;
    super(ExitCode.no, `nothing was changed: ${what}. Look at it (lessor config diff) and apply yours again.`);
    this.name = 'Overtaken';
  }
}

const TIMEOUT_SECONDS = 60;
/** Lines of a difference that are shown before it is applied; `config diff` shows all. */
const SHOWN_CHANGES_MAX = 50;

export interface PublishTarget extends ClusterTarget {
  readonly yes?: true;
  readonly wait: boolean;
  readonly timeout: string;
  readonly comment?: string;
  readonly dryRun?: true;
  readonly json?: true;
}

export function addPublishOptions(command: Command): Command {
  return command
    .option('--comment <text>', 'why, for the history')
    .option('--yes', 'also where it strands active leases')
    .option('--dry-run', 'only say what it would change')
    .option('--no-wait', 'do not wait until it is in force on all nodes')
    .addOption(new Option('--timeout <seconds>', 'how long to wait').default(String(TIMEOUT_SECONDS)))
    .addOption(new Option('--url <url>', 'the HTTP port of the node that is asked for active leases (default: the one that --config names)'))
    .option('--json', 'what was done, as JSON');
}

/** A configuration, and the plain values that it says. */
export interface ReadText {
  readonly text: string;
  readonly value: unknown;
}

export type NewestConfig = StoredConfig & ReadText & {
  /** Why it cannot be read; then its text is empty. */
  readonly damage?: string;
};

/** A text that may become the next revision. */
export interface Proposal {
  readonly newest: NewestConfig | undefined;
  readonly text: string;
  readonly changes: readonly ConfigChange[];
  readonly stranded: Stranded;
}

/** What the newest revision says, read. */
export async function readNewest(store: ConfigStore): Promise<NewestConfig | undefined> {
  const record = await store.newest();
  if (record === undefined) return undefined;
  try {
    const text = await store.text(record);
    return { record, text, value: plainValue(text) };
  } catch (error) {
    if (error instanceof CliError) throw error;
    return { record, text: '', value: undefined, damage: (error as Error).message };
  }
}

export interface ProposeParts {
  readonly store: ConfigStore;
  readonly newest: NewestConfig | undefined;
  readonly next: ReadText;
  /** Stands for the new text in messages. */
  readonly name: string;
  /** False: it cannot give out fewer addresses than the newest revision does. */
  readonly mayStrand: boolean;
}

/** Checks the text and what it would do. @throws ConfigError, CliError */
export async function propose({ mayStrand, name, newest, next, store }: ProposeParts, options: PublishTarget): Promise<Proposal> {
  const config = parseClusterConfig(next.text, name);
  if (config.nodes.length === 0) throw new CliError(ExitCode.no, `${name}: expected the nodes of the cluster, such as nodes: { a: {}, b: {} }, found none`);
  await refuseRemovedMembers(store, config);
  const proposal = { newest, text: next.text, changes: newest?.value === undefined ? [] : diffConfigs(newest.value, next.value), stranded: NOTHING_STRANDED };
  const before = newest === undefined || !mayStrand ? undefined : readBefore(newest);
  if (before === undefined) return proposal;
  try {
    return { ...proposal, stranded: await strandedLeases(new NodeClient(nodeTarget(options)), before, config) };
  } catch (error) {
    if (!(error instanceof CliError) || error.exitCode !== ExitCode.unreachable) throw error;
    if (options.yes === true) return proposal;
    throw new CliError(ExitCode.unreachable, `the new configuration gives out fewer addresses, and no node says which are in use: ${error.message}\nSay --yes to go on without knowing.`, { cause: error });
  }
}

/** Undefined: this version cannot read what is there, so it cannot compare. */
function readBefore({ record, text }: StoredConfig): ClusterConfig | undefined {
  try {
    return parseClusterConfig(text, `revision ${record.revision}`);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** A node in service takes no configuration that does not name it: it would hold back all the others. */
async function refuseRemovedMembers(store: ConfigStore, config: ClusterConfig): Promise<void> {
  const { view } = await store.clusterKeys();
  const removed = (view?.members ?? []).map(({ node }) => node).filter((node) => !config.nodes.some(({ id }) => id === node));
  if (removed.length === 0) return;
  throw new CliError(
    ExitCode.no,
    `nodes: ${removed.join(' and ')} ${removed.length === 1 ? 'is' : 'are'} in service and not among the nodes of the new configuration. ` +
      'Stop what is to go first (SIGTERM drains it), then apply this.',
  );
}

/** The difference and what is stranded, for people; to standard error where standard output is JSON. */
export async function showProposal({ changes, newest, stranded }: Proposal, options: PublishTarget, output: CliOutput): Promise<void> {
  const lines = changes.slice(0, SHOWN_CHANGES_MAX).map((change) => `${printable(formatChange(change))}\n`);
  if (changes.length > lines.length) lines.push(`… and ${changes.length - lines.length} more\n`);
  const text = titleOf(newest, lines.length) + lines.join('') + formatStranded(stranded);
  if (options.json === true) output.err(text);
  else await output.out(text);
}

function titleOf(newest: NewestConfig | undefined, changes: number): string {
  if (newest === undefined) return 'the first configuration of this cluster\n';
  const { damage, record: { revision } } = newest;
  if (damage !== undefined) return `revision ${revision} cannot be compared with: ${damage}\n`;
  return changes === 0 ? `the same as revision ${revision}, but for comments or layout\n` : '';
}

/** Writes the next revision and waits for it. @throws CliError */
export async function publishAndWait(
  store: ConfigStore, proposal: Proposal, options: PublishTarget, output: CliOutput,
  comment: string, write: (text: string, options: PublishOptions) => Promise<Publication> = (next, more) => store.publish(next, more),
): Promise<void> {
  const timeoutMs = secondsOf(options.timeout) * 1000;
  await showProposal(proposal, options, output);
  const { changes, newest, stranded, text } = proposal;
  const report = { changes, stranded };
  if (options.dryRun === true) return say(options, output, { ...report, revision: null }, 'nothing was changed (--dry-run)\n');
  confirmStranded(stranded, options.yes === true);
  const expected = newest?.record.revision ?? 0;
  const published = await write(text, { expected, at: new Date().toISOString(), by: whoAmI(), comment: options.comment ?? comment, changes: changes.map(formatChange) });
  if (published.outcome === 'overtaken') throw new Overtaken(published.newest);
  const { revision } = published.record;
  await store.tidy().catch((error: unknown) => {
    // The new revision is whole; what is wrong with an old one is for whoever wants it.
    if (error instanceof CliError) throw error;
    output.err(`old revisions were not cleared away: ${(error as Error).message}\n`);
  });
  if (!options.wait) return say(options, output, { ...report, revision, inForce: false }, `revision ${revision} is written\n`);
  output.err(`revision ${revision} is written\n`);
  const progress = await waitInForce(store, revision, timeoutMs, (now) => output.err(progressLine(now, revision)));
  const inForce = progress.state === 'in-force' || progress.state === 'superseded';
  const nodes = progress.state === 'in-force' ? progress.nodes : [];
  await say(options, output, { ...report, revision, inForce, nodes }, inForce ? `revision ${revision} is in force on ${nodes.join(' ')}\n` : '');
  refuseProgress(progress, revision, options.timeout);
  return undefined;
}

async function say(options: PublishTarget, output: CliOutput, json: object, text: string): Promise<void> {
  await output.out(options.json === true ? `${JSON.stringify(json, null, 2)}\n` : text);
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) throw new CliError(ExitCode.usage, `--timeout: expected seconds, at most 86400, found "${text}"`);
  return seconds;
}

function progressLine(progress: Progress, revision: number): string {
  switch (progress.state) {
    case 'waiting': return `ready on ${progress.ready.join(' ') || 'no node yet'}; waiting for ${progress.waitingFor.join(' ') || 'the view that names it'}\n`;
    case 'no-nodes': return `no node is running: revision ${revision} comes into force when they start\n`;
    case 'superseded': return `revision ${progress.by} is in force already\n`;
    default: return '';
  }
}

function refuseProgress(progress: Progress, revision: number, timeout: string): void {
  if (progress.state === 'refused') {
    const why = progress.refusals.map(({ error, node }) => `  ${node}: ${error.split('\n').map(printable).join('\n    ')}`).join('\n');
    throw new CliError(ExitCode.no, `revision ${revision} cannot come into force; the one before stays:\n${why}\nApply a corrected one, or take it back with lessor config rollback.`);
  }
  if (progress.state === 'waiting') {
    throw new CliError(ExitCode.no, `revision ${revision} is written but not in force after ${timeout} s: waiting for ${progress.waitingFor.join(' ') || 'the leader'}. It comes into force when ${progress.waitingFor.length === 1 ? 'it is' : 'they are'} ready; lessor status shows what holds it up.`);
  }
}
