/**
 * Requests to name servers over UDP. A connected socket takes datagrams from its server only, and learns at once that
 * nobody listens there. Requests share it, each under a random id of its own; it is made anew after
 * DNS_SOCKET_REQUESTS_MAX of them, so that its port cannot be found out at leisure.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { DNS_SOCKET_IDLE_MS, DNS_SOCKET_REQUESTS_MAX } from '../limits.ts';
import { serverText } from '../server-health.ts';
import type { DnsServer } from '../types.ts';

/** Who waits for an answer. */
export interface AnswerListener {
  /** A datagram with the id of its request: perhaps the answer. */
  onDatagram(bytes: Buffer): void;
  /** There will be none: nobody listens there, or the network says no. */
  onFailure(reason: string): void;
}

export class UdpChannels {
  readonly #channels = new Map<string, UdpChannel>();

  /** The socket for the next request to this server. */
  to(server: DnsServer): UdpChannel {
    const name = serverText(server);
    const there = this.#channels.get(name);
    if (there?.isUsable === true) return there;
    there?.retire();
    const channel = new UdpChannel(server, (ended) => {
      if (this.#channels.get(name) === ended) this.#channels.delete(name);
    });
    this.#channels.set(name, channel);
    return channel;
  }

  /** Whoever waits is told that there will be no answer. */
  close(): void {
    for (const channel of this.#channels.values()) channel.fail('closed');
  }
}

export class UdpChannel {
  readonly #socket: Socket;
  readonly #listeners = new Map<number, AnswerListener>();
  /** Ids are used once: a late answer to a request that was sent again belongs to nobody else. */
  readonly #used = new Set<number>();
  readonly #onEnd: (channel: UdpChannel) => void;
  readonly #idle: NodeJS.Timeout;
  /** What is to be sent when the socket is connected; undefined from then on. */
  #early: Buffer[] | undefined = [];
  #isRetired = false;
  #hasEnded = false;

  constructor({ host, port }: DnsServer, onEnd: (channel: UdpChannel) => void) {
    this.#onEnd = onEnd;
    this.#socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.fail(error.code ?? error.message));
    this.#socket.on('message', (bytes) => {
      if (bytes.length >= 2) this.#listeners.get(bytes.readUInt16BE(0))?.onDatagram(bytes);
    });
    // With an error where there is no way to the server.
    this.#socket.connect(port, host, (error?: NodeJS.ErrnoException) => {
      if (error !== undefined) this.fail(error.code ?? error.message);
      const early = this.#early ?? [];
      this.#early = undefined;
      for (const bytes of early) this.send(bytes);
    });
    this.#idle = setTimeout(() => this.retire(), DNS_SOCKET_IDLE_MS).unref();
  }

  get isUsable(): boolean {
    return !this.#isRetired && !this.#hasEnded && this.#used.size < DNS_SOCKET_REQUESTS_MAX;
  }

  /** A free id for a request, under which is listened until `release`. */
  claim(listener: AnswerListener): number {
    let id = randomInt(65_536);
    while (this.#used.has(id)) id = (id + 1) & 0xffff;
    this.#used.add(id);
    this.#listeners.set(id, listener);
    this.#idle.refresh();
    return id;
  }

  release(id: number): void {
    this.#listeners.delete(id);
    if (this.#isRetired) this.retire();
  }

  send(bytes: Buffer): void {
    if (this.#hasEnded) return;
    if (this.#early !== undefined) {
      this.#early.push(bytes);
      return;
    }
    this.#socket.send(bytes, (error: NodeJS.ErrnoException | null) => {
      if (error !== null) this.fail(error.code ?? error.message);
    });
  }

  /** It is closed as soon as nobody waits for an answer. */
  retire(): void {
    this.#isRetired = true;
    if (this.#listeners.size === 0) this.#end();
  }

  fail(reason: string): void {
    this.#end();
    for (const listener of this.#listeners.values()) listener.onFailure(reason);
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#idle);
    this.#socket.close();
    this.#onEnd(this);
  }
}
