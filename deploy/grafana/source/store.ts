/** The disk, the lease store and the process of each node. */
import { dashboard } from './dashboard.ts';
import { CLUSTER, NODE, quantile, quantiles } from './expressions.ts';
import { BAD, WARN, falling, from, heatmap, rising, series, stat } from './panels.ts';
import type { DashboardJson } from './types.ts';

const RATE = '$__rate_interval';

export function store(): DashboardJson {
  return dashboard({
    uid: 'lessor-store', title: 'Lessor / Store and process', span: '6h', refresh: '30s', variables: ['node'],
    description: 'The disk, the lease store and the process of each node.',
    rows: [
      {
        title: 'Is everything well?', panels: [
          stat({
            title: 'Slowest hundredth of commits', unit: 's', decimals: 1, thresholds: rising(0.1, 1), trend: true, runbooks: ['commit-slow'],
            description: '99 % of changes were on every member\'s disk within this time. Each DHCPACK of a new lease waits for it.',
            queries: [{ expr: quantile(0.99, 'lessor_commit_seconds', CLUSTER) }],
            nothing: 'nothing was committed lately',
          }),
          stat({
            title: 'Slowest hundredth of flushes', unit: 's', decimals: 1, thresholds: rising(0.05, 0.5), trend: true, runbooks: ['commit-slow'],
            description: 'On the node with the slowest disk. All members wait for it.',
            queries: [{ expr: `max(${quantile(0.99, 'lessor_flush_seconds', CLUSTER, ['instance'])})` }],
            nothing: 'nothing was flushed lately',
          }),
          stat({
            title: 'Least free disk', unit: 'percentunit', decimals: 0, thresholds: falling(0.1, 0.2), names: true, runbooks: ['full-disk'], min: 0, max: 1,
            description: 'Of the file system of the data folder. A node that cannot write acknowledges nothing.',
            queries: [{ expr: `bottomk(1, max by (instance) (lessor_data_disk_free_bytes{${CLUSTER}} / lessor_data_disk_size_bytes{${CLUSTER}}))`, legend: '{{instance}}' }],
          }),
          stat({
            title: 'Slowest event loop', unit: 's', decimals: 1, thresholds: rising(0.1, 0.5), names: true, runbooks: ['commit-slow'],
            description: '99 % of the turns of a node\'s event loop began within this time. A node stalls when it lacks CPU time: look for other work on its host.',
            queries: [{ expr: `topk(1, max by (instance) (nodejs_eventloop_lag_p99_seconds{${CLUSTER}}))`, legend: '{{instance}}' }],
          }),
          stat({
            title: 'Log lines lost', unit: 'none', decimals: 0, thresholds: from(1, WARN),
            description: 'Since the nodes started: standard output was closed or too slow. Service goes on; lease events are missing from the log.',
            queries: [{ expr: `sum(lessor_log_lines_dropped_total{${CLUSTER}})` }],
          }),
          stat({
            title: 'Restarts in the last day', unit: 'none', decimals: 0, thresholds: from(1, WARN), runbooks: ['node-down'],
            description: 'Of all nodes together. Those that nobody made are in the journal of the host.',
            queries: [{ expr: `sum(changes(lessor_start_time_seconds{${CLUSTER}}[1d]))` }],
          }),
        ],
      },
      {
        title: 'Commit and flush', panels: [
          series({
            title: 'Time to commit', unit: 's', min: 0, logarithmic: true, runbooks: ['commit-slow'],
            description: 'From the making of a change until it is on the disk of every member, or in etcd for those that cannot be reached.',
            queries: quantiles('lessor_commit_seconds', NODE, ['instance'], '{{instance}}, '),
            nothing: 'nothing was committed in this span of time',
          }),
          series({
            title: 'Time of a flush', unit: 's', min: 0, logarithmic: true, runbooks: ['commit-slow'],
            description: 'Of the lease store to the disk. Commits that are slow while flushes are fast: the network between the nodes, or a peer.',
            queries: quantiles('lessor_flush_seconds', NODE, ['instance'], '{{instance}}, '),
            nothing: 'nothing was flushed in this span of time',
          }),
          heatmap({
            title: 'Time to commit, all changes', unit: 's', runbooks: ['commit-slow'],
            description: 'A band that climbs is a disk or a link that becomes slower; a second band is one node that is slower than the other.',
            queries: [{ expr: `sum by (le) (increase(lessor_commit_seconds_bucket{${NODE}}[${RATE}]))`, legend: '{{le}}' }],
          }),
          series({
            title: 'Changes not flushed and not committed', unit: 'none', decimals: 0, min: 0, height: 9, runbooks: ['commit-slow', 'full-disk'],
            description: 'Of a node\'s own log. Some are under way all the time under load. Growing without end: the disk does not write (event store.failed), or a peer does not acknowledge.',
            queries: [
              { expr: `max by (instance) (lessor_log_changes{${NODE},reached="made"}) - max by (instance) (lessor_log_changes{${NODE},reached="flushed"})`, legend: '{{instance}}: not flushed' },
              { expr: `max by (instance) (lessor_log_changes{${NODE},reached="made"}) - max by (instance) (lessor_log_changes{${NODE},reached="committed"})`, legend: '{{instance}}: not committed' },
            ],
          }),
        ],
      },
      {
        title: 'Disk', panels: [
          series({
            title: 'Free disk', unit: 'bytes', min: 0, width: 8, runbooks: ['full-disk', 'sizing'],
            description: 'Of the file system of the data folder, with its size. Make room or enlarge it before it is full: a node that cannot write acknowledges nothing.',
            queries: [
              { expr: `max by (instance) (lessor_data_disk_free_bytes{${NODE}})`, legend: '{{instance}} free' },
              { expr: `max by (instance) (lessor_data_disk_size_bytes{${NODE}})`, legend: '{{instance}} size' },
            ],
          }),
          series({
            title: 'Lease store', unit: 'bytes', min: 0, width: 8, runbooks: ['sizing'],
            description: 'What it takes on the disk, its journal included. It grows with the clients that were ever known, and hardly once all are.',
            queries: [{ expr: `max by (instance) (lessor_store_bytes{${NODE}})`, legend: '{{instance}}' }],
          }),
          series({
            title: 'Changes made', unit: 'cps', min: 0, width: 8,
            description: 'Of leases, by the node that made them. Each is written on every node.',
            queries: [{ expr: `sum by (instance) (rate(lessor_log_changes{${NODE},reached="made"}[${RATE}]))`, legend: '{{instance}}' }],
          }),
        ],
      },
      {
        title: 'Process', panels: [
          series({
            title: 'CPU', unit: 'percentunit', min: 0, runbooks: ['sizing'],
            description: 'Of one core. The DHCP server uses one thread: near 100 % it is at its limit, more is LEASEQUERY over TCP and the garbage collection.',
            queries: [{ expr: `sum by (instance) (rate(process_cpu_seconds_total{${NODE}}[${RATE}]))`, legend: '{{instance}}' }],
          }),
          series({
            title: 'Memory', unit: 'bytes', min: 0, runbooks: ['sizing'],
            description: 'Resident: all of the process, the pages of the store that are read included, which the kernel takes back when it needs them. Heap: what JavaScript objects use.',
            queries: [
              { expr: `max by (instance) (process_resident_memory_bytes{${NODE}})`, legend: '{{instance}} resident' },
              { expr: `max by (instance) (nodejs_heap_size_used_bytes{${NODE}})`, legend: '{{instance}} heap' },
              { expr: `max by (instance) (nodejs_external_memory_bytes{${NODE}})`, legend: '{{instance}} outside of the heap' },
            ],
          }),
          series({
            title: 'Event loop lag', unit: 's', min: 0, logarithmic: true, thresholds: [[null, 'transparent'], [0.1, WARN], [1, BAD]], runbooks: ['commit-slow'],
            description: 'How late turns of the event loop begin. Some 10 ms are its own measure; seconds cost the node its place in the view.',
            queries: [
              { expr: `max by (instance) (nodejs_eventloop_lag_p99_seconds{${NODE}})`, legend: '{{instance}} 99 %' },
              { expr: `max by (instance) (nodejs_eventloop_lag_max_seconds{${NODE}})`, legend: '{{instance}} longest' },
            ],
          }),
          series({
            title: 'Garbage collection', unit: 'percentunit', min: 0,
            description: 'Part of the time that is spent in it. Above a few per cent the heap is too small for the leases: see the sizing page.',
            queries: [{ expr: `sum by (instance, kind) (rate(nodejs_gc_duration_seconds_sum{${NODE}}[${RATE}]))`, legend: '{{instance}} {{kind}}' }],
            nothing: 'nothing was collected yet',
            runbooks: ['sizing'],
          }),
          series({
            title: 'Open files', unit: 'none', decimals: 0, min: 0,
            description: 'Sockets included. It follows the connections of requestors; growing without end is a mistake in Lessor.',
            queries: [{ expr: `max by (instance) (process_open_fds{${NODE}})`, legend: '{{instance}}' }],
          }),
          series({
            title: 'Log lines lost, over time', unit: 'none', decimals: 0, min: 0,
            description: 'Standard output was closed or too slow: look at what reads it (journald, a log collector).',
            queries: [{ expr: `sum by (instance) (increase(lessor_log_lines_dropped_total{${NODE}}[${RATE}]))`, legend: '{{instance}}' }],
          }),
        ],
      },
    ],
  });
}
