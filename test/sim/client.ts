/**
 * A simulated client machine, as RFC 2131 §4.4 has it: it boots, renews, rebinds, releases, declines,
 * reboots with a remembered address, and loses patience. It tells the checker what it holds; the
 * checker believes nobody else.
 */
import { BOOTREPLY, DhcpMessage, MessageType } from '../../node/codec/message.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { addressOption, clientPacket } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import type { Agenda } from './agenda.ts';
import type { Random } from './random.ts';

export interface ClientWorld {
  readonly agenda: Agenda;
  readonly random: Random;
  /** `to` 0: broadcast. `from` 0: no address yet. Relayed where the client sits behind relays. */
  sendFromClient(client: SimClient, bytes: Buffer, from: number, to: number): void;
  onGranted(client: SimClient, address: number, untilMs: number): void;
  onGivenUp(client: SimClient, address: number): void;
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
const FOR_EVER_MS = 1e12;

/** What kind of machine it is. */
export interface ClientTraits {
  readonly chaddr: Buffer;
  readonly clientId: Buffer | undefined;
  /** giaddrs of the relays that it sits behind; empty: on the servers' segment. */
  readonly relays: readonly number[];
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

export class SimClient {
  readonly id: number;
  chaddr: Buffer;
  readonly relays: readonly number[];
  readonly #world: ClientWorld;
  readonly #traits: ClientTraits;
  #clientId: Buffer | undefined;
  state: State = 'off';
  address = 0;
  #server = 0;
  #xid = 0;
  #startedAt = 0;
  /** When the lease ends by the client's own clock, in true milliseconds. */
  leaseEnds = 0;
  #leaseMs = 0;
  #timer = 0;
  #tries = 0;
  granted = 0;
  /** When it last began to look for an address, for those who check that it finds one. */
  seekingSince = 0;

  constructor(id: number, world: ClientWorld, traits: ClientTraits) {
    this.id = id;
    this.#world = world;
    this.#traits = traits;
    this.chaddr = traits.chaddr;
    this.#clientId = traits.clientId;
    this.relays = traits.relays;
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
    const { vendor, wishes } = this.#traits;
    const options: Record<number, Buffer> = {};
    if (vendor !== undefined) options[VENDOR_CLASS] = Buffer.from(vendor);
    if (wishes && (type === MessageType.DISCOVER || type === MessageType.REQUEST)) options[LEASE_TIME] = addressOption(this.#world.random.pick(WISHES));
    return options;
  }

  #later(ms: number, run: () => void): void {
    const timer = ++this.#timer;
    this.#world.agenda.after(ms, () => {
      if (timer === this.#timer) run();
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
    this.seekingSince = this.#world.agenda.now;
    if (this.#traits.bootp) {
      this.state = 'selecting';
      this.#newTransaction();
      this.#askAsBootp();
    } else if (this.address !== 0 && this.leaseEnds > this.#world.agenda.now) {
      this.state = 'init-reboot';
      this.#newTransaction();
      this.#initReboot();
    } else this.#discover();
  }

  /** The power is off; what it holds it holds, since nobody else knows that it is off. */
  off(): void {
    this.state = 'off';
    this.#timer++;
  }

  /** Another machine is plugged in where this one was, which holds nothing any more. */
  becomeAnother(chaddr: Buffer): void {
    this.chaddr = chaddr;
    this.#clientId = undefined;
    this.address = 0;
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
    const wanted = this.address === 0 ? {} : { requestedAddress: this.address };
    this.#send(MessageType.DISCOVER, { ...wanted, ...(this.#traits.rapidCommit ? { options: { [RAPID_COMMIT]: Buffer.alloc(0) } } : {}) }, 0, 0);
    this.#later(this.#backoff(), () => this.#sendDiscover());
  }

  #sendSelecting(address: number): void {
    this.#send(MessageType.REQUEST, { requestedAddress: address, serverIdentifier: this.#server }, 0, 0);
    this.#later(this.#backoff(), () => (this.#tries > 3 ? this.#discover() : this.#sendSelecting(address)));
  }

  #initReboot(): void {
    this.#send(MessageType.REQUEST, { requestedAddress: this.address }, 0, 0);
    this.#later(this.#backoff(), () => (this.#tries > 2 ? this.#goOnAfterReboot() : this.#initReboot()));
  }

  /** RFC 2131 §3.2 (4): without an answer it may go on with the old lease, or begin anew. */
  #goOnAfterReboot(): void {
    if (this.#world.agenda.now < this.leaseEnds && this.#world.random.chance(0.5)) this.#bound();
    else this.#discover();
  }

  #bound(): void {
    this.state = 'bound';
    const t1 = this.leaseEnds - this.#leaseMs / 2 + this.#world.random.between(-0.02, 0.02) * this.#leaseMs;
    this.#later(Math.max(1, t1 - this.#world.agenda.now), () => {
      this.#newTransaction();
      this.#renew();
    });
  }

  #renew(): void {
    const left = this.leaseEnds - this.#world.agenda.now;
    if (left <= 0) return this.#expire();
    const rebinding = left <= this.#leaseMs / 8;
    this.state = rebinding ? 'rebinding' : 'renewing';
    this.#send(MessageType.REQUEST, { ciaddr: this.address, broadcast: false }, this.address, rebinding ? 0 : this.#server);
    const toRebinding = left - this.#leaseMs / 8;
    const wait = rebinding ? left / 2 : Math.min(toRebinding, Math.max(toRebinding / 2, 4000));
    this.#later(Math.max(500, wait), () => this.#renew());
  }

  /** Its own clock says that the lease is over: the address is used no longer. */
  #expire(): void {
    this.#world.onGivenUp(this, this.address);
    this.#world.count('client-expired');
    this.seekingSince = this.#world.agenda.now;
    this.#discover();
  }

  release(): void {
    if (this.#traits.bootp) return this.off();
    if (this.address === 0 || (this.state !== 'bound' && this.state !== 'renewing')) return;
    const { address } = this;
    this.#world.onGivenUp(this, address);
    this.#newTransaction();
    this.#send(MessageType.RELEASE, { ciaddr: address, serverIdentifier: this.#server, broadcast: false }, address, this.#server);
    this.address = 0;
    this.leaseEnds = 0;
    this.off();
  }

  // ── what it hears ────────────────────────────────────────────────────────────────────────────

  receive(bytes: Buffer): void {
    const message = new DhcpMessage();
    if (this.state === 'off' || message.parse(bytes, BOOTREPLY) !== undefined || message.xid !== this.#xid) return;
    const server = message.optionU32(SERVER_ID) ?? 0;
    if (this.#traits.bootp) {
      if (message.type === BOOTP && this.state === 'selecting') this.#onBootReply(message.yiaddr);
    } else if (message.type === MessageType.OFFER && this.state === 'selecting') {
      if (this.#world.random.chance(this.#traits.declines)) return this.#declineOffer(message.yiaddr, server);
      this.state = 'requesting';
      this.#server = server;
      this.#tries = 0;
      this.#sendSelecting(message.yiaddr);
    } else if (message.type === MessageType.ACK && this.state === 'selecting') {
      if (!this.#traits.rapidCommit || !message.has(RAPID_COMMIT)) return;
      this.state = 'requesting';
      this.#world.count('client-rapid-commit');
      this.#onAck(message.yiaddr, server, message.optionU32(51) ?? 0);
    } else if (message.type === MessageType.ACK) this.#onAck(message.yiaddr, server, message.optionU32(51) ?? 0);
    else if (message.type === MessageType.NAK) this.#onNak(server);
  }

  #onAck(address: number, server: number, leaseSeconds: number): void {
    if (!['requesting', 'init-reboot', 'renewing', 'rebinding'].includes(this.state) || leaseSeconds === 0) return;
    const renewal = this.state === 'renewing' || this.state === 'rebinding' || this.state === 'init-reboot';
    if (this.address !== 0 && this.address !== address) this.#world.onGivenUp(this, this.address);
    this.address = address;
    this.#server = server;
    this.#leaseMs = leaseSeconds === INFINITE_SECONDS ? FOR_EVER_MS : leaseSeconds * 1000;
    // RFC 2131 §4.4.1 counts from the request; many clients count from the answer, which is later.
    this.leaseEnds = this.#world.agenda.now + this.#leaseMs * (1 + this.#world.random.between(-1, 1) * 200e-6);
    this.granted++;
    this.#world.onGranted(this, address, this.leaseEnds);
    if (!renewal && this.#world.random.chance(this.#traits.declines)) return this.#decline();
    this.#bound();
  }

  /** RFC 951: the address is its own for as long as it likes. */
  #onBootReply(address: number): void {
    this.#timer++;
    this.state = 'bound';
    if (this.address !== 0 && this.address !== address) this.#world.onGivenUp(this, this.address);
    this.address = address;
    this.leaseEnds = FOR_EVER_MS;
    this.granted++;
    this.#world.count('client-bootp');
    this.#world.onGranted(this, address, this.leaseEnds);
  }

  /** Not what RFC 2131 has in mind, and yet some do: the check comes before the request. */
  #declineOffer(address: number, server: number): void {
    this.#world.count('client-declined-offer');
    if (address === this.address) {
      this.#world.onGivenUp(this, address);
      this.address = 0;
    }
    this.#send(MessageType.DECLINE, { requestedAddress: address, serverIdentifier: server }, 0, 0);
    // What else answers the old transaction is not for it any more.
    this.#newTransaction();
    this.#later(10_000, () => this.#discover());
  }

  /** RFC 2131 §3.1 (5): its own check found the address in use. */
  #decline(): void {
    const { address } = this;
    this.#world.onGivenUp(this, address);
    this.#world.count('client-declined');
    this.#send(MessageType.DECLINE, { requestedAddress: address, serverIdentifier: this.#server }, 0, 0);
    this.address = 0;
    this.state = 'selecting';
    this.#newTransaction();
    this.#later(10_000, () => this.#discover());
  }

  #onNak(server: number): void {
    if (this.state === 'selecting' || this.state === 'bound') return;
    if (this.state === 'requesting' && server !== this.#server) return;
    if (this.address !== 0) this.#world.onGivenUp(this, this.address);
    this.#world.count('client-nak');
    this.address = 0;
    this.#later(this.#world.random.between(50, 1000), () => this.#discover());
    this.state = 'selecting';
  }
}
