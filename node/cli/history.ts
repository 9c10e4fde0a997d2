/** `lessor history`: who held an address, or which addresses a client held. */
import { InvalidArgumentError, type Command } from 'commander';
import type { HeldLeaseView, HistoryCoverageView } from '../admin/history-view.ts';
import { isoSeconds } from '../admin/lease-view.ts';
import { history } from '../admin/operations/history.ts';
import { MOMENT_EXPECTED, parseMoment } from '../admin/moment.ts';
import type { OptionJson } from '../codec/options.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { csvRow } from './csv.ts';
import { addOperationOptions, operationClient } from './operation-target.ts';
import type { OperationOptions } from './operation-target.ts';
import type { CliOutput } from './output.ts';
import { renderTable } from './table.ts';

interface Options extends OperationOptions {
  readonly address?: string;
  readonly client?: string;
  readonly at?: number;
  readonly from?: number;
  readonly to?: number;
  readonly json?: true;
  readonly csv?: true;
}

type Entry = HeldLeaseView | HistoryCoverageView;

const COLUMNS: readonly { readonly title: string; readonly cell: (lease: HeldLeaseView) => string }[] = [
  { title: 'FROM', cell: ({ from }) => from },
  { title: 'TO', cell: ({ exact, to }) => (to ?? 'now') + (exact ? '' : '?') },
  { title: 'END', cell: ({ end }) => end },
  { title: 'ADDRESS', cell: ({ address }) => address },
  { title: 'HARDWARE', cell: ({ hardware }) => hardware || '-' },
  { title: 'CLIENT ID', cell: ({ client, clientIdentifier }) => (clientIdentifier ? client : '-') },
  { title: 'RELAY PORT', cell: relayPort },
  { title: 'HOST NAME', cell: ({ hostname = '' }) => hostname },
];

const CSV: readonly Exclude<keyof HeldLeaseView, 'kind' | 'relay'>[] = [
  'address', 'from', 'to', 'end', 'exact', 'leaseStart', 'lastTransaction', 'expires', 'hardware', 'client', 'clientIdentifier', 'hostname', 'vendorClass',
  'relayAgentInformation', 'reserved',
];

export function addHistoryCommand(program: Command, output: CliOutput): void {
  addOperationOptions(program.command('history'))
    .description('who held an address, or which addresses a client held; times are UTC, the newest lease first')
    .option('--address <address>', 'who held this address')
    .option('--client <id>', 'which addresses this client held: a hardware address, or a client identifier in hex (host names are shown, but nothing is found by them)')
    .option('--at <time>', 'at this time: 2027-03-31T18:00Z, 2027-03-31, or how long ago, such as 10m', past)
    .option('--from <time>', 'from then on', past)
    .option('--to <time>', 'until then', past)
    .option('--json', 'as JSON, one entry a line; the first says from when on the history knows')
    .option('--csv', 'as comma-separated values (RFC 4180)')
    .action((options: Options) => showHistory(options, output));
}

/** UTC seconds. */
function past(text: string): number {
  const second = parseMoment(text, Math.floor(Date.now() / 1000), 'ago');
  if (second === undefined) throw new InvalidArgumentError(`expected ${MOMENT_EXPECTED}.`);
  return second;
}

async function showHistory({ address, at, client, csv, from, json, to, ...options }: Options, output: CliOutput): Promise<void> {
  if ((address === undefined) === (client === undefined)) throw new CliError(ExitCode.usage, 'expected --address or --client, and not both');
  if (at !== undefined && (from !== undefined || to !== undefined)) throw new CliError(ExitCode.usage, 'expected --at, or --from and --to, and not both');
  const leases: HeldLeaseView[] = [];
  const coverage = await readAll(options, { address, client, at: isoOf(at), from: isoOf(from), to: isoOf(to) }, leases);
  if (json) await output.out([coverage, ...leases].map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  else if (csv) await output.out([csvRow(CSV), ...leases.map((lease) => csvRow(CSV.map((name) => lease[name] ?? undefined)))].join(''));
  else if (leases.length > 0) await output.out(renderTable(COLUMNS.map(({ title }) => title), leases.map((lease) => COLUMNS.map(({ cell }) => cell(lease)))));
  output.err(coverageText(coverage));
  if (leases.length === 0) throw new CliError(ExitCode.no, `nothing is known of ${address ?? client!}${at === undefined ? '' : ` at ${isoOf(at)!}`}`);
}

/** A long answer comes in parts, the oldest first. */
async function readAll(options: OperationOptions, parameters: Record<string, string | undefined>, into: HeldLeaseView[]): Promise<HistoryCoverageView> {
  const client = operationClient(options);
  let coverage: HistoryCoverageView | undefined;
  for (let asked = parameters; ;) {
    const part: HeldLeaseView[] = [];
    for await (const entries of client.list<Entry>(history.path, asked)) {
      for (const entry of entries) {
        if (entry.kind === 'lease') part.push(entry);
        else coverage = entry;
      }
    }
    into.unshift(...part);
    if (coverage === undefined) throw new CliError(ExitCode.unreachable, 'the node\'s answer broke off');
    if (coverage.goesOnAt === null) return coverage;
    asked = { ...parameters, goOnAt: coverage.goesOnAt };
  }
}

function isoOf(seconds: number | undefined): string | undefined {
  return seconds === undefined ? undefined : isoSeconds(seconds);
}

function relayPort({ relay, relayAgentInformation }: HeldLeaseView): string {
  const circuit = (relay as { readonly 'circuit-id'?: OptionJson } | undefined)?.['circuit-id'];
  return typeof circuit === 'string' ? circuit : relayAgentInformation ?? '-';
}

function coverageText({ gap, node, since }: HistoryCoverageView): string {
  const missing = gap === null ? '' : ` What ended from ${gap.from} to ${gap.to ?? 'now'} is still being copied from another node: ask that one, or again later.`;
  return `The history of ${node} goes back to ${since}.${missing}\n`;
}
