/** What a node knows of itself and the cluster, as the snapshot that operators and metrics read. */
import { formatIpv4 } from '../../node/codec/address.ts';
import type { NodeStatus, PeerStatus, SubnetLeases } from '../../node/admin/status.ts';
import { poolSize } from '../../node/allocation/pool-size.ts';
import type { SubnetConfig } from '../../node/config/types.ts';
import type { LeaseTable } from '../../node/lease/table.ts';
import type { InterfaceInfo } from '../../node/server/ports.ts';
import { SLOTS, slotsOf } from '../view/view.ts';
import type { ClusterCore } from './core.ts';
import type { Engine } from './engine.ts';
import { etcdReachable, isMember, memberNamed } from './state.ts';

export type ClusterStatus = Pick<NodeStatus,
  'node' | 'state' | 'role' | 'ready' | 'protocol' | 'incarnation' | 'view' | 'operator' | 'config' | 'slotsOwned' | 'homeSlots' | 'peers' |
  'clockDifferenceMaxSeconds' | 'drains' | 'log' | 'etcd' | 'leases' | 'dns' | 'history' | 'interfaces' | 'backlog'>;

/** Whether clients should be sent here; `reason` names what forbids it. */
export function readiness({ core }: Engine): { ready: boolean; reason: string } {
  if (!core.serving() || core.state.leaving) return { ready: false, reason: core.nodeState };
  return core.state.finished ? { ready: true, reason: core.nodeState } : { ready: false, reason: core.adoption.waitingFor() };
}

export function describeEngine(engine: Engine, table: LeaseTable, interfaces: readonly InterfaceInfo[]): ClusterStatus {
  const { core } = engine;
  const { state } = core;
  const { self, clustered } = state.context.options;
  const { view } = state;
  const answeredAgo = (state.context.now.mono - state.etcdAnsweredAt) / 1000;
  const leader = core.leader.leaderNode;
  const owners = slotsByOwner(engine);
  return {
    node: self,
    state: core.nodeState,
    role: !isMember(state) ? (core.learner.following ? 'learner' : 'outside') : core.leader.leads ? 'leader' : 'member',
    ready: readiness(engine).ready,
    protocol: { ...state.context.options.protocol, inForce: view?.protocol ?? 0, refused: core.versions.refusal },
    incarnation: engine.incarnation.toString(16).padStart(12, '0'),
    view: view === undefined ? null : {
      epoch: view.epoch, generation: view.generation,
      members: view.members.map(({ node }) => ({ node, slots: slotsOf(view, node) })),
      ...(leader === undefined ? {} : { leader }),
      probeUntil: view.probeUntil, inEtcd: clustered && !state.unwritten,
    },
    operator: core.lastResort.progress ?? null,
    config: describeConfig(engine),
    slotsOwned: state.continuous.reduce((sum, own) => sum + own, 0),
    homeSlots: core.home.filter((node) => node === self).length,
    peers: [...state.peers.keys()].map((node) => describePeer(core, node)),
    clockDifferenceMaxSeconds: state.context.options.maxClockSkewMs / 1000,
    drains: core.leaving.describe(),
    log: { last: state.log.last, committed: state.committedSeq, flushed: state.flushedSeq },
    etcd: {
      configured: clustered, reachable: clustered && etcdReachable(state),
      lastSuccessSecondsAgo: Number.isFinite(answeredAgo) ? Math.round(answeredAgo * 10) / 10 : null,
      wentBack: state.wentBack,
    },
    leases: engine.config.subnets.map((subnet) => describeSubnet(table, subnet, owners)),
    ...describeHistory(engine),
    dns: engine.dns.describe(state.context.now.mono),
    interfaces: interfaces.map(({ name, addresses }) => ({
      name, addresses: addresses.map(({ address, prefixLength }) => `${formatIpv4(address)}/${prefixLength}`),
    })),
    backlog: {
      offers: engine.offers.size, waitingForCommit: engine.waitingForCommit, waitingForConfirm: core.confirmations.waiting,
    },
  };
}

function describeHistory({ tenures }: Engine): Pick<ClusterStatus, 'history'> {
  if (tenures?.since === undefined) return {};
  const { bytes, gap, since } = tenures;
  return { history: { since, bytes, gap: gap === undefined ? null : { from: gap.from, to: gap.to } } };
}

function describeConfig({ core }: Engine): ClusterStatus['config'] {
  const { view } = core.state;
  const { loaded, prepared, refused } = core.configuration.standing();
  const read = core.coordination.latest;
  return {
    loaded, prepared, view: view?.configRevision ?? 0, newest: read?.newestConfig ?? 0, error: refused?.error ?? '',
    waitingFor: view === undefined || read === undefined ? [] : core.configuration.waitingFor(view.members, read),
  };
}

function describePeer({ state, versions }: ClusterCore, node: string): PeerStatus {
  const peer = state.peers.get(node)!;
  const member = memberNamed(state.view, node);
  const acked = member === undefined ? state.log.last : state.acknowledged.get(member.incarnation) ?? 0;
  const inboxed = member === undefined ? 0 : state.inboxed.get(member.incarnation) ?? 0;
  const oldest = state.log.at(acked + 1);
  const said = versions.said(node);
  return {
    node,
    software: said?.software ?? '',
    protocol: said?.protocol ?? null,
    link: peer.up ? 'up' : 'down',
    inView: member !== undefined,
    state: peer.connected ? peer.status?.state ?? '' : '',
    lagChanges: state.log.last - acked,
    lagSeconds: oldest === undefined ? 0 : Math.max(0, (state.context.now.mono - oldest.madeAt) / 1000),
    inboxChanges: Math.max(0, inboxed - acked),
    clockDifferenceSeconds: peer.connected && Number.isFinite(peer.wallComparedAt) ? peer.wallDifferenceMs / 1000 : null,
  };
}

/** The slots of each owner: found once for all subnets, of which there may be thousands. */
function slotsByOwner({ core }: Engine): [string, number[]][] {
  const slots = new Map<string, number[]>();
  for (let slot = 0; slot < SLOTS; slot++) {
    const owner = core.ownerOf(slot);
    if (owner !== undefined) slots.set(owner, [...slots.get(owner) ?? [], slot]);
  }
  return [...slots];
}

function describeSubnet(table: LeaseTable, subnet: SubnetConfig, owners: readonly [string, number[]][]): SubnetLeases {
  const freeBySlot = table.freeOfPools(subnet.pools.map(({ index }) => index));
  const freeOf = (slots: readonly number[]): number => slots.reduce((sum, slot) => sum + freeBySlot[slot]!, 0);
  return {
    subnet: subnet.name, ...table.counts(subnet.index),
    freeByOwner: subnet.pools.length === 0 ? {} : Object.fromEntries(owners.map(([owner, slots]) => [owner, freeOf(slots)])),
    size: subnet.pools.reduce((sum, pool) => sum + poolSize(pool), 0),
  };
}
