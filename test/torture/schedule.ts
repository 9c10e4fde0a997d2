/**
 * What the nemesis will do, from the seed: the same faults in the same order on the same nodes in every run;
 * how long things take is the machine's. One fault at a time most of the time, sometimes two.
 */
import { Random } from '../sim/random.ts';

export const FAULT_KINDS = [
  'kill-node', 'pause-node', 'isolate-node', 'split-node', 'cut-nodes', 'cut-etcd', 'cut-clients', 'slow-nodes', 'slow-etcd', 'slow-clients',
  'clock-drifts', 'clock-steps', 'full-disk', 'wipe-disk', 'kill-etcd-member', 'kill-etcd-leader', 'kill-etcd', 'rolling-restart',
  'power-cut-nodes', 'power-cut',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Of a link between this end and the other: both ways, only what this end sends, only what it hears. With a full disk, `in`: the node is started on it. */
export type Way = 'both' | 'out' | 'in';

export interface Fault {
  readonly kind: FaultKind;
  /** Numbers of nodes: whom it happens to, and the other end of a link. */
  readonly node: number;
  readonly other: number;
  /** Number of an etcd member. */
  readonly member: number;
  readonly way: Way;
  /** Seconds, for a clock. */
  readonly offset: number;
  readonly delayMs: number;
  readonly lossPercent: number;
}

/** One fault, or two at once, and what follows. */
export interface Plan {
  readonly number: number;
  readonly faults: readonly Fault[];
  readonly holdMs: number;
  /** Between what begins first and the second one. */
  readonly staggerMs: number;
  readonly calmMs: number;
  /** Whether DESIGN.md promises service through it; else only safety and recovery are judged. */
  readonly promised: boolean;
}

interface Shape {
  /** Usually within these, in ms. */
  readonly hold: readonly [number, number];
  /** In a long run it is sometimes so long. */
  readonly longMs?: number;
  /** All nodes are gone: nobody can be served. */
  readonly beyond?: true;
  /** May come with another one. */
  readonly combines?: true;
}

const SHAPES: Readonly<Record<FaultKind, Shape>> = {
  'kill-node': { hold: [500, 8000], combines: true },
  'pause-node': { hold: [1000, 12_000], longMs: 120_000, combines: true },
  'isolate-node': { hold: [2000, 12_000], longMs: 60_000, combines: true },
  'split-node': { hold: [2000, 12_000], longMs: 60_000, combines: true },
  'cut-nodes': { hold: [1000, 12_000], longMs: 60_000, combines: true },
  'cut-etcd': { hold: [2000, 12_000], longMs: 60_000, combines: true },
  'cut-clients': { hold: [2000, 10_000], combines: true },
  'slow-nodes': { hold: [3000, 10_000], longMs: 40_000, combines: true },
  'slow-etcd': { hold: [3000, 10_000], longMs: 40_000, combines: true },
  'slow-clients': { hold: [3000, 8000], combines: true },
  'clock-drifts': { hold: [3000, 10_000], longMs: 40_000 },
  'clock-steps': { hold: [3000, 12_000], longMs: 60_000 },
  'full-disk': { hold: [4000, 12_000], longMs: 60_000, combines: true },
  'wipe-disk': { hold: [500, 5000] },
  'kill-etcd-member': { hold: [1000, 10_000], combines: true },
  'kill-etcd-leader': { hold: [1000, 10_000], combines: true },
  'kill-etcd': { hold: [2000, 15_000], longMs: 120_000, combines: true },
  'rolling-restart': { hold: [0, 0] },
  'power-cut-nodes': { hold: [500, 4000], beyond: true },
  'power-cut': { hold: [500, 4000], beyond: true },
};

const TWO_AT_ONCE = 0.15;
const LONG = 0.15;

export interface ScheduleOptions {
  readonly seed: number;
  readonly nodes: number;
  /** Whether a fault may take minutes. */
  readonly long: boolean;
  readonly only?: readonly FaultKind[];
}

/** Without an end. Every kind comes once before one comes again. */
export function* schedule({ seed, nodes, long, only = FAULT_KINDS }: ScheduleOptions): Generator<Plan> {
  const random = new Random(seed);
  let deck: FaultKind[] = [];
  for (let number = 1; ; number++) {
    if (deck.length === 0) deck = shuffled(only, random);
    const faults = [drawFault(deck.pop()!, nodes, random)];
    // What is drawn is drawn in any case, so that the rest of the schedule does not depend on it.
    const partner = drawFault(random.pick(FAULT_KINDS), nodes, random);
    const two = random.chance(TWO_AT_ONCE) && faults.concat(partner).every(({ kind }) => SHAPES[kind].combines === true) && partner.kind !== faults[0]!.kind;
    if (two) faults.push(partner);
    const shapes = faults.map(({ kind }) => SHAPES[kind]);
    const takesLong = random.chance(LONG) && long;
    const holds = shapes.map(({ hold: [least, most], longMs }) => (takesLong && longMs !== undefined ? random.between(most, longMs) : random.between(least, most)));
    yield {
      number, faults, holdMs: Math.round(Math.max(...holds)), staggerMs: Math.round(random.between(0, 2000)), calmMs: Math.round(random.between(1500, 4000)),
      promised: !two && shapes.every(({ beyond }) => beyond !== true),
    };
  }
}

function shuffled(kinds: readonly FaultKind[], random: Random): FaultKind[] {
  return kinds.map((kind) => ({ kind, order: random.u32() })).toSorted((one, other) => one.order - other.order).map(({ kind }) => kind);
}

function drawFault(kind: FaultKind, nodes: number, random: Random): Fault {
  const node = random.int(0, nodes - 1);
  const other = (node + random.int(1, nodes - 1)) % nodes;
  const size = kind === 'clock-drifts' ? random.between(1.5, 8) : random.between(15, 300);
  return {
    kind, node, other, member: random.int(0, 2), way: random.pick(['both', 'out', 'in'] as const),
    offset: Math.round(size * (random.chance(0.5) ? 10 : -10)) / 10,
    delayMs: random.int(5, 150), lossPercent: random.chance(0.5) ? 0 : random.int(1, 20),
  };
}

/** In words, for the progress line and the failure. */
export function describeFault(fault: Fault, nodeName: (number: number) => string): string {
  const node = nodeName(fault.node);
  const way = { both: '<->', out: '-->', in: '<--' }[fault.way];
  const slow = `${fault.delayMs} ms, ${fault.lossPercent} % lost`;
  switch (fault.kind) {
    case 'cut-nodes': return `${fault.kind} ${node} ${way} ${nodeName(fault.other)}`;
    case 'slow-nodes': return `${fault.kind} ${node} ${way} ${nodeName(fault.other)} (${slow})`;
    case 'cut-etcd': return `${fault.kind} ${node} ${way} etcd`;
    case 'slow-etcd': return `${fault.kind} ${node} ${way} etcd (${slow})`;
    case 'cut-clients': return `${fault.kind} ${node} ${way} clients`;
    case 'slow-clients': return `${fault.kind} ${node} ${way} clients (${slow})`;
    case 'full-disk': return `${fault.kind} ${node}${fault.way === 'in' ? ', started on it' : ''}`;
    case 'clock-drifts': case 'clock-steps': return `${fault.kind} ${node} by ${fault.offset} s`;
    case 'kill-etcd-member': return `${fault.kind} e${fault.member + 1}`;
    case 'kill-etcd-leader': case 'kill-etcd': case 'rolling-restart': case 'power-cut-nodes': case 'power-cut': return fault.kind;
    default: return `${fault.kind} ${node}`;
  }
}
