/**
 * A server, or two that share a pool, to which packets are sent one by one. Every decision is looked at
 * before it is carried out, and everything it changed is kept beside the table in a plain map.
 */
import assert from 'node:assert/strict';
import type { Identity, SubnetConfig } from '../../node/config/types.ts';
import { BindingState, BINDING_STATE_NAMES, recordClientKey, recordLastTransaction, recordState } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import { OFFER_HOLD_MS } from '../../node/limits.ts';
import { MESSAGE_TYPE_NAMES } from '../../node/telemetry/counters.ts';
import type { Decision } from '../../node/server/ports.ts';
import { ip } from '../support/client-packets.ts';
import { IFACE, packetsOf, subnetConfig, TestServer, twoNodes } from '../support/dhcp-server.ts';
import type { FakeView } from '../support/dhcp-server.ts';
import { whyNotAnswered, whyNotDue, whyTooLate, whyUnasked } from './oracle.ts';
import type { Asked, Before } from './oracle.ts';
import type { Sent } from './packets.ts';
import { clientKeyOf, readTwice } from './reference.ts';

const OPTION_OVERLOAD = 52;
const MAX_CLOCK_SKEW_MS = 10_000;
/** A buffer is used again for the next packet: whatever still points into it sees this. */
const USED_AGAIN = 0x5a;
const POOL = { first: ip('10.0.0.100'), last: ip('10.0.0.199') };

export interface WorldOptions {
  readonly name: string;
  readonly identity: Identity;
  readonly subnets: readonly SubnetConfig[];
  readonly pair: boolean;
}

/** In `SubnetConfig`, whatever its shape. */
const withFields = (fields: object): SubnetConfig => subnetConfig(fields);

/** More than most replies have room for: some go into 'file' and 'sname', and some are left out. */
const MANY_OPTIONS = [[3, 8], [6, 40], [12, 30], [15, 60], [43, 300], [66, 50], [67, 120], [119, 90], [121, 64]]
  .map(([code, length]) => ({ code, value: Buffer.alloc(length!, code) }));

export const WORLDS: readonly WorldOptions[] = [
  { name: 'one node', identity: 'client-id', subnets: [subnetConfig()], pair: false },
  {
    name: 'one node, by hardware address, authoritative, short leases', identity: 'hardware', pair: false,
    subnets: [withFields({ identity: 'hardware', authoritative: true, leaseSeconds: 60, options: MANY_OPTIONS })],
  },
  { name: 'two nodes', identity: 'client-id', subnets: [withFields({ authoritative: true })], pair: true },
];

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

export class World {
  readonly options: WorldOptions;
  readonly tally: Tally = { outcomes: {}, changes: {}, replies: {} };
  readonly #nodes: readonly TestServer[];
  /** Newest record by address. */
  readonly #bindings = new Map<number, Buffer>();
  /** On their way to the other node; they arrive when time passes. */
  readonly #underWay: UnderWay[] = [];
  /** The address that the last packet's client was told of; 0: none. */
  told = 0;

  constructor(options: WorldOptions) {
    this.options = options;
    const views: FakeView[] | undefined[] = options.pair ? [twoNodes('a'), twoNodes('b')] : [undefined];
    this.#nodes = views.map((view) => new TestServer({ subnets: options.subnets, maxClockSkewMs: MAX_CLOCK_SKEW_MS, ...(view && { view }) }));
  }

  /** `node`: which of two it reaches. Throws where something is wrong. */
  receive({ bytes, envelope }: Sent, node: number): void {
    this.told = 0;
    const server = this.#nodes[node % this.#nodes.length]!;
    const { now } = server;
    const kept = Buffer.from(bytes);
    const reading = readTwice(kept);
    const dropsBefore = dropsOf(server);
    const packet = { iface: IFACE, sourceAddress: 0, sourcePort: 68, unicast: false, ...envelope, bytes, receivedAt: now.mono };
    const decision = server.server.onPacket(packet, now);
    bytes.fill(USED_AGAIN);

    const dropped = dropsOf(server).findIndex((count, i) => count !== dropsBefore[i]);
    const outcome = whatBecame(decision);
    const drops = sum(dropsOf(server)) - sum(dropsBefore);
    assert.equal(drops, outcome === undefined ? 1 : 0, `one outcome: ${outcome ?? 'nothing'} and ${drops} drops`);
    count(this.tally.outcomes, outcome ?? Object.keys(server.counters.drops)[dropped]!);
    if (typeof reading === 'string') {
      assert.equal(outcome, undefined, `${outcome} for what is no message`);
      return;
    }
    const { identity } = this.options;
    this.#carryOut(server, decision, {
      reading, now, clientKey: clientKeyOf(reading, identity), sourceAddress: packet.sourceAddress,
      byClientIdentifier: identity === 'client-id' && reading.options.has(61),
    });
  }

  advance(milliseconds: number): void {
    for (const server of this.#nodes) server.advance(milliseconds);
    for (const underWay of this.#underWay.splice(0)) this.#arrive(underWay);
    for (const server of this.#nodes) {
      const decision = server.server.tick(server.now);
      assert.deepEqual([decision.forwarded, decision.allocations, packetsOf(decision)], [[], [], []]);
      for (const { address, record } of decision.changes) {
        ok(whyNotDue(record, this.#binding(server, address), server.now), 'a lease ended');
        this.#store(address, record);
      }
    }
  }

  #carryOut(server: TestServer, decision: Decision, asked: Asked): void {
    const { changes, forwarded } = decision;
    assert.ok(changes.length + forwarded.length <= 1, 'one change');
    for (const { address, record } of [...changes, ...forwarded]) {
      ok(whyUnasked(asked, address, record, this.#before(server, address)), 'a change that no client asked for');
    }
    for (const { address, record } of changes) this.#store(address, record);
    for (const { address } of forwarded) this.#underWay.push({ from: server, asked, decision, seen: this.#binding(server, address) });
    if (forwarded.length === 0) for (const reply of packetsOf(decision)) this.#answered(server, asked, reply);
    for (const { id, subnetIndex, clientKey } of decision.allocations) {
      assert.deepEqual(Buffer.from(clientKey), asked.clientKey);
      const other = this.#other(server);
      const address = other.server.allocateFor(subnetIndex, clientKey, other.now);
      if (address !== 0) count(this.tally.changes, 'borrowed');
      const exhausted = server.counters.drops['pool-exhausted'];
      const answer = server.server.onAllocated(id, address, server.now);
      assert.ok(whatBecame(answer) !== undefined || server.counters.drops['pool-exhausted'] > exhausted, 'nothing came of the allocation');
      this.#carryOut(server, answer, asked);
    }
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
      ok(whyTooLate(asked, this.#before(other, address)), 'a change that came too late');
      count(this.tally.changes, 'forwarded');
      this.#store(address, record);
    }
    for (const reply of packetsOf(decision)) this.#answered(from, asked, reply);
  }

  #answered(server: TestServer, asked: Asked, { bytes, address, port }: { readonly bytes: Buffer; readonly address: number; readonly port: number }): void {
    const reply = readTwice(bytes, 2);
    if (typeof reply === 'string') assert.fail(`an answer that is none: ${reply}`);
    const yiaddr = bytes.readUInt32BE(16);
    ok(whyNotAnswered(asked, reply, { record: this.#binding(server, yiaddr), offer: server.table.offers.holder(yiaddr) }), 'an answer that is wrong');
    assert.ok(bytes.length >= 300 && bytes.length <= IFACE.mtu - 28, `${bytes.length} bytes`);
    assert.ok(address !== 0 && (port === 67 || port === 68), `to ${address}:${port}`);
    count(this.tally.replies, MESSAGE_TYPE_NAMES[reply.type] ?? 'other');
    if (reply.options.has(OPTION_OVERLOAD)) count(this.tally.replies, 'with option overload');
    if (yiaddr !== 0) this.told = yiaddr;
  }

  #other(server: TestServer): TestServer {
    const other = this.#nodes.find((node) => node !== server);
    assert.ok(other !== undefined, 'a change for another node, and there is none');
    return other;
  }

  #before(server: TestServer, address: number): Before {
    return { record: this.#binding(server, address), offer: server.table.offers.holder(address), mayBeGiven: address >= POOL.first && address <= POOL.last };
  }

  /** As the table has it, which must be as it was stored. */
  #binding(server: TestServer, address: number): Buffer | undefined {
    const record = server.table.read(address);
    const kept = this.#bindings.get(address);
    if (record !== kept && (record === undefined || kept === undefined || !record.equals(kept))) assert.fail('the table has another record than was stored');
    return kept;
  }

  #store(address: number, record: Buffer): void {
    count(this.tally.changes, BINDING_STATE_NAMES[recordState(record)]);
    for (const node of this.#nodes) node.store(address, record);
    // The nodes stamp the record in the same way, and it is theirs from now on.
    this.#bindings.set(address, Buffer.from(record));
  }

  // ── at the end ───────────────────────────────────────────────────────────────────────────────

  /** The tables are what a table is that is made anew of what was stored. */
  checkTables(): void {
    const records = [...this.#bindings].map(([address, record]) => ({ address, record })).sort((a, b) => a.address - b.address);
    this.advance(OFFER_HOLD_MS + 1);
    for (const { table, now } of this.#nodes) {
      table.advance(now, Infinity);
      const stored = [...this.#bindings].map(([address, record]) => ({ address, record })).sort((a, b) => a.address - b.address);
      assert.deepEqual(table.records(-1, records.length + 1), stored, 'all that was stored, and nothing else');
      const scan = (after: number, limit: number): { address: number; record: Buffer }[] => stored.filter(({ address }) => address > after).slice(0, limit);
      const disk = { read: (address: number) => this.#bindings.get(address), readMeta: (): undefined => undefined, scan };
      const anew = new LeaseTable(new BindingStore(disk), this.options.subnets, { maxClockSkewMs: MAX_CLOCK_SKEW_MS });
      anew.load(now);
      assert.deepEqual([table.size, table.counts(0), table.freeBySlot(0)], [anew.size, anew.counts(0), anew.freeBySlot(0)]);
      for (const { record } of stored) {
        const clientKey = recordClientKey(record);
        assert.deepEqual(ascending(table.findAllByClient(clientKey)), ascending(anew.findAllByClient(clientKey)));
        // Of two bindings that are equally good either may be found.
        assert.equal(this.#rank(table.findByClient(clientKey, 0)), this.#rank(anew.findByClient(clientKey, 0)));
      }
      for (let address = POOL.first; address <= POOL.last; address++) {
        const nobody = Buffer.from('nobody');
        assert.equal(table.mayGive(address, nobody, 0, now), anew.mayGive(address, nobody, 0, now), `${address} may be given`);
      }
    }
  }

  #rank(address: number): number {
    const record = this.#bindings.get(address);
    return record === undefined ? 0 : recordLastTransaction(record) + (recordState(record) === BindingState.ACTIVE ? 2 ** 32 : 0);
  }
}

const dropsOf = (server: TestServer): number[] => Object.values(server.counters.drops);
const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
const ascending = (addresses: number[]): number[] => addresses.sort((a, b) => a - b);

function count(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

function ok(wrong: string | undefined, what: string): void {
  if (wrong !== undefined) assert.fail(`${what}: ${wrong}`);
}

/** Undefined: nothing at all. */
function whatBecame({ changes, forwarded, allocations, sendNow, sendOnCommit, sendOnConfirm }: Decision): string | undefined {
  if (changes.length > 0) return 'changed';
  if (forwarded.length > 0) return 'forwarded';
  if (allocations.length > 0) return 'asked another owner';
  if (sendOnCommit.length > 0) return 'answered again';
  if (sendOnConfirm.length > 0) return 'refused';
  return sendNow.length > 0 ? 'answered' : undefined;
}
