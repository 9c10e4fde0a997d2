/** The table at the end of a run. */
import type { KindFigures, WaitFigures } from './gaps.ts';
import type { QueryFigures } from './requestor.ts';

export interface Summary {
  readonly seed: number;
  readonly nodes: number;
  readonly seconds: number;
  readonly kinds: readonly KindFigures[];
  readonly faults: number;
  readonly leases: number;
  readonly clients: number;
  readonly comparisons: number;
  /** LEASEQUERY; undefined: nobody asked yet. */
  readonly queries: QueryFigures | undefined;
  readonly duplicates: number;
  readonly lost: number;
}

const HEAD = ['FAULT', 'TIMES', 'NEW CLIENTS', 'P99', 'WORST', 'KNOWN CLIENTS', 'P99', 'WORST', 'RECOVERY'] as const;

export function renderSummary(summary: Summary): string {
  const rows = summary.kinds.filter(({ times, newClients, knownClients }) => times + newClients.count + knownClients.count > 0)
    .map(({ kind, times, newClients, knownClients, recoveryWorstMs }) => [
      kind, times === 0 ? '-' : String(times), ...waitCells(newClients), ...waitCells(knownClients), times === 0 ? '-' : seconds(recoveryWorstMs),
    ]);
  return [
    'Seconds without service, from the fault or the first request, whichever was later, until the DHCPACK; clients ask every second.',
    'Known clients renew, rebind, or come back with the address that they had. Recovery: until all nodes are NORMAL, at worst.', '',
    ...table([HEAD, ...rows]), '',
    `seed ${summary.seed}, ${summary.nodes} nodes, ${summary.seconds.toFixed(0)} s: ${summary.faults} faults, ` +
      `${summary.leases} leases granted or renewed for ${summary.clients} clients, ${summary.comparisons} comparisons of all nodes`,
    ...(summary.queries === undefined ? [] : [queryLine(summary.queries)]),
    `duplicates: ${summary.duplicates}, lost leases: ${summary.lost}`,
  ].join('\n');
}

function queryLine({ answers, bulkDone, bulkLeases, bulkQueries, contradictions, questions, silent }: QueryFigures): string {
  return `LEASEQUERY: ${questions} questions, ${answers} answers, ${silent} without one; ${bulkDone} of ${bulkQueries} bulk queries, compared with ${bulkLeases} leases; ` +
    `contradictions: ${contradictions}`;
}

function waitCells({ count, p99Ms, worstMs }: WaitFigures): string[] {
  return count === 0 ? ['0', '-', '-'] : [String(count), seconds(p99Ms), seconds(worstMs)];
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ').trimEnd());
}
