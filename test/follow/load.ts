/**
 * The clients behind a relay, as a process of their own: new ones all the time, of which some renew, by unicast or
 * through the relay, some release, some come back at once, and some go silently.
 *
 *   node load.ts RELAY-ADDRESS RATE SHORTEST-LEASE HISTORY-FILE
 *
 * Every request, DHCPACK and release is a line of JSON in the file (`ClientEvent`). SIGUSR2: no new clients, the others
 * go on. SIGTERM ends it. The addresses of the clients must be local to the host, so that it hears what is sent to them.
 */
import dgram from 'node:dgram';
import { createWriteStream } from 'node:fs';
import { MessageType, readServerMessage, writeClientMessage, type ClientMessage, type ServerMessage } from '../../deploy/lab/client-wire.ts';
import { nowMs, type AtMs, type ClientEvent } from './events.ts';

const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const BROADCAST = '255.255.255.255';
const CIRCUIT = 'eth7';
const RETRY_MS = 2000;
const TRIES_MAX = 8;
const BACK_MS = [0, 200, 1500, 5000] as const;

/** How a client ends, and how it renews before. */
interface Plan {
  readonly leaseSeconds: number;
  readonly renewals: number;
  readonly byUnicast: boolean;
  readonly ends: 'silently' | 'releases' | 'comes-back';
}

/** Of ten clients in turn; lease times are in multiples of the shortest. */
const PLANS: readonly (Omit<Plan, 'leaseSeconds'> & { readonly leases: number })[] = [
  { leases: 1, renewals: 0, byUnicast: false, ends: 'silently' },
  { leases: 1, renewals: 2, byUnicast: true, ends: 'silently' },
  { leases: 2, renewals: 1, byUnicast: false, ends: 'silently' },
  { leases: 4, renewals: 0, byUnicast: false, ends: 'releases' },
  { leases: 1, renewals: 3, byUnicast: true, ends: 'releases' },
  { leases: 2, renewals: 0, byUnicast: false, ends: 'comes-back' },
  { leases: 1, renewals: 1, byUnicast: false, ends: 'releases' },
  { leases: 4, renewals: 3, byUnicast: true, ends: 'comes-back' },
  { leases: 1, renewals: 4, byUnicast: false, ends: 'silently' },
  { leases: 2, renewals: 0, byUnicast: false, ends: 'silently' },
];

const [relay = '', rateText, leaseText, file = ''] = process.argv.slice(2);
const rate = Number(rateText);
const shortestSeconds = Number(leaseText);

const history = createWriteStream(file);
const write = (event: ClientEvent): void => {
  if (!isEnding) history.write(`${JSON.stringify(event)}\n`);
};

/** From the relay's port, and from the clients' own. */
const relaySocket = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
const clientSocket = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });

let lastXid = 0;
/** Nothing is sent or heard any more that is not in the history. */
let isEnding = false;
/** Whose transaction it is, for as long as an answer may come. */
const transactions = new Map<number, Client>();
const XIDS_MAX = 100_000;

class Client {
  readonly #chaddr: Buffer;
  readonly #hardware: string;
  readonly #plan: Plan;
  readonly #number: number;
  #step: 'offer' | 'ack' | 'renewal' | 'none' = 'none';
  #xid = 0;
  #address = '';
  #serverId = '';
  #askedAt: AtMs = 0;
  #tries = 0;
  #renewals = 0;
  #returns: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(number: number) {
    this.#number = number;
    this.#chaddr = Buffer.from([0x02, 0x46, 0, 0, 0, 0]);
    this.#chaddr.writeUInt32BE(number, 2);
    this.#hardware = this.#chaddr.toString('hex').replaceAll(/..(?=.)/g, '$&:');
    const { leases, ...plan } = PLANS[number % PLANS.length]!;
    this.#plan = { ...plan, leaseSeconds: leases * shortestSeconds };
    this.#returns = plan.ends === 'comes-back' ? 2 : 0;
  }

  discover(): void {
    this.#step = 'offer';
    this.#askedAt = nowMs();
    this.#renewals = 0;
    this.#newXid();
    this.#ask(() => this.#sendByRelay({ type: MessageType.discover }));
  }

  on(message: ServerMessage): void {
    const { type, xid, yiaddr, serverId } = message;
    if (type === MessageType.ack) write({ event: 'ack', at: nowMs(), address: yiaddr, hardware: this.#hardware, xid });
    if (type === MessageType.nak) write({ event: 'nak', at: nowMs(), hardware: this.#hardware, xid });
    if (xid !== this.#xid) return;
    if (type === MessageType.offer && this.#step === 'offer') {
      this.#step = 'ack';
      this.#address = yiaddr;
      this.#serverId = serverId;
      this.#ask(() => {
        this.#noteRequest();
        this.#sendByRelay({ type: MessageType.request, requested: yiaddr, serverId });
      });
    } else if (type === MessageType.ack && (this.#step === 'ack' || this.#step === 'renewal')) {
      this.#address = yiaddr;
      this.#serverId = serverId;
      this.#held(message.leaseSeconds);
    } else if (type === MessageType.nak) this.discover();
  }

  #held(leaseSeconds: number): void {
    clearTimeout(this.#timer);
    this.#step = 'none';
    const { ends, renewals } = this.#plan;
    // Half of the lease; not all in one moment.
    if (this.#renewals < renewals) this.#after(leaseSeconds * 500 - this.#number % 7 * 100, () => this.#renew());
    else if (ends !== 'silently') this.#after(100 + this.#number % 40 * 50, () => this.#release());
  }

  #renew(): void {
    this.#step = 'renewal';
    this.#renewals++;
    this.#askedAt = nowMs();
    this.#ask((tries) => {
      // RFC 2131 §4.4.5: who gets no answer asks all servers, as another transaction.
      this.#newXid();
      this.#noteRequest();
      const message = { type: MessageType.request, ciaddr: this.#address };
      if (this.#plan.byUnicast && tries === 0) this.#send(clientSocket, message, this.#serverId);
      else this.#sendByRelay(message);
    });
  }

  #release(): void {
    this.#newXid();
    write({ event: 'release', at: nowMs(), address: this.#address, hardware: this.#hardware, xid: this.#xid });
    this.#sendByRelay({ type: MessageType.release, ciaddr: this.#address, serverId: this.#serverId }, this.#serverId);
    if (this.#returns === 0) return;
    this.#returns--;
    this.#after(BACK_MS[this.#number % BACK_MS.length]!, () => this.discover());
  }

  /** Again and again until there is an answer. */
  #ask(send: (tries: number) => void): void {
    clearTimeout(this.#timer);
    this.#tries = 0;
    const attempt = (): void => {
      if (this.#tries >= TRIES_MAX) return;
      send(this.#tries++);
      this.#after(RETRY_MS, attempt);
    };
    attempt();
  }

  #after(ms: number, what: () => void): void {
    this.#timer = setTimeout(what, ms);
  }

  #newXid(): void {
    this.#xid = ++lastXid;
    transactions.set(this.#xid, this);
    transactions.delete(this.#xid - XIDS_MAX);
  }

  #noteRequest(): void {
    write({ event: 'request', at: nowMs(), address: this.#address, hardware: this.#hardware, xid: this.#xid });
  }

  #sendByRelay(message: Partial<ClientMessage> & Pick<ClientMessage, 'type'>, to = BROADCAST): void {
    this.#send(relaySocket, { ...message, relay: { giaddr: relay, circuitId: CIRCUIT } }, to);
  }

  #send(socket: dgram.Socket, message: Partial<ClientMessage> & Pick<ClientMessage, 'type'>, to: string): void {
    if (isEnding) return;
    const asksTime = message.type === MessageType.discover || message.type === MessageType.request;
    const bytes = writeClientMessage({
      ...message, xid: this.#xid, chaddr: this.#chaddr, secs: Math.floor((nowMs() - this.#askedAt) / 1000),
      ...(asksTime ? { leaseSeconds: this.#plan.leaseSeconds } : {}),
    });
    socket.send(bytes, SERVER_PORT, to);
  }
}

for (const [socket, port, address] of [[relaySocket, SERVER_PORT, relay], [clientSocket, CLIENT_PORT, undefined]] as const) {
  socket.on('message', (bytes) => {
    const message = isEnding ? undefined : readServerMessage(bytes);
    if (message !== undefined) transactions.get(message.xid)?.on(message);
  });
  // A server that has just gone.
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.bind(port, address, resolve));
}
relaySocket.setBroadcast(true);

const began = performance.now();
let clients = 0;
const timer = setInterval(() => {
  const due = (performance.now() - began) / 1000 * rate;
  for (; clients < due; clients++) new Client(clients).discover();
}, Math.max(1, 500 / rate));

process.on('SIGUSR2', () => clearInterval(timer));
process.once('SIGTERM', () => {
  clearInterval(timer);
  isEnding = true;
  history.end(() => process.exit());
});
process.stdout.write('ready\n');
