/** How a query that failed ends a command. */
import { CliError, ExitCode } from './cli-error.ts';
import { QueryFailure, serverName, type QueryFailureCode, type QueryServer } from './leasequery-connection.ts';
import { printable } from './table.ts';

/** What to do next, by what went wrong. */
const HINTS: Readonly<Record<QueryFailureCode, string>> = {
  unreachable: 'Is a server running there, and does it allow LEASEQUERY from this address (leasequery.requestors)? --server names another host or port',
  tls: 'Look at --tls-ca, --tls-cert, --tls-key and --tls-server-name, and at what the server\'s log says of TLS',
  timeout: 'Ask again, with a longer --timeout, or ask another server (--server)',
  closed: 'Its log may say why: it may not allow LEASEQUERY from this address, or no more connections. Ask again, or ask another server (--server)',
  protocol: 'Is this the port of a LEASEQUERY server? --server HOST:PORT names another one',
  refused: 'The server says so itself: its configuration or its log tells more',
  stopped: 'Give the command again to go on',
};

/** `more`: what else is to be known about it. Anything but a QueryFailure is thrown as it is. */
export function asCliError(error: unknown, server: QueryServer, more = ''): CliError {
  if (!(error instanceof QueryFailure)) throw error;
  // A server that told why has been reached, and its answer is no.
  return new CliError(error.code === 'refused' ? ExitCode.no : ExitCode.unreachable, `${failureText(error, server)}${more.replace(/\.$/, '')}. ${HINTS[error.code]}.`, { cause: error });
}

/** "10.0.0.1:67: connection refused"; what a server has sent cannot steer the terminal. */
export function failureText(failure: QueryFailure, server: QueryServer): string {
  return printable(`${serverName(server)}: ${failure.message}`);
}
