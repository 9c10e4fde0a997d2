/** How long clients waited for service because of each fault. */
import type { Wait } from './judge.ts';
import type { Plan } from './schedule.ts';

/** From the moment of a fault until the cluster had recovered from it. */
export interface FaultWindow {
  readonly plan: Plan;
  readonly begin: number;
  readonly end: number;
}

export interface WaitFigures {
  readonly count: number;
  readonly p99Ms: number;
  readonly worstMs: number;
}

export interface KindFigures {
  /** A kind of fault, `two at once`, or `none`. */
  readonly kind: string;
  readonly times: number;
  readonly newClients: WaitFigures;
  readonly knownClients: WaitFigures;
  /** From the end of the fault until all nodes were NORMAL. */
  readonly recoveryWorstMs: number;
}

/** Longer than any promise, the client's own retransmission and a busy machine come to. */
export const SERVED_MS_MAX = 15_000;
/** The same where the lease ran out meanwhile. One that was renewed only just before its end may run out sooner. */
const LOST_MS_MAX = 10_000;
const NO_FAULT = 'none';

export function kindOf(plan: Plan): string {
  return plan.faults.length > 1 ? 'two at once' : plan.faults[0]!.kind;
}

function overlaps(wait: Wait, window: FaultWindow): boolean {
  return wait.since < window.end && wait.at > window.begin;
}

/** The time without service that the fault caused: not what the client had waited before it. */
function causedMs(wait: Wait, window: FaultWindow | undefined): number {
  return wait.at - Math.max(wait.since, window?.begin ?? 0);
}

function figuresOf(waitsMs: readonly number[]): WaitFigures {
  const sorted = waitsMs.toSorted((one, other) => one - other);
  return { count: sorted.length, p99Ms: sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0, worstMs: sorted.at(-1) ?? 0 };
}

/** In order of first appearance. `recoveries`: ms by a plan's number. */
export function figuresByKind(waits: readonly Wait[], windows: readonly FaultWindow[], recoveries: ReadonlyMap<number, number>): KindFigures[] {
  const kinds = new Map<string, { windows: FaultWindow[]; new: number[]; known: number[] }>([[NO_FAULT, { windows: [], new: [], known: [] }]]);
  for (const window of windows) {
    const kind = kinds.get(kindOf(window.plan)) ?? { windows: [], new: [], known: [] };
    kinds.set(kindOf(window.plan), kind);
    kind.windows.push(window);
  }
  for (const wait of waits) {
    const window = windows.find((window) => overlaps(wait, window));
    kinds.get(window === undefined ? NO_FAULT : kindOf(window.plan))![wait.what].push(causedMs(wait, window));
  }
  return [...kinds].map(([kind, found]) => ({
    kind, times: found.windows.length, newClients: figuresOf(found.new), knownClients: figuresOf(found.known),
    recoveryWorstMs: Math.max(0, ...found.windows.map(({ plan }) => recoveries.get(plan.number) ?? 0)),
  }));
}

/** Clients that were not served although service is promised, in words. */
export function notServed(waits: readonly Wait[], windows: readonly FaultWindow[], nameOf: (plan: Plan) => string): string[] {
  return waits.flatMap((wait) => {
    const met = windows.filter((window) => overlaps(wait, window));
    if (met.some(({ plan }) => !plan.promised)) return [];
    const ms = causedMs(wait, met[0]);
    if (ms <= (wait.served ? SERVED_MS_MAX : LOST_MS_MAX)) return [];
    const during = met.map(({ plan }) => `${plan.number} ${nameOf(plan)}`).join(', ') || 'no fault at all';
    return [`${wait.client} ${wait.served ? `was served after ${ms.toFixed(0)} ms` : `lost its lease after ${ms.toFixed(0)} ms without an answer`} (${during})`];
  });
}
