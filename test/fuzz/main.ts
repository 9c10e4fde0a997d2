/** `npm run fuzz`: mutated packets, without a crash and without a changed binding that no client asked for; and requests at the API. */
import { testCommand, wholeNumber } from '../support/command.ts';
import { fuzzApi } from './api.ts';
import { Finding, fuzz } from './run.ts';
import type { Report } from './run.ts';

const { packets, requests, seed = Date.now() % 1_000_000_000, quiet } = testCommand('npm run fuzz', 'Mutated packets through the codec and the DHCP server, valid ones between them; and requests made from the description of the API, mutated ones too.')
  .option('--packets <n>', 'how many mutated ones', wholeNumber(1), 1_000_000)
  .option('--requests <n>', 'how many requests at the API', wholeNumber(0), 5000)
  .option('--seed <n>', 'which ones (drawn from the clock, and printed)', wholeNumber(0))
  .option('--quiet', 'nothing but findings')
  .parse().opts<{ packets: number; requests: number; seed?: number; quiet?: true }>();

const say = (line: string): void => { if (quiet !== true) console.log(line); };
say(`${packets} mutated packets of seed ${seed}`);
const began = performance.now();
try {
  const report = fuzz(seed, packets);
  for (const line of describe(report, (performance.now() - began) / 1000)) say(line);
  if (requests > 0) {
    const { answers } = await fuzzApi(seed, requests);
    say(`Nothing found in ${requests} requests at the API`);
    for (const [kind, count] of Object.entries(answers).toSorted(([a], [b]) => (a < b ? -1 : 1))) say(`  ${String(count).padStart(9)}  ${kind}`);
  }
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
