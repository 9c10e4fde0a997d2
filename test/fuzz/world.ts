/**
 * A server, or two that share their pools, to which packets are sent one by one. Every decision is looked
 * at before it is carried out, and everything it changed is kept beside the table in a plain map.
 */
import assert from 'node:assert/strict';
import { BINDING_STATE_NAMES, recordSection, recordState, BindingState, recordClientKey, SectionKind } from '../../node/lease/record.ts';
import { reuseSeconds } from '../../node/lease/reuse.ts';
import { REPLY_AGE_MS_MAX } from '../../node/limits.ts';
import type { Decision, OutgoingPacket, ProbeRequest } from '../../node/server/ports.ts';
import { MESSAGE_TYPE_NAMES } from '../../node/telemetry/counters.ts';
import type { PacketFields } from '../support/dhcp-server.ts';
import { IFACE, packetsOf, TestServer, twoNodes } from '../support/dhcp-server.ts';
import { whyNotAnswered, whyNotDue, whyTooLate, whyUnasked } from './oracle.ts';
import type { Asked, Before } from './oracle.ts';
import type { Sent } from './packets.ts';
import { addressIn, clientKeyOf, readTwice, suboptionOf } from './reference.ts';
import type { Reading } from './reference.ts';
import { checkTable } from './tables.ts';
import { networkOf, poolOf, reservedFor } from './worlds.ts';
import type { WorldOptions } from './worlds.ts';

const NO_BYTES = Buffer.alloc(0);
const MAX_CLOCK_SKEW_MS = 10_000;
const DISCOVER = 1;
const OPTION_OVERLOAD = 52;
const RELAY_AGENT_INFORMATION = 82;
const SUBNET_SELECTION = 118;
/** Sub-options of option 82: RFC 3046 §2.0 and RFC 3527 §3. */
const CIRCUIT_ID = 1;
const LINK_SELECTION = 5;
/** A buffer is used again for the next packet: whatever still points into it sees this. */
const USED_AGAIN = 0x5a;

export interface Tally {
  /** By what became of a packet: a drop reason, or what the server did. */
  readonly outcomes: Record<string, number>;
  /** By the new state. */
  readonly changes: Record<string, number>;
  /** By message type. */
  readonly replies: Record<string, number>;
}

/** A change for the other node to make, as long as the binding is as it was. */
interface UnderWay {
  readonly from: TestServer;
  readonly asked: Asked;
  readonly decision: Decision;
  readonly seen: Buffer | undefined;
}

/** Whether somebody uses the address is asked for this packet. */
interface Probing {
  readonly from: TestServer;
  readonly asked: Asked;
  readonly probe: ProbeRequest;
}

export class World {
  readonly options: WorldOptions;
  readonly tally: Tally = { outcomes: {}, changes: {}, replies: {} };
  readonly #nodes: readonly TestServer[];
  /** Newest record by address. */
  readonly #bindings = new Map<number, Buffer>();
  /** On their way; they arrive when time passes. */
  readonly #underWay: UnderWay[] = [];
  readonly #probing: Probing[] = [];
  /** By node: the packets whose address was in use, to be handled anew with the next turns. */
  readonly #again = new Map<TestServer, Asked[]>();
  /** The address that the last packet's client was told of; 0: none. */
  told = 0;

  constructor(options: WorldOptions) {
    this.options = options;
    const views = options.pair ? [{ view: twoNodes('a') }, { view: twoNodes('b') }] : [{}];
    this.#nodes = views.map((view) => new TestServer({ ...options.config, ...view }));
    for (const node of this.#nodes) {
      // As at every start: it begins to count the leases of relay ports.
      node.table.load(node.now);
      this.#again.set(node, []);
    }
  }

  /** `node`: which of two it reaches. Throws where something is wrong. */
  receive({ bytes, envelope }: Sent, node: number): void {
    this.told = 0;
    const server = this.#nodes[node % this.#nodes.length]!;
    const { now } = server;
    const reading = readTwice(Buffer.from(bytes));
    const dropsBefore = dropsOf(server);
    const packet = { iface: IFACE, sourceAddress: 0, sourcePort: 68, unicast: false, ...envelope, bytes, receivedAt: now.mono };
    const decision = server.server.onPacket(packet, now);
    bytes.fill(USED_AGAIN);

    const dropsAfter = dropsOf(server);
    const dropped = dropsAfter.findIndex((count, i) => count !== dropsBefore[i]);
    const outcome = whatBecame(decision);
    const drops = sum(dropsAfter) - sum(dropsBefore);
    assert.equal(drops, outcome === undefined ? 1 : 0, `one outcome: ${outcome ?? 'nothing'} and ${drops} drops`);
    count(this.tally.outcomes, outcome ?? Object.keys(server.counters.drops)[dropped]!);
    if (typeof reading === 'string') {
      assert.equal(outcome, undefined, `${outcome} for what is no message`);
      return;
    }
    if (outcome !== undefined) this.#carryOut(server, decision, this.#asked(reading, envelope, server));
  }

  advance(milliseconds: number): void {
    for (const server of this.#nodes) server.advance(milliseconds);
    for (const underWay of this.#underWay.splice(0)) this.#arrive(underWay);
    for (const probing of this.#probing.splice(0)) this.#probed(probing);
    for (const server of this.#nodes) {
      const waiting = this.#again.get(server)!;
      while (waiting.length > 0 && isTooOld(waiting[0]!, server)) waiting.shift();
      const decision = server.server.tick(server.now);
      const endsLeases = decision.changes.some(({ record }) => recordState(record) === BindingState.EXPIRED);
      const again = endsLeases ? undefined : waiting.shift();
      if (again !== undefined) {
        count(this.tally.changes, 'chosen again');
        this.#carryOut(server, decision, { ...again, now: server.now });
        continue;
      }
      assert.deepEqual([decision.forwarded, decision.allocations, decision.probes, packetsOf(decision)], [[], [], [], []]);
      for (const { address, record } of decision.changes) {
        ok(whyNotDue(record, this.#binding(server, address), server.now), 'a lease ended');
        this.#store(address, record);
      }
    }
  }

  /** At the end: every table is what one is that is made anew of what was stored. */
  checkTables(): void {
    this.advance(1);
    for (const server of this.#nodes) checkTable(this.options, server, this.#bindings);
  }

  // ── decisions ────────────────────────────────────────────────────────────────────────────────

  #carryOut(server: TestServer, decision: Decision, asked: Asked): void {
    const { changes, forwarded } = decision;
    assert.ok(changes.length + forwarded.length <= 1, 'one change');
    for (const { address, record } of [...changes, ...forwarded]) {
      ok(whyUnasked(asked, address, record, this.#before(server, address, asked)), 'a change that no client asked for');
    }
    this.#change(server, decision, asked);
    for (const probe of decision.probes) this.#probing.push({ from: server, asked, probe });
    for (const { id, pools, clientKey, clientSlot } of decision.allocations) {
      assert.deepEqual(Buffer.from(clientKey), asked.clientKey);
      const other = this.#other(server);
      const address = other.server.allocateFor(pools, clientKey, clientSlot, other.now);
      if (address !== 0) count(this.tally.changes, 'borrowed');
      this.#carryOut(server, this.#answer(server, () => server.server.onAllocated(id, address, server.now)), asked);
    }
  }

  /** Stores what is the node's own to change, and sends what is not, with the replies that wait for it. */
  #change(server: TestServer, decision: Decision, asked: Asked): void {
    for (const { address, record } of decision.changes) this.#store(address, record);
    for (const { address } of decision.forwarded) this.#underWay.push({ from: server, asked, decision, seen: this.#binding(server, address) });
    if (decision.forwarded.length === 0) for (const reply of packetsOf(decision)) this.#answered(server, asked, reply);
  }

  /** A packet that waited is handled again: as with every packet something comes of it, or it is dropped. */
  #answer(server: TestServer, decide: () => Decision): Decision {
    const before = sum(dropsOf(server));
    const decision = decide();
    assert.equal(sum(dropsOf(server)) - before, whatBecame(decision) === undefined ? 1 : 0, 'one outcome of what waited');
    return decision;
  }

  #arrive({ from, asked, decision, seen }: UnderWay): void {
    const other = this.#other(from);
    for (const { address, record, owner } of decision.forwarded) {
      assert.equal(owner, other.view.self);
      const current = this.#binding(other, address);
      if (current !== seen || !other.server.mayApply(address, record, other.now)) {
        count(this.tally.changes, 'forwarded in vain');
        return;
      }
      ok(whyTooLate(record, asked, this.#before(other, address, asked)), 'a change that came too late');
      count(this.tally.changes, 'forwarded');
      this.#store(address, record);
    }
    for (const reply of packetsOf(decision)) this.#answered(from, asked, reply);
  }

  /** The answer to a probe. An address that was leased meanwhile stays as it is: its client may be who answered. */
  #probed({ from, asked, probe: { id, address } }: Probing): void {
    const before = this.#binding(from, address);
    const isLeased = before !== undefined &&
      (recordState(before) === BindingState.ACTIVE || reuseSeconds(before, MAX_CLOCK_SKEW_MS) > from.now.wall / 1000);
    const isInUse = id % 4 === 0;
    count(this.tally.changes, isInUse ? isLeased ? 'leased while probed' : 'found in use' : 'found free');
    if (!isInUse || isLeased) {
      const decision = this.#answer(from, () => from.server.onProbed(id, isInUse, undefined, from.now));
      this.#carryOut(from, decision, { ...asked, now: from.now });
      return;
    }
    const decision = from.server.onProbed(id, true, undefined, from.now);
    const changes = [...decision.changes, ...decision.forwarded].map((change) => [change.address, recordState(change.record)]);
    assert.deepEqual(changes, [[address, BindingState.ABANDONED]]);
    assert.deepEqual([decision.allocations, decision.probes, packetsOf(decision)], [[], [], []]);
    this.#change(from, decision, asked);
    if (!isTooOld(asked, from)) this.#again.get(from)!.push(asked);
  }

  #answered(server: TestServer, asked: Asked, { bytes, address, port }: OutgoingPacket): void {
    const reply = readTwice(bytes, 2);
    if (typeof reply === 'string') assert.fail(`an answer that is none: ${reply}`);
    const yiaddr = bytes.readUInt32BE(16);
    ok(whyNotAnswered(asked, reply, { record: this.#binding(server, yiaddr), offer: server.table.offers.holder(yiaddr) }), 'an answer that is wrong');
    assert.ok(bytes.length >= 300 && bytes.length <= IFACE.mtu - 28, `${bytes.length} bytes`);
    assert.ok(address !== 0 && (port === 67 || port === 68 || port === asked.sourcePort), `to ${address}:${port}`);
    count(this.tally.replies, MESSAGE_TYPE_NAMES[reply.type] ?? 'other');
    if (reply.options.has(OPTION_OVERLOAD)) count(this.tally.replies, 'with option overload');
    if (reply.type === 0) count(this.tally.replies, 'to a BOOTP client');
    if (reply.options.has(80)) count(this.tally.replies, 'with rapid commit');
    if (yiaddr !== 0) this.told = yiaddr;
  }

  #store(address: number, record: Buffer): void {
    count(this.tally.changes, BINDING_STATE_NAMES[recordState(record)]);
    for (const node of this.#nodes) node.store(address, record);
    // Of its own: nobody may change a record that is stored.
    this.#bindings.set(address, Buffer.from(record));
  }

  // ── what is known ────────────────────────────────────────────────────────────────────────────

  #asked(reading: Reading, envelope: PacketFields, server: TestServer): Asked {
    const identity = this.options.identityOf(reading);
    return {
      reading, clientKey: clientKeyOf(reading, identity), byClientIdentifier: identity === 'client-id' && reading.options.has(61),
      sourceAddress: envelope.sourceAddress ?? 0, sourcePort: envelope.sourcePort ?? 68, relayAgentInformation: this.#relayAgentInformation(reading), now: server.now,
      leaseSeconds: this.options.leaseSeconds, receivedAt: server.now.mono,
    };
  }

  /** A client that renews past its relay is still where its relay said. */
  #relayAgentInformation(reading: Reading): Buffer {
    const sent = reading.options.get(RELAY_AGENT_INFORMATION);
    if (sent !== undefined) return sent;
    const record = this.#bindings.get(reading.ciaddr);
    if (reading.giaddr !== 0 || reading.type === DISCOVER || record === undefined || recordState(record) !== BindingState.ACTIVE) return NO_BYTES;
    const keys = (['client-id', 'hardware'] as const).map((identity) => clientKeyOf(reading, identity));
    return keys.some((key) => key.equals(recordClientKey(record))) ? recordSection(record, SectionKind.relayAgentInformation) : NO_BYTES;
  }

  #before(server: TestServer, address: number, { reading, relayAgentInformation }: Asked): Before {
    const { options } = this;
    const pool = poolOf(options, address);
    const subnet = pool?.subnet ?? options.config.subnets[0]!;
    const link = suboptionOf(reading.options.get(RELAY_AGENT_INFORMATION), LINK_SELECTION);
    const named = [
      reading.giaddr === 0 ? IFACE.addresses[0]!.address : reading.giaddr, reading.ciaddr, addressIn(reading, SUBNET_SELECTION) ?? 0,
      link?.length === 4 ? link.readUInt32BE() : 0,
    ];
    const network = networkOf(options, address);
    return {
      record: this.#binding(server, address), offer: server.table.offers.holder(address),
      reserved: reservedFor(options, address, reading, suboptionOf(relayAgentInformation, CIRCUIT_ID)),
      usable: pool !== undefined && options.mayUse(pool.first, reading) && named.some((each) => networkOf(options, each) === network),
      rapidCommit: subnet.scope?.rapidCommit ?? false, bootp: subnet.scope?.bootp ?? false,
    };
  }

  /** As the table has it, which must be as it was stored. */
  #binding(server: TestServer, address: number): Buffer | undefined {
    const record = server.table.read(address);
    const kept = this.#bindings.get(address);
    if (record !== kept && (record === undefined || kept === undefined || !record.equals(kept))) assert.fail('the table has another record than was stored');
    return kept;
  }

  #other(server: TestServer): TestServer {
    const other = this.#nodes.find((node) => node !== server);
    assert.ok(other !== undefined, 'something for another node, and there is none');
    return other;
  }
}

const isTooOld = ({ receivedAt }: Asked, { now }: TestServer): boolean => now.mono - receivedAt > REPLY_AGE_MS_MAX;
const dropsOf = (server: TestServer): number[] => Object.values(server.counters.drops);
const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

function count(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

function ok(wrong: string | undefined, what: string): void {
  if (wrong !== undefined) assert.fail(`${what}: ${wrong}`);
}

/** Undefined: nothing at all. */
function whatBecame({ changes, forwarded, allocations, probes, sendNow, sendOnCommit, sendOnConfirm }: Decision): string | undefined {
  if (changes.length > 0) return 'changed';
  if (forwarded.length > 0) return 'forwarded';
  if (allocations.length > 0) return 'asked another owner';
  if (probes.length > 0) return 'asked the network';
  if (sendOnCommit.length > 0) return 'answered again';
  if (sendOnConfirm.length > 0) return 'refused';
  return sendNow.length > 0 ? 'answered' : undefined;
}
