/**
 * `npm run torture`: real nodes, a real etcd and hundreds of clients on a network of their own, while
 * everything fails. However it ends, all that it started and made is removed, except for its history and,
 * where something was wrong, the logs.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { whyNoNetwork } from '../../deploy/lab/netns.ts';
import { sleep } from '../../deploy/lab/processes.ts';
import { missingPrograms } from '../../deploy/lab/programs.ts';
import { ClusterWorld, whyNoClusterWorld } from '../support/cluster-world.ts';
import { figuresByKind } from './gaps.ts';
import { renderSummary } from './report.ts';
import { CLIENTS_HOST, CONFIGURATION, LOAD_ADDRESS, LOAD_HOST, REQUESTOR_ADDRESS, REQUESTOR_HOST, Run, type RunOptions } from './run.ts';
import { FAULT_KINDS, type FaultKind } from './schedule.ts';

const USAGE = `Usage: npm run torture [-- OPTIONS]

Two or three nodes, etcd of three members and hundreds of clients in network namespaces of their own, while
nodes are killed and paused, links cut and slowed, clocks set, disks filled and wiped, etcd killed. Judged from
the clients' side. Nothing outside of the namespaces is touched.

  --minutes M       how long (default 30); from 10 on, faults sometimes take minutes
  --nodes 2|3       (default 2)
  --seed N          the same faults in the same order as in that run; else a new one, which is printed
  --only KIND,...   of ${FAULT_KINDS.slice(0, 6).join(', ')},
                    ${FAULT_KINDS.slice(6, 13).join(', ')},
                    ${FAULT_KINDS.slice(13).join(', ')}
  --clients N       scripted clients with a life of their own (default 250)
  --rate N          perfdhcp's exchanges a second (default 150; 0: none)
  --sabotage NAME   nodes with a planted bug (test/sim/sabotage.ts), to see that it is found
  --logs            keep the logs also where nothing is wrong
  --out FOLDER      for the history, and for the logs if something is wrong; else a new temporary folder
  --help            this text

Exit codes: 0 no duplicate, no lost lease, no wrong answer to a LEASEQUERY, all served and recovered; 1 something was wrong; 2 wrong usage;
3 this machine cannot.
`;

const EXIT = { wrong: 1, usage: 2, cannot: 3 } as const;
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const PARENT_POLL_MS = 200;
const PROGRESS_MS = 1000;
const PROGRESS_PLAIN_MS = 15_000;
const DISK_MEGABYTES = 64;
/** What a run may take beyond its time: start, the last recovery and comparison. */
const BEYOND_MS = 240_000;

interface Arguments extends Omit<RunOptions, 'folder'> {
  readonly out: string | undefined;
  readonly logs: boolean;
  readonly sabotage: string | undefined;
  readonly help: boolean;
}

function readArguments(): Arguments | undefined {
  try {
    const { values } = parseArgs({ options: {
      minutes: { type: 'string', default: '30' }, nodes: { type: 'string', default: '2' }, seed: { type: 'string' }, only: { type: 'string' },
      clients: { type: 'string', default: '250' }, rate: { type: 'string', default: '150' }, out: { type: 'string' }, logs: { type: 'boolean' }, sabotage: { type: 'string' }, help: { type: 'boolean', short: 'h' },
    } });
    const only = values.only?.split(',').map((name): FaultKind => {
      const kind = FAULT_KINDS.find((kind) => kind === name);
      if (kind === undefined) throw new Error(`--only: there is no ${name}`);
      return kind;
    });
    return {
      minutes: numberOf('minutes', values.minutes, 0.5, 24 * 60), nodes: Math.floor(numberOf('nodes', values.nodes, 2, 3)),
      seed: Math.floor(values.seed === undefined ? Math.random() * 2 ** 32 : numberOf('seed', values.seed, 0, 2 ** 48)),
      clients: Math.floor(numberOf('clients', values.clients, 1, 400)), rate: Math.floor(numberOf('rate', values.rate, 0, 5000)),
      ...(only === undefined ? {} : { only }), out: values.out, logs: values.logs === true, sabotage: values.sabotage, help: values.help === true,
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return undefined;
  }
}

function numberOf(name: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (text.trim() === '' || !(number >= least && number <= most)) throw new Error(`--${name}: expected a number from ${least} to ${most}, found ${text}`);
  return number;
}

function whyImpossible(): string | undefined {
  const missing = missingPrograms(['perfdhcp']);
  return whyNoNetwork() ?? whyNoClusterWorld() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh test)` : undefined);
}

/** Resolves with the signal that asks for the end. */
function endSignal(): Promise<keyof typeof SIGNALS> {
  return new Promise((resolve) => {
    for (const signal of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]) process.on(signal, () => resolve(signal));
    // npm passes a signal on to its shell, which ends and tells nobody.
    if (process.env['npm_lifecycle_event'] === undefined) return;
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) resolve('SIGTERM');
    }, PARENT_POLL_MS).unref();
  });
}

/** One line: over itself in a terminal, now and then elsewhere. */
function showProgress(run: Run, began: number): () => void {
  const terminal = process.stdout.isTTY;
  const line = (): string => {
    const { holding, asking, longestMs } = run.clients?.state ?? { holding: 0, asking: 0, longestMs: 0 };
    const time = new Date(performance.now() - began).toISOString().slice(11, 19);
    return `${time}  ${run.faultsDone} faults  ${run.judge.leases} leases  ${holding} clients hold one, ${asking} ask (${(longestMs / 1000).toFixed(1)} s)  ${run.doing}`;
  };
  const timer = setInterval(() => {
    if (terminal) process.stdout.write(`\r\u001B[K${line().slice(0, (process.stdout.columns || 120) - 1)}`);
    else process.stdout.write(`${line()}\n`);
  }, terminal ? PROGRESS_MS : PROGRESS_PLAIN_MS);
  return () => {
    clearInterval(timer);
    if (terminal) process.stdout.write('\r\u001B[K');
  };
}

/** What makes a node load its sources with the bug in them. */
function plantedBug(name: string): Record<string, string> {
  const script = `import { plant } from ${JSON.stringify(import.meta.resolve('../sim/sabotage.ts'))}; plant(${JSON.stringify(name)});`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
}

function timeLimit(ms: number): Promise<never> {
  return new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error(`the run is not at its end after ${(ms / 1000).toFixed(0)} s`)), ms).unref();
  });
}

/** The logs of nodes and etcd, and the configuration; not the data. */
function keepLogs(world: ClusterWorld, folder: string): void {
  for (const name of readdirSync(world.folder)) {
    if (/\.(log|yaml)$/.test(name)) cpSync(join(world.folder, name), join(folder, name));
  }
}

function summaryOf(run: Run, { seed, nodes }: Arguments, began: number): string {
  return renderSummary({
    seed, nodes, seconds: (performance.now() - began) / 1000, kinds: figuresByKind(run.judge.waits, run.windows, run.recoveries), faults: run.faultsDone,
    leases: run.judge.leases, clients: run.judge.clients, comparisons: run.comparisons, queries: run.requestor?.figures, duplicates: run.judge.duplicates().length, lost: run.judge.lost.length,
  });
}

async function main(): Promise<number> {
  const options = readArguments();
  if (options === undefined) return EXIT.usage;
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const why = whyImpossible();
  if (why !== undefined) {
    process.stderr.write(`The torture cannot run here: ${why}\n`);
    return EXIT.cannot;
  }
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  if (options.out !== undefined) mkdirSync(options.out, { recursive: true });
  const folder = options.out ?? mkdtempSync(join(tmpdir(), `lessor-torture-${options.seed}-`));
  const ended = endSignal();
  const crashed = new Promise<never>((_resolve, reject) => process.on('uncaughtException', reject));
  const world = new ClusterWorld({
    nodes: options.nodes, configuration: CONFIGURATION, diskMegabytes: DISK_MEGABYTES, ownClocks: true, handleSignals: false,
    hosts: [{ name: CLIENTS_HOST }, { name: LOAD_HOST, addresses: [`${LOAD_ADDRESS}/16`] }, { name: REQUESTOR_HOST, addresses: [`${REQUESTOR_ADDRESS}/16`] }],
    ...(options.sabotage === undefined ? {} : { env: plantedBug(options.sabotage) }),
  });
  const began = performance.now();
  const run = new Run(world, { ...options, folder });
  process.stdout.write(`seed ${options.seed}; the history is in ${run.history.path}\n`);
  const stopProgress = showProgress(run, began);
  try {
    const result = await Promise.race([run.run(), ended, crashed, timeLimit(options.minutes * 60_000 + BEYOND_MS)]);
    stopProgress();
    if (result !== undefined) {
      process.stderr.write(`Ended by ${result}: stopping and removing everything.\n`);
      return SIGNALS[result];
    }
    if (options.logs) keepLogs(world, folder);
    process.stdout.write(`${summaryOf(run, options, began)}\nClean.\n`);
    return 0;
  } catch (error) {
    stopProgress();
    // What a Ctrl-C also ended is only its consequence.
    const signal = await Promise.race([ended, sleep(50)]);
    if (signal !== undefined) return SIGNALS[signal];
    keepLogs(world, folder);
    process.stdout.write(`${summaryOf(run, options, began)}\n\nWRONG: ${error instanceof Error ? error.message : String(error)}\n` +
      `Logs and history are in ${folder}; again: npm run torture -- --minutes ${options.minutes} --nodes ${options.nodes} --seed ${options.seed}\n`);
    return EXIT.wrong;
  } finally {
    stopProgress();
    await world.remove();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`The torture failed: ${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  process.exitCode = EXIT.wrong;
}
process.exit();
