/**
 * `npm run takeover`: what clients notice when a part of the cluster fails, case by case, as a table. Real nodes,
 * an etcd of three members and clients that ask every 100 ms, in network namespaces of their own.
 */
import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { missingPrograms } from '../../deploy/lab/programs.ts';
import { whyNoClusterWorld } from '../support/cluster-world.ts';
import { EXIT, keepFiles, runOnStage } from '../support/staged-command.ts';
import { FLUSHES, MENDING_MS } from './bounds.ts';
import { CASES, type TakeoverCase } from './cases.ts';
import type { Measured } from './measuring.ts';
import { Stage } from './stage.ts';
import { describeMs, held, Table, type Row } from './table.ts';

const USAGE = `Usage: npm run takeover [-- OPTIONS]

Makes a cluster in network namespaces of their own, lets each of its parts fail in turn, and prints how long
clients that ask every 100 ms waited at worst. Nothing outside of the namespaces is touched; all is removed
at the end.

  --case NAME   only this one; may be given several times
  --quick       etcd is gone for 30 s instead of ten minutes, a node stands still for 8 s instead of 20
  --nodes N     2 or 3 nodes (default: 2)
  --events      also what the nodes logged in each case, not only where a promise did not hold
  --out FOLDER  for the logs, where something did not hold; else a new temporary folder
  --help        this text

Exit code: 0 if all that was promised held, 1 if not, 2 wrong usage, 3 this machine cannot.

Cases:
`;
const PRIORITY = -10;

interface Options {
  readonly cases: readonly TakeoverCase[];
  readonly nodes: number;
  readonly quick: boolean;
  readonly events: boolean;
  readonly out: string | undefined;
  readonly help: boolean;
}

function usage(): string {
  const width = Math.max(...CASES.map(({ name }) => name.length));
  return USAGE + CASES.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}\n`).join('');
}

/** Undefined, and the reason is printed, if they are wrong. */
function readArguments(): Options | undefined {
  try {
    const { values } = parseArgs({ options: {
      case: { type: 'string', multiple: true }, quick: { type: 'boolean', default: false }, nodes: { type: 'string', default: '2' },
      events: { type: 'boolean', default: false }, out: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false },
    } });
    const nodes = Number(values.nodes);
    if (nodes !== 2 && nodes !== 3) throw new Error(`--nodes is 2 or 3, not ${values.nodes}`);
    const unknown = (values.case ?? []).find((name) => !CASES.some((one) => one.name === name));
    if (unknown !== undefined) throw new Error(`there is no case ${unknown}`);
    const cases = values.case === undefined ? CASES : CASES.filter(({ name }) => values.case!.includes(name));
    return { cases, nodes, quick: values.quick, events: values.events, out: values.out, help: values.help };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage()}`);
    return undefined;
  }
}

/** What was promised and is not so. What this machine itself was late by is on top of each bound. */
function judge({ promiseMs, othersMs }: TakeoverCase, measured: Measured): string[] {
  const { broken, figures, flushMs, others, timersMs } = measured;
  const slack = timersMs + FLUSHES * flushMs;
  const late = (who: string, ms: number | undefined, bound: number): string[] => (ms === undefined || ms <= bound + slack ? []
    : [`${who}: ${describeMs(ms)}, and the promise is ${describeMs(bound)}; ${describeMs(slack)} more for this machine's late timers and slow disk`]);
  return [
    ...broken, ...late('a new client waited', figures.new, promiseMs), ...late('a rebinding client waited', figures.rebinding, promiseMs),
    ...late('a renewing client waited', figures.renewing, promiseMs),
    ...late('while it was mended, a client waited', measured.mending, MENDING_MS),
    ...othersMs === undefined ? [] : late('a client of a node without a fault waited', others, othersMs),
  ];
}

/** Other work on the machine is not what is measured: nodes, etcd and clients, which inherit it, go before that. */
function goFirst(): void {
  try {
    setPriority(PRIORITY);
  } catch {
    // Not allowed here: how late the machine was is told in any case.
  }
}

async function runCase(stage: Stage, one: TakeoverCase, options: Options, print: (line: string) => void): Promise<Row> {
  const from = performance.timeOrigin + performance.now();
  const measured = await one.run(stage, options);
  const broken = judge(one, measured);
  if (options.events || broken.length > 0) {
    for (const line of [...stage.timeline(measured.struckAt, performance.timeOrigin + performance.now()), ...measured.longest]) print(line);
  }
  const { figures, flushMs, lost, mending, notes = [], others, timersMs } = measured;
  const seconds = (performance.timeOrigin + performance.now() - from) / 1000;
  return {
    name: one.name, figures, lost, notes: [...notes, `${one.title}; ${seconds.toFixed(0)} s`], promise: one.promiseMs, timersMs, flushMs,
    broken: judge(one, measured), mending, ...(others === undefined ? {} : { others }),
  };
}

async function run(stage: Stage, options: Options, removing: AbortSignal): Promise<number> {
  const print = (line: string): void => {
    if (!removing.aborted) process.stdout.write(`${line}\n`);
  };
  const began = performance.now();
  const table = new Table(options.cases.map(({ name }) => name));
  await stage.begin();
  print(table.head);
  const rows: Row[] = [];
  for (const one of options.cases) {
    const row = await runCase(stage, one, options, print);
    rows.push(row);
    for (const line of table.lines(row)) print(line);
  }
  const wrong = rows.filter((row) => !held(row)).length;
  print(`${wrong === 0 ? 'All promises held' : `${wrong} of ${rows.length} did not hold`}, in ${((performance.now() - began) / 1000).toFixed(0)} s.`);
  return wrong === 0 ? EXIT.ok : EXIT.broken;
}

async function main(): Promise<number> {
  const options = readArguments();
  if (options === undefined) return EXIT.usage;
  if (options.help) {
    process.stdout.write(usage());
    return EXIT.ok;
  }
  const missing = missingPrograms(['perfdhcp']);
  const why = whyNoClusterWorld() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh test)` : undefined);
  if (why !== undefined) {
    process.stderr.write(`Takeovers cannot be measured here: ${why}\n`);
    return EXIT.cannot;
  }
  goFirst();
  return runOnStage({
    script: 'takeover', makeStage: () => new Stage(options.nodes), run: (stage, removing) => run(stage, options, removing),
    keep: (stage) => keepFiles(stage.world.folder, /\.(log|yaml)$/, 'logs', options.out, 'lessor-takeover-'),
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`Takeovers could not be measured: ${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  process.exitCode = EXIT.broken;
}
process.exit();
