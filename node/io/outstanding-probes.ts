/**
 * The probes under way: which reply answers which of them, and which are due. No I/O, so that it can be
 * tested with any reply at any time.
 *
 * Invariants: what was added leaves exactly once, by `remove` or by `due`; a reply answers only a probe
 * that asked in its way, for its source, with what the probe sent along.
 */
import { PROBES_PENDING_MAX } from '../limits.ts';
import type { ProbeRequest } from '../server/ports.ts';
import { monotonicPlus } from '../time.ts';
import type { MonotonicMs } from '../time.ts';
import type { ArpSender } from './arp-probe.ts';
import type { EchoReply } from './icmp-echo.ts';

const SEQUENCES = 0x10000;

export interface OutstandingProbe {
  readonly request: ProbeRequest;
  /** How it asks, whatever the request prefers. */
  readonly method: 'icmp' | 'arp';
  /** Of an echo request; no two under way have the same. */
  readonly sequence: number;
  /** An echo request's data, which nobody who does not get the request can know. */
  readonly nonce: Buffer;
  readonly until: MonotonicMs;
  /** A request or its answer may get lost: when to ask again. Undefined: it was done. */
  askAgainAt: MonotonicMs | undefined;
}

export class OutstandingProbes {
  /** Of all echo requests. */
  readonly identifier: number;
  readonly #all = new Set<OutstandingProbe>();
  readonly #bySequence = new Map<number, OutstandingProbe>();
  /** Those by ARP. */
  readonly #byAddress = new Map<number, OutstandingProbe[]>();
  #lastSequence = 0;

  constructor(identifier: number) {
    this.identifier = identifier;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Undefined where too many are under way. */
  add(request: ProbeRequest, method: 'icmp' | 'arp', nonce: Buffer, now: MonotonicMs): OutstandingProbe | undefined {
    if (this.#all.size >= PROBES_PENDING_MAX) return undefined;
    do this.#lastSequence = (this.#lastSequence + 1) % SEQUENCES;
    while (this.#bySequence.has(this.#lastSequence));
    const probe: OutstandingProbe = {
      request, method, nonce, sequence: this.#lastSequence,
      until: monotonicPlus(now, request.timeoutMs), askAgainAt: monotonicPlus(now, request.timeoutMs / 2),
    };
    this.#all.add(probe);
    if (method === 'icmp') this.#bySequence.set(probe.sequence, probe);
    else this.#byAddress.set(request.address, [...this.#byAddress.get(request.address) ?? [], probe]);
    return probe;
  }

  /** The probe that an echo reply answers. */
  ofEcho(reply: EchoReply): OutstandingProbe | undefined {
    if (reply.identifier !== this.identifier) return undefined;
    const probe = this.#bySequence.get(reply.sequence);
    return probe !== undefined && probe.request.address === reply.source && probe.nonce.equals(reply.data) ? probe : undefined;
  }

  /** The probes that an ARP packet answers: those for its sender's address, on the interface that it came in on. */
  ofArp(sender: ArpSender, interfaceIndex: number): readonly OutstandingProbe[] {
    const probes = this.#byAddress.get(sender.address) ?? [];
    return probes.filter(({ request }) => request.iface.index === interfaceIndex && !request.chaddr.equals(sender.hardwareAddress));
  }

  remove(probe: OutstandingProbe): void {
    if (!this.#all.delete(probe)) return;
    const { address } = probe.request;
    if (probe.method === 'icmp') this.#bySequence.delete(probe.sequence);
    else {
      const others = (this.#byAddress.get(address) ?? []).filter((other) => other !== probe);
      if (others.length === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, others);
    }
  }

  /** Removes those that got no answer in time; says which ask a second time now, halfway through their time. */
  due(now: MonotonicMs): { readonly over: readonly OutstandingProbe[]; readonly again: readonly OutstandingProbe[] } {
    const over: OutstandingProbe[] = [];
    const again: OutstandingProbe[] = [];
    for (const probe of this.#all) {
      if (probe.until <= now) over.push(probe);
      else if (probe.askAgainAt !== undefined && probe.askAgainAt <= now) {
        probe.askAgainAt = undefined;
        again.push(probe);
      }
    }
    for (const probe of over) this.remove(probe);
    return { over, again };
  }
}
