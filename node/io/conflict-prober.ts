/**
 * Asks the network whether somebody uses an address: by ICMP echo, or by ARP where the address would be on
 * the interface's own segment. Every probe is answered once and never from within the call that asked: in
 * use as soon as somebody answers, else not in use when its time is over. Where nobody can be asked it
 * counts as not in use, since a server that gave no address away for that reason would serve nobody.
 *
 * The sockets are read every few milliseconds while a probe is under way, and not at all otherwise: what
 * came meanwhile is thrown away when the next one begins.
 */
import { randomBytes } from 'node:crypto';
import { PROBE_POLL_MS, PROBE_POLL_PACKETS_MAX } from '../limits.ts';
import type { InterfaceInfo, ProbeRequest } from '../server/ports.ts';
import type { Counters, ProbeResult } from '../telemetry/counters.ts';
import type { Occurrence } from '../telemetry/events.ts';
import type { Now } from '../time.ts';
import { buildArpProbe, parseArpSender } from './arp-probe.ts';
import { readClock } from './clock.ts';
import { buildEchoRequest, parseEchoReply } from './icmp-echo.ts';
import { InterfaceControl } from './libc.ts';
import { OutstandingProbes } from './outstanding-probes.ts';
import type { OutstandingProbe } from './outstanding-probes.ts';
import { ArpSocket, IcmpSocket } from './raw-sockets.ts';

export interface ConflictProberOptions {
  /** `answeredBy`: the hardware address of who answered, where it is known: on the interface's own segment. */
  readonly onResult: (id: number, inUse: boolean, answeredBy?: Buffer) => void;
  /** `probe.unable`, once until it is over and happens again. */
  readonly onEvent: (event: Occurrence) => void;
  /** Counts `probes`. */
  readonly counters: Counters;
  /** Default: the host's. */
  readonly clock?: () => Now;
}

export interface ConflictProber {
  probe(request: ProbeRequest): void;
  /** The interfaces that DHCP is served on now. */
  setInterfaces(interfaces: readonly InterfaceInfo[]): void;
  /** What is under way gets no answer any more. */
  close(): void;
}

/** Sockets are opened when they are first needed. Throws SystemCallError. Must not be used on anything but Linux. */
export function openConflictProber(options: ConflictProberOptions): ConflictProber {
  return new LinuxConflictProber(options);
}

const NONCE_BYTES = 8;

interface Answer {
  readonly id: number;
  readonly result: ProbeResult;
  readonly answeredBy?: Buffer;
}

class LinuxConflictProber implements ConflictProber {
  readonly #options: ConflictProberOptions;
  readonly #clock: () => Now;
  readonly #control = new InterfaceControl();
  readonly #outstanding = new OutstandingProbes(randomBytes(2).readUInt16BE());
  #icmp: IcmpSocket | undefined;
  /** By the index of the interface. */
  readonly #arp = new Map<number, ArpSocket>();
  #interfaces: readonly InterfaceInfo[] = [];
  /** What was reported of a socket that could not be opened, by its name. */
  readonly #reported = new Map<string, string>();
  /** Found, and not told yet. */
  #answers: Answer[] = [];
  #telling: NodeJS.Immediate | undefined;
  #polling: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ConflictProberOptions) {
    this.#options = options;
    this.#clock = options.clock ?? readClock;
  }

  probe(request: ProbeRequest): void {
    if (this.#closed) return;
    const { id, address, iface } = request;
    if ([iface, ...this.#interfaces].some(({ addresses }) => addresses.some((own) => own.address === address))) {
      // A host does not answer its own ARP request.
      this.#answer({ id, result: 'in-use' });
      return;
    }
    if (this.#outstanding.size === 0) this.#discardWaiting();
    const method = request.method === 'arp' && request.targetLocal && this.#control.ethernetAddressOf(iface.name) !== undefined ? 'arp' : 'icmp';
    const probe = this.#outstanding.add(request, method, randomBytes(NONCE_BYTES), this.#clock().mono);
    if (probe !== undefined && this.#ask(probe)) {
      this.#polling ??= setTimeout(() => this.#poll(), PROBE_POLL_MS);
      return;
    }
    if (probe !== undefined) this.#outstanding.remove(probe);
    this.#answer({ id, result: 'unable' });
  }

  setInterfaces(interfaces: readonly InterfaceInfo[]): void {
    this.#interfaces = interfaces;
    for (const [index, arp] of this.#arp) {
      if (interfaces.some((iface) => iface.index === index)) continue;
      arp.close();
      this.#arp.delete(index);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#polling);
    clearImmediate(this.#telling);
    this.#icmp?.close();
    for (const arp of this.#arp.values()) arp.close();
    this.#control.close();
  }

  // ── Asking ──────────────────────────────────────────────────────────────────────────────────

  /** False if nobody can be asked. */
  #ask(probe: OutstandingProbe): boolean {
    const { address, iface } = probe.request;
    if (probe.method === 'arp') {
      const arp = this.#arpSocket(iface);
      const hardwareAddress = this.#control.ethernetAddressOf(iface.name);
      return arp !== undefined && hardwareAddress !== undefined && arp.broadcast(buildArpProbe(hardwareAddress, address));
    }
    const icmp = this.#icmpSocket();
    if (icmp === undefined) return false;
    // The kernel may know an earlier user of the address, and would ask only that one.
    this.#forgetNeighbour(probe);
    const { request: { targetLocal }, sequence, nonce } = probe;
    return icmp.send(buildEchoRequest(this.#outstanding.identifier, sequence, nonce), address, targetLocal ? iface.index : 0);
  }

  #icmpSocket(): IcmpSocket | undefined {
    this.#icmp ??= this.#open('ICMP', () => new IcmpSocket());
    return this.#icmp;
  }

  #arpSocket({ name, index }: InterfaceInfo): ArpSocket | undefined {
    const open = this.#arp.get(index) ?? this.#open(`ARP on ${name}`, () => new ArpSocket(index));
    if (open !== undefined) this.#arp.set(index, open);
    return open;
  }

  #open<T>(what: string, make: () => T): T | undefined {
    try {
      const made = make();
      this.#reported.delete(what);
      return made;
    } catch (error) {
      const { message } = error as Error;
      if (this.#reported.get(what) !== message) {
        this.#reported.set(what, message);
        this.#options.onEvent({ id: 'probe.unable', fields: { method: what, error: message } });
      }
      return undefined;
    }
  }

  /** Makes room in the kernel's table, but for what an operator has put there. */
  #forgetNeighbour({ method, request: { targetLocal, iface, address } }: OutstandingProbe): void {
    if (method !== 'icmp' || !targetLocal || this.#control.arpEntryOf(iface.name, address)?.permanent === true) return;
    this.#control.removeArpEntry(iface.name, address);
  }

  // ── Answers ─────────────────────────────────────────────────────────────────────────────────

  #poll(): void {
    // First what came: after a pause of the process an answer and the end of its time come together.
    if (this.#icmp !== undefined) drain(this.#icmp, (packet) => this.#onIcmp(packet));
    for (const [index, arp] of this.#arp) drain(arp, (packet) => this.#onArp(packet, index));
    const { over, again } = this.#outstanding.due(this.#clock().mono);
    for (const probe of again) this.#ask(probe);
    for (const probe of over) {
      this.#forgetNeighbour(probe);
      this.#answer({ id: probe.request.id, result: 'free' });
    }
    this.#polling = this.#outstanding.size > 0 ? setTimeout(() => this.#poll(), PROBE_POLL_MS) : undefined;
  }

  #onIcmp(packet: Buffer): void {
    const reply = parseEchoReply(packet);
    const probe = reply === undefined ? undefined : this.#outstanding.ofEcho(reply);
    if (probe === undefined) return;
    const { id, targetLocal, iface, address, chaddr } = probe.request;
    const answeredBy = targetLocal ? this.#control.arpEntryOf(iface.name, address)?.hardwareAddress : undefined;
    // Its own client still uses it; somebody else may answer as well.
    if (answeredBy?.equals(chaddr) === true) return;
    this.#outstanding.remove(probe);
    this.#answer({ id, result: 'in-use', ...(answeredBy === undefined ? {} : { answeredBy }) });
  }

  #onArp(packet: Buffer, interfaceIndex: number): void {
    const sender = parseArpSender(packet);
    if (sender === undefined) return;
    for (const probe of this.#outstanding.ofArp(sender, interfaceIndex)) {
      this.#outstanding.remove(probe);
      this.#answer({ id: probe.request.id, result: 'in-use', answeredBy: Buffer.from(sender.hardwareAddress) });
    }
  }

  #discardWaiting(): void {
    if (this.#icmp !== undefined) drain(this.#icmp, () => undefined);
    for (const arp of this.#arp.values()) drain(arp, () => undefined);
  }

  #answer(answer: Answer): void {
    this.#options.counters.probes[answer.result]++;
    this.#answers.push(answer);
    this.#telling ??= setImmediate(() => this.#tell());
  }

  #tell(): void {
    this.#telling = undefined;
    const answers = this.#answers;
    this.#answers = [];
    for (const { id, result, answeredBy } of answers) {
      if (this.#closed) return;
      if (answeredBy === undefined) this.#options.onResult(id, result === 'in-use');
      else this.#options.onResult(id, result === 'in-use', answeredBy);
    }
  }
}

function drain(socket: IcmpSocket | ArpSocket, onPacket: (packet: Buffer) => void): void {
  for (let i = 0; i < PROBE_POLL_PACKETS_MAX; i++) {
    const packet = socket.receive();
    if (packet === undefined) return;
    onPacket(packet);
  }
}
