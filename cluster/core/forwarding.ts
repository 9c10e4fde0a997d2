/**
 * Between owners (ARCHITECTURE.md, Who owns what): a change of an address that another member owns is
 * proposed to it and answered once it says that it is committed; a free address is borrowed from one
 * whose share has some. Over the link, or through the inbox while that is down.
 *
 * A change that is asked for is not lost with the link that it went over, nor with its owner: it is asked
 * for again through the inbox, or of whoever the next view names. It may then be made twice over, so an owner
 * that has made it answers as if it had been asked for the first time.
 */
import { mergedRecord } from '../../node/ddns/rewrites.ts';
import type { DnsRewrites } from '../../node/ddns/rewrites.ts';
import { isRecord, recordIncarnation, recordSeq, recordStamp, tellsTheSame, type Stamp } from '../../node/lease/record.ts';
import type { AllocationRequest, Decision, ForwardedChange, OutgoingPacket, OwnChange } from '../../node/server/ports.ts';
import type { DhcpServer } from '../../node/server/server.ts';
import type { DropReason } from '../../node/telemetry/counters.ts';
import type { MonotonicMs } from '../../node/time.ts';
import type { Allocate, PeerMessage, Propose, ProposeResult } from '../../proto/gen/replication.ts';
import type { Context } from './context.ts';
import type { ClusterCore } from './core.ts';
import type { RequestBody } from './dispatch.ts';
import { isCommitted, linkUp, memberNamed, otherMembers } from './state.ts';
import { COMMIT_TIMEOUT_MS } from './waiting.ts';
import type { WaitingReplies } from './waiting.ts';

/** Changes under way to other owners, and postponed ones; past it they are dropped and counted. */
const FORWARDED_MAX = 8192;

/** A change of an address that this node does not own, or not yet. */
interface Wanted extends OwnChange {
  /** Of the record that it was decided on; zeros where there was none. */
  readonly expected: Stamp;
  readonly since: MonotonicMs;
}

/** Asked for here, of another owner. */
interface Forwarded extends Wanted {
  readonly packets: readonly OutgoingPacket[];
  owner: string;
  ownerIncarnation: number;
  /** It may have gone over the link, and is lost if that goes down. */
  overLink: boolean;
}

/**
 * Of an address that the view gives to this node, which has not finished the view yet: wanted here, or by
 * another node, which is told what became of it.
 */
interface Postponed extends Wanted {
  readonly packets: readonly OutgoingPacket[];
  readonly for?: { readonly to: string; readonly id: number };
}

/** A forwarded change that was made here for another node, which is told once it is committed. */
interface Promised {
  readonly seq: number;
  readonly to: string;
  readonly id: number;
}

const NO_STAMP: Stamp = { epoch: 0, incarnation: 0, seq: 0 };

export interface ForwardingParts {
  readonly context: Context;
  readonly core: ClusterCore;
  readonly server: DhcpServer;
  readonly waiting: WaitingReplies;
  /** Makes a change of the own log; returns its number. */
  readonly make: (address: number, record: Buffer) => number;
  /** Changes of an address that concerned DNS alone. */
  readonly rewrites: DnsRewrites;
  readonly carryOut: (decision: Decision) => void;
}

export class Forwarding {
  readonly #parts: ForwardingParts;
  readonly #forwarded = new Map<number, Forwarded>();
  #postponed: Postponed[] = [];
  #promised: Promised[] = [];
  #nextId = 1;
  /** The view and the links as they were when everything forwarded was last on its way. */
  #ways = '';

  constructor(parts: ForwardingParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#forwarded.size + this.#postponed.length;
  }

  /** True: over the link. */
  #post(node: string, body: NonNullable<PeerMessage['body']>): boolean {
    const { context, core } = this.#parts;
    const member = memberNamed(core.state.view, node);
    if (member === undefined) return false;
    const overLink = linkUp(core.state, member);
    if (overLink) context.out.send(node, body);
    else core.inbox.post(member, { body });
    return overLink;
  }

  // ── asking ───────────────────────────────────────────────────────────────────────────────────

  /** The packets leave once the owner has committed the change, if nothing else changed the binding. */
  forward({ address, owner, record }: ForwardedChange, packets: readonly OutgoingPacket[]): void {
    const { context } = this.#parts;
    const current = context.table.read(address);
    const wanted = { address, record, expected: current === undefined ? NO_STAMP : recordStamp(current), since: context.now.mono, packets };
    if (this.size >= FORWARDED_MAX) this.#drop(wanted, 'overload');
    else if (owner === context.options.self) this.#postponed.push(wanted);
    else {
      const forwarded: Forwarded = { ...wanted, owner, ownerIncarnation: 0, overLink: false };
      const id = this.#nextId++;
      this.#forwarded.set(id, forwarded);
      this.#propose(id, forwarded);
    }
  }

  #propose(id: number, forwarded: Forwarded): void {
    const { address, expected, owner, record } = forwarded;
    forwarded.ownerIncarnation = memberNamed(this.#parts.core.state.view, owner)?.incarnation ?? 0;
    forwarded.overLink = this.#post(owner, { $case: 'propose', value: {
      id, address, record, expectedEpoch: expected.epoch, expectedIncarnation: expected.incarnation, expectedSeq: expected.seq,
    } });
  }

  /** The client's next copy is a request like any other. */
  #drop({ address, packets, record }: Forwarded | Postponed, reason: DropReason): void {
    const { server, waiting } = this.#parts;
    waiting.dropAll(packets, reason);
    server.forwardEnded(address, record);
  }

  borrow({ clientKey, clientSlot, id, owner, pools }: AllocationRequest): void {
    this.#post(owner, { $case: 'allocate', value: { id, client: clientKey, clientSlot, pools: [...pools] } });
  }

  /** Once a turn: what can be made now, what is committed for others, what took too long. */
  step(): void {
    this.#findOtherWays();
    this.#retryPostponed();
    this.#tellPromised();
    for (const [id, forwarded] of this.#forwarded) {
      if (!this.#isLate(forwarded)) break;
      this.#forwarded.delete(id);
      this.#drop(forwarded, 'commit-timeout');
    }
  }

  #isLate({ since }: Wanted): boolean {
    return this.#parts.context.now.mono - since > COMMIT_TIMEOUT_MS;
  }

  /** After a view or a link has changed: what is under way to an owner that has left, or over a link that is down. */
  #findOtherWays(): void {
    if (this.#forwarded.size === 0) return;
    const { context, core } = this.#parts;
    const up = otherMembers(core.state).filter((member) => linkUp(core.state, member)).map(({ node }) => node);
    const ways = `${core.state.view?.epoch ?? 0} ${up.join(' ')}`;
    if (ways === this.#ways) return;
    this.#ways = ways;
    for (const [id, forwarded] of this.#forwarded) {
      const owner = core.ownerOf(forwarded.address & 0xff);
      if (owner === undefined) continue;
      if (owner === context.options.self) {
        this.#forwarded.delete(id);
        this.#postponed.push(forwarded);
        continue;
      }
      const another = memberNamed(core.state.view, owner)?.incarnation !== forwarded.ownerIncarnation;
      const wasOverLink = forwarded.overLink;
      // What waits for the inbox goes over a link that comes up.
      if (up.includes(owner)) forwarded.overLink = true;
      if (!another && (up.includes(owner) || !wasOverLink)) continue;
      forwarded.owner = owner;
      this.#propose(id, forwarded);
    }
  }

  #retryPostponed(): void {
    if (this.#postponed.length === 0) return;
    const { context, core } = this.#parts;
    this.#postponed = this.#postponed.filter((postponed) => {
      const slot = postponed.address & 0xff;
      if (core.owns(slot)) {
        this.#makePostponed(postponed);
        return false;
      }
      if (core.ownerOf(slot) === context.options.self && !this.#isLate(postponed)) return true;
      this.#giveUp(postponed, 'commit-timeout');
      return false;
    });
  }

  #makePostponed(postponed: Postponed): void {
    const { address, packets } = postponed;
    if (!this.#make(postponed)) return this.#giveUp(postponed, 'forward-refused');
    for (const packet of packets) this.#parts.waiting.forRecord(address, packet, false);
    if (postponed.for !== undefined) this.#promise(address, postponed.for);
  }

  #giveUp(postponed: Postponed, reason: DropReason): void {
    if (postponed.for === undefined) this.#drop(postponed, reason);
    else this.#tell(postponed.for, false);
  }

  /** True: the binding is now as it was wanted, be it that this very change had been made before. */
  #make({ address, expected, record }: Wanted): boolean {
    const { context, make, rewrites, server } = this.#parts;
    const current = context.table.read(address);
    if (current !== undefined && tellsTheSame(current, record)) return true;
    const unchanged = current === undefined ? expected.seq === 0 : recordSeq(current) === expected.seq && recordIncarnation(current) === expected.incarnation;
    const rewritten = !unchanged && current !== undefined && rewrites.isAllSince(address, current, expected.incarnation, expected.seq);
    if ((!unchanged && !rewritten) || !server.mayApply(address, record, context.now)) return false;
    make(address, rewritten ? mergedRecord(record, current) : record);
    return true;
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

  #onPropose(from: string, { address, expectedEpoch, expectedIncarnation, expectedSeq, id, record }: Propose): void {
    const { context, core } = this.#parts;
    const to = { to: from, id };
    const expected = { epoch: expectedEpoch, incarnation: expectedIncarnation, seq: expectedSeq };
    const wanted = { address, record: Buffer.from(record), expected, since: context.now.mono };
    const slot = address & 0xff;
    if (!core.serving() || !isRecord(wanted.record)) return this.#tell(to, false);
    // Its view is ahead of this node's, or this one is about to finish it.
    if (!core.owns(slot) && core.ownerOf(slot) === context.options.self && this.size < FORWARDED_MAX) {
      this.#postponed.push({ ...wanted, packets: [], for: to });
    } else if (core.owns(slot) && this.#make(wanted)) this.#promise(address, to);
    else this.#tell(to, false);
    return undefined;
  }

  /** Word is given once the record that the address has now is committed. */
  #promise(address: number, { to, id }: { to: string; id: number }): void {
    const { context, core } = this.#parts;
    const { incarnation, seq } = recordStamp(context.table.read(address)!);
    if (incarnation === context.incarnation) this.#promised.push({ seq, to, id });
    else this.#tell({ to, id }, isCommitted(core.state, incarnation, seq));
  }

  #tell({ to, id }: { to: string; id: number }, committed: boolean): void {
    this.#post(to, { $case: 'proposeResult', value: { id, committed } });
  }

  #tellPromised(): void {
    const { committedSeq } = this.#parts.core.state;
    let taken = 0;
    for (const promised of this.#promised) {
      if (promised.seq > committedSeq) break;
      this.#tell(promised, true);
      taken++;
    }
    if (taken > 0) this.#promised = this.#promised.slice(taken);
  }

  #onProposeResult(from: string, result: ProposeResult): void {
    const forwarded = this.#forwarded.get(result.id);
    if (forwarded === undefined || forwarded.owner !== from) return;
    this.#forwarded.delete(result.id);
    if (!result.committed) return this.#drop(forwarded, 'forward-refused');
    for (const packet of forwarded.packets) this.#parts.waiting.send(packet);
  }

  #onAllocate(from: string, { client, clientSlot, id, pools }: Allocate): void {
    const { context, server } = this.#parts;
    const address = server.allocateFor(pools, client, clientSlot, context.now);
    this.#post(from, { $case: 'allocateResult', value: { id, address } });
  }

  /** The node is out of the view. */
  forget(): void {
    for (const forwarded of this.#forwarded.values()) this.#drop(forwarded, 'not-serving');
    for (const postponed of this.#postponed) this.#drop(postponed, 'not-serving');
    this.#forwarded.clear();
    this.#postponed = [];
    this.#promised = [];
  }
}
