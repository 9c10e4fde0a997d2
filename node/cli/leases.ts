/** `lessor leases`: the bindings of the cluster, as they come: a million of them need no memory here. */
import type { Command } from 'commander';
import type { LeaseView } from '../admin/lease-view.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { NodeClient } from './node-client.ts';
import type { CliOutput } from './output.ts';
import { renderRow } from './table.ts';
import { addTargetOptions, nodeTarget, type TargetOptions } from './target-options.ts';

interface LeasesOptions extends TargetOptions {
  readonly json?: true;
  readonly client?: string;
  readonly address?: string;
  readonly subnet?: string;
  readonly state?: string;
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
  { title: 'HOST NAME', width: 0, cell: (lease) => nameOf(lease) + (lease.reserved ? ' (reserved)' : '') },
];
const WIDTHS = COLUMNS.map(({ width }) => width);

/** In DNS, with how it stands there; else as the client calls itself. */
function nameOf({ dns, hostname }: LeaseView): string {
  if (dns === undefined) return hostname ?? '';
  return dns.state === 'added' ? dns.name : `${dns.name} (in DNS: ${dns.state})`;
}

const row = (cells: readonly string[]): string => renderRow(cells, WIDTHS);
const toRow = (lease: LeaseView): string => row(COLUMNS.map(({ cell }) => cell(lease)));
const toJsonLine = (lease: LeaseView): string => `${JSON.stringify(lease)}\n`;

export function addLeasesCommand(program: Command, output: CliOutput): void {
  addTargetOptions(program.command('leases'))
    .description('list bindings, in order of address')
    .option('--client <id>', 'a hardware address, a client identifier in hex, or a host name')
    .option('--address <address>', 'one IPv4 address')
    .option('--subnet <subnet>', 'one subnet of the configuration, such as 10.0.0.0/8')
    .option('--state <state>', 'ACTIVE, EXPIRED, RELEASED or ABANDONED')
    .option('--json', 'one binding a line, as JSON')
    .action((options: LeasesOptions) => listLeases(options, output));
}

async function listLeases(options: LeasesOptions, output: CliOutput): Promise<void> {
  const query: Record<string, string> = {};
  for (const name of ['client', 'address', 'subnet', 'state'] as const) {
    const value = options[name];
    if (value !== undefined) query[name] = value;
  }
  const target = nodeTarget(options);
  let count = 0;
  for await (const leases of new NodeClient(target).leases(query)) {
    if (count === 0 && leases.length > 0 && !options.json) await output.out(row(COLUMNS.map(({ title }) => title)));
    count += leases.length;
    const line = options.json ? toJsonLine : toRow;
    if (leases.length > 0) await output.out(leases.map(line).join(''));
  }
  if (count > 0) return;
  const asked = Object.entries(query).map(([name, value]) => `${name} ${value}`).join(', ');
  // Who asks for one client or address wants to know whether it is there.
  if (options.client !== undefined || options.address !== undefined) {
    throw new CliError(ExitCode.no, `no binding for ${asked}. Without conditions, lessor leases lists them all.`);
  }
  output.err(asked === '' ? 'No bindings yet.\n' : `No bindings for ${asked}.\n`);
}
