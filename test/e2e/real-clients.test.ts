/** What the users of real clients get from real nodes: one alone, and a pair. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { ClientGroup } from '../../deploy/lab/client-group.ts';
import type { Host } from '../../deploy/lab/netns.ts';
import { sleep, waitUntil } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import { RealClient, type ClientKind } from '../../deploy/lab/real-clients.ts';
import type { LeaseView } from '../../node/admin/lease-view.ts';
import { SAME_TRANSACTION_SECONDS } from '../../node/limits.ts';
import { keptOf, NEEDED_SET } from '../../node/privileges.ts';
import { Capture } from '../support/capture.ts';
import { inform, ip, parseReply } from '../support/client-packets.ts';
import { ADDRESSES, needs, ServedNetwork, type NodeName } from '../support/served-network.ts';
import { threadPrivileges } from '../support/thread-privileges.ts';

const KINDS = ['udhcpc', 'dhclient', 'dhcpcd'] as const satisfies readonly ClientKind[];
const WAIT_MS = 20_000;
const senderFile = join(import.meta.dirname, '../support/send-datagrams.ts');

const CLUSTERS: readonly { readonly what: string; readonly nodes: readonly NodeName[] }[] = [
  { what: 'a single node', nodes: ['a'] },
  { what: 'the pair', nodes: ['a', 'b'] },
];

function plain(hardware: string): string {
  return hardware.replaceAll(':', '');
}

for (const { what, nodes } of CLUSTERS) {
  const programs = nodes.length > 1 ? ['etcd', 'tshark', 'dhcrelay', ...KINDS] as const : ['tshark', 'dhcrelay', ...KINDS] as const;

  test(`real clients of ${what}`, needs(...programs), async (t) => {
    await using served = await ServedNetwork.start({ nodes, clients: [...KINDS, 'visitor', 'fixed'], officeClients: ['desk'] });
    const serverIds = nodes.map((name) => ADDRESSES[name]);

    for (const kind of KINDS) {
      await t.test(`${kind} gets an address, keeps it when it renews, and gives it back for good`, () => leaseLife(served, kind, serverIds));
    }
    await t.test('a client that finds its address in use gets another one, and every node knows why', () => declines(served));
    await t.test('a host with an address of its own is told the parameters of its segment, once, and gets no lease', () => informs(served, serverIds));
    await t.test('a client behind a relay gets an address of its own segment, and where it is plugged in is kept', () => relayed(served, serverIds));
    await t.test('nothing failed inside a node', () => {
      for (const { name, output } of served.nodes) assert.doesNotMatch(output, /"level":"error"/, `node ${name}`);
    });
  });
}

async function leaseLife(served: ServedNetwork, kind: ClientKind, serverIds: readonly string[]): Promise<void> {
  const host = served.host(kind);
  const capture = await Capture.start({ host, file: join(served.folder, `${kind}.pcapng`) });
  // dhclient and udhcpc renew with the xid of their first request: so soon that is a copy of it, and
  // changes nothing. dhclient's own haste may take a quarter off what it is told.
  const renewAfterSeconds = 2 * SAME_TRANSACTION_SECONDS;
  const client = new RealClient({ kind, host, folder: join(served.folder, kind), hostname: `my-${kind}`, renewAfterSeconds });

  const lease = await client.waitForLease(WAIT_MS);
  assert.match(lease.address, /^10\.1\.(1[6-9]|2\d|3[01])\./);
  assert.equal(lease.leaseSeconds, 60);
  assert.ok(serverIds.includes(lease.serverId), lease.serverId);
  await routedBy(host, '10.1.0.2');
  const granted = await served.agreed(lease.address, 'ACTIVE');
  assert.equal(granted.hardware, host.hardware());
  assert.equal(granted.hostname, `my-${kind}`);

  const renewed = await client.renew(WAIT_MS);
  assert.equal(renewed.address, lease.address);
  if (kind !== 'udhcpc') await recorded(served, granted);

  await client.release(WAIT_MS);
  assert.deepEqual(host.addresses(), []);
  await served.agreed(lease.address, 'RELEASED');
  await capture.stop();
  await wellFormed(capture, 3);
}

/** The client's script sets the address first, then the route. */
async function routedBy(host: Host, router: string): Promise<void> {
  await waitUntil(`a route by way of ${router}`, WAIT_MS, () => (host.ip('route show default').includes(`via ${router}`) ? true : undefined));
}

/** The record of the lease that replaced `before`, on every node. */
function recorded(served: ServedNetwork, before: LeaseView): Promise<LeaseView> {
  return waitUntil('the renewal on record', 5000, async () => {
    const view = await served.agreed(before.address, 'ACTIVE');
    return view.stamp.seq === before.stamp.seq ? undefined : view;
  });
}

/** tshark finds nothing wrong with the replies that it saw. */
async function wellFormed(capture: Capture, repliesMin: number): Promise<void> {
  const replies = await capture.read(['dhcp.option.dhcp'], 'dhcp.type == 2');
  assert.ok(replies.length >= repliesMin, `${replies.length} replies`);
  assert.deepEqual(await capture.complaints(), []);
}

async function declines(served: ServedNetwork): Promise<void> {
  const host = served.host('visitor');
  const capture = await Capture.start({ host, file: join(served.folder, 'visitor.pcapng') });
  const client = new RealClient({ kind: 'dhclient', host, folder: join(served.folder, 'visitor'), refuse: true });
  const abandoned = await waitUntil('an abandoned address', WAIT_MS, async () => (await served.nodes[0]!.leases('?state=ABANDONED'))[0]);
  await served.agreed(abandoned.address, 'ABANDONED');
  await client.stop();
  const calm = new RealClient({ kind: 'dhclient', host, folder: join(served.folder, 'visitor-2') });
  const lease = await calm.waitForLease(WAIT_MS);
  assert.notEqual(lease.address, abandoned.address);
  await calm.release(WAIT_MS);
  await capture.stop();
  await wellFormed(capture, 4);
}

async function informs(served: ServedNetwork, serverIds: readonly string[]): Promise<void> {
  const host = served.host('fixed');
  host.ip('address add 10.1.0.99/16 brd + dev eth0');
  const capture = await Capture.start({ host, file: join(served.folder, 'fixed.pcapng') });
  const hardware = Buffer.from(plain(host.hardware()), 'hex');
  const before = await served.nodes[0]!.leases();
  const ask = (xid: number, to: string): { to: string; hex: string } =>
    ({ to, hex: inform({ xid, chaddr: hardware, ciaddr: ip('10.1.0.99'), parameters: [1, 3, 6, 15] }).toString('hex') });
  const questions = [ask(1, '255.255.255.255'), ...serverIds.map((serverId, i) => ask(2 + i, serverId))];
  const sender = host.spawn([process.execPath, senderFile, JSON.stringify({ address: '10.1.0.99', port: 68, datagrams: questions, listen: true })]);
  const answers = await waitUntil('the answers', WAIT_MS, () => {
    const found = sender.output.split('\n').filter((line) => line.includes('"reply"'));
    return found.length >= questions.length ? found : undefined;
  });
  await sender.stop();
  const replies = answers.map((line) => parseReply(Buffer.from((JSON.parse(line) as { hex: string }).hex, 'hex')));
  assert.deepEqual(replies.map(({ xid }) => xid).toSorted((a, b) => a - b), questions.map((_, i) => i + 1), 'one answer each');
  for (const reply of replies) {
    assert.equal(reply.type, 5);
    assert.equal(reply.yiaddr, 0);
    assert.equal(reply.optionU32(51), undefined);
    assert.equal(reply.optionU32(3), ip('10.1.0.2'));
  }
  assert.deepEqual(await served.nodes[0]!.leases(), before);
  await capture.stop();
  await wellFormed(capture, questions.length);
}

async function relayed(served: ServedNetwork, serverIds: readonly string[]): Promise<void> {
  const { router, office, lan } = served;
  const { command, env } = requireProgram('dhcrelay');
  const relay = router.spawn([
    command, '-4', '-d', '-a', '-m', 'append', '-id', router.interfaceName(office), '-iu', router.interfaceName(lan), ...serverIds,
  ], { env, name: 'dhcrelay' });
  await relay.waitForLine(/Sending on\s+Socket/, WAIT_MS);
  const host = served.host('desk');
  const captures = [
    await Capture.start({ host, file: join(served.folder, 'desk.pcapng') }),
    await Capture.start({ host: router, segment: lan, file: join(served.folder, 'relay.pcapng') }),
  ];
  const client = new RealClient({ kind: 'udhcpc', host, folder: join(served.folder, 'desk') });
  const lease = await client.waitForLease(WAIT_MS);
  assert.match(lease.address, /^10\.2\.1[67]\./);
  await routedBy(host, '10.2.0.1');
  const granted = await served.agreed(lease.address, 'ACTIVE');
  // RFC 3046 §2.0: sub-option 1, the agent circuit id, is the name of the interface.
  const name = Buffer.from(router.interfaceName(office));
  const circuit = Buffer.concat([Buffer.of(1, name.length), name]).toString('hex');
  assert.ok(granted.relayAgentInformation?.includes(circuit), granted.relayAgentInformation);

  // It renews with the xid of its first request, which is no copy of that any more after a while.
  await sleep((SAME_TRANSACTION_SECONDS + 1) * 1000);
  const renewed = await client.renew(WAIT_MS);
  assert.equal(renewed.address, lease.address);
  const kept = await recorded(served, granted);
  assert.equal(kept.relayAgentInformation, granted.relayAgentInformation, 'a renewal past the relay changes nothing of it');
  await client.release(WAIT_MS);
  await served.agreed(lease.address, 'RELEASED');
  await relay.stop();
  for (const capture of captures) {
    await capture.stop();
    await wellFormed(capture, 2);
  }
}

test('an interface that is plugged in while a node runs is served, and again after it was unplugged', needs('udhcpc'), async () => {
  await using served = await ServedNetwork.start({ nodes: ['a'], interfaces: ['eth0', 'eth1'] });
  const { network } = served;
  const late = network.createSegment('late', { hosts: [{ name: 'guest' }] });
  const guest = network.host('guest');
  const client = new RealClient({ kind: 'udhcpc', host: guest, folder: join(served.folder, 'guest') });
  network.addHost(late, { name: 'a', addresses: ['10.3.0.11/16'] });
  const lease = await client.waitForLease(WAIT_MS);
  assert.match(lease.address, /^10\.3\.1[67]\./);
  assert.equal(lease.serverId, '10.3.0.11');
  // The sockets were opened by a process that has given up the rest: in every one of its threads.
  const threads = threadPrivileges(served.nodes[0]!.pid);
  assert.ok(threads.length > 4, `${threads.length} threads`);
  for (const thread of threads) {
    assert.equal(keptOf(thread), '');
    assert.deepEqual([thread.effective, thread.bounding, thread.noNewPrivileges], [NEEDED_SET, NEEDED_SET, true]);
  }

  const node = served.host('a');
  node.ip('link set eth1 down');
  await waitUntil('the interface is gone', WAIT_MS, () => (served.nodes[0]!.output.match(/dhcp\.interfaces/g)?.length === 2 ? true : undefined));
  node.ip('link set eth1 up');
  const renewed = await client.renew(WAIT_MS);
  assert.equal(renewed.address, lease.address);
  await client.stop();
});

test('a single node that is killed has every lease that a client got, when it is back', needs('ip'), async () => {
  await using served = await ServedNetwork.start({ nodes: ['a'], clients: ['crowd'], leaseTime: '1h' });
  const [node] = served.nodes;
  const group = new ClientGroup(served.host('crowd'));
  await group.ready();
  await group.getLeases('early', 50, 500, WAIT_MS);
  // It dies while clients are being served: what they had been told by then counts.
  group.do({ do: 'start', name: 'late', count: 400, retryMs: 500 });
  await waitUntil('some of the late ones', WAIT_MS, () => (group.holders().size > 100 ? true : undefined));
  await node!.kill();
  const told = group.holders();
  assert.ok(told.size > 100 && told.size <= 450, `${told.size} leases`);
  node!.start();
  await node!.ready();
  await waitUntil('leases for all', 60_000, () => (group.holders().size === 450 ? true : undefined));
  const onRecord = new Map((await node!.leases('?state=ACTIVE')).map(({ address, hardware }) => [address, hardware]));
  assert.deepEqual([...told.values()].filter((address) => !onRecord.has(address)), []);
  assert.deepEqual(group.losses(), []);
  assert.equal(new Set(group.holders().values()).size, 450);
});
