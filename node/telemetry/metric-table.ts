/**
 * Every metric of Lessor, declared once: name, type, help, labels, and how its samples are read when
 * somebody scrapes. Nothing here is touched while packets are served.
 *
 * Names are `lessor_…` in base units; counters end in `_total`; labels are few and bounded by the
 * configuration (nodes, subnets) or by a table in the code (message types, reasons, states, events).
 */
import { NODE_ROLES, NODE_STATES, type NodeStatus } from '../admin/status.ts';
import { DNS } from './dns-metrics.ts';
import { HISTORY } from './history-metrics.ts';
import { LEASEQUERY } from './leasequery-metrics.ts';
import { MESSAGE_TYPE_NAMES, type Counters } from './counters.ts';
import { API } from './api-metrics.ts';
import type { DurationHistogram } from './histogram.ts';
import type { Telemetry } from './log.ts';

/** The data folder's disk, and what of it the lease store takes. */
export interface DataFolder {
  /** For a process without privileges. */
  readonly freeBytes: number;
  readonly sizeBytes: number;
  readonly storeBytes: number;
}

/** What a scrape reads; `status` is one snapshot for the whole scrape. */
export interface Scrape {
  readonly counters: Counters;
  readonly status: NodeStatus;
  readonly telemetry: Telemetry;
  /** Undefined while nothing is known of it. */
  readonly dataFolder: DataFolder | undefined;
}

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly histogram: DurationHistogram;
}

interface MetricBase {
  readonly name: `lessor_${string}`;
  readonly help: string;
  readonly labels: readonly string[];
}

export type MetricDefinition =
  | (MetricBase & { readonly type: 'counter' | 'gauge'; readonly read: (scrape: Scrape) => Sample[] })
  | (MetricBase & { readonly type: 'histogram'; readonly read: (scrape: Scrape) => HistogramSample[] });

const flag = (value: boolean): number => (value ? 1 : 0);
const one = (value: number): Sample[] => [{ value }];

function byMessageType(values: Float64Array): Sample[] {
  return MESSAGE_TYPE_NAMES.map((type, index) => ({ labels: { type }, value: values[index] ?? 0 }));
}

function byPeer(status: NodeStatus, value: (peer: NodeStatus['peers'][number]) => number): Sample[] {
  return status.peers.map((peer) => ({ labels: { peer: peer.node }, value: value(peer) }));
}

function ofDataFolder({ dataFolder }: Scrape, value: (folder: DataFolder) => number): Sample[] {
  return dataFolder === undefined ? [] : one(value(dataFolder));
}

/** Answers of every node, and other types once there was one. */
const ALWAYS_TIMED: ReadonlySet<string> = new Set(['offer', 'ack', 'nak']);

const DHCP: readonly MetricDefinition[] = [
  {
    name: 'lessor_dhcp_received_total', type: 'counter', labels: ['type'],
    help: 'DHCP messages received, by message type',
    read: ({ counters }) => byMessageType(counters.received),
  },
  {
    name: 'lessor_dhcp_sent_total', type: 'counter', labels: ['type'],
    help: 'DHCP messages sent, by message type',
    read: ({ counters }) => byMessageType(counters.sent),
  },
  {
    name: 'lessor_dhcp_dropped_total', type: 'counter', labels: ['reason'],
    help: 'DHCP messages received that got no answer, by reason',
    read: ({ counters }) =>
      Object.entries(counters.drops).map(([reason, value]) => ({ labels: { reason }, value })),
  },
  {
    name: 'lessor_dhcp_identifier_conflicts_total', type: 'counter', labels: [],
    help: 'Leases granted to another hardware address than the one that held them, under the same client identifier',
    read: ({ counters }) => one(counters.identifierConflicts),
  },
  {
    name: 'lessor_quarantines', type: 'gauge', labels: [],
    help: 'Clients, addresses and ports of relays that operators have put into quarantine',
    read: ({ counters }) => one(counters.quarantines),
  },
  {
    name: 'lessor_dhcp_relay_information_omitted_total', type: 'counter', labels: [],
    help: 'Answers without the relay agent information of the request, since it did not fit (RFC 3046)',
    read: ({ counters }) => one(counters.relayAgentInformationOmitted),
  },
  {
    name: 'lessor_dhcp_reply_seconds', type: 'histogram', labels: ['type'],
    help: 'Time from the reading of a packet to the sending of its answer, by the type of the answer',
    read: ({ counters }) =>
      MESSAGE_TYPE_NAMES.flatMap((type, index) => {
        const histogram = counters.replyTime[index]!;
        return ALWAYS_TIMED.has(type) || histogram.counts.some((count) => count > 0)
          ? [{ labels: { type }, histogram }]
          : [];
      }),
  },
  {
    name: 'lessor_exchanges_per_second', type: 'gauge', labels: [],
    help: 'DHCPACKs sent a second, over the last seconds',
    read: ({ status }) => one(status.exchangesPerSecond),
  },
  {
    name: 'lessor_offers', type: 'gauge', labels: [],
    help: 'Offered addresses held in memory',
    read: ({ status }) => one(status.backlog.offers),
  },
  {
    name: 'lessor_replies_waiting', type: 'gauge', labels: ['for'],
    help: 'Replies that wait for a commit or for a confirmation',
    read: ({ status }) => [
      { labels: { for: 'commit' }, value: status.backlog.waitingForCommit },
      { labels: { for: 'confirm' }, value: status.backlog.waitingForConfirm },
    ],
  },
];

const LEASES: readonly MetricDefinition[] = [
  {
    name: 'lessor_leases', type: 'gauge', labels: ['subnet', 'state'],
    help: 'Bindings by subnet and state; every node counts all of them',
    read: ({ status }) =>
      status.leases.flatMap(({ subnet, active, expired, released, abandoned }) => [
        { labels: { subnet, state: 'active' }, value: active },
        { labels: { subnet, state: 'expired' }, value: expired },
        { labels: { subnet, state: 'released' }, value: released },
        { labels: { subnet, state: 'abandoned' }, value: abandoned },
      ]),
  },
  {
    name: 'lessor_pool_free_addresses', type: 'gauge', labels: ['subnet', 'owner'],
    help: 'Free addresses of the pools of a subnet, by the node that owns their slots',
    read: ({ status }) =>
      status.leases.flatMap(({ subnet, freeByOwner }) =>
        Object.entries(freeByOwner).map(([owner, value]) => ({ labels: { subnet, owner }, value })),
      ),
  },
  {
    name: 'lessor_pool_addresses', type: 'gauge', labels: ['subnet'],
    help: 'Addresses in the pools of a subnet',
    read: ({ status }) => status.leases.map(({ subnet, size }) => ({ labels: { subnet }, value: size })),
  },
  {
    name: 'lessor_lease_held_seconds', type: 'histogram', labels: ['subnet'],
    help: 'How long clients kept their leases, from the grant over all renewals to the release, the decline or the end; counted by the node that ended the lease, so that the sum over the nodes counts each once; a subnet has it from the first lease that ends',
    read: ({ counters }) => [...counters.held.bySubnet].map(([subnet, histogram]) => ({ labels: { subnet }, histogram })),
  },
  {
    name: 'lessor_commit_seconds', type: 'histogram', labels: [],
    help: 'Time from the making of a change to its commit',
    read: ({ counters }) => [{ histogram: counters.commitTime }],
  },
  {
    name: 'lessor_flush_seconds', type: 'histogram', labels: [],
    help: 'Time that a flush of the lease store to the disk took',
    read: ({ counters }) => [{ histogram: counters.flushTime }],
  },
  {
    name: 'lessor_data_disk_free_bytes', type: 'gauge', labels: [],
    help: 'Free bytes of the file system that dataDir lies in; absent while they cannot be read',
    read: (scrape) => ofDataFolder(scrape, ({ freeBytes }) => freeBytes),
  },
  {
    name: 'lessor_data_disk_size_bytes', type: 'gauge', labels: [],
    help: 'Size of the file system that dataDir lies in; absent while it cannot be read',
    read: (scrape) => ofDataFolder(scrape, ({ sizeBytes }) => sizeBytes),
  },
  {
    name: 'lessor_store_bytes', type: 'gauge', labels: [],
    help: 'Bytes that the lease store takes on the disk, its journal included; absent while they cannot be read',
    read: (scrape) => ofDataFolder(scrape, ({ storeBytes }) => storeBytes),
  },
  {
    name: 'lessor_conflicts_total', type: 'counter', labels: [],
    help: 'Bindings that two nodes changed in one epoch; anything but 0 is a mistake in Lessor',
    read: ({ counters }) => one(counters.conflicts),
  },
  {
    name: 'lessor_conflict_probes_total', type: 'counter', labels: ['result'],
    help: 'Addresses probed before they were offered, by result; unable: nobody could be asked, and the address counts as free',
    read: ({ counters }) => Object.entries(counters.probes).map(([result, value]) => ({ labels: { result }, value })),
  },
];

const CLUSTER: readonly MetricDefinition[] = [
  {
    name: 'lessor_node_state', type: 'gauge', labels: ['state'],
    help: '1 for the state that the node is in, 0 for the others',
    read: ({ status }) => NODE_STATES.map((state) => ({ labels: { state }, value: flag(status.state === state) })),
  },
  {
    name: 'lessor_ready', type: 'gauge', labels: [],
    help: '1 while the node serves clients, as /readyz says',
    read: ({ status }) => one(flag(status.ready)),
  },
  {
    name: 'lessor_node_role', type: 'gauge', labels: ['role'],
    help: '1 for the role that the node has in the view, 0 for the others; learner: it fetches what changed; outside: it has no part in it',
    read: ({ status }) => NODE_ROLES.map((role) => ({ labels: { role }, value: flag(status.role === role) })),
  },
  {
    name: 'lessor_leader', type: 'gauge', labels: [],
    help: '1 while the node leads the cluster',
    read: ({ status }) => one(flag(status.role === 'leader')),
  },
  {
    name: 'lessor_view_epoch', type: 'gauge', labels: [],
    help: 'Epoch of the view that the node has adopted, 0 without one',
    read: ({ status }) => one(status.view?.epoch ?? 0),
  },
  {
    name: 'lessor_protocol_in_force', type: 'gauge', labels: [],
    help: 'Protocol version of the view that the node has adopted: the highest that all members speak; 0 without a view',
    read: ({ status }) => one(status.protocol.inForce),
  },
  {
    name: 'lessor_protocol_spoken', type: 'gauge', labels: ['node', 'bound'],
    help: 'Oldest and newest protocol version that each node speaks, as this one knows it',
    read: ({ status }) => [{ node: status.node, protocol: status.protocol }, ...status.peers].flatMap(({ node, protocol }) =>
      (protocol === null ? [] : [{ labels: { node, bound: 'min' }, value: protocol.min }, { labels: { node, bound: 'max' }, value: protocol.max }])),
  },
  {
    name: 'lessor_protocol_refused', type: 'gauge', labels: [],
    help: '1 while this node is not let in because it shares no protocol version with all members',
    read: ({ status }) => one(flag(status.protocol.refused !== '')),
  },
  {
    name: 'lessor_software_info', type: 'gauge', labels: ['node', 'version'],
    help: 'Always 1; the software version of each node, as this one knows it',
    read: ({ status }) => [{ node: status.node, software: status.version }, ...status.peers]
      .filter(({ software }) => software !== '').map(({ node, software }) => ({ labels: { node, version: software }, value: 1 })),
  },
  {
    name: 'lessor_drained', type: 'gauge', labels: ['node'],
    help: '1 for each node that an operator wants out of service',
    read: ({ status }) => status.drains.map(({ node }) => ({ labels: { node }, value: 1 })),
  },
  {
    name: 'lessor_view_generation', type: 'gauge', labels: [],
    help: 'Generation of that view, 0 without one; it grows by lessor recover --force and lessor partner-down',
    read: ({ status }) => one(status.view?.generation ?? 0),
  },
  {
    name: 'lessor_view_in_etcd', type: 'gauge', labels: [],
    help: '0 while the view that an operator\'s word has made lies on the disks of its members only; absent without etcd or without a view',
    read: ({ status }) => (status.etcd.configured && status.view !== null ? one(flag(status.view.inEtcd)) : []),
  },
  {
    name: 'lessor_probe_until_seconds', type: 'gauge', labels: [],
    help: 'Until when every address is probed before it is given out, seconds since 1970-01-01 UTC; 0: as the configuration says',
    read: ({ status }) => one(status.view?.probeUntil ?? 0),
  },
  {
    name: 'lessor_config_revision', type: 'gauge', labels: ['at'],
    help: 'Revision of the configuration that is in force here, that the view names, that is ready here, and that is the newest in etcd; without a cluster the first counts how often the file was read',
    read: ({ status: { config } }) => [
      { labels: { at: 'loaded' }, value: config.loaded },
      { labels: { at: 'view' }, value: config.view },
      { labels: { at: 'prepared' }, value: config.prepared },
      { labels: { at: 'newest' }, value: config.newest },
    ],
  },
  {
    name: 'lessor_config_refused', type: 'gauge', labels: [],
    help: '1 while this node cannot use a newer revision of the configuration, which holds it back for all nodes',
    read: ({ status: { config } }) => one(flag(config.error !== '')),
  },
  {
    name: 'lessor_view_members', type: 'gauge', labels: [],
    help: 'Nodes in the view',
    read: ({ status }) => one(status.view?.members.length ?? 0),
  },
  {
    name: 'lessor_view_slots', type: 'gauge', labels: ['node'],
    help: 'Of 256 slots, those that the view gives to each of its nodes',
    read: ({ status }) => (status.view?.members ?? []).map(({ node, slots }) => ({ labels: { node }, value: slots })),
  },
  {
    name: 'lessor_slots_owned', type: 'gauge', labels: [],
    help: 'Of 256 slots, those that the node owns',
    read: ({ status }) => one(status.slotsOwned),
  },
  {
    name: 'lessor_slots_home', type: 'gauge', labels: [],
    help: 'Of 256 slots, those that are the node\'s when all nodes are in the view',
    read: ({ status }) => one(status.homeSlots),
  },
  {
    name: 'lessor_takeovers_total', type: 'counter', labels: [],
    help: 'View changes in which the node gained slots of a node that left',
    read: ({ counters }) => one(counters.takeovers),
  },
  {
    name: 'lessor_link_up', type: 'gauge', labels: ['peer'],
    help: '1 while the link to the peer is up',
    read: ({ status }) => byPeer(status, (peer) => flag(peer.link === 'up')),
  },
  {
    name: 'lessor_links_refused_total', type: 'counter', labels: [],
    help: 'Attempts at links that came to nothing because one side does not want the other: name, cluster, certificate, or TLS against clear',
    read: ({ counters }) => one(counters.linksRefused),
  },
  {
    name: 'lessor_certificate_expires_seconds', type: 'gauge', labels: ['use'],
    help: 'When the certificate that the node shows ends (UTC seconds), by what it is used for: cluster, etcd, http, leasequery',
    read: ({ status }) => status.certificates.map(({ use, expires }) => ({ labels: { use }, value: expires })),
  },
  {
    name: 'lessor_peer_in_view', type: 'gauge', labels: ['peer'],
    help: '1 while the peer is in the view',
    read: ({ status }) => byPeer(status, (peer) => flag(peer.inView)),
  },
  {
    name: 'lessor_clock_difference_seconds', type: 'gauge', labels: ['peer'],
    help: 'The wall clock of the peer less that of this node, when it last said; absent while it is not linked',
    read: ({ status }) => status.peers.flatMap(({ node, clockDifferenceSeconds }) =>
      (clockDifferenceSeconds === null ? [] : [{ labels: { peer: node }, value: clockDifferenceSeconds }])),
  },
  {
    name: 'lessor_clock_difference_max_seconds', type: 'gauge', labels: [],
    help: 'maxClockSkew of the configuration: a node whose clock differs by more is not let into the view',
    read: ({ status }) => one(status.clockDifferenceMaxSeconds),
  },
  {
    name: 'lessor_replication_lag_changes', type: 'gauge', labels: ['peer'],
    help: 'Changes of this node that the peer has not acknowledged',
    read: ({ status }) => byPeer(status, (peer) => peer.lagChanges),
  },
  {
    name: 'lessor_replication_lag_seconds', type: 'gauge', labels: ['peer'],
    help: 'Age of the oldest change that the peer has not acknowledged',
    read: ({ status }) => byPeer(status, (peer) => peer.lagSeconds),
  },
  {
    name: 'lessor_inbox_changes', type: 'gauge', labels: ['peer'],
    help: 'Changes that wait in etcd for the peer',
    read: ({ status }) => byPeer(status, (peer) => peer.inboxChanges),
  },
  {
    name: 'lessor_log_changes', type: 'gauge', labels: ['reached'],
    help: 'Last number of the node\'s own log, and how far it is flushed and committed; starts anew with the process',
    read: ({ status }) => [
      { labels: { reached: 'made' }, value: status.log.last },
      { labels: { reached: 'flushed' }, value: status.log.flushed },
      { labels: { reached: 'committed' }, value: status.log.committed },
    ],
  },
  {
    name: 'lessor_etcd_configured', type: 'gauge', labels: [],
    help: '1 where the node belongs to a cluster, 0 for a single node without etcd',
    read: ({ status }) => one(flag(status.etcd.configured)),
  },
  {
    name: 'lessor_etcd_reachable', type: 'gauge', labels: [],
    help: '1 while etcd answers; absent without etcd',
    read: ({ status }) => (status.etcd.configured ? one(flag(status.etcd.reachable)) : []),
  },
  {
    name: 'lessor_etcd_went_back', type: 'gauge', labels: [],
    help: '1 while etcd shows less than it did, so that what it shows counts for nothing; absent without etcd',
    read: ({ status }) => (status.etcd.configured ? one(flag(status.etcd.wentBack !== '')) : []),
  },
  {
    name: 'lessor_etcd_last_success_age_seconds', type: 'gauge', labels: [],
    help: 'Seconds since etcd last answered; absent before it ever did',
    read: ({ status }) => (status.etcd.lastSuccessSecondsAgo === null ? [] : one(status.etcd.lastSuccessSecondsAgo)),
  },
  {
    name: 'lessor_etcd_request_seconds', type: 'histogram', labels: [],
    help: 'Time that etcd took to answer a request',
    read: ({ counters }) => [{ histogram: counters.etcdTime }],
  },
  {
    name: 'lessor_etcd_requests_failed_total', type: 'counter', labels: [],
    help: 'Requests that etcd refused or did not answer in time',
    read: ({ counters }) => one(counters.etcdFailures),
  },
];

const PROCESS: readonly MetricDefinition[] = [
  {
    name: 'lessor_build_info', type: 'gauge', labels: ['version', 'nodejs'],
    help: 'Always 1; the versions are the labels',
    read: ({ status }) => [{ labels: { version: status.version, nodejs: process.version }, value: 1 }],
  },
  {
    name: 'lessor_start_time_seconds', type: 'gauge', labels: [],
    help: 'When the node started, seconds since 1970-01-01 UTC',
    read: ({ status }) => one(status.startedAt / 1000),
  },
  {
    name: 'lessor_events_total', type: 'counter', labels: ['event'],
    help: 'Events by id; the ids are those of the log lines',
    read: ({ telemetry }) => [...telemetry.counts()].map(([event, value]) => ({ labels: { event }, value })),
  },
  {
    name: 'lessor_log_lines_dropped_total', type: 'counter', labels: [],
    help: 'Log lines lost because standard output was closed or too slow',
    read: ({ telemetry }) => one(telemetry.linesDropped),
  },
];

export const METRICS: readonly MetricDefinition[] = [...DHCP, ...LEASES, ...CLUSTER, ...LEASEQUERY, ...DNS, ...HISTORY, ...API, ...PROCESS];
