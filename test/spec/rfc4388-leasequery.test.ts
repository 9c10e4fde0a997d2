/** RFC 4388: LEASEQUERY over UDP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueryType } from '../../node/leasequery/messages.ts';
import { chaddrOf, clientPacket, ip, parseReply, request } from '../support/client-packets.ts';
import { packetsOf, TestServer } from '../support/dhcp-server.ts';

const CONCENTRATOR = ip('10.0.9.1');
const REQUESTORS = { requestors: [{ network: ip('10.0.9.0'), prefixLength: 24 }] };

/** A server that has leased 10.0.0.100 to client 1. */
function serverWithLease(): TestServer {
  const server = new TestServer({ leaseQuery: REQUESTORS });
  const ack = server.receive(request({ chaddr: chaddrOf(1), requestedAddress: ip('10.0.0.100') }));
  assert.ok(packetsOf(ack).length <= 1);
  return server;
}

test('RFC 4388 §6.4.1: if the IP address is not managed by the DHCP server, then a DHCPLEASEUNKNOWN message must be returned', () => {
  const server = serverWithLease();
  const answer = server.ask(clientPacket(QueryType.LEASEQUERY, { chaddr: Buffer.alloc(0), ciaddr: ip('192.0.2.1'), giaddr: CONCENTRATOR }));
  assert.equal(parseReply(answer!.bytes).type, QueryType.LEASEUNKNOWN);
});
