/** `lessor leases`: the bindings of the cluster, as they come: a million of them need no memory here. */
import { Option, type Command } from 'commander';
import { leaseCursor, SORT_FIELDS } from '../admin/lease-order.ts';
import type { SortField } from '../admin/lease-order.ts';
import type { LeaseView } from '../admin/lease-view.ts';
import type { ResultOf } from '../admin/operation.ts';
import { leaseCount, leases as listed } from '../admin/operations/leases.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { csvRow } from './csv.ts';
import type { NodeClient } from './node-client.ts';
import { addReadingOptions, readingClient } from './operation-target.ts';
import type { ReadingOptions } from './operation-target.ts';
import type { CliOutput } from './output.ts';
import { printable, renderRow } from './table.ts';

/** As commander names them, and as the operation does. */
const CONDITIONS = [
  'client', 'address', 'subnet', 'pool', 'network', 'state', 'owner', 'expiresBefore', 'expiresAfter', 'grantedSince', 'circuitId', 'remoteId',
  'vendorClass', 'reserved', 'dnsName',
] as const;

type Conditions = Readonly<Partial<Record<typeof CONDITIONS[number], string>>>;

interface LeasesOptions extends ReadingOptions, Conditions {
  readonly sort?: SortField;
  readonly reverse?: true;
  readonly limit?: string;
  readonly after?: string;
  readonly count?: true;
  readonly csv?: true;
  readonly json?: true;
}

/** Widths of what is usual: the list streams, so nobody knows its widest cell. */
const COLUMNS: readonly { readonly title: string; readonly width: number; readonly cell: (lease: LeaseView) => string }[] = [
  { title: 'ADDRESS', width: 15, cell: (lease) => lease.address },
  { title: 'STATE', width: 9, cell: (lease) => lease.state },
  { title: 'ENDS', width: 20, cell: (lease) => lease.expires },
  { title: 'HARDWARE', width: 17, cell: (lease) => lease.hardware || '-' },
  { title: 'SUBNET', width: 18, cell: (lease) => lease.subnet || '-' },
  { title: 'OWNER', width: 5, cell: (lease) => lease.owner ?? '-' },
  { title: 'CLIENT ID', width: 16, cell: (lease) => (lease.clientIdentifier ? lease.client : '-') },
  { title: 'HOST NAME', width: 0, cell: (lease) => (lease.hostname ?? '') + (lease.reserved ? ' (reserved)' : '') },
];
const WIDTHS = COLUMNS.map(({ width }) => width);

const CSV: readonly { readonly title: string; readonly cell: (lease: LeaseView) => string | number | boolean }[] = [
  { title: 'address', cell: ({ address }) => address },
  { title: 'state', cell: ({ state }) => state },
  { title: 'expires', cell: ({ expires }) => expires },
  { title: 'stateSince', cell: ({ stateSince }) => stateSince },
  { title: 'lastTransaction', cell: ({ lastTransaction }) => lastTransaction },
  { title: 'leaseSeconds', cell: ({ leaseSeconds }) => leaseSeconds },
  { title: 'hardware', cell: ({ hardware }) => hardware },
  { title: 'client', cell: ({ client }) => client },
  { title: 'clientIdentifier', cell: ({ clientIdentifier }) => clientIdentifier },
  { title: 'hostname', cell: ({ hostname = '' }) => hostname },
  { title: 'dnsName', cell: ({ dns }) => dns?.name ?? '' },
  { title: 'dnsState', cell: ({ dns }) => dns?.state ?? '' },
  { title: 'subnet', cell: ({ subnet }) => subnet },
  { title: 'owner', cell: ({ owner = '' }) => owner },
  { title: 'reserved', cell: ({ reserved }) => reserved },
  { title: 'relayAgentInformation', cell: ({ relayAgentInformation = '' }) => relayAgentInformation },
];

interface Form {
  readonly head: string;
  readonly line: (lease: LeaseView) => string;
}

const row = (cells: readonly string[]): string => renderRow(cells, WIDTHS);
const TABLE: Form = { head: row(COLUMNS.map(({ title }) => title)), line: (lease) => row(COLUMNS.map(({ cell }) => cell(lease))) };
const JSON_LINES: Form = { head: '', line: (lease) => `${JSON.stringify(lease)}\n` };
const SHEET: Form = {
  head: csvRow(CSV.map(({ title }) => title)),
  line: (lease) => csvRow(CSV.map(({ cell }) => {
    const value = cell(lease);
    return typeof value === 'string' ? printable(value) : value;
  })),
};

export function addLeasesCommand(program: Command, output: CliOutput): void {
  addReadingOptions(program.command('leases'))
    .description('list bindings; all conditions that are given hold at once')
    .option('--client <id>', 'a hardware address, a client identifier in hex, or a host name; * stands for anything: "52:54:00:*"')
    .option('--address <address>', 'an IPv4 address, a range (10.0.0.10-10.0.0.20) or a prefix (10.0.0.0/24)')
    .option('--subnet <subnet>', 'one subnet of the configuration, such as 10.0.0.0/8')
    .option('--pool <pool>', 'one pool: as lessor pools names it, or any address in it')
    .option('--network <name>', 'one shared network')
    .option('--state <states>', 'ACTIVE, EXPIRED, RELEASED or ABANDONED; several with commas between them')
    .option('--owner <node>', 'addresses that this node owns')
    .option('--expires-before <time>', 'the lease ends before this time (2027-03-31T18:00Z), or within this duration (2h)')
    .option('--expires-after <time>', 'the lease ends after this time, or not before this duration is over')
    .option('--granted-since <time>', 'the client was given its lease since this time, or within this duration until now')
    .option('--circuit-id <id>', 'the circuit-id of the relay, as text or in hex; * stands for anything')
    .option('--remote-id <id>', 'the remote-id of the relay, likewise')
    .option('--vendor-class <text>', 'somewhere in what the client says of its vendor (option 60)')
    .addOption(new Option('--reserved <yes|no>', 'whether the address is the client\'s by a reservation').choices(['yes', 'no']))
    .option('--dns-name <name>', 'a name that the address has in DNS, or is to have; * stands for anything')
    .addOption(new Option('--sort <field>', 'in which order').choices(SORT_FIELDS).default('address'))
    .option('--reverse', 'the other way round')
    .option('--limit <number>', 'at most so many; where there are more, what to ask for next is told')
    .option('--after <place>', 'go on behind the end of the page before')
    .addOption(new Option('--count', 'only how many there are').conflicts(['json', 'csv', 'limit', 'after', 'reverse']))
    .addOption(new Option('--csv', 'as comma-separated values (RFC 4180), with an apostrophe before what a spreadsheet would take for a formula').conflicts('json'))
    .option('--json', 'one binding a line, as JSON')
    .action((options: LeasesOptions) => (options.count ? countLeases(options, output) : listLeases(options, output)));
}

function conditionsOf(options: LeasesOptions): Record<string, string> {
  return Object.fromEntries(CONDITIONS.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));
}

async function countLeases(options: LeasesOptions, output: CliOutput): Promise<void> {
  const { count } = await readingClient(options).call<ResultOf<typeof leaseCount>>(leaseCount.method, leaseCount.path, conditionsOf(options));
  await output.out(`${count}\n`);
}

async function listLeases(options: LeasesOptions, output: CliOutput): Promise<void> {
  const conditions = conditionsOf(options);
  const { after, limit, reverse, sort } = options;
  const query = {
    ...conditions, ...(sort === undefined || sort === 'address' ? {} : { sort }), ...(reverse ? { reverse: 'yes' } : {}),
    ...(limit === undefined ? {} : { limit }), ...(after === undefined ? {} : { after }),
  };
  const form = options.json ? JSON_LINES : options.csv ? SHEET : TABLE;
  const { count, last } = await writeAll(readingClient(options), query, form, output);
  if (last !== undefined) {
    if (limit !== undefined && count >= Number(limit)) output.err(`There may be more: --after '${leaseCursor({ field: sort ?? 'address' }, last)}'\n`);
    return;
  }
  if (after !== undefined) return;
  const asked = Object.entries(conditions).map(([name, value]) => `${name} ${value}`).join(', ');
  // Who asks for one client or address wants to know whether it is there.
  if (options.client !== undefined || options.address !== undefined) {
    throw new CliError(ExitCode.no, `no binding for ${asked}. Without conditions, lessor leases lists them all.`);
  }
  output.err(asked === '' ? 'No bindings yet.\n' : `No bindings for ${asked}.\n`);
}

async function writeAll(
  client: NodeClient, query: Readonly<Record<string, string>>, { head, line }: Form, output: CliOutput,
): Promise<{ count: number; last: LeaseView | undefined }> {
  let count = 0;
  let last: LeaseView | undefined;
  for await (const leases of client.list<LeaseView>(listed.path, query)) {
    if (leases.length === 0) continue;
    if (count === 0) await output.out(head);
    count += leases.length;
    last = leases.at(-1);
    await output.out(leases.map(line).join(''));
  }
  // A sheet without rows has its head all the same.
  if (count === 0 && head === SHEET.head) await output.out(head);
  return { count, last };
}
