/** The metrics of names in DNS. */
import { DNS_ACTIONS, DNS_OUTCOMES } from '../ddns/counters.ts';
import type { MetricDefinition } from './metric-table.ts';

export const DNS: readonly MetricDefinition[] = [
  {
    name: 'lessor_dns_updates_total', type: 'counter', labels: ['action', 'outcome'],
    help: 'Updates of DNS by what was to be done and how it ended: done; conflict: the name is somebody else\'s; refused by a server; unavailable: no server could do it, and it is tried again',
    read: ({ counters: { dns } }) => DNS_ACTIONS.flatMap((action) => DNS_OUTCOMES.map((outcome) => ({ labels: { action, outcome }, value: dns.ended(action, outcome) }))),
  },
  {
    name: 'lessor_dns_update_seconds', type: 'histogram', labels: [],
    help: 'Time from the first message of an update of DNS to its end, of those that a server answered',
    read: ({ counters: { dns } }) => [{ histogram: dns.seconds }],
  },
  {
    name: 'lessor_dns_pending', type: 'gauge', labels: ['zone'],
    help: 'Updates of DNS that wait or are under way, of the addresses that the node owns; an estimate where there are thousands',
    read: ({ status }) => status.dns.zones.map(({ zone, pending }) => ({ labels: { zone }, value: pending })),
  },
  {
    name: 'lessor_dns_zone_failing_seconds', type: 'gauge', labels: ['zone'],
    help: 'Seconds since a zone could be changed last, for zones that cannot be changed; absent for the others',
    read: ({ status }) => status.dns.zones.filter(({ failing }) => failing !== '').map(({ zone, failingSeconds }) => ({ labels: { zone }, value: failingSeconds })),
  },
  {
    name: 'lessor_dns_entries_given_up_total', type: 'counter', labels: [],
    help: 'Entries that may have stayed in DNS: a server refused to take them out, no zone is configured for them any more, or a binding had too many of them',
    read: ({ counters: { dns } }) => [{ value: dns.givenUp }],
  },
];
