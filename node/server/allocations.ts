/**
 * Clients that wait for another owner (a DHCPDISCOVER, a BOOTP request): it was asked to hold a free address,
 * since this node's own slots have none. Nothing is stored; the client's retransmission asks again.
 */
import { ALLOCATIONS_PENDING_MAX, POOL_EXHAUSTED_EVENT_MS, REPLY_AGE_MS_MAX } from '../limits.ts';
import type { Now } from '../time.ts';
import type { ReceivedPacket } from './ports.ts';

export interface PendingAllocation {
  readonly id: number;
  /** With a copy of the bytes: the packet's own buffer is used again. */
  readonly packet: ReceivedPacket;
  /** The owners asked so far, the one that has not answered yet included. */
  readonly asked: readonly string[];
}

export class Allocations {
  /** By id, oldest first. */
  readonly #pending = new Map<number, PendingAllocation>();
  #lastId = 0;
  /** When a network was last reported as out of addresses, by its index. */
  readonly #reportedAt = new Map<number, number>();

  get size(): number {
    return this.#pending.size;
  }

  /** Remembers the packet; returns the id to ask with, and whether the oldest had to give way. */
  add(packet: ReceivedPacket, asked: readonly string[]): { id: number; evicted: boolean } {
    let evicted = false;
    if (this.#pending.size >= ALLOCATIONS_PENDING_MAX) {
      for (const oldest of this.#pending.keys()) {
        this.#pending.delete(oldest);
        evicted = true;
        break;
      }
    }
    const id = ++this.#lastId;
    this.#pending.set(id, { id, packet: { ...packet, bytes: Buffer.from(packet.bytes) }, asked });
    return { id, evicted };
  }

  /** Takes the packet that waits for this answer; undefined when it no longer waits. */
  take(id: number): PendingAllocation | undefined {
    const pending = this.#pending.get(id);
    if (pending !== undefined) this.#pending.delete(id);
    return pending;
  }

  /** Drops what has waited too long; returns how many. */
  expire(now: Now): number {
    let dropped = 0;
    for (const [id, { packet }] of this.#pending) {
      if (now.mono - packet.receivedAt < REPLY_AGE_MS_MAX) break;
      this.#pending.delete(id);
      dropped++;
    }
    return dropped;
  }

  /** Whether to report that the network is out of addresses: not again and again. */
  reportExhausted(networkIndex: number, now: Now): boolean {
    const before = this.#reportedAt.get(networkIndex);
    if (before !== undefined && now.mono - before < POOL_EXHAUSTED_EVENT_MS) return false;
    this.#reportedAt.set(networkIndex, now.mono);
    return true;
  }
}
