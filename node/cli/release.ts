/** `lessor release`: ends leases in their clients' place. */
import type { Command } from 'commander';
import type { ResultOf } from '../admin/operation.ts';
import { release } from '../admin/operations/release.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addOperationOptions, operationClient } from './operation-target.ts';
import type { OperationOptions } from './operation-target.ts';
import type { CliOutput } from './output.ts';

interface Options extends OperationOptions {
  readonly client?: string;
  readonly reason?: string;
}

export function addReleaseCommand(program: Command, output: CliOutput): void {
  addOperationOptions(program.command('release'))
    .description('end leases as their client\'s DHCPRELEASE would; the client is not told, so it should be gone')
    .argument('[address]', 'the lease of this address')
    .option('--client <id>', 'all leases of a client: a hardware address, or a client identifier in hex')
    .option('--reason <text>', 'why, for the audit log')
    .action(async (address: string | undefined, { client, reason, ...options }: Options) => {
      if ((address === undefined) === (client === undefined)) throw new CliError(ExitCode.usage, 'expected an address or --client, and not both');
      const { released } = await operationClient(options).call<ResultOf<typeof release>>(release.method, release.path, { address, client, reason });
      await output.out(released.map((lease) => `released ${lease.address} of ${lease.hardware || lease.client}\n`).join(''));
    });
}
