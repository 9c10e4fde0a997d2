/**
 * Who has what reserved. Maps and sorted arrays made once, so that the number of reservations costs
 * nothing on the packet's path: for each combination of identifiers in use one map, keyed by all of them.
 *
 * Invariant: a reservation that has ended here stays ended, wherever the clock steps to. Of several for
 * one address, or for the same identifiers in one network, the one that ends last counts.
 */
import { suboption } from '../codec/suboptions.ts';
import type { Reservation, ReservedClient } from '../config/types.ts';
import { INFINITE_SECONDS } from '../time.ts';

/** What a request shows of the client and its relay. */
export interface ReservationSubject {
  readonly htype: number;
  readonly chaddr: Uint8Array;
  /** Option 61. */
  readonly clientId: Uint8Array | undefined;
  /** The value of option 82. */
  readonly relayAgentInformation: Buffer | undefined;
}

// RFC 3046 §2.0, RFC 6925 §4.
const CIRCUIT_ID = 1;
const REMOTE_ID = 2;
const RELAY_ID = 12;

/** RFC 4361 §6.1: type 255, four bytes of IAID, then the DUID. */
const DUID_CLIENT_ID_TYPE = 255;
const DUID_AT = 5;

interface Identifier {
  readonly key: keyof ReservedClient;
  /** As in `ReservedClient`; undefined where the request does not show it. */
  of(subject: ReservationSubject): string | undefined;
}

/** By bit of a mask; of two masks with as many identifiers the higher number goes first. */
const IDENTIFIERS: readonly Identifier[] = [
  { key: 'relayId', of: (subject) => relayed(subject, RELAY_ID) },
  { key: 'remoteId', of: (subject) => relayed(subject, REMOTE_ID) },
  { key: 'circuitId', of: (subject) => relayed(subject, CIRCUIT_ID) },
  { key: 'hardware', of: hardwareOf },
  { key: 'duid', of: duidOf },
  { key: 'clientId', of: ({ clientId }) => (clientId === undefined ? undefined : latin1(clientId, 0)) },
];

/** One character a byte. */
function latin1(bytes: Uint8Array, from: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, bytes.length - from).toString('latin1');
}

const hardwareBytes = Buffer.alloc(1 + 255);

function hardwareOf({ chaddr, htype }: ReservationSubject): string {
  hardwareBytes[0] = htype;
  hardwareBytes.set(chaddr, 1);
  return hardwareBytes.toString('latin1', 0, 1 + chaddr.length);
}

function duidOf({ clientId }: ReservationSubject): string | undefined {
  return clientId?.[0] === DUID_CLIENT_ID_TYPE && clientId.length > DUID_AT ? latin1(clientId, DUID_AT) : undefined;
}

function relayed({ relayAgentInformation }: ReservationSubject, code: number): string | undefined {
  return relayAgentInformation === undefined ? undefined : suboption(relayAgentInformation, code)?.toString('latin1');
}

/** One string of those in the mask, each with its length before it where there are several. */
function composed(shown: readonly (string | undefined)[], mask: number): string {
  if ((mask & (mask - 1)) === 0) return shown[31 - Math.clz32(mask)]!;
  let key = '';
  for (let bit = 0; bit < IDENTIFIERS.length; bit++) {
    if ((mask & (1 << bit)) !== 0) key += String.fromCharCode(shown[bit]!.length) + shown[bit]!;
  }
  return key;
}

function countBits(mask: number): number {
  let count = 0;
  for (let left = mask; left !== 0; left &= left - 1) count++;
  return count;
}

/** The reservations of one network, or the global ones. */
class ReservedClients {
  /** More identifiers before fewer. */
  #masks: number[] = [];
  #maps: Map<string, Reservation>[] = [];
  /** All masks in one. */
  #used = 0;

  add(reservation: Reservation): void {
    const shown = IDENTIFIERS.map(({ key }) => reservation.client[key]);
    const mask = shown.reduce((sum, value, bit) => (value === undefined ? sum : sum | (1 << bit)), 0);
    // One that names nobody matches nobody.
    if (mask === 0) return;
    const map = this.#mapOf(mask);
    const key = composed(shown, mask);
    const other = map.get(key);
    if (other === undefined || other.endsAt < reservation.endsAt) map.set(key, reservation);
  }

  #mapOf(mask: number): Map<string, Reservation> {
    const rank = (of: number): number => countBits(of) * 256 + of;
    let at = 0;
    while (at < this.#masks.length && rank(this.#masks[at]!) > rank(mask)) at++;
    if (this.#masks[at] !== mask) {
      this.#masks.splice(at, 0, mask);
      this.#maps.splice(at, 0, new Map());
      this.#used |= mask;
    }
    return this.#maps[at]!;
  }

  find(subject: ReservationSubject, second: number): Reservation | undefined {
    const shown: (string | undefined)[] = [];
    let known = 0;
    for (let bit = 0; bit < IDENTIFIERS.length; bit++) {
      const value = (this.#used & (1 << bit)) === 0 ? undefined : IDENTIFIERS[bit]!.of(subject);
      shown.push(value);
      if (value !== undefined) known |= 1 << bit;
    }
    for (let i = 0; i < this.#masks.length; i++) {
      const mask = this.#masks[i]!;
      if ((mask & ~known) !== 0) continue;
      const found = this.#maps[i]!.get(composed(shown, mask));
      if (found !== undefined && !hasEnded(found, second)) return found;
    }
    return undefined;
  }

  delete(reservation: Reservation): void {
    const shown = IDENTIFIERS.map(({ key }) => reservation.client[key]);
    for (const [i, mask] of this.#masks.entries()) {
      if (shown.some((value, bit) => (value !== undefined) !== ((mask & (1 << bit)) !== 0))) continue;
      const key = composed(shown, mask);
      if (this.#maps[i]!.get(key) === reservation) this.#maps[i]!.delete(key);
    }
  }
}

/** `second`: UTC. */
export function hasEnded({ endsAt }: Reservation, second: number): boolean {
  return endsAt !== INFINITE_SECONDS && endsAt <= second;
}

export class Reservations {
  readonly #byNetwork: (ReservedClients | undefined)[] = [];
  #global: ReservedClients | undefined;
  /** Reserved addresses in order, each once, and whose they are; undefined where it has ended. */
  readonly #addresses: Uint32Array;
  readonly #atAddress: (Reservation | undefined)[];
  /** Those that will end, the next one last. */
  readonly #ending: Reservation[];

  /** What has ended at `second` is left out. */
  constructor(reservations: readonly Reservation[], second: number) {
    const current = reservations.filter((reservation) => !hasEnded(reservation, second));
    for (const reservation of current) this.#clientsOf(reservation).add(reservation);
    this.#ending = current.filter(({ endsAt }) => endsAt !== INFINITE_SECONDS).sort((a, b) => b.endsAt - a.endsAt);
    const byAddress = current.filter(({ address }) => address !== undefined)
      .sort((a, b) => a.address! - b.address! || b.endsAt - a.endsAt);
    this.#atAddress = byAddress.filter(({ address }, i) => i === 0 || byAddress[i - 1]!.address !== address);
    this.#addresses = Uint32Array.from(this.#atAddress, (reservation) => reservation!.address!);
  }

  #clientsOf({ networkIndex }: Reservation): ReservedClients {
    if (networkIndex === undefined) return (this.#global ??= new ReservedClients());
    return (this.#byNetwork[networkIndex] ??= new ReservedClients());
  }

  /** What is reserved for the client: the network's own before global ones, more identifiers before fewer. */
  find(networkIndex: number, subject: ReservationSubject, second: number): Reservation | undefined {
    return this.#byNetwork[networkIndex]?.find(subject, second) ?? this.#global?.find(subject, second);
  }

  /** The reservation that the address belongs to. */
  at(address: number): Reservation | undefined {
    if (this.#addresses.length === 0) return undefined;
    const at = this.#firstFrom(address);
    return this.#addresses[at] === address ? this.#atAddress[at] : undefined;
  }

  /** Reserved addresses from `first` to `last`, in order. */
  *within(first: number, last: number): IterableIterator<number> {
    if (this.#addresses.length === 0) return;
    for (let at = this.#firstFrom(first); at < this.#addresses.length && this.#addresses[at]! <= last; at++) {
      if (this.#atAddress[at] !== undefined) yield this.#addresses[at]!;
    }
  }

  /**
   * Ends the next one whose time has come, and returns the address that is nobody's by that, 0 if none is;
   * undefined when there is none to end.
   */
  endNext(second: number): number | undefined {
    const next = this.#ending.at(-1);
    if (next === undefined || next.endsAt > second) return undefined;
    this.#ending.pop();
    this.#clientsOf(next).delete(next);
    if (next.address === undefined) return 0;
    const at = this.#firstFrom(next.address);
    if (this.#atAddress[at] !== next) return 0;
    this.#atAddress[at] = undefined;
    return next.address;
  }

  #firstFrom(address: number): number {
    let low = 0;
    let high = this.#addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#addresses[middle]! < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
