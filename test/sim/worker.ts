/** Runs the worlds whose seeds it is told, one after the other, and says what came of each; ends with its parent. */
import type { WorldOptions } from './world.ts';
import { World } from './world.ts';
import type { SeedResult } from './tally.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as WorldOptions;

process.on('disconnect', () => process.exit());
process.on('message', (seed: number) => void run(seed));

async function run(seed: number): Promise<void> {
  const before = process.cpuUsage();
  const result = await new World(seed, undefined, options).run();
  const { system, user } = process.cpuUsage(before);
  process.send!({ ...result, cpuMs: (system + user) / 1000 } satisfies SeedResult);
}
