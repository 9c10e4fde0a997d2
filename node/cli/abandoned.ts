/** `lessor abandoned`: addresses that somebody was found to use without a lease. */
import type { Command } from 'commander';
import type { ResultOf } from '../admin/operation.ts';
import { abandonedClear, abandonedList } from '../admin/operations/abandoned.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addOperationOptions, addReadingOptions, operationClient, readingClient } from './operation-target.ts';
import type { OperationOptions, ReadingOptions } from './operation-target.ts';
import type { CliOutput } from './output.ts';
import { renderTable } from './table.ts';

type Entry = ResultOf<typeof abandonedList>;

interface ListOptions extends ReadingOptions {
  readonly subnet?: string;
  readonly json?: true;
}

interface ClearOptions extends OperationOptions {
  readonly subnet?: string;
  readonly all?: true;
  readonly reason?: string;
}

const COLUMNS: readonly { readonly title: string; readonly cell: (entry: Entry) => string }[] = [
  { title: 'ADDRESS', cell: ({ address }) => address },
  { title: 'SINCE', cell: ({ since }) => since },
  { title: 'FOUND', cell: ({ found }) => found },
  { title: 'HARDWARE', cell: ({ hardware }) => hardware || '-' },
  { title: 'SUBNET', cell: ({ subnet }) => subnet || '-' },
];

export function addAbandonedCommands(program: Command, output: CliOutput): void {
  const command = program.command('abandoned').description('addresses that somebody was found to use without a lease, and that are given to nobody');
  addReadingOptions(command.command('list'))
    .description('list them, with who found them in use')
    .option('--subnet <subnet>', 'of one subnet of the configuration, such as 10.0.0.0/8')
    .option('--json', 'one a line, as JSON')
    .action((options: ListOptions) => list(options, output));
  addOperationOptions(command.command('clear'))
    .description('make addresses free again: whoever used them is gone')
    .argument('[address]', 'this address')
    .option('--subnet <subnet>', 'all of one subnet of the configuration')
    .option('--all', 'all there are')
    .option('--reason <text>', 'why, for the audit log')
    .action((address: string | undefined, options: ClearOptions) => clear(address, options, output));
}

async function list({ json, subnet, ...options }: ListOptions, output: CliOutput): Promise<void> {
  const entries: Entry[] = [];
  for await (const some of readingClient(options).list<Entry>(abandonedList.path, { subnet })) {
    if (json) await output.out(some.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
    else entries.push(...some);
  }
  if (json) return undefined;
  if (entries.length > 0) return output.out(renderTable(COLUMNS.map(({ title }) => title), entries.map((entry) => COLUMNS.map(({ cell }) => cell(entry)))));
  return output.err('No address is abandoned.\n');
}

async function clear(address: string | undefined, { all, reason, subnet, ...options }: ClearOptions, output: CliOutput): Promise<void> {
  if ([address, subnet, all].filter((value) => value !== undefined).length !== 1) throw new CliError(ExitCode.usage, 'expected an address, --subnet or --all, and one of them alone');
  const { cleared } = await operationClient(options).call<ResultOf<typeof abandonedClear>>(abandonedClear.method, abandonedClear.path, { address, subnet, all, reason });
  await output.out(`${cleared} ${cleared === 1 ? 'address is' : 'addresses are'} free again, given out from a minute on\n`);
}
