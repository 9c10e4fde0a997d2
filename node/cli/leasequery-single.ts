/** `lessor leasequery single`: who has an address, or which one a client has (RFC 4388). */
import { Option, type Command } from 'commander';
import { wallSeconds, type WallMs } from '../time.ts';
import type { HardwareAddress } from '../codec/address.ts';
import { QueryType } from '../leasequery/messages.ts';
import { SINGLE_OPTIONS, type QuerySubject } from '../leasequery/requestor/queries.ts';
import { CliError, ExitCode } from './cli-error.ts';
import {
  addOptionsOption, chosenOptions, type OptionChoice, readAddress, readClientIdentifier, readCount, readDuration, readHardware, readPort,
  readServer,
} from './leasequery-arguments.ts';
import { serverName, type QueryServer } from './leasequery-connection.ts';
import { askByDatagram } from './leasequery-datagram.ts';
import { asCliError } from './leasequery-failure.ts';
import { answerLines, answerView, jsonLine, type AnswerView } from './leasequery-view.ts';
import type { CliOutput } from './output.ts';
import { printable } from './table.ts';

interface SingleOptions {
  readonly server: QueryServer;
  readonly address?: number;
  readonly hardware?: HardwareAddress;
  readonly clientId?: Buffer;
  readonly giaddr?: number;
  readonly sourcePort?: number;
  readonly options?: OptionChoice;
  readonly timeout: number;
  readonly retries: number;
  readonly json?: true;
}

const EXIT_CODES = `
Exit codes: 0 the server answers ACTIVE or UNASSIGNED; 1 it answers UNKNOWN; 2 wrong usage; 3 no answer.`;

export function addSingleCommand(leasequery: Command, output: CliOutput): void {
  addOptionsOption(leasequery.command('single')
    .description('ask about one address or client over UDP (RFC 4388); answers come to port 67 of this host, which needs privilege')
    .addOption(new Option('--server <host[:port]>', 'whom to ask').argParser(readServer).makeOptionMandatory())
    .addOption(new Option('--address <address>', 'who has this address').argParser(readAddress))
    .addOption(new Option('--hardware <address>', 'which address has this client, such as 52:54:00:12:34:56').argParser(readHardware))
    .addOption(new Option('--client-id <hex>', 'the same by its option 61, type included').argParser(readClientIdentifier))
    .addOption(new Option('--giaddr <address>', 'the address of this host that the answer goes to (default: the one that reaches the server)')
      .argParser(readAddress))
    .addOption(new Option('--source-port <port>', 'ask for the answer at this port instead of 67; only servers that know RFC 8357 do that')
      .argParser(readPort)))
    .addOption(new Option('--timeout <duration>', 'until the first repetition; each one waits twice as long').argParser(readDuration).default(1000, '1s'))
    .addOption(new Option('--retries <count>', 'repetitions').argParser(readCount).default(3))
    .option('--json', 'the answer as one line of JSON')
    .addHelpText('after', EXIT_CODES)
    .action((options: SingleOptions) => ask(options, output));
}

async function ask(options: SingleOptions, output: CliOutput): Promise<void> {
  const { server, giaddr, sourcePort, timeout, retries } = options;
  const asked = chosenOptions(SINGLE_OPTIONS, options.options);
  const answer = await askByDatagram({
    server, subject: subjectOf(options), options: asked, giaddr, sourcePort, timeoutMs: timeout, retries,
  }).catch((error: unknown) => {
    throw asCliError(error, server);
  });
  const now = wallSeconds(Date.now() as WallMs);
  const view = answerView(answer, { server: undefined, wallSeconds: now, asked });
  await output.out(options.json ? jsonLine(view) : answerText(view, server, now));
  if (answer.type === QueryType.LEASEUNKNOWN) {
    throw new CliError(ExitCode.no, options.address === undefined ? 'the server knows no lease of this client.' : 'the server does not manage this address.');
  }
}

function subjectOf({ address, hardware, clientId }: SingleOptions): QuerySubject {
  const subjects: QuerySubject[] = [
    ...(address === undefined ? [] : [{ by: 'address', address } as const]),
    ...(hardware === undefined ? [] : [{ by: 'hardware', hardware } as const]),
    ...(clientId === undefined ? [] : [{ by: 'client-id', identifier: clientId } as const]),
  ];
  // RFC 4388 §6.3: exactly one.
  if (subjects.length !== 1) throw new CliError(ExitCode.usage, 'give exactly one of --address, --hardware and --client-id.');
  return subjects[0]!;
}

function answerText(view: AnswerView, server: QueryServer, now: number): string {
  const told = answerLines(view, now);
  const width = Math.max(0, ...told.map(([label]) => label.length)) + ':  '.length;
  const lines = told.map(([label, text]) => `  ${`${label}:`.padEnd(width)}${text}`);
  const title = `${view.address === undefined ? '' : `${view.address} `}${view.type}, says ${view.server ?? serverName(server)}`;
  return [title, ...lines].map((line) => `${printable(line)}\n`).join('');
}
