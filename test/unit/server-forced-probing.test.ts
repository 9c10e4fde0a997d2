/** Addresses after an operator has begun a generation: leases may be held that no record tells of (ARCHITECTURE.md, Last resorts). */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { DhcpMessage } from '../../node/codec/message.ts';
import { MessageType } from '../../node/codec/message.ts';
import { BindingState, recordState } from '../../node/lease/record.ts';
import type { Decision } from '../../node/server/ports.ts';
import { chaddrOf, discover, ip, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import type { SubnetSpec } from '../support/configs.ts';

const SERVER = ip('10.0.0.2');
const NEW_EPOCH = 2 ** 20;
const MESSAGE_TYPE = 53;
const UNICAST = { unicast: true };

function serverOf(spec: Partial<SubnetSpec> = {}): TestServer {
  return new TestServer({ subnets: [subnetConfig({ authoritative: true, ...spec })] });
}

function force(server: TestServer): void {
  server.view.sinceEpoch = NEW_EPOCH;
  server.server.forgetWhatIsFree();
}

const probed = (server: TestServer, decision: Decision, inUse: boolean, by?: Buffer): Decision =>
  server.carryOut(server.server.onProbed(decision.probes[0]!.id, inUse, by, server.now));
const typeOf = (reply: DhcpMessage): number => reply.option(MESSAGE_TYPE)![0]!;
const fieldsOf = (client: number, more: ClientFields = {}): ClientFields => ({ chaddr: chaddrOf(client), xid: client * 1000 + server.xid++, ...more });
const server = { xid: 1 };

/** A lease from before, by an offer and a request. */
function lease(world: TestServer, client: number): number {
  const offer = replyOf(world.receive(discover(fieldsOf(client))));
  replyOf(world.receive(request(fieldsOf(client, { requestedAddress: offer.yiaddr, serverIdentifier: SERVER }))));
  return offer.yiaddr;
}

test('an address is probed before it is offered, by ARP or by ping, whatever the configuration says', () => {
  const world = serverOf();
  assert.equal(world.receive(discover(fieldsOf(1))).probes.length, 0);
  force(world);
  const decision = world.receive(discover(fieldsOf(2)));
  assert.equal(packetsOf(decision).length, 0);
  assert.deepEqual(decision.probes.map(({ method, targetLocal, timeoutMs }) => ({ method, targetLocal, timeoutMs })), [{ method: 'arp', targetLocal: true, timeoutMs: 500 }]);
  const offer = replyOf(probed(world, decision, false));
  assert.equal(typeOf(offer), MessageType.OFFER);
  assert.equal(typeOf(replyOf(world.receive(request(fieldsOf(2, { requestedAddress: offer.yiaddr, serverIdentifier: SERVER }))))), MessageType.ACK);
});

test('as the configuration says where it does say something', () => {
  const world = serverOf({ scope: { conflictCheck: { method: 'icmp', timeoutMs: 200, cacheSeconds: 0 } } });
  force(world);
  const [probe] = world.receive(discover(fieldsOf(1))).probes;
  assert.deepEqual([probe!.method, probe!.timeoutMs], ['icmp', 200]);
});

test('a client renews what it had without a probe, and is offered it anew only after one', () => {
  const world = serverOf();
  const address = lease(world, 1);
  force(world);
  const renewal = world.receive(request(fieldsOf(1, { ciaddr: address })), UNICAST);
  assert.equal(renewal.probes.length, 0);
  assert.equal(typeOf(replyOf(renewal)), MessageType.ACK);
  // From here on its lease is of this generation.
  assert.equal(world.receive(discover(fieldsOf(1))).probes.length, 0);
  const stale = serverOf();
  const known = lease(stale, 1);
  force(stale);
  const decision = stale.receive(discover(fieldsOf(1)));
  assert.deepEqual(decision.probes.map((probe) => probe.address), [known], 'it may have been given to somebody else since');
  const reboot = serverOf();
  const had = lease(reboot, 1);
  force(reboot);
  const asked = reboot.receive(request(fieldsOf(1, { requestedAddress: had })));
  assert.deepEqual(asked.probes.map((probe) => probe.address), [had]);
  assert.equal(typeOf(replyOf(probed(reboot, asked, false))), MessageType.ACK);
});

test('a client that begins anew does not get what it had back while somebody else uses it', () => {
  for (const type of ['DISCOVER', 'REQUEST'] as const) {
    const world = serverOf();
    const had = lease(world, 1);
    force(world);
    const fields = fieldsOf(1, { requestedAddress: had });
    const asked = world.receive(type === 'DISCOVER' ? discover(fields) : request(fields));
    assert.deepEqual(asked.probes.map((probe) => probe.address), [had]);
    const { changes } = probed(world, asked, true, chaddrOf(9));
    assert.deepEqual(changes.map(({ address, record }) => [address, recordState(record)]), [[had, BindingState.ABANDONED]]);
    // The owner of the slot, asked by another node to store as much, does so.
    assert.equal(world.server.mayApply(had, changes[0]!.record, world.now), true);
    const again = world.tick();
    if (type === 'REQUEST') assert.equal(typeOf(replyOf(again)), MessageType.NAK);
    else assert.notDeepEqual(again.probes.map((probe) => probe.address), [had]);
  }
});

test('a client that begins anew and answers itself, or may have, gets what it had, and is asked once', () => {
  for (const [type, by] of [['DISCOVER', chaddrOf(1)], ['REQUEST', chaddrOf(1)], ['DISCOVER', undefined], ['REQUEST', undefined]] as const) {
    const world = serverOf();
    const had = lease(world, 1);
    force(world);
    const fields = fieldsOf(1, { requestedAddress: had });
    const reply = replyOf(probed(world, world.receive(type === 'DISCOVER' ? discover(fields) : request(fields)), true, by));
    assert.equal(typeOf(reply), type === 'DISCOVER' ? MessageType.OFFER : MessageType.ACK);
    assert.equal(reply.yiaddr, had);
  }
});

test('an active lease of this generation is no other node\'s to abandon', () => {
  const world = serverOf();
  const address = lease(world, 1);
  const other = lease(world, 2);
  const found = (server: TestServer, of: number): Buffer => {
    force(server);
    const asked = server.receive(request(fieldsOf(2, { requestedAddress: of })));
    return probed(server, asked, true, chaddrOf(9)).changes[0]!.record;
  };
  const record = found(world, other);
  world.receive(request(fieldsOf(1, { ciaddr: address })), UNICAST);
  assert.equal(world.server.mayApply(address, record, world.now), false);
});

test('an offer from before is not taken for a found-free address', () => {
  const world = serverOf();
  const offer = replyOf(world.receive(discover(fieldsOf(1))));
  force(world);
  const decision = world.receive(request(fieldsOf(1, { requestedAddress: offer.yiaddr, serverIdentifier: SERVER })));
  assert.deepEqual(decision.probes.map((probe) => probe.address), [offer.yiaddr]);
  assert.equal(packetsOf(probed(world, decision, true)).length, 0);
  assert.equal(typeOf(replyOf(world.tick())), MessageType.NAK, 'once it is stored that somebody uses it');
});

test('RFC 2131 §4.3.2: a client that renews or rebinds a lease that nobody has a record of keeps its address', () => {
  const address = ip('10.0.0.150');
  for (const [fields, how] of [[{ ciaddr: address }, UNICAST], [{ ciaddr: address }, {}]] as const) {
    const before = serverOf();
    assert.equal(typeOf(replyOf(before.receive(request(fieldsOf(7, fields)), how))), MessageType.NAK, 'in an ordinary generation');
    const world = serverOf();
    force(world);
    const decision = world.receive(request(fieldsOf(7, fields)), how);
    assert.equal(decision.probes.length, 0, 'it would answer itself');
    assert.equal(typeOf(replyOf(decision)), MessageType.ACK);
    assert.equal(recordState(world.table.read(address)!), BindingState.ACTIVE);
  }
});

test('one that comes back with such an address keeps it if nobody answers for it', () => {
  const world = serverOf();
  force(world);
  const address = ip('10.0.0.150');
  const decision = world.receive(request(fieldsOf(7, { requestedAddress: address })));
  assert.deepEqual(decision.probes.map((probe) => probe.address), [address]);
  assert.equal(typeOf(replyOf(probed(world, decision, false))), MessageType.ACK);
  const other = world.receive(request(fieldsOf(8, { requestedAddress: ip('10.0.0.151') })));
  assert.equal(packetsOf(probed(world, other, true)).length, 0);
  assert.equal(typeOf(replyOf(world.tick())), MessageType.NAK);
});

test('what is another client\'s, reserved, or in no pool of this server stays refused', () => {
  const world = serverOf({ reservations: [{ hardware: { htype: 1, chaddr: chaddrOf(50) }, address: ip('10.0.0.140') }] });
  const taken = lease(world, 1);
  force(world);
  for (const address of [taken, ip('10.0.0.140'), ip('10.0.0.10')]) {
    assert.equal(typeOf(replyOf(world.receive(request(fieldsOf(9, { ciaddr: address })), UNICAST))), MessageType.NAK);
  }
});

test('a client cannot ask for the addresses of a whole pool, one by one', () => {
  const world = serverOf();
  lease(world, 1);
  force(world);
  assert.equal(typeOf(replyOf(world.receive(request(fieldsOf(1, { ciaddr: ip('10.0.0.150') })), UNICAST))), MessageType.ACK, 'it moved in the older generation');
  assert.equal(typeOf(replyOf(world.receive(request(fieldsOf(1, { ciaddr: ip('10.0.0.151') })), UNICAST))), MessageType.NAK);
});

test('a client that was found to use its address without a record is given it when it renews', () => {
  const world = serverOf({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.101') }] });
  force(world);
  const address = ip('10.0.0.100');
  const decision = world.receive(discover(fieldsOf(1)));
  assert.deepEqual(decision.probes.map((probe) => probe.address), [address]);
  probed(world, decision, true, chaddrOf(7));
  assert.equal(recordState(world.table.read(address)!), BindingState.ABANDONED);
  assert.equal(typeOf(replyOf(world.receive(request(fieldsOf(8, { ciaddr: address })), UNICAST))), MessageType.NAK, 'another machine answered');
  assert.equal(typeOf(replyOf(world.receive(request(fieldsOf(7, { ciaddr: address })), UNICAST))), MessageType.ACK);
  assert.equal(recordState(world.table.read(address)!), BindingState.ACTIVE);
});

test('an address held for another node\'s client is probed by whoever offers it', () => {
  const world = serverOf();
  force(world);
  const key = Buffer.concat([Buffer.of(1), chaddrOf(1)]);
  const pool = world.table.poolOf(ip('10.0.0.100'));
  assert.ok(pool >= 0);
  const held = world.server.allocateFor([ip('10.0.0.100')], key, 0, world.now);
  assert.notEqual(held, 0);
  assert.deepEqual(world.receive(discover(fieldsOf(1))).probes.map((probe) => probe.address), [held]);
});

test('a released address is probed too: its client may have come back to a node that is gone', () => {
  const world = serverOf({ pools: [{ first: ip('10.0.0.100'), last: ip('10.0.0.100') }], leaseSeconds: 60 });
  const address = lease(world, 1);
  world.advance(61_000);
  world.receive(release(fieldsOf(1, { ciaddr: address, serverIdentifier: SERVER })), { sourceAddress: address, unicast: true });
  world.advance(200_000);
  world.tick();
  force(world);
  assert.deepEqual(world.receive(discover(fieldsOf(1))).probes.map((probe) => probe.address), [address]);
});

test('an address that is reserved for the client is probed too: it may have been reserved for another one before', () => {
  const address = ip('10.0.0.140');
  const reserved = { reservations: [{ hardware: { htype: 1, chaddr: chaddrOf(1) }, address }] };
  const before = serverOf(reserved);
  assert.equal(before.receive(discover(fieldsOf(1))).probes.length, 0, 'in an ordinary generation');
  const world = serverOf(reserved);
  force(world);
  const asked = world.receive(discover(fieldsOf(1)));
  assert.deepEqual(asked.probes.map((probe) => probe.address), [address]);
  probed(world, asked, true, chaddrOf(9));
  assert.equal(recordState(world.table.read(address)!), BindingState.ABANDONED);
});

test('a client does not get an address back that it released right after a grant, while somebody else uses it', () => {
  for (const type of ['DISCOVER', 'REQUEST'] as const) {
    const world = serverOf();
    const had = lease(world, 1);
    // A release so soon may be an older one that was late: the address is kept for its client.
    world.receive(release(fieldsOf(1, { ciaddr: had, serverIdentifier: SERVER })), { sourceAddress: had, unicast: true });
    assert.equal(recordState(world.table.read(had)!), BindingState.RELEASED);
    force(world);
    const fields = fieldsOf(1, { requestedAddress: had });
    const asked = world.receive(type === 'DISCOVER' ? discover(fields) : request(fields));
    assert.deepEqual(asked.probes.map((probe) => probe.address), [had]);
    assert.equal(packetsOf(probed(world, asked, true, chaddrOf(9))).length, 0);
    assert.equal(recordState(world.table.read(had)!), BindingState.ABANDONED);
  }
});

test('a client whose lease a late release has ended gets it back, though it answers for the address itself', () => {
  for (const by of [chaddrOf(1), undefined]) {
    const world = serverOf();
    force(world);
    const first = world.receive(discover(fieldsOf(1)));
    const had = replyOf(probed(world, first, false)).yiaddr;
    replyOf(world.receive(request(fieldsOf(1, { requestedAddress: had, serverIdentifier: SERVER }))));
    world.receive(release(fieldsOf(1, { ciaddr: had, serverIdentifier: SERVER })), { sourceAddress: had, unicast: true });
    assert.equal(recordState(world.table.read(had)!), BindingState.RELEASED);
    // What was found free is forgotten by then.
    world.server.forgetWhatIsFree();
    const asked = world.receive(request(fieldsOf(1, { requestedAddress: had })));
    assert.deepEqual(asked.probes.map((probe) => probe.address), [had]);
    assert.equal(typeOf(replyOf(probed(world, asked, true, by))), MessageType.ACK);
  }
});

test('so does one with another network card, while the older one answers', () => {
  const world = serverOf();
  const clientId = Buffer.from('01aabbccddeeff', 'hex');
  const offer = replyOf(world.receive(discover(fieldsOf(1, { clientId }))));
  replyOf(world.receive(request(fieldsOf(1, { clientId, requestedAddress: offer.yiaddr, serverIdentifier: SERVER }))));
  force(world);
  const asked = world.receive(discover(fieldsOf(2, { clientId })));
  assert.deepEqual(asked.probes.map((probe) => probe.address), [offer.yiaddr]);
  assert.equal(replyOf(probed(world, asked, true, chaddrOf(1))).yiaddr, offer.yiaddr);
});
