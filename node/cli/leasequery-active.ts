/** `lessor leasequery active`: the changes of a server's bindings as they happen (RFC 7724). */
import { Option, type Command } from 'commander';
import { isoSeconds } from '../admin/lease-view.ts';
import { QueryStatus } from '../leasequery/messages.ts';
import type { Answer } from '../leasequery/requestor/answer.ts';
import { changeIdentity, SeenChanges } from '../leasequery/requestor/duplicates.ts';
import { KeptTime } from '../leasequery/requestor/kept-time.ts';
import { STREAM_OPTIONS } from '../leasequery/requestor/queries.ts';
import type { MonotonicMs } from '../time.ts';
import {
  addOptionsOption, addTlsOptions, chosenOptions, collectServers, type OptionChoice, readDuration, readTime, readTlsTerms, type TlsOptions,
} from './leasequery-arguments.ts';
import { ACTIVE_RECEIVE_MS_MAX, type QueryFailure, type QueryServer, serverName } from './leasequery-connection.ts';
import { asCliError, failureText } from './leasequery-failure.ts';
import { follow, FollowEnded, type FollowSink, RETRY_MS } from './leasequery-follow.ts';
import { BindingPrinter } from './leasequery-printer.ts';
import { StateFile } from './leasequery-state-file.ts';
import type { CliOutput } from './output.ts';
import { formatDuration } from './table.ts';

interface ActiveOptions extends TlsOptions {
  readonly server: readonly QueryServer[];
  readonly startTime?: number;
  readonly stateFile?: string;
  readonly bulkFill?: true;
  readonly duplicates?: true;
  readonly reconnect?: true;
  readonly retryInterval: number;
  readonly timeout: number;
  readonly options?: OptionChoice;
  readonly insecure?: true;
  readonly json?: true;
}

const EXIT_CODES = `
It runs until it is stopped (Ctrl-C, SIGTERM). Exit codes: 0 it was stopped; 1 the server ended the query, and
told why; 2 wrong usage; 3 the server cannot be reached, or the connection ended.`;

export function addActiveCommand(leasequery: Command, output: CliOutput): void {
  const command = leasequery.command('active')
    .description('print the changes of a server\'s bindings as they happen (RFC 7724), over TLS unless --insecure is given')
    .addOption(new Option('--server <host[:port]>', 'whom to follow; several times: who is tried when the one before cannot be')
      .argParser(collectServers).makeOptionMandatory())
    .addOption(new Option('--start-time <time>', 'first what has changed since then: 2027-03-31T18:00Z, seconds since 1970, or how long ago (10m)')
      .argParser(readTime).conflicts('stateFile'))
    .addOption(new Option('--state-file <file>', 'begin where the last run with this file ended, and keep the place in it'))
    .option('--bulk-fill', 'what the server no longer has as changes is got by a bulk query')
    .option('--reconnect', 'when a connection ends, go on with the next --server from the same place')
    .addOption(new Option('--retry-interval <duration>', 'between two attempts with one server').argParser(readDuration).default(RETRY_MS, '60s'))
    .option('--duplicates', 'also print changes that the server repeats');
  addTlsOptions(addOptionsOption(command)
    .addOption(new Option('--timeout <duration>', 'a connection on which nothing comes for so long has ended')
      .argParser(readDuration).default(ACTIVE_RECEIVE_MS_MAX, '120s'))
    .addOption(new Option('--insecure', 'plain TCP').conflicts(['tlsCert', 'tlsKey', 'tlsCa', 'tlsServerName'])))
    .option('--json', 'one change a line, as JSON')
    .addHelpText('after', EXIT_CODES)
    .action((options: ActiveOptions) => followChanges(options, output));
}

async function followChanges(options: ActiveOptions, output: CliOutput): Promise<void> {
  const tls = options.insecure ? undefined : readTlsTerms(options);
  const stateFile = options.stateFile === undefined ? undefined : new StateFile(options.stateFile);
  const state = stateFile?.read();
  if (state !== undefined && !options.server.some((server) => serverName(server) === state.server)) {
    output.err(`${options.stateFile}: is about ${state.server}; going on from there with another server, whose clock may differ.\n`);
  }
  const asked = chosenOptions(STREAM_OPTIONS, options.options);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    await follow({
      servers: options.server, tls, options: asked, timeoutMs: options.timeout,
      isFilled: options.bulkFill ?? false, retryMs: options.reconnect ? options.retryInterval : undefined,
      kept: new KeptTime(options.startTime ?? state?.baseTime),
      sink: new ChangePrinter(options, asked, output, stateFile), signal: stop.signal,
    });
  } catch (error) {
    throw error instanceof FollowEnded ? asCliError(error.failure, error.server) : error;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    stateFile?.close();
  }
}

/** Prints each change once, tells where it stands, and keeps the place. */
class ChangePrinter implements FollowSink {
  readonly #printer: BindingPrinter;
  readonly #output: CliOutput;
  readonly #stateFile: StateFile | undefined;
  readonly #seen: SeenChanges | undefined;
  readonly #isFilled: boolean;

  constructor({ duplicates, json, bulkFill }: ActiveOptions, asked: readonly number[], output: CliOutput, stateFile: StateFile | undefined) {
    this.#printer = new BindingPrinter(output, json ?? false, asked);
    this.#output = output;
    this.#stateFile = stateFile;
    this.#seen = duplicates ? undefined : new SeenChanges();
    this.#isFilled = bulkFill ?? false;
  }

  onBinding(answer: Answer, server: number | undefined): void {
    const identity = this.#seen === undefined ? undefined : changeIdentity(answer);
    if (identity !== undefined && !this.#seen!.add(identity, answer.address, performance.now() as MonotonicMs)) return;
    this.#printer.onBinding(answer, server);
  }

  onFound(answer: Answer, server: number | undefined): void {
    const identity = this.#seen === undefined ? undefined : changeIdentity(answer);
    if (identity !== undefined && !this.#seen!.addFound(identity, performance.now() as MonotonicMs)) return;
    this.#printer.onBinding(answer, server);
  }

  onStatus(status: number, baseTime: number | undefined): void {
    const at = baseTime === undefined ? undefined : isoSeconds(baseTime);
    const isMissing = status === QueryStatus.DATA_MISSING;
    const missing = `data missing: the server no longer has all changes before ${at ?? 'now'}; ` +
      (this.#isFilled ? 'a bulk query gets them' : '--bulk-fill would get them by a bulk query');
    this.#printer.line(`-- ${isMissing ? missing : `caught up${at === undefined ? '' : ` at ${at}`}`}`,
      { status: isMissing ? 'data-missing' : 'catch-up-complete', ...(at === undefined ? {} : { baseTime: at }) });
  }

  onFilled(): void {
    this.#printer.line('-- the bulk query has got what was missing', { status: 'bulk-fill-complete' });
  }

  onPause(): Promise<void> {
    return this.#printer.onPause();
  }

  onConnected(server: QueryServer, startTime: number | undefined): void {
    this.#seen?.beginStream();
    this.#output.err(`${serverName(server)}: connected; changes ${startTime === undefined ? 'from now on' : `since ${isoSeconds(startTime)}`}.\n`);
  }

  onEnded(server: QueryServer, failure: QueryFailure, next: { readonly server: QueryServer; readonly inMs: number } | undefined): void {
    if (next === undefined) return;
    const when = next.inMs === 0 ? 'now' : `in ${formatDuration(Math.ceil(next.inMs / 1000))}`;
    this.#output.err(`${failureText(failure, server)}. Next: ${serverName(next.server)}, ${when}.\n`);
  }

  onKept(server: QueryServer, baseTime: number): void {
    this.#stateFile?.set({ server: serverName(server), baseTime });
  }
}
