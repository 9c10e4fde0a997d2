/**
 * What holds whatever is sent: no packet stops the server, each one has exactly one outcome, and no
 * decision touches another client's lease. The last is watched from the clients' side, on two nodes.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { BindingState, recordClientKey, recordState } from '../../node/lease/record.ts';
import type { Decision } from '../../node/server/ports.ts';
import { addressOption, chaddrOf, clientPacket, ip, parseReply } from '../support/client-packets.ts';
import { packetsOf, subnetConfig, TestServer, twoNodes } from '../support/dhcp-server.ts';
import type { PacketFields } from '../support/dhcp-server.ts';

const POOL = { first: ip('10.0.0.100'), last: ip('10.0.0.107') };
const CLIENTS = 12;

/** A stream of numbers from a seed, so that a failure can be run again. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function someAddress(next: (below: number) => number): number {
  const others = [0, ip('10.0.0.20'), ip('192.0.2.1'), ip('10.0.0.2'), 0xffff_ffff];
  return next(8) === 0 ? others[next(others.length)]! : POOL.first + next(8);
}

/** Any message of any of a few clients, valid in form. */
function somePacket(next: (below: number) => number): { bytes: Buffer; fields: PacketFields } {
  const fields: Record<string, unknown> = { chaddr: chaddrOf(next(CLIENTS)), xid: next(6), secs: next(5), broadcast: next(2) === 0 };
  if (next(2) === 0) fields['requestedAddress'] = someAddress(next);
  if (next(2) === 0) fields['ciaddr'] = someAddress(next);
  if (next(3) === 0) fields['giaddr'] = next(4) === 0 ? ip('192.0.2.9') : ip('10.0.0.1');
  if (next(3) === 0) fields['serverIdentifier'] = [ip('10.0.0.2'), ip('10.0.0.3'), ip('10.0.0.250')][next(3)];
  if (next(3) === 0) fields['clientId'] = Buffer.of(0, next(4), 7);
  if (next(3) === 0) fields['relayAgentInformation'] = Buffer.from([[1, 1, 9], [11, 4, 10, 0, 0, 1], [11, 4, 10], [255]][next(4)]!);
  if (next(3) === 0) fields['parameters'] = [1, 3, 6, next(256), next(256)];
  if (next(4) === 0) fields['options'] = { 57: Buffer.of(next(256), next(256)), 12: Buffer.alloc(next(200), 65) };
  const ciaddr = (fields['ciaddr'] as number | undefined) ?? 0;
  const types = [1, 1, 3, 3, 3, 4, 7, 8];
  return {
    bytes: clientPacket(types[next(types.length)], fields),
    fields: { unicast: next(2) === 0, sourceAddress: next(3) === 0 ? 0 : ciaddr, sourcePort: next(50) === 0 ? 0 : 68 },
  };
}

function mutate(bytes: Buffer, next: (below: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  for (let n = 1 + next(4); n > 0; n--) {
    const from = next(2) === 0 ? 236 : 0;
    copy[from + next(Math.max(1, copy.length - from))] = next(3) === 0 ? [0, 255, 1, 52, 82][next(5)]! : next(256);
  }
  return next(6) === 0 ? copy.subarray(0, next(copy.length + 1)) : copy;
}

const totalDrops = (server: TestServer): number => Object.values(server.counters.drops).reduce((sum, count) => sum + count, 0);

/** Carries a decision out after looking at what it would change. */
function receiveChecked(server: TestServer, bytes: Buffer, fields: PacketFields): Decision {
  const before = totalDrops(server);
  const { now } = server;
  const packet = { iface: IFACE, sourceAddress: 0, sourcePort: 68, unicast: false, ...fields, bytes, receivedAt: now.mono };
  const decision = server.server.onPacket(packet, now);
  const acted = packetsOf(decision).length + decision.changes.length + decision.forwarded.length + decision.allocations.length > 0;
  assert.equal(totalDrops(server) - before, acted ? 0 : 1, 'one outcome');
  for (const { address, record } of [...decision.changes, ...decision.forwarded]) {
    const current = server.table.read(address);
    if (current === undefined || recordState(current) !== BindingState.ACTIVE) continue;
    assert.deepEqual(recordClientKey(record), recordClientKey(current), "another client's lease");
  }
  for (const reply of packetsOf(decision)) parseReply(reply.bytes);
  return server.carryOut(decision);
}

const IFACE = { name: 'eth0', index: 2, mtu: 1500, addresses: [{ address: ip('10.0.0.2'), prefixLength: 24 }] };

test('10,000 mutations of real packets: none stops the server, each has one outcome, none changes another client\'s lease', () => {
  const next = random(20_251);
  const server = new TestServer({ subnets: [subnetConfig({ pools: [POOL], authoritative: true })] });
  let acted = 0;
  for (let i = 0; i < 10_000; i++) {
    const { bytes, fields } = somePacket(next);
    const decision = receiveChecked(server, next(3) === 0 ? bytes : mutate(bytes, next), fields);
    if (packetsOf(decision).length > 0) acted++;
    server.advance(next(3000));
    if (next(10) === 0) server.carryOut(server.server.tick(server.now));
  }
  assert.ok(acted > 500, 'most of it would say nothing otherwise');
});

test('any bytes at all: none stops the server and each is counted once', () => {
  const server = new TestServer({ view: twoNodes() });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 700 }), fc.boolean(), (bytes, unicast) => {
    receiveChecked(server, Buffer.from(bytes), { unicast });
  }), { numRuns: 500 });
});

test('any options behind a valid header: none stops the server and each is counted once', () => {
  const server = new TestServer({ subnets: [subnetConfig({ authoritative: true })] });
  const code = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(50, 51, 52, 53, 54, 55, 57, 61, 82));
  const options = fc.array(fc.tuple(code, fc.uint8Array({ maxLength: 300 })), { maxLength: 12 });
  fc.assert(fc.property(fc.constantFrom(1, 3, 4, 7, 8), options, (type, list) => {
    const bytes = clientPacket(type, { options: Object.fromEntries(list.map(([code, value]) => [code, Buffer.from(value)])) });
    receiveChecked(server, bytes, {});
  }), { numRuns: 500 });
});

// ── two nodes, watched by their clients ──────────────────────────────────────────────────────────

/** Who holds what, as the clients know it: until when by their own reckoning. */
class Clients {
  readonly #held = new Map<number, { client: string; until: number }>();
  acks = 0;

  onAck(address: number, client: string, until: number, now: number): void {
    const held = this.#held.get(address);
    if (held !== undefined && held.until > now) assert.equal(client, held.client, `${address} has two holders`);
    this.#held.set(address, { client, until });
    this.acks++;
  }

  /** Before the packet leaves: from then on the client no longer uses the address. */
  gives(address: number, client: string): void {
    if (this.#held.get(address)?.client === client) this.#held.delete(address);
  }
}

const SHORT_LEASES = [subnetConfig({ pools: [POOL], leaseSeconds: 60, authoritative: true })];

class Pair {
  readonly a = new TestServer({ view: twoNodes('a'), subnets: SHORT_LEASES, maxClockSkewMs: 0 });
  readonly b = new TestServer({ view: twoNodes('b'), subnets: SHORT_LEASES, maxClockSkewMs: 0 });
  readonly clients = new Clients();
  forwarded = 0;
  borrowed = 0;

  advance(milliseconds: number): void {
    for (const node of [this.a, this.b]) node.advance(milliseconds);
    for (const node of [this.a, this.b]) this.carryOut(node, node.server.tick(node.now));
  }

  carryOut(node: TestServer, decision: Decision): void {
    const other = node === this.a ? this.b : this.a;
    let committed = true;
    for (const { address, record } of decision.changes) {
      for (const each of [node, other]) each.store(address, Buffer.from(record));
    }
    for (const { address, record } of decision.forwarded) {
      committed = other.server.mayApply(address, record, other.now);
      if (!committed) continue;
      this.forwarded++;
      for (const each of [node, other]) each.store(address, Buffer.from(record));
    }
    for (const { id, pools, clientKey, clientSlot } of decision.allocations) {
      const address = other.server.allocateFor(pools, clientKey, clientSlot, other.now);
      if (address !== 0) this.borrowed++;
      this.carryOut(node, node.server.onAllocated(id, address, node.now));
    }
    if (!committed) return;
    for (const { reply } of decision.sendOnCommit) {
      const ack = parseReply(reply.bytes);
      const client = ack.clientKey('client-id').toString('hex');
      this.clients.onAck(ack.yiaddr, client, node.now.mono + ack.optionU32(51)! * 1000, node.now.mono);
    }
  }
}

test('two nodes never let two clients hold one address, however clients, times and nodes are mixed', () => {
  let [acks, forwarded, borrowed] = [0, 0, 0];
  for (let seed = 1; seed <= 80; seed++) {
    const next = random(seed * 7919);
    const pair = new Pair();
    for (let i = 0; i < 250; i++) {
      const node = next(2) === 0 ? pair.a : pair.b;
      const { bytes, fields } = somePacket(next);
      const message = { type: bytes[242]!, client: clientOf(bytes), ciaddr: bytes.readUInt32BE(12) };
      if (message.type === 7) pair.clients.gives(message.ciaddr, message.client);
      if (message.type === 4) pair.clients.gives(requestedOf(bytes), message.client);
      const packet = { iface: IFACE, sourceAddress: 0, sourcePort: 68, unicast: false, ...fields, bytes, receivedAt: node.now.mono };
      pair.carryOut(node, node.server.onPacket(packet, node.now));
      pair.advance(next(40) === 0 ? 90_000 : next(1500));
    }
    acks += pair.clients.acks;
    forwarded += pair.forwarded;
    borrowed += pair.borrowed;
  }
  assert.ok(acks > 400 && forwarded > 50 && borrowed > 20, `too little happened: ${acks} ${forwarded} ${borrowed}`);
});

function clientOf(bytes: Buffer): string {
  const at = bytes.indexOf(Buffer.of(61, 3, 0), 240);
  if (bytes[243] === 61 && at === 243) return bytes.subarray(245, 248).toString('hex');
  return Buffer.concat([Buffer.of(1), bytes.subarray(28, 34)]).toString('hex');
}

function requestedOf(bytes: Buffer): number {
  const at = bytes.indexOf(Buffer.from([50, 4]), 243);
  return at < 0 ? 0 : bytes.readUInt32BE(at + 2);
}

test('addresses in options are written as the helpers say', () => {
  const bytes = clientPacket(4, { requestedAddress: ip('10.0.0.101'), clientId: Buffer.of(0, 2, 7) });
  assert.deepEqual([requestedOf(bytes), clientOf(bytes)], [addressOption(ip('10.0.0.101')).readUInt32BE(), '000207']);
});
