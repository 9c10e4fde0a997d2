/**
 * `npm run bench`: Lessor and Kea, each alone and as a pair, side by side on this machine. However it ends,
 * all that it started and made is removed.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Network, whyNoNetwork } from '../../deploy/lab/netns.ts';
import { missingPrograms } from '../../deploy/lab/programs.ts';
import { FULL, QUICK, runCampaign, type CampaignResult } from './campaign.ts';
import { renderReport } from './report.ts';
import { TARGET_NAMES, USUAL_TARGETS, whyNotMeasured, type TargetName } from './targets.ts';

const USAGE = `Usage: npm run bench [-- OPTIONS]

Measures with perfdhcp, in network namespaces of its own: Lessor alone and as a pair with etcd, Kea alone and
as a load-balancing pair. Takes about 12 minutes; the machine should do nothing else meanwhile.

  --quick               about 3 minutes: shorter trials, one search, rougher figures
  --only NAME[,NAME]    of ${TARGET_NAMES.join(', ')};
                        large: with 1,000 subnets, 200 classes and 100,000 reservations
                        dns: each client gets a name, and BIND takes the updates; bare: no history is kept
                        (--only lessor-pair-bare,lessor-pair,lessor-pair-dns: what history and DNS cost)
  --rate N              nothing is searched: all carry N exchanges a second
  --json FILE           the figures as JSON too; - writes them to standard output instead of the table
  --node-options "…"    for the Node.js of Lessor's nodes, such as --cpu-prof
  --help                this text

Exit codes: 0 measured, 1 failed, 2 wrong usage, 3 this machine cannot.
`;

const EXIT = { failed: 1, usage: 2, cannot: 3 } as const;
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const TMPFS = 0x0102_1994;
const cache = join(import.meta.dirname, '../../.cache');

interface Arguments {
  readonly quick: boolean;
  readonly only: readonly TargetName[];
  readonly rate: number | undefined;
  readonly json: string | undefined;
  readonly nodeOptions: readonly string[];
  readonly help: boolean;
}

function readArguments(): Arguments | undefined {
  try {
    const { values } = parseArgs({ options: {
      quick: { type: 'boolean' }, only: { type: 'string' }, rate: { type: 'string' }, json: { type: 'string' }, 'node-options': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    } });
    const only = (values.only?.split(',') ?? USUAL_TARGETS).map((name) => {
      const known = TARGET_NAMES.find((target) => target === name);
      if (known === undefined) throw new Error(`--only: there is no ${name}; known are ${TARGET_NAMES.join(', ')}`);
      return known;
    });
    const rate = values.rate === undefined ? undefined : Number(values.rate);
    if (rate !== undefined && !(rate >= 1 && rate <= 100_000)) throw new Error('--rate: expected a number from 1 to 100000');
    return {
      quick: values.quick === true, only, rate, json: values.json, help: values.help === true,
      nodeOptions: (values['node-options'] ?? '').split(' ').filter((word) => word !== ''),
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return undefined;
  }
}

/** On the disk that the project is on: a temporary folder may be memory, where a flush costs nothing. */
function makeFolder(): string {
  mkdirSync(cache, { recursive: true });
  for (const name of readdirSync(cache)) {
    const pid = /^bench-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(cache, name), { recursive: true, force: true });
  }
  return mkdtempSync(join(cache, `bench-${process.pid}-`));
}

function machine(): Record<string, unknown> {
  return {
    processors: cpus().length, processor: cpus()[0]?.model ?? 'unknown', memoryBytes: totalmem(), kernel: release(), node: process.version,
  };
}

function write(result: CampaignResult, json: string | undefined): void {
  const text = (): string => `${JSON.stringify({ at: new Date().toISOString(), machine: machine(), ...result }, undefined, 2)}\n`;
  if (json === '-') {
    process.stdout.write(text());
    return;
  }
  process.stdout.write(`\n${renderReport(result)}`);
  if (json !== undefined) writeFileSync(json, text());
}

async function measure({ quick, only, rate, json, nodeOptions }: Arguments): Promise<void> {
  const say = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  const names = only.filter((name) => {
    const why = whyNotMeasured(name);
    if (why !== undefined) say(`not measured: ${name}: ${why}`);
    return why === undefined;
  });
  if (names.length === 0) throw new Error('nothing is left to measure');
  const folder = makeFolder();
  if (statfsSync(folder).type === TMPFS) say(`${folder} is in memory: flushing costs nothing there, and the figures are too good`);
  const network = new Network({ handleSignals: false });
  const remove = async (): Promise<void> => {
    await network.remove();
    rmSync(folder, { recursive: true, force: true });
  };
  let removing = false;
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      if (removing) return;
      removing = true;
      say(`${signal}: removing everything`);
      void remove().finally(() => process.exit(code));
    });
  }
  try {
    write(await runCampaign(network, folder, names, { ...(quick ? QUICK : FULL), ...(rate === undefined ? {} : { rate }) }, nodeOptions, say), json);
  } catch (error) {
    // While all is removed everything fails: the signal decides how this ends.
    if (removing) await new Promise(() => undefined);
    throw error;
  } finally {
    await remove();
  }
}

const args = readArguments();
if (args === undefined) {
  process.exitCode = EXIT.usage;
} else if (args.help) {
  process.stdout.write(USAGE);
} else {
  const missing = missingPrograms(['ip', 'perfdhcp']);
  const why = whyNoNetwork() ?? (missing.length > 0 ? `programs are missing: ${missing.join(', ')} (run deploy/lab/install.sh bench)` : undefined);
  if (why !== undefined) {
    process.stderr.write(`The benchmark cannot run here: ${why}\n`);
    process.exitCode = EXIT.cannot;
  } else {
    try {
      await measure(args);
    } catch (error) {
      process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
      process.exitCode = EXIT.failed;
    }
  }
}
