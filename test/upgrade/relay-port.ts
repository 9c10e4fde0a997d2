/**
 * The way of a network of clients to their servers: as their relay agent, and as their router. The host has the
 * relay's address, and takes every address of the clients' network for its own (`ip route add local`).
 */
import { createSocket, type Socket } from 'node:dgram';
import koffi from 'koffi';
import { SystemCallError } from '../../node/io/libc.ts';

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const sendto = libc.func('intptr_t sendto(int fd, void *bytes, size_t length, int flags, void *address, uint32_t addressLength)');

const AF_INET = 2;
const SOCK_RAW = 3;
/** The sender writes the IP header; the kernel fills in length, identification and checksum. */
const IPPROTO_RAW = 255;
const MSG_DONTWAIT = 0x40;
const SOCKADDR_IN_BYTES = 16;
const IP_HEADER_BYTES = 20;
const UDP_HEADER_BYTES = 8;
const UDP = 17;
const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const RECEIVE_BUFFER_BYTES = 8 << 20;
const HOPS_AT = 3;
const GIADDR_AT = 24;

export class RelayPort {
  readonly #relay: string;
  readonly #relayBytes: Buffer;
  readonly #servers: readonly string[];
  readonly #onPacket: (bytes: Buffer) => void;
  #agent!: Socket;
  readonly #raw: number;
  readonly #packet = Buffer.alloc(1500);
  readonly #to = Buffer.alloc(128);

  constructor(relay: string, servers: readonly string[], onPacket: (bytes: Buffer) => void) {
    this.#relay = relay;
    this.#relayBytes = addressBytes(relay);
    this.#servers = servers;
    this.#onPacket = onPacket;
    this.#raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW) as number;
    if (this.#raw < 0) throw new SystemCallError('socket', 'for packets of clients');
    this.#packet[0] = 0x45;
    this.#packet[8] = 64;
    this.#packet[9] = UDP;
    this.#to.writeUInt16LE(AF_INET, 0);
  }

  async open(): Promise<void> {
    this.#agent = await listen(this.#relay, SERVER_PORT, this.#onPacket);
    await listen('0.0.0.0', CLIENT_PORT, this.#onPacket);
  }

  /** What a client broadcasts, to each server, from the relay's address. */
  relay(message: Buffer): void {
    this.#relayBytes.copy(message, GIADDR_AT);
    message[HOPS_AT] = 1;
    for (const server of this.#servers) this.#agent.send(message, SERVER_PORT, server, () => undefined);
  }

  /** What a client sends to its server, from its own address: past the relay, through the router. */
  unicast(message: Buffer, from: string, to: string): void {
    const packet = this.#packet;
    addressBytes(from).copy(packet, 12);
    addressBytes(to).copy(packet, 16);
    packet.writeUInt16BE(CLIENT_PORT, IP_HEADER_BYTES);
    packet.writeUInt16BE(SERVER_PORT, IP_HEADER_BYTES + 2);
    packet.writeUInt16BE(UDP_HEADER_BYTES + message.length, IP_HEADER_BYTES + 4);
    // RFC 768: no checksum.
    packet.writeUInt16BE(0, IP_HEADER_BYTES + 6);
    message.copy(packet, IP_HEADER_BYTES + UDP_HEADER_BYTES);
    addressBytes(to).copy(this.#to, 4);
    sendto(this.#raw, packet, IP_HEADER_BYTES + UDP_HEADER_BYTES + message.length, MSG_DONTWAIT, this.#to, SOCKADDR_IN_BYTES);
  }
}

function addressBytes(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

function listen(address: string, port: number, onPacket: (bytes: Buffer) => void): Promise<Socket> {
  const opened = createSocket({ type: 'udp4', reuseAddr: true, recvBufferSize: RECEIVE_BUFFER_BYTES });
  opened.on('message', onPacket);
  // A server that is gone answers with an ICMP error; the retransmission takes care of it.
  opened.on('error', () => undefined);
  return new Promise((resolve) => opened.bind({ address, port, exclusive: true }, () => resolve(opened)));
}
