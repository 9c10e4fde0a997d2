/** Quarantine on a small cluster: who is refused, where, from when and until when, and what becomes of leases and addresses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { release } from '../../node/admin/operations/release.ts';
import { quarantineAdd, quarantineClear, quarantineList } from '../../node/admin/operations/quarantine.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import { BINDING_STATE_NAMES, recordState, recordTaken } from '../../node/lease/record.ts';
import type { Note } from '../../node/notes/note.ts';
import { quarantineOf } from '../../node/notes/quarantine.ts';
import { QuarantineIndex } from '../../node/notes/quarantine-index.ts';
import { PROTOCOL } from '../../node/protocol.ts';
import { chaddrOf, discover, ip, parseReply, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { leaseTimes, NO_GUARD, subnetConfig } from '../support/configs.ts';
import type { ConfigSpec } from '../support/configs.ts';
import { OperatedCluster } from '../support/operated-cluster.ts';

const RELAY = ip('10.0.250.1');
const REASON = 'a worm';

function hardwareOf(client: number): string {
  return chaddrOf(client).toString('hex').replaceAll(/(..)(?=.)/g, '$1:');
}

function stateOf(cluster: OperatedCluster, node: string, address: string): string {
  const record = cluster.host(node).table.read(ip(address));
  return record === undefined ? 'FREE' : `${BINDING_STATE_NAMES[recordState(record)]}${recordTaken(record) ? ' taken' : ''}`;
}

/** A renewal, to one node: ACK, NAK or nothing. */
function renew(cluster: OperatedCluster, client: number, address: string, to: string): 'ack' | 'nak' | 'silence' {
  const bytes = request({ chaddr: chaddrOf(client), xid: cluster.random.u32(), ciaddr: ip(address) });
  const answer = cluster.ask(client, bytes, { address: ip(address), to });
  return answer === undefined ? 'silence' : parseReply(answer.bytes).type === 6 ? 'nak' : 'ack';
}

/** Four packets through a relay; the address, if it comes to that. `as`: what the machine shows beside its hardware address. */
function leaseBehind(cluster: OperatedCluster, client: number, as: ClientFields): string | undefined {
  const fields = { chaddr: chaddrOf(client), giaddr: RELAY, xid: cluster.random.u32(), ...as };
  const offer = cluster.ask(client, discover(fields));
  if (offer === undefined) return undefined;
  const yiaddr = offer.bytes.readUInt32BE(16);
  const ack = cluster.ask(client, request({ ...fields, requestedAddress: yiaddr, serverIdentifier: parseReply(offer.bytes).option(54)!.readUInt32BE() }));
  return ack === undefined || parseReply(ack.bytes).type !== 5 ? undefined : formatIpv4(yiaddr);
}

const port = (circuit: string, remote: string): Buffer =>
  Buffer.concat([Buffer.of(1, circuit.length), Buffer.from(circuit), Buffer.of(2, remote.length), Buffer.from(remote)]);

test('whoever has an address is shut out on all nodes, whichever is asked, and the address goes to nobody', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  for (const node of ['a', 'b']) {
    const client = node === 'a' ? 1 : 2;
    const address = cluster.lease(client)!;
    const { changed, leases, quarantine } = await cluster.operate(node, quarantineAdd, { address, reason: REASON });
    assert.deepEqual({ changed, leases }, { changed: false, leases: [{ address, hardware: hardwareOf(client) }] });
    assert.deepEqual([quarantine.address, quarantine.hardware, quarantine.until, quarantine.by], [address, hardwareOf(client), null, 'alice']);
    cluster.run(200);
    for (const each of ['a', 'b']) {
      assert.equal(stateOf(cluster, each, address), 'RELEASED taken');
      assert.equal(renew(cluster, client, address, each), 'nak');
    }
    assert.equal(cluster.offer(client, 10), undefined);
  }
  assert.equal(cluster.node('a').counters.quarantines, 2);
  assert.ok(cluster.lease(3) !== undefined, 'another client is served');
  assert.ok(cluster.told('client.quarantined').length > 0);
  const listed = await cluster.list('b', quarantineList, {});
  assert.deepEqual(listed.map(({ mode, reason }) => [mode, reason]), [['refuse', REASON], ['refuse', REASON]]);
});

test('it outlives the node that was told, and a client that is let go begins anew', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const address = cluster.lease(4)!;
  await cluster.operate('a', quarantineAdd, { client: hardwareOf(4), reason: REASON });
  cluster.crash('a');
  cluster.until('b is alone', 60_000, () => cluster.settled('b'));
  cluster.run(200);
  assert.equal(stateOf(cluster, 'b', address), 'RELEASED taken');
  assert.equal(renew(cluster, 4, address, 'b'), 'nak');
  assert.equal(cluster.offer(4, 10), undefined);
  cluster.start('a');
  cluster.until('a is back', 60_000, () => cluster.settled('a b') || cluster.settled('b a'));
  assert.equal(cluster.offer(4, 10), undefined);
  await assert.rejects(cluster.operate('a', quarantineClear, { client: hardwareOf(5) }), { code: 'refused' });
  const { cleared } = await cluster.operate('a', quarantineClear, { client: hardwareOf(4), reason: 'cleaned' });
  assert.deepEqual(cleared.map(({ hardware }) => hardware), [hardwareOf(4)]);
  assert.ok(cluster.lease(4) !== undefined);
  assert.deepEqual(cluster.audit('b').map(({ operation, outcome }) => `${operation} ${outcome}`).sort(), ['quarantine.add done', 'quarantine.clear done', 'quarantine.clear refused']);
});

test('at a port everybody is caught, whatever they call themselves, also past the relay', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const first = leaseBehind(cluster, 10, { relayAgentInformation: port('ge-7', 'sw-1') })!;
  const elsewhere = leaseBehind(cluster, 11, { relayAgentInformation: port('ge-7', 'sw-2') })!;
  await cluster.operate('b', quarantineAdd, { circuitId: 'ge-7', remoteId: 'sw-1', reason: REASON });
  cluster.run(300);
  assert.equal(stateOf(cluster, 'a', first), 'RELEASED taken');
  assert.equal(stateOf(cluster, 'a', elsewhere), 'ACTIVE');
  for (const node of ['a', 'b']) assert.equal(renew(cluster, 10, first, node), 'nak', 'option 82 is remembered');
  assert.equal(leaseBehind(cluster, 12, { relayAgentInformation: port('ge-7', 'sw-1'), clientId: Buffer.from('another'), secs: 10 }), undefined);
  assert.equal(renew(cluster, 11, elsewhere, 'a'), 'ack');
  await cluster.operate('a', quarantineClear, { circuitId: 'ge-7' });
  assert.ok(leaseBehind(cluster, 12, { relayAgentInformation: port('ge-7', 'sw-1'), clientId: Buffer.from('another') }) !== undefined);
});

test('it ends by itself, and adding it again moves its end', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  await cluster.operate('a', quarantineAdd, { client: hardwareOf(20), until: '1h', reason: REASON });
  const { changed, quarantine } = await cluster.operate('b', quarantineAdd, { client: hardwareOf(20), until: '5s', reason: 'for a moment' });
  assert.ok(changed);
  assert.equal((await cluster.list('a', quarantineList, {})).length, 1);
  assert.equal(cluster.offer(20, 10), undefined);
  cluster.run(8000);
  assert.ok(cluster.lease(20) !== undefined);
  assert.deepEqual(await cluster.list('b', quarantineList, {}), []);
  await assert.rejects(cluster.operate('a', quarantineClear, { id: quarantine.id }), { code: 'refused' });
});

test('an address that was taken from its client waits for the end of that lease, unless the client is known to be gone', async () => {
  const spec: Partial<ConfigSpec> = { subnets: [subnetConfig({
    name: '10.0.0.0/16', prefixLength: 16, pools: [{ first: ip('10.0.1.0'), last: ip('10.0.1.1') }], authoritative: true, leaseSeconds: 600,
  })] };
  const cluster = OperatedCluster.with(['a'], spec);
  const [one, other] = [cluster.lease(1)!, cluster.lease(2)!];
  cluster.run(60_000);
  await cluster.operate('a', quarantineAdd, { client: hardwareOf(1), reason: REASON });
  await cluster.operate('a', quarantineAdd, { client: hardwareOf(2), reason: REASON });
  cluster.run(120_000);
  assert.equal(cluster.lease(3), undefined, 'both are kept');
  await cluster.operate('a', release, { address: other });
  cluster.run(60_000);
  assert.equal(cluster.lease(3), other);
  cluster.run(340_000);
  assert.equal(cluster.lease(4), undefined);
  cluster.run(60_000);
  assert.equal(cluster.lease(4), one);
});

test('nobody gets an address in quarantine, until it is over', async () => {
  const spec: Partial<ConfigSpec> = { subnets: [subnetConfig({
    name: '10.0.0.0/16', prefixLength: 16, pools: [{ first: ip('10.0.1.0'), last: ip('10.0.1.1') }], authoritative: true,
  })] };
  const cluster = OperatedCluster.with(['a', 'b'], spec);
  await assert.rejects(cluster.operate('a', quarantineAdd, { address: '192.0.2.1', reason: REASON }), { code: 'refused' });
  await cluster.operate('a', quarantineAdd, { address: '10.0.1.1', reason: REASON });
  assert.equal(cluster.lease(1), '10.0.1.0');
  assert.equal(cluster.lease(2), undefined);
  await cluster.operate('b', quarantineClear, { address: '10.0.1.1' });
  assert.equal(cluster.lease(2), '10.0.1.1');
});

test('a class of its own: only where it is let in, with what it is told there, until it is let go', async () => {
  const [ordinary, portal] = [{ first: ip('10.0.1.0'), last: ip('10.0.1.99') }, { first: ip('10.0.9.0'), last: ip('10.0.9.9'), guard: { ...NO_GUARD, allow: [0] } }];
  const spec: Partial<ConfigSpec> = {
    subnets: [subnetConfig({
      name: '10.0.0.0/16', prefixLength: 16, pools: [ordinary, portal], authoritative: true,
      reservations: [{ hardware: { htype: 1, chaddr: chaddrOf(1) }, address: ip('10.0.1.7') }],
    })],
    classes: [{ name: 'shut-out', condition: { kind: 'any', of: [] }, overlay: { lease: leaseTimes(60), options: [{ code: 114, value: Buffer.from('https://portal'), send: 'always' }] } }],
    more: { quarantine: { answer: 'nak', classIndex: 0 } },
  };
  const cluster = OperatedCluster.with(['a', 'b'], spec);
  const before = cluster.lease(1)!;
  assert.equal(before, '10.0.1.7');
  await cluster.operate('a', quarantineAdd, { client: hardwareOf(1), mode: 'class', reason: REASON });
  cluster.run(200);
  for (const node of ['a', 'b']) assert.equal(renew(cluster, 1, before, node), 'nak');
  const within = cluster.lease(1, 10)!;
  assert.match(within, /^10\.0\.9\./);
  const answer = cluster.ask(1, request({ chaddr: chaddrOf(1), xid: 5, ciaddr: ip(within) }), { address: ip(within), to: 'a' })!;
  const ack = parseReply(answer.bytes);
  assert.deepEqual([ack.type, ack.option(51)!.readUInt32BE(), ack.option(114)!.toString()], [5, 60, 'https://portal']);
  cluster.run(1000);
  assert.equal(stateOf(cluster, 'b', within), 'ACTIVE', 'the lease of the class stays');
  await cluster.operate('b', quarantineClear, { client: hardwareOf(1) });
  cluster.run(200);
  assert.equal(stateOf(cluster, 'a', within), 'RELEASED taken');
  for (const node of ['a', 'b']) assert.equal(renew(cluster, 1, within, node), 'nak');
  assert.equal(cluster.lease(1), before);
});

test('silence where that is wanted; a mode that the configuration has no class for is refused', async () => {
  const spec: Partial<ConfigSpec> = { more: { quarantine: { answer: 'silence', classIndex: undefined } } };
  const cluster = OperatedCluster.with(['a'], spec);
  const address = cluster.lease(1)!;
  await assert.rejects(cluster.operate('a', quarantineAdd, { client: hardwareOf(1), mode: 'class', reason: REASON }), { code: 'refused', message: /quarantine\.class/ });
  await cluster.operate('a', quarantineAdd, { client: hardwareOf(1), reason: REASON });
  cluster.run(200);
  assert.equal(renew(cluster, 1, address, 'a'), 'silence');
  assert.equal(cluster.node('a').counters.drops.quarantined, 1);
});

test('a cluster with a node that knows no notes refuses it, and what is malformed', async () => {
  const cluster = new OperatedCluster(['a', 'b']);
  cluster.start('a');
  cluster.start('b', { ...PROTOCOL, max: 2 });
  cluster.until('both are members', 60_000, () => cluster.settled('a b') || cluster.settled('b a'));
  await assert.rejects(cluster.operate('a', quarantineAdd, { client: hardwareOf(1), reason: REASON }), { code: 'refused', message: /upgrade/ });
  for (const wrong of [{}, { client: hardwareOf(1) }, { client: 'x', address: '10.0.1.1', reason: REASON }, { remoteId: 'x', address: '10.0.1.1', reason: REASON }]) {
    assert.equal(quarantineAdd.parameters.safeParse(wrong).success, false);
  }
  const alone = OperatedCluster.of('a');
  for (const wrong of [{ client: 'kitchen' }, { client: hardwareOf(1), until: 'tomorrow' }, { client: hardwareOf(1), until: '2001-01-01' }]) {
    await assert.rejects(alone.operate('a', quarantineAdd, { ...wrong, reason: REASON }), { code: 'bad-request' });
  }
});

test('whoever takes over ends what is left, and refuses to make what another node wants that does not know yet', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const first = leaseBehind(cluster, 10, { relayAgentInformation: port('ge-7', 'sw-1') })!;
  const record = Buffer.from(cluster.host('a').table.read(ip(first))!);
  const [owner, other] = cluster.host('a').owns(ip(first) & 255) ? ['a', 'b'] : ['b', 'a'];
  // The owner has no time to look through its table: it dies with the word.
  await cluster.operate(other, quarantineAdd, { circuitId: 'ge-7', reason: REASON });
  cluster.crash(owner);
  cluster.until('the other one is alone', 60_000, () => cluster.settled(other));
  cluster.run(300);
  assert.equal(stateOf(cluster, other, first), 'RELEASED taken');
  const { server } = cluster.node(other).engine!;
  assert.equal(server.mayApply(ip(first), record, cluster.node(other).now()), false);
  await cluster.operate(other, quarantineClear, { circuitId: 'ge-7' });
  assert.equal(server.mayApply(ip(first), record, cluster.node(other).now()), true);
});

test('a port is found whatever stands beside it, and the strictest of several counts', () => {
  const index = new QuarantineIndex();
  const at = (key: number, mode: 'refuse' | 'class', subject: object): void => index.add({ key, mode, reason: '', subject });
  for (let n = 0; n < 10_000; n++) at(1000 + n, 'refuse', { circuitId: '1', remoteId: `sw-${n}` });
  at(1, 'class', { circuitId: '1', remoteId: 'mine' });
  const shown = { clientId: undefined, htype: 1, chaddr: chaddrOf(1) };
  assert.equal(index.find({ ...shown, relayAgentInformation: port('1', 'mine') })?.key, 1);
  assert.equal(index.find({ ...shown, relayAgentInformation: port('1', 'other') }), undefined);
  assert.equal(index.find({ ...shown, relayAgentInformation: port('1', 'sw-77') })?.key, 1077);
  at(2, 'refuse', { hardware: `\x01${chaddrOf(1).toString('latin1')}` });
  assert.equal(index.find({ ...shown, relayAgentInformation: port('1', 'mine') })?.key, 2);
  index.delete(2);
  at(3, 'class', { circuitId: '1' });
  assert.equal(index.find({ ...shown, relayAgentInformation: port('1', 'other') })?.key, 3);
  for (const { key } of index.all()) index.delete(key);
  assert.deepEqual([index.size, index.ports, index.find({ ...shown, relayAgentInformation: port('1', 'mine') })], [0, 0, undefined]);
});

test('quarantines survive what a later version writes of them', () => {
  const note = (body: object): Note => ({ body, since: 1, expires: 2 });
  const body = { hardware: '01020000000001', reason: 'x', by: 'op', at: '2026-01-01T00:00:00Z' };
  assert.equal(quarantineOf(5, note({ ...body, mode: 'slow', more: [1] }))?.mode, 'refuse');
  assert.equal(quarantineOf(5, note({ ...body, mode: 'class' }))?.mode, 'class');
  for (const wrong of [{ ...body, hardware: 'x' }, { mode: 'refuse' }, []]) assert.equal(quarantineOf(5, note(wrong)), undefined);
});
