/** What is told of the API and the audit log. */
import type { MetricDefinition } from './metric-table.ts';

export const API: readonly MetricDefinition[] = [
  {
    name: 'lessor_api_requests_total', type: 'counter', labels: ['operation', 'outcome'],
    help: 'Operations asked for over HTTP and the control socket, by how that ended (`unauthenticated` and `forbidden`: not let in)',
    read: ({ counters }) => [...counters.api.all()].map(({ operation, outcome, count }) => ({ labels: { operation, outcome }, value: count })),
  },
  {
    name: 'lessor_api_credential_failures_total', type: 'counter', labels: [],
    help: 'Credentials shown on the HTTP port that were no good',
    read: ({ counters }) => [{ value: counters.api.credentialFailures }],
  },
  {
    name: 'lessor_api_tokens_exposed_total', type: 'counter', labels: [],
    help: 'Tokens that came over the network in the clear, and were refused',
    read: ({ counters }) => [{ value: counters.api.tokensExposed }],
  },
  {
    name: 'lessor_audit_entries_replaced_total', type: 'counter', labels: [],
    help: 'Entries of the audit log that made room for newer ones before their time',
    read: ({ counters }) => [{ value: counters.api.auditReplaced }],
  },
];
