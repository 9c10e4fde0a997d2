/** Asking the network before an address is given: what becomes of packets, holds and addresses where much goes wrong. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { Scope } from '../../node/config/types.ts';
import { BindingState, recordState } from '../../node/lease/record.ts';
import { PROBES_IN_USE_PER_DISCOVER_MAX, PROBES_PENDING_MAX, REPLY_AGE_MS_MAX } from '../../node/limits.ts';
import type { Decision } from '../../node/server/ports.ts';
import { chaddrOf, discover, ip, release, request } from '../support/client-packets.ts';
import { chaddrHomedAt, packetsOf, replyOf, subnetConfig, TestServer, twoNodes } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');

function serverOf(first: string, last: string, scope: Partial<Scope> = {}, leaseSeconds = 3600): TestServer {
  return new TestServer({ subnets: [subnetConfig({
    name: '10.0.0.0/16', prefixLength: 16, leaseSeconds, pools: [{ first: ip(first), last: ip(last) }],
    scope: { conflictCheck: { method: 'icmp', timeoutMs: 500, cacheSeconds: 0 }, ...scope },
  })] });
}

const answer = (server: TestServer, decision: Decision, inUse: boolean): Decision =>
  server.carryOut(server.server.onProbed(decision.probes[0]!.id, inUse, undefined, server.now));
const tick = (server: TestServer): Decision => server.carryOut(server.server.tick(server.now));

test('a host that answers for every address fills no memory: packets past the bound are dropped', () => {
  const server = serverOf('10.0.1.0', '10.0.20.255');
  const sent = PROBES_PENDING_MAX + 100;
  for (let n = 0; n < sent; n++) answer(server, server.receive(discover({ chaddr: chaddrOf(n) })), true);
  assert.deepEqual(server.drops(), { overload: 100 });
  // In the turns that follow each of the others is led to another address.
  let asked = 0;
  for (let n = 0; n < 2 * sent; n++) asked += tick(server).probes.length;
  assert.equal(asked, PROBES_PENDING_MAX);
});

test('leases go on ending while addresses are found in use', () => {
  const server = serverOf('10.0.1.0', '10.0.20.255', {}, 60);
  const address = ip('10.0.1.7');
  server.receive(request({ chaddr: chaddrOf(9999), requestedAddress: address, serverIdentifier: SERVER }));
  server.advance(61_000);
  for (let n = 0; n < 50; n++) answer(server, server.receive(discover({ chaddr: chaddrOf(n) })), true);
  for (let n = 0; n < 4; n++) tick(server);
  assert.equal(recordState(server.table.read(address)!), BindingState.EXPIRED);
});

test('a packet that could not be asked for leaves no hold behind by which its client is offered the address unasked', () => {
  const server = serverOf('10.0.1.0', '10.0.20.255');
  for (let n = 0; n < PROBES_PENDING_MAX; n++) assert.equal(server.receive(discover({ chaddr: chaddrOf(n) })).probes.length, 1);
  const packet = discover({ chaddr: chaddrOf(5000) });
  server.receive(packet);
  assert.deepEqual(server.drops(), { overload: 1 });
  server.advance(4000);
  server.receive(packet);
  assert.deepEqual(server.drops(), { overload: 2 }, 'asked for again, and not offered');
});

test('the same for one whose addresses were all in use', () => {
  const server = serverOf('10.0.1.0', '10.0.20.255');
  const packet = discover({ chaddr: chaddrOf(1) });
  let decision = server.receive(packet);
  for (let found = 0; found < PROBES_IN_USE_PER_DISCOVER_MAX; found++) {
    answer(server, decision, true);
    decision = tick(server);
  }
  assert.deepEqual([decision.probes, server.drops()], [[], { 'addresses-in-use': 1 }]);
  assert.equal(server.receive(packet).probes.length, 1, 'its retransmission asks again');
});

test('an abandoned address that nobody answers for any more is given, whatever was found in use for the packet before', () => {
  const server = serverOf('10.0.1.0', '10.0.1.1');
  answer(server, server.receive(discover({ chaddr: chaddrOf(1) })), true);
  answer(server, tick(server), true);
  server.advance(20_000);
  tick(server);
  tick(server);
  // Both are abandoned, and tried again since there are no others: the first one is still in use.
  const first = server.receive(discover({ chaddr: chaddrOf(1), xid: 2 }));
  answer(server, first, true);
  const second = tick(server);
  const given = answer(server, second, false);
  assert.deepEqual([given.probes, replyOf(given).type], [[], 2]);
});

test('an answer that comes when no reply may leave any more still counts for the address, and for nothing else', () => {
  const server = serverOf('10.0.1.0', '10.0.1.9', { rapidCommit: true, conflictCheck: { method: 'icmp', timeoutMs: 500, cacheSeconds: 60 } });
  const packet = discover({ chaddr: chaddrOf(1), options: { 80: Buffer.alloc(0) } });
  const free = server.receive(packet);
  server.advance(REPLY_AGE_MS_MAX + 1);
  const late = answer(server, free, false);
  assert.deepEqual([packetsOf(late), late.changes, server.drops()], [[], [], { stale: 1 }]);
  assert.equal(server.receive(packet).changes.length, 1, 'the address was found free');

  const used = server.receive(discover({ chaddr: chaddrOf(2) }));
  server.advance(REPLY_AGE_MS_MAX + 1);
  const abandoned = answer(server, used, true);
  assert.deepEqual(abandoned.changes.map(({ record }) => recordState(record)), [BindingState.ABANDONED]);
  assert.deepEqual(server.drops(), { stale: 2 });
});

test('what waits for its turn until no reply may leave any more is dropped', () => {
  const server = serverOf('10.0.1.0', '10.0.20.255');
  for (let n = 0; n < 20; n++) answer(server, server.receive(discover({ chaddr: chaddrOf(n) })), true);
  server.advance(REPLY_AGE_MS_MAX + 1);
  for (let n = 0; n < 2; n++) assert.deepEqual(tick(server).probes, []);
  assert.deepEqual(server.drops(), { stale: 20 });
});

test('an address that a client got while it was asked for, and may go by though its release was heard, is not abandoned', () => {
  const view = twoNodes();
  const server = new TestServer({ view, subnets: [subnetConfig({ scope: { conflictCheck: { method: 'icmp', timeoutMs: 500, cacheSeconds: 0 } } })] });
  const asked = server.receive(discover({ chaddr: chaddrHomedAt(view, 'a') }));
  const { address } = asked.probes[0]!;
  // By way of the other node, whose hold had ended: a lease, and a release that the grant had overtaken.
  const other = new TestServer({ view: twoNodes('b') });
  const holder = chaddrHomedAt(view, 'b');
  const [granted] = other.receive(request({ chaddr: holder, requestedAddress: address, serverIdentifier: ip('10.0.0.3') })).forwarded;
  server.store(address, granted!.record);
  server.receive(release({ chaddr: holder, xid: 9, ciaddr: address }), { sourceAddress: address });
  assert.equal(recordState(server.table.read(address)!), BindingState.RELEASED);
  const answered = answer(server, asked, true);
  assert.equal(recordState(server.table.read(address)!), BindingState.RELEASED);
  assert.notEqual(answered.probes[0]?.address, address, 'another one is asked for');
});
