/** What mutated packets have found, each in the few packets that it takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BindingState, recordClientKey, recordState } from '../../node/lease/record.ts';
import type { Decision } from '../../node/server/ports.ts';
import { chaddrOf, clientPacket, decline, discover, ip, request } from '../support/client-packets.ts';
import { NO_GUARD, subnetConfig } from '../support/configs.ts';
import { packetsOf, replyOf, TestServer } from '../support/dhcp-server.ts';

const ADDRESS = ip('10.0.0.100');
const SERVER = ip('10.0.0.2');
const A = chaddrOf(1);
const B = chaddrOf(2);
const ONE_ADDRESS = { first: ADDRESS, last: ADDRESS };
const PROBED = subnetConfig({ scope: { conflictCheck: { method: 'icmp', timeoutMs: 500, cacheSeconds: 0 } } });

test('RFC 2563 §2: the offer of no address at all is for a DHCPDISCOVER: a BOOTP client with option 116 gets none', () => {
  const server = new TestServer({ subnets: [subnetConfig({ pools: [ONE_ADDRESS], options: [{ code: 116, value: Buffer.of(1) }], scope: { bootp: true } })] });
  server.receive(request({ chaddr: A, requestedAddress: ADDRESS, serverIdentifier: SERVER }));
  const autoConfigure = clientPacket(1, { chaddr: B, options: { 116: Buffer.of(1) } });
  assert.deepEqual([replyOf(server.receive(autoConfigure)).type, replyOf(server.receive(autoConfigure)).yiaddr], [2, 0]);
  const bootp = Buffer.concat([autoConfigure.subarray(0, 240), autoConfigure.subarray(243)]);
  assert.deepEqual(packetsOf(server.receive(bootp)), []);
  assert.deepEqual(server.drops(), { 'pool-exhausted': 1 });
});

/** The address is asked for on the network for A, then leased, then somebody answers for it. */
function leasedWhileProbed(server: TestServer, lease: () => Decision): Decision {
  const { probes } = server.receive(discover({ chaddr: A, requestedAddress: ADDRESS }));
  assert.deepEqual(probes.map(({ address }) => address), [ADDRESS]);
  assert.equal(recordState(lease().changes[0]!.record), BindingState.ACTIVE);
  return server.server.onProbed(probes[0]!.id, true, undefined, server.now);
}

test('a lease that the client was granted while its address was probed is not abandoned: the answer may be its own', () => {
  const server = new TestServer({ subnets: [PROBED] });
  const decision = leasedWhileProbed(server, () => server.receive(request({ chaddr: A, requestedAddress: ADDRESS, serverIdentifier: SERVER, xid: 2 })));
  assert.deepEqual(decision.changes, []);
  assert.deepEqual([replyOf(decision).type, replyOf(decision).yiaddr], [2, ADDRESS]);
});

test("another client's lease is not abandoned by a probe that was made before it", () => {
  const server = new TestServer({ subnets: [PROBED] });
  const decision = leasedWhileProbed(server, () => {
    // A turns to another server, and so the address is free for B.
    server.receive(request({ chaddr: A, requestedAddress: ADDRESS, serverIdentifier: ip('10.0.0.250') }));
    return server.receive(request({ chaddr: B, requestedAddress: ADDRESS, serverIdentifier: SERVER }));
  });
  assert.deepEqual(decision.changes, []);
  assert.deepEqual(recordClientKey(server.table.read(ADDRESS)!), Buffer.concat([Buffer.of(1), B]));
  assert.deepEqual(decision.probes.map(({ address }) => address), [ADDRESS + 1], 'A is led to another address');
});

test('an abandoned address that was offered since nothing else is free is not for a client whose classes no longer let it in', () => {
  const subject = { from: 'option' as const, code: 60, path: [] };
  const server = new TestServer({
    classes: [{ name: 'phones', condition: { kind: 'test', subject, test: { kind: 'exists' } } }],
    subnets: [subnetConfig({ pools: [{ ...ONE_ADDRESS, guard: { ...NO_GUARD, allow: [0] } }] })],
  });
  const phone = { chaddr: A, options: { 60: Buffer.from('phone') } };
  const isOffered = (): void => assert.equal(replyOf(server.receive(discover(phone))).yiaddr, ADDRESS);
  isOffered();
  server.receive(decline({ ...phone, requestedAddress: ADDRESS, serverIdentifier: SERVER }));
  assert.equal(recordState(server.table.read(ADDRESS)!), BindingState.ABANDONED);
  // Past the time that a lease would have had by all clocks.
  server.advance(20_000);
  isOffered();
  assert.equal(replyOf(server.receive(request({ chaddr: A, requestedAddress: ADDRESS, serverIdentifier: SERVER }))).type, 6);
  assert.deepEqual(packetsOf(server.receive(discover({ chaddr: A }))), []);
  assert.deepEqual(server.drops(), { 'not-permitted': 1 });
  const granted = server.receive(request({ ...phone, requestedAddress: ADDRESS, serverIdentifier: SERVER }));
  assert.equal(replyOf(granted).type, 5);
});

test('an abandoned address that is reserved for a port of the relay is not for its client at another port', () => {
  const server = new TestServer({ subnets: [subnetConfig({ reservations: [{ circuitId: Buffer.of(7), address: ADDRESS }] })] });
  const atPort = (port: number): object => ({ chaddr: A, giaddr: ip('10.0.0.1'), relayAgentInformation: Buffer.of(1, 1, port) });
  const relayed = { sourceAddress: ip('10.0.0.1'), sourcePort: 67, unicast: true };
  const isOffered = (): void => assert.equal(replyOf(server.receive(discover(atPort(7)), relayed)).yiaddr, ADDRESS);
  isOffered();
  server.receive(decline({ ...atPort(7), requestedAddress: ADDRESS, serverIdentifier: SERVER }), relayed);
  server.advance(600_000);
  isOffered();
  const selecting = { requestedAddress: ADDRESS, serverIdentifier: SERVER };
  assert.equal(replyOf(server.receive(request({ ...atPort(8), ...selecting }), relayed)).type, 6);
  assert.equal(replyOf(server.receive(request({ ...atPort(7), ...selecting }), relayed)).type, 5);
});
