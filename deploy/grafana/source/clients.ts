/** What clients ask, what they are answered, how fast, and what goes wrong. */
import { dashboard } from './dashboard.ts';
import { CLUSTER, DROPS_BY_FAULT, NODE, orNone, quantile, quantiles } from './expressions.ts';
import { BAD, WARN, from, heatmap, rising, series, stat, table } from './panels.ts';
import type { DashboardJson } from './types.ts';

const RATE = '$__rate_interval';
const TROUBLE = 'lease.declined|address.in-use|pool.exhausted|dhcp.decline-flood|client.identifier-conflict|dhcp.refused|dhcp.nak|rogue-server|probe.unable';

export function clients(): DashboardJson {
  return dashboard({
    uid: 'lessor-clients', title: 'Lessor / Clients and errors', span: '6h', refresh: '30s', variables: ['node'],
    description: 'What clients ask, what they are answered, how fast, and what goes wrong.',
    rows: [
      {
        title: 'Is everything well?', panels: [
          stat({
            title: 'Acknowledged', unit: 'pps', decimals: 1, trend: true,
            description: 'DHCPACKs sent by all nodes. None at all for minutes, in a network with clients: look at the relays and at the states of the nodes.',
            queries: [{ expr: `sum(rate(lessor_dhcp_sent_total{${CLUSTER},type="ack"}[${RATE}]))` }],
          }),
          stat({
            title: 'Slowest hundredth of DHCPACKs', unit: 's', decimals: 1, thresholds: rising(0.1, 1), trend: true, runbooks: ['commit-slow'],
            description: '99 % left within this time after their request was read.',
            queries: [{ expr: quantile(0.99, 'lessor_dhcp_reply_seconds', `${CLUSTER},type="ack"`) }],
            nothing: 'nothing was acknowledged lately',
          }),
          stat({
            title: 'Unanswered by a fault', unit: 'pps', decimals: 2, thresholds: [[null, 'green'], [0.01, WARN], [1, BAD]], trend: true, runbooks: ['requests-dropped', 'pool-full'],
            description: 'Packets that got no answer although their client may have done nothing wrong. The panel of reasons below says why.',
            queries: [{ expr: `sum(rate(lessor_dhcp_dropped_total{${CLUSTER},reason=~"${DROPS_BY_FAULT.join('|')}"}[${RATE}]))` }],
          }),
          stat({
            title: 'Refused (DHCPNAK)', unit: 'pps', decimals: 2, thresholds: [[null, 'green'], [1, WARN]], trend: true, runbooks: ['rogue-server'],
            description: 'Clients that moved are told so; that is as it should be. Many from one subnet: a second DHCP server, or a relay with a wrong address.',
            queries: [{ expr: `sum(rate(lessor_dhcp_sent_total{${CLUSTER},type="nak"}[${RATE}]))` }],
          }),
          stat({
            title: 'Declined', unit: 'pps', decimals: 2, thresholds: [[null, 'green'], [0.01, WARN], [1, BAD]], trend: true, runbooks: ['decline-flood'],
            description: 'Addresses that a client found in use by somebody else. Each is taken out of its pool: find the host that uses it.',
            queries: [{ expr: `sum(rate(lessor_dhcp_received_total{${CLUSTER},type="decline"}[${RATE}]))` }],
          }),
          stat({
            title: 'Conflicts between nodes', unit: 'none', decimals: 0, thresholds: from(1, BAD), runbooks: ['conflicts'],
            description: 'Bindings that two nodes changed in one epoch, since the nodes started. Anything but 0 is a mistake in Lessor: report it.',
            queries: [{ expr: `sum(lessor_conflicts_total{${CLUSTER}})` }],
          }),
        ],
      },
      {
        title: 'Messages', panels: [
          series({
            title: 'Received by type', unit: 'pps', min: 0, stacked: true,
            description: 'On all nodes that are shown; a broadcast reaches each of them. DISCOVERs without REQUESTs: clients do not hear the offers, or another server is faster.',
            queries: [{ expr: orNone(`sum by (type) (rate(lessor_dhcp_received_total{${NODE}}[${RATE}])) > 0`, 'type'), legend: '{{type}}' }],
          }),
          series({
            title: 'Sent by type', unit: 'pps', min: 0, stacked: true,
            description: 'Offers and acknowledgements keep together while clients start; renewals are acknowledgements alone.',
            queries: [{ expr: orNone(`sum by (type) (rate(lessor_dhcp_sent_total{${NODE}}[${RATE}])) > 0`, 'type'), legend: '{{type}}' }],
          }),
          series({
            title: 'Exchanges of each node', unit: 'pps', min: 0, stacked: true,
            description: 'As the nodes measure it over the last seconds, so that short peaks are seen.',
            queries: [{ expr: `max by (instance) (lessor_exchanges_per_second{${NODE}})`, legend: '{{instance}}' }],
          }),
          series({
            title: 'Waiting', unit: 'none', decimals: 0, min: 0, runbooks: ['commit-slow'],
            description: 'Answers that wait until their lease is on every disk (commit) or until the others confirm that this node is still in service, and offers that were not taken up yet.',
            queries: [
              { expr: `sum by (for) (lessor_replies_waiting{${NODE}})`, legend: 'for {{for}}' },
              { expr: `sum(lessor_offers{${NODE}})`, legend: 'offers' },
            ],
          }),
        ],
      },
      {
        title: 'What goes wrong', panels: [
          series({
            title: 'No answer, by a fault', unit: 'pps', min: 0, runbooks: ['requests-dropped', 'pool-full'],
            description: 'Reasons for which a client without fault stays without an answer. The list of reasons is in node/telemetry/counters.ts; the runbook says what to do about each.',
            queries: [{ expr: orNone(`sum by (reason) (rate(lessor_dhcp_dropped_total{${NODE},reason=~"${DROPS_BY_FAULT.join('|')}"}[${RATE}])) > 0`, 'reason'), legend: '{{reason}}' }],
          }),
          series({
            title: 'No answer, as it should be', unit: 'pps', min: 0,
            description: 'Most of all not-responsible: the other node answers this client. The others are clients that chose another server, repeat themselves, or send what cannot be read.',
            queries: [{ expr: orNone(`sum by (reason) (rate(lessor_dhcp_dropped_total{${NODE},reason!~"${DROPS_BY_FAULT.join('|')}"}[${RATE}])) > 0`, 'reason'), legend: '{{reason}}' }],
          }),
          table({
            title: 'Trouble with clients in this span of time', unit: 'none', decimals: 0, sortBy: 'times', runbooks: ['decline-flood', 'rogue-server'],
            description: 'Events about single clients; the log lines name them by their hardware address. deploy/events.md says what to do about each.',
            queries: [{ expr: `sum by (event) (increase(lessor_events_total{${NODE},event=~"${TROUBLE}"}[$__range]))` }],
            columns: [{ field: 'event', title: 'event' }, { field: 'Value', title: 'times', decimals: 0 }],
          }),
          series({
            title: 'Declines and refusals', unit: 'pps', min: 0, runbooks: ['decline-flood', 'rogue-server'],
            description: 'DHCPDECLINE: an address is in use by somebody else. DHCPNAK: a client asks for an address that it may not have.',
            queries: [
              { expr: `sum(rate(lessor_dhcp_received_total{${NODE},type="decline"}[${RATE}]))`, legend: 'declines' },
              { expr: `sum(rate(lessor_dhcp_sent_total{${NODE},type="nak"}[${RATE}]))`, legend: 'NAKs' },
            ],
          }),
          series({
            title: 'Probes of addresses', unit: 'ops', min: 0,
            description: 'Asked before an offer, where the conflict check is on. in-use: somebody without a lease; unable: the process may not send probes (CAP_NET_RAW).',
            queries: [{ expr: `sum by (result) (rate(lessor_conflict_probes_total{${NODE}}[${RATE}]))`, legend: '{{result}}' }],
          }),
          series({
            title: 'What should hardly ever happen', unit: 'none', decimals: 0, min: 0, runbooks: ['conflicts'],
            description: 'Leases that changed their hardware address under the same client identifier: cloned machines, give each its own, or use identity: hardware. Conflicts between nodes: a mistake in Lessor. Answers without option 82: it did not fit.',
            queries: [
              { expr: `sum(increase(lessor_dhcp_identifier_conflicts_total{${NODE}}[${RATE}]))`, legend: 'client identifiers in conflict' },
              { expr: `sum(increase(lessor_conflicts_total{${NODE}}[${RATE}]))`, legend: 'conflicts between nodes' },
              { expr: `sum(increase(lessor_dhcp_relay_information_omitted_total{${NODE}}[${RATE}]))`, legend: 'answers without option 82' },
            ],
          }),
        ],
      },
      {
        title: 'How fast', panels: [
          series({
            title: 'Time to a DHCPACK', unit: 's', min: 0, logarithmic: true, runbooks: ['commit-slow'],
            description: 'From the reading of a request to the sending of its answer, the flush of every member\'s disk included. Clients repeat themselves after some 4 s.',
            queries: quantiles('lessor_dhcp_reply_seconds', `${NODE},type="ack"`),
            nothing: 'nothing was acknowledged in this span of time',
          }),
          series({
            title: 'Time to a DHCPOFFER', unit: 's', min: 0, logarithmic: true,
            description: 'Nothing is written for an offer; with a conflict check it waits for the probe.',
            queries: quantiles('lessor_dhcp_reply_seconds', `${NODE},type="offer"`),
            nothing: 'nothing was offered in this span of time',
          }),
          heatmap({
            title: 'Time to a DHCPACK, all of them', unit: 's', width: 24, runbooks: ['commit-slow'],
            description: 'Two bands: renewals that need no write, and leases that are flushed. A band that climbs is a disk or a link that becomes slower.',
            queries: [{ expr: `sum by (le) (increase(lessor_dhcp_reply_seconds_bucket{${NODE},type="ack"}[${RATE}]))`, legend: '{{le}}' }],
          }),
        ],
      },
      {
        title: 'Names in DNS', panels: [
          series({
            title: 'Updates by how they ended', unit: 'ops', min: 0, runbooks: ['dns-zone-failing'],
            description: 'done; conflict: the name is somebody else\'s and stays theirs; refused: by the zone\'s server; unavailable: no server could do it, and it is tried again.',
            queries: [{ expr: orNone(`sum by (action, outcome) (rate(lessor_dns_updates_total{${NODE}}[${RATE}])) > 0`, 'outcome', 'nothing was to be done'), legend: '{{action}} {{outcome}}' }],
          }),
          series({
            title: 'Updates that wait, by zone', unit: 'none', decimals: 0, min: 0, runbooks: ['dns-zone-failing'],
            description: 'Each node tells of the addresses that it owns. It grows while a zone cannot be changed, and falls by itself once it can.',
            queries: [{ expr: orNone(`sum by (zone) (lessor_dns_pending{${NODE}})`, 'zone', 'nothing waits'), legend: '{{zone}}' }],
          }),
          series({
            title: 'Zones that cannot be changed', unit: 's', min: 0, runbooks: ['dns-zone-failing'],
            description: 'Since when, by node. Clients get their addresses all the same.',
            queries: [{ expr: orNone(`max by (zone, instance) (lessor_dns_zone_failing_seconds{${NODE}})`, 'zone', 'none'), legend: '{{zone}} {{instance}}' }],
          }),
          series({
            title: 'Time of an update', unit: 's', min: 0, logarithmic: true,
            description: 'From its first message to the server\'s last answer; DHCP clients do not wait for it.',
            queries: quantiles('lessor_dns_update_seconds', NODE),
            nothing: 'nothing was changed in this span of time',
          }),
          series({
            title: 'Entries that may have stayed in DNS', unit: 'none', decimals: 0, min: 0,
            description: 'Refused by a server, in no configured zone any more, or too many of one address. lessor dns resync finds them.',
            queries: [{ expr: `sum(increase(lessor_dns_entries_given_up_total{${NODE}}[${RATE}]))`, legend: 'given up' }],
          }),
        ],
      },
      {
        title: 'LEASEQUERY', panels: [
          series({
            title: 'Queries by how they ended', unit: 'ops', min: 0,
            description: 'Nobody may ask unless leasequery.requestors names them. malformed and not-allowed: look at the requestor. terminated: it read too slowly, or the node left service.',
            queries: [{ expr: orNone(`sum by (protocol, outcome) (rate(lessor_leasequery_queries_total{${NODE}}[${RATE}]))`, 'outcome', 'nobody has asked'), legend: '{{protocol}} {{outcome}}' }],
          }),
          series({
            title: 'Queries without an answer', unit: 'ops', min: 0,
            description: 'query-refused: somebody outside leasequery.requestors asks; query-rate: more than leasequery.queriesPerRequestor.',
            queries: [{ expr: `sum by (reason) (rate(lessor_dhcp_dropped_total{${NODE},reason=~"query-.*"}[${RATE}]))`, legend: '{{reason}}' }],
          }),
          series({
            title: 'Connections and bindings over TCP', unit: 'none', min: 0,
            description: 'Open connections of requestors, bindings told a second, and connections refused: too many, or from nobody who may ask.',
            queries: [
              { expr: `sum(lessor_leasequery_connections{${NODE}})`, legend: 'connections' },
              { expr: `sum(rate(lessor_leasequery_records_total{${NODE}}[${RATE}]))`, legend: 'bindings a second' },
              { expr: `sum(increase(lessor_leasequery_connections_refused_total{${NODE}}[${RATE}]))`, legend: 'refused' },
            ],
          }),
          series({
            title: 'Requestors that follow changes', unit: 's', min: 0,
            description: 'Age of the oldest change that was not written to it yet. It grows where a requestor does not read; one that is too far behind is let go.',
            queries: [{ expr: orNone(`max by (requestor) (lessor_leasequery_active_lag_seconds{${NODE}})`, 'requestor', 'nobody follows'), legend: '{{requestor}}' }],
          }),
        ],
      },
    ],
  });
}
