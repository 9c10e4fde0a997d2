/** Who is in service, who owns what, and how the nodes keep each other up to date. */
import { dashboard } from './dashboard.ts';
import { CLUSTER, NODE, NODES_SERVING, ROLE_WORDS, STATE_WORDS, UP_WORDS, quantile, roleNumbers, stateNumbers } from './expressions.ts';
import { BAD, WARN, falling, from, rising, series, stat, table, timeline, words } from './panels.ts';
import type { DashboardJson } from './types.ts';

const DAY = 86_400;
const SINGLE = 'no peers: a single node';
const NO_ETCD = 'no etcd: a single node';
/** The job of etcd's members in deploy/prometheus/prometheus.yaml. */
const ETCD = 'job=~"etcd.*",cluster="$cluster"';
const ETCD_UNSEEN = 'etcd is not scraped: see the job etcd in deploy/prometheus/prometheus.yaml';

export function cluster(): DashboardJson {
  return dashboard({
    uid: 'lessor-cluster', title: 'Lessor / Cluster', span: '6h', refresh: '30s', variables: ['node'],
    description: 'Who is in service, who owns what, and how the nodes keep each other up to date.',
    rows: [
      {
        title: 'Is everything well?', panels: [
          stat({
            title: 'Nodes in service', unit: 'none', decimals: 0, names: true, runbooks: ['node-down', 'not-ready', 'one-member'],
            description: 'Nodes that answer clients, of those that Prometheus scrapes.',
            queries: [{ expr: NODES_SERVING, legend: 'serve' }, { expr: `count(up{${CLUSTER}})`, legend: 'of' }],
          }),
          stat({
            title: 'Members of the view', unit: 'none', decimals: 0, thresholds: falling(1, 2), runbooks: ['one-member'],
            description: 'Nodes that are in sync and share the addresses. With one member the next fault stops the service (a single node is always so).',
            queries: [{ expr: `min(lessor_view_members{${CLUSTER}} > 0)` }],
            nothing: 'no node has a view',
          }),
          stat({
            title: 'Leader', unit: 'none', names: true, mappings: words({ 1: ['leads', 'green'] }),
            description: 'The member that writes views. Any will do; clients do not notice who it is.',
            queries: [{ expr: `max by (instance) (lessor_leader{${CLUSTER}}) == 1`, legend: '{{instance}}' }],
            nothing: 'nobody leads: look at the states below',
          }),
          stat({
            title: 'Views', unit: 'none', mappings: words({ 0: ['all have the same', 'green'] }), thresholds: from(1, WARN), runbooks: ['isolated'],
            description: 'By how many epochs the nodes differ. They differ for a moment at a takeover; if it lasts, the older one is cut off: see its state.',
            queries: [{ expr: `max(lessor_view_epoch{${CLUSTER}}) - min(lessor_view_epoch{${CLUSTER}})` }],
          }),
          stat({
            title: 'Links between the nodes', unit: 'none', mappings: words({ 0: ['some are down', BAD], 1: ['all up', 'green'] }), runbooks: ['communications-interrupted'],
            description: 'Between the nodes that are scraped. Down: changes go through etcd, slower but as safe; look at the network between the nodes.',
            queries: [{ expr: `min(lessor_link_up{${CLUSTER}})` }],
            nothing: SINGLE,
          }),
          stat({
            title: 'etcd', unit: 'none', mappings: words({ 0: ['not reached', BAD], 1: ['reached', 'green'], 2: ['went back', BAD] }), runbooks: ['etcd-unreachable', 'etcd-went-back'],
            description: 'Not reached by some node: clients are served, but no node can be replaced. Went back: it was restored, emptied or replaced, and counts for nothing until somebody decides.',
            queries: [{ expr: `max(2 * lessor_etcd_went_back{${CLUSTER}} > 0) or min(lessor_etcd_reachable{${CLUSTER}})` }],
            nothing: NO_ETCD,
          }),
          stat({
            title: 'Waiting in etcd', unit: 'none', decimals: 0, thresholds: rising(1000, 100_000), trend: true, runbooks: ['inbox-growing', 'inbox-gap'],
            description: 'For nodes whose link is down. They are fetched when it is up again; a node that stays away for long is better taken out of service.',
            queries: [{ expr: `sum(max by (peer) (lessor_inbox_changes{${CLUSTER}}))` }],
            nothing: SINGLE,
          }),
          stat({
            title: 'Drained', unit: 'none', decimals: 0, mappings: words({ 0: ['none', 'green'] }), thresholds: from(1, 'blue'), runbooks: ['drained', 'upgrade'],
            description: 'Nodes that an operator wants out of service. lessor undrain brings them back.',
            queries: [{ expr: `count(count by (node) (lessor_drained{${CLUSTER}})) or vector(0)` }],
          }),
          stat({
            title: 'Configuration', unit: 'none', runbooks: ['configuration-differs'],
            mappings: words({ 0: ['the same everywhere', 'green'], 1: ['differs', WARN], 2: ['refused', BAD] }),
            description: 'Whether all nodes have the newest revision in force. Refused: a node cannot use it; lessor status says why.',
            queries: [{
              expr: `max(2 * lessor_config_refused{${CLUSTER}} or (max(lessor_config_revision{${CLUSTER},at="newest"}) > bool min(lessor_config_revision{${CLUSTER},at="loaded"})))`,
            }],
          }),
          stat({
            title: 'Protocol', unit: 'none', mappings: words({ 0: ['all speak it', 'green'], 1: ['a node is refused', BAD] }), runbooks: ['mixed-versions', 'upgrade'],
            description: 'Whether a node is kept out because it shares no protocol version with the members: start a version of Lessor there that does.',
            queries: [{ expr: `max(lessor_protocol_refused{${CLUSTER}})` }],
          }),
          stat({
            title: 'Every address is probed', unit: 's', decimals: 0, mappings: words({ 0: ['as configured', 'green'] }), thresholds: from(1, WARN), runbooks: ['all-members-gone'],
            description: 'After lessor recover --force or lessor partner-down every address is probed before it is given out, for as long as this.',
            queries: [{ expr: `clamp_min(max(lessor_probe_until_seconds{${CLUSTER}}) - time(), 0)` }],
          }),
          stat({
            title: 'View in etcd', unit: 'none', mappings: words({ 0: ['not yet', WARN], 1: ['written', 'green'] }), runbooks: ['etcd-went-back', 'all-members-gone'],
            description: 'Not yet: a view that an operator\'s word has made lies on the disks of its members only, and etcd does not know of it.',
            queries: [{ expr: `min(lessor_view_in_etcd{${CLUSTER}})` }],
            nothing: NO_ETCD,
          }),
        ],
      },
      {
        title: 'Who owns what', panels: [
          series({
            title: 'Slots by owner', unit: 'none', decimals: 0, stacked: true, steps: true, min: 0, max: 256, runbooks: ['node-down'],
            description: 'Of 256 shares of addresses and clients, how many the view gives to each node. They add up to 256; a step is a takeover or a return.',
            queries: [{ expr: `max by (node) (lessor_view_slots{${CLUSTER}} and on (instance) (lessor_view_epoch{${CLUSTER}} == on () group_left () max(lessor_view_epoch{${CLUSTER}})))`, legend: '{{node}}' }],
            nothing: 'no node has a view',
          }),
          table({
            title: 'Nodes', unit: 'none', decimals: 0, sortBy: 'node', ascending: true, runbooks: ['node-down'],
            description: 'What each node says of itself now. Slots differ from home slots while a node is away.',
            queries: [
              { expr: stateNumbers(NODE) },
              { expr: `max by (instance) (lessor_slots_owned{${NODE}})` },
              { expr: `max by (instance) (lessor_slots_home{${NODE}})` },
              { expr: `max by (instance) (lessor_view_epoch{${NODE}})` },
              { expr: `max by (instance) (lessor_view_generation{${NODE}})` },
              { expr: `time() - max by (instance) (lessor_start_time_seconds{${NODE}})` },
            ],
            columns: [
              { field: 'instance', title: 'node' }, { field: 'Value #A', title: 'state', mappings: STATE_WORDS }, { field: 'Value #B', title: 'slots' },
              { field: 'Value #C', title: 'home slots' }, { field: 'Value #D', title: 'epoch' }, { field: 'Value #E', title: 'generation' }, { field: 'Value #F', title: 'up', unit: 's' },
            ],
          }),
          timeline({
            title: 'State of each node', unit: 'none', mappings: STATE_WORDS, runbooks: ['node-down', 'isolated', 'communications-interrupted'], width: 12, height: 7,
            description: 'NORMAL: all nodes are in service and linked. COMMUNICATIONS-INTERRUPTED and PARTNER-DOWN serve, and want a look at the other node. ISOLATED sends nothing.',
            queries: [{ expr: stateNumbers(NODE), legend: '{{instance}}' }],
          }),
          timeline({
            title: 'Role of each node', unit: 'none', width: 12, height: 7, runbooks: ['node-down', 'replace-a-node'], mappings: ROLE_WORDS,
            description: 'leader: a member that also writes views. learner: it fetches what changed, and becomes a member by itself. outside: it has no part in the view.',
            queries: [{ expr: roleNumbers(NODE), legend: '{{instance}}' }],
          }),
          series({
            title: 'Epoch of the view', unit: 'none', decimals: 0, steps: true,
            description: 'Grows by one with every view: a node left, joined, or slots moved. All nodes have the same one; many in a short time mean that a node cannot keep up or its network comes and goes.',
            queries: [{ expr: `max by (instance) (lessor_view_epoch{${NODE}})`, legend: '{{instance}}' }],
          }),
          series({
            title: 'Takeovers', unit: 'none', decimals: 0, min: 0, bars: true, runbooks: ['node-down'],
            description: 'Views in which a node gained slots of one that left. None for weeks is as it should be; an upgrade makes one for each node.',
            queries: [{ expr: `sum by (instance) (increase(lessor_takeovers_total{${NODE}}[$__rate_interval]))`, legend: 'by {{instance}}' }],
          }),
        ],
      },
      {
        title: 'Between the nodes', panels: [
          timeline({
            title: 'Links', unit: 'none', mappings: UP_WORDS, width: 12, height: 7, runbooks: ['communications-interrupted'],
            description: 'As each end sees it. One end up and the other down: packets pass one way only.',
            queries: [{ expr: `max by (instance, peer) (lessor_link_up{${NODE}})`, legend: '{{instance}} to {{peer}}' }],
            nothing: SINGLE,
          }),
          timeline({
            title: 'Peers in the view', unit: 'none', mappings: words({ 0: ['outside', WARN], 1: ['member', 'green'] }), width: 12, height: 7, runbooks: ['one-member'],
            description: 'Whom each node has in its view. A peer outside gets no part of the addresses; it comes back by itself.',
            queries: [{ expr: `max by (instance, peer) (lessor_peer_in_view{${NODE}})`, legend: '{{peer}}, says {{instance}}' }],
            nothing: SINGLE,
          }),
          series({
            title: 'Replication lag', unit: 's', min: 0, runbooks: ['commit-slow', 'communications-interrupted'],
            description: 'Age of the oldest change that a peer has not acknowledged. Clients wait as long for their DHCPACK: look at the disk of the peer and at the network between.',
            queries: [{ expr: `max by (instance, peer) (lessor_replication_lag_seconds{${NODE}})`, legend: '{{instance}} to {{peer}}' }],
            nothing: SINGLE,
          }),
          series({
            title: 'Changes that a peer has not acknowledged', unit: 'none', decimals: 0, min: 0, runbooks: ['commit-slow'],
            description: 'Some are under way all the time under load. Growing without end: the peer or the link cannot keep up.',
            queries: [{ expr: `max by (instance, peer) (lessor_replication_lag_changes{${NODE}})`, legend: '{{instance}} to {{peer}}' }],
            nothing: SINGLE,
          }),
          series({
            title: 'Changes waiting in etcd', unit: 'none', decimals: 0, min: 0, runbooks: ['inbox-growing', 'inbox-gap'],
            description: 'For each node whose link is down. 0 while all links are up.',
            queries: [{ expr: `max by (peer) (lessor_inbox_changes{${NODE}})`, legend: 'for {{peer}}' }],
            nothing: SINGLE,
          }),
          series({
            title: 'Clock differences', unit: 's', runbooks: ['clock-difference'],
            description: 'Of each peer against the node that says it. Beyond maxClockSkew, which is shown too, a node is taken out of service.',
            queries: [
              { expr: `max by (instance, peer) (lessor_clock_difference_seconds{${NODE}})`, legend: '{{peer}} against {{instance}}' },
              { expr: `min(lessor_clock_difference_max_seconds{${NODE}})`, legend: 'maxClockSkew' },
            ],
            nothing: SINGLE,
          }),
        ],
      },
      {
        title: 'etcd', panels: [
          timeline({
            title: 'etcd as each node sees it', unit: 'none', width: 12, height: 7, runbooks: ['etcd-unreachable', 'etcd-went-back', 'etcd-lost-its-data'],
            mappings: words({ 0: ['not reached', BAD], 1: ['reached', 'green'], 2: ['went back', BAD] }),
            description: 'One node alone: its network. All of them: etcd. Went back: it was restored, emptied or replaced.',
            queries: [{ expr: `max by (instance) (2 * lessor_etcd_went_back{${NODE}} > 0) or max by (instance) (lessor_etcd_reachable{${NODE}})`, legend: '{{instance}}' }],
            nothing: NO_ETCD,
          }),
          series({
            title: 'Since etcd last answered', unit: 's', min: 0, thresholds: [[null, 'transparent'], [10, WARN]], height: 7, runbooks: ['etcd-unreachable'],
            description: 'Every few seconds it is asked at least. Peaks of seconds: its disk is slow or its network bad, long before it fails.',
            queries: [{ expr: `max by (instance) (lessor_etcd_last_success_age_seconds{${NODE}})`, legend: '{{instance}}' }],
            nothing: NO_ETCD,
          }),
          timeline({
            title: 'Members of etcd', unit: 'none', width: 12, height: 7, runbooks: ['etcd-unreachable', 'lost-etcd'],
            mappings: words({ 0: ['no leader', BAD], 1: ['has a leader', 'green'], 2: ['leads', 'blue'] }),
            description: 'As etcd says itself. No leader on all of them: more than half of the members are gone or cut off.',
            queries: [{ expr: `max by (instance) (etcd_server_has_leader{${ETCD}} + on (instance) etcd_server_is_leader{${ETCD}})`, legend: '{{instance}}' }],
            nothing: ETCD_UNSEEN,
          }),
          series({
            title: 'Flushes of etcd', unit: 's', min: 0, height: 7, logarithmic: true, runbooks: ['etcd-unreachable', 'sizing'],
            description: '99 % of the flushes of its log took no longer. Above 100 ms etcd loses its leader under load: give it a disk of its own.',
            queries: [{ expr: quantile(0.99, 'etcd_disk_wal_fsync_duration_seconds', ETCD, ['instance']), legend: '{{instance}}' }],
            nothing: ETCD_UNSEEN,
          }),
          series({
            title: 'Changes of the leader of etcd', unit: 'none', decimals: 0, min: 0, bars: true, height: 7, runbooks: ['etcd-unreachable'],
            description: 'None for weeks is as it should be. Several an hour: its disks or its network are too slow.',
            queries: [{ expr: `max by (instance) (increase(etcd_server_leader_changes_seen_total{${ETCD}}[$__rate_interval]))`, legend: '{{instance}}' }],
            nothing: ETCD_UNSEEN,
          }),
          series({
            title: 'Size of etcd', unit: 'bytes', min: 0, height: 7, runbooks: ['inbox-growing', 'sizing'],
            description: 'Of its database, with its quota. It grows with what waits for a node that cannot be reached; at the quota etcd takes no writes any more.',
            queries: [
              { expr: `max by (instance) (etcd_mvcc_db_total_size_in_bytes{${ETCD}})`, legend: '{{instance}}' },
              { expr: `min(etcd_server_quota_backend_bytes{${ETCD}})`, legend: 'quota' },
            ],
            nothing: ETCD_UNSEEN,
          }),
        ],
      },
      {
        title: 'Versions, configuration and certificates', panels: [
          table({
            title: 'Software', unit: 'none', decimals: 0, sortBy: 'node', ascending: true, width: 8, runbooks: ['mixed-versions', 'upgrade'],
            description: 'What runs where. Different versions are as they should be only during an upgrade.',
            queries: [{ expr: `max by (instance, version, nodejs) (lessor_build_info{${NODE}})` }, { expr: `max by (instance) (lessor_protocol_in_force{${NODE}})` }],
            columns: [{ field: 'instance', title: 'node' }, { field: 'version', title: 'Lessor' }, { field: 'nodejs', title: 'Node.js' }, { field: 'Value #B', title: 'protocol in force' }],
          }),
          series({
            title: 'Revision of the configuration', unit: 'none', decimals: 0, steps: true, width: 8, runbooks: ['configuration-differs'],
            description: 'The one in force on each node, and the newest in etcd. A node that stays behind cannot use the newest: lessor status says why.',
            queries: [
              { expr: `max by (instance) (lessor_config_revision{${NODE},at="loaded"})`, legend: 'in force on {{instance}}' },
              { expr: `max(lessor_config_revision{${NODE},at="newest"})`, legend: 'newest in etcd' },
            ],
          }),
          table({
            title: 'Certificates', unit: 'none', sortBy: 'ends', ascending: true, width: 8, runbooks: ['certificate-expires', 'certificates'],
            description: 'When each ends. A node that is given a new one reads it without a restart.',
            queries: [{ expr: `min by (instance, use) (lessor_certificate_expires_seconds{${NODE}}) * 1000` }, { expr: `min by (instance, use) (lessor_certificate_expires_seconds{${NODE}}) - time()` }],
            columns: [{ field: 'instance', title: 'node' }, { field: 'use', title: 'for' }, { field: 'Value #A', title: 'ends', unit: 'dateTimeAsIso' }, { field: 'Value #B', title: 'left', unit: 's', decimals: 0, thresholds: falling(2 * DAY, 14 * DAY) }],
            nothing: 'No certificates in use: links, etcd and HTTP are in the clear',
          }),
        ],
      },
    ],
  });
}
