/** `lessor leasequery bulk`: the bindings of a server as they come (RFC 6926); a million of them need no memory here. */
import { Option, type Command } from 'commander';
import type { HardwareAddress } from '../codec/address.ts';
import { QueryStatus, QueryType } from '../leasequery/messages.ts';
import type { Answer } from '../leasequery/requestor/answer.ts';
import { STREAM_OPTIONS, type BulkQuery, type QuerySubject, type VirtualSubnet } from '../leasequery/requestor/queries.ts';
import { CliError, ExitCode } from './cli-error.ts';
import {
  addOptionsOption, addTlsOptions, chosenOptions, type OptionChoice, readClientIdentifier, readDuration, readHardware, readRelayIdentifier,
  readServer, readTime, readTlsTerms, type TlsOptions,
} from './leasequery-arguments.ts';
import { BULK_DATA_MS_MAX, LeaseQueryConnection, QueryFailure, type QueryServer } from './leasequery-connection.ts';
import { asCliError } from './leasequery-failure.ts';
import { BindingPrinter } from './leasequery-printer.ts';
import { type BindingSink, describeRefusal, runBulkQuery } from './leasequery-session.ts';
import { jsonLine } from './leasequery-view.ts';
import type { CliOutput } from './output.ts';
import { Progress, rateText } from './progress.ts';

interface BulkOptions extends TlsOptions {
  readonly server: QueryServer;
  readonly hardware?: HardwareAddress;
  readonly clientId?: Buffer;
  readonly remoteId?: Buffer;
  readonly relayId?: Buffer;
  readonly startTime?: number;
  readonly endTime?: number;
  readonly allVpns?: true;
  readonly vpn?: string;
  readonly options?: OptionChoice;
  readonly timeout: number;
  readonly tls?: true;
  readonly count?: true;
  readonly json?: true;
}

const EXIT_CODES = `
Exit codes: 0 the server has told all; 1 it ended the query with an error; 2 wrong usage; 3 it cannot be
reached, or the connection ended before the query did: what came until then is printed.`;

export function addBulkCommand(leasequery: Command, output: CliOutput): void {
  const command = leasequery.command('bulk')
    .description('list the bindings of a server over TCP (RFC 6926): all, or those of one client, relay or remote-id')
    .addOption(new Option('--server <host[:port]>', 'whom to ask').argParser(readServer).makeOptionMandatory())
    .addOption(new Option('--hardware <address>', 'those of this client').argParser(readHardware))
    .addOption(new Option('--client-id <hex>', 'those of the client with this option 61, type included').argParser(readClientIdentifier))
    .addOption(new Option('--remote-id <value>', 'those behind this remote-id of option 82: text, or 0x and hex').argParser(readRelayIdentifier))
    .addOption(new Option('--relay-id <value>', 'those behind this relay-id of option 82: text, or 0x and hex').argParser(readRelayIdentifier))
    .addOption(new Option('--start-time <time>', 'those that changed then or later: 2027-03-31T18:00Z, seconds since 1970, or how long ago (10m)')
      .argParser(readTime))
    .addOption(new Option('--end-time <time>', 'those that changed then or before').argParser(readTime))
    .addOption(new Option('--all-vpns', 'in all virtual private networks of the server (RFC 6926 §6.2.9)').conflicts('vpn'))
    .option('--vpn <name>', 'in this one (RFC 6607)');
  addTlsOptions(addOptionsOption(command)
    .addOption(new Option('--timeout <duration>', 'give up when nothing comes for so long').argParser(readDuration).default(BULK_DATA_MS_MAX, '300s'))
    .option('--tls', 'over TLS, as active queries are (RFC 7724); also with any --tls option'))
    .option('--count', 'only how many there are in each state, and how fast they came')
    .option('--json', 'one binding a line, as JSON')
    .addHelpText('after', EXIT_CODES)
    .action((options: BulkOptions) => listBindings(options, output));
}

async function listBindings(options: BulkOptions, output: CliOutput): Promise<void> {
  const { server, timeout } = options;
  const query = queryOf(options);
  const isTls = options.tls ?? [options.tlsCa, options.tlsCert, options.tlsServerName].some((option) => option !== undefined);
  const tls = isTls ? readTlsTerms(options) : undefined;
  const counter = options.count ? new Counter() : undefined;
  const printer = new BindingPrinter(output, options.json ?? false, query.options);
  // Where bindings are printed on the same terminal they are progress enough.
  const told = counter !== undefined || !process.stdout.isTTY ? new ToldProgress(counter ?? printer) : undefined;
  try {
    const connection = await LeaseQueryConnection.open(server, { tls });
    try {
      const end = await runBulkQuery(connection, query, told ?? printer, { timeoutMs: timeout });
      if (end.status !== QueryStatus.SUCCESS) throw new QueryFailure('refused', describeRefusal(end.status, end.statusText));
    } finally {
      connection.close();
    }
  } catch (error) {
    told?.clear();
    const bindings = counter?.bindings ?? printer.bindings;
    throw asCliError(error, server, `; ${bindings === 1 ? '1 binding' : `${bindings} bindings`} came before.`);
  } finally {
    told?.clear();
    if (counter !== undefined) await output.out(options.json ? jsonLine(counter.totals()) : counter.text());
  }
  if (counter === undefined && printer.bindings === 0) output.err('No bindings.\n');
}

function queryOf(options: BulkOptions): Omit<BulkQuery, 'xid'> {
  const { hardware, clientId, remoteId, relayId, startTime, endTime } = options;
  const subjects: QuerySubject[] = [
    ...(hardware === undefined ? [] : [{ by: 'hardware', hardware } as const]),
    ...(clientId === undefined ? [] : [{ by: 'client-id', identifier: clientId } as const]),
    ...(remoteId === undefined ? [] : [{ by: 'remote-id', identifier: remoteId } as const]),
    ...(relayId === undefined ? [] : [{ by: 'relay-id', identifier: relayId } as const]),
  ];
  // RFC 6926 §7.2: only one of these primary queries.
  if (subjects.length > 1) throw new CliError(ExitCode.usage, 'give at most one of --hardware, --client-id, --remote-id and --relay-id.');
  if (startTime !== undefined && endTime !== undefined && startTime > endTime) {
    throw new CliError(ExitCode.usage, '--start-time comes after --end-time.');
  }
  return { subject: subjects[0], options: chosenOptions(STREAM_OPTIONS, options.options), startTime, endTime, virtualSubnet: virtualSubnetOf(options) };
}

function virtualSubnetOf({ allVpns, vpn }: BulkOptions): VirtualSubnet | undefined {
  if (vpn !== undefined && !/^[\u0020-\u007e]{1,254}$/.test(vpn)) throw new CliError(ExitCode.usage, '--vpn: expected 1 to 254 characters of ASCII.');
  return allVpns ? { all: true } : vpn === undefined ? undefined : { name: vpn };
}

/** Tells how far it has come while another sink takes the bindings. */
class ToldProgress implements BindingSink {
  readonly #sink: BindingSink;
  readonly #progress = new Progress();
  readonly #startedAt = performance.now();
  #bindings = 0;

  constructor(sink: BindingSink) {
    this.#sink = sink;
  }

  onBinding(answer: Answer, server: number | undefined): void {
    this.#bindings++;
    this.#sink.onBinding(answer, server);
    this.#progress.show(() => `${this.#bindings} bindings, ${rateText(this.#bindings, this.#startedAt)}`);
  }

  onPause(): Promise<void> {
    return this.#sink.onPause();
  }

  clear(): void {
    this.#progress.clear();
  }
}

class Counter implements BindingSink {
  bindings = 0;
  readonly #startedAt = performance.now();
  readonly #byState = new Map<string, number>();

  onBinding(answer: Answer): void {
    this.bindings++;
    const state = answer.state ?? (answer.type === QueryType.LEASEACTIVE ? 'ACTIVE' : 'UNASSIGNED');
    this.#byState.set(state, (this.#byState.get(state) ?? 0) + 1);
  }

  onPause(): Promise<void> {
    return Promise.resolve();
  }

  totals(): { readonly bindings: number; readonly states: Record<string, number>; readonly seconds: number; readonly bindingsPerSecond: number } {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    return {
      bindings: this.bindings, states: Object.fromEntries(this.#byState), seconds: Math.round(seconds * 1000) / 1000,
      bindingsPerSecond: Math.round(this.bindings / Math.max(seconds, 0.001)),
    };
  }

  text(): string {
    const { bindings, states, seconds, bindingsPerSecond } = this.totals();
    const lines = Object.entries(states).map(([state, count]) => `${state.padEnd(14)}${count}\n`);
    return `${lines.join('')}${'all'.padEnd(14)}${bindings}, in ${seconds} s: ${bindingsPerSecond}/s\n`;
  }
}
