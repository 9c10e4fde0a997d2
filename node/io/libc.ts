/**
 * The calls of libc that Node.js does not offer: sockets bound to a device, datagrams received and sent
 * in batches, and entries of the ARP table.
 *
 * Layouts are those of 64-bit little-endian Linux (x86_64 and arm64 have the same). All memory that the
 * kernel sees lies in zeroed Buffers, large enough that V8 never moves them, and is kept as long as its
 * owner. Numbers for addresses are IPv4 in host order (10.0.0.1 is 0x0a000001).
 */
import koffi from 'koffi';
import { constants } from 'node:os';

// The process itself links libc, under whatever name the distribution gives it.
const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const setsockopt = libc.func('int setsockopt(int fd, int level, int name, void *value, uint32_t length)');
const bind = libc.func('int bind(int fd, void *address, uint32_t length)');
const close = libc.func('int close(int fd)');
const flock = libc.func('int flock(int fd, int operation)');
const ioctl = libc.func('int ioctl(int fd, unsigned long request, void *argument)');
const recvmmsg = libc.func('int recvmmsg(int fd, void *messages, uint32_t count, int flags, void *timeout)');
const sendmmsg = libc.func('int sendmmsg(int fd, void *messages, uint32_t count, int flags)');

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_BROADCAST = 6;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const MSG_DONTROUTE = 0x04;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const SIOCGIFMTU = 0x8921;
const SIOCGIFHWADDR = 0x8927;
const SIOCGIFINDEX = 0x8933;
const SIOCDARP = 0x8953;
const SIOCGARP = 0x8954;
const SIOCSARP = 0x8955;
/** IFNAMSIZ without the final zero. */
const DEVICE_NAME_BYTES_MAX = 15;
const ATF_COM = 0x02;
const ATF_PERM = 0x04;
const ARPHRD_ETHER = 1;

/** struct sockaddr_in: family u16, port u16 big-endian, address u32 big-endian, 8 zeros. */
const SOCKADDR_BYTES = 16;
/** struct iovec: base u64, length u64. */
const IOVEC_BYTES = 16;
/**
 * struct mmsghdr: name u64 @0, namelen u32 @8, iov u64 @16, iovlen u64 @24, control u64 @32,
 * controllen u64 @40, flags u32 @48; msg_len u32 @56; 64 in all.
 */
const MMSGHDR_BYTES = 64;
const NAMELEN_AT = 8;
const FLAGS_AT = 48;
const LENGTH_AT = 56;

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** A system call that failed. `code` is the errno's name, as in Node.js's own errors. */
export class SystemCallError extends Error {
  readonly code: string;
  readonly call: string;

  constructor(call: string, about: string, errno: number = koffi.errno()) {
    const code = ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
    super(`${call} ${about}: ${code}`);
    this.name = 'SystemCallError';
    this.code = code;
    this.call = call;
  }
}

function writeSockaddr(into: Buffer, at: number, address: number, port: number): void {
  into.writeUInt16LE(AF_INET, at);
  into.writeUInt16BE(port, at + 2);
  into.writeUInt32BE(address, at + 4);
}

export interface UdpSocketOptions {
  /** Bound to this interface: hears only what comes in on it, sends only out of it. Needs CAP_NET_RAW. */
  readonly device?: string;
  readonly address: number;
  readonly port: number;
  /** Another socket may be bound to the same address and port. */
  readonly shared: boolean;
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
}

/**
 * A bound, non-blocking UDP socket that may send broadcasts; the caller owns the descriptor.
 * Throws SystemCallError, and leaves no descriptor open then.
 */
export function openUdpSocket(options: UdpSocketOptions): number {
  const fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) throw new SystemCallError('socket', 'for UDP');
  const value = Buffer.alloc(128);
  const setNumber = (name: number, number: number): boolean => {
    value.writeInt32LE(number);
    return setsockopt(fd, SOL_SOCKET, name, value, 4) === 0;
  };
  try {
    if (options.device !== undefined) {
      const length = value.write(`${options.device}\0`, 'latin1');
      if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, value, length) !== 0) {
        throw new SystemCallError('setsockopt', `SO_BINDTODEVICE ${options.device}`);
      }
    }
    if (options.shared && !setNumber(SO_REUSEADDR, 1)) throw new SystemCallError('setsockopt', 'SO_REUSEADDR');
    if (!setNumber(SO_BROADCAST, 1)) throw new SystemCallError('setsockopt', 'SO_BROADCAST');
    // The forced forms pass the limit of net.core.*mem_max, and need CAP_NET_ADMIN.
    if (!setNumber(SO_RCVBUFFORCE, options.receiveBufferBytes)) setNumber(SO_RCVBUF, options.receiveBufferBytes);
    if (!setNumber(SO_SNDBUFFORCE, options.sendBufferBytes)) setNumber(SO_SNDBUF, options.sendBufferBytes);
    value.fill(0);
    writeSockaddr(value, 0, options.address, options.port);
    if (bind(fd, value, SOCKADDR_BYTES) !== 0) throw new SystemCallError('bind', `to port ${options.port}`);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

export function closeDescriptor(fd: number): void {
  close(fd);
}

/** A descriptor for questions about interfaces, as they are in this process's network namespace. */
export class InterfaceControl {
  readonly #fd: number;
  readonly #request = Buffer.alloc(128);

  constructor() {
    this.#fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
    if (this.#fd < 0) throw new SystemCallError('socket', 'for interfaces');
  }

  /** Its index, or undefined where there is no such interface. */
  indexOf(name: string): number | undefined {
    return this.#ask(SIOCGIFINDEX, name);
  }

  /** Its MTU in bytes, or undefined where there is no such interface. */
  mtuOf(name: string): number | undefined {
    return this.#ask(SIOCGIFMTU, name);
  }

  /** Its hardware address; undefined where there is no such interface, or it is not Ethernet (loopback, a tunnel). */
  ethernetAddressOf(name: string): Buffer | undefined {
    const hardwareType = this.#ask(SIOCGIFHWADDR, name);
    if (hardwareType === undefined || (hardwareType & 0xffff) !== ARPHRD_ETHER) return undefined;
    return Buffer.from(this.#request.subarray(18, 24));
  }

  /** struct ifreq: name 16, then what is asked for (i32 here), 40 in all. */
  #ask(request: number, name: string): number | undefined {
    this.#request.fill(0);
    this.#request.write(name, 0, DEVICE_NAME_BYTES_MAX, 'latin1');
    return ioctl(this.#fd, request, this.#request) === 0 ? this.#request.readInt32LE(16) : undefined;
  }

  /**
   * Makes `address` reachable at `hardwareAddress` (6 bytes, Ethernet) on `device`, until it is removed or the
   * kernel finds it stale. False if the kernel refuses: no CAP_NET_ADMIN, no Ethernet, or its table is full.
   * struct arpreq: protocol address 16, hardware address 16, flags i32, netmask 16, device name 16.
   */
  setArpEntry(device: string, address: number, hardwareAddress: Buffer): boolean {
    this.#writeArpRequest(device, address);
    this.#request.writeUInt16LE(ARPHRD_ETHER, 16);
    hardwareAddress.copy(this.#request, 18, 0, 6);
    this.#request.writeInt32LE(ATF_COM, 32);
    return ioctl(this.#fd, SIOCSARP, this.#request) === 0;
  }

  /** Forgets what the kernel knows of `address` on `device`; nothing if it knows nothing. */
  removeArpEntry(device: string, address: number): void {
    this.#writeArpRequest(device, address);
    ioctl(this.#fd, SIOCDARP, this.#request);
  }

  /** What the kernel knows of `address` on `device`: undefined if nothing, or if nobody there answered ARP. */
  arpEntryOf(device: string, address: number): { readonly hardwareAddress: Buffer; readonly permanent: boolean } | undefined {
    this.#writeArpRequest(device, address);
    if (ioctl(this.#fd, SIOCGARP, this.#request) !== 0) return undefined;
    const flags = this.#request.readInt32LE(32);
    if ((flags & ATF_COM) === 0) return undefined;
    return { hardwareAddress: Buffer.from(this.#request.subarray(18, 24)), permanent: (flags & ATF_PERM) !== 0 };
  }

  #writeArpRequest(device: string, address: number): void {
    this.#request.fill(0);
    writeSockaddr(this.#request, 0, address, 0);
    this.#request.write(device, 52, DEVICE_NAME_BYTES_MAX, 'latin1');
  }

  close(): void {
    close(this.#fd);
  }
}

/** mmsghdr, iovec and sockaddr_in for `count` messages, pointing at each other. */
class MessageTable {
  readonly headers: Buffer;
  readonly vectors: Buffer;
  readonly names: Buffer;
  readonly address: bigint;

  constructor(count: number) {
    this.headers = Buffer.alloc(Math.max(count * MMSGHDR_BYTES, 128));
    this.vectors = Buffer.alloc(Math.max(count * IOVEC_BYTES, 128));
    this.names = Buffer.alloc(Math.max(count * SOCKADDR_BYTES, 128));
    this.address = koffi.address(this.headers);
    const vectorsAt = koffi.address(this.vectors);
    const namesAt = koffi.address(this.names);
    for (let i = 0; i < count; i++) {
      const at = i * MMSGHDR_BYTES;
      this.headers.writeBigUInt64LE(namesAt + BigInt(i * SOCKADDR_BYTES), at);
      this.headers.writeUInt32LE(SOCKADDR_BYTES, at + NAMELEN_AT);
      this.headers.writeBigUInt64LE(vectorsAt + BigInt(i * IOVEC_BYTES), at + 16);
      this.headers.writeBigUInt64LE(1n, at + 24);
    }
  }
}

/** Receives up to `count` waiting datagrams in one call, without ever blocking. */
export class BatchReceiver {
  readonly count: number;
  readonly #slotBytes: number;
  readonly #data: Buffer;
  readonly #table: MessageTable;

  constructor(count: number, slotBytes: number) {
    this.count = count;
    this.#slotBytes = slotBytes;
    this.#data = Buffer.alloc(Math.max(count * slotBytes, 128));
    this.#table = new MessageTable(count);
    const dataAt = koffi.address(this.#data);
    for (let i = 0; i < count; i++) {
      this.#table.vectors.writeBigUInt64LE(dataAt + BigInt(i * slotBytes), i * IOVEC_BYTES);
      this.#table.vectors.writeBigUInt64LE(BigInt(slotBytes), i * IOVEC_BYTES + 8);
    }
  }

  /** How many datagrams came; 0 also on an error, which the socket's owner learns from its poll. */
  receive(fd: number): number {
    const received = recvmmsg(fd, this.#table.address, this.count, MSG_DONTWAIT, null) as number;
    return received < 0 ? 0 : received;
  }

  /** The bytes of message `i`, valid until the next `receive`. */
  bytes(i: number): Buffer {
    const at = i * this.#slotBytes;
    return this.#data.subarray(at, at + this.#table.headers.readUInt32LE(i * MMSGHDR_BYTES + LENGTH_AT));
  }

  /** Message `i` was longer than a slot. */
  truncated(i: number): boolean {
    return (this.#table.headers.readUInt32LE(i * MMSGHDR_BYTES + FLAGS_AT) & MSG_TRUNC) !== 0;
  }

  sourceAddress(i: number): number {
    return this.#table.names.readUInt32BE(i * SOCKADDR_BYTES + 4);
  }

  sourcePort(i: number): number {
    return this.#table.names.readUInt16BE(i * SOCKADDR_BYTES + 2);
  }
}

/** Datagrams that leave through one socket in one call; their bytes are copied in. */
export class BatchSender {
  readonly #capacity: number;
  readonly #slotBytes: number;
  readonly #data: Buffer;
  readonly #table: MessageTable;
  #count = 0;

  constructor(capacity: number, slotBytes: number) {
    this.#capacity = capacity;
    this.#slotBytes = slotBytes;
    this.#data = Buffer.alloc(Math.max(capacity * slotBytes, 128));
    this.#table = new MessageTable(capacity);
    const dataAt = koffi.address(this.#data);
    for (let i = 0; i < capacity; i++) {
      this.#table.vectors.writeBigUInt64LE(dataAt + BigInt(i * slotBytes), i * IOVEC_BYTES);
    }
  }

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === this.#capacity;
  }

  /** False if the datagram is longer than a slot. Must not be called when full. */
  add(bytes: Buffer, address: number, port: number): boolean {
    if (bytes.length > this.#slotBytes) return false;
    const i = this.#count++;
    bytes.copy(this.#data, i * this.#slotBytes);
    this.#table.vectors.writeUInt32LE(bytes.length, i * IOVEC_BYTES + 8);
    writeSockaddr(this.#table.names, i * SOCKADDR_BYTES, address, port);
    return true;
  }

  /** Forgets what was added; returns how many that were. */
  clear(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }

  /**
   * Sends all that was added and forgets it. Returns how many the kernel refused; what comes after a
   * refused one is still sent.
   * @param onLink the destination is on the socket's segment, whatever the routing table says
   */
  flush(fd: number, onLink: boolean): number {
    const flags = MSG_DONTWAIT | (onLink ? MSG_DONTROUTE : 0);
    let at = 0;
    let refused = 0;
    while (at < this.#count) {
      const sent = sendmmsg(fd, this.#table.address + BigInt(at * MMSGHDR_BYTES), this.#count - at, flags) as number;
      // An error is returned only for the first message of a call: it is skipped.
      if (sent > 0) at += sent;
      else {
        at++;
        refused++;
      }
    }
    this.#count = 0;
    return refused;
  }
}

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Takes the whole file for this process, as flock(2) does; false where another one has it. */
export function tryLockFile(fd: number): boolean {
  return flock(fd, LOCK_EX | LOCK_NB) === 0;
}
