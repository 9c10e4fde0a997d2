/**
 * `npm run follow`: whether a requestor that follows all changes of a pair of nodes (RFC 7724) is told each of them once
 * and in order while the node that it follows is killed, or is told that some are missing. Real processes, in network
 * namespaces of their own.
 */
import { parseArgs } from 'node:util';
import { sleep } from '../../deploy/lab/processes.ts';
import { needsOpenssl } from '../support/certificates.ts';
import { whyNoClusterWorld } from '../support/cluster-world.ts';
import { EXIT, keepFiles, runOnStage } from '../support/staged-command.ts';
import { isClean, judge, type Verdict } from './judge.ts';
import { reportLines } from './report.ts';
import { Stage, type Fault } from './stage.ts';

const USAGE = `Usage: npm run follow [-- OPTIONS]

Makes a pair of nodes in network namespaces of their own, with clients behind a relay, and lets a requestor follow
every change of a lease over TLS. The node that it follows is killed at half time; from one minute on, twice, and
then one is stopped. At the end every change is looked for: told once, in order, none missed. Nothing outside of the
namespaces is touched; all is removed at the end.

  --minutes M   how long there are clients (default: 1)
  --rate R      new clients a second (default: 50)
  --hole        another node is killed before it could know of all that was told: the requestor must be told that
                changes are missing, and gets them by a bulk query
  --out FOLDER  for what clients and requestors wrote and for the logs, if something is wrong; else a new temporary one
  --help        this text

Exit code: 0 if all is as it should be, 1 if not, 2 wrong usage, 3 this machine cannot.
`;
/** For what is under way when the stores are read. */
const SETTLE_MS = 10_000;
const SETTLE_STEP_MS = 500;
const SHORT_LEASE_SECONDS = 6;
const LONG_LEASE_SECONDS = 30;

interface Options {
  readonly seconds: number;
  readonly rate: number;
  readonly hole: boolean;
  readonly out: string | undefined;
  readonly help: boolean;
}

function readNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (!(value > 0 && value <= max)) throw new Error(`--${name} is a number up to ${max}, not ${text}`);
  return value;
}

/** Undefined, and the reason is printed, if they are wrong. */
function readArguments(): Options | undefined {
  try {
    const { values } = parseArgs({ options: {
      minutes: { type: 'string', default: '1' }, rate: { type: 'string', default: '50' }, hole: { type: 'boolean', default: false },
      out: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false },
    } });
    return {
      seconds: readNumber('minutes', values.minutes, 1440) * 60, rate: readNumber('rate', values.rate, 1000), hole: values.hole,
      out: values.out, help: values.help,
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return undefined;
  }
}

/** In parts of the time. */
function faultsOf({ hole, seconds }: Options): readonly { readonly at: number; readonly fault: Fault; readonly early: boolean }[] {
  const fault = (at: number, fault: Fault, early = false): { at: number; fault: Fault; early: boolean } => ({ at, fault, early });
  if (hole) return [fault(0.4, 'killed'), fault(0.4, 'killed', true)];
  return seconds < 60 ? [fault(0.5, 'killed')] : [fault(0.25, 'killed'), fault(0.5, 'killed'), fault(0.75, 'stopped')];
}

async function run(stage: Stage, options: Options, removing: AbortSignal): Promise<number> {
  const began = performance.now();
  const print = (line: string): void => {
    if (!removing.aborted) process.stdout.write(`${line}\n`);
  };
  await stage.begin();
  const loadBegan = performance.now();
  const untilPart = (part: number): Promise<void> => sleep(Math.max(0, loadBegan + part * options.seconds * 1000 - performance.now()));
  for (const { at, early, fault } of faultsOf(options)) {
    await untilPart(at);
    await stage.strike(fault, { early });
  }
  await untilPart(1);
  const judged = await stage.finish();
  let once = judge(judged().once);
  for (let waited = 0; !isClean(once) && waited < SETTLE_MS; waited += SETTLE_STEP_MS) {
    await sleep(SETTLE_STEP_MS);
    once = judge(judged().once);
  }
  const codes = await stage.stopRequestors();
  once = judge(judged().once);
  const wrong = wrongWith(once, options, codes);
  for (const line of [...reportLines(once, judge(judged().all)), ...wrong.map((text) => `    ${text}`)]) print(line);
  const isOk = isClean(once) && wrong.length === 0;
  print(`${isOk ? 'Every change was told once and in order' : 'Not as it should be'}, in ${((performance.now() - began) / 1000).toFixed(0)} s.`);
  return isOk ? EXIT.ok : EXIT.broken;
}

/** Besides what the judge finds. */
function wrongWith({ acks, connections, holes, told }: Verdict, { hole }: Options, codes: readonly (number | NodeJS.Signals)[]): string[] {
  return [
    ...(codes.every((code) => code === 0) ? [] : [`the requestors ended with ${codes.join(' and ')}`]),
    ...(acks > 0 && told > 0 ? [] : ['nothing happened']),
    ...(connections > 1 ? [] : ['the requestor never changed to another node']),
    ...(holes.every(({ isFilled }) => isFilled) ? [] : ['what was missing was not got by a bulk query']),
    ...(hole === holes.length > 0 ? [] : [hole ? 'the requestor was not told that changes are missing' : 'changes were missing, though the history was long enough']),
  ];
}

async function main(): Promise<number> {
  const options = readArguments();
  if (options === undefined) return EXIT.usage;
  if (options.help) {
    process.stdout.write(USAGE);
    return EXIT.ok;
  }
  const why = whyNoClusterWorld() ?? needsOpenssl().skip;
  if (why !== undefined) {
    process.stderr.write(`Changes cannot be followed here: ${why}\n`);
    return EXIT.cannot;
  }
  return runOnStage({
    script: 'follow',
    makeStage: (removing) => new Stage({
      rate: options.rate, shortestLeaseSeconds: options.seconds < 60 ? SHORT_LEASE_SECONDS : LONG_LEASE_SECONDS, isFilled: options.hole,
      print: (line) => {
        if (!removing.aborted) process.stdout.write(`${new Date(performance.timeOrigin + performance.now()).toISOString().slice(11, 19)} ${line}\n`);
      },
    }),
    run: (stage, removing) => run(stage, options, removing),
    // What clients and requestors wrote, and the logs of the nodes and of etcd.
    keep: (stage) => keepFiles(stage.world.folder, /\.(log|yaml|jsonl)$/, 'files', options.out, 'lessor-follow-'),
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`Changes could not be followed: ${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  process.exitCode = EXIT.broken;
}
process.exit();
