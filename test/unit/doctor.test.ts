/** What the checks of lessor doctor decide, from facts of all kinds of hosts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatFinding } from '../../node/cli/doctor.ts';
import { DhcpMessage } from '../../node/codec/message.ts';
import { checkLinks, checkOtherClocks, checkOtherServers, checkOwnClock, clockInterval } from '../../node/doctor/cluster-checks.ts';
import { discoverPacket, offerIn } from '../../node/doctor/discover.ts';
import { checkCompaction, checkEtcdDisks, checkMembers, checkPlacement } from '../../node/doctor/etcd-checks.ts';
import type { EtcdAnswer, EtcdFacts, EtcdMember } from '../../node/doctor/etcd-checks.ts';
import { bytesText, msText, ok, problem, warning } from '../../node/doctor/finding.ts';
import type { Finding } from '../../node/doctor/finding.ts';
import { checkFlushes, checkFolder, checkInterfaces, checkLimits, checkPorts, checkPrivileges, checkRuntime } from '../../node/doctor/host-checks.ts';
import type { FolderFacts } from '../../node/doctor/host-checks.ts';
import { parseSockets } from '../../node/doctor/proc-net.ts';
import { histogramQuantile, sampleOf } from '../../node/doctor/prometheus-text.ts';
import { ip, option } from '../support/client-packets.ts';
import { buildConfig, subnetConfig } from '../support/configs.ts';

const CLUSTER = buildConfig({ nodes: ['a'], subnets: [subnetConfig()] });
const brief = (findings: readonly Finding[]): string[] => findings.map(({ verdict, text }) => `${verdict} ${text}`);

// ── the host ────────────────────────────────────────────────────────────────────────────────────

test('an older Node.js and another system are problems, another machine a warning', () => {
  const facts = { node: '24.1.0', platform: 'linux', machine: 'x86_64', kernel: '6.1.0' };
  assert.equal(checkRuntime(facts)[0]!.verdict, 'ok');
  assert.equal(checkRuntime({ ...facts, node: '22.9.0' })[0]!.verdict, 'problem');
  assert.equal(checkRuntime({ ...facts, platform: 'darwin' })[0]!.verdict, 'problem');
  assert.equal(checkRuntime({ ...facts, machine: 'riscv64' })[0]!.verdict, 'warning');
});

test('sockets are read as the kernel lists them', () => {
  const udp = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1234: 0B00010A:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0
 1235: 00000000:0044 01020304:0035 01 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0
`;
  assert.deepEqual(parseSockets(udp, 'udp'), [{ protocol: 'udp', address: '10.1.0.11', port: 67, inode: '4711' }]);
  const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1B9B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0
`;
  assert.deepEqual(parseSockets(tcp6, 'tcp'), [{ protocol: 'tcp', address: '::', port: 7067, inode: '99' }]);
  assert.deepEqual(parseSockets('', 'udp'), []);
});

test('a port is free, the node\'s, or somebody else\'s', () => {
  const dhcp = { protocol: 'udp', host: '0.0.0.0', port: 67, use: 'DHCP', key: '' } as const;
  const http = { protocol: 'tcp', host: '127.0.0.1', port: 9067, use: 'metrics', key: 'http.listen' } as const;
  const owner = (pid: number | undefined, address = '0.0.0.0'): Parameters<typeof checkPorts>[1] =>
    [{ protocol: 'udp', address, port: 67, holder: pid === undefined ? undefined : { pid, name: 'dhcpd' } }];
  assert.deepEqual(brief(checkPorts([dhcp, http], [], undefined)), ['ok 67/udp (DHCP) is free', 'ok 9067/tcp (metrics) is free']);
  assert.deepEqual(brief(checkPorts([dhcp], owner(7), 7)), ['ok 67/udp (DHCP) is held by the node']);
  assert.deepEqual(brief(checkPorts([dhcp], owner(8, '10.0.0.2'), 7)), ['problem 67/udp (DHCP) is held by dhcpd (process 8) at 10.0.0.2']);
  // Both may be bound to it at once.
  assert.deepEqual(brief(checkPorts([dhcp], [...owner(7), ...owner(8)], 7)), ['problem 67/udp (DHCP) is held by dhcpd (process 8) at 0.0.0.0']);
  assert.deepEqual(brief(checkPorts([dhcp], owner(undefined), undefined)), ['problem 67/udp (DHCP) is held by a process of another user at 0.0.0.0']);
  assert.deepEqual(brief(checkPorts([dhcp], owner(undefined), 0)), ['ok 67/udp (DHCP) is held by the node'], 'the node runs as another user');
  assert.deepEqual(brief(checkPorts([dhcp], [], 7)), ['problem 67/udp (DHCP) is not held by the node that runs']);
  // On another address of this host.
  assert.deepEqual(brief(checkPorts([http], [{ protocol: 'tcp', address: '10.0.0.2', port: 9067, holder: undefined }], undefined)), ['ok 9067/tcp (metrics) is free']);
});

test('an interface must be there, up, with an address of a subnet that is served', () => {
  const eth0 = { name: 'eth0', exists: true, up: true, addresses: [ip('10.0.0.2')] };
  assert.deepEqual(brief(checkInterfaces([eth0, { ...eth0, exists: false }, { ...eth0, up: false }, { ...eth0, addresses: [] }, { ...eth0, addresses: [ip('192.0.2.1')] }], CLUSTER)), [
    'ok eth0 has 10.0.0.2, in subnet 10.0.0.0/24', 'problem eth0 does not exist', 'problem eth0 is down or has no carrier', 'problem eth0 has no IPv4 address',
    'warning eth0 has 192.0.2.1, in no subnet of the configuration',
  ]);
  assert.deepEqual(brief(checkInterfaces([eth0], undefined)), ['ok eth0 has 10.0.0.2']);
});

test('a data folder must be writable, on a local disk, with room', () => {
  const facts: FolderFacts = { path: '/d', exists: true, writable: true, user: 'lessor', fileSystem: 0xef53, freeBytes: 2 ** 34, sizeBytes: 2 ** 36 };
  const verdicts = (changes: Partial<FolderFacts>): string[] => checkFolder({ ...facts, ...changes }).map(({ verdict }) => verdict);
  assert.deepEqual(verdicts({}), ['ok']);
  assert.deepEqual(verdicts({ exists: false }), ['ok']);
  assert.deepEqual(verdicts({ writable: false }), ['problem']);
  assert.deepEqual(verdicts({ fileSystem: 0x0102_1994 }), ['problem']);
  assert.deepEqual(verdicts({ fileSystem: 0x6969, freeBytes: 2 ** 28 }), ['problem', 'warning']);
  assert.deepEqual(verdicts({ fileSystem: 0x794c_7630 }), ['warning']);
  assert.deepEqual(verdicts({ freeBytes: 2 ** 20 }), ['problem']);
  assert.deepEqual([[0.4, 0.5, 0.6], [20, 20], [200]].map((times) => checkFlushes(times)[0]!.verdict), ['ok', 'warning', 'problem']);
});

test('memory and open files must do for the pools', () => {
  const facts = { openFiles: 65_536, memoryAvailableBytes: 2 ** 30, memoryOfNodeBytes: 0 };
  const large = buildConfig({ nodes: ['a'], subnets: [subnetConfig({ name: '10.0.0.0/8', prefixLength: 8, pools: [{ first: ip('10.0.0.0'), last: ip('10.255.255.0') }] })] });
  assert.deepEqual(checkLimits(facts, CLUSTER).map(({ verdict }) => verdict), ['ok']);
  assert.deepEqual(checkLimits({ ...facts, memoryAvailableBytes: 2 ** 28 }, large).map(({ verdict }) => verdict), ['warning']);
  assert.deepEqual(checkLimits({ ...facts, memoryAvailableBytes: 0, memoryOfNodeBytes: 2 ** 30 }, large).map(({ verdict }) => verdict), ['ok'], 'it has what it takes already');
  assert.deepEqual(checkLimits({ ...facts, openFiles: 256 }, undefined).map(({ verdict }) => verdict), ['problem', 'skipped']);
});

// ── etcd ────────────────────────────────────────────────────────────────────────────────────────

const member = (n: number): EtcdMember => ({ id: String(n), name: `e${n}`, clientUrls: [`http://10.0.0.${20 + n}:2379`], peerUrls: [`http://10.0.0.${20 + n}:2380`] });
const answer = (n: number, changes: Partial<EtcdAnswer> = {}): EtcdAnswer => ({
  url: `http://10.0.0.${20 + n}:2379`, error: '', version: '3.5.12', healthy: true, memberId: String(n), leader: '1', alarms: [], sizeBytes: 1e6, revision: 500,
  metrics: '', commandLine: ['etcd'], compactedOnce: false, roundTripMs: 3, ...changes,
});
const three = (changes: Partial<EtcdAnswer> = {}): EtcdFacts => ({ answers: [1, 2, 3].map((n) => answer(n, changes)), members: [1, 2, 3].map(member) });

test('members of etcd: all of three, with a leader, and none unnamed', () => {
  assert.deepEqual(brief(checkMembers(three())), ['ok 3 of 3 members answer, 3 in all, version 3.5.12, led by e1, slowest in 3.0 ms']);
  const { answers, members } = three();
  assert.deepEqual(brief(checkMembers({ answers: [answers[0]!, answers[1]!, answer(3, { error: 'nothing listens there' })], members })), ['problem http://10.0.0.23:2379: nothing listens there']);
  assert.equal(checkMembers({ answers: answers.map(({ url }) => answer(1, { url, error: 'x' })), members: [] }).length, 3);
  assert.deepEqual(brief(checkMembers({ answers: answers.slice(0, 2), members })), ['warning cluster.etcd names 2 of 3 members; not e3']);
  assert.deepEqual(brief(checkMembers({ answers: answers.slice(0, 2), members: members.slice(0, 2) })), ['warning etcd has 2 members']);
  assert.deepEqual(brief(checkMembers({ answers: [answer(1, { leader: '' })], members: members.slice(0, 1) })), ['problem http://10.0.0.21:2379: knows no leader of etcd', 'warning etcd has one member']);
  assert.equal(checkMembers(three({ version: '3.3.27' })).filter(({ verdict }) => verdict === 'problem').length, 3);
  assert.match(brief(checkMembers(three({ alarms: ['memberID:1 alarm:NOSPACE '] })))[0]!, /^problem .*NOSPACE/);
});

test('automatic compaction shows on the command line, or by what etcd has done', () => {
  const now = 1_800_000_000_000;
  const young = `process_start_time_seconds ${now / 1000 - 60}`;
  const old = `process_start_time_seconds ${now / 1000 - 86_400}`;
  const verdict = (changes: Partial<EtcdAnswer>): string => checkCompaction(three(changes), now).map((finding) => finding.verdict).join();
  assert.equal(verdict({ commandLine: ['etcd', '--auto-compaction-retention=1h'] }), 'ok');
  assert.equal(verdict({ commandLine: ['etcd', '--auto-compaction-retention', '10'] }), 'ok');
  assert.equal(verdict({ commandLine: ['etcd', '--auto-compaction-retention=0'], compactedOnce: true }), 'problem');
  assert.equal(verdict({ metrics: `etcd_debugging_mvcc_compact_revision 400\n${old}` }), 'ok');
  assert.equal(verdict({ compactedOnce: true }), 'ok', 'without metrics');
  assert.equal(verdict({ metrics: `etcd_debugging_mvcc_compact_revision -1\n${old}` }), 'problem');
  assert.equal(verdict({ metrics: `etcd_debugging_mvcc_compact_revision -1\n${young}`, revision: 20_000 }), 'problem');
  assert.equal(verdict({ metrics: `etcd_debugging_mvcc_compact_revision -1\n${young}` }), 'warning');
  assert.match(verdict({ compactedOnce: true, sizeBytes: 1.9e9, metrics: 'etcd_server_quota_backend_bytes 2e+09' }), /problem/);
});

test('etcd\'s disks are judged by its own histogram', () => {
  const metrics = (slow: number): string => ['0.001', '0.008', '0.016', '+Inf']
    .map((bound, i) => `etcd_disk_wal_fsync_duration_seconds_bucket{le="${bound}"} ${[500, 1000 - slow, 1000, 1000][i]!}`).join('\n') + '\netcd_disk_wal_fsync_duration_seconds_count 1000\n';
  assert.equal(sampleOf(metrics(0), 'etcd_disk_wal_fsync_duration_seconds_count'), 1000);
  assert.equal(histogramQuantile(metrics(0), 'etcd_disk_wal_fsync_duration_seconds', 0.99), 0.008);
  assert.equal(checkEtcdDisks(three({ metrics: metrics(5) }))[0]!.verdict, 'ok');
  assert.deepEqual(checkEtcdDisks(three({ metrics: metrics(20) })).map(({ verdict }) => verdict), ['warning', 'warning', 'warning']);
  assert.equal(checkEtcdDisks(three())[0]!.verdict, 'skipped');
});

test('a host of a node with a majority of etcd is a problem', () => {
  const addresses = new Map([['1', ['10.0.0.11']], ['2', ['10.0.0.12']], ['3', ['10.0.0.13']]]);
  const [a, b] = [{ node: 'a', addresses: ['10.0.0.11', '192.0.2.1'] }, { node: 'b', addresses: ['10.0.0.12'] }];
  assert.deepEqual(brief(checkPlacement(three(), addresses, [a, b])), ['ok no host of a node has a majority of etcd (1 of 3 with a, 1 of 3 with b)']);
  assert.deepEqual(brief(checkPlacement(three(), new Map([...addresses, ['3', ['192.0.2.1']]]), [a, b])), ['problem 2 of 3 members of etcd (e1, e3) on the host of node a']);
  assert.deepEqual(brief(checkPlacement({ answers: [answer(1)], members: [member(1)] }, addresses, [a])), ['problem 1 of 1 member of etcd (e1) on the host of node a']);
  assert.deepEqual(brief(checkPlacement(three(), new Map(), [a])), ['ok no member of etcd is on the host of a node that is known']);
});

// ── clocks, links, other servers ────────────────────────────────────────────────────────────────

test('RFC 9110 §6.6.1: what whole seconds tell of a clock is an interval that the true difference lies in', () => {
  fc.assert(fc.property(fc.integer({ min: -100_000, max: 100_000 }), fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: 999 }), (difference, there, back, at) => {
    const askedAt = 1_800_000_000_000 + at;
    const date = Date.parse(new Date(askedAt + there + difference).toUTCString());
    const { leastMs, mostMs } = clockInterval('x', date, askedAt, askedAt + there + back, false);
    assert.ok(leastMs <= difference && difference <= mostMs, `${leastMs} ${difference} ${mostMs}`);
    assert.equal(mostMs - leastMs, 1000 + there + back);
  }));
});

test('a clock is wrong only where that is certain, and a problem only where it counts', () => {
  const of = (leastMs: number, mostMs: number, ofNode: boolean): string => checkOtherClocks([{ from: 'e', leastMs, mostMs, ofNode }], [], 10_000).map(({ verdict }) => verdict).join();
  assert.equal(of(-900, 200, true), 'ok');
  assert.equal(of(2000, 3100, true), 'warning');
  assert.equal(of(11_000, 12_000, true), 'problem');
  assert.equal(of(-12_000, -11_000, true), 'problem');
  assert.equal(of(11_000, 12_000, false), 'warning');
  assert.deepEqual(brief(checkOtherClocks([], [{ node: 'b', differenceMs: -12_345 }], 10_000)), ['problem the clock of node b is 12.3 s behind; maxClockSkew is 10.0 s']);
  assert.equal(checkOtherClocks([], [], 10_000)[0]!.verdict, 'skipped');
  assert.deepEqual([undefined, { synchronised: true, maxErrorMs: 2 }, { synchronised: false, maxErrorMs: 16_000 }].map((clock) => checkOwnClock(clock, true)[0]!.verdict), ['skipped', 'ok', 'warning']);
});

test('links that do not come about are problems, long ones warnings, and a node that is off neither', () => {
  const link = { node: 'b', address: '10.0.0.12:7067', error: '', roundTripMs: 2 };
  assert.deepEqual(checkLinks([link, { ...link, roundTripMs: 80 }, { ...link, error: 'nothing listens there' }, { ...link, address: undefined }]).map(({ verdict }) => verdict), ['ok', 'warning', 'problem', 'skipped']);
});

test('of the servers that offer an address those of the cluster and known ones are none to report', () => {
  const offer = (server: string) => ({ interfaceName: 'eth0', server: ip(server), hardware: '02:00:00:00:00:09', address: ip('192.168.1.5') });
  const heard = { asked: ['eth0'], failed: [], offers: [offer('10.0.0.3'), offer('10.0.0.66'), offer('10.0.0.66'), offer('192.0.2.1')], waitedMs: 3000 };
  const ours = new Set([ip('10.0.0.2'), ip('10.0.0.3')]);
  assert.deepEqual(brief(checkOtherServers(heard, ours, [{ network: ip('192.0.2.0'), prefixLength: 24 }])), ['problem 10.0.0.66 (02:00:00:00:00:09) on eth0 offers 192.168.1.5']);
  assert.deepEqual(brief(checkOtherServers({ ...heard, offers: [offer('10.0.0.3')] }, ours, [])), ['ok no other DHCP server answers on eth0 within 3.0 s; of this cluster 10.0.0.3']);
  assert.deepEqual(brief(checkOtherServers({ ...heard, asked: [], failed: [{ interfaceName: 'eth0', error: 'no' }], offers: [] }, ours, [])), ['skipped eth0: no']);
});

test('RFC 2131 §4.4.1: the DHCPDISCOVER is whole and its sums are right; of what comes back only its own offers count', () => {
  const chaddr = Buffer.from('020000000007', 'hex');
  const packet = discoverPacket(chaddr, 0xcafe_0001);
  const sum = (bytes: Buffer): number => {
    let total = 0;
    for (let i = 0; i < bytes.length; i += 2) total += bytes.readUInt16BE(i);
    while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
    return total;
  };
  assert.equal(sum(packet.subarray(0, 20)), 0xffff);
  const pseudo = Buffer.concat([packet.subarray(12, 20), Buffer.of(0, 17), packet.subarray(24, 26)]);
  assert.equal(sum(Buffer.concat([pseudo, packet.subarray(20)])), 0xffff);
  const message = new DhcpMessage();
  assert.equal(message.parse(packet.subarray(28)), undefined);
  assert.deepEqual([message.type, message.xid, message.chaddr().equals(chaddr)], [1, 0xcafe_0001, true]);

  const offer = (type: number, xid: number, port = 68): Buffer => {
    const reply = Buffer.concat([Buffer.alloc(28 + 240), option(53, Buffer.of(type)), option(54, Buffer.of(10, 0, 0, 66)), Buffer.of(255), Buffer.alloc(60)]);
    reply[0] = 0x45;
    reply[9] = 17;
    reply.writeUInt16BE(port, 22);
    reply[28] = 2;
    reply[29] = 1;
    reply[30] = 6;
    reply.writeUInt32BE(xid, 32);
    reply.writeUInt32BE(ip('10.0.0.150'), 44);
    reply.writeUInt32BE(0x6382_5363, 28 + 236);
    return reply;
  };
  assert.deepEqual(offerIn(offer(2, 7), 7), { server: ip('10.0.0.66'), address: ip('10.0.0.150') });
  assert.deepEqual([offerIn(offer(2, 8), 7), offerIn(offer(5, 7), 7), offerIn(offer(2, 7, 69), 7), offerIn(packet, 0xcafe_0001)], [undefined, undefined, undefined, undefined]);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
    offerIn(Buffer.from(bytes), 7);
  }));
});

test('a finding is a line, with what to do beneath it', () => {
  assert.equal(formatFinding('ports', ok('67/udp is free')), 'ok       ports            67/udp is free\n');
  assert.equal(formatFinding('etcd', problem('gone\u001b[2J', 'Start it.\nThere.')), `problem  etcd             gone?[2J\n${' '.repeat(26)}Start it.\n${' '.repeat(26)}There.\n`);
  assert.equal(warning('x', 'y').action, 'y');
  assert.deepEqual([bytesText(512), bytesText(1536), bytesText(3 * 2 ** 30), msText(0.42), msText(12.4), msText(1234)], ['512 bytes', '1.5 KiB', '3.0 GiB', '0.4 ms', '12 ms', '1.2 s']);
});

test('what a node lacks of privileges is a problem, unless it can do without', () => {
  const all = 1n << 10n | 1n << 12n | 1n << 13n;
  const verdict = (permitted: bigint, ofNode: boolean, firstFreePort = 1024): string => checkPrivileges({ permitted, ofNode, firstFreePort })[0]!.verdict;
  assert.deepEqual([verdict(all, true), verdict(all ^ 1n << 12n, true), verdict(all ^ 1n << 13n, true), verdict(all ^ 1n << 10n, true)], ['ok', 'warning', 'problem', 'problem']);
  assert.equal(verdict(all ^ 1n << 10n, true, 0), 'ok', 'anybody may listen on port 67 here');
  assert.equal(verdict(0n, false), 'warning', 'the node may be started by somebody else');
});
