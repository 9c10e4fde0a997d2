/** What must hold, seen from the clients: no two of them hold one address at the same true time. */
import { formatIpv4 } from '../../node/codec/address.ts';
import type { SimClient } from './client.ts';

export class PromiseBroken extends Error {}

export interface Hold {
  readonly address: number;
  readonly client: SimClient;
  readonly until: number;
}

export class Checker {
  /** By address: several where clones share it, which are one client to the servers. */
  readonly #holds = new Map<number, Hold[]>();
  grants = 0;

  granted(client: SimClient, address: number, until: number, now: number): void {
    const others = (this.#holds.get(address) ?? []).filter((hold) => hold.client !== client && hold.until > now);
    const other = others.find((hold) => hold.client.identity !== client.identity);
    if (other !== undefined) {
      throw new PromiseBroken(`${formatIpv4(address)} was given to client ${client.id} at ${Math.round(now)} ms ` +
        `while client ${other.client.id} holds it until ${Math.round(other.until)} ms`);
    }
    this.#holds.set(address, [...others, { address, client, until }]);
    this.grants++;
  }

  /** `said`: to the servers, for whom a clone speaks for the others. */
  givenUp(client: SimClient, address: number, said: boolean): void {
    const holds = this.#holds.get(address)?.filter((hold) => (said ? hold.client.identity !== client.identity : hold.client !== client)) ?? [];
    if (holds.length > 0) this.#holds.set(address, holds);
    else this.#holds.delete(address);
  }

  /** Who holds what at this moment. */
  held(now: number): Hold[] {
    return [...this.#holds.values()].flat().filter(({ until }) => until > now);
  }
}
