/** What must hold, seen from the clients: no two of them hold one address at the same true time. */
import { formatIpv4 } from '../../node/codec/address.ts';
import type { SimClient } from './client.ts';

export class PromiseBroken extends Error {}

interface Hold {
  readonly client: SimClient;
  readonly until: number;
}

export class Checker {
  readonly #holds = new Map<number, Hold>();
  grants = 0;

  granted(client: SimClient, address: number, untilMs: number, now: number): void {
    const held = this.#holds.get(address);
    if (held !== undefined && held.client !== client && held.until > now) {
      throw new PromiseBroken(`${formatIpv4(address)} was given to client ${client.id} at ${Math.round(now)} ms ` +
        `while client ${held.client.id} holds it until ${Math.round(held.until)} ms`);
    }
    this.#holds.set(address, { client, until: untilMs });
    this.grants++;
  }

  givenUp(client: SimClient, address: number): void {
    if (this.#holds.get(address)?.client === client) this.#holds.delete(address);
  }

  /** Who holds what at this moment. */
  held(now: number): { readonly address: number; readonly client: SimClient; readonly until: number }[] {
    return [...this.#holds].filter(([, hold]) => hold.until > now).map(([address, hold]) => ({ address, ...hold }));
  }
}
