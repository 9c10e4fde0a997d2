/**
 * Watches who held which address when, knowing only what the clients received: two clients that held one
 * address at one time are a broken promise, whatever the servers believe.
 */
import type { HistoryEntry } from './real-clients.ts';
import type { ClientEvent } from './scripted-client.ts';

/** Wall times in ms of one machine; the client may use the address from `from` up to `until`. */
interface Held {
  readonly client: string;
  readonly from: number;
  until: number;
}

export class AddressChecker {
  readonly #byAddress = new Map<string, Held[]>();
  readonly #clients = new Set<string>();
  #leases = 0;

  get clients(): number {
    return this.#clients.size;
  }

  /** Leases and renewals that were received. */
  get leases(): number {
    return this.#leases;
  }

  get addresses(): number {
    return this.#byAddress.size;
  }

  /** The client was told at `from` that the address is its until `until`. */
  held(client: string, address: string, from: number, until: number): void {
    this.#leases++;
    this.#clients.add(client);
    const all = this.#byAddress.get(address) ?? [];
    this.#byAddress.set(address, all);
    const last = all.findLast((held) => held.client === client);
    if (last !== undefined && last.until >= from) last.until = Math.max(last.until, until);
    else all.push({ client, from, until });
  }

  /** The client uses the address no longer. */
  ended(client: string, address: string, at: number): void {
    const last = this.#byAddress.get(address)?.findLast((held) => held.client === client);
    if (last !== undefined && last.until > at) last.until = at;
  }

  addScripted(event: ClientEvent): void {
    if (event.address === '') return;
    if (event.event === 'bound' || event.event === 'renewed' || event.event === 'rebound') {
      this.held(event.client, event.address, event.at, event.until);
    } else {
      this.ended(event.client, event.address, event.at);
    }
  }

  /** A real client's history, as its script wrote it. */
  addHistory(entries: readonly HistoryEntry[]): void {
    for (const { client, event, address, leaseSeconds, timeNs } of entries) {
      const at = Number(timeNs / 1000n) / 1000;
      if (event === 'bound' || event === 'renewed') this.held(client, address, at, at + leaseSeconds * 1000);
      else if (event === 'ended') this.ended(client, address, at);
    }
  }

  /** What another one saw, as if it had been told here. */
  addAll(other: AddressChecker): void {
    for (const [address, all] of other.#byAddress) this.#byAddress.set(address, [...(this.#byAddress.get(address) ?? []), ...all.map((held) => ({ ...held }))]);
    for (const client of other.#clients) this.#clients.add(client);
    this.#leases += other.#leases;
  }

  /** Each pair of clients that held one address at one time, in words. */
  conflicts(): string[] {
    return [...this.#byAddress].flatMap(([address, all]) => {
      const sorted = all.toSorted((one, other) => one.from - other.from);
      const found: string[] = [];
      let longest: Held | undefined;
      for (const held of sorted) {
        if (longest !== undefined && longest.client !== held.client && held.from < longest.until) {
          found.push(`${address} was ${longest.client}'s until ${clock(longest.until)} and ${held.client}'s from ${clock(held.from)}`);
        }
        if (longest === undefined || held.until > longest.until) longest = held;
      }
      return found;
    });
  }
}

function clock(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23);
}
