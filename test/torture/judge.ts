/**
 * Judges from the clients' side: no two of them hold one address at one time, nobody is refused what it
 * holds, and nobody's lease runs out while it asks, except where only safety is promised. Knows the leases
 * that every node must have, for `known-leases.ts`.
 */
import { AddressChecker } from '../../deploy/lab/address-checker.ts';
import type { LoadAck } from '../../deploy/lab/load.ts';
import type { ClientEvent } from './events.ts';

export interface HeldLease {
  readonly client: string;
  /** Hex. */
  readonly hardware: string;
  readonly address: string;
  readonly until: number;
}

/** A client asked from `since` until `at`; what for, and whether it was told. */
export interface Wait {
  readonly client: string;
  readonly what: 'new' | 'known';
  readonly since: number;
  readonly at: number;
  readonly served: boolean;
}

export class Judge {
  readonly waits: Wait[] = [];
  /** In words. */
  readonly lost: string[] = [];
  readonly #addresses = new AddressChecker();
  readonly #held = new Map<string, HeldLease>();

  /** Leases and renewals that were acknowledged. */
  get leases(): number {
    return this.#addresses.leases;
  }

  get clients(): number {
    return this.#addresses.clients;
  }

  on(event: ClientEvent): void {
    const { client, hardware, address, at } = event;
    switch (event.event) {
      case 'granted':
        this.#addresses.held(client, address, at, event.until);
        this.#held.set(client, { client, hardware, address, until: event.until });
        this.waits.push({ client, what: event.how === 'new' ? 'new' : 'known', since: event.since, at, served: true });
        break;
      case 'ended':
        this.#addresses.ended(client, address, at);
        this.#held.delete(client);
        if (event.why === 'expired') this.waits.push({ client, what: 'known', since: event.since, at, served: false });
        if (event.why === 'changed') this.lost.push(`${client} asked for its ${address} and was given another address`);
        break;
      case 'refused':
        if (event.held) this.lost.push(`${client} was refused its ${address} (${event.how}) by ${event.serverId} while it held it`);
        break;
      default: event satisfies never;
    }
  }

  /** What one of perfdhcp's clients received. It is not told when such a client changes its address, so only the last one counts as held. */
  onLoad({ hardware, address, at, until }: LoadAck): void {
    const client = `perfdhcp's ${hardware}`;
    this.#addresses.held(client, address, at, until);
    this.#held.set(client, { client, hardware, address, until });
  }

  /** Those that are not over before `at`. */
  heldAt(at: number): HeldLease[] {
    for (const [client, { until }] of this.#held) if (until <= at) this.#held.delete(client);
    return [...this.#held.values()];
  }

  /** Each pair of clients that held one address at one time, in words. */
  duplicates(): string[] {
    return this.#addresses.conflicts();
  }
}
