/** The metrics of LEASEQUERY. */
import type { MetricDefinition, Sample } from './metric-table.ts';

const one = (value: number): Sample[] => [{ value }];

export const LEASEQUERY: readonly MetricDefinition[] = [
  {
    name: 'lessor_leasequery_queries_total', type: 'counter', labels: ['protocol', 'kind', 'outcome'],
    help: 'LEASEQUERY answered or ended, by protocol (single: UDP, bulk and active: TCP), by what it asked and by how it ended; those that got no answer are in lessor_dhcp_dropped_total',
    read: ({ counters }) => [...counters.queries.all()].map(({ protocol, kind, outcome, count }) => ({ labels: { protocol, kind, outcome }, value: count })),
  },
  {
    name: 'lessor_leasequery_records_total', type: 'counter', labels: [],
    help: 'Bindings told of over TCP',
    read: ({ counters }) => one(counters.queries.records),
  },
  {
    name: 'lessor_leasequery_connections', type: 'gauge', labels: [],
    help: 'Open connections of requestors',
    read: ({ counters }) => one(counters.queries.connections),
  },
  {
    name: 'lessor_leasequery_connections_refused_total', type: 'counter', labels: [],
    help: 'Connections closed at once: too many, or from an address outside leasequery.requestors',
    read: ({ counters }) => one(counters.queries.refusedConnections),
  },
  {
    name: 'lessor_leasequery_active_lag_seconds', type: 'gauge', labels: ['requestor'],
    help: 'Requestors that follow changes: age of the oldest change that was not written to them yet',
    read: ({ counters }) => counters.queries.active.map(({ requestor, lagSeconds }) => ({ labels: { requestor }, value: lagSeconds })),
  },
  {
    name: 'lessor_leasequery_active_waiting', type: 'gauge', labels: ['requestor'],
    help: 'Requestors that follow changes: changes that were not written to them yet',
    read: ({ counters }) => counters.queries.active.map(({ requestor, waiting }) => ({ labels: { requestor }, value: waiting })),
  },
];
