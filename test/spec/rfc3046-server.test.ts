/** RFC 3046 §2.2: relay agent information; RFC 5107 §4 where it changes who is meant. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { recordSection, SectionKind } from '../../node/lease/record.ts';
import { discover, inform, ip, request } from '../support/client-packets.ts';
import { optionCodes, packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const RELAY = ip('10.0.0.1');
/** Two suboptions, one that nobody knows, and bytes that are none. */
const INFORMATION = Buffer.from('0104000a00010204deadbeeff002aa', 'hex');

test('RFC 3046 §2.2: servers SHALL echo the entire contents of the Relay Agent Information option in all replies', () => {
  const server = new TestServer({ subnets: [subnetConfig({ authoritative: true })] });
  const fields = { giaddr: RELAY, relayAgentInformation: INFORMATION };
  const offer = server.receive(discover(fields));
  const ack = server.receive(request({ ...fields, requestedAddress: replyOf(offer).yiaddr, serverIdentifier: SERVER }));
  const nak = server.receive(request({ ...fields, requestedAddress: ip('192.0.2.1'), xid: 2 }));
  const informed = server.receive(inform({ ...fields, ciaddr: ip('10.0.0.9') }));
  for (const decision of [offer, ack, nak, informed]) assert.deepEqual(replyOf(decision).option(82), INFORMATION);
});

test('RFC 3046 §2.2: Servers SHOULD copy the Relay Agent Information option as the last DHCP option in the response', () => {
  const server = new TestServer();
  const decision = server.receive(discover({ giaddr: RELAY, relayAgentInformation: INFORMATION, clientId: Buffer.from('00aa', 'hex') }));
  assert.equal(optionCodes(packetsOf(decision)[0]!.bytes).at(-1), 82);
});

test('RFC 3046 §2.2: Servers SHALL NOT place the echoed option in the overloaded sname or file fields', () => {
  const options = [{ code: 43, value: Buffer.alloc(200, 1) }, { code: 125, value: Buffer.alloc(120, 2) }];
  const server = new TestServer({ subnets: [subnetConfig({ options })] });
  const relayAgentInformation = Buffer.alloc(100, 9);
  const [packet] = packetsOf(server.receive(discover({ giaddr: RELAY, relayAgentInformation })));
  assert.ok(optionCodes(packet!.bytes).includes(52), 'the reply is overloaded');
  assert.equal(optionCodes(packet!.bytes).at(-1), 82);
});

test('RFC 3046 §2.2: If a server is unable to copy a full Relay Agent Information field, it SHALL send the response without it, and SHOULD increment an error counter', () => {
  const server = new TestServer();
  const reply = replyOf(server.receive(discover({ giaddr: RELAY, relayAgentInformation: Buffer.alloc(1200, 1) })));
  assert.equal(reply.has(82), false);
  assert.equal(server.counters.relayAgentInformationOmitted, 1);
});

test('RFC 3046 §2.2: servers MUST NOT expect relay agent options in unicast messages: a renewal without them keeps what is stored', () => {
  const server = new TestServer();
  const fields = { giaddr: RELAY, relayAgentInformation: INFORMATION };
  const address = replyOf(server.receive(discover(fields))).yiaddr;
  server.receive(request({ ...fields, requestedAddress: address, serverIdentifier: SERVER, options: { 12: Buffer.from('host') } }));
  const stored = (): Buffer => recordSection(server.table.read(address)!, SectionKind.relayAgentInformation);
  assert.deepEqual(stored(), INFORMATION);
  server.advance(60_000);
  const renewal = server.receive(request({ ciaddr: address, xid: 2 }), { unicast: true, sourceAddress: address });
  assert.equal(replyOf(renewal).has(82), false, 'nothing to echo');
  assert.deepEqual(stored(), INFORMATION);
  assert.equal(recordSection(server.table.read(address)!, SectionKind.hostname).toString(), 'host');
  server.advance(60_000);
  server.receive(request({ ciaddr: address, xid: 3, giaddr: RELAY, relayAgentInformation: Buffer.from('0101bb', 'hex') }));
  assert.equal(stored().toString('hex'), '0101bb', 'a new one replaces it');
  server.advance(60_000);
  server.receive(request({ requestedAddress: address, serverIdentifier: SERVER, xid: 4 }));
  assert.equal(stored().length, 0, 'a client that starts anew without a relay has moved');
});

test('RFC 5107 §4: the server identifier is the override address, and a request that names it is answered', () => {
  const server = new TestServer();
  const relayAgentInformation = Buffer.concat([Buffer.of(11, 4), Buffer.of(10, 0, 0, 1)]);
  const fields = { giaddr: RELAY, relayAgentInformation };
  const offer = replyOf(server.receive(discover(fields)));
  assert.equal(offer.optionU32(54), RELAY);
  const ack = replyOf(server.receive(request({ ...fields, requestedAddress: offer.yiaddr, serverIdentifier: RELAY })));
  assert.deepEqual([ack.type, ack.optionU32(54)], [5, RELAY]);
});
