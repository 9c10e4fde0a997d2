/**
 * Sockets below UDP, for ICMP, ARP and packets of hosts without an address: libc makes them, and they are read when somebody looks, without
 * ever blocking. Node.js's event loop polls neither kind. They need CAP_NET_RAW.
 *
 * Layouts are those of 64-bit little-endian Linux; numbers for addresses are IPv4 in host order.
 */
import koffi from 'koffi';
import { PROBE_SOCKET_RECEIVE_BYTES } from '../limits.ts';
import { closeDescriptor, SystemCallError } from './libc.ts';

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const setsockopt = libc.func('int setsockopt(int fd, int level, int name, void *value, uint32_t length)');
const bind = libc.func('int bind(int fd, void *address, uint32_t length)');
const recv = libc.func('intptr_t recv(int fd, void *bytes, size_t length, int flags)');
const recvfrom = libc.func('intptr_t recvfrom(int fd, void *bytes, size_t length, int flags, void *address, void *addressLength)');
const sendto = libc.func('intptr_t sendto(int fd, void *bytes, size_t length, int flags, void *address, uint32_t addressLength)');

const AF_INET = 2;
const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const IPPROTO_IP = 0;
const IPPROTO_ICMP = 1;
const SOL_SOCKET = 1;
const SOL_RAW = 255;
const SO_RCVBUF = 8;
const IP_UNICAST_IF = 50;
const ICMP_FILTER = 1;
const ICMP_ECHO_REPLY = 0;
const MSG_DONTROUTE = 0x04;
const MSG_DONTWAIT = 0x40;
const ETH_P_IP = 0x0800;
const ETH_P_ARP = 0x0806;
const ARPHRD_ETHER = 1;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_LL_BYTES = 20;
/** No answer to a probe is longer. */
const RECEIVE_BYTES = 2048;

// Reading is synchronous, so all sockets share the memory.
const received = Buffer.alloc(RECEIVE_BYTES);

class RawSocket {
  protected readonly fd: number;
  protected readonly value = Buffer.alloc(128);

  constructor(domain: number, type: number, protocol: number, about: string) {
    this.fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol) as number;
    if (this.fd < 0) throw new SystemCallError('socket', about);
    this.value.writeInt32LE(PROBE_SOCKET_RECEIVE_BYTES);
    setsockopt(this.fd, SOL_SOCKET, SO_RCVBUF, this.value, 4);
  }

  /** The next packet that waits, valid until the next call on any socket; undefined where there is none. */
  receive(): Buffer | undefined {
    // An error is that of the interface going down, told once: the next call reads on.
    const length = Number(recv(this.fd, received, received.length, MSG_DONTWAIT));
    return length < 0 ? undefined : received.subarray(0, length);
  }

  close(): void {
    closeDescriptor(this.fd);
  }

  /** False where the kernel refuses. */
  protected sendTo(bytes: Buffer, addressBytes: number, flags: number): boolean {
    return Number(sendto(this.fd, bytes, bytes.length, MSG_DONTWAIT | flags, this.value, addressBytes)) === bytes.length;
  }
}

/** Sends ICMP messages to anywhere, hears the echo replies of the whole host: with their IPv4 header. */
export class IcmpSocket extends RawSocket {
  #interfaceIndex = 0;

  /** Throws SystemCallError. */
  constructor() {
    super(AF_INET, SOCK_RAW, IPPROTO_ICMP, 'for ICMP');
    // A bit that is set keeps a type out.
    this.value.writeUInt32LE(~(1 << ICMP_ECHO_REPLY) >>> 0);
    setsockopt(this.fd, SOL_RAW, ICMP_FILTER, this.value, 4);
  }

  /**
   * False where the kernel refuses: no way there, an interface that is down, a full table.
   * @param onInterface the index of an interface on whose segment the address is, whatever the routing
   *   table says; 0: as the routing table says
   */
  send(message: Buffer, address: number, onInterface: number): boolean {
    if (this.#interfaceIndex !== onInterface) {
      this.value.writeUInt32BE(onInterface);
      if (setsockopt(this.fd, IPPROTO_IP, IP_UNICAST_IF, this.value, 4) !== 0) return false;
      this.#interfaceIndex = onInterface;
    }
    this.value.fill(0, 0, SOCKADDR_IN_BYTES);
    this.value.writeUInt16LE(AF_INET, 0);
    this.value.writeUInt32BE(address, 4);
    return this.sendTo(message, SOCKADDR_IN_BYTES, onInterface === 0 ? 0 : MSG_DONTROUTE);
  }
}

/** Packets of one protocol on one interface's segment, without their Ethernet header: sent to everybody, and all are heard. */
class SegmentSocket extends RawSocket {
  readonly #interfaceIndex: number;
  readonly #protocol: number;

  /** Throws SystemCallError. */
  constructor(interfaceIndex: number, protocol: number, about: string) {
    // Without a protocol it hears nothing until it is bound to its interface.
    super(AF_PACKET, SOCK_DGRAM, 0, about);
    this.#interfaceIndex = interfaceIndex;
    this.#protocol = protocol;
    this.#writeAddress();
    if (bind(this.fd, this.value, SOCKADDR_LL_BYTES) === 0) return;
    const failure = new SystemCallError('bind', `to interface ${interfaceIndex} ${about}`);
    this.close();
    throw failure;
  }

  /** False where the kernel refuses: the interface is down. */
  broadcast(packet: Buffer): boolean {
    this.#writeAddress();
    this.value[11] = 6;
    this.value.fill(0xff, 12, 18);
    return this.sendTo(packet, SOCKADDR_LL_BYTES, 0);
  }

  /**
   * struct sockaddr_ll: family u16, protocol u16 big-endian, interface index i32, hardware type u16 @8, packet
   * type u8 @10, address length u8 @11, address 8 @12.
   */
  #writeAddress(): void {
    this.value.fill(0, 0, SOCKADDR_LL_BYTES);
    this.value.writeUInt16LE(AF_PACKET, 0);
    this.value.writeUInt16BE(this.#protocol, 2);
    this.value.writeInt32LE(this.#interfaceIndex, 4);
    this.value.writeUInt16LE(ARPHRD_ETHER, 8);
  }
}

/** ARP (RFC 826). */
export class ArpSocket extends SegmentSocket {
  /** Throws SystemCallError. */
  constructor(interfaceIndex: number) {
    super(interfaceIndex, ETH_P_ARP, 'for ARP');
  }
}

/** IPv4, from and to hosts without an address as well. */
export class Ipv4Socket extends SegmentSocket {
  readonly #sender = Buffer.alloc(128);
  readonly #senderBytes = Buffer.alloc(128);

  /** Throws SystemCallError. */
  constructor(interfaceIndex: number) {
    super(interfaceIndex, ETH_P_IP, 'for IPv4');
  }

  /** The next packet that waits, valid until the next call on any socket, with the hardware address that it came from. */
  receiveFrom(): { readonly packet: Buffer; readonly hardware: Buffer } | undefined {
    this.#senderBytes.writeUInt32LE(SOCKADDR_LL_BYTES);
    const length = Number(recvfrom(this.fd, received, received.length, MSG_DONTWAIT, this.#sender, this.#senderBytes));
    return length < 0 ? undefined : { packet: received.subarray(0, length), hardware: Buffer.from(this.#sender.subarray(12, 12 + Math.min(8, this.#sender[11]!))) };
  }
}
