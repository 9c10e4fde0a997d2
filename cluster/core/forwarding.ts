/**
 * Between owners (ARCHITECTURE.md, Who owns what): a change of an address that another member owns is
 * proposed to it and answered once it says that it is committed; a free address is borrowed from one
 * whose share has some. Over the link, or through the inbox while that is down.
 */
import { isRecord, recordIncarnation, recordSeq, recordStamp } from '../../node/lease/record.ts';
import type { AllocationRequest, Decision, ForwardedChange, OutgoingPacket, OwnChange } from '../../node/server/ports.ts';
import type { DhcpServer } from '../../node/server/server.ts';
import type { MonotonicMs } from '../../node/time.ts';
import type { Allocate, PeerMessage, Propose, ProposeResult } from '../../proto/gen/replication.ts';
import type { Context } from './context.ts';
import type { ClusterCore } from './core.ts';
import type { RequestBody } from './dispatch.ts';
import { linkUp, memberNamed } from './state.ts';
import { COMMIT_TIMEOUT_MS } from './waiting.ts';
import type { WaitingReplies } from './waiting.ts';

/** Changes under way to other owners, and postponed ones; past it they are dropped and counted. */
const FORWARDED_MAX = 8192;

interface Forwarded {
  readonly owner: string;
  readonly packets: readonly OutgoingPacket[];
  readonly since: MonotonicMs;
}

/** A change of an address that the view gives to this node, which has not finished the view yet. */
interface Postponed extends OwnChange {
  readonly expectedSeq: number;
  readonly expectedIncarnation: number;
  readonly packets: readonly OutgoingPacket[];
  readonly since: MonotonicMs;
}

/** A forwarded change that was made here for another node, which is told once it is committed. */
interface Promised {
  readonly seq: number;
  readonly to: string;
  readonly id: number;
}

export interface ForwardingParts {
  readonly context: Context;
  readonly core: ClusterCore;
  readonly server: DhcpServer;
  readonly waiting: WaitingReplies;
  /** Makes a change of the own log; returns its number. */
  readonly make: (address: number, record: Buffer) => number;
  readonly carryOut: (decision: Decision) => void;
}

export class Forwarding {
  readonly #parts: ForwardingParts;
  readonly #forwarded = new Map<number, Forwarded>();
  #postponed: Postponed[] = [];
  #promised: Promised[] = [];
  #nextId = 1;

  constructor(parts: ForwardingParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#forwarded.size + this.#postponed.length;
  }

  #post(node: string, body: NonNullable<PeerMessage['body']>): void {
    const { context, core } = this.#parts;
    const member = memberNamed(core.state.view, node);
    if (member === undefined) return;
    if (linkUp(core.state, member)) context.out.send(node, body);
    else core.inbox.post(node, { body });
  }

  // ── asking ───────────────────────────────────────────────────────────────────────────────────

  /** The packets leave once the owner has committed the change, if nothing else changed the binding. */
  forward(change: ForwardedChange, packets: readonly OutgoingPacket[]): void {
    const { context, waiting } = this.#parts;
    const { address, owner, record } = change;
    if (this.size >= FORWARDED_MAX) return waiting.dropAll(packets, 'overload');
    const current = context.table.read(address);
    const expected = current === undefined ? { epoch: 0, incarnation: 0, seq: 0 } : recordStamp(current);
    const since = context.now.mono;
    if (owner === context.options.self) {
      this.#postponed.push({ address, record, expectedSeq: expected.seq, expectedIncarnation: expected.incarnation, packets, since });
      return undefined;
    }
    const id = this.#nextId++;
    this.#forwarded.set(id, { owner, packets, since });
    return this.#post(owner, { $case: 'propose', value: {
      id, address, record, expectedEpoch: expected.epoch, expectedIncarnation: expected.incarnation, expectedSeq: expected.seq,
    } });
  }

  borrow({ clientKey, clientSlot, id, owner, pools }: AllocationRequest): void {
    this.#post(owner, { $case: 'allocate', value: { id, client: clientKey, clientSlot, pools: [...pools] } });
  }

  /** Once a turn: what can be made now, what is committed for others, what took too long. */
  step(): void {
    this.#retryPostponed();
    this.#tellPromised();
    const { context, waiting } = this.#parts;
    for (const [id, forwarded] of this.#forwarded) {
      if (context.now.mono - forwarded.since <= COMMIT_TIMEOUT_MS) break;
      this.#forwarded.delete(id);
      waiting.dropAll(forwarded.packets, 'commit-timeout');
    }
  }

  #retryPostponed(): void {
    if (this.#postponed.length === 0) return;
    const { context, core, waiting } = this.#parts;
    this.#postponed = this.#postponed.filter((change) => {
      const slot = change.address & 0xff;
      if (core.owns(slot)) {
        this.#makePostponed(change);
        return false;
      }
      if (core.ownerOf(slot) === context.options.self && context.now.mono - change.since <= COMMIT_TIMEOUT_MS) return true;
      waiting.dropAll(change.packets, 'commit-timeout');
      return false;
    });
  }

  #makePostponed({ address, expectedIncarnation, expectedSeq, packets, record }: Postponed): void {
    const { context, make, server, waiting } = this.#parts;
    if (!this.#isUnchanged(address, expectedIncarnation, expectedSeq) || !server.mayApply(address, record, context.now)) {
      waiting.dropAll(packets, 'forward-refused');
      return;
    }
    make(address, record);
    for (const packet of packets) waiting.forRecord(address, packet, false);
  }

  #isUnchanged(address: number, incarnation: number, seq: number): boolean {
    const current = this.#parts.context.table.read(address);
    if (current === undefined) return seq === 0;
    return recordSeq(current) === seq && recordIncarnation(current) === incarnation;
  }

  // ── being asked, and answered ────────────────────────────────────────────────────────────────

  onRequest(from: string, body: RequestBody): void {
    const { carryOut, context, server } = this.#parts;
    switch (body.$case) {
      case 'propose': return this.#onPropose(from, body.value);
      case 'proposeResult': return this.#onProposeResult(from, body.value);
      case 'allocate': return this.#onAllocate(from, body.value);
      case 'held':
        for (const { address, client, xid } of body.value.offers) server.holdOffered(address, client, xid, context.now);
        return undefined;
      case 'allocateResult': return carryOut(server.onAllocated(body.value.id, body.value.address, context.now));
      default: return body satisfies never;
    }
  }

  #onPropose(from: string, { address, expectedIncarnation, expectedSeq, id, record }: Propose): void {
    const { context, core, make, server } = this.#parts;
    const may = core.serving() && core.owns(address & 0xff) && isRecord(record) &&
      this.#isUnchanged(address, expectedIncarnation, expectedSeq) && server.mayApply(address, record, context.now);
    if (may) this.#promised.push({ seq: make(address, Buffer.from(record)), to: from, id });
    else this.#post(from, { $case: 'proposeResult', value: { id, committed: false } });
  }

  #tellPromised(): void {
    const { committedSeq } = this.#parts.core.state;
    let taken = 0;
    for (const promised of this.#promised) {
      if (promised.seq > committedSeq) break;
      this.#post(promised.to, { $case: 'proposeResult', value: { id: promised.id, committed: true } });
      taken++;
    }
    if (taken > 0) this.#promised = this.#promised.slice(taken);
  }

  #onProposeResult(from: string, result: ProposeResult): void {
    const { waiting } = this.#parts;
    const forwarded = this.#forwarded.get(result.id);
    if (forwarded === undefined || forwarded.owner !== from) return;
    this.#forwarded.delete(result.id);
    if (result.committed) for (const packet of forwarded.packets) waiting.send(packet);
    else waiting.dropAll(forwarded.packets, 'forward-refused');
  }

  #onAllocate(from: string, { client, clientSlot, id, pools }: Allocate): void {
    const { context, server } = this.#parts;
    const address = server.allocateFor(pools, client, clientSlot, context.now);
    this.#post(from, { $case: 'allocateResult', value: { id, address } });
  }

  /** The node is out of the view. */
  forget(): void {
    for (const { packets } of this.#forwarded.values()) this.#parts.waiting.dropAll(packets, 'not-serving');
    for (const { packets } of this.#postponed) this.#parts.waiting.dropAll(packets, 'not-serving');
    this.#forwarded.clear();
    this.#postponed = [];
    this.#promised = [];
  }
}
