/**
 * What several dashboards ask. Every node counts all leases and knows all peers, so what is true of the cluster is
 * the highest (or lowest) that a node says, never the sum; for pools the recording rules of deploy/prometheus say it.
 */
import type { DropReason } from '../../../node/telemetry/counters.ts';
import { BAD, WARN, words, type Query } from './panels.ts';

/** With one cluster alone the label may be missing: the variable is empty then, and so is the label. */
export const CLUSTER = 'job="$job",cluster="$cluster"';
export const NODE = `${CLUSTER},instance=~"$node"`;
export const SUBNET = `${CLUSTER},subnet=~"$subnet"`;

export const NO_POOLS = 'no pools are configured, or no node is in service';

export const NODES_SERVING = `sum(lessor_ready{${CLUSTER}}) or vector(0)`;

/** The state of each node as a number, in the order of `lessor_node_state`; 0 for one that cannot be scraped. */
const STATE_NUMBERS = {
  'STARTUP': [1, WARN], 'RECOVER': [2, WARN], 'NORMAL': [3, 'green'], 'COMMUNICATIONS-INTERRUPTED': [4, WARN], 'PARTNER-DOWN': [5, WARN],
  'ISOLATED': [6, BAD], 'DRAINING': [7, 'blue'], 'SHUTDOWN': [8, 'blue'],
} as const;

export function stateNumbers(selector: string): string {
  const states = Object.entries(STATE_NUMBERS).map(([state, [number]]) => `${number} * lessor_node_state{${selector},state="${state}"}`);
  return `max by (instance) (${[...states, `0 * up{${selector}}`].join(' or ')})`;
}

export const STATE_WORDS = words({
  0: ['not scraped', BAD], ...Object.fromEntries(Object.entries(STATE_NUMBERS).map(([state, [number, color]]) => [number, [state, color] as const])),
});

/** The role of each node in the view as a number. */
const ROLE_NUMBERS = { outside: [1, WARN], learner: [2, WARN], member: [3, 'green'], leader: [4, 'blue'] } as const;

export function roleNumbers(selector: string): string {
  return `max by (instance) (${Object.entries(ROLE_NUMBERS).map(([role, [number]]) => `${number} * lessor_node_role{${selector},role="${role}"}`).join(' or ')})`;
}

export const ROLE_WORDS = words(Object.fromEntries(Object.entries(ROLE_NUMBERS).map(([role, [number, color]]) => [number, [role, color] as const])));

export const UP_WORDS = words({ 0: ['down', BAD], 1: ['up', 'green'] });

/** Where the expression gives nothing, a series at 0 that says so in one of its labels. */
export function orNone(expression: string, label: string, none = 'none'): string {
  return `${expression} or on () label_replace(vector(0), "${label}", "${none}", "", "")`;
}

/** Of a histogram by `le` and `keep`. */
export function quantile(q: number, metric: string, selector: string, keep: readonly string[] = []): string {
  return `histogram_quantile(${q}, sum by (${['le', ...keep].join(', ')}) (rate(${metric}_bucket{${selector}}[$__rate_interval])))`;
}

export function quantiles(metric: string, selector: string, keep: readonly string[] = [], legend = ''): Query[] {
  return [[0.5, 'median'], [0.95, '95 %'], [0.99, '99 %']].map(([q, name]) => ({ expr: quantile(Number(q), metric, selector, keep), legend: `${legend}${name}` }));
}

/** Why a client that may have done nothing wrong gets no answer. */
export const DROPS_BY_FAULT: readonly DropReason[] = [
  'pool-exhausted', 'not-permitted', 'no-subnet', 'unknown-relay', 'allocation-timeout', 'probe-timeout', 'addresses-in-use', 'commit-timeout', 'forward-refused',
  'stale', 'stalled', 'overload', 'send-failed',
];

