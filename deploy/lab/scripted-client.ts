/**
 * Many DHCP clients on one interface of a host of the lab, each with its own hardware address: they get
 * leases, renew and rebind them in time, and tell each lease that they received as a line of JSON.
 * They know only what the server's packets tell them: the checker builds on that.
 *
 * Argument: the interface. Input, a line of JSON each: `ClientCommand`. Output: `ready`, then
 * `ClientEvent`s. New clients set the broadcast flag; addresses that they hold are put on the host's
 * loopback interface, so that unicast replies reach them.
 */
import { spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { openUdpSocket } from '../../node/io/libc.ts';
import { requireProgram } from './programs.ts';
import { MessageType, readServerMessage, writeClientMessage, type ClientMessage, type ServerMessage } from './client-wire.ts';

export type ClientCommand =
  /** New clients `<name>-0`, ...; each repeats what is not answered every `retryMs`. */
  | { readonly do: 'start'; readonly name: string; readonly count: number; readonly retryMs: number }
  /** All that hold a lease renew it now. One without an answer soon rebinds. */
  | { readonly do: 'renew' }
  /** Those whose name begins so give their leases back and are gone. */
  | { readonly do: 'release'; readonly name: string }
  /** Those whose name begins so say that somebody else uses their address (RFC 2131 §3.1 step 5), and ask for another. */
  | { readonly do: 'decline'; readonly name: string };

export interface ClientEvent {
  readonly event: 'bound' | 'renewed' | 'rebound' | 'refused' | 'expired' | 'released' | 'declined';
  readonly client: string;
  readonly address: string;
  readonly serverId: string;
  /** Wall time in ms: when it happened. */
  readonly at: number;
  /** When the client may no longer use the address: lease time after its request left. `at`, if it has none. */
  readonly until: number;
  /** How long the client has waited, from its first packet for this. */
  readonly tookMs: number;
}

const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const STEP_MS = 10;
/** A renewal that is not answered after so many tries goes on as a rebinding. */
const RENEWAL_TRIES = 2;
const RENEWAL_RETRY_MS = 500;
const BUFFER_BYTES = 1 << 20;

const device = process.argv[2] ?? 'eth0';
const wallNow = (): number => performance.timeOrigin + performance.now();

function openSocket(address: string, onPacket: (bytes: Buffer) => void): Promise<Socket> {
  const number = Buffer.from(address.split('.').map(Number)).readUInt32BE();
  const fd = openUdpSocket({
    device, address: number, port: CLIENT_PORT, shared: true, receiveBufferBytes: BUFFER_BYTES, sendBufferBytes: BUFFER_BYTES,
  });
  const socket = createSocket('udp4');
  socket.on('message', onPacket);
  // A server that is gone answers with an ICMP error; the retransmission takes care of it.
  socket.on('error', () => undefined);
  return new Promise((resolve) => socket.bind({ fd }, () => resolve(socket)));
}

/** Addresses come and go by one program that reads them line by line. */
const { command, env } = requireProgram('ip');
const ip = spawn(command, ['-force', '-batch', '-'], { stdio: ['pipe', 'ignore', 'ignore'], env: { ...process.env, ...env } });

class ScriptedClient {
  readonly name: string;
  readonly chaddr: Buffer;
  state: 'selecting' | 'requesting' | 'bound' | 'renewing' | 'rebinding' | 'gone' = 'selecting';
  readonly #retryMs: number;
  #xid = 0;
  #beganAt = 0;
  #sentAt = 0;
  #nextAt = 0;
  #tries = 0;
  #address = '';
  #serverId = '';
  #until = 0;
  #renewAt = 0;
  #rebindAt = 0;
  /** Bound to the address that it holds: RENEWING is unicast (RFC 2131 §4.3.2). */
  #own: Promise<Socket> | undefined;

  constructor(name: string, chaddr: Buffer, retryMs: number) {
    this.name = name;
    this.chaddr = chaddr;
    this.#retryMs = retryMs;
    this.#begin('selecting');
  }

  step(now: number): void {
    if (this.state === 'gone') return;
    if (this.#address !== '' && this.state !== 'selecting' && this.state !== 'requesting') {
      if (now >= this.#until) return this.#lose('expired');
      if (this.state === 'bound' && now >= this.#renewAt) this.renew();
      if (this.state === 'renewing' && now >= this.#rebindAt) this.#begin('rebinding');
    }
    if (this.state !== 'bound' && now >= this.#nextAt) this.#send(now);
  }

  renew(): void {
    if (this.state === 'bound') this.#begin('renewing');
  }

  release(): void {
    if (this.state !== 'bound' && this.state !== 'renewing' && this.state !== 'rebinding') return;
    this.state = 'gone';
    this.#unicast({ type: MessageType.release, xid: this.#newXid(), chaddr: this.chaddr, ciaddr: this.#address, serverId: this.#serverId });
    this.#tell('released', wallNow());
    this.#dropAddress();
  }

  decline(): void {
    if (this.state !== 'bound') return;
    broadcast({ type: MessageType.decline, xid: this.#newXid(), chaddr: this.chaddr, requested: this.#address, serverId: this.#serverId });
    this.#lose('declined');
  }

  onReply(reply: ServerMessage): void {
    if (reply.xid !== this.#xid) return;
    const now = wallNow();
    if (reply.type === MessageType.offer && this.state === 'selecting') {
      this.#address = reply.yiaddr;
      this.#serverId = reply.serverId;
      this.state = 'requesting';
      this.#tries = 0;
      this.#send(now);
    } else if (reply.type === MessageType.nak && this.state !== 'bound' && this.state !== 'selecting') {
      this.#lose('refused');
    } else if (reply.type === MessageType.ack && this.state !== 'bound' && this.state !== 'selecting') {
      this.#take(reply, now);
    }
  }

  #take(reply: ServerMessage, now: number): void {
    const event = this.state === 'requesting' ? 'bound' : this.state === 'renewing' ? 'renewed' : 'rebound';
    if (this.#own === undefined || reply.yiaddr !== this.#address) {
      this.#dropAddress();
      this.#address = reply.yiaddr;
      ip.stdin.write(`address replace ${reply.yiaddr}/32 dev lo\n`);
    }
    this.#serverId = reply.serverId;
    this.state = 'bound';
    // RFC 2131 §4.4.1: the lease is counted from when the request was sent.
    const ms = reply.leaseSeconds * 1000;
    this.#until = this.#sentAt + ms;
    this.#renewAt = this.#sentAt + ms / 2;
    this.#rebindAt = this.#sentAt + ms * 0.875;
    this.#tell(event, this.#until, now);
  }

  #lose(event: 'refused' | 'expired' | 'declined'): void {
    this.#tell(event, wallNow());
    this.#dropAddress();
    this.#address = '';
    this.#begin('selecting');
  }

  #begin(state: 'selecting' | 'renewing' | 'rebinding'): void {
    const now = wallNow();
    if (state !== 'rebinding') this.#beganAt = now;
    this.state = state;
    this.#newXid();
    this.#tries = 0;
    this.#send(now);
  }

  #newXid(): number {
    this.#xid = Math.floor(Math.random() * 0xffff_ffff);
    return this.#xid;
  }

  #send(now: number): void {
    if (this.state === 'requesting' && this.#tries >= 3) return this.#begin('selecting');
    if (this.state === 'renewing' && this.#tries >= RENEWAL_TRIES) return this.#begin('rebinding');
    const { chaddr } = this;
    const secs = Math.min(0xffff, Math.floor((now - this.#beganAt) / 1000));
    const common = { xid: this.#xid, chaddr, secs };
    switch (this.state) {
      case 'selecting': broadcast({ ...common, type: MessageType.discover, broadcast: true }); break;
      case 'requesting':
        broadcast({ ...common, type: MessageType.request, broadcast: true, requested: this.#address, serverId: this.#serverId });
        break;
      case 'renewing': this.#unicast({ ...common, type: MessageType.request, ciaddr: this.#address }); break;
      case 'rebinding': broadcast({ ...common, type: MessageType.request, ciaddr: this.#address }); break;
      default: return;
    }
    this.#tries++;
    this.#sentAt = now;
    this.#nextAt = now + (this.state === 'renewing' ? RENEWAL_RETRY_MS : this.#retryMs);
  }

  #unicast(message: ClientMessage): void {
    const to = this.#serverId;
    this.#own ??= openSocket(this.#address, onPacket);
    // The address may have come to the interface only a moment ago: the next try will have it.
    void this.#own.then((socket) => socket.send(writeClientMessage(message), SERVER_PORT, to, () => undefined), () => {
      this.#own = undefined;
    });
  }

  #dropAddress(): void {
    const own = this.#own;
    this.#own = undefined;
    // What it sent last leaves first.
    if (own !== undefined) setTimeout(() => void own.then((socket) => socket.close(), () => undefined), 100);
    if (this.#address !== '') ip.stdin.write(`address del ${this.#address}/32 dev lo\n`);
  }

  #tell(event: ClientEvent['event'], until: number, at: number = wallNow()): void {
    const told: ClientEvent = {
      event, client: this.name, address: this.#address, serverId: this.#serverId, at, until, tookMs: at - this.#beganAt,
    };
    process.stdout.write(`${JSON.stringify(told)}\n`);
  }
}

const clients = new Map<string, ScriptedClient>();

function onPacket(bytes: Buffer): void {
  const reply = readServerMessage(bytes);
  if (reply !== undefined) clients.get(reply.chaddr)?.onReply(reply);
}

function broadcast(message: ClientMessage): void {
  everyone.send(writeClientMessage(message), SERVER_PORT, '255.255.255.255', () => undefined);
}

function obey(command: ClientCommand): void {
  switch (command.do) {
    case 'start':
      for (let i = 0; i < command.count; i++) {
        const chaddr = Buffer.from([0x02, 0x4c, 0x43, 0, 0, 0]);
        chaddr.writeUInt16BE(clients.size + 1, 4);
        clients.set(chaddr.toString('hex'), new ScriptedClient(`${command.name}-${i}`, chaddr, command.retryMs));
      }
      return;
    case 'renew':
      for (const client of clients.values()) client.renew();
      return;
    case 'release':
      for (const client of clients.values()) if (client.name.startsWith(command.name)) client.release();
      return;
    case 'decline':
      for (const client of clients.values()) if (client.name.startsWith(command.name)) client.decline();
      return;
    default: command satisfies never;
  }
}

const everyone = await openSocket('0.0.0.0', onPacket);
setInterval(() => {
  const now = wallNow();
  for (const client of clients.values()) client.step(now);
}, STEP_MS);
createInterface({ input: process.stdin }).on('line', (line) => obey(JSON.parse(line) as ClientCommand));
process.stdout.write('ready\n');
