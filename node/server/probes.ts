/**
 * DHCPDISCOVERs, and BOOTP requests, that wait until it is known whether the address to be given is in use
 * (RFC 2131 §2.2, §3.1), and the addresses that were found free a short time ago. Nothing is stored; the client's
 * retransmission asks again.
 *
 * Invariants
 * - At most one probe is under way for an address, and at most one for a client of a network.
 * - What was added leaves exactly once: by `take` or by `expire`.
 */
import { PROBED_FREE_MAX, PROBES_IN_USE_PER_DISCOVER_MAX, PROBES_PENDING_MAX, REPLY_AGE_MS_MAX } from '../limits.ts';
import type { DropReason } from '../telemetry/counters.ts';
import { monotonicPlus } from '../time.ts';
import type { MonotonicMs, Now } from '../time.ts';
import type { ReceivedPacket } from './ports.ts';

/** A packet that is to be answered with `address` if nobody uses that. */
export interface Asking {
  readonly packet: ReceivedPacket;
  readonly address: number;
  /** What was known of the address then. */
  readonly record: Buffer | undefined;
  /** With the key: the client. */
  readonly networkIndex: number;
  readonly clientKey: Buffer;
  /** Addresses that were found in use for this packet before. */
  readonly foundInUse: number;
}

/** With copies of the packet's bytes, the key and the record: their own buffers are used again. */
export interface PendingProbe extends Asking {
  readonly id: number;
  readonly since: MonotonicMs;
}

export type ProbeRefusal = Extract<DropReason, 'duplicate' | 'overload' | 'addresses-in-use'>;

export class Probes {
  /** By id, oldest first. */
  readonly #pending = new Map<number, PendingProbe>();
  readonly #addresses = new Set<number>();
  readonly #clients = new Set<string>();
  #lastId = 0;
  /** Until when an address needs no probe; what was found free first is first. */
  readonly #free = new Map<number, MonotonicMs>();

  get size(): number {
    return this.#pending.size;
  }

  /** A probe is under way on behalf of this client. */
  isAsking(networkIndex: number, clientKey: Buffer): boolean {
    return this.#clients.size > 0 && this.#clients.has(clientName(networkIndex, clientKey));
  }

  /** Remembers the packet; returns the id to probe with, or why the packet is dropped. */
  add(asking: Asking, now: Now): number | ProbeRefusal {
    const { packet, address, networkIndex, clientKey, record } = asking;
    const client = clientName(networkIndex, clientKey);
    // Another client's packet may be led to the same address; it is led to another one when it comes again.
    if (this.#clients.has(client) || this.#addresses.has(address)) return 'duplicate';
    // A host that answers for every address would otherwise take a whole pool out of use with one packet.
    if (asking.foundInUse >= PROBES_IN_USE_PER_DISCOVER_MAX) return 'addresses-in-use';
    if (this.#pending.size >= PROBES_PENDING_MAX) return 'overload';
    const id = ++this.#lastId;
    this.#pending.set(id, {
      ...asking, id, since: now.mono, clientKey: Buffer.from(clientKey), packet: { ...packet, bytes: Buffer.from(packet.bytes) },
      record: record === undefined ? undefined : Buffer.from(record),
    });
    this.#addresses.add(address);
    this.#clients.add(client);
    return id;
  }

  /** Takes the packet that waits for this answer; undefined when it no longer waits. */
  take(id: number): PendingProbe | undefined {
    const pending = this.#pending.get(id);
    if (pending !== undefined) this.#remove(pending);
    return pending;
  }

  /**
   * Takes what has waited for so long that no answer to it may leave any more. Whoever probes answers
   * earlier; this is for when it does not.
   */
  expire(now: Now): readonly PendingProbe[] {
    const overdue: PendingProbe[] = [];
    for (const pending of this.#pending.values()) {
      if (now.mono - pending.since < REPLY_AGE_MS_MAX) break;
      this.#remove(pending);
      overdue.push(pending);
    }
    return overdue;
  }

  /** Nobody answered for the address: it needs no probe for `seconds`. */
  noteFree(address: number, seconds: number, now: Now): void {
    this.#free.delete(address);
    if (seconds <= 0) return;
    if (this.#free.size >= PROBED_FREE_MAX) {
      for (const first of this.#free.keys()) {
        this.#free.delete(first);
        break;
      }
    }
    this.#free.set(address, monotonicPlus(now.mono, seconds * 1000));
  }

  /** The address was found free a short time ago. */
  mayOfferUnprobed(address: number, now: Now): boolean {
    const until = this.#free.get(address);
    if (until === undefined) return false;
    if (until > now.mono) return true;
    this.#free.delete(address);
    return false;
  }

  /** What was found out no longer holds: somebody was given the address, or declined it as in use. */
  forget(address: number): void {
    this.#free.delete(address);
  }

  /** Of any address. */
  forgetAll(): void {
    this.#free.clear();
  }

  #remove(pending: PendingProbe): void {
    this.#pending.delete(pending.id);
    this.#addresses.delete(pending.address);
    this.#clients.delete(clientName(pending.networkIndex, pending.clientKey));
  }
}

function clientName(networkIndex: number, clientKey: Buffer): string {
  return `${networkIndex} ${clientKey.toString('latin1')}`;
}
