/** How a query that failed ends a command. */
import { CliError, ExitCode } from './cli-error.ts';
import { QueryFailure, serverName, type QueryServer } from './leasequery-connection.ts';
import { printable } from './table.ts';

/** `more`: what else is to be known about it. Anything but a QueryFailure is thrown as it is. */
export function asCliError(error: unknown, server: QueryServer, more = ''): CliError {
  if (!(error instanceof QueryFailure)) throw error;
  // A server that told why has been reached, and its answer is no.
  return new CliError(error.code === 'refused' ? ExitCode.no : ExitCode.unreachable, failureText(error, server) + more, { cause: error });
}

/** "10.0.0.1:67: connection refused"; what a server has sent cannot steer the terminal. */
export function failureText(failure: QueryFailure, server: QueryServer): string {
  return printable(`${serverName(server)}: ${failure.message}`);
}
