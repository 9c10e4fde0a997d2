/** Is everything well? And if not: which of the other dashboards says more. */
import { dashboard } from './dashboard.ts';
import { CLUSTER, NODE, NODES_SERVING, NO_POOLS, STATE_WORDS, SUBNET, UP_WORDS, orNone, stateNumbers } from './expressions.ts';
import { BAD, WARN, bars, falling, from, rising, series, stat, table, timeline, words } from './panels.ts';
import type { DashboardJson } from './types.ts';

export function overview(): DashboardJson {
  return dashboard({
    uid: 'lessor-overview', title: 'Lessor / Overview', span: '6h', refresh: '30s', variables: ['node', 'subnet'],
    description: 'Whether a cluster of Lessor is well: the first row answers it, the others show since when.',
    rows: [
      {
        title: 'Is everything well?', panels: [
          stat({
            title: 'Alerts that fire', unit: 'none', decimals: 0, thresholds: from(1, BAD), mappings: words({ 0: ['none', 'green'] }),
            description: 'Alerts of deploy/prometheus/alerts.yaml that fire now, for this cluster. Anything but none: look at the table below, and follow the runbook of the alert.',
            queries: [{ expr: `count(ALERTS{${CLUSTER},alertstate="firing",alertname=~"Lessor.*"}) or vector(0)` }],
          }),
          stat({
            title: 'Nodes in service', unit: 'none', decimals: 0, names: true, runbooks: ['node-down', 'not-ready', 'one-member'],
            description: 'Nodes that answer clients, of those that Prometheus scrapes. Fewer: the others serve all clients; bring the missing one back before a second one fails.',
            queries: [{ expr: NODES_SERVING, legend: 'serve' }, { expr: `count(up{${CLUSTER}})`, legend: 'of' }],
          }),
          stat({
            title: 'Nodes that may still fail', unit: 'none', decimals: 0, runbooks: ['one-member'],
            thresholds: [[null, WARN], [1, 'green']], mappings: words({ 0: ['none', WARN] }),
            description: 'Members of the view beyond the last one. None: the next fault stops the service (a single node is always so).',
            queries: [{ expr: `clamp_min(min(lessor_view_members{${CLUSTER}} > 0) - 1, 0)` }],
            nothing: 'no node has a view',
          }),
          stat({
            title: 'Fullest subnet', unit: 'percentunit', decimals: 1, thresholds: rising(0.85, 1), runbooks: ['pool-full'], max: 1, min: 0,
            description: 'Part of the addresses in the pools of the fullest subnet that nobody can get. At 100 % new clients get nothing: enlarge the pool or shorten the lease time. Lessor / Pools says which one, and when it is full.',
            queries: [{ expr: `max(cluster_subnet:lessor_pool_used:ratio{${CLUSTER}})` }],
            nothing: NO_POOLS,
          }),
          stat({
            title: 'Slowest hundredth of DHCPACKs', unit: 's', decimals: 1, thresholds: rising(0.1, 1), trend: true, runbooks: ['commit-slow'],
            description: '99 % of acknowledgements left within this time after their request was read. Above 100 ms look at disks and links in Lessor / Store and process; clients repeat a request after some 4 s.',
            queries: [{ expr: `max(cluster_type:lessor_dhcp_reply_seconds:quantile5m{${CLUSTER},type="ack",quantile="0.99"})` }],
            nothing: 'nothing was acknowledged lately',
          }),
          stat({
            title: 'Requests that failed', unit: 'pps', decimals: 2, thresholds: [[null, 'green'], [0.01, WARN], [0.1, BAD]], trend: true, runbooks: ['requests-dropped'],
            description: 'Packets that got no answer although a node owed them one: it was slow, stuck or had too much to do. Clients ask again, and wait. Lessor / Clients and errors says why.',
            queries: [{ expr: `sum(instance:lessor_dhcp_failed:rate5m{${CLUSTER}})` }],
          }),
          stat({
            title: 'etcd', unit: 'none', mappings: words({ 0: ['not reached', BAD], 1: ['reached', 'green'] }), runbooks: ['etcd-unreachable', 'etcd-went-back'],
            description: 'Whether every node reaches etcd. Not reached: clients are served all the same, but no node can be replaced until it is back.',
            queries: [{ expr: `min(lessor_etcd_reachable{${CLUSTER}})` }],
            nothing: 'no etcd: a single node',
          }),
          stat({
            title: 'Configuration', unit: 'none', runbooks: ['configuration-differs'],
            mappings: words({ 0: ['the same everywhere', 'green'], 1: ['differs', WARN], 2: ['refused', BAD] }),
            description: 'Whether all nodes have the newest revision in force. It differs for seconds after lessor config apply; refused: a node cannot use it, lessor status says why.',
            queries: [{
              expr: `max(2 * lessor_config_refused{${CLUSTER}} or (max(lessor_config_revision{${CLUSTER},at="newest"}) > bool min(lessor_config_revision{${CLUSTER},at="loaded"})))`,
            }],
          }),
          stat({
            title: 'Versions', unit: 'none', runbooks: ['mixed-versions', 'upgrade'], mappings: words({ 1: ['one', 'green'] }), thresholds: [[null, WARN]],
            description: 'Different versions of Lessor that run. More than one is as it should be only during an upgrade: finish it.',
            queries: [{ expr: `count(count by (version) (lessor_build_info{${CLUSTER}}))` }],
          }),
          stat({
            title: 'Largest clock difference', unit: 'percentunit', decimals: 0, thresholds: rising(0.2, 0.5), runbooks: ['clock-difference'],
            description: 'Between any two nodes that are linked, as a part of maxClockSkew. At 100 % a node is taken out of service: repair time synchronisation long before.',
            queries: [{ expr: `max(abs(lessor_clock_difference_seconds{${CLUSTER}}) / on (instance) group_left () lessor_clock_difference_max_seconds{${CLUSTER}})` }],
            nothing: 'no linked peers: a single node',
          }),
          stat({
            title: 'Least free disk', unit: 'percentunit', decimals: 0, thresholds: falling(0.1, 0.2), runbooks: ['full-disk'], min: 0, max: 1,
            description: 'Of the file system of the data folder, on the node where it is fullest. A node that cannot write acknowledges nothing.',
            queries: [{ expr: `min(lessor_data_disk_free_bytes{${CLUSTER}} / lessor_data_disk_size_bytes{${CLUSTER}})` }],
          }),
          stat({
            title: 'First certificate to end', unit: 's', decimals: 0, thresholds: falling(2 * 86400, 14 * 86400), runbooks: ['certificate-expires', 'certificates'],
            description: 'How long until it ends. A node with an ended certificate loses its links or etcd: issue a new one and put it in place, the node reads it anew.',
            queries: [{ expr: `min(lessor_certificate_expires_seconds{${CLUSTER}}) - time()` }],
            nothing: 'no certificates in use',
          }),
        ],
      },
      {
        title: 'What is wrong, and since when', panels: [
          timeline({
            title: 'State of each node', unit: 'none', mappings: STATE_WORDS, runbooks: ['node-down', 'isolated', 'communications-interrupted'], width: 24, height: 6,
            description: 'NORMAL: all nodes are in service and linked. COMMUNICATIONS-INTERRUPTED and PARTNER-DOWN serve, and want a look at the other node. ISOLATED sends nothing.',
            queries: [{ expr: stateNumbers(NODE), legend: '{{instance}}' }],
          }),
          table({
            title: 'Alerts', unit: 'none', sortBy: 'alert', ascending: true, width: 12,
            description: 'Those that fire and those that are about to. A line "none" means that there is nothing.',
            queries: [{ expr: orNone(`max by (alertname, alertstate, severity, instance, subnet) (ALERTS{${CLUSTER},alertname=~"Lessor.*"})`, 'alertname') }],
            columns: [{ field: 'alertname', title: 'alert' }, { field: 'alertstate', title: 'state' }, { field: 'severity', title: 'severity' }, { field: 'instance', title: 'node' }, { field: 'subnet', title: 'subnet' }],
          }),
          table({
            title: 'Events in this span of time', unit: 'none', decimals: 0, sortBy: 'times', width: 12,
            description: 'How often each event happened on the nodes that are shown. deploy/events.md says of each what it means and what to do; the log lines of the nodes have the particulars.',
            queries: [{ expr: orNone(`sum by (event) (increase(lessor_events_total{${NODE}}[$__range])) > 0`, 'event') }],
            columns: [{ field: 'event', title: 'event' }, { field: 'Value', title: 'times', decimals: 0 }],
          }),
        ],
      },
      {
        title: 'Service', panels: [
          series({
            title: 'Acknowledgements by node', unit: 'pps', stacked: true, min: 0,
            description: 'DHCPACKs sent. Nodes of equal weight do half of the work each; one that does all of it is alone, or the other does not hear the clients.',
            queries: [{ expr: `sum by (instance) (rate(lessor_dhcp_sent_total{${NODE},type="ack"}[$__rate_interval]))`, legend: '{{instance}}' }],
          }),
          series({
            title: 'Leases', unit: 'none', decimals: 0, min: 0,
            description: 'Active leases of the subnets that are shown. A sudden drop is a fault of the network in front of the clients; a sudden rise may be an attack.',
            queries: [{ expr: `sum(cluster_subnet_state:lessor_leases:max{${SUBNET},state="active"})`, legend: 'active' }],
          }),
          bars({
            title: 'Ten fullest subnets', unit: 'percentunit', decimals: 1, min: 0, max: 1, thresholds: rising(0.9, 1), runbooks: ['pool-full'],
            description: 'Part of the addresses that nobody can get. Lessor / Pools shows them over time.',
            queries: [{ expr: `topk(10, cluster_subnet:lessor_pool_used:ratio{${SUBNET}})`, legend: '{{subnet}}' }],
            nothing: NO_POOLS,
          }),
          series({
            title: 'Slots by owner', unit: 'none', decimals: 0, stacked: true, steps: true, min: 0, max: 256, runbooks: ['node-down'],
            description: 'Of 256 shares of addresses and clients, how many the view gives to each node. They add up to 256; a step is a takeover or a return.',
            queries: [{ expr: `max by (node) (lessor_view_slots{${CLUSTER}} and on (instance) (lessor_view_epoch{${CLUSTER}} == on () group_left () max(lessor_view_epoch{${CLUSTER}})))`, legend: '{{node}}' }],
            nothing: 'no node has a view',
          }),
          timeline({
            title: 'Scraped', unit: 'none', mappings: UP_WORDS, height: 5, runbooks: ['node-down'],
            description: 'Whether Prometheus reaches the HTTP port of each node. Down with clients served by it: look at http.listen and the firewall.',
            queries: [{ expr: `max by (instance) (up{${NODE}})`, legend: '{{instance}}' }],
          }),
        ],
      },
    ],
  });
}
