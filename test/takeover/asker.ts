/**
 * DHCP clients that measure: each asks often, so that the time until its answer is the server's and not its
 * own retransmission timer's. Runs on a host of the network as a process of its own, which has nothing
 * else to do, and tells how late its own timers were: no figure can be better than that.
 *
 * Argument: the interface. Input, a line of JSON each: `AskerCommand`. Output: `ready`, then `AskerEvent`s.
 * Clients know only what the servers' packets tell them. What the first ones hold is put on the loopback
 * interface, so that unicast replies reach them and renewals leave from the address itself.
 */
import { spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { MessageType, readServerMessage, writeClientMessage, type ClientMessage, type ServerMessage } from '../../deploy/lab/client-wire.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import { openUdpSocket } from '../../node/io/libc.ts';

/** What is asked for: by a client that is new, or holds a lease and broadcasts, or asks the server it knows. */
export type Ask = 'new' | 'rebinding' | 'renewing';

export type AskerCommand =
  /** As many new clients, with an interface of their own from then on: only these rebind and renew. */
  | { readonly do: 'hold'; readonly count: number }
  /** One client begins to ask every so often, until `pause`. Those that hold a lease take turns. */
  | { readonly do: 'stream'; readonly ask: Ask; readonly everyMs: number }
  | { readonly do: 'pause' }
  /** Renewals that these do not answer go on as rebindings, as a client's do at T2. */
  | { readonly do: 'dead'; readonly serverIds: readonly string[] }
  /** One new client of this hardware address, as a person's machine is: 4 s until it asks again, then 8, 16. */
  | { readonly do: 'ordinary'; readonly hardware: string }
  /** One new client of this hardware address that asks often and sends `secs` 0 for ever. */
  | { readonly do: 'secs-zero'; readonly hardware: string }
  /** Answered by `timers`: the worst delay since the last time it was asked for. */
  | { readonly do: 'timers' };

export type AskerEvent =
  /** An answer. Wall times in ms; the client may use the address `until`, counted from its last packet, or from its first. */
  | {
    readonly event: 'served'; readonly ask: Ask | 'ordinary'; readonly client: string; readonly address: string; readonly serverId: string;
    readonly beganAt: number; readonly at: number; readonly until: number; readonly untilFromFirst: number; readonly packets: number;
  }
  | { readonly event: 'refused'; readonly ask: Ask | 'ordinary'; readonly client: string; readonly address: string; readonly serverId: string; readonly at: number }
  /** A renewal without an answer goes on as a rebinding. */
  | { readonly event: 'went-on'; readonly client: string; readonly beganAt: number; readonly at: number }
  /** An answer to a question that the client has given up; `sentAt`: when it asked last. */
  | { readonly event: 'late'; readonly client: string; readonly serverId: string; readonly type: number; readonly sentAt: number; readonly at: number }
  | { readonly event: 'timers'; readonly worstMs: number }
  /** Who waits for an answer; after each `pause`, and whenever that changes from then on. */
  | { readonly event: 'waiting'; readonly clients: readonly { readonly client: string; readonly ask: Ask | 'ordinary' }[] };

const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const STEP_MS = 5;
export const RETRY_MS = 100;
/** A client without an answer to its DHCPREQUEST begins anew; not before a node may have found out that another is gone. */
const REQUEST_PACKETS_MAX = 8;
/** Tries of a renewal that a dead server does not answer. */
const RENEWAL_PACKETS_MAX = 4;
/** RFC 2131 §4.1 */
const ORDINARY_RETRY_MS = [4000, 8000, 16_000, 32_000, 64_000] as const;
const BUFFER_BYTES = 1 << 21;
/** Questions given up that late answers are known by. */
const PAST_MAX = 20_000;

const device = process.argv[2] ?? 'eth0';
const wallNow = (): number => performance.timeOrigin + performance.now();
const tell = (event: AskerEvent): void => void process.stdout.write(`${JSON.stringify(event)}\n`);

function openSocket(address: string): Promise<Socket> {
  const number = Buffer.from(address.split('.').map(Number)).readUInt32BE();
  const fd = openUdpSocket({
    device, address: number, port: CLIENT_PORT, shared: true, receiveBufferBytes: BUFFER_BYTES, sendBufferBytes: BUFFER_BYTES,
  });
  const socket = createSocket('udp4');
  socket.on('message', onPacket);
  // A server that is gone answers with an ICMP error; the next try takes care of it.
  socket.on('error', () => undefined);
  return new Promise((resolve) => socket.bind({ fd }, () => resolve(socket)));
}

/** Addresses come by one program that reads them line by line. */
const { command, env } = requireProgram('ip');
const ip = spawn(command, ['-force', '-batch', '-'], { stdio: ['pipe', 'ignore', 'ignore'], env: { ...process.env, ...env } });

interface Question {
  readonly ask: Ask | 'ordinary';
  readonly beganAt: number;
  readonly secsZero: boolean;
  state: 'selecting' | 'requesting' | 'renewing' | 'rebinding';
  xid: number;
  packets: number;
  /** In this state. */
  tries: number;
  firstSentAt: number;
  sentAt: number;
  nextAt: number;
}

/** Answers to what was asked before, by xid: when it was sent last, and by whom. */
const past = new Map<number, { readonly client: string; readonly sentAt: number }>();
const dead = new Set<string>();
const asking = new Set<Client>();
let tellWaiting = false;

class Client {
  readonly name: string;
  readonly #chaddr: Buffer;
  readonly #holds: boolean;
  #question: Question | undefined;
  address = '';
  serverId = '';
  #own: Promise<Socket> | undefined;

  constructor(chaddr: Buffer, holds: boolean) {
    this.name = chaddr.toString('hex');
    this.#chaddr = chaddr;
    this.#holds = holds;
  }

  /** What it asks for now. */
  get ask(): Question['ask'] | undefined {
    return this.#question?.ask;
  }

  begin(ask: Question['ask'], secsZero = false): void {
    const now = wallNow();
    const state = ask === 'rebinding' || ask === 'renewing' ? ask : 'selecting';
    this.#question = { ask, beganAt: now, secsZero, state, xid: newXid(), packets: 0, tries: 0, firstSentAt: now, sentAt: 0, nextAt: now };
    asking.add(this);
    this.step(now);
  }

  step(now: number): void {
    const question = this.#question;
    if (question === undefined || now < question.nextAt) return;
    if (question.state === 'requesting' && question.tries >= REQUEST_PACKETS_MAX) this.#turnTo(question, 'selecting');
    if (question.state === 'renewing' && question.tries >= RENEWAL_PACKETS_MAX && dead.has(this.serverId)) {
      tell({ event: 'went-on', client: this.name, beganAt: question.beganAt, at: now });
      this.#giveUp(question);
      this.begin('rebinding');
      return;
    }
    this.#send(question, now);
  }

  #turnTo(question: Question, state: Question['state']): void {
    this.#giveUp(question);
    question.state = state;
    question.xid = newXid();
    question.tries = 0;
  }

  #giveUp(question: Question): void {
    past.set(question.xid, { client: this.name, sentAt: question.sentAt });
    if (past.size > PAST_MAX) for (const oldest of past.keys()) {
      past.delete(oldest);
      break;
    }
  }

  #send(question: Question, now: number): void {
    const secs = question.secsZero ? 0 : Math.min(0xffff, Math.floor((now - question.beganAt) / 1000));
    const common = { xid: question.xid, chaddr: this.#chaddr, secs };
    if (question.state === 'selecting') broadcast({ ...common, type: MessageType.discover, broadcast: true });
    else if (question.state === 'requesting') {
      broadcast({ ...common, type: MessageType.request, broadcast: true, requested: this.address, serverId: this.serverId });
    } else if (question.state === 'rebinding') broadcast({ ...common, type: MessageType.request, ciaddr: this.address });
    else this.#unicast({ ...common, type: MessageType.request, ciaddr: this.address });
    const ordinary = ORDINARY_RETRY_MS[Math.min(question.tries, ORDINARY_RETRY_MS.length - 1)]! + (Math.random() * 2 - 1) * 1000;
    question.packets++;
    if (question.tries++ === 0) question.firstSentAt = now;
    question.sentAt = now;
    question.nextAt = now + (question.ask === 'ordinary' ? ordinary : RETRY_MS);
  }

  #unicast(message: ClientMessage): void {
    const to = this.serverId;
    this.#own ??= openSocket(this.address);
    void this.#own.then((socket) => socket.send(writeClientMessage(message), SERVER_PORT, to, () => undefined), () => {
      this.#own = undefined;
    });
  }

  onReply(reply: ServerMessage): void {
    const question = this.#question;
    const now = wallNow();
    if (question?.xid !== reply.xid) {
      const earlier = past.get(reply.xid);
      if (earlier?.client === this.name) tell({ event: 'late', client: this.name, serverId: reply.serverId, type: reply.type, sentAt: earlier.sentAt, at: now });
      return;
    }
    if (reply.type === MessageType.offer) {
      if (question.state !== 'selecting') return;
      this.address = reply.yiaddr;
      this.serverId = reply.serverId;
      question.state = 'requesting';
      question.tries = 0;
      this.#send(question, now);
    } else if (question.state === 'selecting') return;
    else if (reply.type === MessageType.nak) {
      tell({ event: 'refused', ask: question.ask, client: this.name, address: this.address, serverId: reply.serverId, at: now });
      this.#turnTo(question, 'selecting');
    } else if (reply.type === MessageType.ack) this.#take(question, reply, now);
  }

  #take(question: Question, reply: ServerMessage, now: number): void {
    this.#giveUp(question);
    this.#question = undefined;
    asking.delete(this);
    if (this.#holds && reply.yiaddr !== this.address) this.#own = undefined;
    if (this.#holds && question.ask === 'new') ip.stdin.write(`address replace ${reply.yiaddr}/32 dev lo\n`);
    this.address = reply.yiaddr;
    this.serverId = reply.serverId;
    tell({
      event: 'served', ask: question.ask, client: this.name, address: reply.yiaddr, serverId: reply.serverId, beganAt: question.beganAt, at: now,
      // RFC 2131 §4.4.1: the lease is counted from when the request was sent.
      until: question.sentAt + reply.leaseSeconds * 1000, untilFromFirst: question.firstSentAt + reply.leaseSeconds * 1000, packets: question.packets,
    });
    if (tellWaiting) tellWhoWaits();
  }
}

function newXid(): number {
  return Math.floor(Math.random() * 0xffff_ffff);
}

function tellWhoWaits(): void {
  tell({ event: 'waiting', clients: [...asking].map((client) => ({ client: client.name, ask: client.ask! })) });
}

const clients = new Map<string, Client>();
const holders: Client[] = [];
let made = 0;

function newClient(holds: boolean): Client {
  const chaddr = Buffer.from([0x02, 0x4c, 0x41, 0, 0, 0]);
  chaddr.writeUIntBE(++made, 3, 3);
  return addClient(chaddr, holds);
}

function addClient(chaddr: Buffer, holds: boolean): Client {
  const client = new Client(chaddr, holds);
  clients.set(client.name, client);
  if (holds) holders.push(client);
  return client;
}

function onPacket(bytes: Buffer): void {
  const reply = readServerMessage(bytes);
  if (reply !== undefined) clients.get(reply.chaddr)?.onReply(reply);
}

function broadcast(message: ClientMessage): void {
  everyone.send(writeClientMessage(message), SERVER_PORT, '255.255.255.255', () => undefined);
}

interface Stream {
  readonly ask: Ask;
  readonly everyMs: number;
  nextAt: number;
}

let streams: Stream[] = [];
let turn = 0;

function beginOne(ask: Ask): void {
  if (ask === 'new') return newClient(false).begin('new');
  for (let i = 0; i < holders.length; i++) {
    const holder = holders[turn++ % holders.length]!;
    if (holder.ask !== undefined || holder.address === '') continue;
    return holder.begin(ask);
  }
}

let worstMs = 0;
let steppedAt = performance.now();

function step(): void {
  const mono = performance.now();
  worstMs = Math.max(worstMs, mono - steppedAt - STEP_MS);
  steppedAt = mono;
  const now = wallNow();
  for (const stream of streams) {
    if (now < stream.nextAt) continue;
    stream.nextAt = Math.max(stream.nextAt + stream.everyMs, now);
    beginOne(stream.ask);
  }
  for (const client of asking) client.step(now);
}

function obey(command: AskerCommand): void {
  switch (command.do) {
    case 'hold':
      for (let i = 0; i < command.count; i++) newClient(true).begin('new');
      return;
    case 'stream':
      tellWaiting = false;
      streams.push({ ask: command.ask, everyMs: command.everyMs, nextAt: wallNow() });
      return;
    case 'pause':
      streams = [];
      tellWaiting = true;
      return tellWhoWaits();
    case 'dead':
      dead.clear();
      for (const id of command.serverIds) dead.add(id);
      return;
    case 'ordinary': return addClient(Buffer.from(command.hardware, 'hex'), false).begin('ordinary');
    case 'secs-zero': return addClient(Buffer.from(command.hardware, 'hex'), false).begin('new', true);
    case 'timers':
      tell({ event: 'timers', worstMs });
      worstMs = 0;
      return;
    default: command satisfies never;
  }
}

const everyone = await openSocket('0.0.0.0');
setInterval(step, STEP_MS);
createInterface({ input: process.stdin }).on('line', (line) => obey(JSON.parse(line) as AskerCommand));
process.stdout.write('ready\n');
