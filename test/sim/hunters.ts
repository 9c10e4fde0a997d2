/**
 * Hunts for planted bugs, each in a process of its own, since a planted bug changes the sources as they
 * are loaded; and keeps the seeds that find them.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Hunted } from './hunt.ts';
import { SABOTAGES } from './sabotage.ts';

const SEEDS_FILE = join(import.meta.dirname, 'sabotage-seeds.json');

/** By name of the planted bug: a seed that finds it. */
export function keptSeeds(): Readonly<Record<string, number>> {
  return JSON.parse(readFileSync(SEEDS_FILE, 'utf8')) as Record<string, number>;
}

function keepSeeds(found: ReadonlyMap<string, Hunted>): void {
  const seeds = Object.keys(SABOTAGES).flatMap((name) => {
    const seed = found.get(name)?.seed;
    return seed === undefined ? [] : [[name, seed] as const];
  });
  writeFileSync(SEEDS_FILE, `${JSON.stringify(Object.fromEntries(seeds), null, 2)}\n`);
}

export interface Hunt {
  readonly name: string;
  readonly firstSeed: number;
  readonly seeds: number;
}

export interface HuntLimits {
  /** Processes at a time. */
  readonly jobs: number;
  /** For all of them together. */
  readonly ms: number;
}

/** Each is told of as soon as it is over. */
export async function huntEach(hunts: readonly Hunt[], { jobs, ms }: HuntLimits, tell: (hunted: Hunted | Error, hunt: Hunt) => unknown): Promise<void> {
  const end = performance.now() + ms;
  const waiting = [...hunts];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const hunt = next;
      await huntAlone(hunt, end - performance.now()).then((hunted) => tell(hunted, hunt), (error: Error) => tell(error, hunt));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
}

function huntAlone({ name, firstSeed, seeds }: Hunt, timeout: number): Promise<Hunted> {
  const args = [join(import.meta.dirname, 'main.ts'), '--sabotage', name, '--first-seed', String(firstSeed), '--seeds', String(seeds), '--json'];
  if (timeout <= 0) return Promise.reject(new Error('no time was left for it'));
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { timeout: Math.ceil(timeout), killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      // Whether it was found is in the answer; the exit code says the same.
      if (stdout !== '') resolve(JSON.parse(stdout) as Hunted);
      else reject(error?.killed === true ? new Error('not found in the time that was left') : new Error(stderr === '' ? error?.message : stderr));
    });
  });
}

export interface AllOptions extends HuntLimits {
  readonly firstSeed: number;
  readonly seeds: number;
  /** Keep the seeds that were found. */
  readonly write: boolean;
}

/** `--sabotage all`: a table, and 1 where one was not found. */
export async function huntAll({ firstSeed, seeds, write, ...limits }: AllOptions): Promise<number> {
  const began = performance.now();
  const names = Object.keys(SABOTAGES);
  // What is broken without the planted bug shows nothing of it. Loaded here: whoever plants a bug does it before the sources are.
  const { World } = await import('./world.ts');
  const broken = new Map<number, string | undefined>();
  const brokenWithout = async (seed: number): Promise<string | undefined> => {
    if (!broken.has(seed)) broken.set(seed, (await new World(seed).run()).failure);
    return broken.get(seed);
  };
  const found = new Map<string, Hunted>();
  const row = (...cells: readonly [string, string, string, string, string]): void => {
    const [name, seed, tried, seconds, said] = cells;
    process.stdout.write(`${name.padEnd(36)} ${seed.padStart(8)} ${tried.padStart(6)} ${seconds.padStart(8)}  ${said}\n`);
  };
  row('planted bug', 'seed', 'seeds', 'seconds', 'what the checker said');
  await huntEach(names.map((name) => ({ name, firstSeed, seeds })), limits, async (hunted, { name }) => {
    if (hunted instanceof Error) return row(name, '-', '', '', hunted.message);
    const without = hunted.seed === undefined ? undefined : await brokenWithout(hunted.seed);
    if (without !== undefined) return row(name, '-', String(hunted.tried), hunted.seconds.toFixed(1), `seed ${hunted.seed} is broken without it: ${without}`);
    if (hunted.seed !== undefined) found.set(name, hunted);
    const { crashes, failure = 'NOT FOUND' } = hunted;
    return row(name, String(hunted.seed ?? '-'), String(hunted.tried), hunted.seconds.toFixed(1),
      `${crashes > 0 ? `(after ${crashes} crashes of the changed code) ` : ''}${failure}`);
  });
  const most = Math.max(0, ...[...found.values()].map(({ tried }) => tried));
  process.stdout.write(`${found.size} of ${names.length} planted bugs found within ${most} seeds each from ${firstSeed}, ` +
    `in ${((performance.now() - began) / 60_000).toFixed(1)} minutes\n`);
  if (write) keepSeeds(found);
  return found.size === names.length ? 0 : 1;
}
