/** What a long run must have shown, lest it proves too little: every kind of fault, and every cell of the tables of states. */
import { NODE_TRANSITIONS } from '../../cluster/core/node-state.ts';
import { BINDING_TRANSITIONS } from '../../node/lease/states.ts';
import { FAULTS } from './nemesis.ts';

/** Runs of fewer seeds need not have shown everything. */
export const COVERAGE_SEEDS = 1000;

/** What must have happened at least once, by the names under which worlds count. */
export function mustHappen(): string[] {
  const cells = (kind: string, table: Readonly<Record<string, object>>): string[] =>
    Object.entries(table).flatMap(([from, row]) => Object.keys(row).map((to) => `${kind}:${from} ${to}`));
  return [
    ...Object.entries(FAULTS).flatMap(([fault, { shows = [] }]) => [fault, ...shows]).map((what) => (what.includes('event:') ? what : `fault:${what}`)),
    'inbox-items', 'records-fetched', 'event:config.applied', 'event:config.refused',
    'client-moved', 'client-slept', 'client-cloned', 'client-declined', 'client-bootp', 'client-rapid-commit', 'client-expired', 'client-nak',
    'query:active', 'query:unassigned', 'query:unknown', 'query:several-leases', 'query:silence', 'query-leases', 'bulk:read', 'bulk:refused', 'bulk-leases',
    'follow:anew', 'follow:catch-up', 'follow:data-missing', 'follow:changes', 'follow:idle', 'follow:forgets',
    ...['stopped', 'silent', 'by-itself', 'broken', 'out-of-service', 'refused', 'switched-off'].map((why) => `follow-left:${why}`),
    'client-renamed', 'names-checked', 'names:lossy', 'names:dead', 'names:refusing', 'names:answer-lost', 'names:add-forward-conflict',
    'names-checked-after-resync', 'names:resync-missing', 'names:resync-stray',
    'event:dns.zone-failing', 'event:dns.zone-recovered', 'event:dns.conflict',
    ...cells('node', NODE_TRANSITIONS), ...cells('binding', BINDING_TRANSITIONS),
  ];
}

/** A line for everything that was counted or should have been. */
export function tableOf(counts: ReadonlyMap<string, number>): string {
  const names = new Set([...mustHappen(), ...counts.keys()]);
  return [...names].toSorted().map((what) => `  ${what.padEnd(60)} ${String(counts.get(what) ?? 0).padStart(10)}\n`).join('');
}
