/** Shared networks, classes that choose pools and contents, reservations by what a relay says, PXE. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { Condition } from '../../node/classes/types.ts';
import { addressOption, chaddrOf, discover, ip, parseReply, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { NO_GUARD } from '../support/configs.ts';
import type { ClassSpec } from '../support/configs.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import type { TestServerOptions } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const option = (code: number, kind: 'equals' | 'prefix', ...values: Buffer[]): Condition =>
  ({ kind: 'test', subject: { from: 'option', code, path: [] }, test: { kind, values } });
const PHONES: ClassSpec = { name: 'phones', condition: option(60, 'prefix', Buffer.from('Phone')) };
const phone = { options: { 60: Buffer.from('Phone/7') } };

const first = subnetConfig({ sharedNetwork: 'campus', pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.101') }] });
const second = subnetConfig({
  name: '10.0.1.0/24', network: ip('10.0.1.0'), sharedNetwork: 'campus', pools: [{ first: ip('10.0.1.100'), last: ip('10.0.1.199') }],
  options: [{ code: 3, value: addressOption(ip('10.0.1.1')) }],
});

function lease(server: TestServer, fields: ClientFields = {}): number {
  const offered = replyOf(server.receive(discover(fields))).yiaddr;
  assert.equal(replyOf(server.receive(request({ ...fields, requestedAddress: offered, serverIdentifier: SERVER }))).type, 5);
  return offered;
}

test('a shared network serves the subnet that the request came from first, and then its others, each with its own options', () => {
  const server = new TestServer({ subnets: [second, first] });
  const addresses = [1, 2, 3].map((n) => lease(server, { chaddr: chaddrOf(n) }));
  assert.deepEqual(addresses.map((address) => address >>> 8), [ip('10.0.0.0'), ip('10.0.0.0'), ip('10.0.1.0')].map((network) => network >>> 8));
  const third = replyOf(server.receive(request({ chaddr: chaddrOf(3), xid: 5, ciaddr: addresses[2]! }), { unicast: true, sourceAddress: addresses[2]! }));
  assert.equal(third.optionU32(3), ip('10.0.1.1'));
});

test('within a shared network a client keeps its one address, whichever relay address it comes through', () => {
  const server = new TestServer({ subnets: [first, second] });
  const address = lease(server);
  assert.equal(replyOf(server.receive(discover({ xid: 2, giaddr: ip('10.0.1.1') }))).yiaddr, address);
  const ack = replyOf(server.receive(request({ xid: 3, giaddr: ip('10.0.1.1'), requestedAddress: address })));
  assert.deepEqual([ack.type, ack.yiaddr], [5, address], 'INIT-REBOOT on the same link');
});

test('a client with leases in two networks has an address of its own in each', () => {
  const elsewhere = subnetConfig({ name: '10.9.0.0/24', network: ip('10.9.0.0'), pools: [{ first: ip('10.9.0.10'), last: ip('10.9.0.20') }] });
  const server = new TestServer({ subnets: [first, elsewhere] });
  const home = lease(server);
  const away = lease(server, { giaddr: ip('10.9.0.1'), xid: 2 });
  assert.notEqual(home, away);
  assert.equal(replyOf(server.receive(discover({ xid: 3 }))).yiaddr, home);
  assert.equal(replyOf(server.receive(discover({ xid: 4, giaddr: ip('10.9.0.1') }))).yiaddr, away);
});

test('a class lets clients into a pool, or a subnet, and keeps them out of others', () => {
  const guarded: TestServerOptions = {
    classes: [PHONES],
    subnets: [subnetConfig({ pools: [
      { first: ip('10.0.0.10'), last: ip('10.0.0.19'), guard: { allow: [0], deny: [] } },
      { first: ip('10.0.0.20'), last: ip('10.0.0.29'), guard: { allow: undefined, deny: [0] } },
    ] })],
  };
  const server = new TestServer(guarded);
  assert.equal(lease(server, { ...phone, chaddr: chaddrOf(1) }), ip('10.0.0.10'));
  assert.equal(lease(server, { chaddr: chaddrOf(2) }), ip('10.0.0.20'));
  const asked = replyOf(server.receive(discover({ chaddr: chaddrOf(3), requestedAddress: ip('10.0.0.15') }))).yiaddr;
  assert.equal(asked, ip('10.0.0.21'), 'not what it asks for');
  const taken = server.receive(request({ chaddr: chaddrOf(4), requestedAddress: ip('10.0.0.15'), serverIdentifier: SERVER }));
  assert.equal(replyOf(taken).type, 6);

  const shut = new TestServer({ classes: [PHONES], subnets: [subnetConfig({ guard: { allow: [0], deny: [] } })] });
  assert.deepEqual(packetsOf(shut.receive(discover())), []);
  assert.deepEqual(shut.drops(), { 'not-permitted': 1 });
  assert.equal(replyOf(shut.receive(discover(phone))).type, 2);
});

test('a client whose class lets it in no longer is moved at its next renewal', () => {
  const server = new TestServer({ classes: [PHONES], subnets: [subnetConfig({ pools: [
    { first: ip('10.0.0.10'), last: ip('10.0.0.19'), guard: { allow: [0], deny: [] } },
    { first: ip('10.0.0.20'), last: ip('10.0.0.29') },
  ] })] });
  const address = lease(server, phone);
  const renewal = server.receive(request({ xid: 2, ciaddr: address }), { unicast: true, sourceAddress: address });
  assert.equal(replyOf(renewal).type, 6);
  assert.equal(lease(server, { xid: 3 }), ip('10.0.0.20'));
});

test('a class that drops leaves its clients without an answer', () => {
  const server = new TestServer({ classes: [{ ...PHONES, drop: true }] });
  assert.deepEqual(packetsOf(server.receive(discover(phone))), []);
  assert.deepEqual(server.drops(), { 'class-dropped': 1 });
  assert.equal(replyOf(server.receive(discover())).type, 2);
});

test('a class may know its clients by their hardware address where the network knows them by identifier', () => {
  const server = new TestServer({ classes: [{ ...PHONES, identity: 'hardware' }] });
  const clientId = Buffer.from('00cc', 'hex');
  const cloned = [1, 2].map((n) => lease(server, { ...phone, clientId, chaddr: chaddrOf(n) }));
  assert.equal(new Set(cloned).size, 2);
});

test('one identifier that two hardware addresses use is counted each time and reported once', () => {
  const server = new TestServer();
  const clientId = Buffer.from('00cc', 'hex');
  const address = lease(server, { clientId, chaddr: chaddrOf(1) });
  server.advance(10_000);
  const events = [2, 1].map((n) => server.receive(request({ clientId, chaddr: chaddrOf(n), xid: n, requestedAddress: address })).events);
  assert.deepEqual(events.map((list) => list.map(({ id }) => id)), [['client.identifier-conflict'], []]);
  assert.equal(server.counters.identifierConflicts, 2);
});

test('what a relay said when the lease was granted still classes a client that renews past the relay', () => {
  const circuit = Buffer.from('0104706f7274', 'hex');
  const condition: Condition = { kind: 'test', subject: { from: 'option', code: 82, path: [1] }, test: { kind: 'equals', values: [Buffer.from('port')] } };
  const server = new TestServer({
    classes: [{ name: 'port', condition }],
    subnets: [subnetConfig({ pools: [{ first: ip('10.0.0.10'), last: ip('10.0.0.19'), guard: { allow: [0], deny: [] } }] })],
  });
  const address = lease(server, { giaddr: ip('10.0.0.1'), relayAgentInformation: circuit });
  const renewal = server.receive(request({ xid: 2, ciaddr: address }), { unicast: true, sourceAddress: address });
  assert.equal(replyOf(renewal).type, 5);
  assert.equal(replyOf(renewal).has(82), false, 'RFC 3046 §2.2: nothing to echo');
  const stranger = server.receive(request({ xid: 3, ciaddr: address, chaddr: chaddrOf(1) }), { unicast: true, sourceAddress: address });
  assert.deepEqual(packetsOf(stranger), [], "what was said of another client's place is not said of this one's");
});

test('the same where a class knows its clients by the identifier that the network does not look at', () => {
  const condition: Condition = { kind: 'test', subject: { from: 'option', code: 82, path: [1] }, test: { kind: 'equals', values: [Buffer.from('port')] } };
  const server = new TestServer({ classes: [{ name: 'port', condition, identity: 'client-id' }], subnets: [subnetConfig({ identity: 'hardware' })] });
  const fields: ClientFields = { clientId: Buffer.from('ff0000000100020000000911', 'hex') };
  const address = lease(server, { ...fields, giaddr: ip('10.0.0.1'), relayAgentInformation: Buffer.from('0104706f7274', 'hex') });
  server.advance(60_000);
  const renewal = server.receive(request({ ...fields, xid: 2, ciaddr: address }), { unicast: true, sourceAddress: address });
  assert.equal(replyOf(renewal).type, 5);
});

test('an address reserved for a port of a switch goes to whoever is plugged in there, once the one before has gone', () => {
  const port = { circuitId: Buffer.from('eth0/7'), address: ip('10.0.0.7') };
  const server = new TestServer({ subnets: [subnetConfig({ reservations: [port] })] });
  const relayed = { giaddr: ip('10.0.0.1'), relayAgentInformation: Buffer.concat([Buffer.of(1, 6), Buffer.from('eth0/7')]) };
  assert.equal(lease(server, { ...relayed, chaddr: chaddrOf(1) }), ip('10.0.0.7'));
  const next = lease(server, { ...relayed, chaddr: chaddrOf(2) });
  assert.notEqual(next, ip('10.0.0.7'));
  assert.notEqual(lease(server, { giaddr: ip('10.0.0.1'), chaddr: chaddrOf(3) }), ip('10.0.0.7'), 'nobody else');
});

test('a reserved address that another client still has is refused to it at its next renewal', () => {
  const holder = new TestServer();
  const address = lease(holder, { chaddr: chaddrOf(9) });
  const reserved = new TestServer({ subnets: [subnetConfig({ reservations: [{ hardware: { htype: 1, chaddr: chaddrOf(1) }, address }] })] });
  reserved.store(address, Buffer.from(holder.table.read(address)!));
  const other = replyOf(reserved.receive(discover({ chaddr: chaddrOf(1) }))).yiaddr;
  assert.notEqual(other, address, 'it is in use');
  const renewal = reserved.receive(request({ chaddr: chaddrOf(9), xid: 4, ciaddr: address }), { unicast: true, sourceAddress: address });
  assert.equal(replyOf(renewal).type, 6);
});

test('at most so many leases are at one port of a relay', () => {
  const server = new TestServer({ limits: { leasesPerCircuit: 2 } });
  const at = (n: number): ClientFields => ({ chaddr: chaddrOf(n), xid: n, giaddr: ip('10.0.0.1'), relayAgentInformation: Buffer.from('0101aa0201bb', 'hex') });
  const addresses = [1, 2].map((n) => lease(server, at(n)));
  assert.deepEqual(packetsOf(server.receive(discover(at(3)))), []);
  assert.deepEqual(server.drops(), { 'circuit-full': 1 });
  server.advance(20_000);
  const renewed = server.receive(request({ ...at(1), xid: 7, ciaddr: addresses[0]! }));
  assert.equal(replyOf(renewed).type, 5, 'who has one keeps it');
});

test('RFC 4578 §2.1: by the architecture of a client option 93 chooses its boot file, and iPXE (option 77) goes on by its own', () => {
  const boot = (name: string, condition: Condition, file: string): ClassSpec =>
    ({ name, condition, overlay: { boot: { nextServer: ip('10.0.0.5'), bootFileName: Buffer.from(file) } } });
  const pxe = option(60, 'prefix', Buffer.from('PXEClient'));
  const architecture = (...numbers: number[]): Condition => option(93, 'equals', ...numbers.map((n) => Buffer.of(n >> 8, n)));
  const server = new TestServer({ classes: [
    boot('ipxe', option(77, 'equals', Buffer.from('iPXE')), 'http://boot.example.net/menu'),
    boot('uefi', { kind: 'all', of: [pxe, architecture(7, 9)] }, 'ipxe.efi'),
    boot('bios', { kind: 'all', of: [pxe, architecture(0)] }, 'undionly.kpxe'),
  ] });
  const asks = (more: Record<number, Buffer>): { siaddr: number; file: string; option67: string | undefined } => {
    const fields = { parameters: [1, 3, 66, 67], options: { 60: Buffer.from('PXEClient:Arch:00007'), ...more } };
    const bytes = packetsOf(server.receive(discover(fields)))[0]!.bytes;
    const reply = parseReply(bytes);
    return { siaddr: reply.siaddr, file: bytes.toString('latin1', 108, bytes.indexOf(0, 108)), option67: reply.option(67)?.toString() };
  };
  assert.deepEqual(asks({ 93: Buffer.of(0, 7) }), { siaddr: ip('10.0.0.5'), file: 'ipxe.efi', option67: 'ipxe.efi' });
  assert.equal(asks({ 93: Buffer.of(0, 0) }).file, 'undionly.kpxe');
  assert.equal(asks({ 93: Buffer.of(0, 7), 77: Buffer.from('iPXE') }).file, 'http://boot.example.net/menu');
  assert.deepEqual(asks({ 93: Buffer.of(0, 11) }), { siaddr: 0, file: '', option67: undefined });
});

test('an option is sent when it is asked for, always, or never', () => {
  const options = [
    { code: 42, value: addressOption(1), send: 'always' as const }, { code: 15, value: Buffer.from('x'), send: 'never' as const },
    { code: 6, value: addressOption(2) },
  ];
  const server = new TestServer({ subnets: [subnetConfig({ options, guard: NO_GUARD })] });
  const has = (parameters: number[]): number[] => {
    const reply = replyOf(server.receive(discover({ parameters })));
    return [42, 15, 6].filter((code) => reply.has(code));
  };
  assert.deepEqual(has([15]), [42]);
  assert.deepEqual(has([15, 6, 42]), [42, 6]);
  assert.equal(replyOf(server.receive(discover())).has(15), false);
});
