/** What `lessor doctor` says of etcd: pure, from what each member answered. */
import { bytesText, msText, ok, problem, skipped, warning } from './finding.ts';
import type { Finding } from './finding.ts';
import { histogramQuantile, sampleOf } from './prometheus-text.ts';

export interface EtcdMember {
  readonly id: string;
  readonly name: string;
  readonly clientUrls: readonly string[];
  readonly peerUrls: readonly string[];
}

/** What stands at one URL of `cluster.etcd`. */
export interface EtcdAnswer {
  readonly url: string;
  /** Why it did not answer; "": it did. */
  readonly error: string;
  readonly version: string;
  readonly healthy: boolean;
  readonly memberId: string;
  /** Id of the member that leads; "": it knows none. */
  readonly leader: string;
  /** NOSPACE and the like. */
  readonly alarms: readonly string[];
  readonly sizeBytes: number;
  readonly revision: number;
  /** The text of `/metrics`; "": not to be had here. */
  readonly metrics: string;
  /** How it was started; empty: not to be had. */
  readonly commandLine: readonly string[];
  /** Whether a read of the first revision is refused since that was compacted; undefined: no answer. */
  readonly compactedOnce: boolean | undefined;
  readonly roundTripMs: number;
}

export interface EtcdFacts {
  readonly answers: readonly EtcdAnswer[];
  /** By the first that answers; empty: none does, or it does not say. */
  readonly members: readonly EtcdMember[];
}

const VERSION_MIN = [3, 4] as const;

export function checkMembers({ answers, members }: EtcdFacts): Finding[] {
  const reached = answers.filter(({ error }) => error === '');
  const findings: Finding[] = answers.filter(({ error }) => error !== '').map(({ url, error }) => (reached.length === 0
    ? problem(`${url}: ${error}`, 'Start etcd there, or correct cluster.etcd; without any member no node can join or be replaced.')
    : problem(`${url}: ${error}`, 'Bring this member back: until then the loss of another one may leave etcd without a majority.')));
  if (reached.length === 0) return findings;
  for (const { url, version, healthy, alarms, leader } of reached) {
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major < VERSION_MIN[0] || (major === VERSION_MIN[0] && minor < VERSION_MIN[1])) findings.push(problem(`${url}: version ${version}`, `Lessor needs etcd ${VERSION_MIN.join('.')} or newer.`));
    if (leader === '') findings.push(problem(`${url}: knows no leader of etcd`, 'Fewer than half of the members are there or reach each other (port 2380): bring them back.'));
    else if (!healthy) findings.push(problem(`${url}: says that it is not healthy`, 'Look at its log.'));
    for (const alarm of alarms) findings.push(problem(`${url}: alarm ${alarm}`, 'NOSPACE: compact and defragment etcd, then `etcdctl alarm disarm`; see etcd\'s page on maintenance.'));
  }
  const listed = members.length;
  if (listed === 0) findings.push(skipped('how many members etcd has: it does not say'));
  else if (listed === 1) findings.push(warning('etcd has one member', 'With three on three machines the loss of one of them changes nothing.'));
  else if (listed % 2 === 0) findings.push(warning(`etcd has ${listed} members`, `An even number survives no more losses than ${listed - 1} would: add one or remove one.`));
  const unnamed = members.filter(({ id }) => !reached.some(({ memberId }) => memberId === id));
  const unreached = answers.length - reached.length;
  if (unnamed.length > unreached) {
    findings.push(warning(`cluster.etcd names ${answers.length} of ${listed} members; not ${unnamed.map(({ name, id }) => name || id).join(', ')}`,
      'Name all of them in node.yaml: this node loses etcd when those that it knows are gone.'));
  }
  if (findings.every(({ verdict }) => verdict === 'skipped')) {
    const versions = [...new Set(reached.map(({ version }) => version))].join(', ');
    findings.push(ok(`${reached.length} of ${answers.length} members answer, ${listed === 0 ? '' : `${listed} in all, `}version ${versions}, led by ${leaderName(reached, members)}, slowest in ${msText(Math.max(...reached.map(({ roundTripMs }) => roundTripMs)))}`));
  }
  return findings;
}

function leaderName(reached: readonly EtcdAnswer[], members: readonly EtcdMember[]): string {
  const { leader } = reached[0]!;
  return members.find(({ id }) => id === leader)?.name || leader;
}

const NEVER_COMPACTED_REVISIONS = 10_000;
const NEVER_COMPACTED_MS = 3 * 3_600_000;
const QUOTA_PART_MAX = 0.8;

/**
 * etcd does not say how it was configured. Its command line may show it, and what it has done does; a setting in its
 * environment or its file shows only by what it does.
 */
export function checkCompaction({ answers }: EtcdFacts, now: number): Finding[] {
  const reached = answers.filter(({ error }) => error === '');
  if (reached.length === 0) return [skipped('etcd does not answer')];
  const findings: Finding[] = [];
  for (const { url, metrics, sizeBytes } of reached) {
    const quota = sampleOf(metrics, 'etcd_server_quota_backend_bytes');
    if (quota !== undefined && quota > 0 && sizeBytes > QUOTA_PART_MAX * quota) {
      findings.push(problem(`${url}: ${bytesText(sizeBytes)} of the ${bytesText(quota)} that it may use`, 'At the quota it takes no more writes: compact and defragment it, and switch automatic compaction on.'));
    }
  }
  const switchOn = 'Start every member with --auto-compaction-mode=periodic --auto-compaction-retention=1h (or ETCD_AUTO_COMPACTION_RETENTION in its environment): its file grows without it until it takes no more writes.';
  const off = reached.filter(({ commandLine }) => retentionOf(commandLine) === '0');
  if (off.length > 0) return [...findings, problem(`automatic compaction is off: ${off.map(({ url }) => url).join(', ')}`, switchOn)];
  const said = reached.map(({ commandLine }) => retentionOf(commandLine));
  if (said.every((retention) => retention !== undefined)) return [...findings, ok(`automatic compaction is on (--auto-compaction-retention ${[...new Set(said)].join(', ')})`)];
  const compacted = Math.max(...reached.map(({ metrics }) => sampleOf(metrics, 'etcd_debugging_mvcc_compact_revision') ?? -1));
  const revision = Math.max(...reached.map((answer) => answer.revision));
  if (compacted > 0) return [...findings, ok(`etcd was compacted up to revision ${compacted} of ${revision}`)];
  if (reached.some(({ compactedOnce }) => compactedOnce === true)) return [...findings, ok(`etcd has been compacted; it is at revision ${revision}`)];
  const upMs = Math.max(...reached.map(({ metrics }) => now - (sampleOf(metrics, 'process_start_time_seconds') ?? now / 1000) * 1000));
  if (revision >= NEVER_COMPACTED_REVISIONS || upMs >= NEVER_COMPACTED_MS) {
    return [...findings, problem(`etcd has never been compacted, and is at revision ${revision}`, switchOn)];
  }
  return [...findings, warning('whether automatic compaction is on cannot be seen yet: etcd is young', `Look at how etcd is started, or run this again in a few hours. ${switchOn}`)];
}

/** The value of the flag; undefined: not among them. */
function retentionOf(commandLine: readonly string[]): string | undefined {
  for (const [i, word] of commandLine.entries()) {
    const [, value] = /^--?auto-compaction-retention(?:=(.*))?$/.exec(word) ?? [undefined, null];
    if (value !== null) return value ?? commandLine[i + 1] ?? '0';
  }
  return undefined;
}

const FSYNC_SECONDS_MAX = 0.01;
const FSYNCS_MIN = 100;

/** etcd's own guide asks that 99 of 100 flushes of its log take less than 10 ms. */
export function checkEtcdDisks({ answers }: EtcdFacts): Finding[] {
  const measured = answers.flatMap(({ error, metrics, url }) => {
    const count = sampleOf(metrics, 'etcd_disk_wal_fsync_duration_seconds_count') ?? 0;
    return error !== '' || count < FSYNCS_MIN ? [] : [{ url, slow: histogramQuantile(metrics, 'etcd_disk_wal_fsync_duration_seconds', 0.99) }];
  });
  if (measured.length === 0) return [skipped('no member tells how long its disk takes (/metrics), or it has hardly written yet')];
  const worst = measured.filter(({ slow }) => slow > FSYNC_SECONDS_MAX);
  if (worst.length === 0) return [ok(`99 of 100 flushes of etcd's log take at most ${msText(FSYNC_SECONDS_MAX * 1000)} (${measured.length} members)`)];
  return worst.map(({ url, slow }) => warning(`${url}: one of 100 flushes of its log takes ${slow === Infinity ? 'over 8 s' : `up to ${msText(slow * 1000)}`}`,
    'Give etcd a disk of its own, an SSD: slow flushes delay takeovers, and make etcd change its leader.'));
}

/** A host on which a node runs. */
export interface NodeHost {
  readonly node: string;
  readonly addresses: readonly string[];
}

/** Where members of etcd and nodes share hosts. `addressesOf`: the addresses of a member, names resolved. */
export function checkPlacement({ members }: EtcdFacts, addressesOf: ReadonlyMap<string, readonly string[]>, hosts: readonly NodeHost[]): Finding[] {
  if (members.length === 0) return [skipped('etcd does not say where its members are')];
  const majority = Math.floor(members.length / 2) + 1;
  const shared = hosts.map(({ node, addresses }) => ({
    node, here: members.filter(({ id }) => addressesOf.get(id)?.some((address) => addresses.includes(address)) === true),
  })).filter(({ here }) => here.length > 0);
  const bad = shared.filter(({ here }) => here.length >= majority);
  if (bad.length > 0) {
    return bad.map(({ node, here }) => problem(
      `${here.length} of ${members.length} ${members.length === 1 ? 'member' : 'members'} of etcd (${here.map(({ name, id }) => name || id).join(', ')}) on the host of node ${node}`,
      'If that host fails, etcd fails with it, and no other node may take over its clients: no view can be written. Move members, so that no DHCP host has a majority of them; with two DHCP hosts the third member is a small machine anywhere.'));
  }
  if (shared.length === 0) return [ok('no member of etcd is on the host of a node that is known')];
  return [ok(`no host of a node has a majority of etcd (${shared.map(({ node, here }) => `${here.length} of ${members.length} with ${node}`).join(', ')})`)];
}
