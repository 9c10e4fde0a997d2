/** What fails in each case, how, and what is promised then. */
import type { Measured } from './measuring.ts';
import type { Stage } from './stage.ts';
import { nodeCases, standbyCase } from './node-cases.ts';
import { networkCases } from './network-cases.ts';
import { etcdCases } from './etcd-cases.ts';
import { clockCases } from './clock-cases.ts';

/** With more that was seen, in words. */
export type Noted = Measured & { readonly notes?: readonly string[] };

export interface CaseOptions {
  /** Faults that last minutes last seconds. */
  readonly quick: boolean;
}

export interface TakeoverCase {
  readonly name: string;
  /** What is done. */
  readonly title: string;
  /** Within so many ms everybody is served, DESIGN.md says. */
  readonly promiseMs: number;
  /** The same for those whose node and whose address's owner had no fault. */
  readonly othersMs?: number;
  readonly run: (stage: Stage, options: CaseOptions) => Promise<Noted>;
}

export const CASES: readonly TakeoverCase[] = [...nodeCases, ...networkCases, ...etcdCases, ...clockCases, standbyCase];
