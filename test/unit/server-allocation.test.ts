/** Which address a node gives, what it asks of other owners, and what it lets them do. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { BindingState, recordState, withState } from '../../node/lease/record.ts';
import { chaddrOf, decline, discover, ip, release, request } from '../support/client-packets.ts';
import { chaddrHomedAt, FakeView, packetsOf, replyOf, subnetConfig, TestServer, twoNodes } from '../support/dhcp-server.ts';

const NODE_A = ip('10.0.0.2');

/** A pair where the pool has one even and one odd address, and a's only one is leased. */
function withoutOwnAddress(): TestServer {
  const view = twoNodes();
  const server = new TestServer({ view, subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.101') }] })] });
  const chaddr = chaddrHomedAt(view, 'a', 1);
  server.receive(request({ chaddr, requestedAddress: ip('10.0.0.100'), serverIdentifier: NODE_A }));
  assert.equal(recordState(server.table.read(ip('10.0.0.100'))!), BindingState.ACTIVE);
  return server;
}

test('free addresses come from own slots, those at home with the client\'s own node first', () => {
  const view = twoNodes();
  const server = new TestServer({ view });
  for (let n = 0; n < 20; n++) assert.equal(replyOf(server.receive(discover({ chaddr: chaddrHomedAt(view, 'a', n) }))).yiaddr & 1, 0);
  view.members = ['a'];
  for (let n = 0; n < 20; n++) assert.equal(replyOf(server.receive(discover({ chaddr: chaddrHomedAt(view, 'b', n) }))).yiaddr & 1, 1);
});

test("a requested address of another owner's slot is not offered; the client's own earlier one is", () => {
  const view = twoNodes();
  const server = new TestServer({ view });
  const chaddr = chaddrHomedAt(view, 'a');
  const address = ip('10.0.0.151');
  assert.notEqual(replyOf(server.receive(discover({ chaddr, requestedAddress: address }))).yiaddr, address);
  const { forwarded } = server.receive(request({ chaddr, requestedAddress: address, serverIdentifier: NODE_A }));
  server.store(address, forwarded[0]!.record);
  assert.equal(replyOf(server.receive(discover({ chaddr, xid: 2 }))).yiaddr, address);
});

test('own slots exhausted: another owner is asked, and its address is offered', () => {
  const server = withoutOwnAddress();
  const chaddr = chaddrHomedAt(server.view, 'a');
  const bytes = discover({ chaddr, giaddr: ip('10.0.0.1'), relayAgentInformation: Buffer.from('0101aa', 'hex') });
  const asked = server.receive(bytes);
  bytes.fill(0xff);
  assert.deepEqual(packetsOf(asked), []);
  const [allocation] = asked.allocations;
  assert.deepEqual([allocation!.owner, allocation!.pools, allocation!.clientKey], ['b', [ip('10.0.0.100')], Buffer.concat([Buffer.of(1), chaddr])]);
  const answer = server.server.onAllocated(allocation!.id, ip('10.0.0.101'), server.now);
  assert.deepEqual([replyOf(answer).type, replyOf(answer).yiaddr, answer.sendNow.length], [2, ip('10.0.0.101'), 1]);
  assert.equal(replyOf(answer).option(82)?.toString('hex'), '0101aa');
  assert.deepEqual(server.drops(), {});
  assert.equal(server.server.onAllocated(allocation!.id, ip('10.0.0.101'), server.now).sendNow.length, 0, 'an answer counts once');
  const granted = server.receive(request({ chaddr, requestedAddress: ip('10.0.0.101'), serverIdentifier: NODE_A }));
  assert.deepEqual(granted.forwarded.map(({ owner }) => owner), ['b']);
});

test('no other owner has one either: abandoned addresses, then nothing', () => {
  const server = withoutOwnAddress();
  const packet = discover({ chaddr: chaddrHomedAt(server.view, 'a') });
  const first = server.receive(packet).allocations[0]!;
  const nothing = server.server.onAllocated(first.id, 0, server.now);
  assert.deepEqual([packetsOf(nothing), nothing.allocations], [[], []]);
  assert.deepEqual([server.drops(), nothing.events.map(({ id }) => id)], [{ 'pool-exhausted': 1 }, ['pool.exhausted']]);

  server.store(ip('10.0.0.100'), withState(server.table.read(ip('10.0.0.100'))!, BindingState.ABANDONED, Math.floor(server.now.wall / 1000)));
  const third = server.receive(packet).allocations[0]!;
  assert.deepEqual(packetsOf(server.server.onAllocated(third.id, 0, server.now)), [], 'whoever declined it may have the lease, until that has ended');
  server.advance(3_700_000);
  server.server.tick(server.now);
  const second = server.receive(packet).allocations[0]!;
  assert.equal(replyOf(server.server.onAllocated(second.id, 0, server.now)).yiaddr, ip('10.0.0.100'));
});

test('a view that is not finished is no exhausted pool, and what was gained while another owner was asked is given', () => {
  const view = twoNodes();
  const pools = [{ first: ip('10.0.0.100'), last: ip('10.0.0.103') }];
  const server = new TestServer({ view, subnets: [subnetConfig({ pools })] });
  for (let slot = 0; slot < 256; slot++) view.pending.add(slot);
  const early = server.receive(discover({ chaddr: chaddrHomedAt(view, 'a') })).allocations[0]!;
  const late = server.receive(discover({ chaddr: chaddrHomedAt(view, 'a', 1) })).allocations[0]!;
  assert.deepEqual(packetsOf(server.server.onAllocated(early.id, 0, server.now)), []);
  assert.deepEqual(server.drops(), { 'not-serving': 1 });
  view.pending.clear();
  assert.equal(replyOf(server.server.onAllocated(late.id, 0, server.now)).yiaddr & 1, 0, 'an own one');
});

test('a client that asked again while another owner was asked is offered one address, which it may have', () => {
  const server = withoutOwnAddress();
  const { table, view } = server;
  const abandon = (address: number): void => server.store(address, withState(table.read(ip('10.0.0.100'))!, BindingState.ABANDONED, Math.floor(server.now.wall / 1000)));
  abandon(ip('10.0.0.100'));
  server.advance(3_700_000);
  server.server.tick(server.now);
  const [one, other] = [chaddrHomedAt(view, 'a'), chaddrHomedAt(view, 'a', 2)];
  const asked = [one, one, other].map((chaddr) => server.receive(discover({ chaddr })).allocations[0]!);
  view.members = ['a'];
  const answers = asked.map(({ id }) => server.server.onAllocated(id, 0, server.now));
  const offers = answers.map((answer) => (packetsOf(answer).length > 0 ? replyOf(answer).yiaddr : 0));
  assert.equal(offers[0], offers[1], 'the second answer does not take back the first');
  assert.notEqual(offers[0], offers[2]);
  for (const [chaddr, requestedAddress] of [[one, offers[0]!], [other, offers[2]!]] as const) {
    assert.equal(replyOf(server.receive(request({ chaddr, requestedAddress, serverIdentifier: NODE_A }))).type, 5);
  }
});

test('an answer that names an address which this node knows to be in use is not believed', () => {
  const server = withoutOwnAddress();
  const { id } = server.receive(discover({ chaddr: chaddrHomedAt(server.view, 'a') })).allocations[0]!;
  for (const address of [ip('10.0.0.100'), ip('192.0.2.1')]) {
    assert.deepEqual(packetsOf(server.server.onAllocated(id, address, server.now)), []);
  }
});

test('an owner that does not answer in time, and one too many that waits, are counted', () => {
  const server = withoutOwnAddress();
  const chaddr = chaddrHomedAt(server.view, 'a');
  const { id } = server.receive(discover({ chaddr })).allocations[0]!;
  server.advance(5000);
  assert.deepEqual(packetsOf(server.server.onAllocated(id, ip('10.0.0.101'), server.now)), []);
  assert.deepEqual(server.drops(), { 'allocation-timeout': 1 });
  for (let n = 0; n < 1025; n++) server.receive(discover({ chaddr, xid: n }));
  assert.deepEqual(server.drops(), { 'allocation-timeout': 1, overload: 1 });
});

test('where there is no pool nobody is asked', () => {
  const server = new TestServer({ view: twoNodes(), subnets: [subnetConfig({ pools: [] })] });
  const decision = server.receive(discover({ chaddr: chaddrHomedAt(server.view, 'a') }));
  assert.deepEqual([decision.allocations, server.drops()], [[], { 'not-permitted': 1 }]);
});

test('of two other owners the one whose link is up is asked first, then the other', () => {
  const view = new FakeView('a', ['a', 'b', 'c']);
  view.down.add('b');
  const pools = [{ first: ip('10.0.0.100'), last: ip('10.0.0.101') }]; // 100 is b's, 101 is c's
  const server = new TestServer({ view, subnets: [subnetConfig({ pools })] });
  const first = server.receive(discover({ chaddr: chaddrHomedAt(view, 'a') })).allocations[0]!;
  const second = server.server.onAllocated(first.id, 0, server.now).allocations[0]!;
  assert.deepEqual([first.owner, second.owner], ['c', 'b']);
  assert.deepEqual(server.server.onAllocated(second.id, 0, server.now).allocations, []);
});

// ── as an owner ──────────────────────────────────────────────────────────────────────────────────

test('allocateFor holds a free address of an own slot, the same one for the same client', () => {
  const server = new TestServer({ view: twoNodes(), subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.101') }] })] });
  const [one, two] = [Buffer.from('0001', 'hex'), Buffer.from('0002', 'hex')];
  assert.equal(server.server.allocateFor([ip('10.0.0.100')], one, 0, server.now), ip('10.0.0.100'));
  assert.equal(server.server.allocateFor([ip('10.0.0.100')], one, 0, server.now), ip('10.0.0.100'));
  assert.equal(server.server.allocateFor([ip('10.0.0.100')], two, 0, server.now), 0);
  assert.equal(server.server.allocateFor([ip('10.9.0.0')], two, 0, server.now), 0, 'a pool that this node does not have');
  assert.equal(server.server.allocateFor([ip('10.0.0.101')], two, 0, server.now), 0, 'an address in a pool is not the pool');
  const own = server.receive(discover({ chaddr: chaddrHomedAt(server.view, 'a') }));
  assert.equal(own.sendNow.length, 0, 'held for another');
  server.view.isServing = false;
  assert.equal(server.server.allocateFor([ip('10.0.0.100')], one, 0, server.now), 0);
});

test('mayApply: a change asked for by another node is checked again', () => {
  const server = new TestServer();
  const address = ip('10.0.0.150');
  const mine = server.receive(request({ requestedAddress: address, serverIdentifier: NODE_A })).changes[0]!.record;
  const elsewhere = new TestServer();
  const foreign = elsewhere.receive(request({ requestedAddress: address, serverIdentifier: NODE_A, chaddr: chaddrOf(1) })).changes[0]!.record;
  const may = (record: Buffer, at = address): boolean => server.server.mayApply(at, record, server.now);

  assert.equal(may(mine), true, 'a renewal');
  assert.equal(may(foreign), false, 'ACTIVE for another client');
  assert.equal(may(withState(foreign, BindingState.RELEASED, 1, 99)), false);
  assert.equal(may(withState(foreign, BindingState.ABANDONED, 1, 99)), false);
  assert.equal(may(withState(mine, BindingState.RELEASED, 1, 99)), true);
  assert.equal(may(withState(mine, BindingState.RELEASED, 1)), false, 'an xid that the binding has seen');
  assert.equal(may(withState(mine, BindingState.ABANDONED, 1, 99)), true);
  assert.equal(may(withState(mine, BindingState.EXPIRED, 1)), false, 'an owner ends leases itself');
  assert.equal(may(foreign, ip('192.0.2.1')), false, 'no subnet');
  assert.equal(may(foreign, ip('10.0.0.20')), false, 'outside the pool');
  assert.equal(may(Buffer.from('00', 'hex')), false, 'no record');
  assert.equal(may(foreign, ip('10.0.0.160')), true, 'free');

  const offered = replyOf(server.receive(discover({ chaddr: chaddrOf(2), requestedAddress: ip('10.0.0.160') }))).yiaddr;
  assert.equal(may(foreign, offered), false, 'offered to another client');
  assert.equal(may(withState(foreign, BindingState.ABANDONED, 1), offered), false);

  server.store(address, withState(mine, BindingState.RELEASED, 1, 99));
  assert.equal(may(withState(mine, BindingState.RELEASED, 1, 100)), false, 'released already');
  server.view.pending.add(160);
  assert.equal(may(foreign, ip('10.0.0.160')), false, 'not the owner');
});

test('mayApply respects reservations', () => {
  const address = ip('10.0.0.150');
  const reservations = [{ hardware: { htype: 1, chaddr: chaddrOf(1) }, address }];
  const subnets = [subnetConfig({ reservations })];
  const server = new TestServer({ subnets });
  const recordFor = (chaddr: Buffer, options = {}): Buffer =>
    new TestServer(options).receive(request({ chaddr, requestedAddress: address, serverIdentifier: NODE_A })).changes[0]!.record;
  assert.equal(server.server.mayApply(address, recordFor(chaddrOf(1), { subnets }), server.now), true);
  assert.equal(server.server.mayApply(address, recordFor(chaddrOf(2)), server.now), false);
});

// ── the passing of time ──────────────────────────────────────────────────────────────────────────

test('tick ends leases of own slots when their time has come, and no others', () => {
  const view = twoNodes();
  const server = new TestServer({ view, logLeases: true });
  const lease = (chaddr: Buffer, address: number): void => {
    const { changes, forwarded } = server.receive(request({ chaddr, requestedAddress: address, serverIdentifier: NODE_A }));
    for (const { record } of forwarded) server.store(address, record);
    assert.equal(changes.length + forwarded.length, 1);
  };
  lease(chaddrOf(1), ip('10.0.0.150'));
  lease(chaddrOf(2), ip('10.0.0.151'));
  server.advance(3_599_000);
  assert.deepEqual(server.server.tick(server.now).changes, []);
  server.advance(1000);
  view.isServing = false;
  assert.deepEqual(server.server.tick(server.now).changes, [], 'a node out of service changes nothing');
  view.isServing = true;
  const ended = server.carryOut(server.server.tick(server.now));
  assert.deepEqual(ended.changes.map(({ address, record }) => [address, recordState(record)]), [[ip('10.0.0.150'), BindingState.EXPIRED]]);
  assert.deepEqual(ended.events.map(({ id }) => id), ['lease.expired']);
  assert.deepEqual(server.server.tick(server.now).changes, []);
  view.members = ['a'];
  assert.deepEqual(server.server.tick(server.now).changes.map(({ address }) => address), [ip('10.0.0.151')], 'after a takeover');
});

test('grants, renewals and ends are events only where leases are logged; refusals always', () => {
  for (const logLeases of [true, false]) {
    const server = new TestServer({ logLeases });
    const seen: string[] = [];
    const note = (bytes: Buffer, packet = {}): void => { seen.push(...server.receive(bytes, packet).events.map(({ id }) => id)); };
    const address = ip('10.0.0.150');
    note(request({ requestedAddress: address, serverIdentifier: NODE_A }));
    server.advance(60_000);
    note(request({ ciaddr: address, xid: 2 }), { unicast: true, sourceAddress: address });
    note(request({ requestedAddress: ip('192.0.2.1'), xid: 3 }));
    note(release({ ciaddr: address, xid: 4 }), { unicast: true, sourceAddress: address });
    note(decline({ requestedAddress: address, xid: 5 }));
    const always = ['dhcp.nak', 'lease.released', 'dhcp.refused'];
    assert.deepEqual(seen, logLeases ? ['lease.granted', 'lease.renewed', ...always] : always);
  }
});

test('an event names the client as people look for it', () => {
  const server = new TestServer({ logLeases: true });
  const { events } = server.receive(request({ requestedAddress: ip('10.0.0.150'), serverIdentifier: NODE_A, giaddr: ip('10.0.0.1') }));
  assert.deepEqual(events[0]!.fields, {
    address: '10.0.0.150', hardware: '52:54:00:12:34:56', client: '01525400123456', subnet: '10.0.0.0/24', relay: '10.0.0.1',
    clientState: 'SELECTING', leaseSeconds: 3600,
  });
});
