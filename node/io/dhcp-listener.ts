/**
 * One UDP socket: made by libc, polled by `dgram`, drained in batches.
 */
import dgram from 'node:dgram';
import {
  DHCP_DISCARDED_PACKETS_MAX, DHCP_PACKET_BYTES_MAX, DHCP_RECEIVE_BATCH_PACKETS, DHCP_SOCKET_RECEIVE_BYTES,
  DHCP_SOCKET_SEND_BYTES, DHCP_TURN_PACKETS_MAX,
} from '../limits.ts';
import { addressFromText } from './interfaces.ts';
import { BatchReceiver, closeDescriptor, openUdpSocket } from './libc.ts';

export interface ListenerOptions {
  readonly device?: string;
  readonly address: number;
  readonly port: number;
  /** See `UdpSocketOptions`. */
  readonly shared: boolean;
  /** A packet; `bytes` are valid during the call only. */
  readonly onPacket: (bytes: Buffer, sourceAddress: number, sourcePort: number) => void;
  readonly onTooLong: () => void;
  /** Packets that were read but not handed over, because `discardWaiting` was called meanwhile. */
  readonly onDiscarded: (count: number) => void;
  readonly onError: (error: Error) => void;
}

// Draining is synchronous, so all sockets share the memory. A discarded packet needs no more than a byte,
// and must not land where a packet that is being handled lies.
const received = new BatchReceiver(DHCP_RECEIVE_BATCH_PACKETS, DHCP_PACKET_BYTES_MAX);
const discarded = new BatchReceiver(DHCP_RECEIVE_BATCH_PACKETS, 1);

export class DhcpListener {
  readonly fd: number;
  readonly #options: ListenerOptions;
  readonly #socket: dgram.Socket;
  #closed: Promise<void> | undefined;
  #turnPackets = 0;
  #discards = 0;

  /** Throws SystemCallError. */
  constructor(options: ListenerOptions) {
    this.#options = options;
    this.fd = openUdpSocket({
      ...options, receiveBufferBytes: DHCP_SOCKET_RECEIVE_BYTES, sendBufferBytes: DHCP_SOCKET_SEND_BYTES,
    });
    try {
      this.#socket = dgram.createSocket('udp4');
      this.#socket.on('message', (bytes, from) => this.#onFirst(bytes, from.address, from.port));
      this.#socket.on('error', options.onError);
      this.#socket.bind({ fd: this.fd, exclusive: true });
    } catch (error) {
      closeDescriptor(this.fd);
      throw error;
    }
  }

  /** The turn of the event loop is over: the next one may read as much again. */
  endTurn(): void {
    this.#turnPackets = 0;
  }

  /** Reads and drops what waits; returns how many packets that were. */
  discardWaiting(): number {
    this.#discards++;
    let total = 0;
    while (this.#closed === undefined && total < DHCP_DISCARDED_PACKETS_MAX) {
      const count = discarded.receive(this.fd);
      total += count;
      if (count < discarded.count) break;
    }
    return total;
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => this.#socket.close(() => resolve()));
    return this.#closed;
  }

  #onFirst(bytes: Buffer, sourceText: string, sourcePort: number): void {
    const discards = this.#discards;
    this.#turnPackets++;
    if (bytes.length > DHCP_PACKET_BYTES_MAX) this.#options.onTooLong();
    else this.#options.onPacket(bytes, addressFromText(sourceText), sourcePort);
    if (discards === this.#discards) this.#drain();
  }

  #drain(): void {
    const discards = this.#discards;
    while (this.#turnPackets < DHCP_TURN_PACKETS_MAX && this.#closed === undefined) {
      const count = received.receive(this.fd);
      this.#turnPackets += count;
      for (let i = 0; i < count; i++) {
        if (received.truncated(i)) this.#options.onTooLong();
        else this.#options.onPacket(received.bytes(i), received.sourceAddress(i), received.sourcePort(i));
        if (discards !== this.#discards || this.#closed !== undefined) {
          this.#options.onDiscarded(count - i - 1);
          return;
        }
      }
      if (count < received.count) return;
    }
  }
}
