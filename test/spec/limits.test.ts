/** Limits: what one client, one relay or one port of a relay may take of the server. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { BindingState, recordState } from '../../node/lease/record.ts';
import { chaddrOf, decline, discover, ip, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import { relayInformation } from '../support/relayed-requests.ts';

const SERVER = ip('10.0.0.2');
const RELAY = ip('10.0.0.1');

function lease(server: TestServer, fields: ClientFields): number {
  const offered = replyOf(server.receive(discover(fields))).yiaddr;
  assert.equal(replyOf(server.receive(request({ ...fields, requestedAddress: offered, serverIdentifier: SERVER }))).type, 5);
  return offered;
}

test('a client that sends more than it may is not answered, and nobody else suffers from it', () => {
  const server = new TestServer({ limits: { packetsPerClient: { perSecond: 1, burst: 3 } } });
  const answered = (n: number, times: number): number =>
    Array.from({ length: times }, () => packetsOf(server.receive(discover({ chaddr: chaddrOf(n) }))).length).filter((count) => count > 0).length;
  assert.deepEqual([answered(1, 10), answered(2, 3)], [3, 3]);
  assert.deepEqual(server.drops(), { 'client-rate': 7 });
  server.advance(2000);
  assert.equal(answered(1, 10), 2);
});

test('a relay that passes on more than it may is not answered, clients on the own link are', () => {
  const server = new TestServer({ limits: { packetsPerRelay: { perSecond: 1, burst: 2 } } });
  const relayed = [1, 2, 3, 4].map((n) => packetsOf(server.receive(discover({ chaddr: chaddrOf(n), giaddr: RELAY }))).length);
  assert.deepEqual(relayed, [1, 1, 0, 0]);
  assert.equal(packetsOf(server.receive(discover({ chaddr: chaddrOf(5) }))).length, 1);
  assert.deepEqual(server.drops(), { 'relay-rate': 2 });
});

test('RFC 2131 §4.3.3: a client that declines address after address empties no pool: what is over its limit is ignored and reported', () => {
  const server = new TestServer({ limits: { declinesPerClient: { perSecond: 0.01, burst: 2 } } });
  const events: string[] = [];
  for (let n = 0; n < 5; n++) {
    const offered = replyOf(server.receive(discover({ xid: n }))).yiaddr;
    const decision = server.receive(decline({ requestedAddress: offered, xid: 100 + n, serverIdentifier: SERVER }));
    events.push(...decision.events.map(({ id }) => id));
    assert.equal(decision.changes.length, n < 2 ? 1 : 0);
  }
  assert.deepEqual(events, ['lease.declined', 'lease.declined', 'dhcp.decline-flood'], 'once a minute');
  assert.deepEqual([server.drops(), server.table.counts(0).abandoned], [{ 'decline-rate': 3 }, 2]);
  const other = { chaddr: chaddrOf(1) };
  const address = replyOf(server.receive(discover(other))).yiaddr;
  server.receive(decline({ ...other, requestedAddress: address, serverIdentifier: SERVER }));
  assert.equal(recordState(server.table.read(address)!), BindingState.ABANDONED, "another client's counts");
});

test('new limits hold from the next packet on', () => {
  const server = new TestServer();
  const sends = (): number => packetsOf(server.receive(discover())).length;
  assert.deepEqual([sends(), sends(), sends()], [1, 1, 1]);
  server.configure({ limits: { packetsPerClient: { perSecond: 1, burst: 1 } } });
  assert.deepEqual([sends(), sends()], [1, 0]);
  server.configure({});
  assert.equal(sends(), 1);
});

test('a port of a relay that has all the leases it may have gets none more, until one of them ends', () => {
  const server = new TestServer({ limits: { leasesPerCircuit: 1 }, subnets: [subnetConfig({ scope: { rapidCommit: true } })] });
  const at = (n: number, port: number, remote = 1): ClientFields =>
    ({ chaddr: chaddrOf(n), xid: n, giaddr: RELAY, relayAgentInformation: relayInformation([1, Buffer.of(port)], [2, Buffer.of(remote)]) });
  const first = lease(server, at(1, 7));
  assert.deepEqual(packetsOf(server.receive(discover(at(2, 7)))), []);
  assert.deepEqual(packetsOf(server.receive(discover({ ...at(2, 7), options: { 80: Buffer.alloc(0) } }))), [], 'nor at once');
  assert.deepEqual(packetsOf(server.receive(request({ ...at(2, 7), requestedAddress: first + 1, serverIdentifier: SERVER }))), []);
  assert.deepEqual(server.drops(), { 'circuit-full': 3 });
  lease(server, at(3, 8));
  lease(server, at(4, 7, 2));
  server.receive(release({ ...at(1, 7), xid: 9, ciaddr: first }));
  assert.notEqual(lease(server, at(2, 7)), first);
});

test('what a client at a full port holds already it may renew, also past the relay', () => {
  const server = new TestServer({ limits: { leasesPerCircuit: 1 } });
  const address = lease(server, { giaddr: RELAY, relayAgentInformation: relayInformation([1, Buffer.of(7)]) });
  server.advance(60_000);
  const renewal = server.receive(request({ ciaddr: address, xid: 2 }), { unicast: true, sourceAddress: address });
  assert.equal(replyOf(renewal).type, 5);
});
