/** `lessor dns`: how names get into DNS, and the comparison of leases and zones. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import type { ResultOf } from '../admin/operation.ts';
import { dnsResync, dnsStatus } from '../admin/operations/dns.ts';
import type { DnsResyncStatus, DnsStatus } from '../ddns/status.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addOperationOptions, addReadingOptions, operationClient, readingClient } from './operation-target.ts';
import type { OperationOptions, ReadingOptions } from './operation-target.ts';
import type { CliOutput } from './output.ts';
import { formatDuration, printable, renderTable } from './table.ts';

const LOOK_MS = 500;

export function addDnsCommands(program: Command, output: CliOutput): void {
  const dns = program.command('dns').description('names of clients in DNS');
  addReadingOptions(dns.command('status'))
    .description('what waits for each zone, and which zones fail and why; each node tells of the addresses that it owns')
    .option('--json', 'as JSON')
    .action(async (options: ReadingOptions & { json?: true }) => {
      const status = await readingClient(options).call<ResultOf<typeof dnsStatus>>(dnsStatus.method, dnsStatus.path, {});
      await output.out(options.json ? `${JSON.stringify(status, null, 2)}\n` : formatDnsStatus(status));
    });
  addOperationOptions(dns.command('resync'))
    .description('compare the leases of the addresses that this node owns with what the zones hold, and repair the zones; on each node for its own')
    .option('--reason <text>', 'why, for the audit log')
    .action(async ({ reason, ...options }: OperationOptions & { reason?: string }) => {
      const client = operationClient(options);
      let { resync } = await client.call<ResultOf<typeof dnsResync>>(dnsResync.method, dnsResync.path, reason === undefined ? {} : { reason });
      for (let told = ''; resync?.state === 'running';) {
        const line = `${progressText(resync)}\n`;
        if (line !== told) output.err(line);
        told = line;
        await wait(LOOK_MS);
        ({ resync } = await client.call<ResultOf<typeof dnsStatus>>(dnsStatus.method, dnsStatus.path, {}));
      }
      if (resync?.state !== 'done') throw new CliError(ExitCode.no, resync === null ? 'the node was restarted meanwhile: give the command again' : progressText(resync));
      await output.out(`${progressText(resync)}\n`);
    });
}

function progressText({ bindings, missing, records, step, stray }: DnsResyncStatus): string {
  return printable(`${step}: ${records} records of zones read, ${bindings} leases compared, ${missing} put in again, ${stray} taken out`);
}

export function formatDnsStatus({ estimated, pending, resync, underWay, zones }: DnsStatus): string {
  const head = pending === 0 ? 'nothing waits\n' : `${pending} ${pending === 1 ? 'address waits' : 'addresses wait'}, ${underWay} under way\n`;
  const rows = zones.map(({ failing, failingSeconds, pending: waiting, retrySeconds, zone }) => [
    zone === '' ? '(no zone)' : zone, `${estimated ? '~' : ''}${waiting}`,
    ...(failing === '' ? ['-', '-', ''] : [formatDuration(failingSeconds), formatDuration(retrySeconds), failing]),
  ]);
  const table = rows.length === 0 ? '' : `\n${renderTable(['ZONE', 'PENDING', 'FAILING FOR', 'NEXT TRY', 'REASON'], rows)}`;
  return `${head}${table}${resync === null ? '' : `\nlast comparison with the zones: ${resync.state}: ${progressText(resync)}\n`}`;
}
