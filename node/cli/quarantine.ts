/** `lessor quarantine`: clients, addresses and ports that are shut out, or served by a class of their own. */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { MOMENT_EXPECTED, parseMoment } from '../admin/moment.ts';
import type { ResultOf } from '../admin/operation.ts';
import { quarantineAdd, quarantineClear, quarantineList } from '../admin/operations/quarantine.ts';
import type { QuarantineView } from '../admin/quarantine-view.ts';
import { parseDurationMs } from '../config/time-kinds.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addOperationOptions, addReadingOptions, operationClient, readingClient } from './operation-target.ts';
import type { OperationOptions, ReadingOptions } from './operation-target.ts';
import type { CliOutput } from './output.ts';
import { renderTable } from './table.ts';

interface SubjectOptions {
  readonly client?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: string | undefined;
  readonly remoteId?: string | undefined;
}

interface AddOptions extends OperationOptions, SubjectOptions {
  readonly until?: string;
  readonly for?: string;
  readonly reason: string;
  readonly mode: QuarantineView['mode'];
}

interface ClearOptions extends OperationOptions, SubjectOptions {
  readonly reason?: string;
}

const COLUMNS: readonly { readonly title: string; readonly cell: (view: QuarantineView) => string }[] = [
  { title: 'ID', cell: ({ id }) => String(id) },
  { title: 'WHO', cell: whoText },
  { title: 'MODE', cell: ({ mode }) => mode },
  { title: 'SINCE', cell: ({ at }) => at.replace(/\.\d+Z$/, 'Z') },
  { title: 'UNTIL', cell: ({ until }) => until ?? 'cleared' },
  { title: 'BY', cell: ({ by }) => by },
  { title: 'REASON', cell: ({ reason }) => reason },
];

export function addQuarantineCommands(program: Command, output: CliOutput): void {
  const command = program.command('quarantine').description('shut clients out, or serve them by a class of their own, on all nodes at once');
  addSubjectOptions(addOperationOptions(command.command('add')))
    .description('put a client, whoever has an address, or a relay\'s port into quarantine; its leases end, and no node gives it another one')
    .option('--until <time>', 'until then: 2027-03-31T18:00Z, or the end of a day in UTC, such as 2027-03-31; left out: until it is cleared', ahead)
    .option('--for <duration>', 'for so long: 90m, 12h, 7d', duration)
    .requiredOption('--reason <text>', 'why; whoever lists them reads it')
    .addOption(new Option('--mode <mode>', 'refuse: no address; class: one of the class that quarantine.class of cluster.yaml names').choices(['refuse', 'class']).default('refuse'))
    .action((options: AddOptions) => add(options, output));
  addReadingOptions(command.command('list'))
    .description('list who is in quarantine, until when and why')
    .option('--json', 'one a line, as JSON')
    .action((options: ReadingOptions & { readonly json?: true }) => list(options, output));
  addSubjectOptions(addOperationOptions(command.command('clear')))
    .description('end a quarantine; the client begins anew')
    .argument('[id]', 'as the list has it', whole)
    .option('--reason <text>', 'why, for the audit log')
    .action((id: number | undefined, options: ClearOptions) => clear(id, options, output));
}

function addSubjectOptions(command: Command): Command {
  return command
    .option('--client <id>', 'a client: its hardware address, or its client identifier in hex')
    .option('--address <address>', 'the client that has this address, and the address itself: nobody gets it')
    .option('--port <circuit-id>', 'a port of a relay (option 82): text, or 0x and hex')
    .option('--remote-id <id>', 'with --port: of this relay alone');
}

/** @throws CliError */
function subjectOf({ address, client, port, remoteId }: SubjectOptions, id?: number): Record<string, string | number | undefined> {
  if ([client, address, port, id].filter((value) => value !== undefined).length !== 1) {
    throw new CliError(ExitCode.usage, `expected one of ${id === undefined ? '' : 'an id, '}--client, --address and --port`);
  }
  if (remoteId !== undefined && port === undefined) throw new CliError(ExitCode.usage, 'expected --port beside --remote-id');
  return { id, client, address, circuitId: port, remoteId };
}

async function add({ address, client, for: lasting, mode, port, reason, remoteId, until, ...options }: AddOptions, output: CliOutput): Promise<void> {
  if (until !== undefined && lasting !== undefined) throw new CliError(ExitCode.usage, 'expected --until or --for, and not both');
  const { id: _none, ...subject } = subjectOf({ address, client, port, remoteId });
  const { changed, leases, quarantine } = await operationClient(options).call<ResultOf<typeof quarantineAdd>>(
    quarantineAdd.method, quarantineAdd.path, { ...subject, mode, reason, until: until ?? lasting },
  );
  const end = quarantine.until === null ? 'until it is cleared' : `until ${quarantine.until}`;
  await output.out(`${changed ? 'changed' : 'added'} quarantine ${quarantine.id}: ${whoText(quarantine)}, ${end}\n` +
    leases.map((lease) => `ends the lease of ${lease.address}, ${lease.hardware}\n`).join(''));
  if (address !== undefined && leases.length === 0 && !changed) output.err(`Nobody has ${address} now: the address alone is kept from everybody.\n`);
}

async function list({ json, ...options }: ReadingOptions & { readonly json?: true }, output: CliOutput): Promise<void> {
  const views: QuarantineView[] = [];
  for await (const some of readingClient(options).list<QuarantineView>(quarantineList.path, {})) views.push(...some);
  if (json) return output.out(views.map((view) => `${JSON.stringify(view)}\n`).join(''));
  if (views.length > 0) return output.out(renderTable(COLUMNS.map(({ title }) => title), views.map((view) => COLUMNS.map(({ cell }) => cell(view)))));
  return output.err('Nobody is in quarantine.\n');
}

async function clear(id: number | undefined, { address, client, port, reason, remoteId, ...options }: ClearOptions, output: CliOutput): Promise<void> {
  const parameters = { ...subjectOf({ address, client, port, remoteId }, id), reason };
  const { cleared } = await operationClient(options).call<ResultOf<typeof quarantineClear>>(quarantineClear.method, quarantineClear.path, parameters);
  await output.out(cleared.map((view) => `cleared quarantine ${view.id}: ${whoText(view)}\n`).join(''));
}

function whoText({ address, circuitId, clientId, hardware, remoteId }: QuarantineView): string {
  if (circuitId !== undefined) return `port ${circuitId}${remoteId === undefined ? '' : ` of ${remoteId}`}`;
  const client = hardware ?? clientId;
  return [...(address === undefined ? [] : [address]), ...(client === undefined ? [] : [`client ${client}`])].join(', ');
}

/** Checked here, where the option can be named; the node reads it by its own clock. */
function ahead(text: string): string {
  if (parseMoment(text, Math.floor(Date.now() / 1000), 'ahead') === undefined) throw new InvalidArgumentError(`expected ${MOMENT_EXPECTED}.`);
  return text;
}

function duration(text: string): string {
  if (parseDurationMs(text) === undefined) throw new InvalidArgumentError('expected a duration such as 90m, 12h or 7d.');
  return text;
}

function whole(text: string): number {
  const id = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (id === 0) throw new InvalidArgumentError('expected a number, as lessor quarantine list has it.');
  return id;
}
