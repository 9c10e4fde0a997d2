/** `lessor config show`, `diff` and `history`: what the cluster's configuration is and was. */
import type { Command } from 'commander';
import type { ConfigRevision } from '../../cluster/io/config-revisions.ts';
import type { ConfigStore } from '../../cluster/io/config-store.ts';
import { diffConfigs, formatChange } from '../config/diff.ts';
import { parseClusterConfig } from '../config/load.ts';
import { plainValue } from '../config/plain-text.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addClusterOptions, withCluster } from './cluster-store.ts';
import type { ClusterTarget } from './cluster-store.ts';
import { noRevision, readText, revisionNumber } from './config-apply.ts';
import type { CliOutput } from './output.ts';
import { printable, renderTable } from './table.ts';

type ShowOptions = ClusterTarget & { readonly json?: true };

export function addShowCommands(config: Command, output: CliOutput): void {
  addClusterOptions(config.command('show'))
    .description('print a revision of the cluster\'s configuration as it was applied')
    .argument('[revision]', 'which one (default: the newest)')
    .option('--json', 'with what is known of it, as JSON')
    .action((revision: string | undefined, options: ShowOptions) => withCluster(options, ({ store }) => show(store, revision, options, output)));
  addClusterOptions(config.command('diff'))
    .description('show what differs between two configurations, each a file or a revision')
    .argument('<one>', 'a file, or the number of a revision')
    .argument('[other]', 'compared with the first; without it the first is compared with the newest revision')
    .option('--json', 'the differences as JSON')
    .action((one: string, other: string | undefined, options: ShowOptions) => withCluster(options, ({ store }) => diff(store, one, other, options, output)));
  addClusterOptions(config.command('history'))
    .description('list the revisions that are kept, newest first')
    .option('--json', 'one revision a line, as JSON')
    .action((options: ShowOptions) => withCluster(options, ({ store }) => history(store, options, output)));
}

async function recordOf(store: ConfigStore, revision: string | undefined): Promise<ConfigRevision> {
  if (revision !== undefined) {
    const record = await store.record(revisionNumber(revision));
    if (record === undefined) throw noRevision(Number(revision));
    return record;
  }
  const newest = await store.newest();
  if (newest === undefined) throw new CliError(ExitCode.no, 'etcd holds no configuration of this cluster yet: lessor config apply FILE writes one, and so does the first node that starts');
  return newest;
}

async function show(store: ConfigStore, revision: string | undefined, options: ShowOptions, output: CliOutput): Promise<void> {
  const record = await recordOf(store, revision);
  const text = await store.text(record);
  await output.out(options.json === true ? `${JSON.stringify({ ...shownRecord(record), text }, null, 2)}\n` : text);
}

async function diff(store: ConfigStore, one: string, other: string | undefined, options: ShowOptions, output: CliOutput): Promise<void> {
  const [before, after] = other === undefined ? [undefined, one] : [one, other];
  const changes = diffConfigs(await valueOf(store, before), await valueOf(store, after));
  if (options.json === true) await output.out(`${JSON.stringify(changes, null, 2)}\n`);
  else await output.out(changes.length === 0 ? 'no difference\n' : changes.map((change) => `${printable(formatChange(change))}\n`).join(''));
}

/** A file is checked on the way: a difference to one that cannot be applied helps nobody. */
async function valueOf(store: ConfigStore, source: string | undefined): Promise<unknown> {
  if (source === undefined || /^\d+$/.test(source)) return plainValue(await store.text(await recordOf(store, source)));
  const text = readText(source);
  parseClusterConfig(text, source);
  return plainValue(text);
}

async function history(store: ConfigStore, options: ShowOptions, output: CliOutput): Promise<void> {
  const records = (await store.history()).toReversed();
  const { view } = await store.clusterKeys();
  const inForce = view?.configRevision ?? 0;
  if (options.json === true) {
    await output.out(records.map((record) => `${JSON.stringify({ ...shownRecord(record), inForce: record.revision === inForce })}\n`).join(''));
    return;
  }
  if (records.length === 0) {
    output.err('No configuration yet.\n');
    return;
  }
  const rows = records.map(({ at, by, bytes, comment, revision }, index) => {
    const state = revision === inForce ? 'in force' : index === 0 && inForce !== 0 ? 'waiting' : '';
    return [String(revision), state || '-', at || '-', by || '-', String(bytes), comment];
  });
  await output.out(renderTable(['REVISION', 'STATE', 'WRITTEN', 'BY', 'BYTES', 'COMMENT'], rows));
}

/** What is of interest to people. */
function shownRecord({ at, by, bytes, comment, hash, previous, revision }: ConfigRevision): object {
  return { revision, at, by, comment, previous, bytes, hash };
}
