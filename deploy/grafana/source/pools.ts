/** How full the pools are, when they will be full, and who holds what of them. */
import { dashboard } from './dashboard.ts';
import { CLUSTER, NO_POOLS, SUBNET } from './expressions.ts';
import { BAD, WARN, bars, falling, from, heatmap, history, rising, series, stat, table } from './panels.ts';
import type { DashboardJson } from './types.ts';

const DAY = 86_400;
const FORECAST_DAYS_MAX = 90;

const USED = `cluster_subnet:lessor_pool_used:ratio{${SUBNET}}`;
const FREE = `cluster_subnet:lessor_pool_free_addresses:min{${SUBNET}}`;
const SIZE = `cluster_subnet:lessor_pool_addresses:max{${SUBNET}}`;
const LEASES = `cluster_subnet_state:lessor_leases:max{${SUBNET}}`;
const ACTIVE = `cluster_subnet_state:lessor_leases:max{${SUBNET},state="active"}`;

/** Seconds until nothing is free at the pace of the last six hours; capped, so that a pool that does not fill up has a value too. */
const FULL_IN = `clamp_max(${FREE} / clamp_min(-deriv(${FREE}[6h]), 1e-9), ${FORECAST_DAYS_MAX * DAY}) and on (subnet) ${SIZE}`;

const FULL_IN_WORDS = [{ type: 'range' as const, options: { from: FORECAST_DAYS_MAX * DAY, to: null, result: { color: 'green', index: 0, text: `not within ${FORECAST_DAYS_MAX} days` } } }];

export function pools(): DashboardJson {
  return dashboard({
    uid: 'lessor-pools', title: 'Lessor / Pools', span: '7d', refresh: '5m', variables: ['subnet'],
    description: 'How full the pools are, when they will be full at the pace of the last hours, and who holds what of them.',
    rows: [
      {
        title: 'Is everything well?', panels: [
          stat({
            title: 'Fullest subnet', unit: 'percentunit', decimals: 1, min: 0, max: 1, thresholds: rising(0.9, 1), names: true, runbooks: ['pool-full'], width: 5,
            description: 'Part of its addresses that nobody can get. At 100 % new clients get nothing; those that have a lease keep it.',
            queries: [{ expr: `topk(1, ${USED})`, legend: '{{subnet}}' }],
            nothing: NO_POOLS,
          }),
          stat({
            title: 'First to be full', unit: 's', decimals: 0, thresholds: falling(DAY, 7 * DAY), names: true, mappings: FULL_IN_WORDS, runbooks: ['pool-full'], width: 5,
            description: 'When no address is free any more, at the pace of the last six hours. A pool that fills up every morning and empties every evening says so, too: look at the longer span below before you change anything.',
            queries: [{ expr: `bottomk(1, ${FULL_IN})`, legend: '{{subnet}}' }],
            nothing: NO_POOLS,
          }),
          stat({
            title: 'Subnets over 90 %', unit: 'none', decimals: 0, thresholds: from(1, WARN), runbooks: ['pool-full'],
            description: 'How many are nearly full. The table below names them.',
            queries: [{ expr: `count(${USED} > 0.9) or vector(0)` }],
          }),
          stat({
            title: 'Clients without an address', unit: 'pps', decimals: 2, thresholds: [[null, 'green'], [0.01, WARN], [1, BAD]], trend: true, runbooks: ['pool-full'], width: 5,
            description: 'Requests that found no free address. Each client asks several times a minute, so this counts more than there are clients.',
            queries: [{ expr: `sum(rate(lessor_dhcp_dropped_total{${CLUSTER},reason=~"pool-exhausted|not-permitted|circuit-full"}[$__rate_interval]))` }],
          }),
          stat({
            title: 'Abandoned addresses', unit: 'none', decimals: 0, thresholds: from(1, WARN), runbooks: ['decline-flood'], width: 5,
            description: 'Declined by a client, or found in use by somebody without a lease. They are used again only when nothing else is free: find the hosts that use them.',
            queries: [{ expr: `sum(cluster_subnet_state:lessor_leases:max{${SUBNET},state="abandoned"})` }],
          }),
        ],
      },
      {
        title: 'How full', panels: [
          history({
            title: 'Utilisation of the 25 fullest subnets', unit: 'percentunit', decimals: 0, min: 0, max: 1, runbooks: ['pool-full'],
            description: 'A row for each subnet, a cell for each span of time, with the part of its addresses that nobody can get. Choose subnets above to see others.',
            queries: [{ expr: `${USED} and on (subnet) topk(25, max_over_time(${USED}[$__range] @ end()))`, legend: '{{subnet}}' }],
            nothing: NO_POOLS,
          }),
          heatmap({
            title: 'How many subnets are how full', unit: 'percentunit', bucketSize: 0.05, min: 0, max: 1,
            description: 'The brighter, the more subnets lie in that twentieth. For networks with too many subnets to read one by one: a bright band that climbs is the whole network growing.',
            queries: [{ expr: USED, legend: '{{subnet}}' }],
            nothing: NO_POOLS,
          }),
          table({
            title: 'Subnets', unit: 'none', decimals: 0, sortBy: 'used', height: 9, runbooks: ['pool-full'],
            description: 'Sizes and forecasts. "Full in" goes by the pace of the last six hours.',
            queries: [
              { expr: USED },
              { expr: SIZE },
              { expr: FREE },
              { expr: ACTIVE },
              { expr: `-3600 * deriv(${FREE}[6h]) and on (subnet) ${SIZE}` },
              { expr: FULL_IN },
            ],
            columns: [
              { field: 'subnet', title: 'subnet' }, { field: 'Value #A', title: 'used', unit: 'percentunit', decimals: 1, thresholds: rising(0.9, 1) },
              { field: 'Value #B', title: 'addresses' }, { field: 'Value #C', title: 'free' }, { field: 'Value #D', title: 'active leases' },
              { field: 'Value #E', title: 'more an hour', decimals: 1 }, { field: 'Value #F', title: 'full in', unit: 's', decimals: 0, thresholds: falling(DAY, 7 * DAY), mappings: FULL_IN_WORDS },
            ],
            nothing: NO_POOLS,
          }),
          series({
            title: 'Utilisation', unit: 'percentunit', decimals: 1, min: 0, max: 1, thresholds: [[null, 'transparent'], [0.9, WARN], [1, BAD]], runbooks: ['pool-full'],
            description: 'Of the ten fullest subnets of those that are shown.',
            queries: [{ expr: `topk(10, ${USED})`, legend: '{{subnet}}' }],
            nothing: NO_POOLS,
          }),
          bars({
            title: 'Most active leases', unit: 'none', decimals: 0, min: 0,
            description: 'The ten subnets with most of them, of those that are shown.',
            queries: [{ expr: `topk(10, ${ACTIVE})`, legend: '{{subnet}}' }],
            nothing: NO_POOLS,
          }),
        ],
      },
      {
        title: 'Who holds what', panels: [
          series({
            title: 'Free addresses by owner', unit: 'none', decimals: 0, min: 0, stacked: true, steps: true, runbooks: ['pool-full'],
            description: 'Each free address belongs to the node that owns its slot. A node that has none left asks the others for one, so uneven shares delay a few requests and refuse none.',
            queries: [{ expr: `sum by (owner) (max by (subnet, owner) (lessor_pool_free_addresses{${SUBNET}}))`, legend: '{{owner}}' }],
            nothing: NO_POOLS,
          }),
          series({
            title: 'Bindings by state', unit: 'none', decimals: 0, min: 0, stacked: true,
            description: 'Active: leased. Expired and released: free for others once the times of deploy/configuration.md are over, kept for their client until then. Abandoned: in use by somebody without a lease.',
            queries: [{ expr: `sum by (state) (${LEASES})`, legend: '{{state}}' }],
            nothing: NO_POOLS,
          }),
        ],
      },
      {
        title: 'How long leases are held', panels: [
          heatmap({
            title: 'Leases that ended, by how long they were held', unit: 's',
            description: 'From the grant to the end, renewals included. Many that are held far shorter than the lease time: visitors; a shorter lease time would free their addresses sooner.',
            queries: [{ expr: `sum by (le) (increase(lessor_lease_held_seconds_bucket{${SUBNET}}[$__rate_interval]))`, legend: '{{le}}' }],
            nothing: 'no lease has ended since the nodes started',
          }),
          series({
            title: 'Held how long, by subnet', unit: 's', min: 0, height: 9,
            description: 'Median of the leases that ended within an hour before, of the twenty subnets where it is longest. Subnets where it is much shorter than the lease time waste addresses; where it is as long, clients come and never go.',
            queries: [{ expr: `topk(20, histogram_quantile(0.5, sum by (le, subnet) (rate(lessor_lease_held_seconds_bucket{${SUBNET}}[1h]))) > 0)`, legend: '{{subnet}}' }],
            nothing: 'no lease has ended within the last hour',
          }),
        ],
      },
    ],
  });
}
