/**
 * `npm run sim`: runs worlds from seeds and prints what it saw.
 *
 *     --seeds N         how many (100)
 *     --first-seed N    from which (drawn from the clock, and printed)
 *     --seed N          replays one, with its log
 *     --quiet           no progress
 *     --sabotage NAME   with a planted bug (see sabotage.ts)
 */
import { parseArgs } from 'node:util';
import { plant } from './sabotage.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' }, 'first-seed': { type: 'string' }, seed: { type: 'string' },
    quiet: { type: 'boolean', default: false }, sabotage: { type: 'string' },
  },
});
if (values.sabotage !== undefined) plant(values.sabotage);

const { runSeeds, replay } = await import('./run.ts');
if (values.seed !== undefined) process.exitCode = replay(Number(values.seed));
else {
  const firstSeed = values['first-seed'] === undefined ? Date.now() % 1_000_000_000 : Number(values['first-seed']);
  process.exitCode = runSeeds({
    firstSeed, seeds: Number(values.seeds), quiet: values.quiet, stopAtFailure: values.sabotage !== undefined,
    coverage: values.sabotage === undefined && Number(values.seeds) >= 200,
  });
}
