/**
 * The UDP sockets of the DHCP server. They tell on which interface a packet came in, and whether it was
 * sent to this host or broadcast; each packet is handed over exactly once.
 *
 * The kernel gives a unicast packet to one socket and a broadcast to every matching one, so the sockets
 * of an interface are bound to addresses that no packet shares:
 *
 * - `255.255.255.255` and each directed broadcast address, bound to the device: hears broadcasts only.
 *   The first is not shared, so that a second DHCP server on the interface is noticed.
 * - each own address, bound to the device: hears unicast; sends broadcasts and what is on the segment.
 * - each own address, not bound to a device: hears unicast to it that came in elsewhere; sends what has
 *   to be routed, since a socket bound to a device finds no way out of another.
 *
 * One turn of the event loop is one batch: `dgram` delivers a socket's first packet, recvmmsg the rest;
 * what is sent during the turn leaves at its end, one sendmmsg a socket.
 */
import { HTYPE_ETHERNET } from '../codec/address.ts';
import {
  DHCP_PACKET_BYTES_MAX, DHCP_SEND_BATCH_PACKETS, DHCP_SERVER_PORT, INTERFACE_POLL_MS, REPLY_AGE_MS_MAX,
} from '../limits.ts';
import type { InterfaceInfo, OutgoingPacket, ReceivedPacket } from '../server/ports.ts';
import type { Counters, DropReason } from '../telemetry/counters.ts';
import type { MonotonicMs, Now } from '../time.ts';
import { readClock } from './clock.ts';
import { DhcpListener } from './dhcp-listener.ts';
import { directedBroadcasts, isOnLink, readInterfaces } from './interfaces.ts';
import { BatchSender, InterfaceControl } from './libc.ts';

export interface DhcpSocketsHandler {
  onPacket(packet: ReceivedPacket): void;
  /** All packets of this turn were handed over. */
  onBatchEnd(): void;
  /** Not called for what is there when the sockets are opened. */
  onInterfacesChanged(interfaces: readonly InterfaceInfo[]): void;
  /** Reported once, until it is over and happens again; the sockets go on trying by themselves. */
  onError(error: DhcpSocketError): void;
}

/** `interface-missing`: no such interface, or it is down or has no IPv4 address. `cause` tells the others' reason. */
export class DhcpSocketError extends Error {
  readonly code: 'interface-missing' | 'open-failed' | 'receive-failed';
  readonly interfaceName: string;

  constructor(code: DhcpSocketError['code'], interfaceName: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'DhcpSocketError';
    this.code = code;
    this.interfaceName = interfaceName;
  }
}

export interface DhcpSocketsOptions {
  /** Names of the interfaces to serve; they may be missing, and come and go. */
  readonly interfaces: readonly string[];
  readonly handler: DhcpSocketsHandler;
  /** Counts `send-failed`, `stale`, `too-long` and `stalled`. */
  readonly counters: Counters;
  /** Default: 67. */
  readonly port?: number;
  /** Default: the host's. */
  readonly clock?: () => Now;
}

export interface DhcpSockets {
  /** Those that are listened on now. */
  interfaces(): readonly InterfaceInfo[];
  /** Copies the packets and sends them at the end of this turn. What cannot be sent is counted, never thrown. */
  send(packets: readonly OutgoingPacket[]): void;
  /**
   * Reads and discards what waits in the sockets (after a stall, or on entering a view). Returns how many
   * packets that were; they are counted as `stalled` already. May be called by the handler: the rest of its
   * batch is discarded as well.
   */
  discardWaiting(): number;
  /** Sends what was to be sent in this turn, then closes. */
  close(): Promise<void>;
}

/** Opens what can be opened now and looks again every second. Must not be used on anything but Linux. */
export function openDhcpSockets(options: DhcpSocketsOptions): DhcpSockets {
  return new LinuxDhcpSockets(options);
}

const LIMITED_BROADCAST = 0xffff_ffff;
const ETHERNET_ADDRESS_BYTES = 6;

/** A socket to send through, and what leaves through it at the end of the turn. */
interface Outlet {
  readonly listener: DhcpListener;
  readonly sender: BatchSender;
  /** Sent without looking at the routing table. */
  readonly onLink: boolean;
  /** Addresses that have an entry in the ARP table until the packets have left. */
  readonly arpEntries: Set<number>;
}

function outlet(listener: DhcpListener, onLink: boolean): Outlet {
  return { listener, sender: new BatchSender(DHCP_SEND_BATCH_PACKETS, DHCP_PACKET_BYTES_MAX), onLink, arpEntries: new Set() };
}

/** One interface's sockets. What is sent leaves from its first address, which identifies the server. */
interface OpenInterface {
  info: InterfaceInfo;
  readonly listeners: DhcpListener[];
  /** Broadcasts, and unicast to clients that answer ARP. */
  readonly segment: Outlet;
  /** Unicast to clients that have no address yet. */
  readonly bare: Outlet;
  /** Unicast to other segments. */
  readonly routed: Outlet;
}

function sameSockets(a: InterfaceInfo, b: InterfaceInfo): boolean {
  return a.index === b.index && a.addresses.length === b.addresses.length
    && a.addresses.every((own, i) => own.address === b.addresses[i]!.address && own.prefixLength === b.addresses[i]!.prefixLength);
}

class LinuxDhcpSockets implements DhcpSockets {
  readonly #options: DhcpSocketsOptions;
  readonly #port: number;
  readonly #clock: () => Now;
  readonly #control = new InterfaceControl();
  readonly #open = new Map<string, OpenInterface>();
  readonly #errors = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;
  /** Sockets on their way out, for `close` to wait for. */
  readonly #closing = new Set<Promise<void>>();
  #infos: readonly InterfaceInfo[] = [];
  #turnEnd: NodeJS.Immediate | undefined;
  #batchOpen = false;
  /** Of what waits to be sent, when the oldest answered packet was read. */
  #oldestAt = Infinity;
  #closed = false;

  constructor(options: DhcpSocketsOptions) {
    this.#options = options;
    this.#port = options.port ?? DHCP_SERVER_PORT;
    this.#clock = options.clock ?? readClock;
    this.#reconcile();
    this.#timer = setInterval(() => {
      if (this.#reconcile()) this.#options.handler.onInterfacesChanged(this.#infos);
    }, INTERFACE_POLL_MS);
  }

  interfaces(): readonly InterfaceInfo[] {
    return this.#infos;
  }

  send(packets: readonly OutgoingPacket[]): void {
    const now = this.#clock().mono;
    for (const packet of packets) {
      if (now - packet.receivedAt > REPLY_AGE_MS_MAX) this.#drop('stale', 1);
      else this.#queue(packet);
    }
    this.#scheduleTurnEnd();
  }

  discardWaiting(): number {
    let total = 0;
    for (const open of this.#open.values()) for (const listener of open.listeners) total += listener.discardWaiting();
    this.#dropUnread('stalled', total);
    return total;
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      clearInterval(this.#timer);
      clearImmediate(this.#turnEnd);
      this.#flush();
      for (const name of this.#open.keys()) this.#closeInterface(name);
      this.#control.close();
      this.#infos = [];
    }
    await Promise.all(this.#closing);
  }

  // ── Interfaces ──────────────────────────────────────────────────────────────────────────────

  /** Opens and closes what the host's interfaces ask for. True if `interfaces()` changed. */
  #reconcile(): boolean {
    const present = new Map(readInterfaces(this.#options.interfaces, this.#control).map((info) => [info.name, info]));
    let changed = false;
    for (const [name, open] of this.#open) {
      const info = present.get(name);
      if (info === undefined || !sameSockets(open.info, info)) {
        this.#closeInterface(name);
        changed = true;
      } else if (open.info.mtu !== info.mtu) {
        open.info = info;
        changed = true;
      }
    }
    for (const name of this.#options.interfaces) {
      const info = present.get(name);
      if (info === undefined) this.#report('interface-missing', name, `interface ${name} is missing, down or has no IPv4 address`);
      else if (!this.#open.has(name) && this.#tryOpen(info)) changed = true;
    }
    if (changed) this.#infos = this.#options.interfaces.flatMap((name) => this.#open.get(name)?.info ?? []);
    return changed;
  }

  #tryOpen(info: InterfaceInfo): boolean {
    const opened: DhcpListener[] = [];
    try {
      this.#open.set(info.name, this.#openInterface(info, opened));
      this.#errors.delete(info.name);
      return true;
    } catch (error) {
      for (const listener of opened) this.#retire(listener);
      this.#report('open-failed', info.name, `no DHCP on ${info.name}: ${(error as Error).message}`, error);
      return false;
    }
  }

  /** Listeners go into `opened` as they come, for the caller to close if a later one fails. */
  #openInterface(info: InterfaceInfo, opened: DhcpListener[]): OpenInterface {
    const { name } = info;
    const open = (address: number, unicast: boolean, shared: boolean, device?: string): DhcpListener => {
      const listener = new DhcpListener({
        ...(device === undefined ? {} : { device }), address, port: this.#port, shared,
        onPacket: (bytes, from, port) => this.#deliver(name, unicast, bytes, from, port),
        onTooLong: () => this.#dropUnread('too-long', 1),
        onDiscarded: (count) => this.#dropUnread('stalled', count),
        onError: (error) => this.#onReceiveError(name, error),
      });
      opened.push(listener);
      return listener;
    };
    open(LIMITED_BROADCAST, false, false, name);
    for (const address of directedBroadcasts(info)) open(address, false, true, name);
    const here = info.addresses.map(({ address }) => open(address, true, true, name));
    const anywhere = info.addresses.map(({ address }) => open(address, true, true));
    return {
      info, listeners: opened,
      segment: outlet(here[0]!, false), bare: outlet(here[0]!, true), routed: outlet(anywhere[0]!, false),
    };
  }

  #closeInterface(name: string): void {
    const open = this.#open.get(name);
    if (open === undefined) return;
    this.#open.delete(name);
    for (const listener of open.listeners) this.#retire(listener);
    this.#drop('send-failed', open.segment.sender.count + open.bare.sender.count + open.routed.sender.count);
  }

  #retire(listener: DhcpListener): void {
    const closing = listener.close();
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }

  #onReceiveError(name: string, error: Error): void {
    if (!this.#open.has(name)) return;
    // A new socket, at the next look, may do better than one that keeps failing.
    this.#closeInterface(name);
    this.#infos = this.#infos.filter((info) => this.#open.has(info.name));
    this.#report('receive-failed', name, `receiving on ${name} failed: ${error.message}`, error);
    this.#options.handler.onInterfacesChanged(this.#infos);
  }

  #report(code: DhcpSocketError['code'], name: string, message: string, cause?: unknown): void {
    if (this.#errors.get(name) === message) return;
    this.#errors.set(name, message);
    this.#options.handler.onError(new DhcpSocketError(code, name, message, cause));
  }

  // ── Packets ─────────────────────────────────────────────────────────────────────────────────

  #deliver(name: string, unicast: boolean, bytes: Buffer, sourceAddress: number, sourcePort: number): void {
    const iface = this.#open.get(name)?.info;
    if (iface === undefined) return;
    this.#batchOpen = true;
    this.#scheduleTurnEnd();
    const receivedAt: MonotonicMs = this.#clock().mono;
    this.#options.handler.onPacket({ bytes, iface, sourceAddress, sourcePort, unicast, receivedAt });
  }

  /** RFC 2131 §4.1 chose the destination; this chooses the socket. */
  #queue(packet: OutgoingPacket): void {
    const open = this.#open.get(packet.iface.name);
    if (open === undefined) {
      this.#drop('send-failed', 1);
      return;
    }
    let { address } = packet;
    let out = open.segment;
    if (packet.hardware !== undefined) {
      // RFC 2131 §4.1: where unicasting to the hardware address is not possible, it may be broadcast.
      if (this.#setArpEntry(packet.hardware, open, address)) out = open.bare;
      else address = LIMITED_BROADCAST;
    } else if (address !== LIMITED_BROADCAST && !isOnLink(open.info, address)) {
      out = open.routed;
    }
    if (out.sender.full) this.#flushOutlet(open, out);
    if (!out.sender.add(packet.bytes, address, packet.port)) this.#drop('send-failed', 1);
    if (packet.receivedAt < this.#oldestAt) this.#oldestAt = packet.receivedAt;
  }

  #setArpEntry(hardware: NonNullable<OutgoingPacket['hardware']>, open: OpenInterface, address: number): boolean {
    if (hardware.htype !== HTYPE_ETHERNET || hardware.chaddr.length < ETHERNET_ADDRESS_BYTES) return false;
    // What waits for this address may be for other hardware; and a full outlet takes its entries with it.
    if (open.bare.sender.full || open.bare.arpEntries.has(address)) this.#flushOutlet(open, open.bare);
    if (!this.#control.setArpEntry(open.info.name, address, hardware.chaddr)) return false;
    open.bare.arpEntries.add(address);
    return true;
  }

  /** Immediates run when all sockets that had packets in this turn were read. */
  #scheduleTurnEnd(): void {
    if (!this.#closed) this.#turnEnd ??= setImmediate(() => this.#onTurnEnd());
  }

  #onTurnEnd(): void {
    if (this.#batchOpen) {
      this.#batchOpen = false;
      for (const open of this.#open.values()) for (const listener of open.listeners) listener.endTurn();
      this.#options.handler.onBatchEnd();
    }
    this.#turnEnd = undefined;
    this.#flush();
  }

  #flush(): void {
    for (const open of this.#open.values()) {
      this.#flushOutlet(open, open.segment);
      this.#flushOutlet(open, open.bare);
      this.#flushOutlet(open, open.routed);
    }
    this.#oldestAt = Infinity;
  }

  #flushOutlet(open: OpenInterface, { sender, listener, onLink, arpEntries }: Outlet): void {
    if (sender.count === 0) return;
    // The process may have been stopped since the packets were queued.
    if (this.#clock().mono - this.#oldestAt > REPLY_AGE_MS_MAX) this.#drop('stale', sender.clear());
    else this.#drop('send-failed', sender.flush(listener.fd, onLink));
    // A burst of new clients would fill the kernel's table, and the host could reach nobody else: the
    // default is 1024 entries. The kernel looked the address up while it sent, so it may go.
    for (const address of arpEntries) this.#control.removeArpEntry(open.info.name, address);
    arpEntries.clear();
  }

  #drop(reason: DropReason, count: number): void {
    this.#options.counters.drops[reason] += count;
  }

  /** Packets that nobody looked at: received all the same, as messages of no known type. */
  #dropUnread(reason: DropReason, count: number): void {
    this.#options.counters.received[0]! += count;
    this.#drop(reason, count);
  }
}
