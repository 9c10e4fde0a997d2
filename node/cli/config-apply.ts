/** `lessor config apply` and `rollback`: another configuration for the whole cluster, while it serves. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { ConfigStore } from '../../cluster/io/config-store.ts';
import { plainValue } from '../config/plain-text.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addClusterOptions, withCluster } from './cluster-store.ts';
import { addPublishOptions, propose, publishAndWait, readNewest } from './config-publish.ts';
import type { PublishTarget } from './config-publish.ts';
import type { CliOutput } from './output.ts';

export function addApplyCommands(config: Command, output: CliOutput): void {
  addPublishOptions(addClusterOptions(config.command('apply')))
    .description('check a cluster.yaml, show what it changes, and bring it into force on all nodes at once')
    .argument('<file>', 'the new configuration')
    .action((file: string, options: PublishTarget) => withCluster(options, ({ store }) => apply(store, file, options, output)));
  addPublishOptions(addClusterOptions(config.command('rollback')))
    .description('bring an earlier revision into force again, as a new one')
    .argument('[revision]', 'which one (default: the one before the newest)')
    .action((revision: string | undefined, options: PublishTarget) => withCluster(options, ({ store }) => rollback(store, revision, options, output)));
}

async function apply(store: ConfigStore, file: string, options: PublishTarget, output: CliOutput): Promise<void> {
  const text = readText(file);
  const newest = await readNewest(store);
  if (newest?.text === text) {
    await output.out(options.json === true ? `${JSON.stringify({ changes: [], revision: newest.record.revision }, null, 2)}\n` : `nothing to do: it is revision ${newest.record.revision}\n`);
    return;
  }
  const proposal = await propose({ store, newest, next: { text, value: plainValue(text) }, name: file, mayStrand: true }, options);
  await publishAndWait(store, proposal, options, output, '');
}

async function rollback(store: ConfigStore, revision: string | undefined, options: PublishTarget, output: CliOutput): Promise<void> {
  const newest = await readNewest(store);
  if (newest === undefined) throw new CliError(ExitCode.no, 'etcd holds no configuration of this cluster yet, so there is nothing to go back to: lessor config apply FILE writes the first one');
  const wanted = revision === undefined ? newest.record.previous : revisionNumber(revision);
  const record = wanted === 0 ? undefined : await store.record(wanted);
  if (record === undefined) throw noRevision(wanted);
  const text = await store.text(record);
  const proposal = await propose({ store, newest, next: { text, value: plainValue(text) }, name: `revision ${record.revision}`, mayStrand: true }, options);
  await publishAndWait(store, proposal, options, output, `back to revision ${record.revision}`, (_, more) => store.publishAgain(record, more));
}

export function revisionNumber(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new CliError(ExitCode.usage, `expected the number of a revision, found "${text}": lessor config history lists them`);
  return Number(text);
}

export function noRevision(revision: number): CliError {
  return new CliError(ExitCode.no, `there is no revision ${revision || 'before the newest one'}: lessor config history lists those that are kept`);
}

export function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: cannot be read: ${(cause as Error).message}. Name a file that is there, and that this user may read.`, { cause });
  }
}
