/** Whether every node knows the leases that clients hold, and has the same as the others. */
import type { LeaseView } from '../../node/admin/lease-view.ts';
import { compareStores } from '../../deploy/lab/compare-stores.ts';
import { sleep } from '../../deploy/lab/processes.ts';
import type { HeldLease } from './judge.ts';

interface Asked {
  readonly name: string;
  fetch(path: string): Promise<string>;
}

const ROUNDS = 4;
const PAUSE_MS = 400;
/** `maxClockSkew`, as the configuration leaves it. */
const CLOCK_SKEW_MS_MAX = 10_000;

export interface Knowledge {
  readonly bindings: number;
  /** In words; empty where all is well. */
  readonly differences: readonly string[];
  readonly unknown: readonly string[];
}

/** While nothing new is granted; what is over `now` or soon need not be known. */
export async function compareKnowledge(nodes: readonly Asked[], held: () => readonly HeldLease[]): Promise<Knowledge> {
  const [first, ...others] = nodes;
  const differences: string[] = [];
  let bindings = 0;
  for (const other of others) {
    const comparison = await compareStores(first!, other);
    bindings = comparison.bindings;
    differences.push(...comparison.differences.map((difference) => `${first!.name} | ${other.name}: ${difference}`));
  }
  const unknown = await Promise.all(nodes.map((node) => unknownTo(node, held)));
  return { bindings, differences, unknown: unknown.flat() };
}

async function unknownTo(node: Asked, held: () => readonly HeldLease[]): Promise<string[]> {
  for (let round = 1; ; round++) {
    const before = new Set(held().map(keyOf));
    const text = await node.fetch('/v1/leases');
    const views = text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as LeaseView);
    const known = new Map(views.map((view) => [view.address, view]));
    // Those that were held before the question and still are.
    const missing = held().filter((lease) => before.has(keyOf(lease)) && !isKnown(lease, known.get(lease.address)));
    if (missing.length === 0) return [];
    if (round === ROUNDS) return missing.map((lease) => `${node.name} does not know that ${lease.client} holds ${lease.address} (it has ${JSON.stringify(known.get(lease.address) ?? null)})`);
    await sleep(PAUSE_MS);
  }
}

function keyOf({ client, address }: HeldLease): string {
  return `${client} ${address}`;
}

/**
 * A node whose clock was behind gives a lease an end that is too early for the others: it counts as ended
 * then, but its address stays the client's for as long as clocks may be wrong.
 */
function isKnown({ hardware, until }: HeldLease, view: LeaseView | undefined): boolean {
  if (view === undefined || view.hardware.replaceAll(':', '') !== hardware) return false;
  return view.state === 'ACTIVE' || (view.state === 'EXPIRED' && Date.parse(view.expires) + CLOCK_SKEW_MS_MAX >= until);
}
