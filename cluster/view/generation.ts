/**
 * Generations (ARCHITECTURE.md, Last resorts). An operator's word begins a new one; what an older one has
 * come to counts for nothing in it, and its nodes can only recover.
 *
 * All that the rest of the code compares is epochs. So a generation begins at an epoch beyond any that the
 * older ones can have reached, also where nobody knows how far that was: epochs go up by one with each
 * change of the view, and 2^19 of them are left out at least.
 */
import assert from 'node:assert/strict';

const STEP = 2 ** 20;
/** Two operators who begin a generation in two places that do not see each other get two epochs: the higher one counts. */
const SPREAD = 2 ** 16;
/** Records carry the epoch in 32 bits. */
const EPOCH_MAX = 2 ** 32 - 1;

export interface GenerationStart {
  readonly generation: number;
  readonly epoch: number;
}

/** After all that is known of; `random` in [0, 1). */
export function nextGeneration(known: readonly GenerationStart[], random: number): GenerationStart {
  const generation = Math.max(0, ...known.map((each) => each.generation)) + 1;
  const highest = Math.max(0, ...known.map((each) => each.epoch));
  const epoch = (Math.floor((highest + STEP / 2) / STEP) + 1) * STEP + Math.floor(random * SPREAD);
  assert(epoch + STEP <= EPOCH_MAX, 'epochs of 32 bits are enough for 2,000 generations');
  return { generation, epoch };
}

/** The lowest epoch of the generation that this epoch is of: records of lower ones are from before it. */
export function firstEpochOf(epoch: number): number {
  return Math.floor(epoch / STEP) * STEP;
}
