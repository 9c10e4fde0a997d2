/**
 * Addresses held for a client after a DHCPOFFER (RFC 2131 §4.3.1). In memory only: an offer promises
 * nothing that must survive this process.
 *
 * Invariants: an address is held for at most one client, a client holds at most one address of a
 * network, and keys are compared byte by byte. Holds all last equally long, so the oldest is first in
 * line, both to end and to give way when the book is full.
 */
import { fingerprint, FingerprintIndex, sameBytes } from '../lease/fingerprint.ts';
import { monotonicPlus } from '../time.ts';
import type { MonotonicMs, Now } from '../time.ts';

/** What the book needs of the lease table, and what it tells it. */
export interface OfferListener {
  networkOf(address: number): number;
  onHold(address: number): void;
  onEnd(address: number): void;
}

export interface Offer {
  readonly address: number;
  readonly networkIndex: number;
  readonly clientKey: Uint8Array;
  /** Of the DHCPDISCOVER that was answered last. */
  readonly xid: number;
  readonly until: MonotonicMs;
}

/** An offer in line; the links make leaving it cost the same wherever it stands. */
interface Held {
  readonly address: number;
  readonly networkIndex: number;
  readonly clientKey: Uint8Array;
  readonly print: number;
  xid: number;
  until: MonotonicMs;
  older: Held | undefined;
  newer: Held | undefined;
}

const SILENT: OfferListener = { networkOf: () => 0, onHold: () => {}, onEnd: () => {} };

export class OfferBook {
  readonly #limit: number;
  readonly #holdMs: number;
  readonly #listener: OfferListener;
  readonly #seed: number;
  readonly #byAddress = new Map<number, Held>();
  readonly #byClient = new FingerprintIndex();
  #oldest: Held | undefined;
  #newest: Held | undefined;

  /** At most `limit` holds, each for `holdMs` milliseconds. */
  constructor(limit: number, holdMs: number, listener: OfferListener = SILENT, hashSeed = 0) {
    this.#limit = limit;
    this.#holdMs = holdMs;
    this.#listener = listener;
    this.#seed = hashSeed;
  }

  get size(): number {
    return this.#byAddress.size;
  }

  /**
   * Holds the address for the client, or goes on holding it; another address that the client held in
   * the same network is let go. False, and nothing changes, if the address is held for somebody else.
   */
  hold(address: number, clientKey: Uint8Array, now: Now, xid: number): boolean {
    let held = this.#byAddress.get(address);
    if (held !== undefined && !sameBytes(held.clientKey, clientKey)) {
      if (held.until > now.mono) return false;
      this.release(address);
      held = undefined;
    }
    if (held !== undefined) {
      this.#leaveLine(held);
      held.xid = xid;
      held.until = monotonicPlus(now.mono, this.#holdMs);
      this.#joinLine(held);
      return true;
    }
    const networkIndex = this.#listener.networkOf(address);
    const other = this.find(clientKey, networkIndex);
    if (other !== 0) this.release(other);
    if (this.#byAddress.size >= this.#limit) this.release(this.#oldest!.address);
    this.#add(address, networkIndex, Uint8Array.from(clientKey), xid, monotonicPlus(now.mono, this.#holdMs));
    this.#listener.onHold(address);
    return true;
  }

  /** The address held for the client in the network; 0 when there is none. */
  find(clientKey: Uint8Array, networkIndex: number): number {
    const print = fingerprint(clientKey, this.#seed);
    for (let at = this.#byClient.find(print); at >= 0; at = this.#byClient.find(print, at)) {
      const offer = this.#byAddress.get(this.#byClient.valueAt(at))!;
      if (offer.networkIndex === networkIndex && sameBytes(offer.clientKey, clientKey)) return offer.address;
    }
    return 0;
  }

  /** Those of addresses that are wanted, the newest first, at most `limit`. */
  newest(wanted: (address: number) => boolean, limit: number): Offer[] {
    const found: Offer[] = [];
    for (let offer = this.#newest; offer !== undefined && found.length < limit; offer = offer.older) if (wanted(offer.address)) found.push(offer);
    return found;
  }

  holder(address: number): Offer | undefined {
    return this.#byAddress.get(address);
  }

  isHeldBy(address: number, clientKey: Uint8Array): boolean {
    const offer = this.#byAddress.get(address);
    return offer !== undefined && sameBytes(offer.clientKey, clientKey);
  }

  /** Ends the hold, if there is one. */
  release(address: number): void {
    const offer = this.#byAddress.get(address);
    if (offer === undefined) return;
    this.#byAddress.delete(address);
    this.#byClient.delete(offer.print, address);
    this.#leaveLine(offer);
    this.#listener.onEnd(address);
  }

  /** Ends the holds whose time has come. */
  expire(now: Now): void {
    while (this.#oldest !== undefined && this.#oldest.until <= now.mono) this.release(this.#oldest.address);
  }

  /** Ends them all, each with a word to the listener. */
  endAll(): void {
    while (this.#oldest !== undefined) this.release(this.#oldest.address);
  }

  /** Forgets them all without a word. */
  clear(): void {
    this.#byAddress.clear();
    this.#byClient.clear();
    this.#oldest = undefined;
    this.#newest = undefined;
  }

  #add(address: number, networkIndex: number, clientKey: Uint8Array, xid: number, until: MonotonicMs): void {
    const print = fingerprint(clientKey, this.#seed);
    const held: Held = { address, networkIndex, clientKey, print, xid, until, older: undefined, newer: undefined };
    this.#byAddress.set(address, held);
    this.#byClient.add(print, address);
    this.#joinLine(held);
  }

  #joinLine(held: Held): void {
    held.older = this.#newest;
    held.newer = undefined;
    if (this.#newest === undefined) this.#oldest = held;
    else this.#newest.newer = held;
    this.#newest = held;
  }

  #leaveLine(held: Held): void {
    if (held.older === undefined) this.#oldest = held.newer;
    else held.older.newer = held.newer;
    if (held.newer === undefined) this.#newest = held.older;
    else held.newer.older = held.older;
  }
}
