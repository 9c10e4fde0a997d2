/** `lessor node`: a node in the foreground. */
import type { Command } from 'commander';
import { ConfigError, loadNodeConfig } from '../config/load.ts';
import { CliError, ExitCode } from './cli-error.ts';

export function addNodeCommand(program: Command): void {
  program
    .command('node')
    .description('run a node in the foreground; SIGTERM stops it cleanly')
    .requiredOption('--config <file>', 'the configuration of this host (node.yaml)')
    .action(async ({ config }: { config: string }) => runNode(config));
}

async function runNode(config: string): Promise<void> {
  try {
    // Before anything else is loaded or opened: the process may begin again here.
    const { dropPrivileges } = await import('../io/privileges.ts');
    const events = dropPrivileges(loadNodeConfig(config));
    // Only this command needs the server and the native libraries that come with it.
    const main = await import('../main.ts');
    await main.runNode(config, events);
  } catch (error) {
    if (error instanceof ConfigError || !isForOperator(error)) throw error;
    throw new CliError(ExitCode.no, error.message, { cause: error });
  }
}

/** Errors of the environment carry a code of their own or the system's; anything else is a bug and shows its stack. */
function isForOperator(error: unknown): error is Error {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && !code.startsWith('ERR_');
}
