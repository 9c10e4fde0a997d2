/** What must hold, seen from the clients: no two of them hold one address at the same true time, and who holds one is not told otherwise. */
import { formatIpv4 } from '../../node/codec/address.ts';
import { FOR_EVER_MS } from './client.ts';
import type { SimClient } from './client.ts';

export class PromiseBroken extends Error {}

/** A release or a decline that the network held back may come so late. */
const SAID_LATE_MS = 60_000;
/** No lease that ends lasts so long; one without an end does by every client's clock. */
const ENDLESS_MS = FOR_EVER_MS / 10;

export interface Hold {
  readonly address: number;
  readonly client: SimClient;
  /** Without a break. */
  readonly since: number;
  /** When it was granted or renewed last. */
  readonly toldAt: number;
  readonly until: number;
}

export class Checker {
  /** By address: several where clones share it, which are one client to the servers. */
  readonly #holds = new Map<number, Hold[]>();
  /** What an operator has said may be lost. */
  readonly #lost = new Set<Hold>();
  /** Whether whoever holds an address answered when it was asked for last. */
  readonly #probed = new Map<number, boolean>();
  /** When a machine last told the servers that an address is not its own any more. */
  readonly #saidAt = new Map<string, number>();
  grants = 0;

  /** `promised`: false where what is assumed of clocks did not hold, so that nothing is said of when the lease ends. */
  granted(client: SimClient, address: number, until: number, now: number, promised: boolean): void {
    const others = (this.#holds.get(address) ?? []).filter((hold) => hold.client !== client && hold.until > now);
    const other = others.find((hold) => hold.client.identity !== client.identity);
    // A lost lease protects its client by the probe alone: it has none while it is asleep.
    const unheard = other !== undefined && this.#lost.has(other) && this.#probed.get(address) === false;
    // From then on two have the address, and whoever has it next takes it from the second one.
    if (unheard) others.splice(others.indexOf(other), 1);
    else if (other !== undefined) {
      throw new PromiseBroken(`${formatIpv4(address)} was given to client ${client.id} at ${Math.round(now)} ms ` +
        `while client ${other.client.id} holds it until ${Math.round(other.until)} ms`);
    }
    const before = this.holdOf(client, address, now);
    // Who renews a lease without an end and is told of one has learnt of it, whichever of the machines it is.
    const kept = before === undefined || until >= ENDLESS_MS ? others : others.filter((hold) => hold.until < ENDLESS_MS);
    this.#holds.set(address, promised ? [...kept, { address, client, since: before?.since ?? now, toldAt: now, until }] : kept);
    this.grants++;
  }

  /** `said`: to the servers, for whom a clone speaks for the others. */
  givenUp(client: SimClient, address: number, said: boolean, now: number): void {
    if (said) this.#saidAt.set(`${client.identity} ${address}`, now);
    const holds = this.#holds.get(address)?.filter((hold) => (said ? hold.client.identity !== client.identity : hold.client !== client)) ?? [];
    if (holds.length > 0) this.#holds.set(address, holds);
    else this.#holds.delete(address);
  }

  /** A DHCPNAK for its own lease, where nothing that it or an operator did takes the address from it. */
  refused(client: SimClient, address: number, now: number): void {
    const hold = this.holdOf(client, address, now);
    if (hold === undefined || this.isSaidLately(hold)) return;
    throw new PromiseBroken(`client ${client.id} is told at ${Math.round(now)} ms that ${formatIpv4(address)} is not its own, which it holds until ${Math.round(hold.until)} ms`);
  }

  /** That the address is not its own any more: the network may have held back the word of it until after the lease was told. */
  isSaidLately({ address, client, toldAt }: Hold): boolean {
    const saidAt = this.#saidAt.get(`${client.identity} ${address}`);
    return saidAt !== undefined && toldAt - saidAt < SAID_LATE_MS;
  }

  /** Undefined: the client does not hold the address at this moment, or what was known of that is lost. */
  holdOf(client: SimClient, address: number, now: number): Hold | undefined {
    return this.#holds.get(address)?.find((hold) => hold.client === client && hold.until > now && !this.#lost.has(hold));
  }

  /** Who holds what at this moment, as far as it is not lost. */
  held(now: number): Hold[] {
    return [...this.#holds.values()].flat().filter((hold) => hold.until > now && !this.#lost.has(hold));
  }

  lose(holds: readonly Hold[]): void {
    for (const hold of holds) this.#lost.add(hold);
    this.#probed.clear();
  }

  /**
   * Somebody answered when it was asked whether an address is in use. Of machines with one identity one may have asked
   * for it, and another one have answered; and after a loss the answer may be another client's than the one whose late
   * release has ended its lease in the records: then nobody has it as a lease until who answered speaks up.
   */
  answeredFor(address: number, isAsker: (client: SimClient) => boolean, isCloned: (client: SimClient) => boolean): void {
    for (const hold of this.#holds.get(address) ?? []) {
      if (isAsker(hold.client) && (isCloned(hold.client) || this.isSaidLately(hold))) this.#lost.add(hold);
    }
  }

  probed(address: number, answered: boolean): void {
    this.#probed.set(address, answered);
  }
}
