/** A stream of packets from a seed, mutated ones and valid ones between them, sent into each world in turn. */
import { Random } from '../sim/random.ts';
import { mutate } from './mutations.ts';
import { Crowd } from './packets.ts';
import type { Sent } from './packets.ts';
import { World } from './world.ts';
import type { Tally } from './world.ts';
import { addressesOf, WORLDS } from './worlds.ts';

/** The others keep leases coming and going. */
const MUTATED_SHARE = 0.75;
/** Packets that the next ones may be mixed with. */
const RECENT = 64;

export interface Report extends Tally {
  /** All, the valid ones included. */
  readonly packets: number;
  readonly mutated: number;
}

/** What was found, with all it takes to see it again: so many mutated packets of the seed. */
export class Finding extends Error {
  constructor(seed: number, mutated: number, world: string, packet: Buffer | undefined, cause: unknown) {
    const what = cause instanceof Error ? cause.message : String(cause);
    const bytes = packet === undefined ? [] : [`the packet: ${packet.toString('hex')}`];
    super([`${what} (${world})`, ...bytes, `again: node test/fuzz/main.ts --seed ${seed} --packets ${mutated}`].join('\n'), { cause });
  }
}

/** `mutations`: how many mutated packets. */
export function fuzz(seed: number, mutations: number): Report {
  const random = new Random(seed);
  const worlds = WORLDS.map((options) => ({ world: new World(options), crowd: new Crowd(random, addressesOf(options)) }));
  const recent: Buffer[] = [];
  let packets = 0;
  let mutated = 0;
  while (mutated < mutations) {
    const { world, crowd } = worlds[packets % worlds.length]!;
    let { bytes, envelope }: Sent = crowd.next();
    const other = recent.length === 0 ? bytes : random.pick(recent);
    recent[packets % RECENT] = Buffer.from(bytes);
    packets++;
    if (random.chance(MUTATED_SHARE)) {
      bytes = mutate(bytes, random, other);
      mutated++;
    }
    const kept = Buffer.from(bytes);
    try {
      world.receive({ bytes, envelope }, random.int(0, 1));
      if (world.told !== 0) crowd.told(world.told);
      if (random.chance(0.2)) world.advance(random.chance(0.01) ? 100_000 : random.int(0, 4000));
    } catch (error) {
      throw new Finding(seed, mutated + 1, world.options.name, kept, error);
    }
  }
  for (const { world } of worlds) {
    try {
      world.checkTables();
    } catch (error) {
      throw new Finding(seed, mutations, world.options.name, undefined, error);
    }
  }
  const tallies = worlds.map(({ world }) => world.tally);
  const total = (of: keyof Tally): Record<string, number> => added(tallies.map((tally) => tally[of]));
  return { packets, mutated, outcomes: total('outcomes'), changes: total('changes'), replies: total('replies') };
}

/** The counts of all, the highest first. */
function added(counts: readonly Record<string, number>[]): Record<string, number> {
  const total = new Map<string, number>();
  for (const each of counts) for (const [name, value] of Object.entries(each)) total.set(name, (total.get(name) ?? 0) + value);
  return Object.fromEntries([...total].sort(([, a], [, b]) => b - a));
}
