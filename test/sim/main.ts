/** `npm run sim`: runs worlds from seeds and prints what it saw. */
import { availableParallelism } from 'node:os';
import { testCommand, wholeNumber } from '../support/command.ts';
import { huntAll } from './hunters.ts';
import { plant } from './sabotage.ts';

interface Options {
  readonly seeds?: number;
  readonly minutes?: number;
  readonly jobs: number;
  readonly firstSeed?: number;
  readonly seed?: number;
  readonly theme?: string;
  readonly names?: true;
  readonly incidents?: true;
  readonly quiet?: true;
  readonly sabotage?: string;
  readonly json?: true;
  readonly write?: true;
}

const options = testCommand('npm run sim', 'Simulated hours of clusters in which everything fails, one for each seed.')
  .option('--seeds <n>', 'how many (100; 500 for each planted bug)', wholeNumber(1))
  .option('--minutes <n>', 'as many as begin in so long, instead; with --sabotage all the limit for all (25)', wholeNumber(1))
  .option('--jobs <n>', 'so many at a time', wholeNumber(1), availableParallelism())
  .option('--first-seed <n>', 'from which (drawn from the clock, and printed; 1 for planted bugs)', wholeNumber(0))
  .option('--seed <n>', 'replays one, with its log', wholeNumber(0))
  .option('--theme <a,b>', 'only these kinds of faults strike, instead of those that the seed draws')
  .option('--names', 'names go into DNS in every world, and not in a quarter of them')
  .option('--incidents', 'operators shut clients out in every world, and not in a fifth of them')
  .option('--quiet', 'no progress, and no table of what happened')
  .option('--sabotage <name>', 'with a planted bug, up to the first seed that finds it; all: every one in its turn')
  .option('--json', 'with --sabotage NAME: what was found as JSON')
  .option('--write', 'with --sabotage all: keeps the seeds for the tests')
  .parse().opts<Options>();
const world = { ...(options.theme === undefined ? {} : { theme: options.theme.split(',') }), ...(options.names === undefined ? {} : { names: true }), ...(options.incidents === undefined ? {} : { incidents: true }) };
process.exitCode = await main();

async function main(): Promise<number> {
  const { minutes, quiet = false, sabotage, jobs } = options;
  if (sabotage === 'all') {
    return huntAll({
      firstSeed: options.firstSeed ?? 1, seeds: options.seeds ?? 500, write: options.write ?? false,
      jobs, ms: (minutes ?? 25) * 60_000,
    });
  }
  if (sabotage !== undefined) plant(sabotage);
  const { replay, runSeeds } = await import('./run.ts');
  if (options.seed !== undefined) return replay(options.seed, world);
  const firstSeed = options.firstSeed ?? Date.now() % 1_000_000_000;
  const seeds = options.seeds ?? 100;
  if (sabotage === undefined) {
    const ms = minutes === undefined ? Infinity : minutes * 60_000;
    return runSeeds({ firstSeed, seeds: minutes === undefined ? seeds : Infinity, ms, jobs, quiet, world });
  }
  const { hunt } = await import('./hunt.ts');
  const hunted = await hunt(sabotage, firstSeed, seeds, world);
  const said = hunted.seed === undefined ? `not found in ${seeds} seeds from ${firstSeed}` : `seed ${hunted.seed}: ${hunted.failure}`;
  process.stdout.write(`${options.json === true ? JSON.stringify(hunted) : said}\n`);
  return hunted.seed === undefined ? 0 : 1;
}
