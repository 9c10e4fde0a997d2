/**
 * Looks for the first seed whose world shows a planted bug. A broken promise shows it; a crash of the
 * changed code shows only that the change is clumsy, unless production code's own check is what is to
 * stop the node.
 */
import { SABOTAGES } from './sabotage.ts';
import { World } from './world.ts';
import type { WorldOptions } from './world.ts';

export interface Hunted {
  readonly name: string;
  /** The first seed that shows it; undefined: none of them did. */
  readonly seed?: number;
  /** What the checker said. */
  readonly failure?: string;
  readonly tried: number;
  readonly seconds: number;
  /** Seeds that ended in a crash of the changed code. */
  readonly crashes: number;
}

/** Runs in a process in which the bug is planted. */
export async function hunt(name: string, firstSeed: number, seeds: number, options: WorldOptions = {}): Promise<Hunted> {
  const wanted = SABOTAGES[name]?.foundBy ?? 'promise';
  const began = performance.now();
  let crashes = 0;
  const told = (tried: number): Pick<Hunted, 'name' | 'tried' | 'seconds' | 'crashes'> =>
    ({ name, tried, seconds: Math.round(performance.now() - began) / 1000, crashes });
  for (let i = 0; i < seeds; i++) {
    const { failure } = await new World(firstSeed + i, undefined, options).run();
    if (failure === undefined) continue;
    const [said = ''] = failure.split('\n');
    if (kindOf(failure) === wanted) return { ...told(i + 1), seed: firstSeed + i, failure: said };
    crashes++;
  }
  return told(seeds);
}

function kindOf(failure: string): 'promise' | 'assertion' | 'crash' {
  if (/^AssertionError\b/.test(failure)) return 'assertion';
  return /^\w*Error\b/.test(failure) ? 'crash' : 'promise';
}
