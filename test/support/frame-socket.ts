/**
 * A packet socket: whole Ethernet frames, in and out of one interface, whatever their addresses. Node.js
 * polls no packet sockets, so it is read when somebody looks. Needs CAP_NET_RAW.
 */
import koffi from 'koffi';
import { BatchReceiver, closeDescriptor, InterfaceControl, SystemCallError } from '../../node/io/libc.ts';

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const setsockopt = libc.func('int setsockopt(int fd, int level, int name, void *value, uint32_t length)');
const bind = libc.func('int bind(int fd, void *address, uint32_t length)');
const send = libc.func('intptr_t send(int fd, void *bytes, size_t length, int flags)');

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const ETH_P_ALL = 0x0003;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const MSG_DONTWAIT = 0x40;
const SOCKADDR_LL_BYTES = 20;
const RECEIVE_BUFFER_BYTES = 8 << 20;

export interface FrameSocketOptions {
  /**
   * Each frame has a virtio_net_hdr of 10 bytes before it, which says what the kernel has not done yet:
   * checksums and segmentation. A frame that is passed on needs it; a reader of UDP does not.
   */
  readonly offloads?: boolean;
  readonly batch?: number;
  readonly frameBytesMax?: number;
}

export const OFFLOAD_HEADER_BYTES = 10;

export class FrameSocket {
  readonly #fd: number;
  readonly #receiver: BatchReceiver;

  /** Throws SystemCallError, or an Error where there is no such interface. */
  constructor(device: string, { offloads = false, batch = 64, frameBytesMax = 2048 }: FrameSocketOptions = {}) {
    this.#receiver = new BatchReceiver(batch, frameBytesMax);
    this.#fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number;
    if (this.#fd < 0) throw new SystemCallError('socket', 'for frames');
    try {
      this.#set(SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
      this.#set(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
      if (offloads) this.#set(SOL_PACKET, PACKET_VNET_HDR, 1);
      // struct sockaddr_ll: family u16, protocol u16 big-endian, interface index i32; the rest is for sending.
      const address = Buffer.alloc(128);
      address.writeUInt16LE(AF_PACKET, 0);
      address.writeUInt16BE(ETH_P_ALL, 2);
      address.writeInt32LE(indexOf(device), 4);
      if (bind(this.#fd, address, SOCKADDR_LL_BYTES) !== 0) throw new SystemCallError('bind', `to ${device} for frames`);
    } catch (error) {
      closeDescriptor(this.#fd);
      throw error;
    }
  }

  /** Gives all that waits to `onFrame`, whose frame is valid until it returns. */
  drain(onFrame: (frame: Buffer) => void): void {
    for (let count = this.#receiver.count; count === this.#receiver.count;) {
      count = this.#receiver.receive(this.#fd);
      for (let i = 0; i < count; i++) if (!this.#receiver.truncated(i)) onFrame(this.#receiver.bytes(i));
    }
  }

  /** False where the kernel refuses: its queue is full, or the interface is down. */
  send(frame: Buffer): boolean {
    return Number(send(this.#fd, frame, frame.length, MSG_DONTWAIT)) === frame.length;
  }

  close(): void {
    closeDescriptor(this.#fd);
  }

  #set(level: number, name: number, number: number): void {
    const value = Buffer.alloc(128);
    value.writeInt32LE(number);
    if (setsockopt(this.#fd, level, name, value, 4) !== 0) throw new SystemCallError('setsockopt', `${level}/${name} for frames`);
  }
}

function indexOf(device: string): number {
  const control = new InterfaceControl();
  try {
    const index = control.indexOf(device);
    if (index === undefined) throw new Error(`no interface ${device}`);
    return index;
  } finally {
    control.close();
  }
}
