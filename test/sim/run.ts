/** Runs many worlds, prints what they showed, and judges whether they showed enough. */
import { BINDING_TRANSITIONS } from '../../node/lease/states.ts';
import { NODE_TRANSITIONS } from '../../cluster/core/node-state.ts';
import { FAULTS } from './nemesis.ts';
import { World } from './world.ts';
import type { WorldOptions } from './world.ts';

export interface RunOptions {
  readonly firstSeed: number;
  readonly seeds: number;
  readonly quiet: boolean;
  /** Fail where a fault or a cell of a state table never happened. */
  readonly coverage: boolean;
  readonly world: WorldOptions;
}

/** What must have happened at least once over a run. */
export function mustHappen(): string[] {
  const cells = (kind: string, table: Readonly<Record<string, object>>): string[] =>
    Object.entries(table).flatMap(([from, row]) => Object.keys(row).map((to) => `${kind}:${from} ${to}`));
  return [
    ...Object.entries(FAULTS).flatMap(([fault, { shows = [] }]) => [fault, ...shows]).map((what) => (what.includes('event:') ? what : `fault:${what}`)),
    'inbox-items', 'records-fetched', 'event:config.applied', 'event:config.refused',
    ...cells('node', NODE_TRANSITIONS), ...cells('binding', BINDING_TRANSITIONS),
  ];
}

export function runSeeds(options: RunOptions): number {
  const counts = new Map<string, number>();
  const failures: { seed: number; failure: string }[] = [];
  const began = performance.now();
  let grants = 0;
  let simulatedMs = 0;
  let ran = 0;
  for (let i = 0; i < options.seeds; i++) {
    const result = new World(options.firstSeed + i, undefined, options.world).run();
    ran++;
    grants += result.grants;
    simulatedMs += result.simulatedMs;
    for (const [what, times] of result.counts) counts.set(what, (counts.get(what) ?? 0) + times);
    if (result.failure !== undefined) {
      failures.push({ seed: result.seed, failure: result.failure });
      process.stdout.write(`seed ${result.seed} (${result.nodes} nodes): ${result.failure}\n  replay: npm run sim -- --seed ${result.seed}\n`);
    } else if (!options.quiet && ran % 50 === 0) process.stdout.write(`${ran} seeds, ${failures.length} failed\n`);
  }
  const seconds = (performance.now() - began) / 1000;
  const missing = mustHappen().filter((what) => (counts.get(what) ?? 0) === 0);
  if (!options.quiet) printCounts(counts);
  process.stdout.write(`${ran} seeds from ${options.firstSeed}: ${failures.length} failed; ${grants} leases granted, ` +
    `${(simulatedMs / 3_600_000).toFixed(1)} simulated hours in ${seconds.toFixed(1)} s\n`);
  if (options.coverage && missing.length > 0) process.stdout.write(`never happened: ${missing.join(', ')}\n`);
  return failures.length > 0 || (options.coverage && missing.length > 0) ? 1 : 0;
}

function printCounts(counts: ReadonlyMap<string, number>): void {
  const shown = [...counts].filter(([what]) => /^(fault|node|binding|event|drop):|^inbox|^records|^client-/.test(what));
  for (const [what, times] of shown.toSorted(([a], [b]) => (a < b ? -1 : 1))) process.stdout.write(`  ${what.padEnd(48)} ${times}\n`);
}

export function replay(seed: number, options: WorldOptions): number {
  const result = new World(seed, (line) => process.stdout.write(`${line}\n`), options).run();
  process.stdout.write(result.failure === undefined ? `seed ${seed}: all promises kept\n` : `seed ${seed}: ${result.failure}\n`);
  return result.failure === undefined ? 0 : 1;
}
