/**
 * A simulated client machine, as RFC 2131 §4.4 has it: it boots, renews, rebinds, releases, declines,
 * reboots with a remembered address, moves, sleeps, and loses patience. It tells the checker what it
 * holds; the checker believes nobody else.
 */
import { BOOTREPLY, DhcpMessage, MessageType } from '../../node/codec/message.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { addressOption, clientPacket } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import type { Agenda } from './agenda.ts';
import type { Place } from './plan.ts';
import type { Random } from './random.ts';

export interface ClientWorld {
  readonly agenda: Agenda;
  readonly random: Random;
  /** `to` 0: broadcast. `from` 0: no address yet. Relayed where the client sits behind relays. */
  sendFromClient(client: SimClient, bytes: Buffer, from: number, to: number): void;
  onGranted(client: SimClient, address: number, untilMs: number, server: number): void;
  /** A DHCPNAK for the address of its lease. */
  onRefused(client: SimClient, address: number): void;
  /** `said`: it told the servers so. */
  onGivenUp(client: SimClient, address: number, said: boolean): void;
  /** Options about its name. */
  nameOptions(client: SimClient, type: number): Readonly<Record<number, Buffer>>;
  count(what: string): void;
}

type State = 'off' | 'selecting' | 'requesting' | 'init-reboot' | 'bound' | 'renewing' | 'rebinding';

const LEASE_TIME = 51;
const SERVER_ID = 54;
const VENDOR_CLASS = 60;
const RAPID_COMMIT = 80;
/** No option 53 (RFC 1534 §3). */
const BOOTP = 0;
/** Lease times that a client may ask for: what it renews with is not what it began with. */
const WISHES = [10, 25, 50, 100, 200, 200, INFINITE_SECONDS];
/** Longer than any world lasts. */
export const FOR_EVER_MS = 1e12;
/** A client's clock drifts by no more (ARCHITECTURE.md, Time). */
const DRIFT_MAX = 200e-6;

/** What kind of machine it is. */
export interface ClientTraits {
  /** Machines with one identity are one client to the servers: clones share theirs. */
  readonly identity: number;
  readonly chaddr: Buffer;
  readonly clientId: Buffer | undefined;
  /** RFC 4039: takes a lease without an offer where the server gives it. */
  readonly rapidCommit: boolean;
  /** RFC 951: it knows nothing of leases. */
  readonly bootp: boolean;
  /** Option 60. */
  readonly vendor: string | undefined;
  /** Asks for a lease time, another one each time. */
  readonly wishes: boolean;
  /** How often its own check finds an address in use. */
  readonly declines: number;
}

/** What it remembers of its lease on one network. */
interface Lease {
  readonly address: number;
  readonly server: number;
  readonly ms: number;
  readonly ends: number;
}

const NO_LEASE: Lease = { address: 0, server: 0, ms: 0, ends: 0 };

export class SimClient {
  readonly id: number;
  /** Who it is to the servers; another machine in its place is somebody else. */
  identity: number;
  chaddr: Buffer;
  place: Place;
  state: State = 'off';
  asleep = false;
  granted = 0;
  /** When it last began to look for an address, for those who check that it finds one. */
  seekingSince = 0;
  readonly #world: ClientWorld;
  readonly traits: ClientTraits;
  readonly #drift: number;
  #clientId: Buffer | undefined;
  /** Of the network that it is in now. */
  #lease = NO_LEASE;
  /** Of the others. */
  readonly #elsewhere = new Map<number, Lease>();
  #server = 0;
  #xid = 0;
  #startedAt = 0;
  #timer = 0;
  #missed: (() => void) | undefined;
  #tries = 0;

  constructor(id: number, world: ClientWorld, place: Place, traits: ClientTraits) {
    this.id = id;
    this.#world = world;
    this.traits = traits;
    this.#drift = world.random.between(-DRIFT_MAX, DRIFT_MAX);
    this.identity = traits.identity;
    this.place = place;
    this.chaddr = traits.chaddr;
    this.#clientId = traits.clientId;
  }

  get address(): number {
    return this.#lease.address;
  }

  /** Of its lease. */
  get server(): number {
    return this.#lease.server;
  }

  /** When the lease ends by the client's own clock, in true milliseconds. */
  get leaseEnds(): number {
    return this.#lease.ends;
  }

  /** No lease of it, here or elsewhere, lasts on. */
  get holdsNothing(): boolean {
    const { now } = this.#world.agenda;
    return this.#lease.ends < now && [...this.#elsewhere.values()].every(({ ends }) => ends < now);
  }

  /** Of leases that it remembers of other networks. */
  get addressesElsewhere(): number[] {
    return [...this.#elsewhere.values()].map(({ address }) => address).filter((address) => address !== 0);
  }

  get clientId(): Buffer | undefined {
    return this.#clientId;
  }

  /** Who it may be for the servers, as the configuration says. */
  get keys(): Buffer[] {
    const hardware = Buffer.concat([Buffer.of(1), this.chaddr]);
    return this.#clientId === undefined ? [hardware] : [this.#clientId, hardware];
  }

  #send(type: number, fields: ClientFields, from: number, to: number): void {
    const secs = Math.min(0xffff, Math.floor((this.#world.agenda.now - this.#startedAt) / 1000));
    const bytes = clientPacket(type === BOOTP ? undefined : type, {
      chaddr: this.chaddr, xid: this.#xid, secs, broadcast: true, ...(this.#clientId === undefined ? {} : { clientId: this.#clientId }), ...fields,
      options: { ...this.#options(type), ...fields.options },
    });
    this.#world.count(`client-${type}`);
    this.#world.sendFromClient(this, bytes, from, to);
  }

  #options(type: number): NonNullable<ClientFields['options']> {
    const { vendor, wishes } = this.traits;
    const options: Record<number, Buffer> = { ...this.#world.nameOptions(this, type) };
    if (vendor !== undefined) options[VENDOR_CLASS] = Buffer.from(vendor);
    if (wishes && (type === MessageType.DISCOVER || type === MessageType.REQUEST)) options[LEASE_TIME] = addressOption(this.#world.random.pick(WISHES));
    return options;
  }

  /** A timer that ends while the machine sleeps is found to have ended when it wakes. */
  #later(ms: number, run: () => void): void {
    const timer = ++this.#timer;
    this.#missed = undefined;
    this.#world.agenda.after(ms, () => {
      if (timer !== this.#timer) return;
      if (this.asleep) this.#missed = run;
      else run();
    });
  }

  #newTransaction(): void {
    this.#xid = this.#world.random.u32();
    this.#startedAt = this.#world.agenda.now;
    this.#tries = 0;
  }

  /** RFC 2131 §4.1: 4, 8, 16, 32, 64 s, give or take one. */
  #backoff(): number {
    return 4000 * 2 ** Math.min(4, this.#tries++) + this.#world.random.between(-1000, 1000);
  }

  // ── what the machine does ────────────────────────────────────────────────────────────────────

  boot(): void {
    this.asleep = false;
    this.seekingSince = this.#world.agenda.now;
    if (this.traits.bootp) {
      this.state = 'selecting';
      this.#newTransaction();
      this.#askAsBootp();
    } else if (this.address !== 0 && this.leaseEnds > this.#world.agenda.now) {
      this.state = 'init-reboot';
      this.#newTransaction();
      this.#initReboot(this.address);
    } else this.#discover();
  }

  /** The power is off; what it holds it holds, since nobody else knows that it is off. */
  off(): void {
    this.state = 'off';
    this.asleep = false;
    this.#timer++;
  }

  /** Another machine is plugged in where this one was, which holds nothing any more. */
  becomeAnother(chaddr: Buffer, identity: number): void {
    this.chaddr = chaddr;
    this.identity = identity;
    this.#clientId = undefined;
    this.#lease = NO_LEASE;
    this.#elsewhere.clear();
  }

  /** The lid is closed: nothing is heard or sent, and the lease goes on. */
  sleep(): void {
    if (this.state !== 'off') this.asleep = true;
  }

  /** Its timers are those of before, its clock is right: a lease that has ended meanwhile is not used any more. */
  wake(): void {
    if (!this.asleep) return;
    this.asleep = false;
    const missed = this.#missed;
    this.#missed = undefined;
    if (this.state === 'bound' && this.leaseEnds <= this.#world.agenda.now) return this.#expire();
    // Some look for their network anew, others only see what their timers say.
    if (this.#world.random.chance(0.5)) return this.boot();
    return missed?.();
  }

  /** It is carried to another place while it is on, and finds itself on another link. */
  move(to: Place): void {
    const before = this.address;
    if (to.network !== this.place.network) {
      this.#elsewhere.set(this.place.network, this.#lease);
      this.#lease = this.#elsewhere.get(to.network) ?? NO_LEASE;
      this.#elsewhere.delete(to.network);
    }
    this.place = to;
    if (this.state === 'off' || this.traits.bootp) return undefined;
    this.#world.count('client-moved');
    // RFC 2131 §3.7: with the address that it had last, wherever that was; the servers of this link know better.
    if (this.address === 0 && before !== 0 && this.#world.random.chance(0.5)) {
      this.asleep = false;
      this.state = 'init-reboot';
      this.#newTransaction();
      return this.#initReboot(before);
    }
    return this.boot();
  }

  #askAsBootp(): void {
    this.#send(BOOTP, {}, 0, 0);
    this.#later(this.#backoff(), () => this.#askAsBootp());
  }

  #discover(): void {
    this.state = 'selecting';
    this.#newTransaction();
    this.#sendDiscover();
  }

  #sendDiscover(): void {
    if (this.traits.rapidCommit) {
      // Any of them may be answered by a lease, and it must know which one.
      this.#xid = this.#world.random.u32();
    }
    const wanted = this.address === 0 ? {} : { requestedAddress: this.address };
    this.#send(MessageType.DISCOVER, { ...wanted, ...(this.traits.rapidCommit ? { options: { [RAPID_COMMIT]: Buffer.alloc(0) } } : {}) }, 0, 0);
    this.#later(this.#backoff(), () => this.#sendDiscover());
  }

  #sendSelecting(address: number): void {
    this.#send(MessageType.REQUEST, { requestedAddress: address, serverIdentifier: this.#server }, 0, 0);
    this.#later(this.#backoff(), () => (this.#tries > 3 ? this.#discover() : this.#sendSelecting(address)));
  }

  #initReboot(address: number): void {
    this.#send(MessageType.REQUEST, { requestedAddress: address }, 0, 0);
    this.#later(this.#backoff(), () => (this.#tries > 2 ? this.#goOnAfterReboot() : this.#initReboot(address)));
  }

  /** RFC 2131 §3.2 (4): without an answer it may go on with the old lease, or begin anew. */
  #goOnAfterReboot(): void {
    if (this.#world.agenda.now < this.leaseEnds && this.#world.random.chance(0.5)) this.#bound();
    else this.#discover();
  }

  #bound(): void {
    this.state = 'bound';
    const { ends, ms } = this.#lease;
    const t1 = ends - ms / 2 + this.#world.random.between(-0.02, 0.02) * ms;
    this.#later(Math.max(1, t1 - this.#world.agenda.now), () => {
      this.#newTransaction();
      this.#renew();
    });
  }

  #renew(): void {
    const left = this.leaseEnds - this.#world.agenda.now;
    if (left <= 0) return this.#expire();
    const { address, ms, server } = this.#lease;
    const rebinding = left <= ms / 8;
    this.state = rebinding ? 'rebinding' : 'renewing';
    this.#send(MessageType.REQUEST, { ciaddr: address, broadcast: false }, address, rebinding ? 0 : server);
    const toRebinding = left - ms / 8;
    const wait = rebinding ? left / 2 : Math.min(toRebinding, Math.max(toRebinding / 2, 4000));
    this.#later(Math.max(500, wait), () => this.#renew());
  }

  /** Its own clock says that the lease is over: the address is used no longer. */
  #expire(): void {
    this.#world.onGivenUp(this, this.address, false);
    this.#world.count('client-expired');
    this.seekingSince = this.#world.agenda.now;
    this.#discover();
  }

  release(): void {
    if (this.traits.bootp) return this.off();
    if (this.address === 0 || this.asleep || (this.state !== 'bound' && this.state !== 'renewing')) return;
    const { address, server } = this.#lease;
    this.#world.onGivenUp(this, address, true);
    this.#newTransaction();
    this.#send(MessageType.RELEASE, { ciaddr: address, serverIdentifier: server, broadcast: false }, address, server);
    this.#lease = NO_LEASE;
    this.off();
  }

  // ── what it hears ────────────────────────────────────────────────────────────────────────────

  /**
   * Many clients count their lease from the answer, and not from the request as RFC 2131 §4.4.5 asks. It
   * counts from when the answer left the server, `sentAt`: for what the network held back nobody vouches.
   */
  receive(bytes: Buffer, sentAt: number): void {
    if (this.state === 'off' || this.asleep || bytes.readUInt32BE(4) !== this.#xid) return;
    const message = new DhcpMessage();
    if (message.parse(bytes, BOOTREPLY) !== undefined) return;
    const server = message.optionU32(SERVER_ID) ?? 0;
    if (this.traits.bootp) {
      if (message.type === BOOTP && this.state === 'selecting') this.#onBootReply(message.yiaddr);
    } else if (message.type === MessageType.OFFER && this.state === 'selecting') {
      if (this.#world.random.chance(this.traits.declines)) return this.#declineOffer(message.yiaddr, server);
      this.state = 'requesting';
      this.#server = server;
      this.#tries = 0;
      this.#sendSelecting(message.yiaddr);
    } else if (message.type === MessageType.ACK && this.state === 'selecting') {
      if (!this.traits.rapidCommit || !message.has(RAPID_COMMIT)) return;
      this.state = 'requesting';
      this.#world.count('client-rapid-commit');
      this.#onAck(message.yiaddr, server, message.optionU32(51) ?? 0, sentAt);
    } else if (message.type === MessageType.ACK) this.#onAck(message.yiaddr, server, message.optionU32(51) ?? 0, sentAt);
    else if (message.type === MessageType.NAK) this.#onNak(server);
  }

  #onAck(address: number, server: number, leaseSeconds: number, sentAt: number): void {
    if (!['requesting', 'init-reboot', 'renewing', 'rebinding'].includes(this.state) || leaseSeconds === 0) return;
    const renewal = this.state === 'renewing' || this.state === 'rebinding' || this.state === 'init-reboot';
    const ms = leaseSeconds === INFINITE_SECONDS ? FOR_EVER_MS : leaseSeconds * 1000;
    this.#hold({ address, server, ms, ends: sentAt + ms * (1 + this.#drift) });
    if (!renewal && this.#world.random.chance(this.traits.declines)) return this.#decline();
    this.#bound();
  }

  #hold(lease: Lease): void {
    if (this.address !== 0 && this.address !== lease.address) this.#world.onGivenUp(this, this.address, false);
    this.#lease = lease;
    this.granted++;
    this.#world.onGranted(this, lease.address, lease.ends, lease.server);
  }

  /** RFC 951: the address is its own for as long as it likes. */
  #onBootReply(address: number): void {
    this.#timer++;
    this.state = 'bound';
    this.#world.count('client-bootp');
    this.#hold({ address, server: 0, ms: FOR_EVER_MS, ends: FOR_EVER_MS });
  }

  /** Not what RFC 2131 has in mind, and yet some do: the check comes before the request. */
  #declineOffer(address: number, server: number): void {
    this.#world.count('client-declined-offer');
    // Also where only its clone has it.
    this.#world.onGivenUp(this, address, true);
    if (address === this.address) this.#lease = NO_LEASE;
    this.#send(MessageType.DECLINE, { requestedAddress: address, serverIdentifier: server }, 0, 0);
    // What else answers the old transaction is not for it any more.
    this.#newTransaction();
    this.#later(10_000, () => this.#discover());
  }

  /** RFC 2131 §3.1 (5): its own check found the address in use. */
  #decline(): void {
    const { address, server } = this.#lease;
    this.#world.onGivenUp(this, address, true);
    this.#world.count('client-declined');
    this.#send(MessageType.DECLINE, { requestedAddress: address, serverIdentifier: server }, 0, 0);
    this.#lease = NO_LEASE;
    this.state = 'selecting';
    this.#newTransaction();
    this.#later(10_000, () => this.#discover());
  }

  #onNak(server: number): void {
    if (this.state === 'selecting' || this.state === 'bound') return;
    if (this.state === 'requesting' && server !== this.#server) return;
    if (this.address !== 0) {
      if (this.state !== 'requesting') this.#world.onRefused(this, this.address);
      this.#world.onGivenUp(this, this.address, false);
    }
    this.#world.count('client-nak');
    this.#lease = NO_LEASE;
    this.#later(this.#world.random.between(50, 1000), () => this.#discover());
    this.state = 'selecting';
  }
}
