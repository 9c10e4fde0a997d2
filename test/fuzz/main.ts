/** `npm run fuzz`: mutated packets, without a crash and without a changed binding that no client asked for. */
import { testCommand, wholeNumber } from '../support/command.ts';
import { Finding, fuzz } from './run.ts';
import type { Report } from './run.ts';

const { packets, seed = Date.now() % 1_000_000_000, quiet } = testCommand('npm run fuzz', 'Mutated packets through the codec and the DHCP server, valid ones between them.')
  .option('--packets <n>', 'how many mutated ones', wholeNumber(1), 1_000_000)
  .option('--seed <n>', 'which ones (drawn from the clock, and printed)', wholeNumber(0))
  .option('--quiet', 'nothing but findings')
  .parse().opts<{ packets: number; seed?: number; quiet?: true }>();

const say = (line: string): void => { if (quiet !== true) console.log(line); };
say(`${packets} mutated packets of seed ${seed}`);
const began = performance.now();
try {
  const report = fuzz(seed, packets);
  for (const line of describe(report, (performance.now() - began) / 1000)) say(line);
} catch (error) {
  if (!(error instanceof Finding)) throw error;
  console.error(`${error.message}\n${error.cause instanceof Error ? error.cause.stack : ''}`);
  process.exitCode = 1;
}

function describe({ packets, mutated, outcomes, changes, replies }: Report, seconds: number): string[] {
  const list = (counts: Record<string, number>): string[] => Object.entries(counts).map(([name, value]) => `  ${String(value).padStart(9)}  ${name}`);
  return [
    `Nothing found in ${mutated} mutated packets and ${packets - mutated} valid ones: ${seconds.toFixed(1)} s, ${Math.round(packets / seconds)} packets/s`,
    'What became of them', ...list(outcomes), 'Changes of bindings', ...list(changes), 'Answers', ...list(replies),
  ];
}
