/** RFC 2131 §2.2 and §3.1: the server asks whether somebody uses an address already, before it gives it to a client. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { leaseView } from '../../node/admin/lease-view.ts';
import type { Scope } from '../../node/config/types.ts';
import { BindingState, isRecord, recordClientKey, recordState } from '../../node/lease/record.ts';
import type { ProbeRequest } from '../../node/server/ports.ts';
import { bootRequest, CLIENT_CHADDR, chaddrOf, discover, ip, release, request } from '../support/client-packets.ts';
import type { SubnetSpec } from '../support/configs.ts';
import { chaddrHomedAt, packetsOf, replyOf, subnetConfig, TestServer, twoNodes } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const FIRST = ip('10.0.0.100');
const OTHER_HOST = Buffer.from('0200000000ee', 'hex');
const PROBED: Partial<Scope> = { conflictCheck: { method: 'icmp', timeoutMs: 500, cacheSeconds: 60 } };
const withSubnet = (fields: Partial<SubnetSpec> = {}): TestServer => new TestServer({ subnets: [subnetConfig({ scope: PROBED, ...fields })] });

function probeOf(server: TestServer, bytes: Buffer): ProbeRequest {
  const decision = server.receive(bytes);
  assert.deepEqual([packetsOf(decision), decision.changes, decision.probes.length], [[], [], 1]);
  return decision.probes[0]!;
}

const answer = (server: TestServer, { id }: ProbeRequest, usedBy?: Buffer): ReturnType<TestServer['receive']> =>
  server.carryOut(server.server.onProbed(id, usedBy !== undefined, usedBy, server.now));

function lease(server: TestServer, address: number, xid = 1): void {
  const ack = server.receive(request({ xid, requestedAddress: address, serverIdentifier: SERVER }));
  assert.equal(replyOf(ack).type, 5);
}

test('RFC 2131 §3.1: When allocating a new address, servers SHOULD check that the offered network address is not already in use', () => {
  const server = withSubnet();
  const probe = probeOf(server, discover({ xid: 7 }));
  assert.deepEqual([probe.address, probe.method, probe.timeoutMs, probe.targetLocal, probe.chaddr], [FIRST, 'icmp', 500, true, CLIENT_CHADDR]);
  const offer = answer(server, probe);
  assert.deepEqual([replyOf(offer).type, replyOf(offer).xid, replyOf(offer).yiaddr], [2, 7, FIRST]);
  assert.deepEqual(answer(server, probe).sendNow, [], 'an answer counts once');
});

test('RFC 2131 §3.1: Servers SHOULD be implemented so that network administrators MAY choose to disable probes of newly allocated addresses', () => {
  const server = withSubnet({ pools: [{ first: FIRST, last: FIRST, scope: { conflictCheck: { method: 'none', timeoutMs: 0, cacheSeconds: 0 } } }] });
  assert.equal(replyOf(server.receive(discover())).yiaddr, FIRST);
});

test('RFC 2131 §3.1: an address that somebody uses is not offered: it is abandoned, the administrator is told, and the client gets another one', () => {
  const server = withSubnet();
  const found = answer(server, probeOf(server, discover({ xid: 7 })), OTHER_HOST);
  assert.deepEqual(packetsOf(found), []);
  assert.deepEqual(found.changes.map(({ address, record }) => [address, recordState(record)]), [[FIRST, BindingState.ABANDONED]]);
  assert.deepEqual(found.events.map(({ id, fields }) => [id, fields['address'], fields['usedBy']]), [['address.in-use', '10.0.0.100', '02:00:00:00:00:ee']]);
  const [second] = server.tick().probes;
  assert.notEqual(second!.address, FIRST);
  const offer = answer(server, second!);
  assert.deepEqual([replyOf(offer).xid, replyOf(offer).yiaddr], [7, second!.address]);
});

test('an address that was found in use is no client\'s: its binding tells who uses it', () => {
  for (const usedBy of [OTHER_HOST, undefined]) {
    const server = withSubnet();
    const { id } = probeOf(server, discover());
    server.carryOut(server.server.onProbed(id, true, usedBy, server.now));
    const record = server.table.read(FIRST)!;
    assert.equal(isRecord(record), true);
    assert.equal(recordClientKey(record).length, 0);
    const view = leaseView(FIRST, record, '10.0.0.0/24', 'a');
    assert.deepEqual([view.state, view.client, view.clientIdentifier, view.hardware], ['ABANDONED', '', false, usedBy === undefined ? '' : '02:00:00:00:00:ee']);
    assert.deepEqual(server.table.findAllByClient(Buffer.concat([Buffer.of(1), CLIENT_CHADDR])), []);
    assert.deepEqual(server.table.findAllByClient(Buffer.alloc(0)), []);
    // The same after a restart, which builds the indexes anew.
    server.table.load(server.now);
    assert.deepEqual([server.table.counts(0).abandoned, server.table.counts(0).free], [1, 99]);
  }
});

test('a host that answers for every address costs a client three of them, and its DHCPDISCOVER', () => {
  const server = withSubnet();
  let probe = probeOf(server, discover());
  const asked = [probe.address];
  for (;;) {
    answer(server, probe, OTHER_HOST);
    const [next] = server.tick().probes;
    if (next === undefined) break;
    asked.push((probe = next).address);
  }
  assert.deepEqual([new Set(asked).size, server.drops()], [3, { 'addresses-in-use': 1 }]);
  assert.equal(server.table.counts(0).abandoned, 3);
  assert.equal(asked.includes(probeOf(server, discover({ xid: 2 })).address), false, 'the next one is asked about all the same');
});

test('RFC 2131 §2.2: the allocating server SHOULD probe the reused address before allocating the address: one that another client had', () => {
  const server = withSubnet({ pools: [{ first: FIRST, last: FIRST }] });
  lease(server, FIRST);
  server.receive(release({ ciaddr: FIRST, xid: 2 }), { unicast: true, sourceAddress: FIRST });
  server.advance(3_700_000);
  server.tick();
  assert.equal(probeOf(server, discover({ chaddr: chaddrOf(1) })).address, FIRST);
});

test('what a client has or had itself, what it was offered, and what is reserved for it needs no probe', () => {
  const server = withSubnet({ reservations: [{ hardware: { htype: 1, chaddr: chaddrOf(5) }, address: ip('10.0.0.7') }] });
  const probe = probeOf(server, discover());
  answer(server, probe);
  assert.equal(replyOf(server.receive(discover({ xid: 2 }))).yiaddr, FIRST, 'offered');
  lease(server, FIRST, 3);
  assert.equal(replyOf(server.receive(discover({ xid: 4 }))).yiaddr, FIRST, 'leased');
  server.advance(3_600_000);
  server.tick();
  assert.equal(replyOf(server.receive(discover({ xid: 5 }))).yiaddr, FIRST, 'leased before');
  assert.equal(replyOf(server.receive(discover({ chaddr: chaddrOf(5) }))).yiaddr, ip('10.0.0.7'), 'reserved');
});

test('an address that was found free is not asked for again so soon, unless somebody was given it', () => {
  const server = withSubnet({ pools: [{ first: FIRST, last: FIRST }] });
  answer(server, probeOf(server, discover()));
  server.advance(31_000);
  server.tick();
  assert.equal(replyOf(server.receive(discover({ chaddr: chaddrOf(1) }))).yiaddr, FIRST, 'the offer was not taken, and 60 s are not over');
  server.advance(31_000);
  server.tick();
  assert.equal(probeOf(server, discover({ chaddr: chaddrOf(2) })).address, FIRST);
});

test('RFC 4039 §3.1: with rapid commit too servers SHOULD check that the address is not in use, and so with BOOTP', () => {
  const atOnce = withSubnet({ scope: { ...PROBED, rapidCommit: true, bootp: true } });
  const rapid = answer(atOnce, probeOf(atOnce, discover({ options: { 80: Buffer.alloc(0) } })));
  assert.deepEqual([replyOf(rapid).type, rapid.changes.length, rapid.sendOnCommit.length], [5, 1, 1]);
  const bootp = answer(atOnce, probeOf(atOnce, bootRequest({ chaddr: chaddrOf(1) })));
  assert.deepEqual([replyOf(bootp).type, bootp.changes.length, bootp.sendOnCommit.length], [0, 1, 1]);
});

test('a client that retransmits while its address is asked for waits for the one answer', () => {
  const server = withSubnet();
  const probe = probeOf(server, discover());
  assert.deepEqual([server.receive(discover()).probes, server.drops()], [[], { duplicate: 1 }]);
  server.advance(5000);
  server.tick();
  assert.deepEqual(server.drops(), { duplicate: 1, 'probe-timeout': 1 });
  assert.deepEqual(packetsOf(answer(server, probe)), [], 'an answer after that is too late');
  probeOf(server, discover());
});

test('of a pair, an address of the other node\'s that was found in use is abandoned by its owner, whoever it is held for', () => {
  const pools = [{ first: FIRST, last: FIRST + 1 }];
  const [a, b] = (['a', 'b'] as const).map((self) => new TestServer({ view: twoNodes(self), subnets: [subnetConfig({ scope: PROBED, pools })] })) as [TestServer, TestServer];
  const even = request({ chaddr: chaddrHomedAt(a.view, 'a', 1), requestedAddress: FIRST, serverIdentifier: SERVER });
  for (const { address, record } of a.receive(even).changes) b.store(address, Buffer.from(record));
  const asked = a.receive(discover({ chaddr: chaddrHomedAt(a.view, 'a') })).allocations[0]!;
  assert.equal(b.server.allocateFor(asked.pools, asked.clientKey, asked.clientSlot, b.now), FIRST + 1);
  const [probe] = a.server.onAllocated(asked.id, FIRST + 1, a.now).probes;
  const { forwarded } = answer(a, probe!, OTHER_HOST);
  assert.deepEqual(forwarded.map(({ owner, address }) => [owner, address]), [['b', FIRST + 1]]);
  const { record } = forwarded[0]!;
  assert.equal(b.server.mayApply(FIRST + 1, record, b.now), true, 'held for the client that asked');
  b.table.offers.release(FIRST + 1);
  b.table.offers.hold(FIRST + 1, Buffer.from('another'), b.now, 1);
  assert.equal(b.server.mayApply(FIRST + 1, record, b.now), true, 'held for another one');
  b.receive(request({ chaddr: chaddrOf(9), requestedAddress: FIRST + 1, serverIdentifier: ip('10.0.0.3') }));
  b.table.offers.release(FIRST + 1);
  const granted = b.receive(request({ chaddr: chaddrOf(9), xid: 2, requestedAddress: FIRST + 1, serverIdentifier: ip('10.0.0.3') }));
  assert.equal(recordState(granted.changes[0]!.record), BindingState.ACTIVE);
  assert.equal(b.server.mayApply(FIRST + 1, record, b.now), false, 'leased by then: its client may be who answered');
});
