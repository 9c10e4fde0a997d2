/** `lessor ready`: whether a node answers clients, as an exit code; for health checks of containers and scripts. */
import type { Command } from 'commander';
import { CliError, ExitCode } from './cli-error.ts';
import { NodeClient } from './node-client.ts';
import type { CliOutput } from './output.ts';
import { addTargetOptions, nodeTarget, type TargetOptions } from './target-options.ts';

export function addReadyCommand(program: Command, output: CliOutput): void {
  addTargetOptions(program.command('ready'))
    .description('ask a node whether it answers clients: exit code 0 if it does')
    .action(async (options: TargetOptions) => {
      const { ready, reason } = await new NodeClient(nodeTarget(options)).readiness();
      if (!ready) throw new CliError(ExitCode.no, `not ready: ${reason}`);
      await output.out('ready\n');
    });
}
