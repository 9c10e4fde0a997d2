/** `lessor status`: what one node knows about itself and the cluster, on one screen. */
import type { Command } from 'commander';
import { isoSeconds } from '../admin/lease-view.ts';
import type { DrainStatus, NodeStatus } from '../admin/status.ts';
import { rangeText } from '../protocol.ts';
import { describeOrder } from './drain.ts';
import { NodeClient } from './node-client.ts';
import type { CliOutput } from './output.ts';
import { formatDuration, formatLag, printable, renderTable } from './table.ts';
import { addTargetOptions, nodeTarget, type TargetOptions } from './target-options.ts';

export function addStatusCommand(program: Command, output: CliOutput): void {
  addTargetOptions(program.command('status'))
    .description('show the nodes, the view, and the leases of each pool, as one node knows them')
    .option('--json', 'the whole snapshot as JSON')
    .action(async (options: TargetOptions & { json?: true }) => {
      const status = await new NodeClient(nodeTarget(options)).status();
      await output.out(options.json ? `${JSON.stringify(status, null, 2)}\n` : formatStatus(status));
    });
}

export function formatStatus(status: NodeStatus): string {
  const parts = [`${headLines(status).map(printable).join('\n')}\n`, nodeTable(status)];
  if (status.leases.length > 0) parts.push(leaseTable(status));
  return parts.join('\n');
}

const DRAIN_STANDING: Readonly<Record<DrainStatus['standing'], string>> = {
  out: 'it is out', leaving: 'it is leaving', kept: 'NOT OBEYED: no other node would be left in service',
};

function headLines(status: NodeStatus): string[] {
  const { node, startedAt, state, version, uptimeSeconds, view, etcd, interfaces, exchangesPerSecond, log, backlog } = status;
  const names = interfaces.map(({ name, addresses }) => [name, ...addresses].join(' '));
  return [
    `node ${node}: ${state}, up ${formatDuration(uptimeSeconds)}, version ${version}`,
    view === null
      ? 'view: none; this node serves nobody'
      : `view: epoch ${view.epoch}, generation ${view.generation}, members ${view.members.map((member) => member.node).join(' ')}`
        + (etcd.configured ? `, leader ${view.leader ?? 'unknown'}` : '') + (etcd.configured && !view.inEtcd ? '; NOT in etcd yet' : ''),
    ...(view !== null && view.probeUntil * 1000 > startedAt + uptimeSeconds * 1000
      ? [`probing: every address before it is given out, until ${isoSeconds(view.probeUntil)}`] : []),
    ...(status.operator === null ? [] : [`last resort: ${status.operator.state}: ${status.operator.text}`]),
    ...(etcd.configured ? [`protocol: ${protocolText(status.protocol)}`] : []),
    ...status.drains.map((drain) => `drained: ${describeOrder(drain.node, drain)} (${DRAIN_STANDING[drain.standing]})`),
    `configuration: ${configText(status)}`,
    `etcd: ${etcdText(etcd)}`,
    ...(status.certificates.length > 0 ? [`certificates: ${status.certificates.map(({ expires, use }) => `${use} until ${isoSeconds(expires)}`).join(', ')}`] : []),
    `interfaces: ${names.join('; ') || 'none in service: see dhcp.interfaces in node.yaml, and whether they are up and have an address'}`,
    `work: ${exchangesPerSecond.toFixed(1)} exchanges/s; log at ${log.last}, flushed ${log.flushed}, committed ${log.committed}; `
      + `waiting: ${backlog.waitingForCommit} for commit, ${backlog.waitingForConfirm} for confirmation; ${backlog.offers} offers`,
  ];
}

function protocolText({ inForce, max, min, refused }: NodeStatus['protocol']): string {
  const parts = [inForce === 0 ? 'none in force here' : `version ${inForce} in force`, `this node speaks ${rangeText({ min, max })}`];
  if (refused !== '') parts.push(`NOT LET IN: it ${refused}; start a version of Lessor that speaks one that all members speak`);
  return parts.join('; ');
}

function configText({ config, etcd }: NodeStatus): string {
  const { loaded, view, newest, error, waitingFor } = config;
  if (!etcd.configured) return `from this host's file, read ${loaded === 1 ? 'once' : `${loaded} times`}`;
  const parts = [`revision ${loaded} in force`];
  if (view !== 0 && view !== loaded) parts.push(`the view names ${view}: this node serves nobody until it has it`);
  const why = waitingFor.map((waiting) => (waiting.error === '' ? waiting.node : `${waiting.node} (${waiting.error.replaceAll('\n', '; ')})`));
  if (newest > view) parts.push(why.length > 0 ? `${newest} waits for ${why.join(', ')}` : `${newest} follows`);
  if (error !== '' && why.length === 0) parts.push(`a newer one cannot be used here: ${error.replaceAll('\n', '; ')}`);
  return parts.join('; ');
}

function etcdText({ configured, reachable, lastSuccessSecondsAgo, wentBack }: NodeStatus['etcd']): string {
  if (!configured) return 'not used, a single node';
  const since = lastSuccessSecondsAgo === null ? 'never answered' : `last answer ${lastSuccessSecondsAgo.toFixed(1)} s ago`;
  return `${reachable ? 'reachable' : 'NOT reachable'}, ${since}${wentBack === '' ? '' : `; WENT BACK, and counts for nothing: ${wentBack} (see lessor recover)`}`;
}

/** This node first, then its peers as it knows them. */
function nodeTable({ node, state, role, view, slotsOwned, peers, protocol, version }: NodeStatus): string {
  const slots = (id: string): string => String(view?.members.find((member) => member.node === id)?.slots ?? 0);
  const rows = [[`${node} (this)`, state, role, '-', String(slotsOwned), '-', '-', version, rangeText(protocol)]];
  for (const peer of peers) {
    const peerRole = view?.leader === peer.node ? 'leader' : peer.inView ? 'member' : 'outside';
    rows.push([
      peer.node, peer.state || 'unknown', peerRole, peer.link, slots(peer.node),
      formatLag(peer.lagChanges, peer.lagSeconds), peer.inboxChanges === 0 ? '-' : String(peer.inboxChanges),
      peer.software || '-', peer.protocol === null ? '-' : rangeText(peer.protocol),
    ]);
  }
  return renderTable(['NODE', 'STATE', 'ROLE', 'LINK', 'SLOTS', 'LAG', 'INBOX', 'VERSION', 'PROTOCOL'], rows);
}

function leaseTable({ leases }: NodeStatus): string {
  const rows = leases.map(({ subnet, size, active, expired, released, abandoned, free, freeByOwner }) => [
    subnet, ...[size, active, expired, released, abandoned, free].map(String),
    Object.entries(freeByOwner).map(([owner, count]) => `${owner} ${count}`).join(', ') || '-',
  ]);
  return renderTable(['SUBNET', 'POOL', 'ACTIVE', 'EXPIRED', 'RELEASED', 'ABANDONED', 'FREE', 'FREE BY OWNER'], rows);
}
