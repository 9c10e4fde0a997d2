/** `lessor doctor`: looks a host over, before a node runs there and while it does. Changes nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { skipped } from '../doctor/finding.ts';
import type { Finding } from '../doctor/finding.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { DEFAULT_NODE_CONFIG } from './cluster-store.ts';
import { Examination } from './doctor-checks.ts';
import type { Check } from './doctor-checks.ts';
import type { CliOutput } from './output.ts';
import { printable } from './table.ts';

/** Longer than any check waits by itself. */
const CHECK_MS_MAX = 20_000;
const NAME_COLUMNS = 16;
const VERDICT_COLUMNS = 8;

interface DoctorOptions {
  readonly config: string;
  readonly json?: true;
  readonly discover: boolean;
}

export function addDoctorCommand(program: Command, output: CliOutput): void {
  program.command('doctor')
    .description('check this host: configuration, ports, interfaces, disk, clocks, etcd, links, other DHCP servers')
    .option('--config <file>', 'the configuration of the node (node.yaml)', DEFAULT_NODE_CONFIG)
    .option('--json', 'all that was found as one JSON document')
    .option('--no-discover', 'do not ask the segments for other DHCP servers (a DHCPDISCOVER on each interface)')
    .action((options: DoctorOptions) => examine(options, output));
}

async function examine({ config, json, discover }: DoctorOptions, output: CliOutput): Promise<void> {
  const examination = new Examination(config, discover);
  const found: (Finding & { check: string })[] = [];
  const [first, ...others] = examination.checks();
  const told = async (check: Check): Promise<void> => {
    for (const finding of await findingsOf(check)) {
      found.push({ check: check.name, ...finding });
      if (json !== true) await output.out(formatFinding(check.name, finding));
    }
  };
  await told(first!);
  if (examination.node === undefined) await told({ name: 'all else', run: async () => [skipped('node.yaml says where to look')] });
  else for (const check of others) await told(check);
  const count = (verdict: Finding['verdict']): number => found.filter((finding) => finding.verdict === verdict).length;
  const [problems, warnings] = [count('problem'), count('warning')];
  if (json === true) await output.out(`${JSON.stringify({ node: examination.node ?? null, problems, warnings, checks: found }, null, 2)}\n`);
  if (problems > 0) throw new CliError(ExitCode.no, `${counted(problems, 'problem')}, ${counted(warnings, 'warning')}: what to do stands beneath each`);
  if (json !== true) await output.out(`no problem, ${counted(warnings, 'warning')}\n`);
}

async function findingsOf(check: Check): Promise<Finding[]> {
  const enough = new AbortController();
  try {
    return await Promise.race([check.run(), sleep(CHECK_MS_MAX, [skipped(`given up after ${CHECK_MS_MAX / 1000} s`)], { signal: enough.signal })]);
  } catch (error) {
    // One that fails must not keep the others from being told.
    return [skipped(`could not be looked at: ${(error as Error).message}`)];
  } finally {
    enough.abort();
  }
}

export function formatFinding(name: string, { verdict, text, action }: Finding): string {
  const margin = ' '.repeat(VERDICT_COLUMNS + 1 + NAME_COLUMNS + 1);
  const lines = text.split('\n').map(printable).join(`\n${margin}`);
  const advice = action === undefined ? '' : action.split('\n').map((line) => `${margin}${printable(line)}\n`).join('');
  return `${verdict.padEnd(VERDICT_COLUMNS)} ${name.padEnd(NAME_COLUMNS)} ${lines}\n${advice}`;
}

function counted(number: number, what: string): string {
  return `${number === 0 ? 'no' : number} ${what}${number === 1 ? '' : 's'}`;
}
