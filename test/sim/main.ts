/**
 * `npm run sim`: runs worlds from seeds and prints what it saw.
 *
 *     --seeds N         how many (100)
 *     --minutes N       as many as begin in so long, instead
 *     --jobs N          so many at a time (as many as there are cores)
 *     --first-seed N    from which (drawn from the clock, and printed)
 *     --seed N          replays one, with its log
 *     --theme A,B       only these kinds of faults strike, instead of those that the seed draws
 *     --quiet           no progress, and no table of what happened
 *     --sabotage NAME   with a planted bug (see sabotage.ts), up to the first seed that finds it
 *     --sabotage all    every planted bug in its turn, up to 500 seeds each from seed 1; --jobs N at a time,
 *                       --minutes N in all (25); --write keeps the seeds for the tests
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { huntAll } from './hunters.ts';
import { plant } from './sabotage.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' }, 'first-seed': { type: 'string' }, seed: { type: 'string' }, theme: { type: 'string' },
    quiet: { type: 'boolean', default: false }, sabotage: { type: 'string' }, json: { type: 'boolean', default: false },
    jobs: { type: 'string' }, minutes: { type: 'string' }, write: { type: 'boolean', default: false },
  },
});
const world = values.theme === undefined ? {} : { theme: values.theme.split(',') };
process.exitCode = await main();

async function main(): Promise<number> {
  const { minutes, quiet, sabotage } = values;
  const jobs = Number(values.jobs ?? availableParallelism());
  if (sabotage === 'all') {
    return huntAll({
      firstSeed: Number(values['first-seed'] ?? 1), seeds: Number(values.seeds ?? 500), write: values.write,
      jobs, ms: Number(values.minutes ?? 25) * 60_000,
    });
  }
  if (sabotage !== undefined) plant(sabotage);
  const { replay, runSeeds } = await import('./run.ts');
  if (values.seed !== undefined) return replay(Number(values.seed), world);
  const firstSeed = Number(values['first-seed'] ?? Date.now() % 1_000_000_000);
  const seeds = Number(values.seeds ?? 100);
  if (sabotage === undefined) {
    const ms = minutes === undefined ? Infinity : Number(minutes) * 60_000;
    return runSeeds({ firstSeed, seeds: minutes === undefined ? seeds : Infinity, ms, jobs, quiet, world });
  }
  const { hunt } = await import('./hunt.ts');
  const hunted = hunt(sabotage, firstSeed, seeds, world);
  const said = hunted.seed === undefined ? `not found in ${seeds} seeds from ${firstSeed}` : `seed ${hunted.seed}: ${hunted.failure}`;
  process.stdout.write(`${values.json ? JSON.stringify(hunted) : said}\n`);
  return hunted.seed === undefined ? 0 : 1;
}
