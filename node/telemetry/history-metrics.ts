/** The metrics of the history of leases; a node without one has none of them. */
import type { MetricDefinition, Sample, Scrape } from './metric-table.ts';

type History = NonNullable<Scrape['status']['history']>;

function ofHistory({ status }: Scrape, value: (history: History) => number): Sample[] {
  return status.history === undefined ? [] : [{ value: value(status.history) }];
}

export const HISTORY: readonly MetricDefinition[] = [
  {
    name: 'lessor_history_bytes', type: 'gauge', labels: [],
    help: 'What the history of leases takes on the disk, about; past `history.size` the oldest day goes',
    read: (scrape) => ofHistory(scrape, ({ bytes }) => bytes),
  },
  {
    name: 'lessor_history_since_seconds', type: 'gauge', labels: [],
    help: 'From when on the history of leases is complete, seconds since 1970-01-01 UTC',
    read: (scrape) => ofHistory(scrape, ({ since }) => since),
  },
  {
    name: 'lessor_history_gap', type: 'gauge', labels: [],
    help: '1 while the history of leases lacks what ended when the node was away, and it copies it from another one',
    read: (scrape) => ofHistory(scrape, ({ gap }) => (gap === null ? 0 : 1)),
  },
];
