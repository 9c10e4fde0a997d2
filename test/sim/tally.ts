/** What many worlds showed, taken together. */
import { mustHappen } from './coverage.ts';
import type { WorldResult } from './world.ts';

/** What came of one seed, and what it cost. */
export interface SeedResult extends WorldResult {
  /** Milliseconds of one core. */
  readonly cpuMs: number;
}

export interface Failure {
  readonly seed: number;
  readonly failure: string;
}

export class Tally {
  readonly failures: Failure[] = [];
  readonly counts = new Map<string, number>();
  grants = 0;
  simulatedMs = 0;
  readonly #cpu: { readonly seed: number; readonly ms: number }[] = [];

  get seeds(): number {
    return this.#cpu.length;
  }

  add({ counts, cpuMs, failure, grants, seed, simulatedMs }: SeedResult): void {
    this.#cpu.push({ seed, ms: cpuMs });
    this.grants += grants;
    this.simulatedMs += simulatedMs;
    for (const [what, times] of counts) this.counts.set(what, (this.counts.get(what) ?? 0) + times);
    if (failure !== undefined) this.failures.push({ seed, failure });
  }

  /** What should have happened and did not. */
  get missing(): string[] {
    return mustHappen().filter((what) => (this.counts.get(what) ?? 0) === 0);
  }

  /** Of the time that it took. */
  speed(ms: number): string {
    return `${Math.round(this.seeds / (ms / 3_600_000))} seeds an hour, ${(this.simulatedMs / 3600 / ms).toFixed(2)} simulated hours a second`;
  }

  cost(): string {
    const sorted = this.#cpu.toSorted((a, b) => a.ms - b.ms);
    const at = (share: number): string => `${((sorted[Math.floor(share * (sorted.length - 1))]?.ms ?? 0) / 1000).toFixed(2)} s`;
    return `one core for a seed: median ${at(0.5)}, 90 % at most ${at(0.9)}, at most ${at(1)} (seed ${sorted.at(-1)?.seed ?? 0})`;
  }
}
