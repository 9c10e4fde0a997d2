/** RFC 3527: the link selection sub-option (5) in whole exchanges. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chaddrOf, discover, ip, request } from '../support/client-packets.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import { address, relayInformation } from '../support/relayed-requests.ts';

/** A relay that the server reaches at an address which is on none of its subnets. */
const RELAY = ip('192.0.2.1');
const fields = { giaddr: RELAY, relayAgentInformation: relayInformation([5, address('10.0.0.1')]) };

test('RFC 3527 §3: the IP address to which a DHCP server sends a reply MUST be the same as it would choose when this sub-option is not present', () => {
  const server = new TestServer();
  const offer = server.receive(discover(fields));
  const { yiaddr } = replyOf(offer);
  assert.equal(yiaddr >>> 8, ip('10.0.0.0') >>> 8);
  const ack = server.receive(request({ ...fields, requestedAddress: yiaddr, serverIdentifier: ip('10.0.0.2') }));
  const renewed = server.receive(request({ ...fields, ciaddr: yiaddr, xid: 2 }));
  for (const decision of [offer, ack, renewed]) {
    const [packet] = packetsOf(decision);
    assert.deepEqual([packet!.address, packet!.port, replyOf(decision).giaddr], [RELAY, 67, RELAY]);
    assert.equal(replyOf(decision).yiaddr, yiaddr);
    assert.deepEqual(replyOf(decision).option(82), fields.relayAgentInformation);
  }
});

test('RFC 3527 §3: when allocating an address, all of the other related subnets on the same link are also considered, and none of the link of giaddr', () => {
  const selectedLink = { sharedNetwork: 'selected' };
  const server = new TestServer({ subnets: [
    subnetConfig({ ...selectedLink, pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.100') }] }),
    subnetConfig({ ...selectedLink, name: '10.0.1.0/24', network: ip('10.0.1.0'), pools: [{ first: ip('10.0.1.100'), last: ip('10.0.1.100') }] }),
    subnetConfig({ name: '192.0.2.0/24', network: ip('192.0.2.0'), pools: [{ first: ip('192.0.2.100'), last: ip('192.0.2.199') }] }),
  ] });
  const offered = [1, 2].map((n) => replyOf(server.receive(discover({ ...fields, chaddr: chaddrOf(n) }))).yiaddr);
  assert.deepEqual(offered, [ip('10.0.0.100'), ip('10.0.1.100')]);
  assert.deepEqual(packetsOf(server.receive(discover({ ...fields, chaddr: chaddrOf(3) }))), []);
});

test('RFC 3527 §3: the server MUST NOT offer an address that is not on the requested subnet or the link with which that subnet is associated', () => {
  const server = new TestServer();
  const relayAgentInformation = relayInformation([5, address('192.0.2.0')]);
  assert.deepEqual(packetsOf(server.receive(discover({ giaddr: ip('10.0.0.1'), relayAgentInformation }))), []);
  assert.deepEqual(server.drops(), { 'no-subnet': 1 });
});
