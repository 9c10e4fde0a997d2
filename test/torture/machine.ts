/**
 * A client machine with a life of its own: it boots, renews, rebinds, releases, declines, reboots with the
 * address that it remembers, forgets it, and sleeps (RFC 2131 §4.4). A probe is one that gets a lease and is
 * heard of no more. It knows only what the servers' packets tell it: the judge builds on that.
 */
import { MessageType, type ClientMessage, type ServerMessage } from '../../deploy/lab/client-wire.ts';
import type { Random } from '../sim/random.ts';
import type { ClientEvent, Ended, Granted } from './events.ts';

export interface MachineWorld {
  readonly random: Random;
  /** Nobody begins anything new, unless a lease would be over soon. */
  readonly quiet: boolean;
  /** To everybody, through the relay where it sits behind one; or from its own address to a server. */
  send(machine: Machine, message: ClientMessage, to: 'everybody' | { readonly server: string }): void;
  tell(event: ClientEvent): void;
}

export interface MachineTraits {
  readonly name: string;
  readonly chaddr: Buffer;
  readonly relayed: boolean;
  /** It cannot take unicast before it has an address (RFC 2131 §4.1). */
  readonly broadcastFlag: boolean;
  readonly clientId?: Buffer;
  readonly probe: boolean;
}

type State = 'off' | 'selecting' | 'requesting' | 'rebooting' | 'bound' | 'renewing' | 'rebinding' | 'gone';

const RETRY_MS = 1000;
/** A machine's tries are spread a little, so that hundreds do not ask in step. */
const RETRY_SPREAD_MS = 200;
const REQUEST_TRIES = 4;
/** Unicast to the server that it knows; then it asks everybody. */
const RENEW_TRIES = 3;
/** With less left of the lease it renews at quiet times too. */
const RENEW_AT_LAST_MS = 12_000;
const DECLINES = 0.01;
/** RFC 2131 §3.1 step 5. */
const DECLINED_WAIT_MS = 10_000;

export class Machine {
  readonly traits: MachineTraits;
  readonly hardware: string;
  #state: State = 'off';
  readonly #world: MachineWorld;
  #xid = 0;
  #since = 0;
  #sentAt = 0;
  #nextAt: number;
  #tries = 0;
  #address = '';
  #serverId = '';
  #until = 0;
  #renewAt = 0;
  #rebindAt = 0;
  #deedAt = 0;

  /** It boots at `bootAt`. */
  constructor(traits: MachineTraits, world: MachineWorld, bootAt: number) {
    this.traits = traits;
    this.hardware = traits.chaddr.toString('hex');
    this.#world = world;
    this.#nextAt = bootAt;
  }

  get gone(): boolean {
    return this.#state === 'gone';
  }

  /** For how long it has been waiting for an answer; undefined while it does not. */
  askingMs(now: number): number | undefined {
    return this.#state === 'off' || this.#state === 'bound' || this.#state === 'gone' ? undefined : now - this.#since;
  }

  /** The address that it answers for: the one that it uses while it is awake. */
  get address(): string {
    return this.#state === 'bound' || this.#state === 'renewing' || this.#state === 'rebinding' ? this.#address : '';
  }

  get holding(): boolean {
    return this.#address !== '' && this.#state !== 'requesting';
  }

  step(now: number): void {
    if (this.#state === 'gone') return;
    if (this.holding && now >= this.#until) this.#over(now);
    else if (this.#state === 'off') this.#wake(now);
    else if (this.#state === 'bound') this.#live(now);
    else if (this.#state === 'renewing' && now >= this.#rebindAt) this.#begin('rebinding', now);
    else if (now >= this.#nextAt) this.#send(now);
  }

  onReply(reply: ServerMessage, now: number): void {
    if (reply.xid !== this.#xid || this.askingMs(now) === undefined) return;
    if (reply.type === MessageType.offer) {
      if (this.#state !== 'selecting') return;
      this.#address = reply.yiaddr;
      this.#serverId = reply.serverId;
      this.#state = 'requesting';
      this.#tries = 0;
      this.#send(now);
    } else if (this.#state !== 'selecting') {
      if (reply.type === MessageType.nak) this.#onNak(reply, now);
      else if (reply.type === MessageType.ack) this.#onAck(reply, now);
    }
  }

  #how(): Granted['how'] {
    return this.#state === 'renewing' ? 'renew' : this.#state === 'rebinding' ? 'rebind' : this.#state === 'rebooting' ? 'reboot' : 'new';
  }

  #who(now: number): { at: number; client: string; hardware: string; address: string } {
    return { at: now, client: this.traits.name, hardware: this.hardware, address: this.#address };
  }

  #onNak(reply: ServerMessage, now: number): void {
    const held = this.holding && now < this.#until;
    this.#world.tell({ ...this.#who(now), event: 'refused', how: this.#how(), serverId: reply.serverId, held });
    if (this.holding) this.#end('refused', now);
    this.#address = '';
    this.#begin('selecting', now);
  }

  #onAck(reply: ServerMessage, now: number): void {
    const how = this.#how();
    if (how !== 'new' && reply.yiaddr !== this.#address) this.#end('changed', now);
    this.#address = reply.yiaddr;
    this.#serverId = reply.serverId;
    const ms = reply.leaseSeconds * 1000;
    // RFC 2131 §4.4.1: the lease is counted from when the request was sent.
    this.#until = this.#sentAt + ms;
    this.#renewAt = this.#sentAt + ms * this.#world.random.between(0.4, 0.5);
    this.#rebindAt = this.#sentAt + ms * 0.875;
    this.#world.tell({ ...this.#who(now), event: 'granted', how, serverId: reply.serverId, until: this.#until, since: this.#since });
    this.#state = 'bound';
    if (this.traits.probe) this.#state = 'gone';
    else if (how === 'new' && this.#world.random.chance(DECLINES)) this.#decline(now);
    else if (how === 'new' || how === 'reboot') this.#deedAt = now + this.#world.random.between(15_000, 150_000);
  }

  #decline(now: number): void {
    this.#world.send(this, { ...this.#identity(), type: MessageType.decline, requested: this.#address, serverId: this.#serverId }, 'everybody');
    this.#end('declined', now);
    this.#turnOff(now + DECLINED_WAIT_MS);
  }

  #end(why: Ended['why'], now: number): void {
    this.#world.tell({ ...this.#who(now), event: 'ended', why, since: this.#since });
    this.#address = '';
  }

  #turnOff(until: number): void {
    this.#state = 'off';
    this.#nextAt = until;
  }

  /** The lease is over by its own count. */
  #over(now: number): void {
    const asked = this.#state === 'renewing' || this.#state === 'rebinding' || this.#state === 'rebooting';
    this.#end(asked ? 'expired' : 'passed', now);
    if (this.#state !== 'off') this.#begin('selecting', now);
  }

  #wake(now: number): void {
    const needsTo = this.holding && this.#until - now < RENEW_AT_LAST_MS;
    if (now < this.#nextAt || (this.#world.quiet && !needsTo)) return;
    this.#begin(this.holding ? 'rebooting' : 'selecting', now);
  }

  #live(now: number): void {
    const { quiet } = this.#world;
    if (!quiet && now >= this.#deedAt) this.#deed(now);
    else if (now >= this.#renewAt && (!quiet || this.#until - now < RENEW_AT_LAST_MS)) this.#begin('renewing', now);
  }

  #deed(now: number): void {
    const { random } = this.#world;
    const deed = random.unit();
    if (deed < 0.25) {
      const release = { ...this.#identity(), type: MessageType.release, ciaddr: this.#address, serverId: this.#serverId };
      this.#world.send(this, release, { server: this.#serverId });
      this.#end('released', now);
      this.#turnOff(now + random.between(1000, 8000));
    } else if (deed < 0.35) {
      this.#end('forgotten', now);
      this.#turnOff(now + random.between(500, 4000));
    } else {
      // It reboots, or sleeps; either way it remembers its address.
      this.#turnOff(now + (deed < 0.7 ? random.between(500, 4000) : random.between(3000, 45_000)));
    }
  }

  #begin(state: 'selecting' | 'rebooting' | 'renewing' | 'rebinding', now: number): void {
    if (state !== 'rebinding') this.#since = now;
    this.#state = state;
    this.#newXid();
    this.#tries = 0;
    this.#send(now);
  }

  #newXid(): void {
    this.#xid = this.#world.random.u32();
  }

  /** Of a message that begins a transaction of its own and is not answered. */
  #identity(): { xid: number; chaddr: Buffer; clientId?: Buffer } {
    const { chaddr, clientId } = this.traits;
    this.#newXid();
    return { xid: this.#xid, chaddr, ...(clientId === undefined ? {} : { clientId }) };
  }

  #send(now: number): void {
    if (this.#state === 'requesting' && this.#tries >= REQUEST_TRIES) {
      // The offer was good for nothing. It has waited since its first DHCPDISCOVER.
      this.#address = '';
      this.#state = 'selecting';
      this.#newXid();
      this.#tries = 0;
    }
    if (this.#state === 'renewing' && this.#tries >= RENEW_TRIES) this.#begin('rebinding', now);
    else this.#sendNow(now);
  }

  #sendNow(now: number): void {
    const { chaddr, clientId, broadcastFlag } = this.traits;
    const secs = Math.min(0xffff, Math.floor((now - this.#since) / 1000));
    const common = { xid: this.#xid, chaddr, secs, ...(clientId === undefined ? {} : { clientId }) };
    const asks = { ...common, type: MessageType.request };
    // Before it is sent: an answer counts from here.
    this.#tries++;
    this.#sentAt = now;
    this.#nextAt = now + RETRY_MS + (this.traits.probe ? 0 : this.#world.random.between(0, RETRY_SPREAD_MS));
    switch (this.#state) {
      case 'selecting': return this.#world.send(this, { ...common, type: MessageType.discover, broadcast: broadcastFlag }, 'everybody');
      case 'requesting':
        return this.#world.send(this, { ...asks, broadcast: broadcastFlag, requested: this.#address, serverId: this.#serverId }, 'everybody');
      case 'rebooting': return this.#world.send(this, { ...asks, broadcast: broadcastFlag, requested: this.#address }, 'everybody');
      case 'renewing': return this.#world.send(this, { ...asks, ciaddr: this.#address }, { server: this.#serverId });
      case 'rebinding': return this.#world.send(this, { ...asks, ciaddr: this.#address }, 'everybody');
      default: throw new Error(`nothing to send in state ${this.#state}`);
    }
  }
}
