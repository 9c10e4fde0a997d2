/** Runs many worlds in several processes, prints what they showed, and judges whether they showed enough. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { COVERAGE_SEEDS, tableOf } from './coverage.ts';
import { Tally } from './tally.ts';
import type { SeedResult } from './tally.ts';
import { World } from './world.ts';
import type { WorldOptions } from './world.ts';

/** A world that takes longer goes round in circles. */
const SEED_MS_MAX = 300_000;
const PROGRESS_MS = 10_000;

export interface RunOptions {
  readonly firstSeed: number;
  /** Infinity: as many as the time allows. */
  readonly seeds: number;
  /** After this no further world begins. */
  readonly ms: number;
  /** Processes at a time. */
  readonly jobs: number;
  readonly quiet: boolean;
  readonly world: WorldOptions;
}

/** Returns the exit code: 1 where a promise was broken, or where a long run did not show all that it must. */
export async function runSeeds(options: RunOptions): Promise<number> {
  const { firstSeed, jobs, ms, quiet, seeds } = options;
  const tally = new Tally();
  const began = performance.now();
  let next = firstSeed;
  let toldAt = began;
  const nextSeed = (): number | undefined => (next - firstSeed < seeds && performance.now() - began < ms ? next++ : undefined);
  const onResult = (result: SeedResult): void => {
    tally.add(result);
    if (result.failure !== undefined) say(`seed ${result.seed} (${result.nodes} nodes): ${result.failure}\n  replay: ${replayOf(result.seed, options.world)}`);
    const now = performance.now();
    if (quiet || now - toldAt < PROGRESS_MS) return;
    toldAt = now;
    say(`${tally.seeds} seeds, ${tally.failures.length} failed; ${tally.speed(now - began)}`);
  };
  await Promise.all(Array.from({ length: Math.min(jobs, seeds) }, () => work(options.world, nextSeed, onResult)));
  const tookMs = performance.now() - began;
  if (!quiet) process.stdout.write(tableOf(tally.counts));
  say(`${tally.seeds} seeds from ${firstSeed}: ${tally.failures.length} failed; ${tally.grants} leases granted, ` +
    `${(tally.simulatedMs / 3_600_000).toFixed(1)} simulated hours in ${(tookMs / 1000).toFixed(1)} s`);
  say(`${tally.speed(tookMs)}, ${jobs} at a time; ${tally.cost()}`);
  for (const { seed } of tally.failures) say(`failed: ${replayOf(seed, options.world)}`);
  const missing = tally.seeds >= COVERAGE_SEEDS && options.world.theme === undefined ? tally.missing : [];
  if (missing.length > 0) say(`never happened: ${missing.join(', ')}`);
  return tally.failures.length > 0 || missing.length > 0 ? 1 : 0;
}

/** One process after the other, each for as long as it lasts. */
async function work(world: WorldOptions, nextSeed: () => number | undefined, onResult: (result: SeedResult) => void): Promise<void> {
  let child: ChildProcess | undefined;
  try {
    for (let seed = nextSeed(); seed !== undefined; seed = nextSeed()) {
      child ??= fork(join(import.meta.dirname, 'worker.ts'), [JSON.stringify(world)], { serialization: 'advanced' });
      const result = await runIn(child, seed);
      onResult(result);
      if (child.exitCode !== null || child.signalCode !== null) child = undefined;
    }
  } finally {
    child?.disconnect();
  }
}

/** A process that ends or hangs is what came of its seed. */
function runIn(child: ChildProcess, seed: number): Promise<SeedResult> {
  return new Promise((resolve) => {
    const end = (result: SeedResult): void => {
      clearTimeout(timer);
      child.removeAllListeners();
      resolve(result);
    };
    const broken = (failure: string): void => end({ seed, nodes: 0, grants: 0, simulatedMs: 0, counts: new Map(), cpuMs: 0, failure });
    const timer = setTimeout(() => child.kill('SIGKILL'), SEED_MS_MAX);
    child.once('message', (result) => end(result as SeedResult));
    child.once('error', (error) => broken(String(error)));
    child.once('exit', (code, signal) => broken(`its process ended: ${signal ?? code}`));
    child.send(seed);
  });
}

export async function replay(seed: number, options: WorldOptions): Promise<number> {
  const result = await new World(seed, (line) => process.stdout.write(`${line}\n`), options).run();
  say(result.failure === undefined ? `seed ${seed}: all promises kept` : `seed ${seed}: ${result.failure}`);
  return result.failure === undefined ? 0 : 1;
}

function replayOf(seed: number, { incidents, names, theme }: WorldOptions): string {
  return `npm run sim -- --seed ${seed}${theme === undefined ? '' : ` --theme ${theme.join(',')}`}${names === true ? ' --names' : ''}${incidents === true ? ' --incidents' : ''}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
