/** What one client, or one packet, may cost: addresses, memory and work. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { BindingState, recordClientKey, recordState } from '../../node/lease/record.ts';
import { POOL_CHOICES_CACHED_MAX } from '../../node/limits.ts';
import { PoolChoice } from '../../node/server/exchange.ts';
import type { ClassSet } from '../../node/classes/matcher.ts';
import { chaddrOf, discover, ip, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { buildConfig } from '../support/configs.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const RELAY = { sourceAddress: ip('10.0.0.1'), sourcePort: 67, unicast: true };
const selecting = (requestedAddress: number, fields: ClientFields = {}): Buffer => request({ ...fields, requestedAddress, serverIdentifier: SERVER });
const circuit = (fields: ClientFields = {}): ClientFields => ({ giaddr: ip('10.0.0.1'), relayAgentInformation: Buffer.from('010107', 'hex'), ...fields });

test('RFC 2131 §4.3.2: a client that has an address and was offered no other gets no second one by asking for it', () => {
  const server = new TestServer();
  const address = replyOf(server.receive(discover())).yiaddr;
  assert.equal(replyOf(server.receive(selecting(address))).type, 5);
  for (let n = 1; n < 20; n++) {
    const refused = server.receive(selecting(address + n, { xid: n }));
    assert.deepEqual([refused.changes, replyOf(refused).type], [[], 6]);
  }
  assert.deepEqual(server.table.findAllByClient(recordClientKey(server.table.read(address)!)), [address]);
});

test('neither does one that gave its address back, which is still kept for it', () => {
  const server = new TestServer();
  server.receive(selecting(ip('10.0.0.150')));
  server.receive(release({ xid: 2, ciaddr: ip('10.0.0.150') }), { sourceAddress: ip('10.0.0.150') });
  assert.equal(recordState(server.table.read(ip('10.0.0.150'))!), BindingState.RELEASED);
  assert.equal(replyOf(server.receive(selecting(ip('10.0.0.151'), { xid: 3 }))).type, 6);
});

test('one whose address may not be given to it any more gets the one that it asks for, also when the offer was forgotten', () => {
  const reservations = [{ hardware: { htype: 1, chaddr: chaddrOf(1) }, address: ip('10.0.0.150') }];
  const before = new TestServer();
  before.receive(selecting(ip('10.0.0.150')));
  const server = new TestServer({ subnets: [subnetConfig({ reservations })] });
  server.store(ip('10.0.0.150'), before.table.read(ip('10.0.0.150'))!);
  assert.equal(replyOf(server.receive(selecting(ip('10.0.0.151'), { xid: 3 }))).type, 5);
});

test('a client moves to the address that is reserved for it, though its port of the relay has no room for two', () => {
  const reservations = [{ hardware: { htype: 1, chaddr: chaddrOf(1) }, address: ip('10.0.0.150') }];
  const before = new TestServer();
  const mine = circuit({ chaddr: chaddrOf(1) });
  before.receive(selecting(ip('10.0.0.120'), mine), RELAY);
  const server = new TestServer({ subnets: [subnetConfig({ reservations })], limits: { leasesPerCircuit: 1 } });
  server.store(ip('10.0.0.120'), before.table.read(ip('10.0.0.120'))!);
  assert.equal(replyOf(server.receive(discover({ ...mine, xid: 2 }), RELAY)).yiaddr, ip('10.0.0.150'));
  assert.equal(replyOf(server.receive(selecting(ip('10.0.0.150'), { ...mine, xid: 2 }), RELAY)).type, 5);
  assert.deepEqual(packetsOf(server.receive(discover(circuit({ chaddr: chaddrOf(2) })), RELAY)), [], 'there is no room for another client');
  assert.deepEqual(server.drops(), { 'circuit-full': 1 });
});

test('which pools a client may use is remembered within a bound for all subnets together, not for each', () => {
  const config = buildConfig({
    nodes: ['a'], subnets: [1, 2, 3].map((n) => subnetConfig({ name: `10.0.${n}.0/24`, network: ip(`10.0.${n}.0`), pools: [{ first: ip(`10.0.${n}.9`), last: ip(`10.0.${n}.9`) }] })),
  });
  const choice = new PoolChoice(config);
  let forgotten = 0;
  for (let n = 0; n < POOL_CHOICES_CACHED_MAX / 32; n++) {
    const classes = { has: () => false, indexes: [n] } as unknown as ClassSet;
    const before = choice.kept;
    for (const subnet of config.subnets) assert.deepEqual([...choice.of(subnet, classes), choice.of(subnet, classes).length], [subnet.index, 1]);
    assert.ok(choice.kept <= POOL_CHOICES_CACHED_MAX);
    if (choice.kept < before) forgotten++;
  }
  assert.equal(forgotten, 1);
});

test('a client that a class knows by its client identifier is where its relay said when it renews past it, also in a network of hardware addresses', () => {
  const atPort = { kind: 'test', subject: { from: 'option', code: 82, path: [1] }, test: { kind: 'equals', values: [Buffer.of(7)] } } as const;
  const vendor = { kind: 'test', subject: { from: 'option', code: 60, path: [] }, test: { kind: 'exists' } } as const;
  const server = new TestServer({
    subnets: [subnetConfig({ identity: 'hardware', pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.199'), guard: { allow: [1], deny: [] } }] })],
    classes: [{ name: 'by identifier', condition: vendor, identity: 'client-id' }, { name: 'port 7', condition: atPort }],
  });
  const client = { clientId: Buffer.from('me'), options: { 60: Buffer.from('x') } };
  const address = replyOf(server.receive(discover(circuit(client)), RELAY)).yiaddr;
  server.receive(selecting(address, circuit(client)), RELAY);
  server.advance(1_800_000);
  const renewed = server.receive(request({ ...client, xid: 2, ciaddr: address }), { unicast: true, sourceAddress: address });
  assert.equal(replyOf(renewed).type, 5);
});
