/**
 * The machines of a simulated world: which there are, and what becomes of them while nobody looks.
 * They are switched on and off, moved, put to sleep, replaced by others, and some are clones.
 */
import { formatHardware, HTYPE_ETHERNET } from '../../node/codec/address.ts';
import { chaddrOf } from '../support/client-packets.ts';
import type { Agenda } from './agenda.ts';
import { SimClient } from './client.ts';
import type { ClientTraits, ClientWorld } from './client.ts';
import { VENDOR } from './config.ts';
import type { Place, Plan } from './plan.ts';
import type { Random } from './random.ts';
import type { Rhythm } from './rhythm.ts';

export interface PopulationWorld extends ClientWorld {
  readonly agenda: Agenda;
  readonly random: Random;
  readonly plan: Plan;
  readonly rhythm: Rhythm;
  /** The machine has this hardware address from now on. */
  onPlugged(client: SimClient, before: Buffer | undefined): void;
}

/** Between two things that one machine does by itself, milliseconds: shortest and longest. */
const LIVELY_MS = [500, 20_000] as const;
const BUSY_MS = [500, 6000] as const;
const QUIET_MS = [20_000, 400_000] as const;
const SLEEP_MS_MAX = 1_200_000;
const USING: ReadonlySet<SimClient['state']> = new Set(['bound', 'renewing', 'rebinding']);
/** Hardware addresses of machines that replace others begin here. */
const REPLACEMENTS_FROM = 10_000;

export class Population {
  readonly clients: SimClient[] = [];
  readonly #world: PopulationWorld;
  #replaced = 0;
  #timer = 0;
  /** Nobody does anything any more but what its leases ask for. */
  quiet = false;

  constructor(world: PopulationWorld) {
    this.#world = world;
    const { plan, random } = world;
    for (let id = 0; id < plan.clients; id++) {
      const original = this.clients.at(-1);
      const traits = this.#traits(id);
      const clone = original !== undefined && random.chance(0.06) ? this.#cloneOf(original.traits, traits) : traits;
      this.#add(id, clone, random.pick(plan.places));
    }
  }

  begin(): void {
    this.#live();
  }

  #add(id: number, traits: ClientTraits, place: Place): SimClient {
    const client = new SimClient(id, this.#world, place, traits);
    this.clients.push(client);
    this.#world.onPlugged(client, undefined);
    return client;
  }

  #traits(id: number): ClientTraits {
    const { plan, random } = this.#world;
    return {
      identity: id, chaddr: chaddrOf(id + 1),
      clientId: random.chance(0.5) ? Buffer.concat([Buffer.of(1), chaddrOf(id + 1)]) : random.chance(0.3) ? Buffer.from(`client-${id}`) : undefined,
      bootp: random.chance(0.05), vendor: random.chance(0.3) ? VENDOR : undefined, wishes: random.chance(0.3), declines: plan.declines,
      rapidCommit: random.chance(0.3),
    };
  }

  /** Two machines from one image have one client identifier, or even one hardware address. */
  #cloneOf(original: ClientTraits, own: ClientTraits): ClientTraits {
    if (original.bootp || original.identity !== this.clients.length - 1) return own;
    this.#world.count('client-cloned');
    const clientId = original.clientId ?? own.clientId;
    const sameHardware = clientId === undefined || this.#world.random.chance(0.3);
    return { ...original, wishes: false, clientId: original.clientId, chaddr: sameHardware || original.clientId === undefined ? original.chaddr : own.chaddr };
  }

  /** Somebody who was never here, on the servers' segment, and whom every pool takes. */
  newcomer(): SimClient {
    const id = this.clients.length;
    return this.#add(id, { ...this.#traits(id), identity: id, bootp: false, vendor: undefined, declines: 0 }, this.#world.plan.places[0]!);
  }

  /** The machine that is switched on and has the address: it answers whoever asks for it. */
  userOf(address: number): SimClient | undefined {
    return this.clients.find((client) => client.address === address && !client.asleep && USING.has(client.state));
  }

  /** Another machine is the same to the servers, and may have spoken for it. */
  isCloned(client: SimClient): boolean {
    return this.#machinesOf(client).length > 1;
  }

  /** What has the hardware address is this client, to the servers. */
  isMachineOf(client: SimClient, hardware: string): boolean {
    return this.#machinesOf(client).some(({ chaddr }) => formatHardware({ htype: HTYPE_ETHERNET, chaddr }) === hardware);
  }

  #machinesOf({ identity }: SimClient): SimClient[] {
    return this.clients.filter((each) => each.identity === identity);
  }

  // ── their lives ──────────────────────────────────────────────────────────────────────────────

  /** One after the other does something; the fewer there are, the longer until the next. */
  #live(): void {
    const { agenda, plan, random, rhythm } = this.#world;
    const [shortest, longest] = rhythm.isLively(agenda.now) ? (plan.busy ? BUSY_MS : LIVELY_MS) : QUIET_MS;
    const timer = ++this.#timer;
    agenda.after(random.between(shortest, longest) / this.clients.length, () => {
      if (timer !== this.#timer || this.quiet) return;
      this.#act(random.pick(this.clients));
      this.#live();
    });
  }

  /** Something broke: the next one acts sooner. */
  hurry(): void {
    if (!this.quiet) this.#live();
  }

  #act(client: SimClient): void {
    const { plan, random } = this.#world;
    if (client.asleep) return undefined;
    if (client.state === 'off') {
      if (random.chance(plan.busy ? 0.8 : 0.5) && client.holdsNothing) this.#replace(client);
      return client.boot();
    }
    switch (random.pick(['release', 'release', 'off', 'off', 'sleep', 'move', 'nothing', 'nothing'])) {
      case 'release': return client.release();
      case 'sleep': return this.#sleep(client);
      case 'move': return plan.places.length > 1 ? client.move(random.pick(plan.places)) : undefined;
      case 'off':
        this.#world.count('client-off');
        return client.off();
      default: return undefined;
    }
  }

  /** Another machine takes its place. */
  scrap(client: SimClient): void {
    client.off();
    this.#replace(client);
  }

  #replace(client: SimClient): void {
    const before = client.chaddr;
    const number = REPLACEMENTS_FROM + this.#replaced++;
    client.becomeAnother(chaddrOf(number), number);
    this.#world.onPlugged(client, before);
  }

  #sleep(client: SimClient): void {
    const { agenda, random } = this.#world;
    client.sleep();
    this.#world.count('client-slept');
    agenda.after(random.chance(0.5) ? random.between(1000, 120_000) : random.between(120_000, SLEEP_MS_MAX), () => client.wake());
  }

  /** The power in an office flickers: who is on begins anew with what it remembers, and who is off is switched on. */
  flicker(share: number): void {
    const { agenda, random } = this.#world;
    for (const client of this.clients) {
      if (!client.asleep && random.chance(share)) agenda.after(random.between(0, 800), () => {
        if (client.asleep || this.quiet) return;
        if (client.state !== 'off') client.off();
        else if (client.address === 0 && client.holdsNothing && random.chance(0.5)) this.#replace(client);
        client.boot();
      });
    }
  }

  /** Machines that are off are switched on, as after a power cut in an office. */
  wake(share: number): void {
    const { agenda, random } = this.#world;
    for (const client of this.clients) {
      if (client.state === 'off' && random.chance(share)) agenda.after(random.between(0, 800), () => {
        if (client.state !== 'off') return;
        if (client.address === 0 && client.holdsNothing) this.#replace(client);
        client.boot();
      });
    }
  }
}
