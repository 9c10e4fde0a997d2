/** RFC 4388 §6.4.2: what a DHCPLEASEACTIVE tells of a lease. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueryOption, QueryType } from '../../node/leasequery/messages.ts';
import { addressOption, chaddrOf, CLIENT_CHADDR, discover, ip, parseReply, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { leaseTimes } from '../support/configs.ts';
import type { ClassSpec } from '../support/configs.ts';
import { replyOf, subnetConfig } from '../support/dhcp-server.ts';
import type { TestServer } from '../support/dhcp-server.ts';
import { answer, askable, askableSubnet, byAddress, byClientId, byHardware, CONCENTRATOR, lease, renew, REQUESTORS } from '../support/lease-queries.ts';
import type { Reply } from '../support/lease-queries.ts';
import { relayInformation } from '../support/relayed-requests.ts';
import { Scenario } from '../support/scenario.ts';

const { LEASEACTIVE, LEASEUNASSIGNED } = QueryType;
const RELAY = ip('10.0.0.1');
const CLIENT_ID = Buffer.from('ff00000001', 'hex');
/** Two sub-options, one that nobody knows, and bytes that are none. */
const INFORMATION = Buffer.from('0104000a00010204deadbeeff002aa', 'hex');
const text = (value: string): Buffer => Buffer.from(value);

/** What is told of an address where these options are asked for. */
function told(server: TestServer, address: number, ...parameters: readonly number[]): Reply {
  return answer(server, byAddress(address, { parameters }));
}

// ── without options ──────────────────────────────────────────────────────────────────────────────

test('RFC 4388 §6.4.2: no other options are returned for the DHCPLEASEUNASSIGNED message', () => {
  const server = askable();
  const address = lease(server, { clientId: CLIENT_ID, relayAgentInformation: INFORMATION, giaddr: RELAY });
  assert.equal(answer(server, byAddress(address)).type, LEASEACTIVE);
  server.receive(release({ xid: 9, ciaddr: address, clientId: CLIENT_ID }), { sourceAddress: address, unicast: true });
  for (const unassigned of [address, ip('10.0.0.150')]) {
    const { codes, message, type } = told(server, unassigned, 1, 3, 51, 54, 58, 59, 61, 82, 91, 92, 152, 153, 156);
    assert.deepEqual([type, codes, message.ciaddr], [LEASEUNASSIGNED, [53], unassigned]);
    assert.deepEqual([message.htype, message.hlen, message.bytes.subarray(28, 44).every((byte) => byte === 0)], [0, 0, true], 'nor whose it was');
  }
});

test('RFC 4388 §6.4.2: the MAC address of the DHCPLEASEACTIVE message MUST be set to the values that identify the client associated with the IP address in the "ciaddr" field', () => {
  const server = askable();
  const rows = [[1, chaddrOf(1)], [6, Buffer.from('0203040506070809', 'hex')], [32, Buffer.alloc(16, 7)]] as const;
  for (const [htype, chaddr] of rows) {
    const clientId = Buffer.concat([Buffer.of(0xff, htype), chaddr]);
    const address = lease(server, { htype, chaddr, clientId, broadcast: true });
    for (const query of [byAddress(address), byHardware(chaddr, { htype }), byClientId(clientId)]) {
      const { message } = answer(server, query);
      assert.deepEqual([message.ciaddr, message.htype, message.hlen, message.chaddr()], [address, htype, chaddr.length, chaddr]);
    }
  }
});

test('RFC 4388 §6.4.2: if the Client-identifier option is specified in the Parameter Request List, then the Client-identifier (if any) of the client SHOULD be returned in the DHCPLEASEACTIVE message', () => {
  const server = askable();
  const [identified, plain] = [lease(server, { clientId: CLIENT_ID }), lease(server, { chaddr: chaddrOf(2) })];
  assert.deepEqual(told(server, identified, 61).message.option(61), CLIENT_ID);
  assert.deepEqual(answer(server, byHardware(CLIENT_CHADDR, { parameters: [61] })).message.option(61), CLIENT_ID);
  assert.equal(told(server, identified, 51).message.has(61), false);
  assert.equal(told(server, plain, 61).message.has(61), false, 'its hardware address is no identifier');
});

// ── times ────────────────────────────────────────────────────────────────────────────────────────

test('RFC 4388 §6.4.2: if the IP Address Lease Time option is specified, the DHCP server MUST return this option with its value equal to the time remaining until lease expiration', () => {
  const server = askable();
  const address = lease(server);
  let past = 0;
  for (const second of [0, 1, 1800, 3599]) {
    server.advance((second - past) * 1000);
    past = second;
    assert.equal(told(server, address, 51).message.optionU32(51), 3600 - second);
  }
  assert.equal(told(server, address, 58).message.has(51), false, 'where it is specified');
  renew(server, address);
  assert.equal(told(server, address, 51).message.optionU32(51), 3600);
});

test('RFC 4388 §6.4.2: the time remaining until lease expiration: the end is the same in whichever second it is told, though the lease began within one', () => {
  const server = askable();
  server.advance(500);
  const address = lease(server);
  for (const second of [0, 1, 2, 3599]) {
    const { message } = told(server, address, 51);
    assert.equal(message.optionU32(51), 3600 - second);
    server.advance(second === 2 ? 3_597_000 : 1000);
  }
  assert.equal(told(server, address, 51).message.optionU32(51), 1, 'the rest of the second in which it ends');
});

test('RFC 4388 §6.4.2: if there is no valid lease for the IP address, then the server MUST NOT return the IP Address Lease Time option (option 51)', () => {
  const server = askable();
  const address = lease(server);
  server.advance(3_600_000);
  for (const expiry of [false, true]) {
    if (expiry) server.tick();
    assert.deepEqual(told(server, address, 51, 58, 59).codes, expiry ? [53] : [53, 54], 'also before it is written that it has ended');
  }
});

test('RFC 4388 §6.4.2: a lease without an end has as much left as it began with', () => {
  const server = askableSubnet({ leaseSeconds: 0xffff_ffff });
  const address = lease(server);
  server.advance(86_400_000);
  const { message } = told(server, address, 51, 58, 59);
  assert.deepEqual([51, 58, 59].map((code) => message.optionU32(code)), [0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);
});

test('RFC 4388 §6.4.2: the DHCP server SHOULD return these options (when requested) with the remaining time until renewal or rebinding, respectively', () => {
  const times = leaseTimes(3600, { renew: { seconds: 600 }, rebind: { seconds: 3000 } });
  for (const [server, t1, t2] of [[askable(), 1800, 3150], [askableSubnet({ scope: { lease: times } }), 600, 3000]] as const) {
    const address = lease(server);
    server.advance(100_000);
    const { message } = told(server, address, 58, 59);
    assert.deepEqual([message.optionU32(58), message.optionU32(59), message.has(51)], [t1 - 100, t2 - 100, false]);
    assert.deepEqual([told(server, address, 58).codes, told(server, address, 59).codes], [[53, 54, 58], [53, 54, 59]], 'each for itself');
  }
});

test('RFC 4388 §6.4.2: if these times are already in the past, the DHCP server MUST NOT return these options', () => {
  const server = askable();
  const address = lease(server);
  const codes = (): readonly number[] => told(server, address, 51, 58, 59).codes;
  server.advance(1_799_000);
  assert.deepEqual(codes(), [53, 54, 51, 58, 59]);
  server.advance(1000);
  assert.deepEqual(codes(), [53, 54, 51, 59]);
  server.advance(1_349_000);
  assert.deepEqual(codes(), [53, 54, 51, 59]);
  server.advance(1000);
  assert.deepEqual(codes(), [53, 54, 51]);
  renew(server, address);
  assert.deepEqual(codes(), [53, 54, 51, 58, 59], 'counted from when the lease was extended last');
});

test('RFC 4388 §6.1: client-last-transaction-time MUST be an integer number of seconds in the past from the time the DHCPLEASEACTIVE message is sent: this MUST NOT be an absolute time', () => {
  const server = askable();
  const address = lease(server);
  const ago = (): number | undefined => told(server, address, 91).message.optionU32(QueryOption.CLIENT_LAST_TRANSACTION_TIME);
  assert.equal(ago(), 0);
  server.advance(90_000);
  assert.equal(ago(), 90);
  answer(server, byHardware(CLIENT_CHADDR));
  server.advance(10_000);
  assert.equal(ago(), 100, 'a query is no access of the client');
  renew(server, address);
  assert.equal(ago(), 0);
  assert.equal(told(server, address, 51).message.has(91), false);
  // Of a node whose clock is a little behind that of the one which wrote the lease.
  server.advance(-5000);
  assert.equal(ago(), 0);
});

// ── option 82 ────────────────────────────────────────────────────────────────────────────────────

test('RFC 4388 §6.4.2: if the Relay Agent Information is specified in the Parameter Request List, then the information contained in the most recent Relay Agent Information option received MUST be included', () => {
  const server = askable();
  const fields: ClientFields = { giaddr: RELAY, relayAgentInformation: INFORMATION };
  const address = lease(server, fields);
  assert.deepEqual(told(server, address, 82).message.option(82), INFORMATION, 'as it was received');
  assert.equal(told(server, address, 51).message.has(82), false);
  server.advance(60_000);
  renew(server, address, { giaddr: RELAY, relayAgentInformation: Buffer.of(1, 1, 9) });
  assert.deepEqual(told(server, address, 82).message.option(82), Buffer.of(1, 1, 9));
});

test('RFC 4388 §6.7: implementations MUST save the most recent Relay Agent Information option from the most recent DHCPREQUEST packet: a renewal past the relay brings none, and what the relay said stays true', () => {
  const server = askable();
  const address = lease(server, { giaddr: RELAY, relayAgentInformation: INFORMATION });
  server.advance(60_000);
  renew(server, address);
  const { message } = told(server, address, 82, 91);
  assert.deepEqual([message.option(82), message.optionU32(91)], [INFORMATION, 0]);
  // A client that begins anew without a relay has moved.
  assert.equal(lease(server), address);
  assert.equal(told(server, address, 82).message.has(82), false);
});

test('RFC 4388 §6.4.2: relay agent information that is longer than an option comes in pieces, whole', () => {
  const server = askable();
  const long = Buffer.concat([relayInformation([1, Buffer.alloc(200, 1)]), relayInformation([2, Buffer.alloc(200, 2)])]);
  const address = lease(server, { giaddr: RELAY, relayAgentInformation: long });
  const reply = told(server, address, 82);
  assert.deepEqual([reply.codes, reply.message.option(82)], [[53, 54, 82, 82], long]);
});

test('RFC 4388 §6.4.2: two servers that are cooperating MUST ensure that they communicate the Relay Agent Information option information to each other', () => {
  const world = new Scenario(REQUESTORS);
  world.bootAll();
  const fields: ClientFields = { giaddr: RELAY, relayAgentInformation: INFORMATION, options: { 60: text('vendor') } };
  const offer = world.ask(discover, fields, ['a'], 2)!;
  assert.equal(world.ask(request, { ...fields, requestedAddress: offer.yiaddr, serverIdentifier: offer.optionU32(54)! }, ['a'], 5)?.yiaddr, offer.yiaddr);
  for (const id of ['a', 'b']) {
    world.takeSent();
    world.node(id).receivePacket(byAddress(offer.yiaddr, { parameters: [82, 60] }), { address: CONCENTRATOR, port: 67, unicast: true });
    world.run(500);
    const message = parseReply(world.takeSent().find(({ node }) => node === id)!.packet.bytes);
    assert.deepEqual([message.type, message.option(82), String(message.option(60))], [LEASEACTIVE, INFORMATION, 'vendor'], id);
  }
});

// ── what the client said, and what it was told ───────────────────────────────────────────────────

test('RFC 4388 §6.7: vendor-class-id SHOULD store with binding', () => {
  const server = askable();
  const address = lease(server, { options: { 60: text('docsis3.0:') } });
  assert.equal(String(told(server, address, 60).message.option(60)), 'docsis3.0:');
  assert.equal(told(server, address, 51).message.has(60), false);
  server.advance(60_000);
  renew(server, address);
  assert.equal(String(told(server, address, 60).message.option(60)), 'docsis3.0:', 'a renewal that says nothing of it changes nothing');
  renew(server, address, { options: { 60: text('docsis3.1:') } });
  assert.equal(String(told(server, address, 60).message.option(60)), 'docsis3.1:', 'the most recent one (§5)');
});

test('RFC 4388 §6.4.2: the values of the options that were returned to the DHCP client would generally be preferred, but in the absence of those, options that were sent in DHCP client requests would be acceptable', () => {
  const server = askableSubnet({ reservations: [{ hardware: { htype: 1, chaddr: chaddrOf(2) }, hostname: 'given' }] });
  const [own, given] = [lease(server, { options: { 12: text('mine') } }), lease(server, { chaddr: chaddrOf(2), options: { 12: text('mine') } })];
  assert.equal(String(told(server, own, 12).message.option(12)), 'mine');
  assert.equal(String(told(server, given, 12).message.option(12)), 'given');
  assert.equal(told(server, lease(server, { chaddr: chaddrOf(3) }), 12).message.has(12), false);
});

test('RFC 4388 §6.4.2: the DHCPLEASEACTIVE message SHOULD include the values of all other options that were requested and that are acceptable to return', () => {
  const server = askable();
  const address = lease(server);
  const { codes, message } = told(server, address, 15, 3, 3, 250, 1, 43, 42);
  assert.deepEqual(codes, [53, 54, 15, 3, 1, 42], 'in the order in which they are asked for, each once');
  assert.deepEqual([message.option(1), message.option(3), String(message.option(15))], [addressOption(ip('255.255.255.0')), addressOption(RELAY), 'example.net']);
});

test('RFC 4388 §6.4.2: the goal is to return the same option values to the DHCPLEASEQUERY as those that were returned to the DHCPDISCOVER or DHCPREQUEST: by pool, class and reservation', () => {
  const classes: ClassSpec[] = [{
    name: 'phones', overlay: { options: [{ code: 6, value: addressOption(1), send: 'requested' }, { code: 42, value: addressOption(2), send: 'requested' }] },
    condition: { kind: 'test', subject: { from: 'option', code: 60, path: [] }, test: { kind: 'equals', values: [text('phone')] } },
  }, { name: 'known', overlay: { options: [{ code: 28, value: addressOption(4), send: 'requested' }] }, condition: { kind: 'known' } }];
  const pool = { first: ip('10.0.0.100'), last: ip('10.0.0.199'), scope: { options: [{ code: 15, value: text('pool.example'), send: 'requested' }] } } as const;
  const reservation = { hardware: { htype: 1, chaddr: chaddrOf(3) }, overlay: { options: [{ code: 42, value: addressOption(3), send: 'requested' }] } } as const;
  const server = askable({ classes, subnets: [subnetConfig({ pools: [pool], reservations: [reservation] })] });
  const phone = { options: { 60: text('phone') } };
  const parameters = [15, 6, 42, 28];
  const seen: string[] = [];
  for (const fields of [{ chaddr: chaddrOf(1) }, { chaddr: chaddrOf(2), ...phone }, { chaddr: chaddrOf(3), ...phone }, { chaddr: chaddrOf(3) }]) {
    const address = lease(server, fields);
    server.advance(60_000);
    const ack = replyOf(server.receive(request({ ...fields, xid: 7, ciaddr: address, parameters }), { unicast: true, sourceAddress: address }));
    const { message } = told(server, address, ...parameters);
    const values = parameters.map((code) => ack.option(code)?.toString('hex') ?? '-');
    assert.deepEqual(parameters.map((code) => message.option(code)?.toString('hex') ?? '-'), values);
    seen.push(values.join(' '));
  }
  const domain = text('pool.example').toString('hex');
  assert.deepEqual(seen, [
    `${domain} - - -`, `${domain} 00000001 00000002 -`, `${domain} 00000001 00000003 00000004`, `${domain} - 00000003 00000004`,
  ]);
});

test('RFC 4388 §6.4.2: the DHCP server MUST use the saved Relay Agent Information option just like it did when responding to the DHCP client in order to determine the values of any options requested', () => {
  const circuit = text('port 7');
  const classes: ClassSpec[] = [{
    name: 'port 7', overlay: { options: [{ code: 15, value: text('class.example'), send: 'requested' }] },
    condition: { kind: 'test', subject: { from: 'option', code: 82, path: [1] }, test: { kind: 'equals', values: [circuit] } },
  }];
  const reservations = [{ remoteId: text('modem'), overlay: { options: [{ code: 6, value: addressOption(9), send: 'requested' }] } }] as const;
  const server = askable({ classes, subnets: [subnetConfig({ reservations })] });
  const at = (port: string, modem: string): ClientFields => ({ giaddr: RELAY, relayAgentInformation: relayInformation([1, text(port)], [2, text(modem)]) });
  const seen = [at('port 7', 'modem'), at('port 8', 'modem'), at('port 7', 'other')].map((fields, n) => {
    const address = lease(server, { ...fields, chaddr: chaddrOf(n) });
    const { message } = told(server, address, 15, 6);
    return `${String(message.option(15))} ${message.option(6)!.toString('hex')}`;
  });
  assert.deepEqual(seen, ['class.example 00000009', 'example.net 00000009', 'class.example 0a000035']);
});

// ── which may be told ────────────────────────────────────────────────────────────────────────────

const SECRETS = subnetConfig({
  options: [...subnetConfig().options, { code: 43, value: text('vendor secret') }, { code: 66, value: text('tftp.example') }, { code: 67, value: text('boot.cfg') }],
});

test('RFC 4388 §6.4.2: any option not on this list SHOULD NOT be returned to a client, even if requested by that client', () => {
  const server = askable({ subnets: [SECRETS] });
  const address = lease(server);
  assert.deepEqual(told(server, address, 67, 43, 66, 3).codes, [53, 54, 3]);
  assert.deepEqual(answer(server, byAddress(address)).codes.filter((code) => [43, 66, 67].includes(code)), [], 'nor where none is requested');
});

test('RFC 4388 §6.4.2: DHCP servers SHOULD be configurable with a list of "non-sensitive options" that can be returned to the client when specified in the Parameter Request List', () => {
  const server = askable({ subnets: [SECRETS] });
  const fields = { clientId: CLIENT_ID, relayAgentInformation: INFORMATION, giaddr: RELAY, options: { 12: text('host'), 60: text('vendor') } };
  const address = lease(server, fields);
  const all = [67, 43, 66, 3, 12, 60, 61, 82];
  assert.deepEqual(told(server, address, ...all).codes, [53, 54, 61, 82, 60, 12, 3]);
  server.configure({ subnets: [SECRETS], leaseQuery: { ...REQUESTORS, options: [67, 43] } });
  assert.deepEqual(told(server, address, ...all).codes, [53, 54, 67, 43]);
  assert.equal(String(told(server, address, 67).message.option(67)), 'boot.cfg');
  server.configure({ subnets: [SECRETS], leaseQuery: { ...REQUESTORS, options: [] } });
  assert.deepEqual(told(server, address, ...all, 51, 91).codes, [53, 54, 91, 51], 'what the lease itself is can be told at any time');
});

test('RFC 4388 §6.2: in the absence of a Parameter Request List option, the server SHOULD return the same options it would return for a DHCPREQUEST message', () => {
  const hardware = { htype: 1, chaddr: CLIENT_CHADDR };
  const server = askableSubnet({ reservations: [{ hardware, hostname: 'given' }] });
  const address = lease(server, { giaddr: RELAY, relayAgentInformation: INFORMATION, options: { 60: text('vendor') } });
  server.advance(60_000);
  const ack = replyOf(server.receive(request({ xid: 7, ciaddr: address }), { unicast: true, sourceAddress: address }));
  const { codes, message, type } = answer(server, byAddress(address));
  assert.equal(type, LEASEACTIVE);
  assert.deepEqual(codes.toSorted((a, b) => a - b), [1, 3, 6, 12, 15, 42, 51, 53, 54, 58, 59]);
  assert.deepEqual(codes.toSorted((a, b) => a - b), ack.codes().toSorted((a, b) => a - b));
  for (const code of codes.filter((one) => one !== 53)) assert.deepEqual(message.option(code), ack.option(code), `option ${code}`);
});

test('RFC 4388 §6.2: what the client only said of itself is not among the options of its DHCPACK', () => {
  const server = askable();
  const address = lease(server, { clientId: CLIENT_ID, options: { 12: text('mine'), 60: text('vendor') } });
  assert.deepEqual(answer(server, byAddress(address)).codes.filter((code) => [12, 60, 61, 82, 91].includes(code)), []);
});
