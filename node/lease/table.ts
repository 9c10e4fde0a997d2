/**
 * What is known of every binding, in memory: which client has which address, what is free, what is due.
 * Pure: no disk of its own, no clock. The records themselves lie in the store; here is 24 bytes an
 * address and an index by client, rebuilt from the store at every start.
 *
 * Invariants
 * - An address stands in at most one list: waiting for its time, ended, free, or abandoned.
 * - An address is in a free list, or is never touched, exactly if `allocate` may give it to anybody:
 *   inside a pool, nobody's reservation, held for nobody, and without a record or past its reuse time.
 * - Every node keeps the lists of all 256 slots; who owns a slot is asked only when an address is taken.
 */
import { OfferBook } from '../allocation/offers.ts';
import { SubnetShare } from '../allocation/share.ts';
import type { Reservation, SubnetConfig } from '../config/types.ts';
import { INFINITE_SECONDS, wallSeconds } from '../time.ts';
import type { Now, WallSeconds } from '../time.ts';
import { DUE_LISTS, DueWheel, WHEEL_SECONDS } from './due.ts';
import { fingerprint, FingerprintIndex, sameBytes } from './fingerprint.ts';
import { recordsOf } from './merged-records.ts';
import { AddressLists, HELD, NO_SUBNET, Pages, SHARED, TOUCHED, USED } from './pages.ts';
import type { Page } from './pages.ts';
import {
  BindingState, isRecord, recordClientKey, recordExpires, recordLastTransaction, recordLeaseSeconds, recordState,
  recordStateSince,
} from './record.ts';
import { Reservations } from './reservations.ts';
import { StoreError } from './store-error.ts';
import type { BindingStore } from './store.ts';
import { SubnetFinder } from './subnet-finder.ts';

/** Holds after a DHCPOFFER: at most so many, each so long (milliseconds). */
export const OFFERS_MAX = 65_536;
export const OFFER_HOLD_MS = 30_000;

/** A reply may leave so long after its packet was read: a client counts its lease from that much later. */
const MAX_REPLY_AGE_SECONDS = 5;
/** The client's clock may run slow by 200 ppm. */
const CLIENT_DRIFT = 1 / 5000;
/** A released address goes to nobody else for so long: a late RELEASE may free an address in use. */
const RELEASE_HOLD_SECONDS = 30;

const LOAD_PAGE = 4096;

/** Which slots may be given from now, and where they are at home. */
export interface SlotChoice {
  owns(slot: number): boolean;
  homeOf(slot: number): string;
}

export interface SubnetCounts {
  /** Records by state, reservations included. */
  readonly active: number;
  readonly expired: number;
  readonly released: number;
  readonly abandoned: number;
  /** What `allocate` could give if all slots were owned; counts EXPIRED and RELEASED past their reuse time too. */
  readonly free: number;
}

// List numbers: 0 none, then one a slot for ended leases, the due lists, and three a slot and subnet.
const ENDED_LISTS = 1;
const DUE_FIRST = ENDED_LISTS + 256;
const SUBNET_FIRST = DUE_FIRST + DUE_LISTS;
const SUBNET_LISTS = 3 * 256;
/** Never used, but passed by already: its hold ended without a lease. */
const FRESH = 0;
/** Used before and free again, longest free first. */
const FREED = 256;
const ABANDONED = 512;

/**
 * From when the address of an EXPIRED or RELEASED record may go to another client, UTC seconds: the
 * lease's end, or the release, and what the clocks of server and client may be wrong by.
 */
export function reuseSeconds(record: Buffer, maxClockSkewMs: number): WallSeconds {
  const skew = maxClockSkewMs / 1000;
  let at: number;
  if (recordState(record) === BindingState.RELEASED) {
    at = recordStateSince(record) + RELEASE_HOLD_SECONDS + skew;
  } else {
    const expires = recordExpires(record);
    const end = expires === INFINITE_SECONDS ? recordStateSince(record) : expires;
    const leaseSeconds = recordLeaseSeconds(record);
    const drift = leaseSeconds === INFINITE_SECONDS ? 0 : leaseSeconds * CLIENT_DRIFT;
    at = end + skew + drift + MAX_REPLY_AGE_SECONDS;
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
  readonly #subnets: readonly SubnetConfig[];
  readonly #pages: Pages;
  readonly #lists: AddressLists;
  readonly #due: DueWheel;
  readonly #clients = new FingerprintIndex();
  #shares: SubnetShare[] = [];
  #size = 0;
  /** The slot that `ended` begins with, so that none is kept waiting by the limit. */
  #endedTurn = 0;
  readonly #fire = (page: Page, address: number): void => this.#onDue(page, address);

  /** `hashSeed`: any number that clients cannot know. */
  constructor(
    store: BindingStore, subnets: readonly SubnetConfig[],
    options: { readonly maxClockSkewMs: number; readonly hashSeed?: number },
  ) {
    this.#store = store;
    this.#subnets = subnets;
    this.#maxClockSkewMs = options.maxClockSkewMs;
    this.#seed = options.hashSeed ?? 0;
    this.#finder = new SubnetFinder(subnets);
    this.#reservations = new Reservations(subnets);
    this.#pages = new Pages((page, base) => this.#preparePage(page, base));
    this.#lists = new AddressLists(this.#pages, SUBNET_FIRST + subnets.length * SUBNET_LISTS);
    this.#due = new DueWheel(this.#pages, this.#lists, DUE_FIRST);
    this.offers = new OfferBook(OFFERS_MAX, OFFER_HOLD_MS, {
      subnetOf: (address) => this.#finder.find(address),
      onHold: (address) => this.#onHold(address),
      onEnd: (address) => this.#onHoldEnd(address),
    }, this.#seed);
    this.#clear();
  }

  /** Bindings with a record, those outside every subnet included. */
  get size(): number {
    return this.#size;
  }

  /** Forgets all indexes and holds and builds them anew from the store. Throws StoreError `record-corrupt`. */
  load(now: Now): void {
    this.#clear();
    // One round of the wheel reaches back, so that what became free lately is freed in its order.
    this.#due.reset(wallSeconds(now.wall) - WHEEL_SECONDS + 1);
    const abandoned: { address: number; since: number }[] = [];
    let after = -1;
    for (;;) {
      const page = this.records(after, LOAD_PAGE);
      for (const { address, record } of page) {
        if (!isRecord(record)) throw StoreError.corruptRecord(address);
        if (recordState(record) === BindingState.ABANDONED) abandoned.push({ address, since: recordStateSince(record) });
        this.#index(address, record);
      }
      if (page.length === 0) break;
      after = page.at(-1)!.address;
    }
    abandoned.sort((a, b) => a.since - b.since);
    for (const { address } of abandoned) {
      const page = this.#pages.of(address);
      if (this.#lists.remove(page, address) !== 0) this.#file(page, address);
    }
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
    const page = this.#pages.of(address);
    const s = address & 255;
    if (page.state[s] === 0) return position;
    this.#unlink(page, address);
    this.#countState(page, s, -1);
    this.#size--;
    if (page.print[s] !== 0) this.#clients.delete(page.print[s]!, address);
    page.print[s] = 0;
    page.state[s] = 0;
    page.due[s] = wallSeconds(now.wall);
    this.#file(page, address);
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
      const page = this.#pages.of(address);
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
      if (this.isReserved(address) || !this.#shares[subnetIndex]!.inPool(address)) return false;
    }
    const page = this.#pages.peek(address);
    if (page === undefined) return true;
    const s = address & 255;
    if ((page.flags[s]! & HELD) !== 0 && !this.offers.isHeldBy(address, clientKey)) return false;
    switch (page.state[s] as BindingState | 0) {
      case 0:
      case BindingState.FREE:
        return true;
      case BindingState.ABANDONED:
        return false;
      case BindingState.ACTIVE:
        return this.#isClient(page, address, clientKey);
      default:
        return page.due[s]! <= wallSeconds(now.wall) || this.#isClient(page, address, clientKey);
    }
  }

  /**
   * A free address of the subnet's pools; 0 when no owned slot has any. Slots whose home is
   * `preferredHome` go first, then any owned one; among them never-used addresses, then the longest free.
   * It marks nothing: hold it in `offers`, or put its record, before the next call.
   */
  allocate(subnetIndex: number, slots: SlotChoice, preferredHome: string, now: Now): number {
    const second = wallSeconds(now.wall);
    for (const home of [preferredHome, undefined]) {
      const address = this.#neverUsed(subnetIndex, slots, home) || this.#longestFree(subnetIndex, slots, home, second);
      if (address !== 0) return address;
    }
    return 0;
  }

  /** The address abandoned longest ago in owned slots; 0 when there is none. For when nothing else is free. */
  allocateAbandoned(subnetIndex: number, slots: SlotChoice, _now: Now): number {
    let best = 0;
    let bestSince = Infinity;
    for (let slot = 0; slot < 256; slot++) {
      const address = this.#lists.first(this.#subnetList(subnetIndex, ABANDONED, slot));
      if (address === 0 || !slots.owns(slot)) continue;
      const since = this.#pages.of(address).due[slot]!;
      if (since < bestSince) {
        best = address;
        bestSince = since;
      }
    }
    return best;
  }

  /**
   * ACTIVE bindings of owned slots whose lease has ended, at most `limit`, for the caller to make
   * EXPIRED. Those that stay ACTIVE come again, after the others.
   */
  ended(now: Now, slots: SlotChoice, limit: number): number[] {
    const second = wallSeconds(now.wall);
    this.#due.walk(second, limit, this.#fire);
    const found: number[] = [];
    for (let i = 0; i < 256 && found.length < limit; i++) {
      const slot = (this.#endedTurn + i) & 255;
      const list = ENDED_LISTS + slot;
      const first = this.#lists.first(list);
      if (first === 0 || !slots.owns(slot)) continue;
      const last = this.#lists.last(list);
      for (let address = first, ended = false; !ended && found.length < limit;) {
        const page = this.#pages.of(address);
        const next = page.next[slot]!;
        this.#lists.remove(page, address);
        if (page.due[slot]! > second) {
          this.#due.add(page, address); // The wall clock stepped back.
        } else {
          this.#lists.append(list, page, address);
          found.push(address);
        }
        ended = address === last;
        address = next;
      }
    }
    this.#endedTurn = (this.#endedTurn + 1) & 255;
    return found;
  }

  /** Ends holds, and lets addresses whose reuse time has come into the free lists, at most `limit`. For every turn. */
  advance(now: Now, limit: number): void {
    this.offers.expire(now);
    this.#due.walk(wallSeconds(now.wall), limit, this.#fire);
  }

  counts(subnetIndex: number): SubnetCounts {
    const share = this.#shares[subnetIndex]!;
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
    return this.#shares[subnetIndex]!.free;
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

  #neverUsed(subnetIndex: number, slots: SlotChoice, home: string | undefined): number {
    const share = this.#shares[subnetIndex]!;
    if (share.unusedTotal === 0) return 0;
    for (let i = 0; i < 256; i++) {
      const slot = (share.turn + i) & 255;
      if (share.unused[slot] === 0 || !mayTake(slots, slot, home)) continue;
      share.turn = (slot + 1) & 255;
      return this.#lists.first(this.#subnetList(subnetIndex, FRESH, slot)) || share.neverUsed(slot, this.#isTouched);
    }
    return 0;
  }

  #longestFree(subnetIndex: number, slots: SlotChoice, home: string | undefined, second: number): number {
    const share = this.#shares[subnetIndex]!;
    for (;;) {
      let best = -1;
      for (let slot = 0; slot < 256; slot++) {
        if (share.free[slot] === share.unused[slot] || !mayTake(slots, slot, home)) continue;
        if (best < 0 || share.freedSince[slot]! < share.freedSince[best]!) best = slot;
      }
      if (best < 0) return 0;
      const address = this.#lists.first(this.#subnetList(subnetIndex, FREED, best));
      const page = this.#pages.of(address);
      if (page.state[best] === 0 || page.due[best]! <= second) return address;
      // The wall clock stepped back: its reuse time lies ahead again.
      this.#unlink(page, address);
      this.#due.add(page, address);
    }
  }
  readonly #isTouched = (address: number): boolean =>
    ((this.#pages.peek(address)?.flags[address & 255] ?? 0) & TOUCHED) !== 0 || this.isReserved(address);

  #subnetList(subnetIndex: number, kind: number, slot: number): number {
    return SUBNET_FIRST + subnetIndex * SUBNET_LISTS + kind + slot;
  }

  #index(address: number, record: Buffer): void {
    const page = this.#pages.of(address);
    const s = address & 255;
    this.#touch(page, s);
    this.#unlink(page, address);
    if (page.state[s] === 0) this.#size++;
    else this.#countState(page, s, -1);
    const state = recordState(record);
    page.state[s] = state;
    page.flags[s]! |= USED;
    this.#countState(page, s, 1);
    this.#indexClient(page, address, recordClientKey(record));
    if (state === BindingState.ACTIVE) page.due[s] = recordExpires(record);
    else if (state === BindingState.ABANDONED) page.due[s] = recordStateSince(record);
    else page.due[s] = reuseSeconds(record, this.#maxClockSkewMs);
    this.#file(page, address);
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

  #countState(page: Page, s: number, count: 1 | -1): void {
    const subnet = page.subnet[s]!;
    if (subnet !== NO_SUBNET) this.#shares[subnet]!.states[page.state[s]!]! += count;
  }

  /** Puts an address that is in no list into the one that its state calls for. */
  #file(page: Page, address: number): void {
    const s = address & 255;
    switch (page.state[s] as BindingState | 0) {
      case BindingState.ACTIVE:
        if (page.due[s] !== INFINITE_SECONDS) this.#due.add(page, address);
        break;
      case BindingState.EXPIRED:
      case BindingState.RELEASED:
        this.#due.add(page, address);
        break;
      case BindingState.ABANDONED:
        if (isOpen(page, s)) this.#lists.append(this.#subnetList(page.subnet[s]!, ABANDONED, s), page, address);
        break;
      default:
        this.#fileFree(page, address);
    }
  }

  #fileFree(page: Page, address: number): void {
    const s = address & 255;
    if (!isOpen(page, s)) return;
    const subnet = page.subnet[s]!;
    const share = this.#shares[subnet]!;
    if ((page.flags[s]! & USED) === 0) {
      this.#lists.append(this.#subnetList(subnet, FRESH, s), page, address);
      share.addUnused(s, 1);
      return;
    }
    const list = this.#subnetList(subnet, FREED, s);
    // What comes back from a hold was first in its list, and takes that place again.
    if (this.#lists.first(list) !== 0 && page.due[s]! < share.freedSince[s]!) this.#lists.prepend(list, page, address);
    else this.#lists.append(list, page, address);
    share.addFreed(s, 1);
    this.#noteFreedSince(share, list, s);
  }

  #noteFreedSince(share: SubnetShare, list: number, s: number): void {
    const first = this.#lists.first(list);
    if (first !== 0) share.freedSince[s] = this.#pages.of(first).due[s]!;
  }

  #unlink(page: Page, address: number): void {
    const list = this.#lists.remove(page, address);
    if (list < SUBNET_FIRST) return;
    const s = address & 255;
    const share = this.#shares[page.subnet[s]!]!;
    const kind = ((list - SUBNET_FIRST) % SUBNET_LISTS) - s;
    if (kind === FRESH) share.addUnused(s, -1);
    if (kind !== FREED) return;
    share.addFreed(s, -1);
    this.#noteFreedSince(share, list, s);
  }

  /** The never-used cursor need not look at this address any more. */
  #touch(page: Page, s: number): void {
    if ((page.flags[s]! & TOUCHED) !== 0) return;
    page.flags[s]! |= TOUCHED;
    if ((page.flags[s]! & SHARED) !== 0) this.#shares[page.subnet[s]!]!.addUnused(s, -1);
  }

  #onDue(page: Page, address: number): void {
    const s = address & 255;
    if (page.state[s] === BindingState.ACTIVE) this.#lists.append(ENDED_LISTS + s, page, address);
    else this.#fileFree(page, address);
  }

  #onHold(address: number): void {
    const page = this.#pages.of(address);
    const s = address & 255;
    this.#touch(page, s);
    page.flags[s]! |= HELD;
    if (page.list[s]! >= SUBNET_FIRST) this.#unlink(page, address);
  }

  #onHoldEnd(address: number): void {
    const page = this.#pages.of(address);
    const s = address & 255;
    page.flags[s]! &= ~HELD;
    if (page.list[s] !== 0) return;
    const state = page.state[s] as BindingState | 0;
    if (state === BindingState.ABANDONED && isOpen(page, s)) {
      this.#lists.prepend(this.#subnetList(page.subnet[s]!, ABANDONED, s), page, address);
    } else if (state !== BindingState.ACTIVE && state !== BindingState.ABANDONED) {
      // An EXPIRED or RELEASED one that waits for nothing any more has passed its reuse time.
      this.#fileFree(page, address);
    }
  }

  #preparePage(page: Page, base: number): void {
    const first = this.#finder.find(base);
    const uniform = first >= 0 && this.#finder.find(base + 255) === first;
    for (let s = 0; s < 256; s++) {
      const subnet = uniform ? first : this.#finder.find(base + s);
      page.subnet[s] = subnet < 0 ? NO_SUBNET : subnet;
      if (subnet >= 0 && this.#shares[subnet]!.inPool(base + s) && !this.isReserved(base + s)) page.flags[s] = SHARED;
    }
  }

  #clear(): void {
    this.#pages.clear();
    this.#lists.clear();
    this.#clients.clear();
    this.offers.clear();
    this.#size = 0;
    this.#shares = this.#subnets.map(
      (subnet) => new SubnetShare(subnet.pools, subnet.reservations.map((reservation) => reservation.address)),
    );
  }
}

function mayTake(slots: SlotChoice, slot: number, home: string | undefined): boolean {
  return slots.owns(slot) && (home === undefined || slots.homeOf(slot) === home);
}

/** Inside a pool, nobody's reservation, and held for nobody. */
function isOpen(page: Page, s: number): boolean {
  return (page.flags[s]! & (SHARED | HELD)) === SHARED;
}
