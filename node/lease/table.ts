/**
 * What is known of every binding, in memory: which client has which address, what is free, what is due.
 * Pure: no disk of its own, no clock. The records themselves lie in the store; here is what finds them,
 * rebuilt from the store at every start.
 *
 * Invariant: every record of the store, flushed or not, is in the indexes, under its own client key.
 */
import { OfferBook } from '../allocation/offers.ts';
import type { Reservation, SubnetConfig } from '../config/types.ts';
import { LOAD_PAGE_RECORDS, OFFER_HOLD_MS, OFFERS_MAX } from '../limits.ts';
import { INFINITE_SECONDS, wallSeconds } from '../time.ts';
import type { Now, WallSeconds } from '../time.ts';
import { AddressStates } from './address-states.ts';
import type { SlotChoice } from './address-states.ts';
import { fingerprint, FingerprintIndex, sameBytes } from './fingerprint.ts';
import { recordsOf } from './merged-records.ts';
import { HELD } from './pages.ts';
import type { Page } from './pages.ts';
import {
  BindingState, isRecord, recordClientKey, recordExpires, recordLastTransaction, recordLeaseSeconds, recordState,
  recordStateSince,
} from './record.ts';
import { Reservations } from './reservations.ts';
import { StoreError } from './store-error.ts';
import type { BindingStore } from './store.ts';
import { SubnetFinder } from './subnet-finder.ts';

export type { SlotChoice } from './address-states.ts';

/** A reply may leave so long after its packet was read: a client counts its lease from that much later. */
const MAX_REPLY_AGE_SECONDS = 5;
/** The client's clock may run slow by 200 ppm. */
const CLIENT_DRIFT = 1 / 5000;
/** A released address goes to nobody else for so long: a late RELEASE may free an address in use. */
const RELEASE_HOLD_SECONDS = 30;
const RESERVATION_PROBATION_SECONDS = 600;

export interface SubnetCounts {
  /** Records by state, reservations included. */
  readonly active: number;
  readonly expired: number;
  readonly released: number;
  readonly abandoned: number;
  /** What `allocate` could give if all slots were owned; counts EXPIRED and RELEASED past their reuse time too. */
  readonly free: number;
}

/**
 * From when the address of an EXPIRED or RELEASED record may go to another client, UTC seconds: the
 * lease's end, or the release, and what the clocks of server and client may be wrong by.
 */
export function reuseSeconds(record: Buffer, maxClockSkewMs: number): WallSeconds {
  const skew = maxClockSkewMs / 1000;
  const since = recordStateSince(record);
  const expires = recordExpires(record);
  const leaseSeconds = recordLeaseSeconds(record);
  const drift = leaseSeconds === INFINITE_SECONDS ? 0 : leaseSeconds * CLIENT_DRIFT;
  const ended = (expires === INFINITE_SECONDS ? since : expires) + skew + drift + MAX_REPLY_AGE_SECONDS;
  let at = ended;
  if (recordState(record) === BindingState.RELEASED) {
    const held = since + RELEASE_HOLD_SECONDS + skew;
    // A release that comes soon after a grant may have been sent before it and been overtaken, and the
    // client uses the address: then it goes to somebody else only when that lease would have ended.
    const soon = since - recordLastTransaction(record) <= RELEASE_HOLD_SECONDS;
    at = soon ? Math.max(held, ended) : held;
  }
  return Math.min(Math.ceil(at), INFINITE_SECONDS) as WallSeconds;
}

export class LeaseTable {
  /** Holds after a DHCPOFFER; the table keeps held addresses out of its free lists. */
  readonly offers: OfferBook;
  readonly #store: BindingStore;
  readonly #maxClockSkewMs: number;
  readonly #seed: number;
  readonly #finder: SubnetFinder;
  readonly #reservations: Reservations;
  readonly #states: AddressStates;
  readonly #clients = new FingerprintIndex();

  /** `hashSeed`: any number that clients cannot know. */
  constructor(
    store: BindingStore, subnets: readonly SubnetConfig[],
    options: { readonly maxClockSkewMs: number; readonly hashSeed?: number },
  ) {
    this.#store = store;
    this.#maxClockSkewMs = options.maxClockSkewMs;
    this.#seed = options.hashSeed ?? 0;
    this.#finder = new SubnetFinder(subnets);
    this.#reservations = new Reservations(subnets);
    this.#states = new AddressStates(subnets, this.#finder, this.#reservations);
    this.offers = new OfferBook(OFFERS_MAX, OFFER_HOLD_MS, {
      subnetOf: (address) => this.#finder.find(address),
      onHold: (address) => this.#states.hold(address),
      onEnd: (address) => this.#states.endHold(address),
    }, this.#seed);
  }

  /** Bindings with a record, those outside every subnet included. */
  get size(): number {
    return this.#states.size;
  }

  /** Forgets all indexes and holds and builds them anew from the store. Throws StoreError `corrupt`. */
  load(now: Now): void {
    this.#clients.clear();
    this.offers.clear();
    this.#states.clear(wallSeconds(now.wall));
    const abandoned: { address: number; since: number }[] = [];
    let after = -1;
    for (;;) {
      const page = this.records(after, LOAD_PAGE_RECORDS);
      for (const { address, record } of page) {
        if (!isRecord(record)) throw StoreError.corruptRecord(address);
        if (recordState(record) === BindingState.ABANDONED) abandoned.push({ address, since: recordStateSince(record) });
        this.#index(address, record);
      }
      if (page.length === 0) break;
      after = page.at(-1)!.address;
    }
    abandoned.sort((a, b) => a.since - b.since);
    for (const { address } of abandoned) this.#states.requeue(this.#states.page(address), address);
    this.advance(now, Infinity);
  }

  /** Index into the configured subnets; -1 when the address lies in none. */
  subnetOf(address: number): number {
    return this.#finder.find(address);
  }

  read(address: number): Buffer | undefined {
    return this.#store.read(address);
  }

  /** Stores and indexes a record, own change or replicated one alike; returns the store's position. */
  put(address: number, record: Buffer, _now: Now): number {
    const position = this.#store.put(address, record);
    const state = recordState(record);
    if (state === BindingState.ACTIVE || state === BindingState.ABANDONED) this.offers.release(address);
    this.#index(address, record);
    return position;
  }

  /** The binding becomes FREE: its record goes. Returns the store's position. */
  remove(address: number, now: Now): number {
    const position = this.#store.put(address, null);
    const page = this.#states.page(address);
    const s = address & 255;
    if (page.state[s] === 0) return position;
    if (page.print[s] !== 0) this.#clients.delete(page.print[s]!, address);
    page.print[s] = 0;
    this.#states.free(page, address, wallSeconds(now.wall));
    return position;
  }

  /**
   * The client's binding in the subnet: the ACTIVE one, else the one with the most recent transaction
   * among EXPIRED and RELEASED; 0 when there is none.
   */
  findByClient(clientKey: Uint8Array, subnetIndex: number): number {
    const print = this.#print(clientKey);
    let best = 0;
    let bestRank = -1;
    for (let at = this.#clients.find(print); at >= 0; at = this.#clients.find(print, at)) {
      const address = this.#clients.valueAt(at);
      const page = this.#states.page(address);
      const state = page.state[address & 255]!;
      if (page.subnet[address & 255] !== subnetIndex || state === BindingState.ABANDONED) continue;
      const record = this.#store.read(address)!;
      if (!sameBytes(recordClientKey(record), clientKey)) continue;
      const rank = recordLastTransaction(record) + (state === BindingState.ACTIVE ? 2 ** 32 : 0);
      if (rank > bestRank) {
        best = address;
        bestRank = rank;
      }
    }
    return best;
  }

  /** Every binding of a client in any subnet and state. */
  findAllByClient(clientKey: Uint8Array): number[] {
    const print = this.#print(clientKey);
    const found: number[] = [];
    for (let at = this.#clients.find(print); at >= 0; at = this.#clients.find(print, at)) {
      const address = this.#clients.valueAt(at);
      if (sameBytes(recordClientKey(this.#store.read(address)!), clientKey)) found.push(address);
    }
    return found;
  }

  /** What is reserved for the client in the subnet; by client identifier first, then by hardware address. */
  reservedFor(
    subnetIndex: number, htype: number, chaddr: Uint8Array, clientId: Uint8Array | undefined,
  ): Reservation | undefined {
    return this.#reservations.find(subnetIndex, htype, chaddr, clientId);
  }

  isReserved(address: number): boolean {
    return this.#reservations.at(address) !== undefined;
  }

  /** The reservation that the address belongs to. */
  reservationAt(address: number): Reservation | undefined {
    return this.#reservations.at(address);
  }

  /**
   * Whether the address may be given to this client now. Its own earlier address always; somebody else's
   * only past its reuse time; inside a pool, or `reservation`'s (what `reservedFor` found for the client);
   * held for nobody else, not ABANDONED. A client that has it ACTIVE may be given it again.
   */
  mayGive(address: number, clientKey: Uint8Array, subnetIndex: number, now: Now, reservation?: Reservation): boolean {
    if (this.#finder.find(address) !== subnetIndex || subnetIndex < 0) return false;
    if (reservation?.address !== address) {
      if (this.isReserved(address) || !this.#states.share(subnetIndex).inPool(address)) return false;
    }
    const page = this.#states.peek(address);
    if (page === undefined) return true;
    const s = address & 255;
    if ((page.flags[s]! & HELD) !== 0 && !this.offers.isHeldBy(address, clientKey)) return false;
    switch (page.state[s] as BindingState | 0) {
      case 0:
      case BindingState.FREE:
        return true;
      case BindingState.ABANDONED:
        // Nobody else may ever get a reserved address: its client tries again once the conflict may be over.
        return reservation?.address === address && this.#abandonedFor(address, now) >= RESERVATION_PROBATION_SECONDS;
      case BindingState.ACTIVE:
        return this.#isClient(page, address, clientKey);
      default:
        return page.due[s]! <= wallSeconds(now.wall) || this.#isClient(page, address, clientKey);
    }
  }

  #abandonedFor(address: number, now: Now): number {
    const record = this.read(address);
    return record === undefined ? 0 : wallSeconds(now.wall) - recordStateSince(record);
  }

  /**
   * A free address of the subnet's pools; 0 when no owned slot has any. Slots whose home is
   * `preferredHome` go first, then any owned one; among them never-used addresses, then the longest free.
   * It marks nothing: hold it in `offers`, or put its record, before the next call.
   */
  allocate(subnetIndex: number, slots: SlotChoice, preferredHome: string, now: Now): number {
    const second = wallSeconds(now.wall);
    for (const home of [preferredHome, undefined]) {
      const address = this.#states.neverUsed(subnetIndex, slots, home) ||
        this.#states.longestFree(subnetIndex, slots, home, second);
      if (address !== 0) return address;
    }
    return 0;
  }

  /** The address abandoned longest ago in owned slots; 0 when there is none. For when nothing else is free. */
  allocateAbandoned(subnetIndex: number, slots: SlotChoice, _now: Now): number {
    return this.#states.oldestAbandoned(subnetIndex, slots);
  }

  /**
   * ACTIVE bindings of owned slots whose lease has ended, at most `limit`, for the caller to make
   * EXPIRED. Those that stay ACTIVE come again, after the others.
   */
  ended(now: Now, slots: SlotChoice, limit: number): number[] {
    const second = wallSeconds(now.wall);
    this.#states.advance(second, limit);
    return this.#states.ended(second, slots, limit);
  }

  /** Ends holds, and lets addresses whose reuse time has come into the free lists, at most `limit`. For every turn. */
  advance(now: Now, limit: number): void {
    this.offers.expire(now);
    this.#states.advance(wallSeconds(now.wall), limit);
  }

  counts(subnetIndex: number): SubnetCounts {
    const share = this.#states.share(subnetIndex);
    return {
      active: share.states[BindingState.ACTIVE]!,
      expired: share.states[BindingState.EXPIRED]!,
      released: share.states[BindingState.RELEASED]!,
      abandoned: share.states[BindingState.ABANDONED]!,
      free: share.freeTotal,
    };
  }

  /** Free addresses by slot, 256 entries; the table's own array, only to be read. */
  freeBySlot(subnetIndex: number): Float64Array {
    return this.#states.share(subnetIndex).free;
  }

  /** The newest records in order of address, those above `after` (-1: from the start); empty only at the end. */
  records(after: number, limit: number): { address: number; record: Buffer }[] {
    return recordsOf(this.#store, after, limit);
  }

  #print(clientKey: Uint8Array): number {
    return fingerprint(clientKey, this.#seed);
  }

  #isClient(page: Page, address: number, clientKey: Uint8Array): boolean {
    if (page.print[address & 255] !== this.#print(clientKey)) return false;
    return sameBytes(recordClientKey(this.#store.read(address)!), clientKey);
  }

  #index(address: number, record: Buffer): void {
    const page = this.#states.page(address);
    const state = recordState(record);
    this.#indexClient(page, address, recordClientKey(record));
    if (state === BindingState.ACTIVE) this.#states.set(page, address, state, recordExpires(record));
    else if (state === BindingState.ABANDONED) this.#states.set(page, address, state, recordStateSince(record));
    else this.#states.set(page, address, state, reuseSeconds(record, this.#maxClockSkewMs));
  }

  /** An empty key names nobody. */
  #indexClient(page: Page, address: number, clientKey: Uint8Array): void {
    const s = address & 255;
    const before = page.print[s]!;
    const print = clientKey.length === 0 ? 0 : this.#print(clientKey);
    if (before === print) return;
    if (before !== 0) this.#clients.delete(before, address);
    if (print !== 0) this.#clients.add(print, address);
    page.print[s] = print;
  }
}
