/** RFC 3203: DHCPFORCERENEW, which this server neither sends nor takes. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chaddrOf, clientPacket, discover, ip, request } from '../support/client-packets.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const FORCERENEW = 9;

test('RFC 3203 §2.2: The DHCP server sends a unicast FORCERENEW message to the client: one that a client sends is dropped', () => {
  const server = new TestServer();
  const address = replyOf(server.receive(discover())).yiaddr;
  server.receive(request({ requestedAddress: address, serverIdentifier: SERVER }));
  const before = server.table.read(address);
  for (const unicast of [true, false]) {
    const decision = server.receive(clientPacket(FORCERENEW, { ciaddr: address, serverIdentifier: SERVER }), { unicast, sourceAddress: address });
    assert.deepEqual([packetsOf(decision), decision.changes, decision.forwarded], [[], [], []]);
  }
  assert.deepEqual([server.drops(), server.table.read(address)], [{ 'bad-message-type': 2 }, before]);
});

test('RFC 3203 §6: the FORCERENEW message MUST be authenticated: with no secret of each client the server sends none, and whoever is to have another address hears so at the next renewal', () => {
  const server = new TestServer();
  const clients = [1, 2, 3].map((n) => {
    const chaddr = chaddrOf(n);
    const address = replyOf(server.receive(discover({ chaddr }))).yiaddr;
    server.receive(request({ chaddr, requestedAddress: address, serverIdentifier: SERVER }));
    return { chaddr, address };
  });
  server.configure({ subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.50'), last: ip('10.0.0.59') }] })] });
  for (let turn = 0; turn < 5; turn++) {
    server.advance(300_000);
    assert.deepEqual(packetsOf(server.tick()), []);
  }
  for (const { chaddr, address } of clients) {
    const renewal = server.receive(request({ chaddr, xid: 2, ciaddr: address }), { unicast: true, sourceAddress: address });
    assert.equal(replyOf(renewal).type, 6, 'RFC 3203 §2.2: it will reply to the DHCP REQUEST with a DHCP NAK');
    assert.equal(replyOf(server.receive(discover({ chaddr, xid: 3 }))).yiaddr >= ip('10.0.0.50'), true);
    assert.equal(replyOf(server.receive(discover({ chaddr, xid: 3 }))).yiaddr <= ip('10.0.0.59'), true);
  }
});
