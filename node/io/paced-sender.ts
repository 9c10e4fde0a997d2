/**
 * Sends answers in small bursts, none of them too late: while one waits, the process may stand still. A commit releases all answers that waited for it at once, and a relay
 * or a load generator with an ordinary socket buffer (about 200 packets) loses what comes faster than
 * it reads: one loss costs a client seconds, a pause of a millisecond nothing.
 */
import type { OutgoingPacket } from '../server/ports.ts';
import { REPLY_AGE_MS_MAX, SEND_BURST_PACKETS, SEND_BURST_PAUSE_MS, SEND_QUEUE_PACKETS_MAX } from '../limits.ts';
import type { Counters } from '../telemetry/counters.ts';
import type { MonotonicMs } from '../time.ts';

export class PacedSender {
  readonly #send: (packets: readonly OutgoingPacket[]) => void;
  readonly #counters: Counters;
  readonly #now: () => MonotonicMs;
  #queue: OutgoingPacket[] = [];
  #head = 0;
  /** Runs while a burst was sent less than a pause ago. */
  #timer: NodeJS.Timeout | undefined;
  /** What may still leave before the pause is over. */
  #allowed = SEND_BURST_PACKETS;

  constructor(send: (packets: readonly OutgoingPacket[]) => void, counters: Counters, now: () => MonotonicMs) {
    this.#send = send;
    this.#counters = counters;
    this.#now = now;
  }

  /** Packets that wait for their burst. */
  get waiting(): number {
    return this.#queue.length - this.#head;
  }

  send(packets: readonly OutgoingPacket[]): void {
    for (const packet of packets) {
      if (this.waiting >= SEND_QUEUE_PACKETS_MAX) this.#counters.drop('overload');
      else this.#queue.push(packet);
    }
    this.#burst();
  }

  #burst(): void {
    const count = Math.min(this.#allowed, this.waiting);
    if (count === 0) return;
    this.#sendInTime(this.#queue.slice(this.#head, this.#head + count));
    this.#head += count;
    this.#allowed -= count;
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    }
    this.#timer ??= setTimeout(() => this.#afterPause(), SEND_BURST_PAUSE_MS);
  }

  #sendInTime(packets: readonly OutgoingPacket[]): void {
    const oldest = this.#now() - REPLY_AGE_MS_MAX;
    const inTime = packets.filter(({ receivedAt }) => receivedAt >= oldest);
    for (let late = packets.length - inTime.length; late > 0; late--) this.#counters.drop('stale');
    if (inTime.length > 0) this.#send(inTime);
  }

  #afterPause(): void {
    this.#timer = undefined;
    this.#allowed = SEND_BURST_PACKETS;
    this.#burst();
  }

  /** What still waits leaves now; the sockets are about to close. */
  close(): void {
    clearTimeout(this.#timer);
    this.#sendInTime(this.#queue.slice(this.#head));
    this.#queue = [];
    this.#head = 0;
  }
}
