/**
 * Runs on a host that is a relay agent and the router of a network of clients: new clients at a steady rate,
 * and a crowd that renews its leases by its own timers. Unlike perfdhcp it sends again what is not answered,
 * as clients do, and counts how often it had to.
 *
 * Argument: `LoadSetup` as JSON. Input, a line of JSON each: `LoadCommand`. Output: `ready`, then a `LoadReport`
 * for each that is asked for.
 *
 * New clients are relayed to all servers. Renewals go to the client's own server alone, from the client's address;
 * what is not answered goes the way of RFC 2131 §4.4.5, at the latest as a rebinding to all servers at T2.
 */
import { createInterface } from 'node:readline';
import { MessageType, readServerMessage, writeClientMessage } from '../../deploy/lab/client-wire.ts';
import type { ServerMessage } from '../../deploy/lab/client-wire.ts';
import { RelayPort } from './relay-port.ts';
import { Tally } from './tally.ts';
import type { BucketReport } from './tally.ts';
import { Timers } from './timers.ts';

export interface LoadSetup {
  /** The relay's address in the clients' network; it is the host's own. */
  readonly relay: string;
  readonly servers: readonly string[];
  /** How many clients take turns in the steady load. */
  readonly clients: number;
  /** Until a message is sent again; then twice as long. */
  readonly retryMs: number;
}

export type LoadCommand =
  /** So many clients get a lease, 500 of them a second, and keep it. */
  | { readonly do: 'hold'; readonly count: number }
  /** So many exchanges a second begin from now on. */
  | { readonly do: 'rate'; readonly perSecond: number }
  /** What begins from now on is counted under this name. */
  | { readonly do: 'bucket'; readonly name: string }
  | { readonly do: 'report' };

export interface LoadReport {
  readonly buckets: readonly BucketReport[];
  /** Holders that have a lease. */
  readonly holding: number;
  /** Two clients with one address at a time, in words. */
  readonly duplicates: readonly string[];
  /** What some of the exchanges that failed met. */
  readonly stories: readonly string[];
  /** Turns of this process that came late: the machine was too busy for it. */
  readonly stalls: number;
}

const TICK_MS = 5;
/** A turn that comes so late reads first what came in time, before it takes anything for unanswered. */
const STALL_MS = 100;
const HOLD_PER_SECOND = 500;
/** RFC 2131 §4.4.5. */
const RENEW_AGAIN_MS_MIN = 60_000;
const REQUEST_TRIES = 3;

const setup = JSON.parse(process.argv[2] ?? '{}') as LoadSetup;
const port = new RelayPort(setup.relay, setup.servers, onPacket);
const timers = new Timers<Client>();
const tally = new Tally();
const waiting = new Map<number, Client>();
const leases = new Map<string, { readonly client: Client; readonly until: number }>();
const duplicates: string[] = [];
const clients: Client[] = [];
let nextXid = 1 + Math.floor(Math.random() * 0x7fff_ffff);
let stalls = 0;

type State = 'idle' | 'selecting' | 'requesting' | 'bound' | 'renewing' | 'rebinding';

class Client {
  readonly #chaddr: Buffer;
  /** It keeps its lease; else it only asks for one from time to time. */
  readonly #holds: boolean;
  state: State = 'idle';
  #xid = 0;
  #address = '';
  #serverId = '';
  #tries = 0;
  #requestTries = 0;
  #sentAt = 0;
  #until = 0;
  #rebindAt = 0;
  #renewedBefore = false;
  /** Its first renewal comes after this part of T1, so that those who came together do not renew together for ever. */
  readonly #spread: number;

  constructor(number: number, holds: boolean) {
    this.#chaddr = Buffer.from([0x02, holds ? 0x48 : 0x4c, 0, 0, 0, 0]);
    this.#chaddr.writeUInt32BE(number, 2);
    this.#holds = holds;
    this.#spread = 0.05 + 0.95 * ((number * 0.618_034) % 1);
  }

  get name(): string {
    return this.#chaddr.toString('hex');
  }

  /** A new exchange: four messages if all goes well. */
  begin(now: number): void {
    tally.began(this, 'exchange', now);
    this.#enter('selecting');
    this.#send(now);
  }

  #enter(state: State): void {
    this.state = state;
    this.#tries = 0;
    waiting.delete(this.#xid);
    if (state === 'bound' || state === 'idle') return;
    if (state !== 'requesting') this.#xid = nextXid = (nextXid + 1) % 0xffff_ffff;
    waiting.set(this.#xid, this);
  }

  #send(now: number): void {
    this.#tries++;
    const common = { xid: this.#xid, chaddr: this.#chaddr, secs: Math.min(0xffff, Math.floor((now - tally.beganAt(this)) / 1000)) };
    switch (this.state) {
      case 'selecting': port.relay(writeClientMessage({ ...common, type: MessageType.discover })); break;
      case 'requesting':
        port.relay(writeClientMessage({ ...common, type: MessageType.request, requested: this.#address, serverId: this.#serverId }));
        break;
      case 'renewing': port.unicast(writeClientMessage({ ...common, type: MessageType.request, ciaddr: this.#address }), this.#address, this.#serverId); break;
      case 'rebinding': port.relay(writeClientMessage({ ...common, type: MessageType.request, ciaddr: this.#address })); break;
      default: return;
    }
    tally.note(this, `sends ${this.state}${this.state === 'requesting' ? ` ${this.#address} of ${this.#serverId}` : ''}`, now);
    this.#sentAt = now;
    timers.set(this, now + this.#patience(now));
  }

  /** Until this try counts as unanswered. */
  #patience(now: number): number {
    if (this.state !== 'renewing') return setup.retryMs * 2 ** (this.#tries - 1);
    const toRebind = this.#rebindAt - now;
    return Math.min(toRebind, Math.max(RENEW_AGAIN_MS_MIN, toRebind / 2));
  }

  /** Its time has come: to renew, or to send again what was not answered. */
  onTimer(now: number): void {
    if (this.state === 'bound') {
      tally.began(this, 'renewal', now);
      this.#enter('renewing');
      return this.#send(now);
    }
    if (this.state === 'rebinding' && now >= this.#until) return this.#lose('expired', now);
    tally.sentAgain(this);
    if (this.state === 'renewing' && now >= this.#rebindAt) this.#enter('rebinding');
    else if (this.state === 'requesting' && ++this.#requestTries >= REQUEST_TRIES) this.#enter('selecting');
    return this.#send(now);
  }

  onReply(reply: ServerMessage, now: number): void {
    if (reply.chaddr !== this.name) return;
    tally.note(this, `gets ${reply.type === MessageType.offer ? 'offer' : reply.type === MessageType.ack ? 'ack' : 'nak'} of ${reply.serverId}`, now);
    if (reply.type === MessageType.offer && this.state === 'selecting') {
      this.#address = reply.yiaddr;
      this.#serverId = reply.serverId;
      this.#requestTries = 0;
      this.#enter('requesting');
      this.#send(now);
    } else if (reply.type === MessageType.ack && this.state !== 'selecting') this.#take(reply, now);
    else if (reply.type === MessageType.nak && this.state === 'requesting') {
      tally.refused(this);
      this.#enter('selecting');
      this.#send(now);
    } else if (reply.type === MessageType.nak && this.state !== 'selecting') this.#lose('refused', now);
  }

  #take(reply: ServerMessage, now: number): void {
    const leaseMs = reply.leaseSeconds * 1000;
    // RFC 2131 §4.4.1: the lease is counted from when the request was sent.
    this.#until = this.#sentAt + leaseMs;
    noteLease(this, reply.yiaddr, now, this.#until);
    if ((this.state === 'renewing' || this.state === 'rebinding') && reply.yiaddr !== this.#address) tally.lost(this, 'another address');
    this.#address = reply.yiaddr;
    this.#serverId = reply.serverId;
    tally.ended(this, now);
    if (!this.#holds) {
      timers.clear(this);
      return this.#enter('idle');
    }
    this.#enter('bound');
    this.#rebindAt = this.#sentAt + leaseMs * 0.875;
    const spread = this.#renewedBefore ? 1 : this.#spread;
    this.#renewedBefore = true;
    return timers.set(this, this.#sentAt + leaseMs / 2 * spread);
  }

  #lose(how: 'expired' | 'refused', now: number): void {
    tally.lost(this, how);
    this.#address = '';
    timers.clear(this);
    return this.begin(now);
  }
}

/** RFC 2131 §2.2: never two clients with one address. What the clients received is all that counts. */
function noteLease(client: Client, address: string, now: number, until: number): void {
  const before = leases.get(address);
  if (before !== undefined && before.client !== client && before.until > now && duplicates.length < 20) {
    duplicates.push(`${address} was given to ${client.name} while ${before.client.name} had it for ${Math.round(before.until - now)} ms more`);
  }
  leases.set(address, { client, until });
}

function onPacket(bytes: Buffer): void {
  const reply = readServerMessage(bytes);
  if (reply !== undefined) waiting.get(reply.xid)?.onReply(reply, performance.now());
}

// ── the steady load ──────────────────────────────────────────────────────────────────────────

const idle: Client[] = Array.from({ length: setup.clients }, (_, number) => new Client(number, false));
let turn = 0;
let perSecond = 0;
let owed = 0;
let owedHolders = 0;

function beginExchanges(now: number, elapsedMs: number): void {
  owed += perSecond * elapsedMs / 1000;
  for (; owed >= 1; owed--) {
    const client = idle[turn++ % idle.length];
    // Still at it since its last turn: the crowd is large enough that this is rare.
    if (client?.state === 'idle') client.begin(now);
  }
  for (let quota = HOLD_PER_SECOND * elapsedMs / 1000; quota > 0 && owedHolders > 0; quota--, owedHolders--) {
    const client = new Client(clients.length, true);
    clients.push(client);
    client.begin(now);
  }
}

function report(): LoadReport {
  const bound = clients.filter(({ state }) => state === 'bound' || state === 'renewing' || state === 'rebinding');
  return {
    buckets: tally.report(), holding: bound.length, duplicates, stories: tally.stories, stalls,
  };
}

function obey(command: LoadCommand): void {
  switch (command.do) {
    case 'hold':
      owedHolders += command.count;
      return;
    case 'rate':
      perSecond = command.perSecond;
      return;
    case 'bucket': return tally.begin(command.name);
    case 'report':
      process.stdout.write(`${JSON.stringify(report())}\n`);
      return;
    default: command satisfies never;
  }
}

await port.open();
let last = performance.now();
setInterval(() => {
  const now = performance.now();
  const elapsedMs = now - last;
  last = now;
  if (elapsedMs > STALL_MS) {
    stalls++;
    timers.postpone(elapsedMs);
  }
  timers.run(now, (client) => client.onTimer(now));
  beginExchanges(now, Math.min(elapsedMs, STALL_MS));
}, TICK_MS);
createInterface({ input: process.stdin }).on('line', (line) => obey(JSON.parse(line) as LoadCommand));
process.stdout.write('ready\n');
