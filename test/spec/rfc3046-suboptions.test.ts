/** RFC 3046: what the sub-options of relay agent information look like, and what is made of them. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { ClassMatcher } from '../../node/classes/matcher.ts';
import type { ClassConfig } from '../../node/classes/types.ts';
import { recordSection, SectionKind } from '../../node/lease/record.ts';
import { discover, ip, request } from '../support/client-packets.ts';
import type { ReservationSpec } from '../support/configs.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import { relayInformation, requestMessage, selected } from '../support/relayed-requests.ts';

const giaddr = ip('10.0.0.1');
const RESERVED = ip('10.0.0.7');
const serverWith = (reservation: ReservationSpec): TestServer =>
  new TestServer({ subnets: [subnetConfig({ reservations: [{ ...reservation, address: RESERVED }] })] });

/** Whether a client is given what is reserved for the circuit 07 of the remote end 09. */
function isKnown(relayAgentInformation: Buffer, reservation: ReservationSpec = { circuitId: Buffer.of(7), remoteId: Buffer.of(9) }): boolean {
  return replyOf(serverWith(reservation).receive(discover({ giaddr, relayAgentInformation }))).yiaddr === RESERVED;
}

test('RFC 3046 §2.0: the sub-options need not appear in sub-option code order', () => {
  assert.equal(isKnown(relayInformation([2, Buffer.of(9)], [1, Buffer.of(7)])), true);
  assert.equal(isKnown(relayInformation([2, Buffer.of(7)], [1, Buffer.of(9)])), false);
});

test('RFC 3046 §2.0: a sub-option length may be zero', () => {
  assert.equal(isKnown(relayInformation([1, Buffer.alloc(0)], [2, Buffer.of(9)]), { remoteId: Buffer.of(9) }), true);
  assert.equal(isKnown(relayInformation([1, Buffer.alloc(0)], [2, Buffer.of(9)])), false);
});

test('RFC 3046 §2.0: No "pad" sub-option is defined, and the field shall NOT be terminated with a 255 sub-option: codes 0 and 255 have lengths', () => {
  assert.equal(isKnown(relayInformation([0, Buffer.of(1, 1)], [255, Buffer.of(2, 2)], [1, Buffer.of(7)], [2, Buffer.of(9)])), true);
});

test('RFC 3046 §3.1, §3.2: policies are based on exact string match only', () => {
  const classConfig: ClassConfig = {
    index: 0, name: 'port', overlay: { options: [] }, drop: false,
    condition: { kind: 'test', subject: { from: 'option', code: 82, path: [1] }, test: { kind: 'equals', values: [Buffer.from('port 1')] } },
  };
  const matcher = new ClassMatcher([classConfig]);
  const isIn = (circuit: Buffer): boolean =>
    matcher.match({ message: requestMessage({ giaddr, relayAgentInformation: relayInformation([1, circuit]) }), interfaceName: 'eth0', known: false }).has(0);
  const isReserved = (circuit: Buffer): boolean => isKnown(relayInformation([1, circuit]), { circuitId: Buffer.from('port 1') });
  for (const matches of [isIn, isReserved]) {
    assert.equal(matches(Buffer.from('port 1')), true);
    for (const other of ['port 1\0', 'port 10', 'Port 1', 'port', '']) assert.equal(matches(Buffer.from(other)), false, JSON.stringify(other));
  }
});

test('RFC 3046 §2.2: Servers SHOULD be prepared to handle relay agent options in unicast messages', () => {
  const server = serverWith({ circuitId: Buffer.of(7) });
  const at = (port: number): Buffer => relayInformation([1, Buffer.of(port)]);
  const fields = { giaddr, relayAgentInformation: at(7) };
  server.receive(discover(fields));
  server.receive(request({ ...fields, requestedAddress: RESERVED, serverIdentifier: ip('10.0.0.2') }));
  server.advance(60_000);
  // Of a relay that monitors what passes it: without giaddr, and the client is the same.
  const renewal = server.receive(request({ ciaddr: RESERVED, xid: 2, relayAgentInformation: at(7) }), { unicast: true, sourceAddress: RESERVED });
  assert.deepEqual([replyOf(renewal).type, replyOf(renewal).option(82), packetsOf(renewal)[0]!.address], [5, at(7), RESERVED]);
  server.advance(60_000);
  const moved = server.receive(request({ ciaddr: RESERVED, xid: 3, relayAgentInformation: at(8) }), { unicast: true, sourceAddress: RESERVED });
  assert.equal(replyOf(moved).type, 6, 'what it says counts more than what is stored');
  assert.deepEqual(recordSection(server.table.read(RESERVED)!, SectionKind.relayAgentInformation), at(7));
});

test('RFC 3046 §2.1: a trusted downstream network element MAY add a relay agent option but not set the giaddr field', () => {
  const relayAgentInformation = relayInformation([1, Buffer.of(7)], [2, Buffer.of(9)]);
  const server = serverWith({ circuitId: Buffer.of(7), remoteId: Buffer.of(9) });
  const offer = server.receive(discover({ relayAgentInformation }));
  assert.deepEqual([replyOf(offer).yiaddr, replyOf(offer).option(82)], [RESERVED, relayAgentInformation]);
  assert.equal(packetsOf(offer)[0]!.port, 68, 'there is no relay to answer to');
  // The same through a relay, which adds none of its own and sets the giaddr.
  const relayed = server.receive(discover({ relayAgentInformation, giaddr, xid: 2 }));
  assert.deepEqual([replyOf(relayed).yiaddr, packetsOf(relayed)[0]!.address, packetsOf(relayed)[0]!.port], [RESERVED, giaddr, 67]);
});

test('RFC 3046 §2.1.1: a relay agent shall NOT modify a giaddr that is set: of several relays the first one says which subnet is meant', () => {
  assert.equal(selected({ giaddr: ip('10.0.1.1'), hops: 3, relayAgentInformation: relayInformation([1, Buffer.of(7)]) }), 1);
});

test('RFC 3046 §2.1.1: a packet forwarded from a relay agent closer to the client is forwarded WITHOUT adding any relay agent options: the first one is answered, and what it said counts', () => {
  const office = subnetConfig({
    name: '10.9.0.0/24', network: ip('10.9.0.0'), pools: [{ first: ip('10.9.0.100'), last: ip('10.9.0.199') }],
    reservations: [{ circuitId: Buffer.of(7), address: ip('10.9.0.7') }],
  });
  const server = new TestServer({ subnets: [subnetConfig(), office] });
  const relayAgentInformation = relayInformation([1, Buffer.of(7)]);
  // From 10.9.0.1 by way of 10.0.0.1, which is who sent it here.
  const fields = { giaddr: ip('10.9.0.1'), hops: 2, relayAgentInformation };
  const last = { unicast: true, sourceAddress: ip('10.0.0.1'), sourcePort: 67 };
  const offer = server.receive(discover(fields), last);
  const ack = server.receive(request({ ...fields, requestedAddress: ip('10.9.0.7'), serverIdentifier: ip('10.0.0.2') }), last);
  for (const decision of [offer, ack]) {
    const { address, port } = packetsOf(decision)[0]!;
    assert.deepEqual([address, port, replyOf(decision).yiaddr, replyOf(decision).option(82)], [ip('10.9.0.1'), 67, ip('10.9.0.7'), relayAgentInformation]);
  }
});

test('RFC 1542 §4.1.1: a request that passed 16 relays is answered, one that passed more is not', () => {
  const server = new TestServer();
  assert.equal(replyOf(server.receive(discover({ giaddr, hops: 16 }))).type, 2);
  assert.deepEqual(packetsOf(server.receive(discover({ giaddr, hops: 17 }))), []);
  assert.deepEqual(server.drops(), { 'hops-exceeded': 1 });
});
