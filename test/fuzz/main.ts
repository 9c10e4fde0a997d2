/**
 * `npm run fuzz`: mutated packets through the codec and the DHCP server, without a crash and without a
 * changed binding that no client asked for.
 *
 *     --packets N   how many mutated ones (1,000,000); valid ones are sent between them
 *     --seed N      which ones (drawn from the clock, and printed)
 *     --quiet       nothing but findings
 */
import { parseArgs } from 'node:util';
import { Finding, fuzz } from './run.ts';
import type { Report } from './run.ts';

const { values } = parseArgs({
  options: { packets: { type: 'string', default: '1000000' }, seed: { type: 'string' }, quiet: { type: 'boolean', default: false } },
});
const packets = Number(values.packets);
const seed = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
if (!Number.isSafeInteger(packets) || packets < 1 || !Number.isSafeInteger(seed) || seed < 0) {
  console.error('--packets and --seed are whole numbers.');
  process.exit(2);
}

const say = (line: string): void => { if (!values.quiet) console.log(line); };
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
