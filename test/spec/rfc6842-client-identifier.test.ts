/** RFC 6842 §3: the client identifier in a server's messages. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { discover, inform, ip, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import type { Decision } from '../../node/server/ports.ts';
import { replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const CLIENT_ID = Buffer.from('ff12345678000100012c9a', 'hex');

/** A DHCPOFFER, both kinds of DHCPACK and a DHCPNAK. */
function everyReply(server: TestServer, fields: ClientFields): Decision[] {
  const offer = server.receive(discover(fields));
  return [
    offer,
    server.receive(request({ ...fields, requestedAddress: replyOf(offer).yiaddr, serverIdentifier: SERVER })),
    server.receive(request({ ...fields, requestedAddress: ip('192.0.2.1'), xid: 2 })),
    server.receive(inform({ ...fields, ciaddr: ip('10.0.0.9') })),
  ];
}

test("RFC 6842 §3: If the 'client identifier' option is present in a message received from a client, the server MUST return it, unaltered, in its response message", () => {
  for (const identity of ['client-id', 'hardware'] as const) {
    const server = new TestServer({ subnets: [subnetConfig({ authoritative: true, identity })] });
    for (const decision of everyReply(server, { clientId: CLIENT_ID })) assert.deepEqual(replyOf(decision).option(61), CLIENT_ID);
  }
});

test("RFC 6842 §3: Client identifier (if not sent by client): MUST NOT in DHCPOFFER, DHCPACK and DHCPNAK", () => {
  const server = new TestServer({ subnets: [subnetConfig({ authoritative: true })] });
  for (const decision of everyReply(server, { clientId: CLIENT_ID })) assert.equal(replyOf(decision).has(61), true);
  for (const decision of everyReply(server, {})) assert.equal(replyOf(decision).has(61), false);
});

test('RFC 6842 §3: it is returned also where the other options leave no room', () => {
  const options = [43, 125, 119, 120].map((code) => ({ code, value: Buffer.alloc(250, code) }));
  const server = new TestServer({ subnets: [subnetConfig({ options })] });
  const clientId = Buffer.alloc(200, 7);
  const fields = { clientId, parameters: [43, 125, 119, 120] };
  const offer = replyOf(server.receive(discover(fields)));
  assert.deepEqual(offer.option(61), clientId);
  assert.ok(offer.bytes.length <= 576 - 28);
});
