/** The `lessor` command: its subcommands, and how they end. */
import { Command, CommanderError } from 'commander';
import { ConfigError } from '../config/load.ts';
import { VERSION } from '../version.ts';
import { addAbandonedCommands } from './abandoned.ts';
import { addApiCommand } from './api.ts';
import { addAuditCommand } from './audit.ts';
import { addBackupCommands } from './backup.ts';
import { addCertCommand } from './cert.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addConfigCommand } from './config.ts';
import { addDnsCommands } from './dns.ts';
import { addDoctorCommand } from './doctor.ts';
import { addDrainCommands } from './drain.ts';
import { addLastResortCommands } from './last-resort.ts';
import { addLeasesCommand } from './leases.ts';
import { addLeasequeryCommand } from './leasequery.ts';
import { addNodeCommand } from './node.ts';
import type { CliOutput } from './output.ts';
import { addQuarantineCommands } from './quarantine.ts';
import { addPoolsCommand } from './pools.ts';
import { addReadyCommand } from './ready.ts';
import { addHistoryCommand } from './history.ts';
import { addReleaseCommand } from './release.ts';
import { addReservationCommand } from './reservation.ts';
import { addStatusCommand } from './status.ts';
import { addTokenCommands } from './token.ts';

const EXIT_CODES = `
Exit codes: 0 done; 1 the answer is no (mistakes, nothing found, the node did not start);
2 wrong usage; 3 the node cannot be reached.`;

/** @returns the exit code. Errors that are nobody's doing but ours are thrown. */
export async function runCli(args: readonly string[], output: CliOutput): Promise<ExitCode> {
  const written: Promise<void>[] = [];
  const program = createProgram(output, (text) => written.push(output.out(text)));
  try {
    await program.parseAsync(args, { from: 'user' });
    return ExitCode.ok;
  } catch (error) {
    return exitCodeFor(error, output);
  } finally {
    await Promise.all(written);
  }
}

function createProgram(output: CliOutput, writeOut: (text: string) => void): Command {
  const program = new Command('lessor')
    .description('High-availability DHCPv4 server')
    .exitOverride()
    .configureOutput({ writeOut, writeErr: (text) => output.err(text) })
    .showHelpAfterError('(--help shows the usage)')
    .addHelpText('after', EXIT_CODES);
  addNodeCommand(program);
  addConfigCommand(program, output);
  addReservationCommand(program, output);
  addReleaseCommand(program, output);
  addQuarantineCommands(program, output);
  addAbandonedCommands(program, output);
  addDnsCommands(program, output);
  addHistoryCommand(program, output);
  addDrainCommands(program, output);
  addLastResortCommands(program, output);
  addDoctorCommand(program, output);
  addBackupCommands(program, output);
  addStatusCommand(program, output);
  addReadyCommand(program, output);
  addLeasesCommand(program, output);
  addPoolsCommand(program, output);
  addLeasequeryCommand(program, output);
  addAuditCommand(program, output);
  addApiCommand(program, output);
  addTokenCommands(program, output);
  addCertCommand(program, output);
  addVersion(program);
  return program;
}

/** Everywhere, as `--help` is. */
function addVersion(command: Command): void {
  command.version(VERSION, '-V, --version', 'print the version');
  command.commands.forEach(addVersion);
}

function exitCodeFor(error: unknown, output: CliOutput): ExitCode {
  // Help and version end this way too; everything else of commander's is wrong usage, already told.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  if (error instanceof CliError) {
    output.err(`lessor: ${error.message}\n`);
    return error.exitCode;
  }
  if (error instanceof ConfigError) {
    output.err(`${error.message}\n`);
    if (error.code === 'config-unreadable') output.err('Name the file that is meant (--config), and let this user read it.\n');
    return ExitCode.no;
  }
  throw error;
}
